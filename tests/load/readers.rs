//! Clients that do not read.

use super::*;

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
