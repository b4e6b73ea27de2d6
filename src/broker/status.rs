//! The live picture, for operators, probes and dashboards alike: one source, read when asked.

use std::time::{Duration, SystemTime};

use super::Broker;
use crate::{
    browser::{Seen, State, census},
    fetch,
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
    /// Callers that wait for a lease.
    pub waiting_leases: usize,
    /// Callers that wait for a seat.
    pub waiting_seats: usize,
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
    /// Those of them that had been there at the count before.
    pub lasting_zombies: u64,
}

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
        let (zombies, lasting_zombies) = pool.zombies();
        Status {
            draining: self.0.drain.is_draining(),
            browsers: browsers
                .map(|seen| (seen, leases.get(&seen.id).copied()))
                .collect(),
            seats,
            seats_used,
            waiting_leases: pool.leases_waiting(),
            waiting_seats: pool.seats_waiting(),
            launches: tally.succeeded,
            launch_failures: tally.failed,
            last_launch_error: tally.last_error.map(|(error, at)| (error.to_string(), at)),
            fetches: self.0.fetcher.load(),
            own: census::own().unwrap_or_default(),
            zombies,
            lasting_zombies,
        }
    }

    /// The values of the gauges.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let status = self.status();
        let checks = self.judged(&status).checks;
        let found = &checks.resources;
        let canary = &checks.browser_pool.canary;
        let [process, directory, descriptor, browser, socket] = found.leaks.each();
        let sum = |of: fn(&Seen) -> u64| status.browsers.iter().map(|(seen, _)| of(seen)).sum();
        Snapshot {
            browsers: State::ALL.map(|state| (state.as_str(), status.count(state))),
            contexts_active: status.seats_used as u64,
            leases_active: self.0.lessor.read(Table::active) as u64,
            acquire_waiting: status.waiting() as u64,
            http_active: status.fetches.connections.active,
            http_idle: status.fetches.connections.idle,
            http_waiting: status.fetches.waiting,
            cache_bytes: status.fetches.cache.bytes,
            cache_entries: status.fetches.cache.entries,
            browser_memory_bytes: sum(|seen| seen.usage.memory),
            browser_open_fds: sum(|seen| seen.usage.open_fds),
            browser_processes: sum(|seen| seen.usage.processes),
            zombie_processes: status.zombies,
            leaks: [
                process,
                directory,
                descriptor,
                browser,
                socket,
                ("zombie", status.lasting_zombies),
            ],
            browser_disk_bytes: found.browser_disk_bytes,
            browser_dirs_pending: found.dirs_pending,
            disk_free_bytes: found.disk_free_bytes,
            canary_age: canary.enabled.then(|| Duration::from_millis(canary.age_ms)),
            health: checks
                .each()
                .map(|(check, verdict)| (check, verdict.status as u64)),
            open_fds: status.own.open_fds,
            max_fds: status.own.max_fds,
            resident_bytes: status.own.resident,
            cpu_seconds: status.own.cpu_seconds,
            start_seconds: status.own.start_seconds,
        }
    }
}

impl Status {
    /// Callers that wait for a browser or a seat.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting_leases + self.waiting_seats
    }

    /// How many browsers are in `state`.
    #[must_use]
    pub fn count(&self, state: State) -> u64 {
        let all = self.browsers.iter();
        all.filter(|(seen, _)| seen.state == state).count() as u64
    }
}
