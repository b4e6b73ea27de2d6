//! One answer that is kept, with the rules under which it serves (RFC 9111).

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header, request, response,
};
use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};

use super::super::exchange::{Answer, Times};

/// What is kept of one answer.
#[derive(Clone, Debug)]
pub(in super::super) struct Entry {
    policy: CachePolicy,
    pub(super) question: Question,
    pub(super) asked: SystemTime,
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Whether an entry serves a request.
#[derive(Debug)]
pub(in super::super) enum Serves {
    /// It does.
    Fresh,
    /// Once the origin, asked with these headers besides, has said that it still holds.
    Asked(HeaderMap),
    /// It is another answer, or one that cannot be asked about.
    No,
}

/// What entries answer for.
#[derive(Clone, Debug)]
pub(in super::super) struct Question(request::Parts);

/// A private cache's rules.
const OPTIONS: CacheOptions = CacheOptions {
    shared: false,
    cache_heuristic: 0.1,
    immutable_min_time_to_live: Duration::from_secs(24 * 3600),
    ignore_cargo_cult: false,
};

impl Question {
    /// A `GET` of `uri` that is sent with `headers`.
    pub(in super::super) fn new(uri: Uri, headers: HeaderMap) -> Self {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = Method::GET;
        parts.uri = uri;
        parts.headers = headers;
        Self(parts)
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.0.uri
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The rules under which an answer of that head, asked for at `asked`, serves.
    pub(super) fn policy(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        asked: SystemTime,
    ) -> CachePolicy {
        // That it was given when it was asked for is the careful assumption.
        CachePolicy::new_options(&self.0, &response(status, headers), asked, OPTIONS)
    }
}

/// An age that no answer has would overflow what is reckoned with it, in seconds.
const OLDEST: u64 = 1 << 32;

fn response(status: StatusCode, headers: &HeaderMap) -> response::Parts {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = status;
    parts.headers = headers.clone();
    let age = parts.headers.get(header::AGE);
    let age = age.and_then(|age| age.to_str().ok()?.trim().parse::<u64>().ok());
    if age.is_some_and(|age| age > OLDEST) {
        parts.headers.insert(header::AGE, OLDEST.into());
    }
    parts
}

/// What ties an answer to its origin's state.
const VALIDATORS: [HeaderName; 2] = [header::ETAG, header::LAST_MODIFIED];

/// The headers that ask whether an answer still holds.
const CONDITIONS: [HeaderName; 2] = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];

/// What a 304 says of the body, which is not the one that is kept (RFC 9111 §3.2).
const OF_BODY: [HeaderName; 4] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::TRANSFER_ENCODING,
];

pub(super) fn has_validator(headers: &HeaderMap) -> bool {
    VALIDATORS.iter().any(|name| headers.contains_key(name))
}

impl Entry {
    /// The entry of `answer`, which `question` was answered with.
    pub(in super::super) fn new(question: &Question, answer: &Answer, asked: SystemTime) -> Self {
        Self {
            policy: question.policy(answer.status, &answer.headers, asked),
            question: question.clone(),
            asked,
            status: answer.status,
            version: answer.version,
            headers: answer.headers.clone(),
            body: answer.body.clone(),
        }
    }

    /// Whether it serves `question` at `now`, when it may have been given `max_age` ago at most.
    pub(in super::super) fn serves(
        &self,
        question: &Question,
        max_age: Option<Duration>,
        now: SystemTime,
    ) -> Serves {
        let young = max_age.is_none_or(|max_age| self.policy.age(now) <= max_age);
        match self.policy.before_request(&question.0, now) {
            BeforeRequest::Fresh(_) if young => Serves::Fresh,
            BeforeRequest::Fresh(_) => {
                let mut again = question.clone();
                let ask = HeaderValue::from_static("no-cache");
                again.0.headers.insert(header::CACHE_CONTROL, ask);
                conditions(&self.policy.before_request(&again.0, now))
            }
            stale @ BeforeRequest::Stale { .. } => conditions(&stale),
        }
    }

    /// The entry after the origin answered 304 with `headers`; `None` when that is about another
    /// answer.
    pub(in super::super) fn refreshed(
        &self,
        question: &Question,
        headers: &HeaderMap,
        asked: SystemTime,
    ) -> Option<Self> {
        let mut said = response(StatusCode::NOT_MODIFIED, headers);
        if !has_validator(headers) {
            // One that names none is about the one that was asked about.
            for name in VALIDATORS {
                if let Some(value) = self.headers.get(&name) {
                    said.headers.insert(name, value.clone());
                }
            }
        }
        let judged = self.policy.after_response(&question.0, &said, asked);
        if matches!(judged, AfterResponse::Modified(..)) {
            return None;
        }
        let mut merged = self.headers.clone();
        // An age that the new answer does not tell is not the old one's.
        merged.remove(header::AGE);
        for name in headers.keys().filter(|name| !OF_BODY.contains(name)) {
            merged.remove(name);
            for value in headers.get_all(name) {
                merged.append(name, value.clone());
            }
        }
        Some(Self {
            policy: question.policy(self.status, &merged, asked),
            question: question.clone(),
            asked,
            headers: merged,
            ..self.clone()
        })
    }

