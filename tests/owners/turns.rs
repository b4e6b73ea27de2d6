//! Owners that wait take turns.

use super::*;

/// Has `who` ask for `count` leases, which it gives back as soon as it has them. `served` hears of each.
fn flood(who: &Who, count: usize, served: &mpsc::UnboundedSender<&'static str>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let (who, served) = (who.clone(), served.clone());
        tasks.spawn(async move {
            match who.lease().await {
                Ok(lease) => {
                    served.send("a").unwrap();
                    who.release(&lease).await.unwrap();
                }
                Err(status) => {
                    assert_eq!(reason(&status), "POOL_EXHAUSTED");
                    served.send("refused").unwrap();
                }
            }
        });
    }
    tasks
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_who_wait_for_one_owner_do_not_keep_anothers_lease_waiting() {
    let house = House::with(|config| config.max_browsers = 1).await;
    let [a, b, ops] = house.callers().await;
    let held = ops.lease().await.unwrap();
    let (serve, mut served) = mpsc::unbounded_channel();
    let crowd = flood(&a, 200, &serve);
    for _ in 0..100 {
        assert_eq!(served.recv().await, Some("refused"), "the queue is full");
    }
    assert_eq!(house.waiting_leases(), 100);
    // The other comes last, into a full queue, and is told where it stands.
    let (said, requests) = mpsc::channel(1);
    let request = Some(hold_request::Request::Acquire(AcquireRequest::default()));
    said.send(HoldRequest { request }).await.unwrap();
    let held_b = b.leases().hold(b.says(ReceiverStream::new(requests))).await;
    let mut events = held_b.unwrap().into_inner();
    let Some(Event::Queued(queued)) = events.next().await.unwrap().unwrap().event else {
        panic!("it waits");
    };
    assert_eq!(queued.position, 2, "one of the others is before it");
    assert_eq!(
        served.recv().await,
        Some("refused"),
        "their newest made room"
    );
    assert_eq!(house.waiting_leases(), 100);
    ops.release(&held).await.unwrap();
    let mut positions = Vec::new();
    loop {
        match events.next().await.unwrap().unwrap().event {
            Some(Event::Queued(queued)) => positions.push(queued.position),
            Some(Event::Granted(granted)) => {
                assert_eq!(granted.lease.unwrap().owner, "b");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    // A place that is passed within a moment may not be told.
    assert!(positions.iter().all(|one| *one == 1), "{positions:?}");
    assert_eq!(served.recv().await, Some("a"));
    assert!(served.try_recv().is_err(), "one turn of theirs was before");
    drop(crowd);
    drop((events, said));
    until("all have left", async || house.waiting_leases() == 0).await;
    house.broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fetches_of_one_owner_do_not_keep_anothers_waiting() {
    for strategy in [FetchStrategy::Http, FetchStrategy::Browser] {
        let origin = Origin::start().await;
        let house = House::with(|config| {
            config.http_max_connections = 1;
            config.fetch_concurrency = 1;
            config.cache_bytes = 0;
        })
        .await;
        let [a, b, _] = house.callers().await;
        let (ended, mut refused) = mpsc::unbounded_channel();
        let mut crowd = JoinSet::new();
        let waiting = || {
            let fetches = house.broker.server.broker().status().fetches;
            fetches.waiting + fetches.pages_waiting
        };
        for _ in 0..200 {
            let (a, ended) = (a.clone(), ended.clone());
            let visit = page(origin.visit("a"), strategy);
            crowd.spawn(async move { ended.send(a.fetch(visit).await.is_ok()).unwrap() });
        }
        for _ in 0..99 {
            assert_eq!(refused.recv().await, Some(false), "the queue is full");
        }
        until("one is under way", async || origin.came() == ["a"]).await;
        assert_eq!(waiting(), 100);
        let visit = page(origin.visit("b"), strategy);
        let mut other = JoinSet::new();
        other.spawn(async move { b.fetch(visit).await });
        assert_eq!(refused.recv().await, Some(false), "their newest makes room");
        assert_eq!(waiting(), 100);
        for turn in 2..=3 {
            origin.permits.add_permits(1);
            until("the next is under way", async || {
                origin.came().len() == turn
            })
            .await;
        }
        assert_eq!(origin.came(), ["a", "a", "b"], "{strategy:?}");
        origin.permits.add_permits(1);
        other.join_next().await.unwrap().unwrap().unwrap();
        drop(crowd);
        until("all have left", async || waiting() == 0).await;
        origin.permits.add_permits(1 << 20);
        house.broker.stop().await;
        origin.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openers_of_one_owner_do_not_stand_for_anothers_fetch() {
    let origin = Origin::start().await;
    let house = House::with(|config| {
        config.max_browsers = 1;
        config.fetch_concurrency = 10;
    })
    .await;
    let [a, b, ops] = house.callers().await;
    let held = ops.lease().await.unwrap();
    let (serve, mut served) = mpsc::unbounded_channel();
    let crowd = flood(&a, 30, &serve);
    until("they wait", async || house.waiting_leases() == 30).await;
    // Theirs has an opener behind their leases, with seats enough for the other's too.
    let mut fetches = JoinSet::new();
    let seats = || house.broker.server.broker().status().waiting_seats;
    for (number, who) in [&a, &b].into_iter().enumerate() {
        let who = who.clone();
        let visit = page(origin.visit("x"), FetchStrategy::Browser);
        fetches.spawn(async move { who.fetch(visit).await });
        until("it waits", async || seats() == number + 1).await;
    }
    origin.permits.add_permits(2);
    ops.release(&held).await.unwrap();
    while let Some(fetched) = fetches.join_next().await {
        fetched.unwrap().unwrap();
    }
    let mut before = 0;
    while served.try_recv().is_ok() {
        before += 1;
    }
    assert!(before < 10, "{before} leases were before");
    drop(crowd);
    until("all have left", async || house.waiting_leases() == 0).await;
    house.broker.end().await;
    origin.stop().await;
}
