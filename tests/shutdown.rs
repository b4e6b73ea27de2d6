//! How a service ends: by a drain, by force, and by `kill -9`.

mod support;

use std::time::Duration;

use berth::proto::{
    AcquireRequest, DrainRequest, EndReason, FetchRequest, FetchStrategy, GetRequest, HoldRequest,
    HoldResponse, Lease, ReleaseRequest, ResumeRequest, WatchStatusRequest,
    admin_service_client::AdminServiceClient, hold_request::Request as Ask, hold_response::Event,
    lease_service_client::LeaseServiceClient,
};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::json;
use support::{BOUND, Cdp, Ground, Service, acquire, reason, serve, site::Site, until};
use tokio::{
    net::TcpStream,
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Streaming};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_the_broker_leaves_no_browser_and_the_next_start_sweeps() {
    let ground = Ground::new();
    let mut service = Service::start(ground.path(), &["--min-warm", "2"]).await;
    let lease = acquire(&mut service.leases().await, AcquireRequest::default())
        .await
        .unwrap();
    let _client = Cdp::connect(&lease.cdp_url).await;
    assert!(!ground.browsers().is_empty());
    service.signal(Signal::SIGKILL);
    service.child.wait().await.unwrap();
    let took = ground.deserted().await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(ground.files().len(), 1, "its directory is a ruin");

    let mut next = Service::cold(serve(ground.path(), &[])).await;
    assert_eq!(
        ground.files().len(),
        1,
        "the ruin is swept, the new one's is there"
    );
    until("a browser is up", async || !ground.browsers().is_empty()).await;
    next.signal(Signal::SIGTERM);
    next.event("server.stopped").await;
    assert_eq!(next.ended().await.0, Some(0));
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_full_load_ends_in_time_and_leaves_nothing() {
    let ground = Ground::new();
    let site = Site::start().await;
    let flags = ["--shutdown-timeout", "6s"];
    let service = Service::start(ground.path(), &flags).await;
    let mut leases = service.leases().await;
    let lease = acquire(&mut leases, AcquireRequest::default())
        .await
        .unwrap();
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    let forever = json!({"expression": "for(;;);"});
    client.send(Some(&page), "Runtime.evaluate", forever).await;
    // More fetches than there are seats, of pages that never come.
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let mut fetches = service.fetches().await;
        let mut request = Request::new(FetchRequest {
            url: site.url("/hang"),
            strategy: FetchStrategy::Browser.into(),
            ..FetchRequest::default()
        });
        request.set_timeout(BOUND);
        tasks.spawn(async move { fetches.fetch(request).await.unwrap_err() });
    }
    // And more who wait for a lease than there are browsers.
    for _ in 0..10 {
        let mut leases = leases.clone();
        tasks.spawn(async move {
            match acquire(&mut leases, AcquireRequest::default()).await {
                Err(error) => error,
                Ok(_) => panic!("no capacity"),
            }
        });
    }
    until("they are under way", async || {
        service.status().await.waiting >= 10
    })
    .await;
    let begun = Instant::now();
    service.signal(Signal::SIGTERM);
    let refused = until("new work is refused", async || {
        let asked = acquire(&mut leases.clone(), AcquireRequest::default()).await;
        asked.is_err_and(|error| reason(&error) == "DRAINING")
    })
    .await;
    assert!(refused < Duration::from_secs(1), "{refused:?}");
    let lease_id = lease.id.clone();
    let seen = leases
        .get(GetRequest { lease_id })
        .await
        .unwrap()
        .into_inner()
        .lease
        .unwrap();
    assert_eq!(
        seen.end_reason(),
        EndReason::Unspecified,
        "running work goes on in the grace"
    );
    assert_eq!(client.closed().await, Some((4009, "drained".into())));
    while let Some(done) = tasks.join_next().await {
        let error = done.unwrap();
        assert_eq!(error.code(), Code::Unavailable, "{error:?}");
    }
    let (code, _) = service.ended().await;
    let took = begun.elapsed();
    assert_eq!(code, Some(3), "work was cut");
    assert!(took < Duration::from_secs(7), "{took:?}");
    ground.assert_clean();
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_and_open_watches_do_not_hold_up_the_exit() {
    let ground = Ground::new();
    let service = Service::start(ground.path(), &[]).await;
    let address = service.grpc.strip_prefix("http://").unwrap();
    let _silent = [
        TcpStream::connect(address).await.unwrap(),
        TcpStream::connect(&service.gateway).await.unwrap(),
        TcpStream::connect(&service.ops).await.unwrap(),
    ];
    let mut health = HealthClient::new(service.channel().await);
    let request = HealthCheckRequest::default();
    let mut watch = health.watch(request).await.unwrap().into_inner();
    // Looked at a few times a second: it may not know yet what the ops port does.
    while watch.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    let mut admin = service.admin().await;
    let request = WatchStatusRequest::default();
    let mut statuses = admin.watch_status(request).await.unwrap().into_inner();
    statuses.message().await.unwrap().unwrap();

    let begun = Instant::now();
    service.signal(Signal::SIGINT);
    let next = watch.message().await.unwrap().unwrap();
    assert_eq!(
        next.status(),
        ServingStatus::NotServing,
        "told before anything else"
    );
    assert_eq!(service.ended().await.0, Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_waits_for_leases_to_be_given_back() {
    let ground = Ground::new();
    let service = Service::start(ground.path(), &[]).await;
    let mut leases = service.leases().await;
    let lease = acquire(&mut leases, AcquireRequest::default())
        .await
        .unwrap();
    let mut client = Cdp::connect(&lease.cdp_url).await;
    service.signal(Signal::SIGTERM);
    sleep(Duration::from_millis(500)).await;
    let version = client.call(None, "Browser.getVersion", json!({})).await;
    assert!(
        version["result"].is_object(),
        "the browser is still the client's"
    );
    let begun = Instant::now();
    leases
        .release(ReleaseRequest { lease_id: lease.id })
        .await
        .unwrap();
    assert_eq!(service.ended().await.0, Some(0), "nothing was cut");
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_stream_is_told_that_it_was_drained() {
    let ground = Ground::new();
    let service = Service::start(ground.path(), &["--shutdown-timeout", "3s"]).await;
    let (say, said) = mpsc::channel(1);
    let request = Some(Ask::Acquire(AcquireRequest::default()));
    say.send(HoldRequest { request }).await.unwrap();
    let mut leases = service.leases().await;
    let mut events = leases
        .hold(ReceiverStream::new(said))
        .await
        .unwrap()
        .into_inner();
    assert!(matches!(
        events.message().await.unwrap().unwrap().event,
        Some(Event::Granted(_))
    ));
    service.signal(Signal::SIGTERM);
    let mut next = async || {
        let event = timeout(BOUND, events.message()).await.unwrap().unwrap();
        event.unwrap().event.unwrap()
    };
    let Event::Draining(draining) = next().await else {
        panic!("told before it is cut");
    };
    let left = Duration::try_from(draining.remaining.unwrap()).unwrap();
    assert!(
        left <= Duration::from_secs(2),
        "the grace is what is left: {left:?}"
    );
    let Event::Ended(ended) = next().await else {
        panic!("the end");
    };
    assert!(ended.storage_state.is_empty() && ended.storage_state_error.is_empty());
    assert_eq!(ended.reason(), EndReason::Drained);
    assert_eq!(service.ended().await.0, Some(3));
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_exits_at_once_and_browsers_end_by_themselves() {
    let ground = Ground::new();
    let mut service = Service::start(ground.path(), &["--shutdown-timeout", "60s"]).await;
    let mut leases = service.leases().await;
    let _lease = acquire(&mut leases, AcquireRequest::default())
        .await
        .unwrap();
    service.signal(Signal::SIGTERM);
    service.event("server.draining").await;
    let begun = Instant::now();
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended().await.0, Some(3));
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    ground.deserted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_drains_resumes_and_shuts_down() {
    let ground = Ground::new();
    let service = Service::start(ground.path(), &[]).await;
    let mut admin = service.admin().await;
    let mut leases = service.leases().await;
    let mut health = HealthClient::new(service.channel().await);
    let lease = acquire(&mut leases, AcquireRequest::default())
        .await
        .unwrap();
    let drained = admin
        .drain(DrainRequest { shutdown: false })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(drained.running, 1);
    let error = acquire(&mut leases, AcquireRequest::default())
        .await
        .unwrap_err();
    assert_eq!(reason(&error), "DRAINING");
    let mut serving = async |wanted| {
        let request = HealthCheckRequest::default();
        health.check(request).await.unwrap().into_inner().status() == wanted
    };
    until("probes see it", async || {
        serving(ServingStatus::NotServing).await
    })
    .await;
    admin.resume(ResumeRequest {}).await.unwrap();
    until("probes see that, too", async || {
        serving(ServingStatus::Serving).await
    })
    .await;
    leases
        .release(ReleaseRequest { lease_id: lease.id })
        .await
        .unwrap();
    let next = acquire(&mut leases, AcquireRequest::default())
        .await
        .unwrap();
    leases
        .release(ReleaseRequest { lease_id: next.id })
        .await
        .unwrap();
    admin.drain(DrainRequest { shutdown: true }).await.unwrap();
    assert_eq!(service.ended().await.0, Some(0));
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_stops_nothing() {
    let ground = Ground::new();
    let mut command = serve(ground.path(), &["--log-level", "trace"]);
    let mut child = command.spawn().unwrap();
    let mut log = tokio::io::BufReader::new(child.stderr.take().unwrap());
    let grpc = loop {
        let mut line = String::new();
        tokio::io::AsyncBufReadExt::read_line(&mut log, &mut line)
            .await
            .unwrap();
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        if event["message"] == "server.started" {
            break format!("http://{}", event["grpc"].as_str().unwrap());
        }
    };
    // From here on nobody reads, and a pipe holds 64 KiB.
    let mut leases = LeaseServiceClient::connect(grpc.clone()).await.unwrap();
    for _ in 0..40 {
        let lease = acquire(&mut leases, AcquireRequest::default())
            .await
            .unwrap();
        leases
            .release(ReleaseRequest { lease_id: lease.id })
            .await
            .unwrap();
    }
    let mut admin = AdminServiceClient::connect(grpc).await.unwrap();
    admin.drain(DrainRequest { shutdown: true }).await.unwrap();
    let status = timeout(BOUND, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    drop(log);
    ground.assert_clean();
}

/// A Hold that wants the storage state, its first page, and the way to its events.
async fn held(
    service: &Service,
) -> (
    Lease,
    Cdp,
    mpsc::Sender<HoldRequest>,
    Streaming<HoldResponse>,
) {
    let (say, said) = mpsc::channel(1);
    let acquire = AcquireRequest {
        storage_state: true,
        ..AcquireRequest::default()
    };
    let request = Some(Ask::Acquire(acquire));
    say.send(HoldRequest { request }).await.unwrap();
    let held = service.leases().await.hold(ReceiverStream::new(said)).await;
    let mut events = held.unwrap().into_inner();
    let lease = loop {
        if let Some(Event::Granted(granted)) = told(&mut events).await {
            break granted.lease.unwrap();
        }
    };
    let client = Cdp::connect(&lease.cdp_url).await;
    (lease, client, say, events)
}

async fn told(events: &mut Streaming<HoldResponse>) -> Option<Event> {
    let message = timeout(BOUND, events.message()).await.unwrap().unwrap();
    message.map(|message| message.event.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_is_told_the_deadline_and_takes_its_state_along() {
    let ground = Ground::new();
    let site = Site::start().await;
    let service = Service::start(ground.path(), &["--shutdown-timeout", "6s"]).await;
    let (lease, mut client, _say, mut events) = held(&service).await;
    let page = client.page().await;
    client
        .call(
            Some(&page),
            "Page.navigate",
            json!({"url": site.url("/who")}),
        )
        .await;
    until("the page is there", async || {
        client.evaluate(&page, "document.title").await == "nobody"
    })
    .await;
    let log_in = "document.cookie = 'user=ada; path=/'; localStorage.setItem('key', 'value'); 1";
    client.evaluate(&page, log_in).await;
    let mut leases = service.leases().await;
    let begun = Instant::now();
    service.signal(Signal::SIGTERM);
    let Some(Event::Draining(draining)) = told(&mut events).await else {
        panic!("told of the drain");
    };
    let lease_id = lease.id;
    let shown = leases.get(GetRequest { lease_id }).await.unwrap();
    let shown = shown.into_inner().lease.unwrap().drain_time.unwrap();
    let deadline = draining.deadline.unwrap();
    assert!(
        (shown.seconds - deadline.seconds).abs() <= 1,
        "{shown:?} {deadline:?}"
    );
    let Some(Event::Ended(ended)) = told(&mut events).await else {
        panic!("the end");
    };
    assert_eq!(ended.reason(), EndReason::Drained);
    assert_eq!(ended.storage_state_error, "");
    let state: serde_json::Value = serde_json::from_str(&ended.storage_state).unwrap();
    assert_eq!(state["cookies"][0]["name"], "user");
    assert_eq!(state["cookies"][0]["value"], "ada");
    assert_eq!(state["origins"][0]["origin"], site.url(""));
    let item = json!([{"name": "key", "value": "value"}]);
    assert_eq!(state["origins"][0]["localStorage"], item);
    assert_eq!(service.ended().await.0, Some(3));
    assert!(
        begun.elapsed() < Duration::from_secs(7),
        "{:?}",
        begun.elapsed()
    );
    ground.assert_clean();
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_page_or_browser_does_not_hold_up_the_end_and_says_what_is_missing() {
    let ground = Ground::new();
    let site = Site::start().await;
    let service = Service::start(ground.path(), &["--shutdown-timeout", "4s"]).await;
    let (_, mut page_hangs, _say_page, mut of_page) = held(&service).await;
    let page = page_hangs.page().await;
    let cookie = json!({"name": "user", "value": "ada", "url": site.url("/")});
    page_hangs
        .call(Some(&page), "Network.setCookie", cookie)
        .await;
    let forever = json!({"expression": "for(;;);"});
    page_hangs
        .send(Some(&page), "Runtime.evaluate", forever)
        .await;
    let (lease, _client, _say, mut of_browser) = held(&service).await;
    let name = lease.browser.unwrap().id;
    let status = service.status().await;
    let browser = status.browsers.iter().find(|one| one.id == name).unwrap();
    killpg(Pid::from_raw(browser.pid), Signal::SIGSTOP).unwrap();

    let begun = Instant::now();
    service.signal(Signal::SIGTERM);
    let end = async |events: &mut Streaming<HoldResponse>| loop {
        if let Some(Event::Ended(ended)) = told(events).await {
            return ended;
        }
    };
    let ended = end(&mut of_page).await;
    assert!(ended.storage_state.contains("\"ada\""), "{ended:?}");
    assert!(ended.storage_state_error.contains("1 page"), "{ended:?}");
    let ended = end(&mut of_browser).await;
    assert_eq!(ended.storage_state, "");
    assert!(!ended.storage_state_error.is_empty(), "{ended:?}");
    assert_eq!(service.ended().await.0, Some(3));
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    ground.assert_clean();
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_stream_may_ask_for_the_state() {
    let ground = Ground::new();
    let service = Service::start(ground.path(), &[]).await;
    let request = AcquireRequest {
        storage_state: true,
        ..AcquireRequest::default()
    };
    let refused = acquire(&mut service.leases().await, request)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(support::broker::fields(&refused), ["storage_state"]);
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended().await.0, Some(0));
    ground.assert_clean();
}
