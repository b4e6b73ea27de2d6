//! The queue: order, bounds, those who leave it.

use super::*;

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
