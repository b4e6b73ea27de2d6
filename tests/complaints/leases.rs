//! Leases: their limits, their ends, and what is told of both.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn c09_no_browser_for_a_client_that_is_gone() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let mut client = broker.leases();
    let gone = client.acquire(AcquireRequest::default());
    assert!(timeout(Duration::from_millis(300), gone).await.is_err());
    until("its place is given up", async || {
        broker.status().await.waiting == 0
    })
    .await;
    broker.release(&lease).await;
    until("the next browser stands by", async || broker.idle() > 0).await;
    assert!(broker.status().await.leases.is_empty());
    let (_, metrics) = broker.ops("/metrics").await;
    assert!(
        metrics.contains("berth_acquire_total{outcome=\"cancelled\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("berth_acquire_total{outcome=\"granted\"} 1"),
        "{metrics}"
    );
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_the_error_names_the_limit_that_fired() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let asked = AcquireRequest {
        wait: proto(Duration::from_millis(400)),
        ..AcquireRequest::default()
    };
    let begun = Instant::now();
    let error = acquire(&mut broker.leases(), asked).await.unwrap_err();
    assert!(
        (350..10_000).contains(&begun.elapsed().as_millis()),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        error.message().contains("the wait of 400ms"),
        "{}",
        error.message()
    );
    let details = error.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["limit"], "wait");
    let mut request = Request::new(AcquireRequest::default());
    request.set_timeout(Duration::from_secs(2));
    let error = broker.leases().acquire(request).await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted);
    assert!(
        error.message().contains("the deadline of 2s"),
        "{}",
        error.message()
    );
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c11_three_named_limits_are_echoed() {
    let broker = Broker::start().await;
    let asked = AcquireRequest {
        wait: secs(11),
        idle_timeout: secs(12),
        max_lifetime: secs(13),
        ttl: secs(10),
        ..AcquireRequest::default()
    };
    let lease = acquire(&mut broker.leases(), asked).await.unwrap();
    assert_eq!(lease.wait, secs(11));
    assert_eq!(lease.idle_timeout, secs(12));
    assert_eq!(lease.max_lifetime, secs(13));
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c12_limits_fire_while_the_browser_hangs() {
    let broker = Broker::start().await;
    let asked = AcquireRequest {
        idle_timeout: secs(3),
        ..AcquireRequest::default()
    };
    let idle = acquire(&mut broker.leases(), asked).await.unwrap();
    let mut client = Cdp::connect(&idle.cdp_url).await;
    let asked = AcquireRequest {
        max_lifetime: secs(2),
        ttl: secs(2),
        ..AcquireRequest::default()
    };
    let absolute = acquire(&mut broker.leases(), asked).await.unwrap();
    let page = client.page().await;
    let forever = json!({"expression": "for(;;);"});
    client.send(Some(&page), "Runtime.evaluate", forever).await;
    for lease in [&idle, &absolute] {
        killpg(Pid::from_raw(broker.pid(lease).await), Signal::SIGSTOP).unwrap();
    }
    assert_eq!(client.closed().await, Some((4002, "idle".into())));
    assert_eq!(broker.get(&idle.id).await.end_reason(), EndReason::Idle);
    until("the other ended, too", async || {
        broker.get(&absolute.id).await.end_reason() == EndReason::Expired
    })
    .await;
    drop(client);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c13_gauges_are_what_is_there() {
    let broker = Broker::start().await;
    let mut leases = Vec::new();
    for _ in 0..2 {
        leases.push(
            acquire(&mut broker.leases(), AcquireRequest::default())
                .await
                .unwrap(),
        );
    }
    let gauge = async |name: &str| {
        let (_, metrics) = broker.ops("/metrics").await;
        let line = metrics
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap()
            .to_owned();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert!((gauge("berth_leases_active ").await - 2.0).abs() < 0.5);
    assert!((gauge("berth_browsers{state=\"leased\"}").await - 2.0).abs() < 0.5);
    // One is given back, the other's browser dies: nobody decrements, and yet it is right.
    broker.release(&leases[0]).await;
    killpg(Pid::from_raw(broker.pid(&leases[1]).await), Signal::SIGKILL).unwrap();
    until("the gauges are back", async || {
        gauge("berth_leases_active ").await < 0.5
            && gauge("berth_browsers{state=\"leased\"}").await < 0.5
            && gauge("berth_browsers{state=\"retiring\"}").await < 0.5
    })
    .await;
    assert!(gauge("berth_acquire_waiting ").await < 0.5);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c14_a_refusal_says_how_many_wait_and_when_to_retry() {
    let broker = Broker::with(|config| {
        config.max_browsers = 1;
        config.queue = 0;
    })
    .await;
    let asked = AcquireRequest {
        ttl: secs(8),
        ..AcquireRequest::default()
    };
    let lease = acquire(&mut broker.leases(), asked).await.unwrap();
    let error = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::ResourceExhausted, "POOL_EXHAUSTED")
    );
    let delay = retry(&error).unwrap();
    assert!(
        delay > Duration::from_secs(5) && delay <= Duration::from_secs(8),
        "{delay:?}"
    );
    let details = error.get_error_details();
    let metadata = details.error_info().unwrap().metadata.clone();
    assert_eq!(
        (metadata["leased"].as_str(), metadata["waiting"].as_str()),
        ("1", "0")
    );
    assert_eq!(
        (
            metadata["max_browsers"].as_str(),
            metadata["limit"].as_str()
        ),
        ("1", "queue")
    );
    assert!(details.quota_failure().is_some());
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c15_a_kept_lease_survives_its_clients() {
    let broker = Broker::start().await;
    let asked = AcquireRequest {
        on_disconnect: OnDisconnect::Keep.into(),
        detach_grace: secs(0),
        ..AcquireRequest::default()
    };
    let lease = acquire(&mut broker.leases(), asked).await.unwrap();
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    client
        .evaluate(&page, "globalThis.mark = 'still here'")
        .await;
    drop(client);
    until("it is detached", async || {
        broker.get(&lease.id).await.attached_clients == 0
    })
    .await;
    sleep(Duration::from_millis(300)).await;
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    assert_eq!(
        client.evaluate(&page, "globalThis.mark").await,
        "still here"
    );
    assert_eq!(broker.get(&lease.id).await.attached_clients, 1);
    drop(client);
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c16_a_lease_is_given_back_when_its_client_detaches() {
    let broker = Broker::start().await;
    let asked = AcquireRequest {
        detach_grace: secs(3),
        ..AcquireRequest::default()
    };
    let lease = acquire(&mut broker.leases(), asked).await.unwrap();
    // Nobody was there yet: the grace does not run.
    sleep(Duration::from_millis(3300)).await;
    assert_eq!(broker.get(&lease.id).await.state(), LeaseState::Active);
    let first = Cdp::connect(&lease.cdp_url).await;
    drop(first);
    // Back in time.
    let second = Cdp::connect(&lease.cdp_url).await;
    sleep(Duration::from_millis(3300)).await;
    assert_eq!(broker.get(&lease.id).await.state(), LeaseState::Active);
    drop(second);
    until("it is given back", async || {
        broker.get(&lease.id).await.end_reason() == EndReason::Detached
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c18_a_client_is_told_when_the_browser_dies() {
    let broker = Broker::start().await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let (mut one, mut two) = (
        Cdp::connect(&lease.cdp_url).await,
        Cdp::connect(&lease.cdp_url).await,
    );
    let begun = Instant::now();
    killpg(Pid::from_raw(broker.pid(&lease).await), Signal::SIGKILL).unwrap();
    for client in [&mut one, &mut two] {
        assert_eq!(
            client.closed().await,
            Some((4005, "browser_crashed".into()))
        );
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    drop((one, two));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c19_an_ended_lease_says_how_it_ended() {
    let broker = Broker::start().await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    kill(Pid::from_raw(broker.pid(&lease).await), Signal::SIGKILL).unwrap();
    until("it is no longer called active", async || {
        broker.get(&lease.id).await.state() == LeaseState::Ended
    })
    .await;
    let ended = broker.get(&lease.id).await;
    assert_eq!(ended.end_reason(), EndReason::BrowserCrashed);
    assert!(ended.end_time.is_some());
    let lease_id = lease.id.clone();
    let renew = berth::proto::RenewRequest {
        lease_id,
        ttl: None,
    };
    let error = broker.leases().renew(renew).await.unwrap_err();
    assert_eq!(reason(&error), "LEASE_NOT_FOUND");
    let metadata = error
        .get_error_details()
        .error_info()
        .unwrap()
        .metadata
        .clone();
    assert_eq!(metadata["end_reason"], "BROWSER_CRASHED");
    broker.stop().await;
}
