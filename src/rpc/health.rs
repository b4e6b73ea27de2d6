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

/// How often health is looked at; a drain is seen at once.
const LOOK: Duration = Duration::from_millis(250);

/// Every name there is: probes of an unknown one get NOT_FOUND.
const NAMES: [&str; 9] = [
    "",
    "berth.v1.AdminService",
    "berth.v1.FetchService",
    "berth.v1.LeaseService",
    "berth.v1.PageService",
    "browser-pool",
    "http-client",
    "cache",
    "egress",
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
        loop {
            let health = broker.health();
            for name in NAMES {
                self.tell(name, serves(name, &health)).await;
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                _ = drain.changed() => {}
            }
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
        "browser-pool" => health.ready && up(health.checks.browser_pool.status),
        "http-client" => up(health.checks.http_client.status),
        "cache" => up(health.checks.cache.status),
        "egress" => up(health.checks.egress.status),
        // Administration and what is asked for a running lease go on while draining.
        "berth.v1.AdminService" => true,
        _ => health.ready && up(health.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Checks;

    #[test]
    fn each_part_speaks_for_itself() {
        let mut checks = Checks::default();
        checks.browser_pool.status = Status::Unhealthy;
        let health = Health::overall(true, checks);
        assert!(!serves("", &health));
        assert!(!serves("browser-pool", &health));
        assert!(!serves("berth.v1.LeaseService", &health));
        assert!(serves("http-client", &health));
        assert!(serves("berth.v1.AdminService", &health));
    }

    #[test]
    fn not_ready_is_not_serving() {
        let health = Health::overall(false, Checks::default());
        assert!(!serves("", &health));
        assert!(!serves("browser-pool", &health));
    }
}
