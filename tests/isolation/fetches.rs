//! Fetches that share a browser, and what the HTTP way keeps.

use std::sync::atomic::Ordering;

use berth::proto::{
    CacheState, Cookie, FetchFormat, FetchRequest, FetchResponse, FetchStrategy, Header,
};

use super::{
    OWN, Seen, all,
    origin::Origin,
    read,
    support::{Broker, until},
};

fn request(url: String, strategy: FetchStrategy) -> FetchRequest {
    FetchRequest {
        url,
        strategy: strategy.into(),
        formats: vec![FetchFormat::Text.into()],
        ..FetchRequest::default()
    }
}

async fn fetched(broker: &Broker, fetch: FetchRequest) -> FetchResponse {
    broker.fetches().fetch(fetch).await.unwrap().into_inner()
}

fn text(response: &FetchResponse) -> &str {
    response.contents.as_ref().unwrap().text()
}

fn seen(response: &FetchResponse) -> Seen {
    let seen = read(&serde_json::from_str(text(response)).unwrap());
    assert!(!seen.is_empty());
    seen
}

/// A page of the table in a browser, once it has shown what it saw.
fn page(origin: &Origin, path: &str) -> FetchRequest {
    FetchRequest {
        wait_predicate: "window.done".into(),
        ..request(origin.url(path), FetchStrategy::Browser)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fetches_in_one_browser_see_nothing_of_each_other() {
    let origin = Origin::start().await;
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let (mut fetches, staying) = (broker.fetches(), page(&origin, "/plant-and-stay"));
    let first = fetches.fetch(staying);
    let meanwhile = async {
        until("the first page has left its marks and stays", async || {
            origin.waiting.load(Ordering::SeqCst) == 1
        })
        .await;
        let looked = fetched(&broker, page(&origin, "/look")).await;
        let browsers = broker.status().await.browsers;
        origin.gate.send_replace(true);
        (looked, browsers)
    };
    let (first, (looked, browsers)) = tokio::join!(first, meanwhile);
    let first = seen(&first.unwrap().into_inner());
    assert_eq!(first.len(), OWN);
    all(&first, true, "who left them sees them");
    assert_eq!(seen(&looked).len(), OWN);
    all(&seen(&looked), false, "a fetch at the same time");
    assert_eq!(browsers.len(), 1, "they shared it");

    // One after another, in the same browser again.
    let after = fetched(&broker, page(&origin, "/look")).await;
    all(&seen(&after), false, "a fetch after it");
    let now = broker.status().await.browsers;
    assert_eq!((now.len(), &now[0].id), (1, &browsers[0].id));
    broker.stop().await;
    origin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_forgotten_with_its_fetch() {
    let origin = Origin::start().await;
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let mut with = page(&origin, "/auth-page");
    with.url = with.url.replacen("://", "://me:mark@", 1);
    let signed_in = fetched(&broker, with).await;
    assert_eq!(signed_in.status, 200);
    all(&seen(&signed_in), true, "the page itself is known");
    for strategy in [FetchStrategy::Browser, FetchStrategy::Http] {
        let without = request(origin.url("/auth-page"), strategy);
        assert_eq!(fetched(&broker, without).await.status, 401, "{strategy:?}");
    }
    broker.stop().await;
    origin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_http_way_shares_no_cookies_between_calls() {
    let origin = Origin::start().await;
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let mut with = request(origin.url("/who"), FetchStrategy::Http);
    with.cookies = vec![Cookie {
        name: "own".into(),
        value: "1".into(),
        ..Cookie::default()
    }];
    assert_eq!(text(&fetched(&broker, with).await), "own=1", "it is sent");
    for strategy in [FetchStrategy::Http, FetchStrategy::Browser] {
        let without = request(origin.url("/who"), strategy);
        assert_eq!(text(&fetched(&broker, without).await), "", "{strategy:?}");
    }
    broker.stop().await;
    origin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_private_is_served_to_nobody_else() {
    let origin = Origin::start().await;
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let plain = |path: &str| request(origin.url(path), FetchStrategy::Http);
    let headed = |path: &str, name: &str, value: &str| FetchRequest {
        headers: vec![Header {
            name: name.into(),
            value: value.into(),
        }],
        ..plain(path)
    };
    // What may be kept is: the cache is there, and this is how its answers look.
    let first = fetched(&broker, plain("/counter")).await;
    let again = fetched(&broker, plain("/counter")).await;
    assert_eq!(text(&first), text(&again));
    assert_eq!(again.cache_state(), CacheState::Hit);

    for (what, own, other) in [
        (
            "an answer that sets a cookie",
            plain("/sets"),
            plain("/sets"),
        ),
        (
            "an answer to who has authorization",
            headed(
                "/counter?authorization",
                "authorization",
                "Basic bWU6bWFyaw==",
            ),
            plain("/counter?authorization"),
        ),
        (
            "an answer to who has a cookie",
            headed("/counter?cookie", "cookie", "who=me"),
            plain("/counter?cookie"),
        ),
        (
            "an answer that varies by a header",
            headed("/varies", "x-user", "one"),
            headed("/varies", "x-user", "two"),
        ),
        (
            "an answer that was not to be kept",
            FetchRequest {
                cache: Some(berth::proto::CacheControl {
                    no_store: true,
                    ..Default::default()
                }),
                ..plain("/counter?no-store")
            },
            plain("/counter?no-store"),
        ),
    ] {
        let own = fetched(&broker, own).await;
        let other = fetched(&broker, other).await;
        assert_ne!(text(&own), text(&other), "{what}");
        assert_ne!(other.cache_state(), CacheState::Hit, "{what}");
    }
    // Who varies in the same way gets the same.
    let like = fetched(&broker, headed("/varies", "x-user", "one")).await;
    assert_eq!(like.cache_state(), CacheState::Hit);
    broker.stop().await;
    origin.stop().await;
}