    /// Whether it takes the place of another answer to `question`: they agree in what the older
    /// one varies by.
    pub(super) fn is_like(&self, question: &Question) -> bool {
        let names = self.headers.get_all(header::VARY).into_iter();
        let mut names = names.flat_map(|names| names.as_bytes().split(|byte| *byte == b','));
        names.all(|name| {
            let name = HeaderName::from_bytes(name.trim_ascii());
            let values = |question: &Question| {
                let name = name.as_ref().ok()?;
                let values = question.headers().get_all(name);
                Some(values.into_iter().cloned().collect::<Vec<_>>())
            };
            values(question) == values(&self.question)
        })
    }

    /// What is answered with it, and how old that is.
    pub(in super::super) fn answer(&self, now: SystemTime) -> (Answer, Duration) {
        let age = self.policy.age(now);
        let mut headers = self.headers.clone();
        headers.insert(header::AGE, age.as_secs().into());
        let answer = Answer {
            status: self.status,
            version: self.version,
            headers,
            body: self.body.clone(),
            coded: false,
            times: Times::default(),
        };
        (answer, age)
    }

    /// What it takes of the cache, in bytes.
    pub(super) fn weight(&self) -> u64 {
        const REST: usize = 512;
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 64)
            .sum();
        // The rules have them too.
        (self.body.len() + 2 * headers + REST) as u64
    }
}

fn conditions(judged: &BeforeRequest) -> Serves {
    let BeforeRequest::Stale { request, matches } = judged else {
        return Serves::No;
    };
    let mut headers = HeaderMap::new();
    for name in CONDITIONS {
        if let Some(value) = request.headers.get(&name).filter(|_| *matches) {
            headers.insert(name, value.clone());
        }
    }
    if headers.is_empty() {
        Serves::No
    } else {
        Serves::Asked(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn question(pairs: &[(&'static str, &'static str)]) -> Question {
        Question::new(Uri::from_static("http://a/"), headers(pairs))
    }

    fn entry(question: &Question, pairs: &[(&'static str, &'static str)], at: SystemTime) -> Entry {
        let answer = Answer {
            status: StatusCode::OK,
            version: Version::HTTP_11,
            headers: headers(pairs),
            body: Bytes::from_static(b"body"),
            coded: false,
            times: Times::default(),
        };
        Entry::new(question, &answer, at)
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_answer_serves_while_it_is_fresh() {
        let (asked, now) = (question(&[]), SystemTime::now());
        let kept = entry(
            &asked,
            &[("cache-control", "max-age=10"), ("etag", "\"1\"")],
            now,
        );
        let serves = |max_age, at| kept.serves(&asked, max_age, at);
        assert!(matches!(serves(None, now + 9 * SECOND), Serves::Fresh));
        assert!(matches!(
            serves(Some(5 * SECOND), now + 4 * SECOND),
            Serves::Fresh
        ));
        for stale in [
            serves(None, now + 11 * SECOND),
            serves(Some(SECOND), now + 2 * SECOND),
        ] {
            let Serves::Asked(conditions) = stale else {
                panic!("{stale:?}");
            };
            assert_eq!(conditions, headers(&[("if-none-match", "\"1\"")]));
        }
        let (answer, age) = kept.answer(now + 3 * SECOND);
        assert_eq!(
            (age, answer.headers["age"].as_bytes()),
            (3 * SECOND, &b"3"[..])
        );
        let bare = entry(&asked, &[("cache-control", "max-age=1")], now);
        assert!(matches!(
            bare.serves(&asked, None, now + 2 * SECOND),
            Serves::No
        ));
    }

    #[test]
    fn what_varies_serves_its_own_kind_only() {
        let (german, now) = (question(&[("accept-language", "de")]), SystemTime::now());
        let fields = [("cache-control", "max-age=10"), ("vary", "Accept-Language")];
        let kept = entry(&german, &fields, now);
        assert!(matches!(kept.serves(&german, None, now), Serves::Fresh));
        let french = question(&[("accept-language", "fr")]);
        assert!(matches!(kept.serves(&french, None, now), Serves::No));
    }

    #[test]
    fn a_304_freshens_what_it_is_about() {
        let (asked, now) = (question(&[]), SystemTime::now());
        let fields = [
            ("cache-control", "max-age=1"),
            ("etag", "\"1\""),
            ("age", "7"),
            ("link", "<a>"),
            ("link", "<b>"),
        ];
        let kept = entry(&asked, &fields, now);
        let later = now + 100 * SECOND;
        for said in [
            &[
                ("etag", "\"1\""),
                ("cache-control", "max-age=50"),
                ("content-length", "0"),
            ][..],
            &[("cache-control", "max-age=50")],
        ] {
            let fresh = kept.refreshed(&asked, &headers(said), later).unwrap();
            assert!(matches!(
                fresh.serves(&asked, None, later + 40 * SECOND),
                Serves::Fresh
            ));
            assert_eq!(fresh.headers.get_all("link").iter().count(), 2);
            assert!(!fresh.headers.contains_key("content-length"));
            assert_eq!(fresh.answer(later).1, Duration::ZERO);
        }
        let other = headers(&[("etag", "\"2\"")]);
        assert!(kept.refreshed(&asked, &other, later).is_none());
    }

    #[test]
    fn an_absurd_age_is_no_danger() {
        let (asked, now) = (question(&[]), SystemTime::now());
        let kept = entry(&asked, &[("age", "18446744073709551615")], now);
        assert!(matches!(
            kept.serves(&asked, None, now + SECOND),
            Serves::No
        ));
        assert!(kept.answer(now).1 > SECOND);
    }
}
