//! How the broker is, as it is told to whoever polls it.
//!
//! The live state is put into [`Checks`], plain numbers; [`Health::judge`] holds them against the
//! [`Thresholds`] and is the one place that knows what they mean. Whoever shows health, over HTTP,
//! gRPC or as a metric, shows that verdict.
//!
//! Full is not broken: a pool without a free browser is healthy as long as browsers can be started.

mod judge;

use std::time::Duration;

use serde::Serialize;

pub use judge::Thresholds;

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

impl Status {
    /// Every one there is, from best to worst.
    pub const ALL: [Self; 3] = [Self::Healthy, Self::Degraded, Self::Unhealthy];

    /// The stable word of JSON and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// Why a part is not healthy: a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Launches fail, one after another.
    LaunchesFailing,
    /// No browser runs, and none can be started.
    NoBrowser,
    /// A page did not load.
    CanaryFailed,
    /// No page has loaded for too long.
    CanaryStale,
    /// As many wait as may.
    QueueFull,
    /// More connections are in use than may be.
    ConnectionsOverLimit,
    /// What is to be kept on disk cannot be written.
    DiskFailing,
    /// Few file descriptors are left.
    FdsScarce,
    /// Hardly any file descriptor is left.
    FdsExhausted,
    /// Little of the disk is free.
    DiskScarce,
    /// Hardly anything of the disk is free.
    DiskFull,
    /// Dead children stay, though they are reaped.
    Zombies,
    /// The kernel shows what nobody owns.
    Leaks,
    /// Directories of browsers or brokers that are gone cannot be removed.
    DirsPending,
}

impl Reason {
    /// The stable word of JSON and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LaunchesFailing => "launches_failing",
            Self::NoBrowser => "no_browser",
            Self::CanaryFailed => "canary_failed",
            Self::CanaryStale => "canary_stale",
            Self::QueueFull => "queue_full",
            Self::ConnectionsOverLimit => "connections_over_limit",
            Self::DiskFailing => "disk_failing",
            Self::FdsScarce => "fds_scarce",
            Self::FdsExhausted => "fds_exhausted",
            Self::DiskScarce => "disk_scarce",
            Self::DiskFull => "disk_full",
            Self::Zombies => "zombies",
            Self::Leaks => "leaks",
            Self::DirsPending => "dirs_pending",
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What a part is, and why it is no better.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// How it is.
    pub status: Status,
    /// Why it is not healthy; empty when it is.
    pub reasons: Vec<Reason>,
}

/// How the broker is as a whole and in its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// The worst of the checks.
    pub status: Status,
    /// Whether new work is taken: not before the first browser is up, not while draining, not
    /// while unhealthy.
    pub ready: bool,
    /// Whether a browser was up once.
    pub started: bool,
    /// Whether new work is refused.
    pub draining: bool,
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
    #[serde(flatten)]
    pub verdict: Verdict,
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
    /// Callers that wait for a browser or a seat in one.
    pub waiting: u64,
    /// Those of them that wait for a lease.
    pub waiting_leases: u64,
    /// Those of them that wait for a seat.
    pub waiting_seats: u64,
    /// Fetches that wait for their turn with a page, before they want a seat.
    pub waiting_pages: u64,
    /// How many may wait, for a lease, a seat and a page each.
    pub queue: u64,
    /// How many there may be.
    pub max: u64,
    /// Launches that failed since the last that succeeded.
    pub launch_failures: u64,
    /// Why the last launch failed; `None` once one succeeds.
    pub last_launch_error: Option<String>,
    /// The page that is loaded now and then to see that pages can be.
    pub canary: Canary,
}

/// The page that is loaded now and then to see that pages can be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Canary {
    /// Whether there is one.
    pub enabled: bool,
    /// How long ago it last loaded; since the start when it never has.
    pub age_ms: u64,
    /// How long that took; `None` until it has loaded.
    pub took_ms: Option<u64>,
    /// How often it failed since it last loaded.
    pub failures: u64,
    /// Why it last failed; `None` once it loads.
    pub last_error: Option<String>,
    /// Why it was not loaded the last time: `busy` or `cold`; `None` when it was.
    pub skipped: Option<&'static str>,
}

/// The HTTP client of fetches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HttpClient {
    /// How it is.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Requests under way.
    pub active: u64,
    /// Requests that wait for a connection.
    pub waiting: u64,
    /// How many may wait.
    pub queue: u64,
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
    #[serde(flatten)]
    pub verdict: Verdict,
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
    /// Why the last answer could not be kept on disk; `None` once one can.
    pub disk_error: Option<String>,
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
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Rules that open.
    pub allow_rules: u64,
    /// Rules that close.
    pub deny_rules: u64,
    /// What is open when no rule is about it: `public` or `nothing`.
    pub default: &'static str,
    /// Whether what is forbidden is let through all the same, and only told.
    pub report_only: bool,
    /// Whether everything goes by an operator's proxy. Where that is, is told to nobody here.
    pub proxy: bool,
    /// Patterns of what goes around that proxy.
    pub bypass_rules: u64,
}

