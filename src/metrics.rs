//! What Berth counts and measures, in the form Prometheus scrapes.
//!
//! Every name, help text and bucket stands in [`TABLE`]. *Counters* and *histograms* are written
//! when something happened; *gauges* are never counted: they are read from one [`Snapshot`] of the
//! live state per scrape, so that they cannot drift from it and agree with each other.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter, MeterProvider},
};
use opentelemetry_sdk::{error::OTelSdkError, metrics::SdkMeterProvider};
use parking_lot::Mutex;
use prometheus::{Registry, TextEncoder};

mod denied;
mod table;
mod words;
mod zero;

pub use table::{Def, Kind, Read, TABLE};
pub use words::{
    AcquireOutcome, AuthOutcome, CACHE_RESULTS, CanaryResult, CdpRule, END_REASONS, EgressRule,
    FETCH_OUTCOMES, LEAK_KINDS, LaunchResult, METHODS, QuotaKind, Reload, Retire, VIA, Wanted,
};

/// The content type of what [`Metrics::encode`] returns.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The one handle to the metrics; clones share the same registry. There is no global one.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    instruments: Instruments,
    read: Mutex<Option<Reader>>,
    /// What the gauges of the running scrape show; `None` until there is something to read.
    latest: Arc<Mutex<Option<Snapshot>>>,
    /// Alive as long as the instruments are.
    _provider: SdkMeterProvider,
}

type Reader = Arc<dyn Fn() -> Snapshot + Send + Sync>;

#[derive(Default)]
struct Instruments {
    counters: HashMap<&'static str, Counter<u64>>,
    histograms: HashMap<&'static str, Histogram<f64>>,
}

