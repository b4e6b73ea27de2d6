//! Many clients, slow ones and hostile ones: bounded in count and time, on loopback.

mod support;

use std::time::Duration;

use berth::proto::{
    AcquireRequest, FetchManyRequest, FetchRequest, GetStatusRequest, HoldRequest, ListRequest,
    ReleaseRequest, WatchStatusRequest, admin_service_client::AdminServiceClient,
    fetch_service_client::FetchServiceClient, hold_request::Request as Ask, hold_response::Event,
    lease_service_client::LeaseServiceClient,
};
use nix::sys::signal::Signal;
use support::{BOUND, Broker, Cdp, Ground, Service, acquire, proto, reason, secs, until};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::HealthCheckRequest;
use tonic_types::StatusExt;

/// What the broker's memory may grow by under load, in bytes.
const GROWTH: u64 = 48 << 20;

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
    // Ten who may wait; everybody else is one too many.
    let mut waiting = JoinSet::new();
    for _ in 0..10 {
        let mut leases = leases.clone();
        waiting.spawn(async move { leases.acquire(bounded(AcquireRequest::default())).await });
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
        .initial_connection_window_size(65_535);
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
    let lease = acquire(&mut service.leases().await, AcquireRequest::default())
        .await
        .unwrap();
    let lease_id = lease.id;
    service
        .leases()
        .await
        .release(ReleaseRequest { lease_id })
        .await
        .unwrap();
    // One that reads again gets what is true then.
    let mut late = streams.pop().unwrap();
    assert!(late.message().await.unwrap().is_some());
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended().await.0, Some(0), "nor the end");
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
