//! The one table of metric names, as they are exported.

use super::Snapshot;

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Def {
    /// Its exported name.
    pub name: &'static str,
    /// What it is and, for what is read at scrape, where from.
    pub kind: Kind,
    /// The labels of every one of its series; each has a closed set of values.
    pub labels: &'static [&'static str],
    /// What it tells an operator.
    pub help: &'static str,
}

/// What a metric is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Counts events.
    Counter,
    /// Durations in seconds, with the upper bounds of its buckets.
    Histogram(&'static [f64]),
    /// Read from the live state at scrape.
    Gauge(Read),
    /// Only ever grows, but somebody else counts it: read at scrape.
    ObservedCounter(fn(&Snapshot) -> f64),
}

/// How a gauge is read from the snapshot.
#[derive(Clone, Copy, Debug)]
pub enum Read {
    /// One value.
    One(fn(&Snapshot) -> f64),
    /// One value, or none where there is nothing to tell.
    Maybe(fn(&Snapshot) -> Option<f64>),
    /// One value for each word of a label.
    Each(&'static str, fn(&Snapshot) -> Vec<(&'static str, f64)>),
}

/// Around the targets: a warm acquire takes 5 ms, a launch 60 ms, the queue up to minutes.
const ACQUIRE: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];
/// From an idle machine up to the default launch timeout.
const LAUNCH: &[f64] = &[
    0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0,
];
/// From one quick page to the longest lifetime a lease may be granted.
const HELD: &[f64] = &[
    0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0,
];
/// From a cached answer over HTTP to a slow page in a browser.
const FETCH: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
];
/// From a table look-up to a stream that lives as long as a lease.
const RPC: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0, 300.0, 3600.0,
];

/// Every metric there is.
pub const TABLE: &[Def] = &[
    gauges(
        "berth_browsers",
        &["state"],
        |s| {
            s.browsers
                .map(|(state, count)| (state, float(count)))
                .to_vec()
        },
        "Browsers by state.",
    ),
    gauge(
        "berth_browser_contexts_active",
        |s| float(s.contexts_active),
        "Browser contexts open in shared browsers.",
    ),
    gauge(
        "berth_leases_active",
        |s| float(s.leases_active),
        "Live leases.",
    ),
    gauge(
        "berth_acquire_waiting",
        |s| float(s.acquire_waiting),
        "Callers that wait for a browser.",
    ),
    counter(
        "berth_browser_launches_total",
        &["result"],
        "Browsers started, by whether they came up.",
    ),
    histogram(
        "berth_browser_launch_duration_seconds",
        LAUNCH,
        &[],
        "Time from starting a browser until it answered; launches that failed are not in it.",
    ),
    counter(
        "berth_browsers_retired_total",
        &["reason"],
        "Browsers destroyed, by why.",
    ),
    histogram(
        "berth_acquire_duration_seconds",
        ACQUIRE,
        &[],
        "Time a caller waited for a browser, whatever the answer was.",
    ),
    counter(
        "berth_acquire_total",
        &["outcome"],
        "Requests for a browser, by outcome.",
    ),
    counter(
        "berth_auth_reloads_total",
        &["result"],
        "Changes of the files that say who may call, by whether they hold.",
    ),
    counter(
        "berth_auth_total",
        &["outcome"],
        "Callers that were asked who they are, by what came of it.",
    ),
    counter(
        "berth_pool_exhausted_total",
        &["wanted"],
        "Requests sent away because there was no room for them, by what they wanted.",
    ),
    counter(
        "berth_egress_denied_total",
        &["rule", "mode"],
        "Targets that the egress policy forbade, by rule, and whether that was enforced.",
    ),
    counter(
        "berth_cdp_denied_total",
        &["rule", "mode"],
        "CDP commands that the policy forbade, by rule, and whether that was enforced.",
    ),
    counter(
        "berth_quota_refused_total",
        &["quota"],
        "Requests refused because their owner had as much as it may, by quota.",
    ),
    counter(
        "berth_leases_ended_total",
        &["reason"],
        "Leases ended, by why.",
    ),
    histogram(
        "berth_lease_held_seconds",
        HELD,
        &[],
        "Time from the grant of a lease to its end.",
    ),
    counter(
        "berth_fetches_total",
        &["via", "outcome"],
        "Fetches, by what answered them and by outcome.",
    ),
    histogram(
        "berth_fetch_duration_seconds",
        FETCH,
        &["via"],
        "Time a fetch took, by what answered it.",
    ),
    gauges(
        "berth_http_connections",
        &["state"],
        |s| {
            vec![
                ("active", float(s.http_active)),
                ("idle", float(s.http_idle)),
            ]
        },
        "Connections of the HTTP client: active ones carry at least one request, idle ones are kept for the next.",
    ),
    gauge(
        "berth_http_requests_waiting",
        |s| float(s.http_waiting),
        "HTTP requests that wait for a connection.",
    ),
    counter(
        "berth_http_connections_opened_total",
        &[],
        "Connections the HTTP client opened; 1 - opened/requests is the rate of reuse.",
    ),
    counter(
        "berth_http_requests_total",
        &[],
        "Requests the HTTP client sent, redirects included.",
    ),
    counter(
        "berth_cache_requests_total",
        &["result"],
        "Requests by what they had of the cache; none are counted when there is no cache.",
    ),
    gauge(
        "berth_cache_bytes",
        |s| float(s.cache_bytes),
        "Memory of the answers that are kept.",
    ),
    gauge(
        "berth_cache_entries",
        |s| float(s.cache_entries),
        "URLs and renderings of which answers are kept in memory.",
    ),
    gauge(
        "berth_browser_memory_bytes",
        |s| float(s.browser_memory_bytes),
        "Memory of all browser process trees, shared pages counted once; sampled.",
    ),
    gauge(
        "berth_browser_open_fds",
        |s| float(s.browser_open_fds),
        "File descriptors open in all browser process trees; sampled.",
    ),
    gauge(
        "berth_browser_processes",
        |s| float(s.browser_processes),
        "Processes in all browser process trees; sampled.",
    ),
    gauge(
        "berth_zombie_processes",
        |s| float(s.zombie_processes),
        "Dead children nobody has reaped; sampled. More than a moment above 0 is a bug.",
    ),
    gauges(
        "berth_leaks",
        &["kind"],
        |s| s.leaks.map(|(kind, count)| (kind, float(count))).to_vec(),
        "What the kernel shows and nobody owns, seen at two looks in a row, by kind.",
    ),
    counter(
        "berth_leaks_found_total",
        &["kind"],
        "Leaks found, by kind.",
    ),
    counter(
        "berth_leaks_repaired_total",
        &["kind"],
        "Leaks seen to be gone again, by kind.",
    ),
    gauge(
        "berth_browser_disk_bytes",
        |s| float(s.browser_disk_bytes),
        "What the directories of browsers take of the disk; sampled.",
    ),
    gauge(
        "berth_browser_dirs_pending",
        |s| float(s.browser_dirs_pending),
        "Directories of browsers or brokers that are gone, which could not be removed yet.",
    ),
    optional(
        "berth_disk_free_bytes",
        |s| s.disk_free_bytes.map(float),
        "What is free where browsers keep their directories; sampled.",
    ),
    optional(
        "berth_canary_age_seconds",
        |s| s.canary_age.map(|age| age.as_secs_f64()),
        "Time since a canary page last loaded, at first since the start; absent without canaries.",
    ),
    counter(
        "berth_canary_runs_total",
        &["result"],
        "Looks at whether a page loads, by result.",
    ),
    histogram(
        "berth_canary_duration_seconds",
        FETCH,
        &[],
        "Time a canary page took to load; those that failed are not in it.",
    ),
    gauges(
        "berth_health",
        &["check"],
        |s| {
            s.health
                .map(|(check, status)| (check, float(status)))
                .to_vec()
        },
        "How each part of the broker is: 0 healthy, 1 degraded, 2 unhealthy.",
    ),
    gauge(
        "process_open_fds",
        |s| float(s.open_fds),
        "File descriptors the broker has open.",
    ),
    gauge(
        "process_max_fds",
        |s| float(s.max_fds),
        "File descriptors the broker may open.",
    ),
    gauge(
        "process_resident_memory_bytes",
        |s| float(s.resident_bytes),
        "Resident memory of the broker itself.",
    ),
    Def {
        name: "process_cpu_seconds_total",
        kind: Kind::ObservedCounter(|s| s.cpu_seconds),
        labels: &[],
        help: "User and system time of the broker itself.",
    },
    gauge(
        "process_start_time_seconds",
        |s| s.start_seconds,
        "When the broker started, in seconds since the Unix epoch.",
    ),
    histogram(
        "rpc_server_duration_seconds",
        RPC,
        &["method", "code"],
        "Time an RPC took until its last message, by method and gRPC code.",
    ),
];

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Def {
    let kind = Kind::Counter;
    Def {
        name,
        kind,
        labels,
        help,
    }
}

