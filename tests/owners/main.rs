//! Several owners at one broker: whose is what, how much each may have, and whose turn it is.

mod quotas;
mod rights;
#[path = "../support/mod.rs"]
mod support;
mod turns;

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
use std::{fs, sync::Arc, time::Duration};
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
