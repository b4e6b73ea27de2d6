//! What browsers made of pages, kept for callers who say how old it may be.

use std::{fmt::Write as _, sync::Arc};

use http::Method;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{
    super::{
        Error, Fetcher, Request,
        first::Start,
        request::CacheControl,
        response::{CacheState, Response, Why},
    },
    Cache, Kept, Key,
};
use crate::deadline::Deadline;

/// A rendered answer.
#[derive(Debug)]
pub(super) struct Rendered {
    response: Response,
    at: Instant,
}

impl Rendered {
    pub(super) fn weight(&self) -> u64 {
        self.response.weight()
    }
}

impl Fetcher {
    /// Fetches by a browser, or from what one has made of the same request when the caller says
    /// how old that may be.
    ///
    /// # Cancel safety
    /// As [`Fetcher::render`].
    pub(in super::super) async fn rendered(
        &self,
        request: &Request,
        start: &Start,
        (why, why_detail): (Why, String),
        deadline: Deadline,
    ) -> Result<Response, Error> {
        let Some(cache) = &self.0.cache else {
            return self
                .render(request, start, (why, why_detail), deadline)
                .await;
        };
        let control = request.cache;
        let Some(max_age) = control.max_age.filter(|_| !control.no_store) else {
            let rendered = self
                .render(request, start, (why, why_detail), deadline)
                .await;
            cache.count(CacheState::Bypass);
            return rendered;
        };
        let key = Key::Rendering(digest(request));
        if !control.bypass
            && let Some(Kept::Rendered(kept)) = cache.kept.get(&key)
            && kept.at.elapsed() <= max_age
        {
            cache.count(CacheState::Hit);
            return Ok(Response {
                cache: CacheState::Hit,
                age: Some(kept.at.elapsed()),
                why,
                why_detail,
                timings: super::super::response::Timings::default(),
                ..kept.response.clone()
            });
        }
        let at = Instant::now();
        let rendered = self
            .render(request, start, (why, why_detail), deadline)
            .await;
        cache.count(CacheState::Miss);
        let mut response = rendered?;
        response.cache = CacheState::Miss;
        cache.keep_rendered(key, &response, at);
        Ok(response)
    }
}

impl Cache {
    fn keep_rendered(&self, key: Key, response: &Response, at: Instant) {
        // What went wrong may go right the next time.
        if !(200..400).contains(&response.status) {
            return;
        }
        let response = response.clone();
        let kept = Kept::Rendered(Arc::new(Rendered { response, at }));
        self.kept.insert(key, kept);
    }
}

/// The digest of everything that shapes a rendering: of all that is asked for but how it may be
/// kept.
fn digest(request: &Request) -> [u8; 32] {
    let mut all = request.clone();
    all.cache = CacheControl::default();
    all.strategy = super::super::Strategy::Browser;
    debug_assert_eq!(all.method, Method::GET, "a browser sends no other");
    // None serves another party, whatever its text shows.
    let mut text = format!("{}\n{all:?}", request.party.key());
    // What a derived text may leave out, for it is secret.
    for (name, value) in &request.headers {
        // Writing to a text cannot fail.
        let _ = write!(text, "\n{name}: {:?}", value.as_bytes());
    }
    if let Some(credentials) = request.proxy.as_ref().map(super::super::Proxy::credentials) {
        let _ = write!(text, "\n{credentials:?}");
    }
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::super::Proxy, *};

    #[test]
    fn the_digest_is_of_all_that_shapes_the_rendering() {
        let base = Request::get("http://a/".parse().unwrap());
        let same = |change: fn(&mut Request)| {
            let mut changed = base.clone();
            change(&mut changed);
            digest(&changed) == digest(&base)
        };
        assert!(same(|request| request.cache.max_age = Some(Duration::ZERO)));
        assert!(same(|request| request.cache.bypass = true));
        assert!(!same(|request| request.user_agent = Some("x".into())));
        assert!(!same(|request| request.url.set_query(Some("x"))));
        assert!(!same(|request| request.max_bytes += 1));
        assert!(!same(
            |request| request.party = crate::fair::Party::new("another", 1)
        ));
        let header = |value: &'static str| {
            let mut value = http::HeaderValue::from_static(value);
            value.set_sensitive(true);
            let mut request = base.clone();
            request.headers = vec![(http::header::ACCEPT, value)];
            digest(&request)
        };
        assert_ne!(header("one"), header("two"));
        let through = |proxy| {
            let mut request = base.clone();
            request.proxy = Some(Proxy::parse(proxy).unwrap());
            digest(&request)
        };
        assert_ne!(through("http://a:one@proxy"), through("http://a:two@proxy"));
    }
}
