//! How much an owner may have at once.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn leases_at_once_are_counted_once_and_given_back_on_every_path() {
    let house = House::with(|config| {
        config.owner_quota.max_leases = 1;
        config.max_browsers = 2;
    })
    .await;
    let [a, b, ops] = house.callers().await;
    let named = || AcquireRequest {
        request_id: "job".into(),
        ..AcquireRequest::default()
    };
    let lease = a.acquire(named()).await.unwrap();
    let again = a.acquire(named()).await.unwrap();
    assert_eq!(
        again.id, lease.id,
        "asked for again, it is not charged again"
    );
    let other = b.acquire(named()).await.unwrap();
    assert_ne!(other.id, lease.id, "a name is its owner's own");
    let refused = a.lease().await.unwrap_err();
    assert_eq!(quota(&refused), "leases 1");
    assert_eq!(retry(&refused), None);
    assert_eq!(house.refused("leases").await, 1);
    // Released, revoked, crashed, let go with its stream, given up in the queue.
    a.release(&lease).await.unwrap();
    let lease = a.lease().await.unwrap();
    let lease_id = lease.id.clone();
    let mut admin = AdminServiceClient::new(ops.channel.clone());
    let end = ops.says(EndLeaseRequest { lease_id });
    admin.end_lease(end).await.unwrap();
    let lease = a.lease().await.unwrap();
    let seen = house.broker.server.pool().seen();
    let browser = lease.browser.clone().unwrap().id;
    let seen = seen.iter().find(|one| one.id.to_string() == browser);
    let group = nix::unistd::Pid::from_raw(seen.unwrap().pid.unwrap());
    nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).unwrap();
    until("the crash is noticed", async || {
        a.get(&lease).await.unwrap().end_time.is_some()
    })
    .await;
    let (said, requests) = mpsc::channel(1);
    let acquire = hold_request::Request::Acquire(AcquireRequest::default());
    let request = Some(acquire);
    said.send(HoldRequest { request }).await.unwrap();
    let held = a.leases().hold(a.says(ReceiverStream::new(requests))).await;
    let mut held = held.unwrap().into_inner();
    until("it is granted", async || {
        let event = held.next().await.unwrap().unwrap().event;
        matches!(event, Some(Event::Granted(_)))
    })
    .await;
    assert_eq!(quota(&a.lease().await.unwrap_err()), "leases 1");
    drop((held, said));
    until("the stream's lease is given back", async || {
        let unwaited = AcquireRequest {
            wait: secs(0),
            ..AcquireRequest::default()
        };
        match a.acquire(unwaited).await {
            Ok(lease) => a.release(&lease).await.is_ok(),
            Err(status) => reason(&status) == "POOL_EXHAUSTED",
        }
    })
    .await;
    let held = ops.lease().await.unwrap();
    let waiting = {
        let a = a.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { a.lease().await });
        tasks
    };
    until("it waits", async || house.waiting_leases() == 1).await;
    assert_eq!(
        quota(&a.lease().await.unwrap_err()),
        "leases 1",
        "waiting counts"
    );
    drop(waiting);
    until("it has left", async || house.waiting_leases() == 0).await;
    ops.release(&held).await.unwrap();
    a.lease().await.unwrap();
    house.broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fetches_at_once_and_in_a_second_are_bounded_for_each_owner() {
    let origin = Origin::start().await;
    let house = House::with(|config| {
        config.owner_quota.max_fetches = 1;
        let quick = Quota {
            rate: 20,
            burst: 1,
            ..Quota::default()
        };
        config.owner_quotas.insert("b".into(), quick);
    })
    .await;
    let [a, b, _] = house.callers().await;
    let mut running = JoinSet::new();
    let hanging = page(origin.visit("a"), FetchStrategy::Http);
    let first = a.clone();
    running.spawn(async move { first.fetch(hanging).await });
    until("it is under way", async || origin.came().len() == 1).await;
    let quick = || page(house.broker.site.url("/"), FetchStrategy::Http);
    let refused = a.fetch(quick()).await.unwrap_err();
    assert_eq!(quota(&refused), "fetches 1");
    assert_eq!(house.refused("fetches").await, 1);
    assert!(retry(&refused).is_some());
    drop(running);
    until("what is cancelled is given back", async || {
        a.fetch(quick()).await.is_ok()
    })
    .await;

    // One that asks too soon is told when to come, to the moment.
    let burst: Vec<_> = (0..20).map(|_| b.fetch(quick())).collect();
    let answers = futures::future::join_all(burst).await;
    let refused: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert!(!refused.is_empty());
    for status in refused {
        assert_eq!(quota(&status), "rate 20");
        let wait = retry(&status).unwrap();
        // The one that was let in may have come a little after the one that was not.
        let most = Duration::from_millis(50) + Duration::from_millis(1);
        assert!(wait > Duration::ZERO && wait <= most, "{wait:?}");
    }
    // A stream of many keeps the time of its owner by itself.
    let url = house.broker.site.url("/");
    let requests = (0..6).map(move |number| FetchManyRequest {
        id: number.to_string(),
        fetch: Some(page(url.clone(), FetchStrategy::Http)),
        ..FetchManyRequest::default()
    });
    let many = b.says(tokio_stream::iter(requests.collect::<Vec<_>>()));
    let answers = b.fetches().fetch_many(many).await.unwrap().into_inner();
    let answers: Vec<_> = answers.collect().await;
    assert_eq!(answers.len(), 6);
    for answer in answers {
        let result = answer.unwrap().result;
        assert!(matches!(result, Some(Outcome::Response(_))), "{result:?}");
    }
    // One after the other where only one may run, whatever the stream would have.
    let url = house.broker.site.url("/");
    let requests = (0..6).map(move |number| FetchManyRequest {
        id: number.to_string(),
        fetch: Some(page(url.clone(), FetchStrategy::Http)),
        ..FetchManyRequest::default()
    });
    let many = a.says(tokio_stream::iter(requests.collect::<Vec<_>>()));
    let answers = a.fetches().fetch_many(many).await.unwrap().into_inner();
    let answers: Vec<_> = answers.collect().await;
    for answer in answers {
        let result = answer.unwrap().result;
        assert!(matches!(result, Some(Outcome::Response(_))), "{result:?}");
    }
    assert!(house.refused("rate").await >= 1);
    let (_, metrics) = house.broker.ops("/metrics").await;
    assert!(!metrics.contains("owner="), "owners are no labels");
    house.broker.stop().await;
    origin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_wait_is_bounded_for_each_owner() {
    let house = House::with(|config| {
        config.owner_quota.max_waiting = 1;
        config.max_browsers = 1;
    })
    .await;
    let [a, b, ops] = house.callers().await;
    let held = ops.lease().await.unwrap();
    let mut waiting = JoinSet::new();
    for (number, who) in [&a, &b].into_iter().enumerate() {
        let who = who.clone();
        waiting.spawn(async move { who.lease().await });
        until("it waits", async || house.waiting_leases() == number + 1).await;
    }
    let refused = a.lease().await.unwrap_err();
    assert_eq!(quota(&refused), "waiting 1");
    assert_eq!(house.refused("waiting").await, 1);
    ops.release(&held).await.unwrap();
    while let Some(lease) = waiting.join_next().await {
        let lease = lease.unwrap().unwrap();
        ops.release(&lease).await.unwrap();
    }
    house.broker.stop().await;
}
