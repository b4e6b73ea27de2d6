//! What the log says: stable events, whose call it was, who holds what others want; and what it
//! never says.

mod support;

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use axum::{Router, http::HeaderMap, routing::get};
use berth::{
    http_server,
    proto::{
        AcquireRequest, BrowserOptions, Cookie, FetchRequest, FetchStrategy, GetStatusRequest,
        Header, Proxy, ReleaseRequest, SetLogLevelRequest,
    },
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::{
    BOUND, Broker, Cdp, Ground, Service, acquire, broker::fields, proto, reason, secs, serve,
    site::Site,
};
use tokio::net::TcpListener;
use tonic::{Code, Request};

/// A lifecycle event: its level and the fields it may have.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    level: String,
    fields: Vec<String>,
}

fn is_name(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b"_0123456789".contains(&b))
    };
    text.split_once('.')
        .is_some_and(|(thing, what)| plain(thing) && plain(what))
}

/// The events that `text`, a source file, makes.
fn events_of(text: &str, found: &mut BTreeMap<String, Event>) {
    for level in ["error", "warn", "info", "debug", "trace"] {
        for body in text.split(&format!("tracing::{level}!(")).skip(1) {
            let mut depth = 1;
            let end = body.find(|c| {
                depth += i32::from("([{".contains(c)) - i32::from(")]}".contains(c));
                depth == 0
            });
            let arguments = split(&body[..end.unwrap()]);
            let (name, fields) = arguments.split_last().unwrap();
            let name = name.trim_matches('"');
            if !is_name(name) {
                continue;
            }
            let mut fields: Vec<_> = fields.iter().map(|field| field_name(field)).collect();
            fields.sort();
            let event = Event {
                level: level.into(),
                fields,
            };
            if let Some(before) = found.insert(name.to_owned(), event) {
                assert_eq!(before, found[name], "{name} is not always the same");
            }
        }
    }
}

/// The arguments of a macro.
fn split(body: &str) -> Vec<String> {
    let (mut all, mut one, mut depth) = (Vec::new(), String::new(), 0);
    for c in body.chars() {
        depth += i32::from("([{".contains(c)) - i32::from(")]}".contains(c));
        if c == ',' && depth == 0 {
            all.push(std::mem::take(&mut one));
        } else {
            one.push(c);
        }
    }
    all.push(one);
    let all = all.iter().map(|one| one.trim().to_owned());
    all.filter(|one| !one.is_empty()).collect()
}

fn field_name(argument: &str) -> String {
    let name = argument.split('=').next().unwrap().trim();
    name.trim_start_matches(['%', '?']).to_owned()
}

fn sources(folder: &Path, found: &mut BTreeMap<String, Event>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            events_of(&fs::read_to_string(&path).unwrap(), found);
        }
    }
}

/// The table of events in the docs: name, level, fields.
fn documented() -> BTreeMap<String, Event> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/OPERATIONS.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix("| `")?.split(" | ").collect();
        let [name, level, fields, ..] = cells[..] else {
            return None;
        };
        let name = name.trim_end_matches('`');
        if !is_name(name) {
            return None;
        }
        let fields = fields.split('`').skip(1).step_by(2);
        let mut fields: Vec<_> = fields.map(str::to_owned).collect();
        fields.sort();
        let level = level.to_owned();
        Some((name.to_owned(), Event { level, fields }))
    });
    rows.collect()
}

#[test]
fn the_events_are_those_of_the_docs() {
    let mut found = BTreeMap::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    assert!(found.len() > 25, "the events are found: {found:#?}");
    let documented = documented();
    for (name, event) in &found {
        let told = documented.get(name);
        assert_eq!(told, Some(event), "{name} in docs/OPERATIONS.md");
    }
    for name in documented.keys() {
        assert!(found.contains_key(name), "{name} is no event any more");
    }
}

/// Quiet, but it says where it listens.
const QUIET: &str = "warn,berth::server=info";