const fn histogram(
    name: &'static str,
    buckets: &'static [f64],
    labels: &'static [&'static str],
    help: &'static str,
) -> Def {
    let kind = Kind::Histogram(buckets);
    Def {
        name,
        kind,
        labels,
        help,
    }
}

const fn gauge(name: &'static str, read: fn(&Snapshot) -> f64, help: &'static str) -> Def {
    let kind = Kind::Gauge(Read::One(read));
    Def {
        name,
        kind,
        labels: &[],
        help,
    }
}

const fn optional(
    name: &'static str,
    read: fn(&Snapshot) -> Option<f64>,
    help: &'static str,
) -> Def {
    let kind = Kind::Gauge(Read::Maybe(read));
    Def {
        name,
        kind,
        labels: &[],
        help,
    }
}

const fn gauges(
    name: &'static str,
    labels: &'static [&'static str; 1],
    read: fn(&Snapshot) -> Vec<(&'static str, f64)>,
    help: &'static str,
) -> Def {
    Def {
        name,
        kind: Kind::Gauge(Read::Each(labels[0], read)),
        labels,
        help,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and bytes stay far below 2^53"
)]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_follow_the_conventions() {
        for (index, def) in TABLE.iter().enumerate() {
            let name = def.name;
            assert!(
                TABLE[..index].iter().all(|other| other.name != name),
                "{name}"
            );
            let counts = matches!(def.kind, Kind::Counter | Kind::ObservedCounter(_));
            assert_eq!(counts, name.ends_with("_total"), "{name}");
            assert!(def.help.ends_with('.'), "{name}: a help text is a sentence");
            match def.kind {
                Kind::Histogram(buckets) => {
                    assert!(name.ends_with("_seconds"), "{name}");
                    assert!(buckets.is_sorted(), "{name}");
                }
                Kind::Gauge(Read::Each(label, _)) => assert_eq!(def.labels, [label], "{name}"),
                _ => {}
            }
        }
    }
}
