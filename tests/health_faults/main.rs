//! Health turns with each fault, by itself, and turns back: real browsers, real probes.

mod canary;
mod disk;
mod leaks;
mod metrics;
mod pool;
#[path = "../support/mod.rs"]
mod support;

use berth::{
    browser::State,
    metrics::{Kind, TABLE},
    proto::{AcquireRequest, GetStatusRequest, Lease},
};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use procfs::process::all_processes;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use support::{BOUND, Broker, Ground, Service, acquire, reason, until};
use tokio::time::{Instant, timeout};
use tonic::{Code, Streaming, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};

/// What a probe is told, each time it changes.
struct Watch(Streaming<HealthCheckResponse>);

impl Watch {
    async fn of(mut client: HealthClient<Channel>, service: &str) -> Self {
        let service = service.to_owned();
        let watch = client.watch(HealthCheckRequest { service }).await;
        Self(watch.unwrap().into_inner())
    }

    /// Waits until it is told `status`, and returns how long that took.
    async fn turns(&mut self, status: ServingStatus) -> Duration {
        let begun = Instant::now();
        let told = async { while self.0.message().await.unwrap().unwrap().status() != status {} };
        timeout(BOUND, told)
            .await
            .unwrap_or_else(|_| panic!("it never turned {status:?}"));
        begun.elapsed()
    }

    /// Whether nothing was told for a moment.
    async fn is_quiet(&mut self) -> bool {
        let told = timeout(Duration::from_millis(700), self.0.message()).await;
        told.is_err()
    }
}

async fn health(broker: &Broker) -> Value {
    serde_json::from_str(&broker.ops("/health").await.1).unwrap()
}

async fn resources_are_well(broker: &Broker) {
    until("it is well", async || {
        check(broker, "resources").await.0 == "healthy"
    })
    .await;
}

/// Status and reasons of a check.
async fn check(broker: &Broker, name: &str) -> (String, Vec<String>) {
    let health = health(broker).await;
    let check = &health["checks"][name];
    let reasons = check["reasons"].as_array().unwrap().iter();
    (
        check["status"].as_str().unwrap().to_owned(),
        reasons
            .map(|one| one.as_str().unwrap().to_owned())
            .collect(),
    )
}

async fn metric(broker: &Broker, series: &str) -> f64 {
    let (_, text) = broker.ops("/metrics").await;
    let line = text.lines().find(|line| line.starts_with(series));
    let line = line.unwrap_or_else(|| panic!("no {series}\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

async fn lease(broker: &Broker) -> Lease {
    acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap()
}

/// The instance directory of the only broker below `run_dir`.
fn instance(run_dir: &Path) -> PathBuf {
    let mut found = fs::read_dir(run_dir.join("run")).unwrap().flatten();
    found.find(|one| one.path().is_dir()).unwrap().path()
}
