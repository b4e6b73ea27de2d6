//! What must hold when things go wrong: each a test against real processes.

mod support;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use berth::proto::{
    AcquireRequest, EndReason, FetchFormat, FetchRequest, FetchStrategy, HoldRequest,
    RetireBrowserRequest, hold_request::Request as Ask, hold_response::Event,
};
use futures::{StreamExt, stream::FuturesUnordered};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use serde_json::json;
use support::{BOUND, Broker, Cdp, acquire, proto, reason, retry, secs, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

fn fetch(url: String, strategy: FetchStrategy) -> FetchRequest {
    FetchRequest {
        url,
        strategy: strategy.into(),
        formats: vec![FetchFormat::Text.into()],
        ..FetchRequest::default()
    }
}

async fn text(broker: &Broker, path: &str, strategy: FetchStrategy) -> Result<String, Status> {
    let mut request = Request::new(fetch(broker.site.url(path), strategy));
    request.set_timeout(BOUND);
    let response = broker.fetches().fetch(request).await?.into_inner();
    Ok(response.contents.unwrap().text.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leased_browser_is_killed() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let mut client = Cdp::connect(&lease.cdp_url).await;
    assert!(client.call(None, "Browser.getVersion", json!({})).await["result"].is_object());
    killpg(Pid::from_raw(broker.pid(&lease).await), Signal::SIGKILL).unwrap();
    assert_eq!(
        client.closed().await,
        Some((4005, "browser_crashed".into()))
    );
    assert_eq!(
        broker.get(&lease.id).await.end_reason(),
        EndReason::BrowserCrashed
    );
    let next = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    broker.release(&next).await;
    drop(client);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_browser_is_killed_and_replaced_before_anybody_asks() {
    let broker = Broker::start().await;
    let before = broker.status().await.browsers.remove(0);
    kill(Pid::from_raw(before.pid), Signal::SIGKILL).unwrap();
    until("another stands by", async || {
        let browsers = broker.status().await.browsers;
        browsers.iter().any(|one| one.id != before.id) && broker.idle() > 0
    })
    .await;
    let (_, metrics) = broker.ops("/metrics").await;
    assert!(
        metrics.contains("berth_browsers_retired_total{reason=\"crashed\"} 1"),
        "{metrics}"
    );
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_idle_browser_is_noticed_and_replaced() {
    let broker = Broker::with(|config| {
        config.health_check_timeout = Duration::from_millis(500);
        config.health_check_interval = Duration::from_millis(200);
    })
    .await;
    let before = broker.status().await.browsers.remove(0);
    killpg(Pid::from_raw(before.pid), Signal::SIGSTOP).unwrap();
    until("another stands by", async || {
        let browsers = broker.status().await.browsers;
        browsers.iter().all(|one| one.id != before.id) && broker.idle() > 0
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_browser_is_killed_in_mid_fetch() {
    let broker = Broker::start().await;
    let fetching = text(&broker, "/hang", FetchStrategy::Browser);
    let killing = async {
        // The first loss is made up for on another browser, the second is told.
        let mut killed = 0;
        for _ in 0..2 {
            let shared = async || {
                let browsers = broker.status().await.browsers;
                let mut browsers = browsers.into_iter();
                browsers.find(|one| one.contexts > 0 && one.pid != killed)
            };
            until("the fetch is in a browser", async || {
                shared().await.is_some()
            })
            .await;
            killed = shared().await.unwrap().pid;
            killpg(Pid::from_raw(killed), Signal::SIGKILL).unwrap();
        }
    };
    let (fetched, ()) = tokio::join!(fetching, killing);
    let error = fetched.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::Aborted, "BROWSER_LOST")
    );
    assert!(retry(&error).is_some());
    let next = text(&broker, "/shell", FetchStrategy::Browser)
        .await
        .unwrap();
    assert_eq!(next, "filled by a script");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acquire_is_cancelled_in_the_queue_and_in_the_instant_of_the_grant() {
    let broker = Broker::start().await;
    let (granted, cancelled) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut running = FuturesUnordered::new();
    for number in 0..500_u64 {
        let mut client = broker.leases();
        // One whose answer had left when its caller did ends at its TTL: nobody can know more.
        let asked = AcquireRequest {
            ttl: secs(8),
            ..AcquireRequest::default()
        };
        // Spread over the time that a grant takes, so that some are cancelled in its very instant.
        let patience = Duration::from_micros(number * 397 % 20_000);
        running.push(async move { timeout(patience, client.acquire(asked)).await });
        if running.len() >= 20 {
            match running.next().await {
                Some(Ok(Ok(lease))) => {
                    granted.fetch_add(1, Ordering::Relaxed);
                    broker.release(&lease.into_inner().lease.unwrap()).await;
                }
                Some(Ok(Err(error))) => assert_eq!(reason(&error), "POOL_EXHAUSTED", "{error}"),
                Some(Err(_)) => {
                    cancelled.fetch_add(1, Ordering::Relaxed);
                }
                None => {}
            }
        }
    }
    while let Some(done) = running.next().await {
        if let Ok(Ok(lease)) = done {
            broker.release(&lease.into_inner().lease.unwrap()).await;
        }
    }
    assert!(
        cancelled.load(Ordering::Relaxed) > 50,
        "{cancelled:?} of {granted:?}"
    );
    until("no lease is left, nobody waits", async || {
        let status = broker.status().await;
        status.leases.is_empty() && status.waiting == 0 && status.running == 0
    })
    .await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_at_once_are_served_in_order_or_refused_clearly() {
    const QUEUE: usize = 20;
    let broker = Broker::with(|config| config.queue = QUEUE).await;
    let mut running = FuturesUnordered::new();
    let most = Arc::new(AtomicUsize::new(0));
    for _ in 0..200 {
        let mut client = broker.leases();
        let (broker, most) = (&broker, Arc::clone(&most));
        running.push(async move {
            let acquired = acquire(&mut client, AcquireRequest::default()).await;
            let live = broker
                .server
                .pool()
                .seen()
                .iter()
                .filter(|one| one.pid.is_some())
                .count();
            most.fetch_max(live, Ordering::Relaxed);
            match acquired {
                Ok(lease) => {
                    broker.release(&lease).await;
                    Ok(())
                }
                Err(error) => Err(error),
            }
        });
    }
    let (mut served, mut refused) = (0, 0);
    while let Some(done) = running.next().await {
        match done {
            Ok(()) => served += 1,
            Err(error) => {
                refused += 1;
                assert_eq!(reason(&error), "POOL_EXHAUSTED");
                assert!(retry(&error).is_some());
                assert!(
                    error.message().contains("the queue is full"),
                    "{}",
                    error.message()
                );
            }
        }
    }
    assert_eq!(served + refused, 200);
    assert!(served >= QUEUE, "{served} served, {refused} refused");
    assert!(
        most.load(Ordering::Relaxed) <= 3,
        "never more browsers than the maximum"
    );
    drop(running);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_are_served_in_the_order_of_arrival() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let first = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let (done, mut order) = mpsc::unbounded_channel();
    let mut waiting = Vec::new();
    for number in 0..5_u32 {
        let (mut client, done) = (broker.leases(), done.clone());
        waiting.push(broker.server.broker().drain().spawn(async move {
            let lease = acquire(&mut client, AcquireRequest::default())
                .await
                .unwrap();
            done.send(number).unwrap();
            let lease_id = lease.id;
            client
                .release(berth::proto::ReleaseRequest { lease_id })
                .await
                .unwrap();
        }));
        until("it waits", async || {
            broker.status().await.waiting == number + 1
        })
        .await;
    }
    broker.release(&first).await;
    let mut served = Vec::new();
    for _ in 0..5 {
        served.push(timeout(BOUND, order.recv()).await.unwrap().unwrap());
    }
    assert_eq!(served, [0, 1, 2, 3, 4]);
    for task in waiting {
        task.await.unwrap();
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executable_that_is_none_is_named_and_health_says_so() {
    let missing = PathBuf::from("/nowhere/chromium");
    let broker = Broker::cold(|config| config.browser = Some(missing)).await;
    let asked = AcquireRequest {
        wait: secs(20),
        ..AcquireRequest::default()
    };
    let error = acquire(&mut broker.leases(), asked).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::Unavailable, "BROWSER_UNAVAILABLE")
    );
    assert!(
        error.message().contains("/nowhere/chromium"),
        "{}",
        error.message()
    );
    assert!(retry(&error).is_some());
    let (code, health) = broker.ops("/health").await;
    assert_eq!(code, 503, "{health}");
    assert!(health.contains("/nowhere/chromium"), "{health}");
    assert_eq!(broker.ops("/readyz").await.0, 503);
    assert_eq!(broker.ops("/livez").await.0, 200);
    let article = text(&broker, "/", FetchStrategy::Http).await.unwrap();
    assert!(
        article.contains("An article"),
        "what needs no browser goes on"
    );
    broker.stop().await;
}

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

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_retired_by_an_operator() {
    let broker = Broker::start().await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let browser_id = lease.browser.clone().unwrap().id;
    let retire = async |browser_id: &str| {
        let browser_id = browser_id.to_owned();
        broker
            .admin()
            .retire_browser(RetireBrowserRequest { browser_id })
            .await
    };
    assert_eq!(
        reason(&retire(&browser_id).await.unwrap_err()),
        "BROWSER_LEASED"
    );
    assert_eq!(
        reason(&retire("browser-999").await.unwrap_err()),
        "BROWSER_NOT_FOUND"
    );
    assert_eq!(reason(&retire("opera").await.unwrap_err()), "BAD_REQUEST");
    until("a spare stands by", async || broker.idle() > 0).await;
    let browsers = broker.status().await.browsers;
    let spare = browsers
        .into_iter()
        .find(|one| one.id != browser_id)
        .unwrap();
    retire(&spare.id).await.unwrap();
    until("it is gone", async || {
        broker
            .status()
            .await
            .browsers
            .iter()
            .all(|one| one.id != spare.id)
    })
    .await;
    broker.release(&lease).await;
    let (_, metrics) = broker.ops("/metrics").await;
    for (reason, count) in [("operator", 1), ("age", 0)] {
        let series = format!("berth_browsers_retired_total{{reason=\"{reason}\"}} {count}");
        assert!(metrics.contains(&series), "{series}\n{metrics}");
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_browser_grows_too_old_and_a_memory_eater_is_killed() {
    let broker = Broker::with(|config| {
        config.browser_max_age = Duration::from_secs(1);
        config.browser_memory_limit = 600 << 20;
        config.health_check_interval = Duration::from_millis(200);
    })
    .await;
    until("one was retired for its age", async || {
        broker
            .ops("/metrics")
            .await
            .1
            .contains("berth_browsers_retired_total{reason=\"age\"} 1")
    })
    .await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    let eat = "globalThis.kept = []; for (let i = 0; i < 12; i++) { const a = new Uint8Array(100e6); a.fill(i + 1); kept.push(a); } 1";
    client
        .send(
            Some(&page),
            "Runtime.evaluate",
            json!({ "expression": eat }),
        )
        .await;
    assert_eq!(client.closed().await, Some((4006, "oom_killed".into())));
    assert_eq!(
        broker.get(&lease.id).await.end_reason(),
        EndReason::OomKilled
    );
    drop(client);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_pool_comes_to_rest_at_its_minimum() {
    let broker = Broker::with(|config| config.browser_idle_timeout = Duration::from_secs(1)).await;
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(
            acquire(&mut broker.leases(), AcquireRequest::default())
                .await
                .unwrap(),
        );
    }
    for lease in &leases {
        broker.release(lease).await;
    }
    until("one stands by", async || broker.idle() == 1).await;
    let launches = broker.status().await.launches;
    // Some times the idle timeout: whoever replaces what it retires does it again and again.
    sleep(Duration::from_secs(5)).await;
    assert_eq!(broker.status().await.launches, launches);
    assert_eq!(broker.idle(), 1);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_fetches_than_may_wait_are_refused_clearly() {
    let broker = Broker::with(|config| {
        config.queue = 3;
        config.fetch_concurrency = 1;
        config.http_max_connections = 1;
    })
    .await;
    for strategy in [FetchStrategy::Http, FetchStrategy::Browser] {
        // Equal requests would be one.
        let paths: Vec<_> = (0..10).map(|number| format!("/slow?{number}")).collect();
        let all = paths.iter().map(|path| text(&broker, path, strategy));
        let all = futures::future::join_all(all).await;
        let refused: Vec<_> = all.iter().filter_map(|one| one.as_ref().err()).collect();
        assert_eq!(refused.len(), 6, "{strategy:?}: one runs, three wait");
        for error in refused {
            assert_eq!(
                (error.code(), reason(error).as_str()),
                (Code::ResourceExhausted, "POOL_EXHAUSTED")
            );
            assert!(retry(error).is_some());
            let subject = match strategy {
                FetchStrategy::Http => "berth:http",
                _ => "berth:pages",
            };
            assert_eq!(quota(error), subject);
        }
    }
    let (_, metrics) = broker.ops("/metrics").await;
    for (wanted, count) in [("http", 6), ("page", 6), ("seat", 0), ("lease", 0)] {
        let series = format!("berth_pool_exhausted_total{{wanted=\"{wanted}\"}} {count}");
        assert!(metrics.contains(&series), "{series}\n{metrics}");
    }
    broker.stop().await;
}

/// What there was too little of.
fn quota(error: &Status) -> String {
    let details = error.get_error_details();
    let quota = details.quota_failure().expect("a QuotaFailure");
    quota.violations[0].subject.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_waited_in_vain_is_told_and_counted_as_refused() {
    let broker = Broker::with(|config| {
        config.max_browsers = 1;
        config.http_max_connections = 1;
    })
    .await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let refused = async |path: &str, strategy| {
        let request = FetchRequest {
            timeout: proto(Duration::from_millis(300)),
            ..fetch(broker.site.url(path), strategy)
        };
        let error = broker.fetches().fetch(request).await.unwrap_err();
        assert_eq!(reason(&error), "POOL_EXHAUSTED", "{error:?}");
        let details = error.get_error_details();
        let metadata = details.error_info().unwrap().metadata.clone();
        assert_eq!(
            (&*metadata["limit"], &*metadata["wait"]),
            ("timeout", "300ms")
        );
        quota(&error)
    };
    let seat = refused("/shell", FetchStrategy::Browser).await;
    assert_eq!(seat, "berth:browsers");
    let slow = text(&broker, "/slow", FetchStrategy::Http);
    let other = async {
        until("the only request runs", async || {
            broker.status().await.fetches.unwrap().active == 1
        })
        .await;
        refused("/shell", FetchStrategy::Http).await
    };
    let (slow, other) = tokio::join!(slow, other);
    slow.unwrap();
    assert_eq!(other, "berth:http");
    let (_, metrics) = broker.ops("/metrics").await;
    for (wanted, count) in [("http", 1), ("page", 0), ("seat", 1), ("lease", 0)] {
        let series = format!("berth_pool_exhausted_total{{wanted=\"{wanted}\"}} {count}");
        assert!(metrics.contains(&series), "{series}\n{metrics}");
    }
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_browser_is_retired_after_so_many_uses() {
    let broker = Broker::with(|config| config.browser_max_uses = 2).await;
    for _ in 0..5 {
        text(&broker, "/shell", FetchStrategy::Browser)
            .await
            .unwrap();
    }
    let (_, metrics) = broker.ops("/metrics").await;
    assert!(
        metrics.contains("berth_browsers_retired_total{reason=\"uses\"} 2"),
        "{metrics}"
    );
    broker.stop().await;
}
