//! Several owners at one broker: whose is what, how much each may have, and whose turn it is.

mod support;

use std::{fs, sync::Arc, time::Duration};

use axum::{Router, extract::Path, http::header, response::IntoResponse, routing::get};
use berth::{
    auth::new_token,
    broker::Quota,
    config::Config,
    http_server,
    proto::{
        AcquireRequest, CacheControl, CacheState, DrainRequest, EndLeaseRequest, FetchManyRequest,
        FetchRequest, FetchStrategy, GetRequest, GetStatusRequest, HoldRequest, Lease, ListRequest,
        ReleaseRequest, RenewRequest, ResumeRequest, RetireBrowserRequest, SetLogLevelRequest,
        WatchStatusRequest, admin_service_client::AdminServiceClient,
        fetch_many_response::Result as Outcome, fetch_service_client::FetchServiceClient,
        hold_request, hold_response::Event, lease_service_client::LeaseServiceClient,
    },
};
use parking_lot::Mutex;
use support::{BOUND, Broker, reason, retry, secs, until};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc},
    task::{JoinHandle, JoinSet},
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status, transport::Channel};
use tonic_types::StatusExt;

/// A broker that asks who calls, and one that may call it as `a`, `b` and an operator.
struct House {
    broker: Broker,
    tokens: [String; 3],
    _dir: TempDir,
}

/// One who calls.
#[derive(Clone)]
struct Who {
    channel: Channel,
    token: String,
}

impl House {
    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.toml");
        let known = [("a", false), ("b", false), ("ops", true)];
        let known = known.map(|(owner, admin)| new_token(owner, admin).unwrap());
        let file: String = known.iter().map(|(_, entry)| entry.as_str()).collect();
        fs::write(&path, file).unwrap();
        let broker = Broker::with(|config| {
            config.auth.tokens = Some(path);
            change(config);
        });
        Self {
            broker: broker.await,
            tokens: known.map(|(token, _)| token),
            _dir: dir,
        }
    }

    async fn callers(&self) -> [Who; 3] {
        let channel = self.broker.connect().await;
        self.tokens.clone().map(|token| Who {
            channel: channel.clone(),
            token,
        })
    }

    fn waiting_leases(&self) -> usize {
        self.broker.server.broker().status().waiting_leases
    }

    async fn refused(&self, quota: &str) -> u64 {
        let (_, metrics) = self.broker.ops("/metrics").await;
        let series = format!("berth_quota_refused_total{{quota=\"{quota}\"}} ");
        let count = metrics.lines().find_map(|line| line.strip_prefix(&series));
        count.unwrap().parse().unwrap()
    }
}

impl Who {
    fn says<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(BOUND);
        let value = format!("Bearer {}", self.token).parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        request
    }

    fn leases(&self) -> LeaseServiceClient<Channel> {
        LeaseServiceClient::new(self.channel.clone())
    }

    fn fetches(&self) -> FetchServiceClient<Channel> {
        FetchServiceClient::new(self.channel.clone())
    }

    async fn acquire(&self, request: AcquireRequest) -> Result<Lease, Status> {
        let acquired = self.leases().acquire(self.says(request)).await?;
        Ok(acquired.into_inner().lease.unwrap())
    }

    async fn lease(&self) -> Result<Lease, Status> {
        self.acquire(AcquireRequest::default()).await
    }

    async fn release(&self, lease: &Lease) -> Result<Lease, Status> {
        let lease_id = lease.id.clone();
        let request = self.says(ReleaseRequest { lease_id });
        let released = self.leases().release(request).await?;
        Ok(released.into_inner().lease.unwrap())
    }

    async fn get(&self, lease: &Lease) -> Result<Lease, Status> {
        let lease_id = lease.id.clone();
        let got = self
            .leases()
            .get(self.says(GetRequest { lease_id }))
            .await?;
        Ok(got.into_inner().lease.unwrap())
    }

    async fn list(&self, include_ended: bool) -> Vec<String> {
        let request = ListRequest {
            include_ended,
            ..ListRequest::default()
        };
        let listed = self.leases().list(self.says(request)).await.unwrap();
        let leases = listed.into_inner().leases.into_iter();
        leases.map(|lease| lease.id).collect()
    }

    async fn fetch(&self, request: FetchRequest) -> Result<CacheState, Status> {
        let fetched = self.fetches().fetch(self.says(request)).await?;
        Ok(fetched.into_inner().cache_state())
    }
}

fn page(url: String, strategy: FetchStrategy) -> FetchRequest {
    FetchRequest {
        url,
        strategy: strategy.into(),
        ..FetchRequest::default()
    }
}

/// The quota that `status` says there was too little of.
fn quota(status: &Status) -> String {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(reason(status), "QUOTA_EXCEEDED");
    let details = status.get_error_details();
    let failure = details.quota_failure().unwrap();
    let info = details.error_info().unwrap();
    let quota = &info.metadata["quota"];
    assert_eq!(
        failure.violations[0].subject,
        format!("berth:owner/{quota}")
    );
    format!("{quota} {}", info.metadata["limit"])
}

