//! Which of a page's requests are under way.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::browser::cdp::Event;

/// A page is idle when nothing was under way for so long.
pub(super) const QUIET: Duration = Duration::from_millis(500);

/// Which of a page's requests are under way: its own and those of its frames, as far as the page's
/// process makes them. What never ends by its nature (event streams, websockets) and what comes
/// from no network (`data:`, `blob:`) does not count.
#[derive(Debug)]
pub(super) struct Traffic {
    /// The document and the frame that each request is for.
    under_way: HashMap<String, (String, String)>,
    quiet_since: Instant,
}

impl Traffic {
    pub(super) fn new() -> Self {
        Self {
            under_way: HashMap::new(),
            quiet_since: Instant::now(),
        }
    }

    /// How many requests are under way.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// When the page was idle long enough, if nothing more is asked for; `None` as long as
    /// something is under way. `there` is when the page was loaded.
    pub(super) fn idle_at(&self, there: Instant) -> Option<Instant> {
        let idle = self.under_way.is_empty();
        idle.then(|| self.quiet_since.max(there) + QUIET)
    }

    /// Takes note of an event. `frame` is the main frame.
    pub(super) fn hear(&mut self, event: &Event, frame: &str) {
        match event.method() {
            "Network.requestWillBeSent" => {
                let text = |pointer| event.text(pointer).unwrap_or_default();
                let url = text("/request/url");
                let counts = !url.starts_with("data:")
                    && !url.starts_with("blob:")
                    && text("/type") != "EventSource";
                if counts {
                    let to = (text("/loaderId").to_owned(), text("/frameId").to_owned());
                    self.under_way.insert(text("/requestId").to_owned(), to);
                }
            }
            "Network.loadingFinished" | "Network.loadingFailed" => {
                let id = event.text("/requestId").unwrap_or_default();
                if self.under_way.remove(id).is_some() {
                    self.rest();
                }
            }
            // What the last document asked for went with it, not always with a word.
            "Page.frameNavigated" if event.text("/frame/id") == Some(frame) => {
                let loader = event.text("/frame/loaderId").unwrap_or_default();
                self.under_way.retain(|_, (document, _)| document == loader);
                self.rest();
            }
            // A frame that went, perhaps to another process, which tells the end of its requests
            // to nobody here.
            "Page.frameDetached" => {
                let gone = event.text("/frameId").unwrap_or_default();
                self.under_way.retain(|_, (_, frame)| frame != gone);
                self.rest();
            }
            _ => {}
        }
    }

    fn rest(&mut self) {
        if self.under_way.is_empty() {
            self.quiet_since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn hear(traffic: &mut Traffic, method: &str, params: &Value) {
        let event = json!({ "method": method, "sessionId": "s", "params": params });
        traffic.hear(&serde_json::from_value(event).unwrap(), "f");
    }

    fn ask(traffic: &mut Traffic, id: &str, url: &str, kind: &str) {
        let params = json!({
            "requestId": id, "loaderId": "l", "frameId": "f", "type": kind,
            "request": { "url": url }
        });
        hear(traffic, "Network.requestWillBeSent", &params);
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_and_what_counts() {
        let mut traffic = Traffic::new();
        ask(&mut traffic, "1", "http://a/", "Document");
        ask(&mut traffic, "2", "data:,x", "Image");
        ask(&mut traffic, "3", "http://a/stream", "EventSource");
        ask(&mut traffic, "4", "http://a/x", "XHR");
        assert_eq!(traffic.under_way(), 2);
        assert_eq!(traffic.idle_at(Instant::now()), None);
        hear(
            &mut traffic,
            "Network.loadingFinished",
            &json!({ "requestId": "1" }),
        );
        tokio::time::advance(QUIET).await;
        hear(
            &mut traffic,
            "Network.loadingFailed",
            &json!({ "requestId": "4" }),
        );
        let loaded = Instant::now() - QUIET;
        assert_eq!(traffic.idle_at(loaded), Some(Instant::now() + QUIET));
        ask(&mut traffic, "5", "http://a/y", "Fetch");
        let frame = json!({ "frame": { "id": "f", "loaderId": "other" } });
        hear(&mut traffic, "Page.frameNavigated", &frame);
        assert_eq!(traffic.under_way(), 0, "it went with its document");
    }
}
