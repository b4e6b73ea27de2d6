//! Where fetches may go, held against real listeners: what is forbidden gets no connection at all.

mod support;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use berth::{
    config::Config,
    egress::Fallback,
    proto::{
        FetchManyRequest, FetchRequest, FetchResponse, FetchStrategy,
        fetch_many_response::Result as Outcome,
    },
};
use support::{
    Broker, berth,
    broker::fields,
    dns::Dns,
    forbidden::{Fate, Forbidden, NAMES, forbidden},
    reason, rules,
};
use tokio::{io::AsyncWriteExt, net::TcpListener, task::JoinHandle};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// A listener on every address of this machine that counts who connects and answers at once.
struct Inside {
    port: u16,
    reached: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Inside {
    #[allow(clippy::disallowed_methods, reason = "the test's own task")]
    async fn start() -> Self {
        let listener = TcpListener::bind("[::]:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let reached = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&reached);
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let said =
                    b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nsecret";
                // Whoever left before the answer has been counted.
                let _ = stream.write_all(said).await;
            }
        });
        Self {
            port,
            reached,
            serving,
        }
    }

    fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// An origin that may be reached and redirects to the table's rows.
struct Origin {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Origin {
    #[allow(clippy::disallowed_methods, reason = "the test's own task")]
    async fn start(led: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/to/{row}", get(lead))
            .with_state(Arc::new(led));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self { address, serving }
    }

