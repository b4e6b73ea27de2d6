//! What is kept and what is shared, beyond what RFC 9111 says of a private cache.
//!
//! The cache is one for all callers, so what is meant for one of them is left out of it: requests
//! with credentials or cookies, or through a proxy, neither use it nor add to it, and answers that
//! set cookies are not kept.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use super::{
    super::{redirect::Hop, request::Request},
    Question,
    entry::has_validator,
};

/// Headers of requests that are about one caller, or about a part.
const OWN: [HeaderName; 8] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::RANGE,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
];

/// Whether a request that is sent with `headers` has to do with the cache at all.
pub(in super::super) fn concerns(hop: &Hop, headers: &HeaderMap, request: &Request) -> bool {
    hop.method == Method::GET
        && hop.body.is_empty()
        && request.proxy.is_none()
        && !request.cache.no_store
        && !OWN.iter().any(|name| headers.contains_key(name))
        && !says(headers, "no-store")
}

/// What may be done with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Use {
    /// It may be kept, and there is something to be had of that.
    pub(in super::super) keep: bool,
    /// It may answer equal requests that were made before it came.
    pub(in super::super) share: bool,
}

/// What may be done with the answer of that head, asked for at `asked`.
pub(in super::super) fn of(
    question: &Question,
    status: StatusCode,
    headers: &HeaderMap,
    asked: SystemTime,
) -> Use {
    let policy = question.policy(status, headers, asked);
    let own = headers.contains_key(header::SET_COOKIE);
    let varies = headers.get_all(header::VARY);
    let any = varies.iter().any(|names| names.as_bytes().contains(&b'*'));
    let may = policy.is_storable() && !own && !any;
    let fresh = !policy.time_to_live(asked).is_zero();
    let explicit = headers.contains_key(header::EXPIRES) || says(headers, "max-age");
    let checked = says(headers, "no-cache") || says(headers, "must-revalidate");
    Use {
        keep: may && (fresh || has_validator(headers)),
        // One that says nothing of its freshness may be taken as fresh for the moment (RFC 9111
        // §4.2.2), and what was asked for before it came is no older than that.
        share: may && (fresh || !(explicit || checked)) && !says(headers, "no-cache"),
    }
}

/// Whether `Cache-Control` has the directive `word`.
fn says(headers: &HeaderMap, word: &str) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL);
    let mut values = values.iter().filter_map(|value| value.to_str().ok());
    values.any(|value| {
        let mut directives = value.split(',');
        directives.any(|directive| {
            let name = directive.split('=').next().unwrap_or_default();
            name.trim().eq_ignore_ascii_case(word)
        })
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Uri};

    use super::*;

    #[test]
    fn what_is_kept_and_what_is_shared() {
        let question = Question::new(Uri::from_static("http://a/"), HeaderMap::new());
        let of = |status: u16, pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            let status = StatusCode::from_u16(status).unwrap();
            let used = super::of(&question, status, &headers, SystemTime::now());
            (used.keep, used.share)
        };
        let fresh = ("cache-control", "private, max-age=9");
        assert_eq!(of(200, &[fresh]), (true, true));
        assert_eq!(of(200, &[fresh, ("set-cookie", "a=b")]), (false, false));
        assert_eq!(of(200, &[fresh, ("vary", "*")]), (false, false));
        assert_eq!(of(200, &[("cache-control", "no-store")]), (false, false));
        assert_eq!(of(200, &[]), (false, true));
        assert_eq!(of(200, &[("etag", "\"1\"")]), (true, true));
        let check = ("cache-control", "no-cache");
        assert_eq!(of(200, &[check, ("etag", "\"1\"")]), (true, false));
        assert_eq!(of(200, &[("cache-control", "max-age=0")]), (false, false));
        assert_eq!(of(206, &[fresh]), (false, false));
        assert_eq!(of(500, &[]), (false, false));
        assert_eq!(of(302, &[]), (false, false));
        assert_eq!(of(302, &[fresh]), (true, true));
        assert_eq!(of(301, &[]), (false, true));
    }

    #[test]
    fn what_is_one_callers_own_has_nothing_to_do_with_it() {
        let url: url::Url = "http://a/".parse().unwrap();
        let hop = Hop {
            url: url.clone(),
            method: Method::GET,
            headers: Vec::new(),
            body: bytes::Bytes::new(),
        };
        let request = Request::get(url);
        let concerns = |name: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static("no-store"));
            super::concerns(&hop, &headers, &request)
        };
        assert!(concerns("accept-language"));
        for name in [
            "authorization",
            "cookie",
            "range",
            "if-none-match",
            "cache-control",
        ] {
            assert!(!concerns(name), "{name}");
        }
        let mut kept_out = request.clone();
        kept_out.cache.no_store = true;
        assert!(!super::concerns(&hop, &HeaderMap::new(), &kept_out));
        let mut post = hop.clone();
        post.method = Method::POST;
        assert!(!super::concerns(&post, &HeaderMap::new(), &request));
    }
}
