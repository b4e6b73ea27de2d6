//! What is kept of a run beside its samples: what was asked for, its parts, and how each ended.

use serde::{Deserialize, Serialize};

use super::sample::Sample;

/// A run, of one part or, when it was resumed, of several.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// Decides the order of steps.
    pub(super) seed: u64,
    /// How long the load is to run, in seconds.
    pub(super) planned_s: f64,
    /// How long between two samples, in seconds.
    pub(super) sample_s: f64,
    /// How many workers there are.
    pub(super) concurrency: usize,
    /// The broker that was there already; none when each part starts its own.
    pub(super) endpoint: Option<String>,
    /// Whether the load ran for as long as planned.
    pub(super) finished: bool,
    /// In the order of time.
    pub(super) parts: Vec<Part>,
}

/// One part: one broker, one stretch of load.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Part {
    /// In milliseconds since the Unix epoch.
    pub(super) begun_unix_ms: u64,
    /// The broker that was started.
    pub(super) broker: Option<Started>,
    /// How it ended; none while it runs, and for ever when the soak itself was killed.
    pub(super) ended: Option<Ended>,
    /// What was there after the load and before the shutdown.
    pub(super) rest: Option<Rest>,
    /// How the shutdown went.
    pub(super) shutdown: Option<Shutdown>,
}

/// A broker that was started, so that it is found again when the soak is killed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Started {
    pub(super) pid: i32,
    pub(super) run_dir: std::path::PathBuf,
}

/// Why a part ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ended {
    /// The load ran for as long as planned.
    Done,
    /// A signal asked for it.
    Signal(String),
    /// The broker ended by itself: how.
    BrokerDied(String),
}

/// The broker once the load has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rest {
    /// How long it took until nothing was under way, in seconds.
    pub(super) seconds: f64,
    pub(super) leases: u64,
    pub(super) contexts: u64,
    pub(super) waiting: u64,
    /// Open descriptors before the first call, and now.
    pub(super) fds_before: u64,
    pub(super) fds: u64,
}

/// The end of a broker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Shutdown {
    /// From SIGTERM to its exit, in seconds.
    pub(super) seconds: f64,
    /// Its exit code; none when a signal ended it.
    pub(super) exit_code: Option<i32>,
    /// Processes that still worked below its run directory.
    pub(super) processes: usize,
    /// What lay in its run directory.
    pub(super) directories: usize,
}

/// A time without samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Gap {
    /// Seconds of load before it.
    pub(super) after: f64,
    /// In milliseconds since the Unix epoch.
    pub(super) from_unix_ms: u64,
    /// How long it was, in seconds.
    pub(super) seconds: f64,
    /// Whether another part begins after it.
    pub(super) resumed: bool,
}

/// Where samples are missing: between parts, and where one took far longer than the others.
pub(super) fn gaps(samples: &[Sample], sample_s: f64) -> Vec<Gap> {
    /// A sample that is late on a busy machine is no gap.
    const LATE: f64 = 4.0;
    let gap = |pair: &[Sample]| {
        let [before, after] = pair else { return None };
        let seconds = seconds_between(before.unix_ms, after.unix_ms);
        let resumed = before.part != after.part;
        let missing = resumed || seconds > (LATE * sample_s).max(LATE);
        missing.then_some(Gap {
            after: before.elapsed,
            from_unix_ms: before.unix_ms,
            seconds,
            resumed,
        })
    };
    samples.windows(2).filter_map(gap).collect()
}

/// From one moment to a later one, both in milliseconds; 0 when the clock was set back.
pub(super) fn seconds_between(from_ms: u64, to_ms: u64) -> f64 {
    std::time::Duration::from_millis(to_ms.saturating_sub(from_ms)).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_found_between_parts_and_where_samples_stall() {
        let at = |part, unix_s: u64, elapsed| Sample {
            part,
            unix_ms: unix_s * 1000,
            elapsed,
            ..Sample::default()
        };
        let samples = [
            at(1, 100, 5.0),
            at(1, 105, 10.0),
            at(1, 135, 40.0),
            at(2, 136, 41.0),
            at(2, 142, 47.0),
        ];
        let found = gaps(&samples, 5.0);
        let seen: Vec<_> = found
            .iter()
            .map(|gap| (gap.after, gap.seconds, gap.resumed))
            .collect();
        assert_eq!(seen, [(10.0, 30.0, false), (40.0, 1.0, true)]);
        assert_eq!(gaps(&[], 5.0), []);
    }
}
