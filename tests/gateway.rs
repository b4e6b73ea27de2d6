//! The CDP gateway with real browsers behind it and plain websocket clients before it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by them"
)]

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use berth::{
    broker::{AcquireSpec, Broker, LeaseConfig, Quotas},
    browser::{self, Pool, RunDir, launch},
    deadline::Deadline,
    drain::Drain,
    egress::{Egress, OwnPorts, Policy, Resolver, Route, Settings},
    fetch::{self, Fetcher},
    gateway,
    lease::{EndReason, LeaseId},
    metrics::Metrics,
};
use futures::{SinkExt, StreamExt};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Error as WsError, Message, client::IntoClientRequest, protocol::CloseFrame},
};

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker with a gateway, and its pool of real browsers.
struct Rig {
    broker: Broker,
    pool: Pool,
    drain: Drain,
    gateway: SocketAddr,
    dir: tempfile::TempDir,
}

impl Rig {
    async fn start() -> Self {
        Self::with(gateway::Options::default()).await
    }

    async fn with(options: gateway::Options) -> Self {
        let drain = Drain::new(Handle::current());
        let metrics = Metrics::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (run_dir, _swept) = RunDir::claim(dir.path()).unwrap();
        let config = browser::Config {
            canary_interval: Duration::ZERO,
            canary_timeout: Duration::from_secs(10),
            leak_interval: Duration::ZERO,
            max_browsers: 3,
            min_warm: 1,
            seats_per_browser: 8,
            queue: 100,
            max_age: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(60),
            max_uses: 1000,
            max_drift: 0,
            limits: browser::Limits::default(),
            isolation: browser::Isolation::default(),
            check_timeout: Duration::from_secs(5),
            check_interval: Duration::from_secs(5),
            launch: launch::Options {
                executable: None,
                extra_args: Vec::new(),
                timeout: Duration::from_secs(30),
            },
        };
        let policy = Policy::new(Settings::default(), OwnPorts::default(), &metrics);
        let egress = Egress::new(policy, Resolver::new(&[]).unwrap());
        let route = Route::new(egress, None);
        let pool = Pool::start(config, route.clone(), Arc::new(run_dir), &drain, &metrics);
        let leases = LeaseConfig {
            ttl: Duration::from_secs(60),
            max_ttl: Duration::from_secs(3600),
            lifetime: Duration::from_secs(3600),
            max_lifetime: Duration::from_secs(3600),
            detach_grace: Duration::from_secs(10),
            max_wait: Duration::from_secs(30),
            download_quota: 1 << 30,
        };
        let fetcher = Fetcher::new(
            fetch::Config::default(),
            pool.clone(),
            route,
            &drain,
            &metrics,
        )
        .unwrap();
        let thresholds = berth::config::Config::default().thresholds();
        let broker = Broker::start(
            leases,
            Quotas::default(),
            thresholds,
            pool.clone(),
            fetcher,
            &drain,
            &metrics,
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = listener.local_addr().unwrap();
        let stop = drain.cut_token().cancelled_owned();
        drain.spawn(gateway::serve(listener, broker.clone(), options, stop));
        Self {
            broker,
            pool,
            drain,
            gateway,
            dir,
        }
    }

    async fn lease(&self) -> Leased {
        self.lease_for(AcquireSpec::default()).await
    }

    async fn lease_for(&self, spec: AcquireSpec) -> Leased {
        let deadline = Deadline::after(PATIENCE);
        let leased = self.broker.acquire(spec, deadline, false, |_| {});
        let leased = Box::pin(leased).await.unwrap();
        leased.guard.unwrap().disarm();
        let record = leased.grant.record;
        let browser = record.subject.browser;
        let seen = self.pool.seen();
        let pid = seen.iter().find(|seen| seen.id == browser).unwrap().pid;
        Leased {
            id: record.id,
            path: format!("/lease/{}", leased.grant.token.reveal()),
            pid: pid.unwrap(),
        }
    }

    fn end(&self, lease: &Leased, reason: EndReason) {
        self.broker.end(lease.id, reason).unwrap();
    }

    async fn attached(&self, lease: &Leased, wanted: usize) {
        let begun = Instant::now();
        while self.broker.get(lease.id).unwrap().attached != wanted {
            assert!(begun.elapsed() < Duration::from_secs(3), "not {wanted}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn connect(&self, path: &str) -> Client {
        let url = format!("ws://{}{path}", self.gateway);
        Client::connect(&url).await.unwrap()
    }

    /// One request as it stands, answered with the status and everything after it.
    async fn ask(&self, method: &str, path: &str, more: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.gateway).await.unwrap();
        let host = if more.contains("Host:") {
            String::new()
        } else {
            format!("Host: {}\r\n", self.gateway)
        };
        let more = more.replace("Connection: Upgrade", "Connection: Upgrade, close");
        let close = if more.contains("Connection:") {
            ""
        } else {
            "Connection: close\r\n"
        };
        let request = format!("{method} {path} HTTP/1.1\r\n{host}{close}{more}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut answer));
        read.await.unwrap().unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let status = answer[9..12].parse().unwrap();
        (status, answer)
    }

    /// A page of JSON.
    async fn page(&self, path: &str) -> Value {
        let (status, answer) = self.ask("GET", path, "").await;
        assert_eq!(status, 200, "{answer}");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        serde_json::from_str(body).unwrap()
    }

    /// A websocket spoken by hand, its answer read.
    async fn raw(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.gateway).await.unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n{UPGRADE}\r\n",
            self.gateway
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"));
        stream
    }

    async fn stop(self) {
        self.broker.end_all(EndReason::Drained);
        self.drain.cut();
        let stopped = async {
            self.pool.shut_down().await;
            self.drain.closed().await;
        };
        timeout(PATIENCE, stopped).await.unwrap();
        let left = processes_of(self.dir.path());
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// Processes that name the directory, in which every browser of the test has its profile.
fn processes_of(dir: &Path) -> Vec<i32> {
    let all = procfs::process::all_processes().unwrap();
    let named = |process: &procfs::process::Process| {
        let line = process.cmdline().unwrap_or_default().join(" ");
        line.contains(dir.to_str().unwrap())
    };
    all.filter_map(Result::ok)
        .filter(named)
        .map(|process| process.pid)
        .collect()
}

struct Leased {
    id: LeaseId,
    path: String,
    pid: i32,
}

struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last: u64,
}

impl Client {
    async fn connect(url: &str) -> Result<Self, Box<WsError>> {
        let request = url.into_client_request()?;
        let connected = connect_async_with_config(request, None, true);
        let (socket, _) = timeout(PATIENCE, connected).await.unwrap()?;
        Ok(Self { socket, last: 0 })
    }

    async fn send(&mut self, method: &str, params: Value) -> u64 {
        self.last += 1;
        let call = json!({ "id": self.last, "method": method, "params": params });
        let message = Message::text(call.to_string());
        self.socket.send(message).await.unwrap();
        self.last
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params).await;
        loop {
            if let Message::Text(text) = self.next().await.unwrap() {
                let answer: Value = serde_json::from_str(&text).unwrap();
                if answer["id"] == id {
                    assert!(answer["error"].is_null(), "{answer}");
                    return answer["result"].clone();
                }
            }
        }
    }

    async fn next(&mut self) -> Option<Message> {
        let next = timeout(PATIENCE, self.socket.next()).await;
        next.expect("a message in time").and_then(Result::ok)
    }

    /// How the gateway closed it.
    async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.next().await {
                Some(Message::Close(Some(CloseFrame { code, reason }))) => {
                    return (code.into(), reason.to_string());
                }
                Some(_) => {}
                None => panic!("no close frame"),
            }
        }
    }
}

