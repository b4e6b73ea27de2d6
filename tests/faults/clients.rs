//! Clients that vanish, and origins that fail.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_only_acquired_vanishes_and_its_lease_ends_at_the_ttl() {
    let broker = Broker::start().await;
    let channel = broker.connect().await;
    let mut client = berth::proto::lease_service_client::LeaseServiceClient::new(channel);
    let asked = AcquireRequest {
        ttl: secs(10),
        ..AcquireRequest::default()
    };
    let lease = acquire(&mut client, asked).await.unwrap();
    drop(client);
    sleep(Duration::from_millis(500)).await;
    assert_eq!(broker.status().await.leases.len(), 1, "its TTL decides");
    until("it ended", async || broker.status().await.leases.is_empty()).await;
    assert_eq!(broker.get(&lease.id).await.end_reason(), EndReason::Expired);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_hold_loses_its_connection() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let channel = broker.connect().await;
    let mut client = berth::proto::lease_service_client::LeaseServiceClient::new(channel);
    let (say, said) = mpsc::channel(1);
    let request = Some(Ask::Acquire(AcquireRequest::default()));
    say.send(HoldRequest { request }).await.unwrap();
    let mut events = client
        .hold(ReceiverStream::new(said))
        .await
        .unwrap()
        .into_inner();
    let granted = events.message().await.unwrap().unwrap().event.unwrap();
    assert!(matches!(granted, Event::Granted(_)));
    drop((events, client, say));
    let begun = Instant::now();
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    broker.release(&lease).await;
    broker.stop().await;
}

/// An origin that answers each connection in another wrong way.
async fn broken_origin() -> (u16, tokio::task::AbortHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = tokio::task::JoinSet::new();
    let handle = tasks.spawn(async move {
        let mut held = Vec::new();
        for number in 0_usize.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let answer: &[u8] = match number % 3 {
                0 => b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\ncut off",
                1 => b"nonsense\r\n\r\n",
                _ => {
                    // Silent, for as long as the client cares.
                    held.push(stream);
                    continue;
                }
            };
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer).await;
        }
    });
    // Ends with the runtime or when aborted.
    tasks.detach_all();
    (port, handle)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_fetches_fail_and_leave_nothing() {
    let broker = Broker::with(|config| {
        config.http_connect_timeout = Duration::from_secs(2);
        config.http_first_byte_timeout = Duration::from_millis(300);
        config.http_read_timeout = Duration::from_millis(300);
    })
    .await;
    let (port, origin) = broken_origin().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = closed.local_addr().unwrap().port();
    drop(closed);
    let broken = format!("http://127.0.0.1:{port}/");
    let kinds = [
        (format!("http://127.0.0.1:{refused}/"), FetchStrategy::Http),
        ("http://nowhere.invalid/".to_owned(), FetchStrategy::Http),
        (broken.clone(), FetchStrategy::Http),
        (format!("https://127.0.0.1:{port}/"), FetchStrategy::Http),
        (broken.clone(), FetchStrategy::Http),
    ];
    let before = broker.status().await.open_fds;
    let mut running = FuturesUnordered::new();
    let mut reasons = std::collections::BTreeMap::<String, usize>::new();
    let mut note = |done: Result<tonic::Response<berth::proto::FetchResponse>, Status>| {
        let error = done.expect_err("every one of them fails");
        *reasons.entry(reason(&error)).or_default() += 1;
    };
    for number in 0..1000_usize {
        // One in fifty in a browser: a navigation that fails.
        let (url, strategy) = if number % 50 == 0 {
            (
                format!("http://127.0.0.1:{refused}/"),
                FetchStrategy::Browser,
            )
        } else {
            kinds[number % kinds.len()].clone()
        };
        let mut request = Request::new(fetch(url, strategy));
        request.set_timeout(BOUND);
        let mut client = broker.fetches();
        running.push(async move { client.fetch(request).await });
        if running.len() >= 40 {
            note(running.next().await.unwrap());
        }
    }
    while let Some(done) = running.next().await {
        note(done);
    }
    for expected in [
        "ORIGIN_REFUSED",
        "ORIGIN_DNS",
        "ORIGIN_PROTOCOL",
        "ORIGIN_TIMEOUT",
    ] {
        assert!(reasons.contains_key(expected), "{expected}: {reasons:?}");
    }
    origin.abort();
    let status = broker.status().await;
    let fetches = status.fetches.unwrap();
    assert_eq!(
        (fetches.active, fetches.waiting, fetches.failed),
        (0, 0, 1000)
    );
    assert!(status.browsers.iter().all(|one| one.contexts == 0));
    until("the descriptors are back", async || {
        broker.status().await.open_fds <= before + 25
    })
    .await;
    broker.stop().await;
}
