//! The messages of what only the HTTP way and the cache know.

use std::time::Duration;

use super::convert;
use crate::{
    broker::Violation,
    fetch::{self, CacheControl, CacheState, Cookie, Proxy},
    proto,
};

const MOST_COOKIES: usize = 64;
/// A host of 253 bytes, a name and a password of 255, each byte of which may be written as three.
const LONGEST_PROXY: usize = 2048;

/// The cookies of a fetch.
pub(super) fn cookies(messages: Vec<proto::Cookie>, wrong: &mut Vec<Violation>) -> Vec<Cookie> {
    if messages.len() > MOST_COOKIES {
        let why = format!("{} cookies are more than {MOST_COOKIES}", messages.len());
        wrong.push(Violation::new("cookies", why));
    }
    let read = messages.into_iter().map(|cookie| Cookie {
        name: cookie.name,
        value: cookie.value,
        domain: cookie.domain,
        path: cookie.path,
        secure: cookie.secure,
        http_only: cookie.http_only,
    });
    read.collect()
}

/// The proxy of a fetch. What is wrong with it is told without it: it may hold a password.
pub(super) fn proxy(url: &str, wrong: &mut Vec<Violation>) -> Option<Proxy> {
    if url.is_empty() {
        return None;
    }
    if url.len() > LONGEST_PROXY {
        let why = format!("longer than {LONGEST_PROXY} bytes");
        wrong.push(Violation::new("proxy_url", why));
        return None;
    }
    match Proxy::parse(url) {
        Ok(proxy) => Some(proxy),
        Err(why) => {
            wrong.push(Violation::new("proxy_url", why));
            None
        }
    }
}

/// What may serve of what is kept.
pub(super) fn cache(
    message: Option<proto::CacheControl>,
    wrong: &mut Vec<Violation>,
) -> CacheControl {
    let message = message.unwrap_or_default();
    CacheControl {
        max_age: convert::duration("cache.max_age", message.max_age, wrong),
        bypass: message.bypass,
        no_store: message.no_store,
    }
}

/// How long a fetch may take besides what the call says.
pub(super) fn timeout(
    message: Option<prost_types::Duration>,
    wrong: &mut Vec<Violation>,
) -> Option<Duration> {
    let timeout = convert::duration("timeout", message, wrong)?;
    if timeout.is_zero() {
        wrong.push(Violation::new("timeout", "must be more than zero"));
    }
    Some(timeout)
}

/// What of an answer is told of its way.
pub(super) fn answered(response: &fetch::Response, message: &mut proto::FetchResponse) {
    let state = match response.cache {
        CacheState::Miss => proto::CacheState::Miss,
        CacheState::Hit => proto::CacheState::Hit,
        CacheState::Revalidated => proto::CacheState::Revalidated,
        CacheState::Coalesced => proto::CacheState::Coalesced,
        CacheState::Bypass => proto::CacheState::Bypass,
    };
    message.cache_state = state.into();
    message.age = response.age.and_then(convert::to_proto);
    message.retry_after = response.retry_after.and_then(convert::to_proto);
    message.protocol = response.protocol.clone().unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_without_its_secrets() {
        let mut wrong = Vec::new();
        assert_eq!(proxy("", &mut wrong), None);
        assert_eq!(proxy("gopher://me:secret@proxy", &mut wrong), None);
        let negative = prost_types::Duration {
            seconds: -1,
            nanos: 0,
        };
        let long = format!("http://{}:secret@proxy", "m".repeat(LONGEST_PROXY));
        assert_eq!(proxy(&long, &mut wrong), None);
        timeout(Some(negative), &mut wrong);
        timeout(Some(prost_types::Duration::default()), &mut wrong);
        let control = proto::CacheControl {
            max_age: Some(negative),
            ..proto::CacheControl::default()
        };
        cache(Some(control), &mut wrong);
        cookies(vec![proto::Cookie::default(); 65], &mut wrong);
        let fields: Vec<_> = wrong.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "proxy_url",
                "proxy_url",
                "timeout",
                "timeout",
                "cache.max_age",
                "cookies"
            ]
        );
        assert!(!wrong.iter().any(|one| one.why.contains("secret")));
    }
}
