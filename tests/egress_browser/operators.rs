//! The operator's proxy, which everything goes by.

use std::net::SocketAddr;

use berth::{
    config::Config,
    egress::Upstream,
    proto::{BrowserOptions, FetchRequest, FetchResponse, FetchStrategy, Proxy},
};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tonic::Status;

use super::{
    ground::{self, Pages, Trap},
    support::{BOUND, Broker, Cdp, broker::reason, dns::Dns, until},
    through::Through,
};

const BOTH: [FetchStrategy; 2] = [FetchStrategy::Http, FetchStrategy::Browser];

/// A broker whose operator has a proxy at `address`.
async fn broker(
    (scheme, address): (&str, SocketAddr),
    who: &str,
    change: impl FnOnce(&mut Config),
) -> Broker {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{who}\n")).unwrap();
    Broker::with(|config| {
        let proxy = Upstream::parse(&format!("{scheme}://{address}"));
        config.egress_proxy = Some(proxy.unwrap());
        config.egress_proxy_credentials = Some(file.path().to_owned());
        change(config);
    })
    .await
}

async fn fetch(
    broker: &Broker,
    url: &str,
    strategy: FetchStrategy,
    proxy: &str,
) -> Result<FetchResponse, Status> {
    let mut request = tonic::Request::new(FetchRequest {
        url: url.to_owned(),
        strategy: strategy.into(),
        proxy_url: proxy.to_owned(),
        ..FetchRequest::default()
    });
    request.set_timeout(BOUND);
    let fetched = broker.fetches().fetch(request).await;
    fetched.map(tonic::Response::into_inner)
}

/// Whether a lease's page comes to be the one that is behind the proxies.
async fn a_lease_comes_through(broker: &Broker, proxy: Option<Proxy>) {
    let options = BrowserOptions {
        proxy,
        ..BrowserOptions::default()
    };
    let lease = ground::lease(broker, options).await.unwrap();
    let mut cdp = Cdp::connect(&lease.cdp_url).await;
    let page = cdp.page().await;
    let url = json!({ "url": "http://origin.test/blank" });
    cdp.call(Some(&page), "Page.navigate", url).await;
    until("the page came", async || {
        cdp.evaluate(&page, "document.title").await == "blank"
    })
    .await;
    broker.release(&lease).await;
}

#[tokio::test]
async fn everything_goes_by_it_but_what_goes_around() {
    let (trap, around) = (Trap::set().await, Trap::set().await);
    let pages = Pages::trying(vec![]).await;
    let proxy = Through::to(pages.address).await;
    for scheme in ["http", "socks5h"] {
        let bypass = format!("127.0.0.1:{}", around.port);
        let by = (scheme, proxy.address);
        let broker = broker(by, "me:secret", |config| {
            config.egress_proxy_bypass = vec![bypass];
        });
        let broker = broker.await;
        for strategy in BOTH {
            let told = format!("{scheme} {}", strategy.as_str_name());
            let before = proxy.joined();
            let got = fetch(&broker, "http://origin.test/blank", strategy, "").await;
            let got = got.unwrap_or_else(|error| panic!("{told}: {error:?}"));
            assert_eq!(got.status, 200, "{told}");
            // An address that is open here as well is reached from there, where another answers.
            let inside = format!("http://127.0.0.1:{}/blank", trap.port);
            assert_eq!(
                fetch(&broker, &inside, strategy, "").await.unwrap().status,
                200
            );
            assert!(proxy.joined() >= before + 2, "{told}");
            let joined = proxy.joined();
            let straight = format!("http://127.0.0.1:{}/{scheme}", around.port);
            fetch(&broker, &straight, strategy, "").await.unwrap();
            assert_eq!(proxy.joined(), joined, "{told}: around it");
            for inside in ["http://db.internal/", "http://169.254.169.254/"] {
                let denied = fetch(&broker, inside, strategy, "").await.unwrap_err();
                assert_eq!(reason(&denied), "EGRESS_DENIED", "{told} {inside}");
            }
            assert_eq!(proxy.joined(), joined, "{told}: not even asked");
        }
        let before = proxy.joined();
        a_lease_comes_through(&broker, None).await;
        assert!(proxy.joined() > before, "{scheme}");
        assert!(around.ways().contains(scheme));
        let (_, health) = broker.ops("/health").await;
        let health: Value = serde_json::from_str(&health).unwrap();
        let egress = &health["checks"]["egress"];
        assert_eq!(egress["proxy"], true, "{health}");
        assert_eq!(egress["bypass_rules"], 1, "{health}");
        let secret = proxy.address.to_string();
        assert!(!health.to_string().contains(&secret), "{health}");
        broker.stop().await;
    }
    assert_eq!(trap.seen(), [] as [String; 0], "nothing went straight");
}

