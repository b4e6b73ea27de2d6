//! What of a page may not be reached.

use std::collections::HashMap;

use tokio::time::Instant;
use url::Url;

use crate::{
    browser::cdp::Event,
    egress::{Failure, Target},
};

/// So many targets are named; of more only the number is known.
const NAMED: usize = 8;
/// So many requests are followed at once: a page that makes more is not told of the others.
const FOLLOWED: usize = 1024;

/// What a page asked for and may not reach: its images, scripts, frames and requests, as far as the
/// page's process makes them.
#[derive(Debug)]
pub struct Refused {
    since: Instant,
    /// Where each request under way is going.
    under_way: HashMap<String, Target>,
    targets: Vec<Target>,
    requests: u64,
}

impl Refused {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            under_way: HashMap::new(),
            targets: Vec::new(),
            requests: 0,
        }
    }

    /// Since when the page is looked at.
    pub(super) const fn since(&self) -> Instant {
        self.since
    }

    /// How many requests were refused.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.requests
    }

    /// Where they were going: the first few places.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Takes note of an event. `why` knows why a target was not reached.
    pub(super) fn hear(
        &mut self,
        event: &Event,
        why: impl FnOnce(&Target, Instant) -> Option<Failure>,
    ) {
        let id = event.text("/requestId").unwrap_or_default();
        match event.method() {
            "Network.requestWillBeSent" if self.under_way.len() < FOLLOWED => {
                if let Some(target) = event.text("/request/url").and_then(target) {
                    self.under_way.insert(id.to_owned(), target);
                }
            }
            "Network.responseReceived" | "Network.loadingFinished" => {
                self.under_way.remove(id);
            }
            "Network.loadingFailed" => {
                let Some(target) = self.under_way.remove(id) else {
                    return;
                };
                if let Some(Failure::Denied(_)) = why(&target, self.since) {
                    self.requests += 1;
                    if self.targets.len() < NAMED && !self.targets.contains(&target) {
                        self.targets.push(target);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Where a request for `url` goes, when it goes anywhere.
pub(crate) fn target(url: &str) -> Option<Target> {
    // Most of a long one is data.
    const SCHEMES: [&str; 4] = ["http:", "https:", "ws:", "wss:"];
    let goes = SCHEMES.iter().any(|scheme| url.starts_with(scheme));
    let url = goes.then(|| Url::parse(url).ok())??;
    Target::of_url(&url)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{egress::Denied, metrics::EgressRule};

    fn hear(refused: &mut Refused, method: &str, params: &Value, denied: bool) {
        let event = json!({ "method": method, "sessionId": "s", "params": params });
        let event = serde_json::from_value(event).unwrap();
        refused.hear(&event, |target, _| {
            let target = target.clone();
            let rule = EgressRule::Private;
            denied.then_some(Failure::Denied(Denied { rule, target }))
        });
    }

    #[tokio::test]
    async fn only_what_is_denied_counts() {
        let mut refused = Refused::new();
        for (id, url, denied) in [
            ("1", "http://10.0.0.1/a", true),
            ("2", "http://10.0.0.1/b", true),
            ("3", "http://1.1.1.1/", false),
            ("4", "data:,x", true),
        ] {
            let asked = json!({ "requestId": id, "request": { "url": url } });
            hear(&mut refused, "Network.requestWillBeSent", &asked, denied);
            let failed = json!({ "requestId": id });
            hear(&mut refused, "Network.loadingFailed", &failed, denied);
        }
        assert_eq!(refused.requests(), 2);
        let named: Vec<_> = refused.targets().iter().map(Target::to_string).collect();
        assert_eq!(named, ["10.0.0.1:80"]);
        assert!(refused.under_way.is_empty());
    }
}