    fn to(&self, row: usize) -> String {
        format!("http://{}/to/{row}", self.address)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn lead(State(led): State<Arc<Vec<String>>>, Path(row): Path<usize>) -> Response {
    let location = HeaderValue::from_bytes(led[row].as_bytes()).unwrap();
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

/// A broker without a browser, to which only `allow` of loopback is open.
async fn broker(allow: &str, change: impl FnOnce(&mut Config)) -> Broker {
    Broker::cold(|config| {
        config.min_warm = 0;
        config.egress_allow = rules(allow);
        change(config);
    })
    .await
}

async fn fetch(
    broker: &Broker,
    url: &str,
    strategy: FetchStrategy,
) -> Result<FetchResponse, Status> {
    let mut request = tonic::Request::new(FetchRequest {
        url: url.to_owned(),
        strategy: strategy.into(),
        ..FetchRequest::default()
    });
    request.set_timeout(support::BOUND);
    let answer = broker.fetches().fetch(request).await;
    answer.map(tonic::Response::into_inner)
}

async fn http(broker: &Broker, url: &str) -> Result<FetchResponse, Status> {
    fetch(broker, url, FetchStrategy::Http).await
}

/// The rule by which a fetch was denied.
fn rule<T: std::fmt::Debug>(outcome: Result<T, Status>) -> String {
    let status = outcome.expect_err("it is denied");
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    assert_eq!(reason(&status), "EGRESS_DENIED", "{status:?}");
    let details = status.get_error_details();
    let metadata = &details.error_info().unwrap().metadata;
    assert!(metadata.contains_key("target"), "{metadata:?}");
    metadata["rule"].clone()
}

/// The value of one series of the broker's metrics.
async fn metric(broker: &Broker, series: &str) -> u64 {
    let (_, text) = broker.ops("/metrics").await;
    let line = text.lines().find(|line| line.starts_with(series));
    let value = line.and_then(|line| line.rsplit(' ').next());
    value
        .unwrap_or_else(|| panic!("no {series}"))
        .parse()
        .unwrap()
}

/// What became of a fetch of a row, when it is not what the row says.
fn differs(
    row: &str,
    fate: Fate,
    outcome: &Result<FetchResponse, Status>,
    led: bool,
) -> Option<String> {
    let is = match (fate, outcome) {
        (Fate::Denied(rule), Err(status)) => {
            let details = status.get_error_details();
            let info = details.error_info();
            info.is_some_and(|info| {
                info.reason == "EGRESS_DENIED"
                    && status.code() == Code::PermissionDenied
                    && info.metadata.get("rule").is_some_and(|by| by == rule)
            })
        }
        (Fate::Invalid, Err(status)) if led => reason(status) == "ORIGIN_PROTOCOL",
        (Fate::Invalid, Err(status)) => {
            reason(status) == "BAD_REQUEST" && fields(status) == ["url"]
        }
        (Fate::Stays, Ok(response)) => response.status == 404,
        (Fate::Denied(_) | Fate::Invalid, Ok(_)) | (Fate::Stays, Err(_)) => false,
    };
    (!is).then(|| format!("{row:?} is not {fate:?} but {outcome:?}"))
}

#[tokio::test]
async fn no_spelling_of_the_inside_gets_a_connection() {
    let (inside, dns) = (Inside::start().await, Dns::start(NAMES).await);
    let rows: Vec<Forbidden> = forbidden(inside.port);
    assert!(rows.len() >= 150, "{} rows", rows.len());
    let led = rows.iter().map(|row| row.url.replace('\n', "")).collect();
    let origin = Origin::start(led).await;
    let broker = broker(&origin.address.to_string(), |config| {
        config.dns_servers = vec![dns.address];
    })
    .await;
    let mut wrong = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        for strategy in [FetchStrategy::Http, FetchStrategy::Auto] {
            let asked = fetch(&broker, &row.url, strategy).await;
            wrong.extend(differs(&row.url, row.asked, &asked, false));
            if let Some(fate) = row.led {
                let led = fetch(&broker, &origin.to(number), strategy).await;
                wrong.extend(differs(&row.url, fate, &led, true));
            }
        }
        // Refused before a browser is opened for it.
        let asked = fetch(&broker, &row.url, FetchStrategy::Browser).await;
        wrong.extend(differs(&row.url, row.asked, &asked, false));
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(inside.reached(), 0, "somebody got through");
    assert!(
        broker.server.pool().seen().is_empty(),
        "a browser was opened"
    );
    let denied = metric(
        &broker,
        "berth_fetches_total{outcome=\"egress_denied\",via=\"http\"}",
    )
    .await;
    assert!(denied > 300, "{denied}");
    broker.stop().await;
}

#[tokio::test]
async fn what_is_allowed_is_reached_in_every_spelling() {
    let (inside, dns) = (Inside::start().await, Dns::start(NAMES).await);
    let other = Inside::start().await;
    let allow = format!("127.0.0.0/8:{0},[::1]:{0}", inside.port);
    let broker = broker(&allow, |config| config.dns_servers = vec![dns.address]).await;
    let spellings = [
        "127.1",
        "0x7f000001",
        "localhost",
        "①②⑦.⓪.⓪.①",
        "[::1]",
        "inside.test",
        "both.test",
    ];
    for (count, host) in spellings.iter().enumerate() {
        let url = format!("http://{host}:{}/", inside.port);
        let got = http(&broker, &url)
            .await
            .unwrap_or_else(|error| panic!("{host}: {error:?}"));
        assert_eq!(got.status, 200, "{host}");
        assert_eq!(inside.reached(), count + 1, "{host}");
    }
    // The rule is about one port.
    let denied = http(&broker, &format!("http://127.0.0.1:{}/", other.port)).await;
    assert_eq!(rule(denied), "loopback");
    let denied = http(&broker, &format!("http://inside.test:{}/", other.port)).await;
    assert_eq!(rule(denied), "loopback");
    assert_eq!(other.reached(), 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_name_that_changes_its_answer_gains_nothing() {
    let inside = Inside::start().await;
    let dns = Dns::start(&[
        ("rebinds.test", &[&["127.0.0.2"], &["127.0.0.3"]]),
        ("mixed.test", &[&["127.0.0.3", "127.0.0.2", "10.0.0.1"]]),
        ("six.test", &[&["::1", "127.0.0.3"]]),
    ])
    .await;
    // 127.0.0.2 stands for the internet, the rest of loopback is the inside.
    let broker = broker("127.0.0.2", |config| config.dns_servers = vec![dns.address]).await;
    let url = |name: &str| format!("http://{name}:{}/", inside.port);
    assert_eq!(
        http(&broker, &url("rebinds.test")).await.unwrap().status,
        200
    );
    assert_eq!((inside.reached(), dns.asked("rebinds.test")), (1, 1));
    for _ in 0..3 {
        assert_eq!(rule(http(&broker, &url("rebinds.test")).await), "loopback");
    }
    assert_eq!(inside.reached(), 1, "what was dialled is what was checked");
    assert!(dns.asked("rebinds.test") > 1);
    // Of several answers only those are dialled that may be.
    assert_eq!(http(&broker, &url("mixed.test")).await.unwrap().status, 200);
    assert_eq!(inside.reached(), 2);
    assert_eq!(rule(http(&broker, &url("six.test")).await), "loopback");
    assert_eq!(inside.reached(), 2);
    let missing = http(&broker, &url("nobody.test")).await.unwrap_err();
    assert_eq!(reason(&missing), "ORIGIN_DNS");
    broker.stop().await;
}

#[tokio::test]
async fn a_chain_of_redirects_ends_where_it_leads_inside() {
    let inside = Inside::start().await;
    let secret = format!("http://127.0.0.1:{}/", inside.port);
    let led = vec!["/to/1".into(), "/to/2".into(), secret];
    let origin = Origin::start(led).await;
    let broker = broker(&origin.address.to_string(), |_| {}).await;
    for strategy in [FetchStrategy::Http, FetchStrategy::Auto] {
        let denied = fetch(&broker, &origin.to(0), strategy).await;
        assert_eq!(rule(denied), "loopback");
    }
    assert_eq!(inside.reached(), 0);
    broker.stop().await;
}

#[tokio::test]
async fn a_proxy_is_a_target_like_any_other() {
    let (inside, dns) = (Inside::start().await, Dns::start(NAMES).await);
    let open = Inside::start().await;
    let allow = format!("127.0.0.1:{}", open.port);
    let broker = broker(&allow, |config| config.dns_servers = vec![dns.address]).await;
    let through = async |url: &str, proxy: String| {
        let request = FetchRequest {
            url: url.to_owned(),
            strategy: FetchStrategy::Http.into(),
            proxy_url: proxy,
            ..FetchRequest::default()
        };
        broker.fetches().fetch(request).await
    };
    let port = inside.port;
    for proxy in [
        format!("http://127.0.0.1:{port}"),
        format!("http://0x7f.1:{port}"),
        format!("http://inside.test:{port}"),
        format!("http://localhost:{port}"),
        format!("https://[::1]:{port}"),
        format!("socks5://127.0.0.1:{port}"),
        format!("socks5://inside.test:{port}"),
    ] {
        for url in ["http://1.1.1.1/", "https://1.1.1.1/"] {
            assert_eq!(
                rule(through(url, proxy.clone()).await),
                "loopback",
                "{proxy}"
            );
        }
    }
    assert_eq!(inside.reached(), 0);
    // Through one that is open, nothing inside is asked for.
    for (url, by) in [
        ("http://127.0.0.1/", "loopback"),
        ("http://localhost/", "loopback"),
        ("http://db.internal/", "private"),
        ("https://169.254.169.254/", "metadata"),
    ] {
        let proxy = format!("http://127.0.0.1:{}", open.port);
        assert_eq!(rule(through(url, proxy).await), by, "{url}");
    }
    assert_eq!(open.reached(), 0);
    let proxy = format!("http://127.0.0.1:{}", open.port);
    let got = through("http://example.org/", proxy).await.unwrap();
    assert_eq!((got.into_inner().status, open.reached()), (200, 1));
    broker.stop().await;
}

#[tokio::test]
async fn report_only_lets_through_and_counts_but_not_to_its_own_ports() {
    let inside = Inside::start().await;
    let broker = broker("", |config| config.egress_report_only = true).await;
    let got = http(&broker, &format!("http://127.0.0.1:{}/", inside.port)).await;
    assert_eq!((got.unwrap().status, inside.reached()), (200, 1));
    let reported = "berth_egress_denied_total{mode=\"report\",rule=\"loopback\"}";
    assert_eq!(metric(&broker, reported).await, 1);
    let own = broker.server.addresses().grpc.port();
    assert_eq!(
        rule(http(&broker, &format!("http://127.0.0.1:{own}/")).await),
        "own_port"
    );
    let enforced = "berth_egress_denied_total{mode=\"enforce\",rule=\"own_port\"}";
    assert_eq!(metric(&broker, enforced).await, 1);
    assert_eq!(
        rule(http(&broker, "http://169.254.169.254/").await),
        "metadata"
    );
    broker.stop().await;
}

#[tokio::test]
async fn own_ports_and_metadata_are_closed_though_everything_is_allowed() {
    let dns = Dns::start(NAMES).await;
    let broker = broker("*,127.0.0.0/8,::1,169.254.0.0/16", |config| {
        config.dns_servers = vec![dns.address];
    })
    .await;
    let addresses = broker.server.addresses();
    for port in [addresses.grpc, addresses.gateway, addresses.ops].map(|address| address.port()) {
        for host in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "localhost",
            "[::1]",
            "inside.test",
        ] {
            let denied = http(&broker, &format!("http://{host}:{port}/")).await;
            assert_eq!(rule(denied), "own_port", "{host}:{port}");
        }
    }
    for url in [
        "http://169.254.169.254/",
        "http://meta.test/",
        "http://metadata/",
    ] {
        assert_eq!(rule(http(&broker, url).await), "metadata", "{url}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn the_lists_decide_and_the_deny_list_last() {
    let (inside, dns) = (Inside::start().await, Dns::start(NAMES).await);
    let broker = broker("127.0.0.0/8,*.inside.test", |config| {
        config.dns_servers = vec![dns.address];
        config.egress_deny = rules("127.0.0.2,*.b.inside.test");
        config.egress_default = Fallback::Nothing;
    })
    .await;
    let at = |host: &str| format!("http://{host}:{}/", inside.port);
    assert_eq!(http(&broker, &at("127.0.0.1")).await.unwrap().status, 200);
    assert_eq!(http(&broker, &at("both.test")).await.unwrap().status, 200);
    assert_eq!(inside.reached(), 2);
    assert_eq!(rule(http(&broker, &at("127.0.0.2")).await), "deny_list");
    assert_eq!(
        rule(http(&broker, &at("a.b.inside.test")).await),
        "deny_list"
    );
    assert_eq!(rule(http(&broker, &at("six.test")).await), "loopback");
    assert_eq!(rule(http(&broker, "http://1.1.1.1/").await), "unlisted");
    assert_eq!(inside.reached(), 2);
    broker.stop().await;
}

#[tokio::test]
async fn of_many_only_those_are_denied_that_lead_inside() {
    let (inside, open) = (Inside::start().await, Inside::start().await);
    let broker = broker(&format!("127.0.0.1:{}", open.port), |_| {}).await;
    let item = |port: u16| FetchRequest {
        url: format!("http://127.0.0.1:{port}/"),
        strategy: FetchStrategy::Http.into(),
        ..FetchRequest::default()
    };
    let one = |id: &str, port| FetchManyRequest {
        id: id.into(),
        fetch: Some(item(port)),
        ..FetchManyRequest::default()
    };
    let many = [one("open", open.port), one("shut", inside.port)];
    let answered = broker.fetches().fetch_many(tokio_stream::iter(many)).await;
    let mut results = answered.unwrap().into_inner();
    let mut seen = HashMap::new();
    while let Some(one) = results.message().await.unwrap() {
        seen.insert(one.id, one.result.unwrap());
    }
    let (Some(Outcome::Response(well)), Some(Outcome::Failure(denied))) =
        (seen.remove("open"), seen.remove("shut"))
    else {
        panic!("not one of each: {seen:?}");
    };
    assert_eq!(well.status, 200);
    assert_eq!(denied.code, i32::from(Code::PermissionDenied));
    assert_eq!(denied.reason(), berth::proto::ErrorReason::EgressDenied);
    assert!(
        denied.message.contains("--egress-allow"),
        "{}",
        denied.message
    );
    assert_eq!((inside.reached(), open.reached()), (0, 1));
    broker.stop().await;
}

#[tokio::test]
async fn the_command_says_how_to_open_what_is_denied() {
    let broker = broker("", |_| {}).await;
    let site = format!("http://localhost:{}/", broker.site.address.port());
    let output = tokio::time::timeout(
        Duration::from_secs(60),
        berth()
            .args(["fetch", "--endpoint", &broker.endpoint(), &site])
            .output(),
    );
    let output = output.await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(77));
    let said = String::from_utf8(output.stderr).unwrap();
    let remedy = format!("--egress-allow localhost:{}", broker.site.address.port());
    assert!(
        said.contains(&remedy) && said.contains("EGRESS_DENIED"),
        "{said}"
    );
    broker.stop().await;
}
