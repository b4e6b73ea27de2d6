//! The CDP gateway with real browsers behind it and plain websocket clients before it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by them"
)]

mod clients;
mod frames;
mod routes;

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
use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};
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
