//! `grpc.health.v1`: the broker's health by name.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::sleep;
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

use crate::{
    broker::Broker,
    health::{Health, Status},
};

/// How often health is looked at; a drain and what becomes of a launch are seen at once.
const LOOK: Duration = Duration::from_millis(250);

/// Every name there is: probes of an unknown one get NOT_FOUND.
const NAMES: [&str; 10] = [
    "",
    "berth.v1.AdminService",
    "berth.v1.FetchService",
    "berth.v1.LeaseService",
    "berth.v1.PageService",
    "browser-pool",
    "http-client",
    "cache",
    "egress",
    "resources",
];

/// Tells clients how the broker is. NOT_SERVING until told otherwise.
#[derive(Debug)]
pub struct Reporter {
    reporter: HealthReporter,
    told: Mutex<HashMap<&'static str, bool>>,
}

impl Reporter {
    /// A reporter that says NOT_SERVING of everything.
    #[must_use]
    pub async fn new() -> Self {
        let reporter = Self {
            reporter: HealthReporter::new(),
            told: Mutex::default(),
        };
        reporter.not_serving().await;
        reporter
    }

    /// The service to be served.
    #[must_use]
    pub fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }

    /// Says NOT_SERVING of everything: the first step of a shutdown.
    pub async fn not_serving(&self) {
        for name in NAMES {
            self.tell(name, false).await;
        }
    }

    /// Says what is so, again and again.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn follow(&self, broker: &Broker) {
        let mut drain = broker.drain().watch();
        let mut launches = broker.launches();
        let mut before = Health::default();
        loop {
            let health = broker.health();
            log_changes(&before, &health);
            for name in NAMES {
                self.tell(name, serves(name, &health)).await;
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                _ = drain.changed() => {}
                () = launches.changed() => {}
            }
            before = health;
        }
    }

    async fn tell(&self, name: &'static str, serving: bool) {
        // Only changes: a watcher hears each.
        if self.told.lock().insert(name, serving) == Some(serving) {
            return;
        }
        let status = if serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        self.reporter.set_service_status(name, status).await;
    }
}

fn serves(name: &str, health: &Health) -> bool {
    let up = |status: Status| status != Status::Unhealthy;
    match name {
        "browser-pool" => {
            health.started && !health.draining && up(health.checks.browser_pool.verdict.status)
        }
        "http-client" => up(health.checks.http_client.verdict.status),
        "cache" => up(health.checks.cache.verdict.status),
        "egress" => up(health.checks.egress.verdict.status),
        "resources" => up(health.checks.resources.verdict.status),
        // Administration and what is asked for a running lease go on while draining.
        "berth.v1.AdminService" => true,
        _ => health.ready,
    }
}

/// One line for each part that is no longer as it was.
fn log_changes(before: &Health, now: &Health) {
    let parts = before.checks.each().into_iter().zip(now.checks.each());
    for ((check, was), (_, is)) in parts {
        if was == is {
            continue;
        }
        let (from, to, reasons) = (was.status.as_str(), is.status.as_str(), is.words());
        // An end of trouble is as worth a look as its beginning.
        tracing::warn!(check, from, to, reasons, "health.changed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_speaks_for_itself() {
        let mut health = Health {
            started: true,
            status: Status::Unhealthy,
            ..Health::default()
        };
        health.checks.browser_pool.verdict.status = Status::Unhealthy;
        assert!(!serves("", &health));
        assert!(!serves("browser-pool", &health));
        assert!(!serves("berth.v1.LeaseService", &health));
        assert!(serves("http-client", &health));
        assert!(serves("berth.v1.AdminService", &health));
    }

    #[test]
    fn not_ready_is_not_serving() {
        let mut health = Health::default();
        assert!(!serves("", &health));
        assert!(!serves("browser-pool", &health));
        health.started = true;
        health.checks.resources.verdict.status = Status::Unhealthy;
        assert!(serves("browser-pool", &health), "another part is broken");
        assert!(!serves("resources", &health));
        health.draining = true;
        assert!(!serves("browser-pool", &health));
    }
}
