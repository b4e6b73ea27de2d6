//! What is kept of answers, and what is not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response as Answer},
    routing::any,
};
use berth::{
    deadline::Deadline,
    egress::Route,
    fetch::{CacheConfig, CacheState, Config, Cookie, Error, Format, Request, Strategy, Via},
};
use http::{HeaderName, HeaderValue};
use tokio::{net::TcpListener, sync::watch};

use super::{
    origin,
    rig::{Rig, egress, request, secs},
};

/// An origin that counts what it is asked, and answers some of it only when it may.
#[derive(Clone)]
struct Counting {
    asked: Arc<AtomicU64>,
    open: watch::Sender<bool>,
    url: String,
}

impl Counting {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Self {
            asked: Arc::default(),
            open: watch::Sender::new(true),
            url: format!("http://{}", listener.local_addr().unwrap()),
        };
        let router = Router::new()
            .route("/{kind}", any(answer))
            .route("/{kind}/{rest}", any(answer_rest))
            .with_state(origin.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        origin
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    fn request(&self, path: &str) -> Request {
        request(
            &format!("{}{path}", self.url),
            Strategy::Http,
            &[Format::Text],
        )
    }
}

async fn answer_rest(
    State(origin): State<Counting>,
    Path((kind, _)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    answer(State(origin), Path(kind), method, headers).await
}

async fn answer(
    State(origin): State<Counting>,
    Path(kind): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    let number = origin.asked.fetch_add(1, Ordering::SeqCst) + 1;
    let mut open = origin.open.subscribe();
    open.wait_for(|open| *open).await.unwrap();
    let body = format!("{method} {number}");
    let with = |pairs: &[(HeaderName, &'static str)], body: String| {
        let mut answer = body.into_response();
        for (name, value) in pairs {
            let value = HeaderValue::from_static(value);
            answer.headers_mut().append(name, value);
        }
        answer
    };
    let fresh = (header::CACHE_CONTROL, "max-age=60");
    let check = (header::CACHE_CONTROL, "max-age=0");
    match kind.as_str() {
        "fresh" => with(&[fresh], body),
        "large" => with(&[fresh], "x".repeat(50_000)),
        "tagged" if headers.contains_key(header::IF_NONE_MATCH) => {
            assert_eq!(headers[header::IF_NONE_MATCH], "\"1\"");
            let mut held = with(&[check, (header::ETAG, "\"1\"")], String::new());
            held.headers_mut().insert("x-again", number.into());
            *held.status_mut() = StatusCode::NOT_MODIFIED;
            held
        }
        "tagged" => with(&[check, (header::ETAG, "\"1\"")], body),
        "varies" => with(&[fresh, (header::VARY, "accept-language")], body),
        "secret" => with(&[(header::CACHE_CONTROL, "no-store")], body),
        "cookie" => with(&[fresh, (header::SET_COOKIE, "who=me")], body),
        "plain" => with(&[], body),
        "fails" if number == 1 => {
            let mut failed = with(&[], String::new());
            failed
                .headers_mut()
                .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            *failed.body_mut() = "no gzip".into();
            failed
        }
        "fails" => with(&[fresh], body),
        "moved" => {
            let mut moved = with(&[fresh, (header::LOCATION, "/fresh")], String::new());
            *moved.status_mut() = StatusCode::FOUND;
            moved
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn get(rig: &Rig, request: Request) -> (CacheState, String) {
    let got = rig.fetcher.fetch(request, secs(5)).await.unwrap();
    (got.cache, got.text.unwrap_or_default())
}

fn said(state: CacheState, text: &str) -> (CacheState, String) {
    (state, text.to_owned())
}

#[tokio::test]
async fn a_fresh_answer_is_not_asked_for_again() {
    let (rig, origin) = (Rig::http(Config::default()), Counting::start().await);
    let asked = || origin.request("/fresh");
    assert_eq!(get(&rig, asked()).await, said(CacheState::Miss, "GET 1"));
    let got = rig.fetcher.fetch(asked(), secs(5)).await.unwrap();
    assert_eq!(
        (got.cache, got.text.as_deref()),
        (CacheState::Hit, Some("GET 1"))
    );
    assert!(got.age.unwrap() < Duration::from_secs(5));
    assert!(got.headers.iter().any(|(name, _)| name == "age"));
    let mut fragment = asked();
    fragment.url.set_fragment(Some("part"));
    assert_eq!(get(&rig, fragment).await.0, CacheState::Hit);
    let mut small = asked();
    small.max_bytes = 2;
    let small = rig.fetcher.fetch(small, secs(5)).await;
    assert!(
        matches!(small, Err(Error::TooLarge { limit: 2 })),
        "{small:?}"
    );
    // What the caller allows goes before what the origin does.
    let mut old = asked();
    old.cache.max_age = Some(Duration::ZERO);
    assert_eq!(get(&rig, old).await, said(CacheState::Miss, "GET 2"));
    let mut bypass = asked();
    bypass.cache.bypass = true;
    assert_eq!(get(&rig, bypass).await, said(CacheState::Miss, "GET 3"));
    assert_eq!(get(&rig, asked()).await, said(CacheState::Hit, "GET 3"));
    let mut without = asked();
    without.cache.no_store = true;
    assert_eq!(get(&rig, without).await, said(CacheState::Bypass, "GET 4"));
    assert_eq!(get(&rig, asked()).await, said(CacheState::Hit, "GET 3"));
    let load = rig.fetcher.load().cache;
    assert_eq!((load.entries, load.requests, load.hits), (1, 8, 4));
    assert!(load.bytes > 0 && load.bytes <= load.max_bytes);
    let text = rig.metrics.encode().unwrap();
    for line in [
        "{result=\"hit\"} 4",
        "{result=\"miss\"} 3",
        "{result=\"bypass\"} 1",
    ] {
        assert!(
            text.contains(&format!("berth_cache_requests_total{line}\n")),
            "{text}"
        );
    }
    rig.end().await;
}

#[tokio::test]
async fn the_origin_is_asked_whether_an_answer_still_holds() {
    let (rig, origin) = (Rig::http(Config::default()), Counting::start().await);
    let asked = || origin.request("/tagged");
    assert_eq!(get(&rig, asked()).await, said(CacheState::Miss, "GET 1"));
    for number in ["2", "3"] {
        let got = rig.fetcher.fetch(asked(), secs(5)).await.unwrap();
        assert_eq!((got.cache, got.status), (CacheState::Revalidated, 200));
        assert_eq!(got.text.as_deref(), Some("GET 1"));
        let again = got.headers.iter().find(|(name, _)| name == "x-again");
        assert_eq!(
            again.unwrap().1,
            number.as_bytes(),
            "what the 304 says is told"
        );
        assert!(!got.timings.first_byte.is_zero());
    }
    // A condition of the caller's own gets the origin's own answer.
    let mut own = asked();
    own.headers = vec![(header::IF_NONE_MATCH, HeaderValue::from_static("\"1\""))];
    let got = rig.fetcher.fetch(own, secs(5)).await.unwrap();
    assert_eq!((got.cache, got.status), (CacheState::Bypass, 304));
    rig.end().await;
}

#[tokio::test]
async fn answers_that_vary_are_kept_apart() {
    let (rig, origin) = (Rig::http(Config::default()), Counting::start().await);
    let asked = |language: &'static str| {
        let mut asked = origin.request("/varies");
        asked.headers = vec![(header::ACCEPT_LANGUAGE, HeaderValue::from_static(language))];
        asked
    };
    for (language, state, text) in [
        ("de", CacheState::Miss, "GET 1"),
        ("fr", CacheState::Miss, "GET 2"),
        ("de", CacheState::Hit, "GET 1"),
        ("fr", CacheState::Hit, "GET 2"),
    ] {
        assert_eq!(get(&rig, asked(language)).await, said(state, text));
    }
    rig.end().await;
}

#[tokio::test]
async fn what_is_one_callers_own_is_not_kept() {
    let (rig, origin) = (Rig::http(Config::default()), Counting::start().await);
    let mut with_header = origin.request("/fresh");
    let secret = HeaderValue::from_static("Bearer x");
    with_header.headers = vec![(header::AUTHORIZATION, secret)];
    let mut with_password = origin.request("/fresh");
    with_password.url.set_username("me").unwrap();
    let mut with_cookie = origin.request("/fresh");
    with_cookie.cookies = vec![Cookie {
        name: "a".into(),
        value: "1".into(),
        domain: String::new(),
        path: String::new(),
        secure: false,
        http_only: false,
    }];
    let mut number = 0;
    for own in [with_header, with_password, with_cookie] {
        for _ in 0..2 {
            number += 1;
            let text = format!("GET {number}");
            assert_eq!(
                get(&rig, own.clone()).await,
                said(CacheState::Bypass, &text)
            );
        }
    }
    for path in ["/secret", "/cookie"] {
        for _ in 0..2 {
            number += 1;
            let text = format!("GET {number}");
            assert_eq!(
                get(&rig, origin.request(path)).await,
                said(CacheState::Bypass, &text)
            );
        }
    }
    assert_eq!(rig.fetcher.load().cache.entries, 0);
    // What changes a resource makes void what is kept of it.
    assert_eq!(
        get(&rig, origin.request("/fresh")).await.0,
        CacheState::Miss
    );
    let mut post = origin.request("/fresh");
    post.method = Method::POST;
    assert_eq!(get(&rig, post).await.0, CacheState::Bypass);
    assert_eq!(
        get(&rig, origin.request("/fresh")).await.0,
        CacheState::Miss
    );
    rig.end().await;
}

#[tokio::test]
async fn redirects_are_kept_like_other_answers() {
    let (rig, origin) = (Rig::http(Config::default()), Counting::start().await);
    for state in [CacheState::Miss, CacheState::Hit] {
        let got = rig
            .fetcher
            .fetch(origin.request("/moved"), secs(5))
            .await
            .unwrap();
        assert_eq!((got.cache, got.redirects.len()), (state, 1));
        assert_eq!(got.text.as_deref(), Some("GET 2"));
    }
    assert_eq!(origin.asked(), 2);
    rig.end().await;
}

/// Waits until the origin has been asked so often.
async fn asked(origin: &Counting, times: u64) {
    for _ in 0..500 {
        if origin.asked() >= times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("asked {} times", origin.asked());
}

#[tokio::test]
async fn a_hundred_equal_requests_are_one() {
    let (rig, origin) = (Rig::http(Config::default()), Counting::start().await);
    for (path, before) in [("/fresh", 0), ("/plain", 1)] {
        origin.open.send_replace(false);
        let many = (0..100).map(|_| get(&rig, origin.request(path)));
        let open = async {
            asked(&origin, before + 1).await;
            // Time enough for the others to ask, too.
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(rig.fetcher.load().active, 1);
            origin.open.send_replace(true);
        };
        let (many, ()) = tokio::join!(futures::future::join_all(many), open);
        let text = format!("GET {}", before + 1);
        let coalesced = many
            .iter()
            .filter(|got| **got == said(CacheState::Coalesced, &text));
        let missed = many
            .iter()
            .filter(|got| **got == said(CacheState::Miss, &text));
        assert_eq!((missed.count(), coalesced.count()), (1, 99), "{path}");
        assert_eq!(origin.asked(), before + 1);
    }
    rig.end().await;
}

#[tokio::test]
async fn who_waits_goes_on_when_the_leader_does_not() {
    let (rig, origin) = (Rig::http(Config::default()), Counting::start().await);
    // The leader's answer is broken: one of the others asks, and the rest get what it gets.
    let many = (0..10).map(|_| rig.fetcher.fetch(origin.request("/fails"), secs(5)));
    let many = futures::future::join_all(many).await;
    let failed = many.iter().filter(|got| got.is_err()).count();
    assert_eq!((failed, origin.asked()), (1, 2));
    // The leader leaves, and one of those that wait has less time than the others.
    origin.open.send_replace(false);
    let path = "/fresh/left";
    let leader = rig.fetcher.fetch(origin.request(path), secs(5));
    let leader = tokio::time::timeout(Duration::from_millis(150), leader);
    let hasty = async {
        asked(&origin, 3).await;
        let soon = Deadline::after(Duration::from_millis(100));
        rig.fetcher.fetch(origin.request(path), soon).await
    };
    let patient = async {
        asked(&origin, 3).await;
        get(&rig, origin.request(path)).await
    };
    let open = async {
        asked(&origin, 4).await;
        origin.open.send_replace(true);
    };
    let (left, hasty, patient, ()) = tokio::join!(leader, hasty, patient, open);
    assert!(left.is_err());
    assert!(matches!(hasty, Err(Error::Timeout { .. })), "{hasty:?}");
    assert_eq!(patient, said(CacheState::Miss, "GET 4"));
    rig.end().await;
}

#[tokio::test]
async fn what_may_not_be_shared_holds_nobody_up() {
    let (rig, origin) = (Rig::http(Config::default()), Counting::start().await);
    for round in 1..=2 {
        let many = (0..20).map(|_| get(&rig, origin.request("/secret")));
        let mut many: Vec<_> = futures::future::join_all(many).await;
        assert!(many.iter().all(|(state, _)| *state == CacheState::Bypass));
        many.sort_unstable_by(|a, b| a.1.cmp(&b.1));
        many.dedup();
        assert_eq!(many.len(), 20, "each has an answer of its own");
        assert_eq!(origin.asked(), round * 20);
    }
    rig.end().await;
}

#[tokio::test]
async fn the_cache_is_bounded_and_can_be_off() {
    let cache = CacheConfig {
        memory: 1 << 20,
        ..CacheConfig::default()
    };
    let rig = Rig::http(Config {
        cache,
        ..Config::default()
    });
    let origin = Counting::start().await;
    for number in 0..60 {
        let path = format!("/large/{number}");
        assert_eq!(get(&rig, origin.request(&path)).await.0, CacheState::Miss);
        assert!(rig.fetcher.load().cache.bytes <= 1 << 20);
    }
    assert!(rig.fetcher.load().cache.entries > 5);
    rig.end().await;
    let cache = CacheConfig {
        memory: 0,
        ..CacheConfig::default()
    };
    let rig = Rig::http(Config {
        cache,
        ..Config::default()
    });
    for _ in 0..2 {
        assert_eq!(
            get(&rig, origin.request("/fresh")).await.0,
            CacheState::Bypass
        );
    }
    assert!(!rig.fetcher.load().cache.enabled);
    rig.end().await;
}

#[tokio::test]
async fn answers_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Counting::start().await;
    let config = || Config {
        cache: CacheConfig {
            dir: Some(dir.path().join("cache")),
            ..CacheConfig::default()
        },
        ..Config::default()
    };
    let rig = Rig::http(config());
    for path in ["/fresh", "/tagged"] {
        assert_eq!(get(&rig, origin.request(path)).await.0, CacheState::Miss);
    }
    for _ in 0..500 {
        if std::fs::read_dir(dir.path().join("cache")).unwrap().count() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    rig.end().await;
    let rig = Rig::http(config());
    for _ in 0..500 {
        if rig.fetcher.load().cache.disk_bytes > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(
        get(&rig, origin.request("/fresh")).await,
        said(CacheState::Hit, "GET 1")
    );
    let tagged = get(&rig, origin.request("/tagged")).await;
    assert_eq!(tagged, said(CacheState::Revalidated, "GET 2"));
    rig.end().await;
    let file = dir.path().join("file");
    std::fs::write(&file, "no directory").unwrap();
    let metrics = berth::metrics::Metrics::new().unwrap();
    let rig = Rig::http(Config::default());
    let mut wrong = config();
    wrong.cache.dir = Some(file);
    let refused = berth::fetch::Fetcher::new(
        wrong,
        rig.pool.clone(),
        Route::new(egress(&metrics), None),
        &rig.drain,
        &metrics,
    );
    assert!(refused.is_err());
    rig.end().await;
}

#[tokio::test]
async fn a_rendering_is_kept_for_who_says_how_long() {
    let (rig, origin) = (Rig::start().await, origin::Origin::start().await);
    let asked = |max_age: Option<u64>| {
        let url = origin.url("/shell");
        let mut asked = request(&url, Strategy::Auto, &[Format::Text]);
        asked.cache.max_age = max_age.map(Duration::from_secs);
        asked
    };
    for (max_age, state) in [
        (None, CacheState::Bypass),
        (Some(60), CacheState::Miss),
        (Some(60), CacheState::Hit),
        (Some(0), CacheState::Miss),
        (None, CacheState::Bypass),
    ] {
        let got = rig.fetcher.fetch(asked(max_age), secs(20)).await.unwrap();
        assert_eq!((got.cache, got.via), (state, Via::Browser), "{max_age:?}");
        assert_eq!(got.text.as_deref(), Some("Rendered by script"));
        assert_eq!(got.age.is_some(), state == CacheState::Hit);
    }
    let mut other = asked(Some(60));
    other.user_agent = Some("another".into());
    let got = rig.fetcher.fetch(other, secs(20)).await.unwrap();
    assert_eq!(got.cache, CacheState::Miss);
    rig.nothing_held().await;
    rig.end().await;
}