#[tokio::test]
async fn what_goes_around_it_is_judged_as_ever() {
    let around = Trap::set().await;
    let pages = Pages::trying(vec![]).await;
    let proxy = Through::to(pages.address).await;
    let dns = Dns::start(&[
        ("around.test", &[&["127.0.0.1"]]),
        ("inside.test", &[&["10.1.1.1"]]),
    ])
    .await;
    for scheme in ["http", "socks5h"] {
        let by = (scheme, proxy.address);
        let broker = broker(by, "me:secret", |config| {
            config.dns_servers = vec![dns.address];
            config.egress_proxy_bypass = vec!["*.test".into(), "10.0.0.0/8".into()];
        });
        let broker = broker.await;
        for strategy in BOTH {
            let told = format!("{scheme} {}", strategy.as_str_name());
            for inside in ["http://inside.test/", "http://10.1.1.1/"] {
                let denied = fetch(&broker, inside, strategy, "").await.unwrap_err();
                assert_eq!(reason(&denied), "EGRESS_DENIED", "{told} {inside}");
            }
            let open = format!("http://around.test:{}/{scheme}", around.port);
            let got = fetch(&broker, &open, strategy, "").await;
            let got = got.unwrap_or_else(|error| panic!("{told}: {error:?}"));
            assert_eq!(got.status, 200, "{told}");
        }
        assert!(around.ways().contains(scheme));
        broker.stop().await;
    }
    assert_eq!(proxy.joined(), 0);
}

#[tokio::test]
async fn a_proxy_that_is_told_addresses_is_told_those_that_were_checked() {
    let pages = Pages::trying(vec![]).await;
    let proxy = Through::to(pages.address).await;
    let dns = Dns::start(&[
        ("origin.test", &[&["10.9.8.7"]]),
        ("inside.test", &[&["10.1.1.1"]]),
    ])
    .await;
    let broker = broker(("socks5", proxy.address), "me:secret", |config| {
        config.dns_servers = vec![dns.address];
        config.egress_allow.push("10.9.8.7".parse().unwrap());
    });
    let broker = broker.await;
    for strategy in BOTH {
        let told = strategy.as_str_name();
        let before = proxy.joined();
        let got = fetch(&broker, "http://origin.test/blank", strategy, "").await;
        let got = got.unwrap_or_else(|error| panic!("{told}: {error:?}"));
        assert_eq!(got.status, 200, "{told}");
        assert!(proxy.joined() > before, "{told}");
        let denied = fetch(&broker, "http://inside.test/", strategy, "").await;
        let denied = denied.unwrap_err();
        assert_eq!(reason(&denied), "EGRESS_DENIED", "{told}");
        assert!(!denied.message().contains("10.1.1.1"), "{denied:?}");
    }
    a_lease_comes_through(&broker, None).await;
    broker.stop().await;
    assert_eq!(proxy.asked(), ["10.9.8.7:80".to_owned()].into());
}

#[tokio::test]
async fn a_callers_own_comes_after_it() {
    let pages = Pages::trying(vec![]).await;
    let callers = Through::to(pages.address).await;
    let operators = Through::to(callers.address).await;
    for first in ["http", "socks5h"] {
        let by = (first, operators.address);
        let broker = broker(by, "me:secret", |_| {}).await;
        for then in ["http", "socks5"] {
            let own = format!("{then}://me:secret@callers.test:3128");
            for strategy in BOTH {
                let told = format!("{first}, {own}, {}", strategy.as_str_name());
                let before = (operators.joined(), callers.joined());
                let got = fetch(&broker, "http://origin.test/blank", strategy, &own).await;
                let got = got.unwrap_or_else(|error| panic!("{told}: {error:?}"));
                assert_eq!(got.status, 200, "{told}");
                assert!(operators.joined() > before.0, "{told}");
                assert!(callers.joined() > before.1, "{told}");
            }
            let before = callers.joined();
            let proxy = Proxy {
                server: own,
                bypass: vec![],
            };
            a_lease_comes_through(&broker, Some(proxy)).await;
            assert!(callers.joined() > before, "{first}, {then}");
        }
        broker.stop().await;
    }
    assert_eq!(operators.asked(), ["callers.test:3128".to_owned()].into());
    assert_eq!(callers.asked(), ["origin.test:80".to_owned()].into());
}

