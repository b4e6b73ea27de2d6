//! Many clients, slow ones and hostile ones: bounded in count and time, on loopback.

mod support;

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use berth::{
    http_server,
    proto::{
        AcquireRequest, EndReason, FetchFormat, FetchManyRequest, FetchRequest, GetRequest,
        GetStatusRequest, HoldRelease, HoldRequest, HoldResponse, Lease, ListRequest,
        ReleaseRequest, WatchStatusRequest, admin_service_client::AdminServiceClient,
        fetch_service_client::FetchServiceClient, hold_request::Request as Ask,
        hold_response::Event, lease_service_client::LeaseServiceClient,
    },
};
use nix::sys::signal::Signal;
use procfs::process::Process;
use support::{BOUND, Broker, Cdp, Ground, Service, acquire, proto, reason, secs, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Status, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::HealthCheckRequest;
use tonic_types::StatusExt;

/// What the broker's memory may grow by under load, in bytes.
const GROWTH: u64 = 48 << 20;

/// Somebody else is served.
async fn lease_and_give_back(service: &Service) {
    let mut leases = service.leases().await;
    let lease = acquire(&mut leases, AcquireRequest::default()).await;
    let lease_id = lease.unwrap().id;
    let given_back = leases.release(ReleaseRequest { lease_id }).await;
    given_back.unwrap();
}

fn bounded<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(BOUND);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_calls_over_a_hundred_connections_are_all_answered() {
    const CONNECTIONS: usize = 100;
    let broker = Broker::start().await;
    let mut calls = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let channel = broker.connect().await;
        let (mut admin, mut leases) = (
            AdminServiceClient::new(channel.clone()),
            LeaseServiceClient::new(channel.clone()),
        );
        calls.spawn(async move {
            admin
                .get_status(bounded(GetStatusRequest {}))
                .await
                .map(drop)
        });
        let mut lists = leases.clone();
        calls.spawn(async move { lists.list(bounded(ListRequest::default())).await.map(drop) });
        // What only asks whether there is one, and takes a refusal for an answer.
        calls.spawn(async move {
            let request = AcquireRequest {
                wait: proto(Duration::ZERO),
                ..AcquireRequest::default()
            };
            match leases.acquire(bounded(request)).await {
                Ok(granted) => {
                    let lease_id = granted.into_inner().lease.unwrap().id;
                    leases
                        .release(bounded(ReleaseRequest { lease_id }))
                        .await
                        .map(drop)
                }
                Err(refused) if reason(&refused) == "POOL_EXHAUSTED" => Ok(()),
                Err(other) => Err(other),
            }
        });
        for _ in 0..2 {
            let mut fetches = FetchServiceClient::new(channel.clone());
            let url = broker.site.url("/");
            calls.spawn(async move {
                let request = FetchRequest {
                    url,
                    ..FetchRequest::default()
                };
                match fetches.fetch(bounded(request)).await {
                    Err(refused) if reason(&refused) == "POOL_EXHAUSTED" => Ok(()),
                    fetched => fetched.map(drop),
                }
            });
        }
    }
    assert_eq!(calls.len(), 5 * CONNECTIONS);
    while let Some(answered) = timeout(BOUND * 2, calls.join_next()).await.unwrap() {
        answered.unwrap().unwrap();
    }
    until("everything is given back", async || {
        let status = broker.status().await;
        status.leases.is_empty() && status.running == 0
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_acquires_is_refused_cheaply_and_disturbs_no_lease() {
    const FLOOD: usize = 10_000;
    const AT_ONCE: usize = 500;
    let ground = Ground::new();
    let flags = ["--max-browsers", "1", "--queue", "10"];
    let service = Service::start(ground.path(), &flags).await;
    let mut leases = service.leases().await;
    let request = AcquireRequest {
        ttl: secs(600),
        ..AcquireRequest::default()
    };
    let lease = acquire(&mut leases, request).await.unwrap();
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    // Ten who may wait, for longer than a flood takes; everybody else is one too many.
    let mut waiting = JoinSet::new();
    for _ in 0..10 {
        let mut leases = leases.clone();
        waiting.spawn(async move { leases.acquire(AcquireRequest::default()).await });
    }
    until("they wait", async || service.status().await.waiting == 10).await;
    let before = service.status().await;

    let mut flood = JoinSet::new();
    for _ in 0..AT_ONCE {
        // All on one connection, as a broken client would.
        let mut leases = leases.clone();
        flood.spawn(async move {
            let mut refused = 0;
            for _ in 0..FLOOD / AT_ONCE {
                let error = leases
                    .acquire(bounded(AcquireRequest::default()))
                    .await
                    .unwrap_err();
                assert_eq!(error.code(), Code::ResourceExhausted, "{error:?}");
                refused += 1;
            }
            refused
        });
    }
    let over = CancellationToken::new();
    let flooding = async {
        let mut refused = 0;
        while let Some(done) = flood.join_next().await {
            refused += done.unwrap();
        }
        over.cancel();
        refused
    };
    let working = async {
        let mut worked = 0;
        while !over.is_cancelled() {
            assert_eq!(client.evaluate(&page, "6 * 7").await, 42);
            worked += 1;
        }
        worked
    };
    let (refused, worked) = tokio::join!(flooding, working);
    assert_eq!(refused, FLOOD);
    assert!(worked >= 10, "the client got {worked} answers meanwhile");
    assert_eq!(client.evaluate(&page, "1 + 1").await, 2);
    let after = service.status().await;
    assert_eq!(
        after.launches, before.launches,
        "nothing was started for them"
    );
    assert_eq!(after.leases.len(), 1);
    let grown = after.resident_bytes.saturating_sub(before.resident_bytes);
    assert!(grown < GROWTH, "{grown} bytes");
    waiting.shutdown().await;
    leases
        .release(ReleaseRequest { lease_id: lease.id })
        .await
        .unwrap();
    service.signal(Signal::SIGTERM);
    let (code, log) = service.ended().await;
    assert_eq!(code, Some(0));
    let lines = log
        .iter()
        .filter(|line| line["message"] == "pool.exhausted")
        .count();
    assert!(
        (1..100).contains(&lines),
        "{lines} lines for {FLOOD} refusals"
    );
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_do_not_read_hold_up_nobody() {
    const STREAMS: usize = 100;
    let ground = Ground::new();
    let service = Service::start(ground.path(), &[]).await;
    let before = service.status().await.resident_bytes;
    let slow = Endpoint::from_shared(service.grpc.clone())
        .unwrap()
        .initial_stream_window_size(1024)
        // Room for what each stream has: the first of them must not starve the last.
        .initial_connection_window_size(1 << 20);
    let slow = slow.connect().await.unwrap();
    let mut streams = Vec::new();
    let interval = proto(Duration::from_millis(100));
    for _ in 0..STREAMS {
        let mut admin = AdminServiceClient::new(slow.clone());
        let watch = admin.watch_status(WatchStatusRequest { interval }).await;
        streams.push(watch.unwrap().into_inner());
    }
    // Time for thousands of messages, if anybody kept them.
    for _ in 0..30 {
        service.status().await;
        sleep(Duration::from_millis(100)).await;
    }
    let grown = service.status().await.resident_bytes.saturating_sub(before);
    assert!(grown < GROWTH, "{grown} bytes");
    lease_and_give_back(&service).await;
    // One that reads again gets what is true then.
    let mut late = streams.pop().unwrap();
    let told = timeout(BOUND, late.message()).await.unwrap();
    assert!(told.unwrap().is_some());
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended().await.0, Some(0), "nor the end");
    ground.assert_clean();
}

/// An origin of large documents, which counts how many were asked for.
struct Large {
    url: String,
    asked: Arc<AtomicUsize>,
    stop: CancellationToken,
    serving: JoinSet<()>,
}

impl Large {
    const BYTES: usize = 1 << 20;

    async fn start() -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let large = get(async move || {
            counted.fetch_add(1, Ordering::SeqCst);
            "x".repeat(Self::BYTES)
        });
        let router = Router::new().route("/{number}", large);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let mut serving = JoinSet::new();
        let stopped = stop.clone().cancelled_owned();
        serving.spawn(http_server::serve("large", 1024, listener, router, stopped));
        Self {
            url,
            asked,
            stop,
            serving,
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while self.serving.join_next().await.is_some() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_fetches_for_one_that_does_not_read_are_held_back() {
    const ALL: usize = 200;
    /// As many as a stream has under way unless it says otherwise.
    const MOST: usize = 16;
    let ground = Ground::new();
    let service = Service::start(ground.path(), &["--cache-bytes", "0"]).await;
    let origin = Large::start().await;
    let before = service.status().await.resident_bytes;
    let slow = Endpoint::from_shared(service.grpc.clone()).unwrap();
    let slow = slow.initial_stream_window_size(65_535);
    let slow = slow.initial_connection_window_size(65_535);
    let mut fetches = FetchServiceClient::new(slow.connect().await.unwrap());
    let (say, said) = mpsc::channel(ALL);
    for number in 0..ALL {
        let fetch = FetchRequest {
            url: format!("{}/{number}", origin.url),
            formats: vec![FetchFormat::Raw.into()],
            ..FetchRequest::default()
        };
        let request = FetchManyRequest {
            id: number.to_string(),
            fetch: Some(fetch),
            options: None,
        };
        say.send(request).await.unwrap();
    }
    let results = fetches.fetch_many(ReceiverStream::new(said)).await;
    let results = results.unwrap().into_inner();
    until("some are fetched", async || origin.asked() >= MOST).await;
    // It comes to rest, long before all of them.
    let (mut seen, mut since) = (0, Instant::now());
    until("nothing more is begun", async || {
        if origin.asked() != seen {
            (seen, since) = (origin.asked(), Instant::now());
        }
        since.elapsed() > Duration::from_secs(3)
    })
    .await;
    // What runs, what the stream's one place and the windows of HTTP/2 hold.
    assert!(seen <= MOST + 8, "{seen} of {ALL}");
    let grown = service.status().await.resident_bytes.saturating_sub(before);
    println!("{seen} begun, {grown} bytes more");
    assert!(grown < GROWTH, "{grown} bytes");
    // Others get theirs meanwhile.
    let request = FetchRequest {
        url: format!("{}/other", origin.url),
        formats: vec![FetchFormat::Raw.into()],
        ..FetchRequest::default()
    };
    service
        .fetches()
        .await
        .fetch(bounded(request))
        .await
        .unwrap();
    drop((results, say, fetches));
    until("all is given back", async || {
        let metrics = reqwest::get(format!("http://{}/metrics", service.ops));
        let metrics = metrics.await.unwrap().text().await.unwrap();
        let nothing = [
            "berth_http_connections{state=\"active\"} 0",
            "berth_http_requests_waiting 0",
        ];
        service.status().await.running == 0 && nothing.iter().all(|one| metrics.contains(one))
    })
    .await;
    assert_eq!(origin.asked(), seen + 1, "none was begun for nobody");
    origin.stop().await;
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended().await.0, Some(0));
    ground.assert_clean();
}

/// A holder that reads nothing: what it says, and what it does not look at.
struct Deaf {
    say: mpsc::Sender<HoldRequest>,
    _events: Streaming<HoldResponse>,
    lease: Lease,
}

impl Deaf {
    /// One that was told its place in the queue so often that the stream has room for nothing more,
    /// and then got the only browser.
    async fn hold(service: &Service, request: AcquireRequest) -> Self {
        const AHEAD: u32 = 60;
        let mut leases = service.leases().await;
        let first = acquire(&mut leases, AcquireRequest::default())
            .await
            .unwrap();
        let mut waiting = Vec::new();
        for number in 1..=AHEAD {
            let mut leases = leases.clone();
            let mut one = JoinSet::new();
            one.spawn(async move { leases.acquire(bounded(AcquireRequest::default())).await });
            waiting.push(one);
            until("it waits", async || {
                service.status().await.waiting == number
            })
            .await;
        }
        let channel = Endpoint::from_shared(service.grpc.clone()).unwrap();
        let channel = channel.initial_stream_window_size(16);
        let mut holder = LeaseServiceClient::new(channel.connect().await.unwrap());
        let (say, said) = mpsc::channel(2);
        let request = Some(Ask::Acquire(request));
        say.send(HoldRequest { request }).await.unwrap();
        let events = holder.hold(ReceiverStream::new(said)).await.unwrap();
        until("it waits, too", async || {
            service.status().await.waiting == AHEAD + 1
        })
        .await;
        let mut left = AHEAD + 1;
        for mut one in waiting {
            one.shutdown().await;
            left -= 1;
            until("one has left", async || {
                service.status().await.waiting == left
            })
            .await;
        }
        let lease_id = first.id.clone();
        leases.release(ReleaseRequest { lease_id }).await.unwrap();
        let mut lease = None;
        until("it has the browser", async || {
            lease = service.status().await.leases.pop();
            lease.as_ref().is_some_and(|lease| lease.id != first.id)
        })
        .await;
        Self {
            say,
            _events: events.into_inner(),
            lease: lease.unwrap(),
        }
    }

    /// Waits until its lease ends, and returns why.
    async fn ended(&self, service: &Service) -> EndReason {
        let mut leases = service.leases().await;
        let mut reason = EndReason::Unspecified;
        until("its lease has ended", async || {
            let lease_id = self.lease.id.clone();
            let got = leases.get(GetRequest { lease_id }).await.unwrap();
            reason = got.into_inner().lease.unwrap().end_reason();
            reason != EndReason::Unspecified
        })
        .await;
        reason
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_does_not_read_is_heard_and_ends_as_others_do() {
    let ground = Ground::new();
    let flags = ["--max-browsers", "1", "--shutdown-timeout", "4s"];
    let service = Service::start(ground.path(), &flags).await;
    let before = service.status().await.resident_bytes;

    let gives_back = Deaf::hold(&service, AcquireRequest::default()).await;
    let request = Some(Ask::Release(HoldRelease {}));
    gives_back.say.send(HoldRequest { request }).await.unwrap();
    assert_eq!(gives_back.ended(&service).await, EndReason::Released);

    let limited = AcquireRequest {
        ttl: secs(3),
        max_lifetime: secs(3),
        ..AcquireRequest::default()
    };
    let too_long = Deaf::hold(&service, limited).await;
    assert_eq!(too_long.ended(&service).await, EndReason::Expired);

    let cut = Deaf::hold(&service, AcquireRequest::default()).await;
    let grown = service.status().await.resident_bytes.saturating_sub(before);
    assert!(grown < GROWTH, "{grown} bytes");
    service.signal(Signal::SIGTERM);
    let begun = Instant::now();
    let (code, log) = service.ended().await;
    // It was told and did not go, so that it was cut: in time.
    assert_eq!(code, Some(3));
    assert!(begun.elapsed() < Duration::from_secs(8), "{log:#?}");
    let ends: Vec<_> = log
        .iter()
        .filter(|line| line["lease"] == cut.lease.id && line["message"] == "lease.ended")
        .map(|line| line["reason"].clone())
        .collect();
    assert_eq!(ends, ["drained"]);
    ground.assert_clean();
}

/// The processor time that a process has taken, in seconds.
fn processor(pid: i32) -> f64 {
    let stat = Process::new(pid).unwrap().stat().unwrap();
    (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64
}

/// The last answer of a kept connection to the ops port: one that needs no descriptor of the broker.
async fn ask(connection: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let whole = async {
        loop {
            connection.read_buf(&mut answer).await.unwrap();
            let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if body.len() >= length {
                return text.clone();
            }
        }
    };
    timeout(BOUND, whole).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_every_port_waits_quietly_and_serves_again() {
    /// More than there will be room for.
    const FLOOD: usize = 60;
    /// What begins a conversation in HTTP/2, and keeps it.
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let ground = Ground::new();
    let flags = ["--canary-interval", "0s", "--leak-interval", "0s"];
    let service = Service::start(ground.path(), &flags).await;
    let pid = service.pid();
    let mut kept = TcpStream::connect(&service.ops).await.unwrap();
    assert!(ask(&mut kept, "/health").await.contains("\"healthy\""));
    let mut known = AdminServiceClient::new(service.channel().await);
    let limit = |soft: usize| {
        let set = Command::new("prlimit")
            .args(["--pid", &pid.to_string(), &format!("--nofile={soft}:")])
            .status();
        assert!(set.unwrap().success());
    };
    let open = || {
        std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .count()
    };
    // Far fewer than the connections there may be: descriptors run out first.
    let most = open() + FLOOD / 2;
    limit(most);
    let grpc = service.grpc.strip_prefix("http://").unwrap().to_owned();
    let mut flood = Vec::new();
    for _ in 0..FLOOD {
        let mut one = TcpStream::connect(&grpc).await.unwrap();
        one.write_all(PREFACE).await.unwrap();
        flood.push(one);
    }
    until("every descriptor is taken", async || open() >= most).await;
    let waits = async |at: &str| {
        let mut one = TcpStream::connect(at).await.unwrap();
        let request = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        one.write_all(request).await.unwrap();
        let mut answer = String::new();
        let early = timeout(Duration::from_secs(1), one.read_to_string(&mut answer)).await;
        assert!(
            early.is_err(),
            "{at} answers without a descriptor: {answer}"
        );
        one
    };
    let mut waiting = [waits(&service.gateway).await, waits(&service.ops).await];

    let (begun, spent) = (Instant::now(), processor(pid));
    sleep(Duration::from_secs(3)).await;
    let share = (processor(pid) - spent) / begun.elapsed().as_secs_f64();
    println!("{share:.3} of a core while nothing can be accepted");
    assert!(share < 0.3, "it spins: {share} of a core");
    until("health says so", async || {
        let health = ask(&mut kept, "/health").await;
        health.starts_with("http/1.1 503") && health.contains("fds_exhausted")
    })
    .await;
    // Whoever is there already is served.
    known
        .get_status(bounded(GetStatusRequest {}))
        .await
        .unwrap();

    drop(flood);
    for one in &mut waiting {
        let mut answer = String::new();
        let answered = timeout(BOUND, one.read_to_string(&mut answer)).await;
        answered.expect("it is accepted now").unwrap();
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    }
    service.status().await;
    until("health is well", async || {
        let health = reqwest::get(format!("http://{}/health", service.ops)).await;
        health.is_ok_and(|answer| answer.status().is_success())
    })
    .await;
    lease_and_give_back(&service).await;
    drop((kept, known));
    service.signal(Signal::SIGTERM);
    let (code, log) = service.ended().await;
    assert_eq!(code, Some(0));
    for port in ["grpc", "gateway", "ops"] {
        for said in [
            "cannot accept a connection",
            "connections are accepted again",
        ] {
            let lines = log
                .iter()
                .filter(|line| line["port"] == port && line["message"] == said);
            let lines = lines.count();
            assert!((1..20).contains(&lines), "{port}: {said}: {lines} times");
        }
    }
    ground.assert_clean();
}

async fn pinging(endpoint: &str) -> Channel {
    let endpoint = Endpoint::from_shared(endpoint.to_owned()).unwrap();
    let endpoint = endpoint
        .http2_keep_alive_interval(Duration::from_secs(1))
        .keep_alive_while_idle(true)
        .keep_alive_timeout(Duration::from_secs(20));
    endpoint.connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_pings_each_second_is_not_cut() {
    let broker = Broker::start().await;
    let (say, said) = mpsc::channel(1);
    let request = Some(Ask::Acquire(AcquireRequest::default()));
    say.send(HoldRequest { request }).await.unwrap();
    let mut leases = LeaseServiceClient::new(pinging(&broker.endpoint()).await);
    let held = leases.hold(ReceiverStream::new(said)).await.unwrap();
    let mut events = held.into_inner();
    let granted = timeout(BOUND, events.message())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(matches!(granted.event, Some(Event::Granted(_))));
    // A server of the strict kind cuts after the third ping.
    let more = timeout(Duration::from_secs(6), events.message()).await;
    assert!(more.is_err(), "nothing happens: {more:?}");
    assert_eq!(broker.status().await.leases.len(), 1);
    drop((say, events, leases));
    until("the lease ended with its stream", async || {
        broker.status().await.leases.is_empty()
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_is_refused_clearly() {
    let broker = Broker::with(|config| config.max_message_size = 64 << 10).await;
    let request = AcquireRequest {
        labels: [("key".to_owned(), "x".repeat(128 << 10))].into(),
        ..AcquireRequest::default()
    };
    let refused = broker.leases().acquire(bounded(request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    assert!(refused.message().contains("65536"), "{}", refused.message());
    let too_large = |refused: &Status| {
        assert_eq!(reason(refused), "MESSAGE_TOO_LARGE");
        let details = refused.get_error_details();
        let metadata = details.error_info().unwrap().metadata.clone();
        assert_eq!(metadata["limit"], "max_message_size");
        assert_eq!(metadata["max_message_size"], "65536");
    };
    too_large(&refused);
    // A stream that has begun ends with the same.
    let request = FetchManyRequest {
        id: "x".repeat(128 << 10),
        ..FetchManyRequest::default()
    };
    let mut requests = Request::new(futures::stream::iter([request]));
    requests.set_timeout(BOUND);
    let mut results = broker.fetches().fetch_many(requests).await.unwrap();
    let refused = results.get_mut().message().await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    too_large(&refused);
    // And so does what is served beside the services of Berth.
    let long = HealthCheckRequest {
        service: "x".repeat(128 << 10),
    };
    too_large(&broker.health().check(long).await.unwrap_err());
    // Metadata beyond the limit of the connection: the call fails, the broker does not.
    let mut request = bounded(GetStatusRequest {});
    let long = "x".repeat(32 << 10).parse().unwrap();
    request.metadata_mut().insert("x-long", long);
    let refused = broker.admin().get_status(request).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(broker.status().await.leases.len(), 0);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_waits_and_a_silent_one_loses_its_place() {
    let broker = Broker::with(|config| config.max_connections = 3).await;
    let address = broker.endpoint();
    let address = address.strip_prefix("http://").unwrap();
    // The broker's own client has one place.
    broker.status().await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let other = broker.connect().await;
    let next = Channel::from_shared(broker.endpoint()).unwrap();
    let mut admin = AdminServiceClient::new(next.connect_lazy());
    let early = admin.get_status(GetStatusRequest {});
    let early = timeout(Duration::from_secs(1), early).await;
    assert!(early.is_err(), "it waits: {early:?}");
    // Within some seconds whoever says nothing is sent away, and the next has its place.
    let mut nothing = Vec::new();
    let closed = timeout(BOUND, silent.read_to_end(&mut nothing))
        .await
        .unwrap();
    assert!(closed.is_err() || nothing.len() < 1024);
    admin
        .get_status(bounded(GetStatusRequest {}))
        .await
        .unwrap();
    drop((silent, other, admin));
    broker.stop().await;
}