/// The live state that the gauges show, read once per scrape.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Browsers by state: starting, idle, shared, leased, retiring.
    pub browsers: [(&'static str, u64); 5],
    /// Browser contexts open in shared browsers.
    pub contexts_active: u64,
    /// Live leases.
    pub leases_active: u64,
    /// Callers that wait for a browser.
    pub acquire_waiting: u64,
    /// Connections of the HTTP client that carry at least one request.
    pub http_active: u64,
    /// Connections of the HTTP client that are kept for the next request.
    pub http_idle: u64,
    /// HTTP requests that wait for a connection.
    pub http_waiting: u64,
    /// Memory of the cache of fetches in bytes.
    pub cache_bytes: u64,
    /// Answers in the cache of fetches.
    pub cache_entries: u64,
    /// Memory of all browsers' process trees in bytes; shared pages count once.
    pub browser_memory_bytes: u64,
    /// File descriptors open in all browsers' process trees.
    pub browser_open_fds: u64,
    /// Processes in all browsers' process trees.
    pub browser_processes: u64,
    /// Dead children nobody has reaped.
    pub zombie_processes: u64,
    /// What the kernel shows and nobody owns, by [`LEAK_KINDS`].
    pub leaks: [(&'static str, u64); 6],
    /// What the directories of browsers take of the disk in bytes.
    pub browser_disk_bytes: u64,
    /// Directories of browsers or brokers that are gone, still to be removed.
    pub browser_dirs_pending: u64,
    /// What is free where browsers keep their directories in bytes; `None` until it is known.
    pub disk_free_bytes: Option<u64>,
    /// How long ago a canary last loaded; `None` without canaries.
    pub canary_age: Option<Duration>,
    /// How each part is: 0 healthy, 1 degraded, 2 unhealthy.
    pub health: [(&'static str, u64); 5],
    /// File descriptors open in the broker itself.
    pub open_fds: u64,
    /// How many file descriptors the broker may open.
    pub max_fds: u64,
    /// Resident memory of the broker itself in bytes.
    pub resident_bytes: u64,
    /// User and system time of the broker itself in seconds.
    pub cpu_seconds: f64,
    /// When the broker started, in seconds since the Unix epoch.
    pub start_seconds: f64,
}

/// Why the metrics cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The exporter did not start.
    #[error("cannot start the metrics exporter")]
    Start(#[from] OTelSdkError),
    /// The values cannot be written as text.
    #[error("cannot encode the metrics")]
    Encode(#[from] prometheus::Error),
}

impl Metrics {
    /// Metrics with a registry of their own, every counter of a closed label set at zero: a
    /// series that appears with its first event hides that event from `increase()`.
    ///
    /// # Errors
    /// [`Error::Start`] when the exporter refuses its registry.
    pub fn new() -> Result<Self, Error> {
        let registry = Registry::new();
        // The table's names are the exported names, letter by letter: nothing is added to them.
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_target_info()
            .without_units()
            .without_counter_suffixes()
            .build()?;
        let provider = SdkMeterProvider::builder().with_reader(exporter).build();
        let latest = Arc::default();
        let instruments = Instruments::build(&provider.meter("berth"), &latest);
        let metrics = Self(Arc::new(Inner {
            registry,
            instruments,
            read: Mutex::default(),
            latest,
            _provider: provider,
        }));
        metrics.start_at_zero();
        Ok(metrics)
    }

    /// Lets the gauges show what `read` returns; without it they are absent.
    ///
    /// `read` runs once per scrape, on the thread that scrapes: it must not wait. It lives as long
    /// as these metrics, so what owns a `Metrics` is better captured weakly.
    pub fn observe(&self, read: impl Fn() -> Snapshot + Send + Sync + 'static) {
        *self.0.read.lock() = Some(Arc::new(read));
    }

    /// Everything in the Prometheus text format 0.0.4.
    ///
    /// # Errors
    /// [`Error::Encode`] when a value cannot be written.
    pub fn encode(&self) -> Result<String, Error> {
        let read = self.0.read.lock().clone();
        // `read` takes locks of its own: none of ours is held while it runs.
        let snapshot = read.map(|read| read());
        *self.0.latest.lock() = snapshot;
        let families = self.0.registry.gather();
        Ok(TextEncoder::new().encode_to_string(&families)?)
    }

    /// A browser came up, or failed to, after `took`.
    pub fn launched(&self, result: LaunchResult, took: Duration) {
        let labels = [KeyValue::new("result", result.as_str())];
        self.count("berth_browser_launches_total", &labels);
        // A launch that failed mostly took the launch timeout: it would hide how fast they are.
        if result == LaunchResult::Ok {
            self.measure("berth_browser_launch_duration_seconds", took, &[]);
        }
    }

    /// A browser was retired.
    pub fn retired(&self, reason: Retire) {
        let labels = [KeyValue::new("reason", reason.as_str())];
        self.count("berth_browsers_retired_total", &labels);
    }

    /// A look at whether a page loads had `result`, and took so long when it did.
    pub fn canary(&self, result: CanaryResult, took: Option<Duration>) {
        let labels = [KeyValue::new("result", result.as_str())];
        self.count("berth_canary_runs_total", &labels);
        if let Some(took) = took {
            self.measure("berth_canary_duration_seconds", took, &[]);
        }
    }

    /// Something was found that nobody owns: `kind` is one of [`LEAK_KINDS`].
    pub fn leak_found(&self, kind: &'static str) {
        self.count("berth_leaks_found_total", &[KeyValue::new("kind", kind)]);
    }

    /// What was found is gone.
    pub fn leak_repaired(&self, kind: &'static str) {
        self.count("berth_leaks_repaired_total", &[KeyValue::new("kind", kind)]);
    }

    /// A caller that wanted a browser got its answer after `took`.
    pub fn acquired(&self, outcome: AcquireOutcome, took: Duration) {
        let labels = [KeyValue::new("outcome", outcome.as_str())];
        self.count("berth_acquire_total", &labels);
        self.measure("berth_acquire_duration_seconds", took, &[]);
    }

    /// A file that says who may call had changed.
    pub fn auth_reloaded(&self, result: Reload) {
        let labels = [KeyValue::new("result", result.as_str())];
        self.count("berth_auth_reloads_total", &labels);
    }

    /// A caller was asked who it is.
    pub fn authenticated(&self, outcome: AuthOutcome) {
        let labels = [KeyValue::new("outcome", outcome.as_str())];
        self.count("berth_auth_total", &labels);
    }

    /// A caller was sent away because there was no room for what it wanted.
    pub fn pool_exhausted(&self, wanted: Wanted) {
        let labels = [KeyValue::new("wanted", wanted.as_str())];
        self.count("berth_pool_exhausted_total", &labels);
    }

    /// A request was refused, for its owner had as much of `quota` as it may.
    pub fn quota_refused(&self, quota: QuotaKind) {
        let labels = [KeyValue::new("quota", quota.as_str())];
        self.count("berth_quota_refused_total", &labels);
    }

    /// A lease ended for `reason`, one of [`END_REASONS`], after it was `held`.
    pub fn lease_ended(&self, reason: &'static str, held: Duration) {
        let labels = [KeyValue::new("reason", reason)];
        self.count("berth_leases_ended_total", &labels);
        self.measure("berth_lease_held_seconds", held, &[]);
    }

    /// A fetch ended after `took`: `via` is one of [`VIA`], `outcome` one of [`FETCH_OUTCOMES`].
    pub fn fetched(&self, via: &'static str, outcome: &'static str, took: Duration) {
        let via = KeyValue::new("via", via);
        let labels = [via.clone(), KeyValue::new("outcome", outcome)];
        self.count("berth_fetches_total", &labels);
        self.measure("berth_fetch_duration_seconds", took, &[via]);
    }

    /// The HTTP client opened a connection.
    pub fn http_connection_opened(&self) {
        self.count("berth_http_connections_opened_total", &[]);
    }

    /// The HTTP client sent a request.
    pub fn http_requested(&self) {
        self.count("berth_http_requests_total", &[]);
    }

    /// A request had `result`, one of [`CACHE_RESULTS`], of the cache.
    pub fn cache_requested(&self, result: &'static str) {
        let labels = [KeyValue::new("result", result)];
        self.count("berth_cache_requests_total", &labels);
    }

    /// An RPC of `method` (`/package.Service/Method`) was answered with `code` after `took`.
    ///
    /// Callers choose the method, so what is not in [`METHODS`] is counted as `other`.
    pub fn rpc(&self, method: &str, code: &'static str, took: Duration) {
        let path = method.strip_prefix('/').unwrap_or(method);
        let known = METHODS.iter().find(|known| **known == path);
        let labels = [
            KeyValue::new("method", known.copied().unwrap_or("other")),
            KeyValue::new("code", code),
        ];
        self.measure("rpc_server_duration_seconds", took, &labels);
    }

    fn count(&self, name: &'static str, labels: &[KeyValue]) {
        self.add(name, 1, labels);
    }

    fn add(&self, name: &'static str, count: u64, labels: &[KeyValue]) {
        let counter = self.0.instruments.counters.get(name);
        debug_assert!(counter.is_some(), "{name} is no counter of the table");
        if let Some(counter) = counter {
            counter.add(count, labels);
        }
    }

    fn measure(&self, name: &'static str, took: Duration, labels: &[KeyValue]) {
        let histogram = self.0.instruments.histograms.get(name);
        debug_assert!(histogram.is_some(), "{name} is no histogram of the table");
        if let Some(histogram) = histogram {
            histogram.record(took.as_secs_f64(), labels);
        }
    }
}

impl Instruments {
    fn build(meter: &Meter, latest: &Arc<Mutex<Option<Snapshot>>>) -> Self {
        let mut instruments = Self::default();
        for def in TABLE {
            match def.kind {
                Kind::Counter => {
                    let counter = meter.u64_counter(def.name).with_description(def.help);
                    instruments.counters.insert(def.name, counter.build());
                }
                Kind::Histogram(buckets) => {
                    let histogram = meter
                        .f64_histogram(def.name)
                        .with_description(def.help)
                        .with_boundaries(buckets.to_vec());
                    instruments.histograms.insert(def.name, histogram.build());
                }
                Kind::Gauge(read) => observe_gauge(meter, def, read, Arc::clone(latest)),
                Kind::ObservedCounter(read) => {
                    let latest = Arc::clone(latest);
                    // The meter keeps the callback; the handle itself is good for nothing more.
                    let _counter = meter
                        .f64_observable_counter(def.name)
                        .with_description(def.help)
                        .with_callback(move |observer| {
                            if let Some(snapshot) = &*latest.lock() {
                                observer.observe(read(snapshot), &[]);
                            }
                        })
                        .build();
                }
            }
        }
        instruments
    }
}

fn observe_gauge(
    meter: &Meter,
    def: &'static Def,
    read: Read,
    latest: Arc<Mutex<Option<Snapshot>>>,
) {
    let _gauge = meter
        .f64_observable_gauge(def.name)
        .with_description(def.help)
        .with_callback(move |observer| {
            let latest = latest.lock();
            let Some(snapshot) = &*latest else { return };
            match read {
                Read::One(read) => observer.observe(read(snapshot), &[]),
                Read::Maybe(read) => {
                    if let Some(value) = read(snapshot) {
                        observer.observe(value, &[]);
                    }
                }
                Read::Each(label, read) => {
                    for (word, value) in read(snapshot) {
                        observer.observe(value, &[KeyValue::new(label, word)]);
                    }
                }
            }
        })
        .build();
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Snapshot {
        Snapshot {
            browsers: [
                ("starting", 0),
                ("idle", 1),
                ("shared", 1),
                ("leased", 2),
                ("retiring", 0),
            ],
            http_active: 3,
            browser_memory_bytes: 3 << 30,
            cpu_seconds: 1.5,
            leaks: LEAK_KINDS.map(|kind| (kind, 0)),
            health: [
                "browser_pool",
                "http_client",
                "cache",
                "egress",
                "resources",
            ]
            .map(|check| (check, 0)),
            disk_free_bytes: Some(1 << 30),
            canary_age: Some(Duration::from_secs(7)),
            ..Snapshot::default()
        }
    }

    /// Metrics on which everything happened once.
    fn busy() -> Metrics {
        let metrics = Metrics::new().unwrap();
        metrics.observe(live);
        let took = Duration::from_millis(60);
        metrics.launched(LaunchResult::Ok, took);
        metrics.launched(LaunchResult::Failed, Duration::from_secs(30));
        metrics.retired(Retire::Leased);
        metrics.acquired(AcquireOutcome::Granted, took);
        metrics.pool_exhausted(Wanted::Page);
        metrics.quota_refused(QuotaKind::Rate);
        metrics.lease_ended("browser_crashed", took);
        metrics.fetched("browser", "origin_dns", took);
        metrics.http_connection_opened();
        metrics.http_requested();
        metrics.cache_requested("hit");
        metrics.canary(CanaryResult::Ok, Some(took));
        metrics.rpc("/berth.v1.LeaseService/Acquire", "OK", took);
        metrics.rpc("/berth.v1.LeaseService/Guess", "UNIMPLEMENTED", took);
        metrics
    }

    #[test]
    fn every_metric_of_the_table_is_exported_with_its_type_and_help() {
        let text = busy().encode().unwrap();
        for def in TABLE {
            let kind = match def.kind {
                Kind::Gauge(_) => "gauge",
                Kind::Counter | Kind::ObservedCounter(_) => "counter",
                Kind::Histogram(_) => "histogram",
            };
            let name = def.name;
            assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}");
            let help = format!("# HELP {name} {}\n", def.help);
            assert!(text.contains(&help), "{help}");
        }
        let exported = text.lines().filter(|line| line.starts_with("# TYPE"));
        assert_eq!(exported.count(), TABLE.len(), "nothing beside the table");
    }

    #[test]
    fn labels_are_those_of_the_table() {
        let text = busy().encode().unwrap();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let series = line.rsplit_once(' ').unwrap().0;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let name = ["_bucket", "_sum", "_count"]
                .into_iter()
                .find_map(|suffix| name.strip_suffix(suffix))
                .filter(|name| TABLE.iter().any(|def| def.name == *name))
                .unwrap_or(name);
            let def = TABLE.iter().find(|def| def.name == name).unwrap();
            let mut found: Vec<_> = labels
                .split("\",")
                .filter_map(|label| Some(label.split_once('=')?.0))
                .filter(|label| *label != "le")
                .collect();
            let mut wanted = def.labels.to_vec();
            found.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{line}");
        }
    }

    #[test]
    fn shows_what_happened() {
        let text = busy().encode().unwrap();
        for line in [
            "berth_browsers{state=\"leased\"} 2",
            "berth_http_connections{state=\"active\"} 3",
            "berth_browser_memory_bytes 3221225472",
            "process_cpu_seconds_total 1.5",
            "berth_browser_launches_total{result=\"failed\"} 1",
            "berth_browser_launch_duration_seconds_count 1",
            "berth_browsers_retired_total{reason=\"leased\"} 1",
            "berth_acquire_total{outcome=\"granted\"} 1",
            "berth_pool_exhausted_total{wanted=\"page\"} 1",
            "berth_quota_refused_total{quota=\"rate\"} 1",
            "berth_leases_ended_total{reason=\"browser_crashed\"} 1",
            "berth_fetches_total{outcome=\"origin_dns\",via=\"browser\"} 1",
            "berth_fetch_duration_seconds_count{via=\"browser\"} 1",
            "rpc_server_duration_seconds_count{code=\"OK\",method=\"berth.v1.LeaseService/Acquire\"} 1",
            "rpc_server_duration_seconds_count{code=\"UNIMPLEMENTED\",method=\"other\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn counters_start_at_zero_and_gauges_with_the_first_snapshot() {
        let metrics = Metrics::new().unwrap();
        let text = metrics.encode().unwrap();
        for line in [
            "berth_leases_ended_total{reason=\"oom_killed\"} 0",
            "berth_browsers_retired_total{reason=\"memory\"} 0",
            "berth_fetches_total{outcome=\"ok\",via=\"http\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("berth_browsers{"), "{text}");
    }

    #[test]
    fn two_registries_share_nothing() {
        let one = busy();
        let other = Metrics::new().unwrap();
        let series = "pool_exhausted_total{wanted=\"page\"}";
        let has = |metrics: &Metrics, count: &str| {
            let text = metrics.encode().unwrap();
            text.contains(&format!("{series} {count}"))
        };
        assert!(has(&one, "1"));
        assert!(has(&other, "0"));
    }
}
