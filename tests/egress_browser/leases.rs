//! Leases: narrowed, led by proxies, and never to the broker's own ports.

use berth::{
    deadline::Deadline,
    proto::{BrowserOptions, FetchRequest, FetchStrategy, Proxy},
};
use serde_json::json;
use tokio::{io::AsyncReadExt, net::TcpListener};

use super::{
    ground::{self, Pages, Trap, browse},
    support::{BOUND, Broker, Cdp, broker::fields, broker::reason, rules, until},
    through::Through,
};

/// Whether a page of a lease reaches `url`.
const REACH: &str = "fetch(URL, {mode: 'no-cors'}).then(() => true, () => false)";

async fn reaches(cdp: &mut Cdp, page: &str, url: &str) -> bool {
    let reach = REACH.replace("URL", &json!(url).to_string());
    cdp.evaluate(page, &reach).await.as_bool().unwrap()
}

#[tokio::test]
async fn a_lease_is_narrowed_without_a_launch() {
    let (trap, pages) = (Trap::set().await, Pages::trying(vec![]).await);
    let broker = Broker::start().await;
    let elsewhere = format!("http://127.0.0.1:{}/", trap.port);
    let lease = ground::lease(
        &broker,
        BrowserOptions {
            egress_allow: vec![pages.address.to_string(), "169.254.169.254".into()],
            ..BrowserOptions::default()
        },
    );
    let before = broker.server.pool().seen()[0].id.to_string();
    let lease = lease.await.unwrap();
    assert_eq!(lease.browser.clone().unwrap().id, before, "the warm one");
    let mut cdp = Cdp::connect(&lease.cdp_url).await;
    let page = cdp.page().await;
    let home = json!({ "url": pages.url("/blank") });
    cdp.call(Some(&page), "Page.navigate", home).await;
    assert!(reaches(&mut cdp, &page, &pages.url("/blank")).await);
    assert!(!reaches(&mut cdp, &page, &elsewhere).await);
    assert!(!reaches(&mut cdp, &page, "http://169.254.169.254/").await);
    assert_eq!(trap.seen(), [] as [String; 0]);
    // Others are not narrowed with it.
    browse(&broker, &elsewhere, None).await.unwrap();
    assert_eq!(trap.seen().len(), 1);
    broker.release(&lease).await;
    drop(cdp);
    broker.stop().await;
}

#[tokio::test]
async fn bad_rules_and_proxies_are_named() {
    let broker = Broker::start().await;
    let refused = ground::lease(
        &broker,
        BrowserOptions {
            egress_allow: vec!["example.org".into(), "10.0.0.1/8".into()],
            proxy: Some(Proxy {
                server: "http://proxy.test:3128".into(),
                bypass: vec!["*.internal".into(), "a*b".into()],
            }),
            ..BrowserOptions::default()
        },
    );
    let refused = refused.await.unwrap_err();
    let named = ["browser.proxy.bypass[1]", "browser.egress_allow[1]"];
    assert_eq!(fields(&refused), named);
    broker.stop().await;
}

#[tokio::test]
async fn no_page_reaches_the_brokers_own_ports() {
    let pages = Pages::trying(vec![]).await;
    let broker = Broker::with(|config| config.max_browsers = 3).await;
    let at = broker.server.addresses();
    let party = berth::fair::Party::default();
    let seat = broker.server.pool();
    let seat = seat.seat(&party, Deadline::after(BOUND)).await;
    let seat = seat.unwrap();
    let other = seat.browser();
    let lease = ground::lease(&broker, BrowserOptions::default());
    let lease = lease.await.unwrap();
    let mut cdp = Cdp::connect(&lease.cdp_url).await;
    let page = cdp.page().await;
    let home = json!({ "url": pages.url("/blank") });
    cdp.call(Some(&page), "Page.navigate", home).await;
    assert!(reaches(&mut cdp, &page, &pages.url("/blank")).await);
    let own = [
        at.grpc,
        at.gateway,
        at.ops,
        other.endpoint().addr,
        other.egress().address(),
    ];
    let denied = async || {
        let (_, metrics) = broker.ops("/metrics").await;
        let series = "berth_egress_denied_total{mode=\"enforce\",rule=\"own_port\"} ";
        let count = metrics.lines().find_map(|line| line.strip_prefix(series));
        count.map_or(0, |count| count.parse::<usize>().unwrap())
    };
    let before = denied().await;
    for own in own {
        let port = own.port();
        for host in [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "127.9.9.9",
            "[::ffff:127.0.0.1]",
        ] {
            let url = format!("http://{host}:{port}/json/version");
            assert!(!reaches(&mut cdp, &page, &url).await, "{url}");
        }
    }
    assert!(denied().await >= before + own.len() * 5);
    drop(seat);
    broker.release(&lease).await;
    drop(cdp);
    broker.stop().await;
}

