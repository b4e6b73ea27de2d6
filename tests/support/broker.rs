//! A whole broker in the process of the test.

use std::{path::Path, time::Duration};

use berth::{
    config::Config,
    proto::{
        AcquireRequest, AcquireResponse, FetchRequest, FetchStrategy, GetRequest, GetStatusRequest,
        Lease, ReleaseRequest, Status as BrokerStatus, admin_service_client::AdminServiceClient,
        fetch_service_client::FetchServiceClient, lease_service_client::LeaseServiceClient,
    },
    server::{self, Ended, Server},
};
use tempfile::TempDir;
use tokio::time::timeout;
use tonic::{Status, transport::Channel};
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use super::{BOUND, Left, site::Site, until};

/// A broker, a site for its browsers to go to, and what was there before both.
pub struct Broker {
    pub server: Server,
    pub site: Site,
    channel: Channel,
    before: Left,
    run_dir: TempDir,
}

impl Broker {
    /// A broker with the defaults, on free ports.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A broker with some settings of its own, and its first browser up.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let broker = Self::cold(change).await;
        until("the first browser is up", async || broker.idle() > 0).await;
        broker
    }

    /// A broker whose browsers may not come up.
    pub async fn cold(change: impl FnOnce(&mut Config)) -> Self {
        server::adopt_orphans();
        let run_dir = tempfile::tempdir().unwrap();
        let anywhere = ([127, 0, 0, 1], 0).into();
        let mut config = Config {
            listen: anywhere,
            gateway_listen: anywhere,
            ops_listen: anywhere,
            run_dir: run_dir.path().join("run"),
            // Tests count processes and contexts; those of the canary set it.
            canary_interval: Duration::ZERO,
            egress_allow: super::loopback(),
            ..Config::default()
        };
        change(&mut config);
        // Whatever a runtime opens once and keeps is there before the count.
        drop(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
        drop(tokio::signal::unix::signal(
            tokio::signal::unix::SignalKind::child(),
        ));
        let before = Left::count(&config.run_dir);
        let server = Server::start(&config).await.unwrap();
        let site = Site::start().await;
        let endpoint = format!("http://{}", server.addresses().grpc);
        let channel = Channel::from_shared(endpoint).unwrap().connect_lazy();
        Self {
            server,
            site,
            channel,
            before,
            run_dir,
        }
    }

    pub fn leases(&self) -> LeaseServiceClient<Channel> {
        LeaseServiceClient::new(self.channel.clone())
    }

    pub fn fetches(&self) -> FetchServiceClient<Channel> {
        FetchServiceClient::new(self.channel.clone()).max_decoding_message_size(300 << 20)
    }

    pub fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    pub fn health(&self) -> HealthClient<Channel> {
        HealthClient::new(self.channel.clone())
    }

    /// A connection of its own, to be cut without cutting the others.
    pub async fn connect(&self) -> Channel {
        let endpoint = format!("http://{}", self.server.addresses().grpc);
        Channel::from_shared(endpoint)
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.addresses().grpc)
    }

    /// The answer of the ops port.
    pub async fn ops(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.server.addresses().ops);
        let answer = reqwest::get(url).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub async fn status(&self) -> BrokerStatus {
        let status = self.admin().get_status(GetStatusRequest {}).await.unwrap();
        status.into_inner().status.unwrap()
    }

    /// Warm browsers.
    pub fn idle(&self) -> usize {
        let seen = self.server.pool().seen();
        let idle = |one: &&berth::browser::Seen| one.state == berth::browser::State::Idle;
        seen.iter().filter(idle).count()
    }

    pub fn run_dir(&self) -> &Path {
        self.run_dir.path()
    }

    /// The process group of the browser that a lease has.
    pub async fn pid(&self, lease: &Lease) -> i32 {
        let browser = lease.browser.clone().unwrap().id;
        let status = self.status().await;
        status
            .browsers
            .iter()
            .find(|one| one.id == browser)
            .unwrap()
            .pid
    }

    /// The lease as it is now.
    pub async fn get(&self, id: &str) -> Lease {
        let lease_id = id.to_owned();
        let got = self.leases().get(GetRequest { lease_id }).await.unwrap();
        got.into_inner().lease.unwrap()
    }

    pub async fn release(&self, lease: &Lease) -> Lease {
        let lease_id = lease.id.clone();
        let released = self
            .leases()
            .release(ReleaseRequest { lease_id })
            .await
            .unwrap();
        released.into_inner().lease.unwrap()
    }

    /// Fetches a page by each way.
    pub async fn fetch_both_ways(&self) {
        for strategy in [FetchStrategy::Http, FetchStrategy::Browser] {
            let fetch = FetchRequest {
                url: self.site.url("/"),
                strategy: strategy.into(),
                ..FetchRequest::default()
            };
            self.fetches().fetch(fetch).await.unwrap();
        }
    }

    /// Ends the broker, and fails the test when it had to cut work or anything is left.
    pub async fn stop(self) {
        assert_eq!(self.end().await, Ended::Clean, "work was cut");
    }

    /// Ends the broker, and fails the test when anything is left.
    pub async fn end(self) -> Ended {
        let Self {
            server,
            site,
            channel,
            before,
            run_dir,
        } = self;
        let tasks = server.broker().drain().clone();
        let ended = timeout(BOUND, server.shut_down())
            .await
            .expect("it shuts down");
        assert_eq!(tasks.tasks(), 0, "tasks left");
        drop(channel);
        site.stop().await;
        let run = run_dir.path().join("run");
        before.assert_nothing_more(&run).await;
        ended
    }
}

/// Acquires with `request`, within [`BOUND`].
pub async fn acquire(
    client: &mut LeaseServiceClient<Channel>,
    request: AcquireRequest,
) -> Result<Lease, Status> {
    let mut request = tonic::Request::new(request);
    request.set_timeout(BOUND);
    let acquired: Result<tonic::Response<AcquireResponse>, Status> = client.acquire(request).await;
    Ok(acquired?.into_inner().lease.expect("a grant has a lease"))
}

/// The stable reason of an error.
pub fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details
        .error_info()
        .unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "berth");
    info.reason.clone()
}

/// After how long an error says to retry.
pub fn retry(status: &Status) -> Option<Duration> {
    status.get_error_details().retry_info()?.retry_delay
}

/// The fields an error names.
pub fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let wrong = details
        .bad_request()
        .map(|bad| bad.field_violations.clone());
    wrong
        .unwrap_or_default()
        .into_iter()
        .map(|one| one.field)
        .collect()
}