/// What the kernel gives us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Resources {
    /// How they are.
    #[serde(flatten)]
    pub verdict: Verdict,
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
    /// Those that were there at the look before, too.
    pub lasting_zombies: u64,
    /// What is free where browsers keep their directories; `None` until it is known.
    pub disk_free_bytes: Option<u64>,
    /// What the directories of browsers take of it.
    pub browser_disk_bytes: u64,
    /// Directories of browsers or brokers that are gone, still to be removed.
    pub dirs_pending: u64,
    /// What the kernel shows and nobody owns, by kind.
    pub leaks: Leaks,
}

/// What the kernel shows and nobody owns, seen twice and not yet seen to be gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Leaks {
    /// Processes that live in the broker's directory.
    pub process: u64,
    /// Directories of browsers that are not there.
    pub directory: u64,
    /// Descriptors the broker has open in such directories.
    pub descriptor: u64,
    /// Browsers that are counted and have no process.
    pub browser: u64,
    /// Sockets that the other end has closed and nobody here does.
    pub socket: u64,
}

impl Leaks {
    /// All of them, by the words of metrics and logs.
    #[must_use]
    pub const fn each(&self) -> [(&'static str, u64); 5] {
        let Self {
            process,
            directory,
            descriptor,
            browser,
            socket,
        } = *self;
        [
            ("process", process),
            ("directory", directory),
            ("descriptor", descriptor),
            ("browser", browser),
            ("socket", socket),
        ]
    }
}

/// What readiness follows from, beside the checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stage {
    /// A browser was up once.
    pub started: bool,
    /// New work is refused.
    pub draining: bool,
}

impl Checks {
    /// Every part by its name.
    #[must_use]
    pub const fn each(&self) -> [(&'static str, &Verdict); 5] {
        // Taken apart by name, so that a part added later cannot be forgotten here.
        let Self {
            browser_pool,
            http_client,
            cache,
            egress,
            resources,
        } = self;
        [
            ("browser_pool", &browser_pool.verdict),
            ("http_client", &http_client.verdict),
            ("cache", &cache.verdict),
            ("egress", &egress.verdict),
            ("resources", &resources.verdict),
        ]
    }

    /// How the worst part is.
    #[must_use]
    pub fn worst(&self) -> Status {
        let parts = self.each().into_iter();
        parts
            .map(|(_, verdict)| verdict.status)
            .max()
            .unwrap_or_default()
    }
}

impl Verdict {
    /// The reasons in one line, as logs have them: `fds_scarce,dirs_pending`.
    #[must_use]
    pub fn words(&self) -> String {
        let words: Vec<_> = self.reasons.iter().map(|reason| reason.as_str()).collect();
        words.join(",")
    }

    /// Makes it no better than `status`, for `reason`.
    pub(crate) fn worsen(&mut self, status: Status, reason: Reason) {
        self.status = self.status.max(status);
        self.reasons.push(reason);
    }
}

/// Whole milliseconds, as they are shown.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_part_decides() {
        let mut checks = Checks::default();
        assert_eq!(checks.worst(), Status::Healthy);
        checks
            .resources
            .verdict
            .worsen(Status::Degraded, Reason::Leaks);
        assert_eq!(checks.worst(), Status::Degraded);
        let pool = &mut checks.browser_pool.verdict;
        pool.worsen(Status::Unhealthy, Reason::NoBrowser);
        pool.worsen(Status::Degraded, Reason::QueueFull);
        assert_eq!(checks.worst(), Status::Unhealthy);
        assert_eq!(
            checks.browser_pool.verdict.reasons,
            [Reason::NoBrowser, Reason::QueueFull]
        );
    }

    #[test]
    fn reasons_are_told_by_their_words() {
        let mut verdict = Verdict::default();
        assert_eq!(verdict.words(), "");
        verdict.worsen(Status::Degraded, Reason::FdsScarce);
        verdict.worsen(Status::Degraded, Reason::DirsPending);
        assert_eq!(verdict.words(), "fds_scarce,dirs_pending");
        let json = serde_json::to_value(verdict).unwrap();
        assert_eq!(
            json["reasons"],
            serde_json::json!(["fds_scarce", "dirs_pending"])
        );
    }

    #[test]
    fn reads_as_in_the_contract() {
        let mut health = Health::default();
        health
            .checks
            .cache
            .verdict
            .worsen(Status::Degraded, Reason::DiskFailing);
        let json = serde_json::to_value(health).unwrap();
        assert_eq!(json["status"], "healthy");
        let pool = &json["checks"]["browser_pool"];
        assert_eq!(pool["last_launch_error"], serde_json::Value::Null);
        assert_eq!(pool["status"], "healthy");
        assert_eq!(pool["reasons"], serde_json::json!([]));
        assert_eq!(json["checks"]["cache"]["enabled"], false);
        assert_eq!(json["checks"]["cache"]["status"], "degraded");
        assert_eq!(json["checks"]["cache"]["reasons"][0], "disk_failing");
        assert_eq!(json["checks"]["resources"]["fd_limit"], 0);
        assert_eq!(json["checks"]["resources"]["leaks"]["process"], 0);
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }
}
