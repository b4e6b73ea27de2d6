//! The live picture, for operators, probes and dashboards alike: one source, read when asked.

use std::time::SystemTime;

use super::Broker;
use crate::{
    browser::{Seen, State, census},
    fetch,
    health::{self, BrowserPool, Cache, Checks, Egress, Health, HttpClient, Resources},
    lease::{LeaseId, Table},
    metrics::Snapshot,
};

/// What the broker does at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// Whether new work is refused.
    pub draining: bool,
    /// Every browser, with the lease it serves.
    pub browsers: Vec<(Seen, Option<LeaseId>)>,
    /// Seats in shared browsers.
    pub seats: usize,
    /// Seats that are taken.
    pub seats_used: usize,
    /// Callers that wait for a browser or a seat.
    pub waiting: usize,
    /// Launches that succeeded.
    pub launches: u64,
    /// Launches that failed.
    pub launch_failures: u64,
    /// The last launch that failed.
    pub last_launch_error: Option<(String, SystemTime)>,
    /// Fetches.
    pub fetches: fetch::Load,
    /// What the broker's own process uses.
    pub own: census::Own,
    /// Dead children nobody has reaped.
    pub zombies: u64,
}

/// So many launches failing in a row mean that browsers cannot be had.
const LAUNCHES_BROKEN: u32 = 3;

impl Broker {
    /// The live picture.
    #[must_use]
    pub fn status(&self) -> Status {
        let pool = &self.0.pool;
        let tally = pool.launches().tally();
        let (seats, seats_used) = pool.seats();
        let leases = self.0.lessor.read(|table| {
            let live = table.list(None, false);
            live.map(|record| (record.subject.browser, record.id))
                .collect::<std::collections::HashMap<_, _>>()
        });
        let browsers = pool.seen().into_iter();
        Status {
            draining: self.0.drain.is_draining(),
            browsers: browsers
                .map(|seen| (seen, leases.get(&seen.id).copied()))
                .collect(),
            seats,
            seats_used,
            waiting: pool.waiting(),
            launches: tally.succeeded,
            launch_failures: tally.failed,
            last_launch_error: tally.last_error.map(|(error, at)| (error.to_string(), at)),
            fetches: self.0.fetcher.load(),
            own: census::own().unwrap_or_default(),
            zombies: pool.zombies(),
        }
    }

    /// The values of the gauges.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let status = self.status();
        let sum = |of: fn(&Seen) -> u64| status.browsers.iter().map(|(seen, _)| of(seen)).sum();
        Snapshot {
            browsers: State::ALL.map(|state| (state.as_str(), status.count(state))),
            contexts_active: status.seats_used as u64,
            leases_active: self.0.lessor.read(Table::active) as u64,
            acquire_waiting: status.waiting as u64,
            http_active: status.fetches.connections.active,
            http_idle: status.fetches.connections.idle,
            http_waiting: status.fetches.waiting,
            cache_bytes: status.fetches.cache.bytes,
            cache_entries: status.fetches.cache.entries,
            browser_memory_bytes: sum(|seen| seen.usage.memory),
            browser_open_fds: sum(|seen| seen.usage.open_fds),
            browser_processes: sum(|seen| seen.usage.processes),
            zombie_processes: status.zombies,
            open_fds: status.own.open_fds,
            max_fds: status.own.max_fds,
            resident_bytes: status.own.resident,
            cpu_seconds: status.own.cpu_seconds,
            start_seconds: status.own.start_seconds,
        }
    }

    /// How the broker is. Cheap, and it waits for nothing.
    #[must_use]
    pub fn health(&self) -> Health {
        let status = self.status();
        let tally = self.0.pool.launches().tally();
        let broken = tally.failed_in_a_row >= LAUNCHES_BROKEN;
        let browser_pool = BrowserPool {
            status: match (broken, tally.failed_in_a_row) {
                (true, _) => health::Status::Unhealthy,
                (false, 0) => health::Status::Healthy,
                (false, _) => health::Status::Degraded,
            },
            available: self.available(&status),
            idle: status.count(State::Idle),
            leased: status.count(State::Leased),
            shared: status.count(State::Shared),
            starting: status.count(State::Starting),
            retiring: status.count(State::Retiring),
            waiting: status.waiting as u64,
            max: u64::from(self.0.pool.config().max_browsers),
            last_launch_error: tally
                .last_error
                .filter(|_| tally.failed_in_a_row > 0)
                .map(|(error, _)| error.to_string()),
        };
        let checks = Checks {
            browser_pool,
            http_client: HttpClient {
                status: health::Status::Healthy,
                active: status.fetches.active,
                waiting: status.fetches.waiting,
                limit: status.fetches.limit,
                connections_active: status.fetches.connections.active,
                connections_idle: status.fetches.connections.idle,
                connections_opened: status.fetches.connections.opened,
                requests: status.fetches.requests,
                requests_reused: status.fetches.connections.reused,
            },
            cache: cache(status.fetches.cache),
            egress: Egress::default(),
            resources: resources(&status),
        };
        // Not before the first browser was up: until then nobody knows whether any can be.
        let ready = !status.draining && tally.succeeded > 0 && !broken;
        Health::overall(ready, checks)
    }

    fn available(&self, status: &Status) -> u64 {
        let max = u64::from(self.0.pool.config().max_browsers);
        max.saturating_sub(status.browsers.len() as u64) + status.count(State::Idle)
    }
}

impl Status {
    /// How many browsers are in `state`.
    #[must_use]
    pub fn count(&self, state: State) -> u64 {
        let all = self.browsers.iter();
        all.filter(|(seen, _)| seen.state == state).count() as u64
    }
}

fn cache(load: fetch::CacheLoad) -> Cache {
    Cache {
        // Without it fetches only take longer.
        status: health::Status::Healthy,
        enabled: load.enabled,
        bytes: load.bytes,
        max_bytes: load.max_bytes,
        entries: load.entries,
        disk_bytes: load.disk_bytes,
        requests: load.requests,
        hits: load.hits,
        hit_percent: (load.hits * 100).checked_div(load.requests),
    }
}

fn resources(status: &Status) -> Resources {
    let own = &status.own;
    // A tenth of the descriptors is what a burst takes before anybody can react.
    let scarce = own.max_fds > 0 && own.open_fds >= own.max_fds - own.max_fds / 10;
    Resources {
        status: if scarce {
            health::Status::Degraded
        } else {
            health::Status::Healthy
        },
        open_fds: own.open_fds,
        fd_limit: own.max_fds,
        rss_bytes: own.resident,
        browser_pss_bytes: status
            .browsers
            .iter()
            .map(|(seen, _)| seen.usage.memory)
            .sum(),
        zombies: status.zombies,
    }
}
