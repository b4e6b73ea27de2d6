//! How the broker is, as it is told to whoever polls it.
//!
//! Full is not broken: a pool without a free browser is healthy as long as browsers can be started.

use serde::Serialize;

/// How something is, from best to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It works.
    #[default]
    Healthy,
    /// It works, but somebody should look.
    Degraded,
    /// It does not work.
    Unhealthy,
}

/// How the broker is as a whole and in its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// The worst of the checks.
    pub status: Status,
    /// Whether new work is taken: not before the first browser is up, not while draining.
    pub ready: bool,
    /// The parts.
    pub checks: Checks,
}

/// The parts of the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checks {
    /// The browsers.
    pub browser_pool: BrowserPool,
    /// The HTTP client of fetches.
    pub http_client: HttpClient,
    /// The cache of fetches.
    pub cache: Cache,
    /// The rules on where browsers and fetches may go.
    pub egress: Egress,
    /// What the kernel gives us.
    pub resources: Resources,
}

/// The browsers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BrowserPool {
    /// How they are.
    pub status: Status,
    /// How many could be handed out now without evicting anyone, started ones or new.
    pub available: u64,
    /// Started and used by nobody.
    pub idle: u64,
    /// Exclusive to a lease.
    pub leased: u64,
    /// Shared by fetches.
    pub shared: u64,
    /// Not up yet.
    pub starting: u64,
    /// About to be gone.
    pub retiring: u64,
    /// Callers that wait for one.
    pub waiting: u64,
    /// How many there may be.
    pub max: u64,
    /// Why the last launch failed; `None` once one succeeds.
    pub last_launch_error: Option<String>,
}

/// The HTTP client of fetches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HttpClient {
    /// How it is.
    pub status: Status,
    /// Requests under way.
    pub active: u64,
    /// Requests that wait for a connection.
    pub waiting: u64,
    /// How many may be under way at once.
    pub limit: u64,
    /// Connections that carry at least one request.
    pub connections_active: u64,
    /// Connections that are kept for the next request.
    pub connections_idle: u64,
    /// Connections ever opened.
    pub connections_opened: u64,
    /// Requests ever sent.
    pub requests: u64,
    /// Those of them that went over a connection that was there.
    pub requests_reused: u64,
}

/// The cache of fetches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cache {
    /// How it is.
    pub status: Status,
    /// Whether there is one.
    pub enabled: bool,
    /// What it takes of memory.
    pub bytes: u64,
    /// What it may take.
    pub max_bytes: u64,
    /// Answers kept in memory.
    pub entries: u64,
    /// What it takes of the disk.
    pub disk_bytes: u64,
    /// Requests that had to do with it.
    pub requests: u64,
    /// Those of them that it spared the origin a whole answer.
    pub hits: u64,
    /// Their part in a hundred; `None` as long as there were no requests.
    pub hit_percent: Option<u64>,
}

/// The rules on where browsers and fetches may go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Egress {
    /// How they are.
    pub status: Status,
}

/// What the kernel gives us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Resources {
    /// How they are.
    pub status: Status,
    /// File descriptors the broker has open.
    pub open_fds: u64,
    /// How many it may open.
    pub fd_limit: u64,
    /// Resident memory of the broker itself.
    pub rss_bytes: u64,
    /// Memory of all browsers, shared pages counted once.
    pub browser_pss_bytes: u64,
    /// Dead children nobody has reaped.
    pub zombies: u64,
}

impl Health {
    /// The health that follows from its parts.
    #[must_use]
    pub fn overall(ready: bool, checks: Checks) -> Self {
        let status = checks.worst();
        Self {
            status,
            ready,
            checks,
        }
    }
}

impl Checks {
    /// How the worst part is.
    #[must_use]
    pub fn worst(&self) -> Status {
        // Taken apart by name, so that a part added later cannot be forgotten here.
        let Self {
            browser_pool,
            http_client,
            cache,
            egress,
            resources,
        } = self;
        browser_pool
            .status
            .max(http_client.status)
            .max(cache.status)
            .max(egress.status)
            .max(resources.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_part_decides() {
        let mut checks = Checks::default();
        assert_eq!(checks.worst(), Status::Healthy);
        checks.resources.status = Status::Degraded;
        assert_eq!(checks.worst(), Status::Degraded);
        checks.browser_pool.status = Status::Unhealthy;
        let health = Health::overall(true, checks);
        assert_eq!(health.status, Status::Unhealthy);
        assert!(health.ready);
    }

    #[test]
    fn reads_as_in_the_contract() {
        let json = serde_json::to_value(Health::default()).unwrap();
        assert_eq!(json["status"], "healthy");
        assert_eq!(
            json["checks"]["browser_pool"]["last_launch_error"],
            serde_json::Value::Null
        );
        assert_eq!(json["checks"]["cache"]["enabled"], false);
        assert_eq!(json["checks"]["resources"]["fd_limit"], 0);
    }
}
