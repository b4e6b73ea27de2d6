//! `FetchMany` over real connections: order, bounds, back-pressure, failures, cancel, drain.

mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Path, routing::get};
use berth::{
    http_server,
    proto::{
        ErrorReason, FetchFormat, FetchManyOptions, FetchManyRequest, FetchManyResponse,
        FetchRequest, FetchStrategy, fetch_many_response::Result as Outcome,
    },
};
use support::{Broker, reason, until};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle, time::sleep};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

/// An origin that counts who is there at once.
struct Counter {
    address: SocketAddr,
    seen: Arc<Seen>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    now: AtomicUsize,
    most: AtomicUsize,
    all: AtomicUsize,
    asked: AtomicUsize,
}

struct Here(Arc<Seen>);

impl Here {
    fn new(seen: &Arc<Seen>) -> Self {
        let now = seen.now.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most.fetch_max(now, Ordering::SeqCst);
        seen.all.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(seen))
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Counter {
    #[allow(clippy::disallowed_methods, reason = "the test's own task")]
    async fn start() -> Self {
        let seen = Arc::new(Seen::default());
        let (slow, large) = (Arc::clone(&seen), Arc::clone(&seen));
        let router = Router::new()
            .route(
                "/slow/{millis}",
                get(async move |Path(millis): Path<u64>| {
                    let _here = Here::new(&slow);
                    sleep(Duration::from_millis(millis)).await;
                    format!("after {millis} ms")
                }),
            )
            .route(
                "/large",
                get(async move || {
                    let _here = Here::new(&large);
                    "x".repeat(1 << 20)
                }),
            );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = http_server::serve("counter", 1024, listener, router, stopped);
        Self {
            address,
            seen,
            stop,
            serving: tokio::spawn(serving),
        }
    }

    /// The URL of `path`, another each time: equal requests would be one.
    fn url(&self, path: &str) -> String {
        let number = self.seen.asked.fetch_add(1, Ordering::SeqCst);
        format!("http://{}{path}?{number}", self.address)
    }

    async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

fn plain(url: String) -> FetchRequest {
    FetchRequest {
        url,
        strategy: FetchStrategy::Http.into(),
        formats: vec![FetchFormat::Raw.into()],
        ..FetchRequest::default()
    }
}

fn one(id: &str, url: String) -> FetchManyRequest {
    FetchManyRequest {
        id: id.into(),
        fetch: Some(plain(url)),
        options: None,
    }
}

fn bounds(max_concurrent: u32, max_per_host: u32) -> Option<FetchManyOptions> {
    Some(FetchManyOptions {
        max_concurrent,
        max_per_host,
    })
}

type Sender = mpsc::Sender<FetchManyRequest>;

async fn open(broker: &Broker) -> (Sender, Streaming<FetchManyResponse>) {
    let (send, requests) = mpsc::channel(1);
    let requests = ReceiverStream::new(requests);
    let results = broker.fetches().fetch_many(requests).await.unwrap();
    (send, results.into_inner())
}

fn body(result: FetchManyResponse) -> Result<String, ErrorReason> {
    match result.result.expect("every result has one") {
        Outcome::Response(response) => {
            let raw = response.contents.unwrap().raw.unwrap();
            Ok(String::from_utf8(raw.to_vec()).unwrap())
        }
        Outcome::Failure(failure) => {
            assert_ne!(failure.code, 0, "{failure:?}");
            assert!(!failure.message.is_empty(), "{failure:?}");
            Err(failure.reason())
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn results_come_as_they_finish_and_failures_end_nothing() {
    let broker = Broker::start().await;
    let origin = Counter::start().await;
    let (send, mut results) = open(&broker).await;
    for request in [
        one("slow", origin.url("/slow/600")),
        one("quick", origin.url("/slow/0")),
        one("file", "file:///etc/passwd".into()),
        one("nobody", "http://127.0.0.1:9/".into()),
        FetchManyRequest {
            id: "late".into(),
            fetch: Some(FetchRequest {
                timeout: support::proto(Duration::from_millis(150)),
                ..plain(origin.url("/slow/5000"))
            }),
            options: None,
        },
        FetchManyRequest {
            id: "nothing".into(),
            fetch: None,
            options: None,
        },
        FetchManyRequest {
            options: bounds(1, 1),
            ..one("options too late", origin.url("/slow/0"))
        },
        FetchManyRequest {
            id: "two wrong".into(),
            fetch: Some(FetchRequest {
                max_bytes: u64::MAX,
                timeout: Some(prost_types::Duration {
                    seconds: -1,
                    nanos: 0,
                }),
                ..plain(origin.url("/"))
            }),
            options: None,
        },
        one(&"x".repeat(2000), origin.url("/slow/0")),
    ] {
        send.send(request).await.unwrap();
    }
    drop(send);
    let mut order = Vec::new();
    let mut found = std::collections::BTreeMap::new();
    while let Some(result) = results.message().await.unwrap() {
        let id: String = result.id.chars().take(20).collect();
        order.push(id.clone());
        assert!(found.insert(id, body(result)).is_none(), "one result each");
    }
    let at = |id: &str| order.iter().position(|one| one == id).unwrap();
    assert!(at("quick") < at("slow"), "{order:?}");
    assert_eq!(found.len(), 9);
    assert_eq!(found["slow"], Ok("after 600 ms".into()));
    assert_eq!(found["quick"], Ok("after 0 ms".into()));
    assert_eq!(found["nobody"], Err(ErrorReason::OriginRefused));
    assert!(
        matches!(
            found["late"],
            Err(ErrorReason::Deadline | ErrorReason::OriginTimeout)
        ),
        "{:?}",
        found["late"]
    );
    for id in [
        "file",
        "nothing",
        "options too late",
        "two wrong",
        "xxxxxxxxxxxxxxxxxxxx",
    ] {
        assert_eq!(found[id], Err(ErrorReason::BadRequest), "{id}");
    }
    origin.stop().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_and_each_host_have_their_bounds() {
    let broker = Broker::start().await;
    let busy = Counter::start().await;
    let other = Counter::start().await;
    let (send, mut results) = open(&broker).await;
    let mut first = one("0", busy.url("/slow/100"));
    first.options = bounds(4, 3);
    send.send(first).await.unwrap();
    for number in 1..12 {
        let request = one(&number.to_string(), busy.url("/slow/100"));
        send.send(request).await.unwrap();
    }
    // Behind all of the busy host's, and before them all the same.
    let request = one("other", other.url("/slow/0"));
    send.send(request).await.unwrap();
    drop(send);
    let mut order = Vec::new();
    while let Some(result) = results.message().await.unwrap() {
        order.push(result.id.clone());
        body(result).unwrap();
    }
    assert_eq!(order.len(), 13);
    assert_eq!(order[0], "other", "a busy host holds nobody up");
    assert_eq!(busy.seen.most.load(Ordering::SeqCst), 3, "of one host");

    let (send, mut results) = open(&broker).await;
    let mut wrong = one("0", busy.url("/slow/0"));
    wrong.options = bounds(257, 0);
    send.send(wrong).await.unwrap();
    let error = results.message().await.unwrap_err();
    assert_eq!(reason(&error), "BAD_REQUEST");
    assert!(error.message().contains("max_concurrent"), "{error}");
    busy.stop().await;
    other.stop().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_begun_for_a_client_that_does_not_read() {
    const MOST: usize = 4;
    const ALL: usize = 100;
    let broker = Broker::start().await;
    let origin = Counter::start().await;
    let (send, mut results) = open(&broker).await;
    let asking = async {
        for number in 0..ALL {
            let mut request = one(&number.to_string(), origin.url("/large"));
            request.options = (number == 0).then_some(bounds(4, 4)).flatten();
            send.send(request).await.unwrap();
        }
        drop(send);
    };
    let begun = || origin.seen.all.load(Ordering::SeqCst);
    let reading = async {
        until("some run", async || begun() >= MOST).await;
        // Long enough for all of them, if nothing held them back.
        sleep(Duration::from_secs(2)).await;
        // What runs, what the stream's one place and the windows of HTTP/2 hold.
        let begun = begun();
        assert!(
            begun <= MOST + 8,
            "{begun} begun for one that reads nothing"
        );
        let mut read = 0;
        while let Some(result) = results.message().await.unwrap() {
            assert_eq!(body(result).unwrap().len(), 1 << 20);
            read += 1;
        }
        assert_eq!(read, ALL, "nothing is lost");
    };
    tokio::join!(asking, reading);
    origin.stop().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_stops_all_that_is_under_way() {
    let broker = Broker::start().await;
    let origin = Counter::start().await;
    let (send, results) = open(&broker).await;
    for number in 0..16 {
        let mut request = one(&number.to_string(), origin.url("/slow/60000"));
        request.options = (number == 0).then_some(bounds(8, 8)).flatten();
        send.send(request).await.unwrap();
    }
    let now = || origin.seen.now.load(Ordering::SeqCst);
    until("they run", async || now() == 8).await;
    drop((send, results));
    until("they are stopped", async || now() == 0).await;
    until("nothing is held", async || {
        broker.status().await.running == 0
    })
    .await;
    assert_eq!(
        origin.seen.all.load(Ordering::SeqCst),
        8,
        "none was begun later"
    );
    origin.stop().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_what_runs_and_then_the_stream() {
    let broker = Broker::start().await;
    let origin = Counter::start().await;
    let (send, mut results) = open(&broker).await;
    send.send(one("runs", origin.url("/slow/500")))
        .await
        .unwrap();
    until("it runs", async || {
        origin.seen.now.load(Ordering::SeqCst) == 1
    })
    .await;
    broker.server.broker().drain().begin();
    let result = results.message().await.unwrap().unwrap();
    assert_eq!(body(result), Ok("after 500 ms".into()));
    let error = results.message().await.unwrap_err();
    assert_eq!(reason(&error), "DRAINING");
    origin.stop().await;
    broker.stop().await;
}
