//! What may not be reached, in every spelling and by every way that a page has.

use berth::proto::AcquireRequest;
use serde_json::json;

use super::{
    ground::{Pages, Trap, browse},
    support::{
        Broker, Cdp, acquire,
        broker::reason,
        dns::Dns,
        forbidden::{NAMES, forbidden},
        rules, until,
    },
};

/// The ways that a page must have, for a test of it to say anything.
const SURE: [&str; 22] = [
    "background",
    "beacon",
    "embed",
    "events",
    "fetch",
    "font",
    "frame",
    "get",
    "image",
    "inworker",
    "keepalive",
    "module",
    "object",
    "ping",
    "post",
    "preload",
    "script",
    "socket",
    "style",
    "video",
    "worker",
    "xhr",
];

/// A broker whose pages may go to `pages`, and to what else `allow` says.
async fn broker(pages: &Pages, dns: &Dns, allow: &str) -> Broker {
    let allow = format!("{},{allow}", pages.address);
    let dns = dns.address;
    Broker::with(move |config| {
        config.egress_allow = rules(&allow);
        config.dns_servers = vec![dns];
    })
    .await
}

#[tokio::test]
async fn what_is_allowed_is_reached_by_every_way() {
    let (trap, dns) = (Trap::set().await, Dns::start(NAMES).await);
    let open = format!("http://inside.test:{}/WAY", trap.port);
    let pages = Pages::trying(vec![open]).await;
    let broker = broker(&pages, &dns, &format!("inside.test:{}", trap.port)).await;
    let page = browse(&broker, &pages.url("/"), Some("tried")).await;
    assert_eq!(page.unwrap().warnings, []);
    let ways = trap.ways();
    for way in SURE {
        assert!(ways.contains(way), "{way} is not among {ways:?}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn no_spelling_reaches_the_inside_from_a_page() {
    let (trap, dns) = (Trap::set().await, Dns::start(NAMES).await);
    let table = forbidden(trap.port);
    assert!(table.len() >= 150, "{}", table.len());
    let mut urls: Vec<_> = table.iter().map(|one| one.url.clone()).collect();
    // What a document takes for a reference to itself would only try this site.
    urls.retain(|url| url.contains(&trap.port.to_string()) || url.contains("://"));
    let pages = Pages::trying(urls).await;
    let broker = broker(&pages, &dns, "192.0.2.1:9").await;
    let page = browse(&broker, &pages.url("/"), Some("tried"))
        .await
        .unwrap();
    let warned: Vec<_> = page.warnings.iter().map(|one| one.code.as_str()).collect();
    assert_eq!(warned, ["egress_denied"]);
    assert_eq!(trap.seen(), [] as [String; 0]);
    broker.stop().await;
}

#[tokio::test]
async fn no_spelling_is_navigated_to() {
    let (trap, dns) = (Trap::set().await, Dns::start(NAMES).await);
    let table = forbidden(trap.port);
    let led = table.iter().filter(|one| one.led.is_some());
    let led: Vec<_> = led.map(|one| one.url.trim().to_owned()).collect();
    let ascii = |url: &String| url.is_ascii() && !url.contains('\t');
    let redirects: Vec<_> = led.iter().filter(|url| ascii(url)).cloned().collect();
    let pages = Pages::trying(redirects.clone()).await;
    let broker = broker(&pages, &dns, "192.0.2.1:9").await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default()).await;
    let lease = lease.unwrap();
    let mut cdp = Cdp::connect(&lease.cdp_url).await;
    let page = cdp.page().await;
    let mut navigate = async |url: &str| {
        let gone = cdp.call(Some(&page), "Page.navigate", json!({ "url": url }));
        let gone = gone.await;
        gone["result"]["errorText"].as_str().map(str::to_owned)
    };
    for url in &led {
        navigate(url).await;
    }
    for at in 0..redirects.len() {
        navigate(&pages.url(&format!("/redirect/{at}"))).await;
    }
    assert_eq!(trap.seen(), [] as [String; 0]);
    assert_eq!(navigate(&pages.url("/blank")).await, None, "it still works");
    broker.release(&lease).await;
    drop(cdp);
    broker.stop().await;
}

#[tokio::test]
async fn a_page_that_leads_inside_is_denied_and_the_rule_is_told() {
    let (trap, dns) = (Trap::set().await, Dns::start(NAMES).await);
    let inside = [
        format!("http://127.0.0.1:{}/", trap.port),
        format!("http://inside.test:{}/", trap.port),
        format!("http://[::1]:{}/", trap.port),
        "http://169.254.169.254/latest/meta-data/".into(),
    ];
    let pages = Pages::trying(inside.to_vec()).await;
    let broker = broker(&pages, &dns, "192.0.2.1:9").await;
    for (at, url) in inside.iter().enumerate() {
        let refresh = pages.url(&format!("/refresh?to={url}"));
        for way in [url.clone(), pages.url(&format!("/redirect/{at}")), refresh] {
            let denied = browse(&broker, &way, None).await.unwrap_err();
            assert_eq!(reason(&denied), "EGRESS_DENIED", "{way}: {denied:?}");
            assert_eq!(denied.code(), tonic::Code::PermissionDenied, "{way}");
        }
    }
    assert_eq!(trap.seen(), [] as [String; 0]);
    // What is not there is still told as what it is.
    for (url, expected) in [
        ("http://nowhere.test/".to_owned(), "ORIGIN_DNS"),
        (pages.url("/blank"), ""),
    ] {
        match browse(&broker, &url, None).await {
            Ok(_) => assert_eq!(expected, ""),
            Err(error) => assert_eq!(reason(&error), expected, "{error:?}"),
        }
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_name_that_changes_its_mind_gains_nothing() {
    let trap = Trap::set().await;
    let names: [(&str, &[&[&str]]); 2] = [
        ("rebind.test", &[&["127.0.0.2"], &["127.0.0.3"]]),
        ("mixed.test", &[&["127.0.0.3", "127.0.0.2"]]),
    ];
    let dns = Dns::start(&names).await;
    let at = |name: &str| format!("http://{name}:{}/{name}", trap.port);
    let pages = Pages::trying(vec![at("rebind.test"), at("mixed.test")]).await;
    // One address of the trap is allowed: whoever is let in by name must end there.
    let broker = broker(&pages, &dns, &format!("127.0.0.2:{}", trap.port)).await;
    let closed = std::net::SocketAddr::from(([127, 0, 0, 3], trap.port));
    let seen = async |name: &str| {
        let before = trap.seen().len();
        let fetched = browse(&broker, &at(name), None).await;
        (fetched.is_ok(), trap.seen().len() > before)
    };
    assert_eq!(
        seen("mixed.test").await,
        (true, true),
        "by its open address"
    );
    assert_eq!(seen("rebind.test").await.1, dns.asked("rebind.test") == 1);
    until("the name has changed its mind", async || {
        let _ = seen("rebind.test").await;
        dns.asked("rebind.test") > 2
    })
    .await;
    let before = trap.seen().len();
    let denied = browse(&broker, &at("rebind.test"), None).await.unwrap_err();
    assert_eq!(reason(&denied), "EGRESS_DENIED", "{denied:?}");
    assert_eq!(trap.seen().len(), before, "{closed} was not reached");
    broker.stop().await;
}

#[tokio::test]
async fn report_only_lets_through_and_counts() {
    let (trap, dns) = (Trap::set().await, Dns::start(NAMES).await);
    let pages = Pages::trying(vec![format!("http://127.0.0.1:{}/WAY", trap.port)]).await;
    let broker = Broker::with(|config| {
        config.egress_allow = rules(&pages.address.to_string());
        config.egress_report_only = true;
        config.dns_servers = vec![dns.address];
    })
    .await;
    browse(&broker, &pages.url("/"), Some("tried"))
        .await
        .unwrap();
    assert!(trap.ways().contains("fetch"));
    let (_, metrics) = broker.ops("/metrics").await;
    let count = metrics.lines().find_map(|line| {
        line.strip_prefix("berth_egress_denied_total{mode=\"report\",rule=\"loopback\"} ")
    });
    assert!(count.unwrap().parse::<u64>().unwrap() > 0);
    broker.stop().await;
}