/// Asks for the status, as a call with an id.
async fn ask(service: &Service, id: &'static str) {
    let mut request = Request::new(GetStatusRequest {});
    request
        .metadata_mut()
        .insert("x-request-id", id.parse().unwrap());
    let answer = service.admin().await.get_status(request).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), id);
}

async fn stop(mut service: Service) -> Vec<Value> {
    service.signal(Signal::SIGTERM);
    service.event("server.stop_asked").await;
    let (code, rest) = service.ended().await;
    assert_eq!(code, Some(0));
    rest
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_turn_the_level_up_and_back() {
    let ground = Ground::new();
    let mut service = Service::start(ground.path(), &[]).await;
    service.signal(Signal::SIGUSR1);
    let changed = service.event("log.level_changed").await;
    assert_eq!(changed["to"], "info,berth=debug");
    assert_eq!(changed["by"], "SIGUSR1");
    ask(&service, "loud").await;
    let ended = service.event("rpc.ended").await;
    assert_eq!(ended["span"]["request_id"], "loud", "{ended}");
    assert_eq!(ended["span"]["method"], "/berth.v1.AdminService/GetStatus");

    service.signal(Signal::SIGUSR2);
    let changed = service.event("log.level_changed").await;
    assert_eq!(changed["to"], "info");
    ask(&service, "silent").await;
    let rest = stop(service).await;
    assert!(
        rest.iter().all(|line| line["message"] != "rpc.ended"),
        "{rest:?}"
    );
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_changes_the_level_for_a_while() {
    let ground = Ground::new();
    let mut service = Service::start(ground.path(), &["--log-level", QUIET]).await;
    let mut admin = service.admin().await;
    let mut set = async |level: &str, duration| {
        let level = level.to_owned();
        let answer = admin
            .set_log_level(SetLogLevelRequest { level, duration })
            .await;
        answer.map(tonic::Response::into_inner)
    };
    let answer = set("berth=debug,warn", secs(1)).await.unwrap();
    assert_eq!(
        (&*answer.previous, &*answer.level),
        (QUIET, "berth=debug,warn")
    );
    let changed = service.event("log.level_changed").await;
    assert_eq!(
        (&changed["from"], &changed["by"]),
        (&QUIET.into(), &"SetLogLevel".into())
    );
    assert_eq!(service.status().await.log_level, "berth=debug,warn");
    let back = service.event("log.level_changed").await;
    assert_eq!((&back["to"], &back["by"]), (&QUIET.into(), &"time".into()));

    for (level, duration, field) in [
        ("berth=loud", None, "level"),
        (&"x".repeat(1025), None, "level"),
        ("info", proto(Duration::from_millis(1)), "duration"),
        ("info", secs(90_000), "duration"),
        ("info", secs(-1), "duration"),
    ] {
        let refused = set(level, duration).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(fields(&refused), [field], "{level}");
    }
    let for_good = set("info", None).await.unwrap();
    assert_eq!(for_good.previous, QUIET);
    assert_eq!(set("", None).await.unwrap().level, QUIET, "as configured");
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended().await.0, Some(0));
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_another_program_is_not_changed() {
    let broker = Broker::start().await;
    let request = SetLogLevelRequest {
        level: "debug".into(),
        duration: None,
    };
    let refused = broker.admin().set_log_level(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    assert_eq!(broker.status().await.log_level, "");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_who_holds_what_and_which_limit_it_was() {
    let ground = Ground::new();
    let mut service = Service::start(ground.path(), &["--max-browsers", "1"]).await;
    let mut leases = service.leases().await;
    let request = AcquireRequest {
        ttl: secs(1),
        ..AcquireRequest::default()
    };
    let lease = acquire(&mut leases, request).await.unwrap();
    let request = AcquireRequest {
        wait: proto(Duration::from_millis(200)),
        ..AcquireRequest::default()
    };
    let refused = acquire(&mut leases, request).await.unwrap_err();
    assert_eq!(reason(&refused), "POOL_EXHAUSTED");
    let told = service.event("pool.exhausted").await;
    assert_eq!(told["holders"], lease.id.as_str());
    assert_eq!(
        (&told["leased"], &told["max_browsers"]),
        (&1.into(), &1.into())
    );
    assert_eq!(
        (&told["outcome"], &told["wanted"]),
        (&"exhausted".into(), &"lease".into())
    );
    let ended = service.event("lease.ended").await;
    assert_eq!(
        (&ended["reason"], &ended["limit"]),
        (&"expired".into(), &"ttl".into())
    );
    assert_eq!(ended["limit_millis"], 1000);

    let site = Site::start().await;
    let mut request = Request::new(FetchRequest {
        url: site.url("/loop"),
        strategy: FetchStrategy::Browser.into(),
        ..FetchRequest::default()
    });
    request.set_timeout(Duration::from_secs(2));
    let passed = service.fetches().await.fetch(request).await.unwrap_err();
    assert_eq!(passed.code(), Code::DeadlineExceeded);
    let told = service.event("rpc.limit_passed").await;
    assert_eq!(
        (&told["limit"], &told["limit_millis"]),
        (&"deadline".into(), &2000.into())
    );
    assert!(told["span"]["request_id"].is_string(), "{told}");
    stop(service).await;
    site.stop().await;
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_which_fetch_had_no_room() {
    let ground = Ground::new();
    let mut service = Service::start(ground.path(), &["--max-browsers", "1"]).await;
    let mut leases = service.leases().await;
    let lease = acquire(&mut leases, AcquireRequest::default())
        .await
        .unwrap();
    let request = FetchRequest {
        url: "http://127.0.0.1:9/".into(),
        strategy: FetchStrategy::Browser.into(),
        timeout: proto(Duration::from_millis(200)),
        ..FetchRequest::default()
    };
    let refused = service.fetches().await.fetch(request).await.unwrap_err();
    assert_eq!(reason(&refused), "POOL_EXHAUSTED");
    let told = service.event("pool.exhausted").await;
    assert_eq!(told["holders"], lease.id.as_str());
    assert_eq!(
        (&told["outcome"], &told["wanted"]),
        (&"exhausted".into(), &"seat".into())
    );
    assert!(told["span"]["request_id"].is_string(), "{told}");
    let lease_id = lease.id;
    leases.release(ReleaseRequest { lease_id }).await.unwrap();
    stop(service).await;
    ground.assert_clean();
}

const PASSWORD: &str = "pr0xy-s3cret";
const BEARER: &str = "bearer-s3cret";
const COOKIE: &str = "c00kie-s3cret";

/// A proxy that wants a password and then answers for every origin.
#[allow(clippy::disallowed_methods, reason = "the test's own task")]
async fn proxy() -> (std::net::SocketAddr, tokio::task::AbortHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let answer = get(async |headers: HeaderMap| {
            if headers.contains_key("proxy-authorization") {
                (
                    axum::http::StatusCode::OK,
                    HeaderMap::new(),
                    "<title>By proxy</title><p>Here.</p>",
                )
            } else {
                let mut wanted = HeaderMap::new();
                wanted.insert("proxy-authenticate", "Basic realm=here".parse().unwrap());
                (
                    axum::http::StatusCode::PROXY_AUTHENTICATION_REQUIRED,
                    wanted,
                    "who?",
                )
            }
        });
        let router = Router::new().fallback(answer);
        http_server::serve("proxy", 64, listener, router, std::future::pending()).await;
    });
    (address, serving.abort_handle())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_ever_logged() {
    let ground = Ground::new();
    let site = Site::start().await;
    let (proxy, proxying) = proxy().await;
    let service = Service::cold(serve(ground.path(), &["--log-level", "trace"])).await;
    let mut leases = service.leases().await;
    let mut request = Request::new(AcquireRequest::default());
    let authorization = format!("Bearer {BEARER}").parse().unwrap();
    request
        .metadata_mut()
        .insert("authorization", authorization);
    request.set_timeout(BOUND);
    let lease = leases
        .acquire(request)
        .await
        .unwrap()
        .into_inner()
        .lease
        .unwrap();
    let token = lease.cdp_url.rsplit('/').next().unwrap().to_owned();
    assert!(token.len() > 20, "{token}");

    // Over CDP, on every route.
    let version = reqwest::get(format!("{}/json/version", lease.cdp_http_url))
        .await
        .unwrap();
    assert!(version.status().is_success());
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    let cookie = json!({"name": "session", "value": COOKIE, "url": site.url("/")});
    client.call(Some(&page), "Network.setCookie", cookie).await;
    let headers = json!({"headers": {"authorization": format!("Bearer {BEARER}")}});
    client.call(Some(&page), "Network.enable", json!({})).await;
    client
        .call(Some(&page), "Network.setExtraHTTPHeaders", headers)
        .await;
    client
        .call(Some(&page), "Page.navigate", json!({"url": site.url("/")}))
        .await;
    drop(client);
    leases
        .release(ReleaseRequest { lease_id: lease.id })
        .await
        .unwrap();
    let gone = reqwest::get(format!("{}/json/version", lease.cdp_http_url))
        .await
        .unwrap();
    assert_eq!(gone.status(), 410);

    // A lease's proxy with a name and a password, and one where they spoil the URL.
    let server = format!("http://me:{PASSWORD}@{proxy}");
    let options = BrowserOptions {
        proxy: Some(Proxy {
            server: server.clone(),
            bypass: Vec::new(),
        }),
        ..BrowserOptions::default()
    };
    let request = AcquireRequest {
        browser: Some(options),
        ..AcquireRequest::default()
    };
    let mut spoilt = request.clone();
    let proxied = acquire(&mut leases, request).await.unwrap();
    let lease_id = proxied.id;
    leases.release(ReleaseRequest { lease_id }).await.unwrap();
    let options = spoilt.browser.as_mut().unwrap();
    options.proxy.as_mut().unwrap().server = format!("{server}/path");
    let refused = acquire(&mut leases, spoilt).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);

    let mut fetches = service.fetches().await;
    let secret = |name: &str, value: String| Header {
        name: name.into(),
        value,
    };
    for (proxy_url, strategy, well) in [
        (server.clone(), FetchStrategy::Http, true),
        (server.clone(), FetchStrategy::Browser, true),
        (
            format!("http://me:{PASSWORD}@127.0.0.1:9"),
            FetchStrategy::Http,
            false,
        ),
        (
            format!("http://me:{PASSWORD}@127.0.0.1:9"),
            FetchStrategy::Browser,
            false,
        ),
        (
            format!("gopher://me:{PASSWORD}@h"),
            FetchStrategy::Http,
            false,
        ),
        (
            format!("http://me:{PASSWORD}@h:x"),
            FetchStrategy::Http,
            false,
        ),
    ] {
        let mut request = Request::new(FetchRequest {
            url: "http://origin.test/".into(),
            strategy: strategy.into(),
            proxy_url: proxy_url.clone(),
            headers: match strategy {
                // A browser takes none: it would send them to every host of the page.
                FetchStrategy::Browser => Vec::new(),
                _ => vec![
                    secret("authorization", format!("Bearer {BEARER}")),
                    secret("cookie", format!("session={COOKIE}")),
                ],
            },
            cookies: vec![Cookie {
                name: "other".into(),
                value: COOKIE.into(),
                ..Cookie::default()
            }],
            ..FetchRequest::default()
        });
        request.set_timeout(BOUND);
        let fetched = fetches.fetch(request).await;
        assert_eq!(
            fetched.is_ok(),
            well,
            "{proxy_url} {strategy:?}: {fetched:?}"
        );
    }
    service.signal(Signal::SIGTERM);
    // Nothing was read so far: this is all of it.
    let (code, log) = service.ended().await;
    assert_eq!(code, Some(0));
    assert!(
        log.iter().any(|line| line["message"] == "rpc.ended"),
        "it is at trace"
    );
    let basic = "bWU6cHIweHktczNjcmV0"; // me:pr0xy-s3cret
    for line in &log {
        let line = line.to_string();
        for secret in [&token, PASSWORD, BEARER, COOKIE, basic] {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
    }
    proxying.abort();
    site.stop().await;
    ground.assert_clean();
}
