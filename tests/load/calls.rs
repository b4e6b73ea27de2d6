//! Many calls at once.

use super::*;

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