#[tokio::test]
async fn what_goes_around_a_callers_own_still_goes_by_it() {
    let pages = Pages::trying(vec![]).await;
    let operators = Through::to(pages.address).await;
    for scheme in ["http", "socks5h"] {
        let by = (scheme, operators.address);
        let broker = broker(by, "me:secret", |_| {}).await;
        let before = operators.joined();
        let proxy = Proxy {
            server: "socks5://me:secret@callers.test:3128".into(),
            bypass: vec!["origin.test".into()],
        };
        a_lease_comes_through(&broker, Some(proxy)).await;
        assert!(operators.joined() > before, "{scheme}");
        broker.stop().await;
    }
    assert_eq!(operators.asked(), ["origin.test:80".to_owned()].into());
}

#[tokio::test]
async fn without_it_there_is_no_way() {
    let trap = Trap::set().await;
    let pages = Pages::trying(vec![]).await;
    let proxy = Through::to(pages.address).await;
    let nobody = "127.0.0.1:1".parse().unwrap();
    let straight = format!("http://127.0.0.1:{}/", trap.port);
    for scheme in ["http", "socks5h"] {
        let broker = broker((scheme, nobody), "me:secret", |_| {}).await;
        for strategy in BOTH {
            let refused = fetch(&broker, &straight, strategy, "").await.unwrap_err();
            assert_eq!(reason(&refused), "ORIGIN_REFUSED", "{scheme} {refused:?}");
            assert!(refused.message().contains("127.0.0.1:1"), "{refused:?}");
        }
        let lease = ground::lease(&broker, BrowserOptions::default()).await;
        let lease = lease.unwrap();
        let mut cdp = Cdp::connect(&lease.cdp_url).await;
        let page = cdp.page().await;
        let there = json!({ "url": straight });
        let went = cdp.call(Some(&page), "Page.navigate", there).await;
        let why = went["result"]["errorText"].as_str().unwrap_or_default();
        assert!(why.starts_with("net::ERR_"), "{scheme}: {went}");
        drop(cdp);
        broker.release(&lease).await;
        broker.stop().await;
    }
    // One that does not know who asks says so itself, or joins nobody.
    for scheme in ["http", "socks5h"] {
        let by = (scheme, proxy.address);
        let broker = broker(by, "me:wrong!", |_| {}).await;
        for strategy in BOTH {
            let plain = fetch(&broker, "http://origin.test/", strategy, "").await;
            let refused = match (scheme, plain) {
                ("http", plain) => {
                    assert_eq!(plain.unwrap().status, 407, "the proxy's own answer");
                    vec![]
                }
                (_, plain) => vec![plain],
            };
            let secured = fetch(&broker, "https://origin.test/", strategy, "").await;
            for asked in refused.into_iter().chain([secured]) {
                let asked = asked.unwrap_err();
                assert_eq!(reason(&asked), "ORIGIN_PROTOCOL", "{scheme} {asked:?}");
                assert!(!asked.message().contains("wrong"), "{asked:?}");
            }
        }
        broker.stop().await;
    }
    assert_eq!((trap.seen(), proxy.joined()), (vec![], 0));
}

#[tokio::test]
async fn an_argument_of_the_operators_leads_browsers_around_it() {
    let pages = Pages::trying(vec![]).await;
    let proxy = Through::to(pages.address).await;
    // The measure of what the egress proxy costs stands on it, and the warning of the log.
    for (args, ways) in [(vec![], (0, 1)), (vec!["--proxy-server=direct://"], (1, 0))] {
        let trap = Trap::set().await;
        let told = format!("{args:?}");
        let before = proxy.joined();
        let broker = broker(("socks5h", proxy.address), "me:secret", |config| {
            config.browser_args.extend(args.into_iter().map(Into::into));
        });
        let broker = broker.await;
        let lease = ground::lease(&broker, BrowserOptions::default()).await;
        let lease = lease.unwrap();
        let mut cdp = Cdp::connect(&lease.cdp_url).await;
        let page = cdp.page().await;
        let there = json!({ "url": format!("http://127.0.0.1:{}/blank", trap.port) });
        let went = cdp.call(Some(&page), "Page.navigate", there).await;
        assert_eq!(went["result"]["errorText"], Value::Null, "{told}: {went}");
        drop(cdp);
        broker.release(&lease).await;
        broker.stop().await;
        let went = (trap.ways().len(), (proxy.joined() - before).min(1));
        assert_eq!(went, ways, "{told}: straight, and by the proxy");
    }
}
