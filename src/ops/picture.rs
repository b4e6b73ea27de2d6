//! What `/status` shows, in words for programs. No secret is in it: no `cdp_url`, no token.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use crate::{
    broker::{Broker, HISTORY_STEP, Sample, Subject},
    browser::Seen,
    health::Health,
    lease::{LeaseId, Record},
};

/// The broker at one moment. Times are milliseconds since the Unix epoch, by the broker's clock.
#[derive(Debug, Serialize)]
pub(super) struct Picture {
    version: &'static str,
    node: String,
    now_ms: u64,
    start_ms: u64,
    draining: bool,
    /// Leases and fetches that run.
    running: usize,
    /// As `/health` has it.
    health: Health,
    max_browsers: u32,
    browsers: Vec<BrowserRow>,
    /// How many there are; the list has the first of them.
    leases_total: usize,
    leases: Vec<LeaseRow>,
    waiting: usize,
    queue: usize,
    fetches: Fetches,
    launches: u64,
    launch_failures: u64,
    history: History,
}

#[derive(Debug, Serialize)]
struct BrowserRow {
    id: String,
    state: &'static str,
    pid: Option<i32>,
    age_ms: u64,
    uses: u64,
    contexts: usize,
    memory_bytes: u64,
    processes: u64,
    open_fds: u64,
    lease: Option<String>,
}

#[derive(Debug, Serialize)]
struct LeaseRow {
    id: String,
    owner: String,
    labels: BTreeMap<String, String>,
    browser: String,
    created_ms: u64,
    expires_ms: u64,
    /// Whether a `Hold` stream keeps it.
    held: bool,
    attached_clients: usize,
}

#[derive(Debug, Serialize)]
struct Fetches {
    total: u64,
    failed: u64,
    active: u64,
    waiting: u64,
    limit: u64,
    /// Those that ended in the last minute, of which the percentiles are.
    recent: u64,
    p50_us: u64,
    p95_us: u64,
}

/// The samples that the caller has not seen, oldest first.
#[derive(Debug, Serialize)]
struct History {
    step_ms: u64,
    /// The number of the first row.
    from: u64,
    /// What to ask for next time: `?since=`.
    next: u64,
    columns: [&'static str; COLUMNS],
    rows: Vec<[u64; COLUMNS]>,
}

const COLUMNS: usize = 19;
/// How many leases are listed: a page of thousands helps nobody.
const MOST_LEASES: usize = 200;

impl Picture {
    /// The picture now, with the samples from number `since` on.
    pub(super) fn of(broker: &Broker, node: &str, started: SystemTime, since: u64) -> Self {
        let status = broker.status();
        let latency = broker.latency();
        let config = broker.pool_config();
        let (leases, _) = broker.list(None, usize::MAX, false, |_| true);
        let (samples, next) = broker.history(since);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            node: node.into(),
            now_ms: since_epoch(SystemTime::now()),
            start_ms: since_epoch(started),
            draining: status.draining,
            running: broker.drain().running(),
            health: broker.health(),
            max_browsers: config.max_browsers,
            browsers: status.browsers.iter().map(browser).collect(),
            leases_total: leases.len(),
            leases: leases.iter().take(MOST_LEASES).map(lease).collect(),
            waiting: status.waiting(),
            queue: config.queue,
            fetches: Fetches {
                total: status.fetches.total,
                failed: status.fetches.failed,
                active: status.fetches.active,
                waiting: status.fetches.waiting,
                limit: status.fetches.limit,
                recent: latency.count,
                p50_us: micros(latency.p50),
                p95_us: micros(latency.p95),
            },
            launches: status.launches,
            launch_failures: status.launch_failures,
            history: History::of(&samples, next),
        }
    }
}

impl History {
    fn of(samples: &[Sample], next: u64) -> Self {
        Self {
            step_ms: millis(HISTORY_STEP),
            from: next - samples.len() as u64,
            next,
            columns: [
                "at_ms",
                "starting",
                "idle",
                "shared",
                "leased",
                "retiring",
                "contexts",
                "leases",
                "waiting",
                "fetches",
                "failed",
                "p50_us",
                "p95_us",
                "http_active",
                "http_idle",
                "browser_bytes",
                "browser_fds",
                "own_bytes",
                "own_fds",
            ],
            rows: samples.iter().map(row).collect(),
        }
    }
}

fn row(sample: &Sample) -> [u64; COLUMNS] {
    // Taken apart by name, so that a figure added later cannot be forgotten here.
    let Sample {
        at_ms,
        browsers: [starting, idle, shared, leased, retiring],
        contexts,
        leases,
        waiting,
        fetches,
        failed,
        p50_us,
        p95_us,
        http_active,
        http_idle,
        browser_bytes,
        browser_fds,
        own_bytes,
        own_fds,
    } = *sample;
    [
        at_ms,
        starting,
        idle,
        shared,
        leased,
        retiring,
        contexts,
        leases,
        waiting,
        fetches,
        failed,
        p50_us,
        p95_us,
        http_active,
        http_idle,
        browser_bytes,
        browser_fds,
        own_bytes,
        own_fds,
    ]
}

fn browser((seen, lease): &(Seen, Option<LeaseId>)) -> BrowserRow {
    BrowserRow {
        id: seen.id.to_string(),
        state: seen.state.as_str(),
        pid: seen.pid,
        age_ms: millis(seen.age),
        uses: seen.uses,
        contexts: seen.seats,
        memory_bytes: seen.usage.memory,
        processes: seen.usage.processes,
        open_fds: seen.usage.open_fds,
        lease: lease.map(|id| id.to_string()),
    }
}

fn lease(record: &Record<Subject>) -> LeaseRow {
    LeaseRow {
        id: record.id.to_string(),
        owner: record.owner.clone(),
        labels: record.labels.clone(),
        browser: record.subject.browser.to_string(),
        created_ms: since_epoch(record.created),
        expires_ms: since_epoch(record.expires),
        held: record.held,
        attached_clients: record.attached,
    }
}

fn since_epoch(time: SystemTime) -> u64 {
    millis(
        time.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_stands_below_its_name() {
        let sample = Sample {
            at_ms: 1,
            browsers: [2, 3, 4, 5, 6],
            contexts: 7,
            leases: 8,
            waiting: 9,
            fetches: 10,
            failed: 11,
            p50_us: 12,
            p95_us: 13,
            http_active: 14,
            http_idle: 15,
            browser_bytes: 16,
            browser_fds: 17,
            own_bytes: 18,
            own_fds: 19,
        };
        let history = History::of(&[sample], 7);
        assert_eq!((history.from, history.next, history.step_ms), (6, 7, 2000));
        let at = |name| history.columns.iter().position(|one| *one == name).unwrap();
        for (name, wanted) in [("at_ms", 1), ("leased", 5), ("waiting", 9), ("own_fds", 19)] {
            assert_eq!(history.rows[0][at(name)], wanted, "{name}");
        }
    }
}