fn not_owner<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(reason(&status), "NOT_OWNER");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_its_owners_own() {
    let house = House::with(|_| {}).await;
    let [a, b, ops] = house.callers().await;
    let lease = a.lease().await.unwrap();
    assert_eq!(lease.owner, "a");
    not_owner(b.get(&lease).await);
    not_owner(b.release(&lease).await);
    let lease_id = lease.id.clone();
    let renew = b.says(RenewRequest {
        lease_id,
        ..RenewRequest::default()
    });
    not_owner(b.leases().renew(renew).await);
    assert_eq!(a.get(&lease).await.unwrap().end_time, None, "it lives on");
    assert_eq!(b.list(true).await, [] as [String; 0]);
    assert_eq!(a.list(false).await, [lease.id.as_str()]);
    assert_eq!(ops.list(false).await, [lease.id.as_str()]);
    assert_eq!(ops.get(&lease).await.unwrap().owner, "a");
    let unknown = Lease {
        id: "lease-0198c0de000070008000000000000000".into(),
        ..Lease::default()
    };
    assert_eq!(
        reason(&b.get(&unknown).await.unwrap_err()),
        "LEASE_NOT_FOUND"
    );
    let lease_id = lease.id.clone();
    let mut admin = AdminServiceClient::new(ops.channel.clone());
    let end = ops.says(EndLeaseRequest { lease_id });
    admin.end_lease(end).await.unwrap();
    not_owner(b.get(&lease).await);
    assert_eq!(b.list(true).await, [] as [String; 0]);
    assert_eq!(a.list(true).await, [lease.id.as_str()]);
    house.broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_do_takes_the_admin_role() {
    let house = House::with(|_| {}).await;
    let [a, _, ops] = house.callers().await;
    let lease = a.lease().await.unwrap();
    let lease_id = lease.id.clone();
    let mut admin = AdminServiceClient::new(a.channel.clone());
    let browser_id = "browser-1".to_owned();
    let refused = [
        admin.get_status(a.says(GetStatusRequest {})).await.err(),
        admin
            .watch_status(a.says(WatchStatusRequest::default()))
            .await
            .err(),
        admin
            .drain(a.says(DrainRequest { shutdown: true }))
            .await
            .err(),
        admin.resume(a.says(ResumeRequest {})).await.err(),
        admin
            .retire_browser(a.says(RetireBrowserRequest { browser_id }))
            .await
            .err(),
        // Its own, too: it is released, not revoked.
        admin
            .end_lease(a.says(EndLeaseRequest { lease_id }))
            .await
            .err(),
        admin
            .set_log_level(a.says(SetLogLevelRequest::default()))
            .await
            .err(),
    ];
    for status in refused {
        let status = status.unwrap();
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(reason(&status), "ROLE_REQUIRED");
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().metadata["role"], "admin");
    }
    let status = admin.get_status(ops.says(GetStatusRequest {})).await;
    let status = status.unwrap().into_inner().status.unwrap();
    assert!(!status.draining);
    assert_eq!(status.leases.len(), 1);
    a.release(&lease).await.unwrap();
    house.broker.stop().await;
}

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

/// An origin that answers one request for each permit, and knows who came in which order.
struct Origin {
    url: String,
    came: Arc<Mutex<Vec<String>>>,
    permits: Arc<Semaphore>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Origin {
    #[allow(clippy::disallowed_methods, reason = "the test's own task")]
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let came: Arc<Mutex<Vec<String>>> = Arc::default();
        let permits = Arc::new(Semaphore::new(0));
        let visit = {
            let (came, permits) = (came.clone(), permits.clone());
            async move |Path(who): Path<String>| {
                came.lock().push(who);
                permits.acquire().await.unwrap().forget();
                let headers = [
                    (header::CONTENT_TYPE, "text/html"),
                    (header::CACHE_CONTROL, "private, max-age=600"),
                ];
                (headers, "<title>Visited</title><p>Visited").into_response()
            }
        };
        let router = Router::new().route("/visit/{who}", get(visit));
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = http_server::serve("origin", 1024, listener, router, stopped);
        Self {
            url,
            came,
            permits,
            stop,
            serving: tokio::spawn(serving),
        }
    }

    fn visit(&self, who: &str) -> String {
        format!("{}/visit/{who}", self.url)
    }

    fn came(&self) -> Vec<String> {
        self.came.lock().clone()
    }

    async fn stop(self) {
        self.permits.add_permits(1 << 20);
        self.stop.cancel();
        self.serving.await.unwrap();
    }
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
        assert!(
            wait > Duration::ZERO && wait <= Duration::from_millis(50),
            "{wait:?}"
        );
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

#[tokio::test(flavor = "multi_thread")]
async fn what_one_owner_fetched_serves_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start().await;
    origin.permits.add_permits(100);
    for (strategy, kept) in [
        (FetchStrategy::Http, false),
        (FetchStrategy::Browser, false),
        // What was kept the first time is on disk only.
        (FetchStrategy::Http, true),
    ] {
        let house = House::with(|config| config.cache_dir = Some(dir.path().join("cache"))).await;
        let [a, b, ops] = house.callers().await;
        let visit = || FetchRequest {
            cache: Some(CacheControl {
                max_age: secs(300),
                ..CacheControl::default()
            }),
            ..page(origin.visit("x"), strategy)
        };
        if kept {
            assert_eq!(a.fetch(visit()).await.unwrap(), CacheState::Hit);
            assert_eq!(ops.fetch(visit()).await.unwrap(), CacheState::Miss);
        } else {
            for who in [&a, &b] {
                assert_eq!(who.fetch(visit()).await.unwrap(), CacheState::Miss);
                assert_eq!(who.fetch(visit()).await.unwrap(), CacheState::Hit);
            }
        }
        house.broker.stop().await;
    }
    origin.stop().await;
}