fn told(reason: EndReason) -> (u16, String) {
    (reason.close_code(), reason.as_str().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_come_and_go_on_one_lease() {
    let rig = Rig::start().await;
    let lease = rig.lease().await;
    // The way Playwright takes.
    let version = rig.page(&format!("{}/json/version/", lease.path)).await;
    let url = version["webSocketDebuggerUrl"].as_str().unwrap();
    assert_eq!(url, format!("ws://{}{}", rig.gateway, lease.path));
    let mut first = Client::connect(url).await.unwrap();
    let product = first.call("Browser.getVersion", json!({})).await;
    assert_eq!(product["product"], version["Browser"]);

    let mut second = rig.connect(&lease.path).await;
    rig.attached(&lease, 2).await;
    let (one, two) = tokio::join!(
        first.call("Target.getTargets", json!({})),
        second.call("Target.getTargets", json!({})),
    );
    assert_eq!(one, two);

    let close = CloseFrame {
        code: 1000.into(),
        reason: "done".into(),
    };
    first.socket.close(Some(close)).await.unwrap();
    assert_eq!(first.closed().await, (1000, "done".to_owned()));
    drop(second);
    rig.attached(&lease, 0).await;
    let mut again = rig.connect(&format!("{}/", lease.path)).await;
    again.call("Browser.getVersion", json!({})).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_their_own_sockets_and_replies_may_be_long() {
    let rig = Rig::start().await;
    let lease = rig.lease().await;
    let list = rig.page(&format!("{}/json/list", lease.path)).await;
    assert_eq!(list, rig.page(&format!("{}/json/", lease.path)).await);
    assert!(!list.to_string().contains("devtoolsFrontendUrl"), "{list}");
    let url = list[0]["webSocketDebuggerUrl"].as_str().unwrap();
    let base = format!("ws://{}{}/devtools/page/", rig.gateway, lease.path);
    assert!(url.starts_with(&base), "{url}");
    let mut page = Client::connect(url).await.unwrap();

    const LENGTH: usize = 6 << 20;
    let script = format!("'x'.repeat({LENGTH})");
    let params = json!({ "expression": script, "returnByValue": true });
    let reply = page.call("Runtime.evaluate", params).await;
    assert_eq!(reply["result"]["value"].as_str().unwrap().len(), LENGTH);
    let script = format!("'{}'.length", "y".repeat(LENGTH));
    let reply = page.call("Runtime.evaluate", json!({ "expression": script }));
    assert_eq!(reply.await["result"]["value"], LENGTH);

    let protocol = rig.page(&format!("{}/json/protocol", lease.path)).await;
    assert!(protocol["domains"].is_array());
    let none = format!("ws://{}{}/devtools/page/none", rig.gateway, lease.path);
    let refused = Client::connect(&none).await.err().unwrap();
    let WsError::Http(answer) = *refused else {
        panic!("{refused}");
    };
    assert_eq!(answer.status(), 404);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_asks_for_the_token_first() {
    let rig = Rig::start().await;
    let lease = rig.lease().await;
    let ended = rig.lease().await;
    rig.end(&ended, EndReason::Revoked);
    let (name, secret) = lease.path.split_at(lease.path.rfind('.').unwrap());
    let other = ended.path.split_at(ended.path.rfind('.').unwrap()).1;
    let wrong = [
        format!("{name}{other}"),
        format!("/lease/lease-{:032x}{secret}", 1),
        "/lease/x".to_owned(),
        "/lease/%ff".to_owned(),
        "/lease/".to_owned(),
        name.to_owned(),
    ];
    let routes = [
        "",
        "/",
        "/json",
        "/json/",
        "/json/version",
        "/json/version/",
        "/json/list",
        "/json/protocol",
        "/json/new",
        "/json/close/A",
        "/devtools/page/A",
        "/devtools/browser/A",
        "/files",
        "/files/",
        "/files/x",
        "/files/..%2fprofile",
        "/nonsense",
    ];
    for route in routes {
        for (method, head) in [("GET", ""), ("GET", UPGRADE), ("PUT", ""), ("POST", "")] {
            for wrong in &wrong {
                let (status, answer) = rig.ask(method, &format!("{wrong}{route}"), head).await;
                assert_eq!(status, 404, "{method} {wrong}{route}: {answer}");
                assert!(answer.ends_with("\r\n\r\nno such lease\n"), "{answer}");
            }
            let gone = format!("{}{route}", ended.path);
            let (status, answer) = rig.ask(method, &gone, head).await;
            assert_eq!(status, 410, "{method} {route}: {answer}");
            let body = answer.split_once("\r\n\r\n").unwrap().1;
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["reason"], "revoked");

            let path = format!("{}{route}", lease.path);
            for (more, refused) in [
                (format!("{head}Origin: http://127.0.0.1\r\n"), "Origin"),
                (format!("{head}Host: evil.example\r\n"), "Host"),
            ] {
                let (status, answer) = rig.ask(method, &path, &more).await;
                assert_eq!(status, 403, "{more}");
                assert!(answer.contains(refused), "{answer}");
                assert!(!answer.contains(secret), "{answer}");
            }
        }
    }
    for (method, route, status, word) in [
        ("GET", "", 426, "connectOverCDP"),
        ("GET", "/devtools/page/A", 426, "connectOverCDP"),
        ("PUT", "/json/new", 405, "GET"),
        ("GET", "/json/new", 404, "Target.createTarget"),
        ("GET", "/nonsense", 404, "/json/version"),
        ("GET", "/files/..", 400, "not a name"),
        ("GET", "/files/%2e%2e", 400, "not a name"),
        ("DELETE", "/files/%2E", 400, "not a name"),
        ("GET", "/files/../json/version", 404, "/json/version"),
        ("POST", "/files/x", 405, "GET, PUT, DELETE"),
        ("PUT", "/files", 405, "GET"),
    ] {
        let (found, answer) = rig.ask(method, &format!("{}{route}", lease.path), "").await;
        assert_eq!(found, status, "{answer}");
        assert!(answer.contains(word), "{answer}");
        assert!(!answer.contains(secret), "{answer}");
    }
    let (status, _) = rig.ask("GET", "/json/version", "").await;
    assert_eq!(status, 404);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_told_how_the_lease_ended() {
    let rig = Rig::start().await;
    let released = rig.lease().await;
    let mut client = rig.connect(&released.path).await;
    client.call("Browser.getVersion", json!({})).await;
    rig.end(&released, EndReason::Released);
    assert_eq!(client.closed().await, told(EndReason::Released));
    assert!(client.next().await.is_none());

    let killed = rig.lease().await;
    let mut client = rig.connect(&killed.path).await;
    client.call("Browser.getVersion", json!({})).await;
    kill(Pid::from_raw(killed.pid), Signal::SIGKILL).unwrap();
    assert_eq!(client.closed().await, told(EndReason::BrowserCrashed));

    let spec = AcquireSpec {
        ttl: Some(Duration::from_secs(1)),
        ..AcquireSpec::default()
    };
    let expired = rig.lease_for(spec).await;
    let ends = rig.broker.get(expired.id).unwrap().expires;
    let mut client = rig.connect(&expired.path).await;
    // Traffic does not renew.
    client.call("Browser.getVersion", json!({})).await;
    assert_eq!(client.closed().await, told(EndReason::Expired));
    let late = SystemTime::now().duration_since(ends).unwrap();
    assert!(late < Duration::from_millis(500), "{late:?}");

    let drained = rig.lease().await;
    let mut client = rig.connect(&drained.path).await;
    let (code, ()) = tokio::join!(client.closed(), rig.stop());
    assert_eq!(code, told(EndReason::Drained));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_cut_all_the_same() {
    let rig = Rig::start().await;
    let lease = rig.lease().await;
    let list = rig.page(&format!("{}/json/list", lease.path)).await;
    let id = list[0]["id"].as_str().unwrap();
    let path = format!("{}/devtools/page/{id}", lease.path);
    let mut page = rig.connect(&path).await;
    let params = json!({ "expression": "'x'.repeat(50 << 20)", "returnByValue": true });
    page.send("Runtime.evaluate", params).await;
    sleep(Duration::from_secs(1)).await;
    rig.attached(&lease, 1).await;
    let begun = Instant::now();
    rig.end(&lease, EndReason::Released);
    // Cut in the middle of a frame: no close frame can follow.
    let mut read = 0;
    let socket = page.socket.get_mut();
    let mut buffer = vec![0; 1 << 16];
    sleep(Duration::from_millis(1300)).await;
    while let Ok(count @ 1..) = socket.read(&mut buffer).await {
        read += count;
    }
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert!(read < 50 << 20, "{read}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_are_answered_and_asked() {
    let options = gateway::Options {
        ping_interval: Duration::from_millis(100),
        ..gateway::Options::default()
    };
    let rig = Rig::with(options).await;
    let lease = rig.lease().await;
    let mut client = rig.connect(&lease.path).await;
    let ping = Message::Ping(b"hello"[..].into());
    client.socket.send(ping).await.unwrap();
    let (mut ponged, mut pinged) = (false, 0);
    // Longer than a silent client would be kept: reading is what answers.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(600) {
        match client.next().await.unwrap() {
            Message::Pong(payload) => ponged = &payload[..] == b"hello",
            Message::Ping(_) => pinged += 1,
            other => panic!("{other}"),
        }
    }
    assert!(ponged);
    assert!(pinged >= 4, "{pinged}");
    client.call("Browser.getVersion", json!({})).await;

    let mut silent = rig.raw(&lease.path).await;
    rig.attached(&lease, 2).await;
    let begun = Instant::now();
    let mut pings = Vec::new();
    // The other one must keep answering meanwhile.
    let (read, _) = tokio::join!(silent.read_to_end(&mut pings), async {
        while begun.elapsed() < Duration::from_millis(600) {
            client.next().await.unwrap();
        }
    });
    read.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(pings.starts_with(b"\x89\x05berth"), "{pings:?}");
    rig.attached(&lease, 1).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_is_gone_at_once() {
    let rig = Rig::start().await;
    let lease = rig.lease().await;
    for reset in [false, true] {
        let stream = rig.raw(&lease.path).await;
        rig.attached(&lease, 1).await;
        if reset {
            stream.set_zero_linger().unwrap();
        }
        drop(stream);
        rig.attached(&lease, 0).await;
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_does_not_answer_keeps_nobody_waiting() {
    let rig = Rig::start().await;
    let lease = rig.lease().await;
    kill(Pid::from_raw(lease.pid), Signal::SIGSTOP).unwrap();
    let begun = Instant::now();
    let version = format!("{}/json/version", lease.path);
    let ((socket, why), (page, _)) = tokio::join!(
        rig.ask("GET", &lease.path, UPGRADE),
        rig.ask("GET", &version, ""),
    );
    assert_eq!((socket, page), (502, 502), "{why}");
    assert!(why.contains("did not answer in time"), "{why}");
    assert!(begun.elapsed() < Duration::from_secs(7));
    rig.attached(&lease, 0).await;

    let path = lease.path.clone();
    let (asked, ()) = tokio::join!(rig.ask("GET", &path, UPGRADE), async {
        sleep(Duration::from_millis(100)).await;
        rig.end(&lease, EndReason::HungKilled);
    });
    assert_eq!(asked.0, 410, "{}", asked.1);
    assert!(asked.1.contains("hung_killed"), "{}", asked.1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_rules_end_the_connection() {
    let rig = Rig::start().await;
    let lease = rig.lease().await;
    for bytes in [
        &b"\x81\x02{}"[..],
        b"\xc1\x82\0\0\0\0{}",
        b"\x09\x80\0\0\0\0",
        b"\x89\xfe\0\x7e\0\0\0\0",
    ] {
        let mut stream = rig.raw(&lease.path).await;
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut answer));
        read.await.unwrap().unwrap();
        assert_eq!(answer[0], 0x88, "{answer:?}");
        assert_eq!(answer[2..4], 1002_u16.to_be_bytes(), "{answer:?}");
    }
    rig.attached(&lease, 0).await;
    rig.stop().await;
}