#[tokio::test]
async fn what_a_lease_carried_ends_with_it() {
    let broker = Broker::start().await;
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", origin.local_addr().unwrap());
    let lease = ground::lease(&broker, BrowserOptions::default());
    let lease = lease.await.unwrap();
    let mut cdp = Cdp::connect(&lease.cdp_url).await;
    let page = cdp.page().await;
    let open = format!("globalThis.s = new WebSocket({}); 1", json!(url));
    cdp.evaluate(&page, &open).await;
    let (mut stream, _) = tokio::time::timeout(BOUND, origin.accept())
        .await
        .unwrap()
        .unwrap();
    let mut head = vec![0; 4096];
    assert!(stream.read(&mut head).await.unwrap() > 0);
    broker.release(&lease).await;
    let ended = tokio::time::timeout(BOUND, stream.read(&mut head)).await;
    assert!(matches!(ended.unwrap(), Ok(0) | Err(_)));
    drop((cdp, stream, origin));
    broker.stop().await;
}

#[tokio::test]
async fn fetches_by_browsers_go_through_their_proxies() {
    let pages = Pages::trying(vec![]).await;
    let proxy = Through::to(pages.address).await;
    let broker = Broker::start().await;
    let fetch = async |url: &str, proxy_url: String| {
        let request = FetchRequest {
            url: url.to_owned(),
            strategy: FetchStrategy::Browser.into(),
            proxy_url,
            ..FetchRequest::default()
        };
        broker.fetches().fetch(request).await
    };
    for scheme in ["socks5", "http"] {
        let before = proxy.joined();
        let by = format!("{scheme}://me:secret@{}", proxy.address);
        let fetched = fetch("http://origin.test/blank", by.clone()).await;
        let fetched = fetched.unwrap_or_else(|error| panic!("{scheme}: {error:?}"));
        assert_eq!(fetched.into_inner().status, 200, "{scheme}");
        assert!(proxy.joined() > before, "{scheme}");
        let inside = fetch("http://169.254.169.254/", by.clone()).await;
        assert_eq!(reason(&inside.unwrap_err()), "EGRESS_DENIED", "{scheme}");
        let inside = fetch("http://db.internal/", by).await;
        assert_eq!(reason(&inside.unwrap_err()), "EGRESS_DENIED", "{scheme}");
    }
    let wrong = format!("http://me:wrong@{}", proxy.address);
    let asked = fetch("http://origin.test/", wrong).await.unwrap();
    assert_eq!(asked.into_inner().status, 407, "the proxy's own answer");
    broker.stop().await;
}

#[tokio::test]
async fn a_lease_goes_through_its_proxy_and_around_it() {
    let (trap, pages) = (Trap::set().await, Pages::trying(vec![]).await);
    let proxy = Through::to(pages.address).await;
    let broker = Broker::start().await;
    for scheme in ["socks5", "http"] {
        let before = proxy.joined();
        let lease = ground::lease(
            &broker,
            BrowserOptions {
                proxy: Some(Proxy {
                    server: format!("{scheme}://me:secret@{}", proxy.address),
                    bypass: vec!["127.0.0.0/8".into()],
                }),
                ..BrowserOptions::default()
            },
        );
        let lease = lease.await.unwrap();
        let mut cdp = Cdp::connect(&lease.cdp_url).await;
        let page = cdp.page().await;
        let url = json!({ "url": "http://origin.test/blank" });
        cdp.call(Some(&page), "Page.navigate", url).await;
        until("the page came", async || {
            cdp.evaluate(&page, "document.title").await == "blank"
        })
        .await;
        assert!(proxy.joined() > before, "{scheme}");
        let joined = proxy.joined();
        let around = format!("http://127.0.0.1:{}/{scheme}", trap.port);
        assert!(reaches(&mut cdp, &page, &around).await, "{scheme}");
        assert_eq!(proxy.joined(), joined, "{scheme}: around it");
        assert!(trap.ways().contains(scheme));
        broker.release(&lease).await;
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_proxy_inside_is_a_target_like_any_other() {
    let trap = Trap::set().await;
    let pages = Pages::trying(vec![]).await;
    let broker = Broker::with(|config| {
        config.egress_allow = rules(&pages.address.to_string());
    })
    .await;
    let refused = ground::lease(
        &broker,
        BrowserOptions {
            proxy: Some(Proxy {
                server: format!("socks5://127.0.0.1:{}", trap.port),
                bypass: vec![],
            }),
            ..BrowserOptions::default()
        },
    );
    assert_eq!(reason(&refused.await.unwrap_err()), "EGRESS_DENIED");
    // One whose name leads inside is known only when it is dialled.
    let lease = ground::lease(
        &broker,
        BrowserOptions {
            proxy: Some(Proxy {
                server: format!("socks5://localhost:{}", trap.port),
                bypass: vec![],
            }),
            ..BrowserOptions::default()
        },
    );
    let lease = lease.await.unwrap();
    let mut cdp = Cdp::connect(&lease.cdp_url).await;
    let page = cdp.page().await;
    let gone = json!({ "url": "http://origin.test/" });
    let gone = cdp.call(Some(&page), "Page.navigate", gone).await;
    assert!(gone["result"]["errorText"].is_string(), "{gone}");
    assert_eq!(trap.seen(), [] as [String; 0]);
    broker.release(&lease).await;
    drop(cdp);
    broker.stop().await;
}
