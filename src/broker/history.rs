//! The last minutes as a row of samples, so that whoever looks late sees what led here.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use super::Broker;
use crate::drain::Drain;

/// How long from one sample to the next.
pub const STEP: Duration = Duration::from_secs(2);
/// How many samples are kept: ten minutes, some 50 kB.
const KEPT: usize = 300;

/// The broker at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Browsers by state, in the order of [`crate::browser::State::ALL`].
    pub browsers: [u64; 5],
    /// Contexts open in shared browsers.
    pub contexts: u64,
    /// Live leases.
    pub leases: u64,
    /// Callers that wait for a browser or a seat.
    pub waiting: u64,
    /// Fetches that had ended by then.
    pub fetches: u64,
    /// Those of them that had failed or been cancelled.
    pub failed: u64,
    /// The median of the minute before, in microseconds; zero without fetches.
    pub p50_us: u64,
    /// The 95th percentile of the minute before, in microseconds; zero without fetches.
    pub p95_us: u64,
    /// Connections of the HTTP client that carry a request.
    pub http_active: u64,
    /// Connections of the HTTP client that are kept.
    pub http_idle: u64,
    /// Memory of all browsers in bytes, when last measured.
    pub browser_bytes: u64,
    /// File descriptors open in all browsers, when last measured.
    pub browser_fds: u64,
    /// Resident memory of the broker in bytes.
    pub own_bytes: u64,
    /// File descriptors open in the broker.
    pub own_fds: u64,
}

/// The samples that are kept; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct History(Arc<Mutex<Ring>>);

#[derive(Debug, Default)]
struct Ring {
    /// The number of the next sample; the first has number 0.
    next: u64,
    samples: VecDeque<Sample>,
}

impl History {
    fn push(&self, sample: Sample) {
        let mut ring = self.0.lock();
        if ring.samples.len() >= KEPT {
            ring.samples.pop_front();
        }
        ring.samples.push_back(sample);
        ring.next += 1;
    }

    /// The samples from number `from` on that are still there, and the number of the next one. A
    /// number of the future gets all of them: whoever has it saw another broker.
    fn since(&self, from: u64) -> (Vec<Sample>, u64) {
        let ring = self.0.lock();
        let first = ring.next - ring.samples.len() as u64;
        let from = if from > ring.next { 0 } else { from };
        let skip = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        (ring.samples.iter().skip(skip).cloned().collect(), ring.next)
    }
}

impl Broker {
    /// The samples from number `from` on, oldest first, of at most the last ten minutes, and the
    /// number to ask from next time. 0 and numbers that were never given get all.
    #[must_use]
    pub fn history(&self, from: u64) -> (Vec<Sample>, u64) {
        self.0.history.since(from)
    }

    /// Takes samples until the drain's second phase, or until the broker is gone.
    pub(super) fn keep_history(&self, drain: &Drain) {
        let broker = Arc::downgrade(&self.0);
        let cut = drain.cut_token();
        let sampling = async move {
            let mut ticks = interval(STEP);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(broker) = broker.upgrade().map(Self) else {
                    return;
                };
                broker.0.history.push(broker.sample());
            }
        };
        drain.spawn(async move { cut.run_until_cancelled(sampling).await });
    }

    fn sample(&self) -> Sample {
        let now = self.snapshot();
        let load = self.0.fetcher.load();
        let latency = self.latency();
        Sample {
            at_ms: since_epoch(SystemTime::now()),
            browsers: now.browsers.map(|(_, count)| count),
            contexts: now.contexts_active,
            leases: now.leases_active,
            waiting: now.acquire_waiting,
            fetches: load.total,
            failed: load.failed,
            p50_us: micros(latency.p50),
            p95_us: micros(latency.p95),
            http_active: now.http_active,
            http_idle: now.http_idle,
            browser_bytes: now.browser_memory_bytes,
            browser_fds: now.browser_open_fds,
            own_bytes: now.resident_bytes,
            own_fds: now.open_fds,
        }
    }
}

fn since_epoch(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.unwrap_or_default().as_millis();
    u64::try_from(millis).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(number: u64) -> Sample {
        Sample {
            at_ms: number,
            ..Sample::default()
        }
    }

    fn numbers(history: &History, from: u64) -> (Option<u64>, usize, u64) {
        let (samples, next) = history.since(from);
        (samples.first().map(|one| one.at_ms), samples.len(), next)
    }

    #[test]
    fn gives_what_is_new_to_whoever_asks() {
        let history = History::default();
        assert_eq!(numbers(&history, 0), (None, 0, 0));
        for number in 0..3 {
            history.push(sample(number));
        }
        assert_eq!(numbers(&history, 0), (Some(0), 3, 3));
        assert_eq!(numbers(&history, 2), (Some(2), 1, 3));
        assert_eq!(numbers(&history, 3), (None, 0, 3));
        // Somebody who knew the broker before this one.
        assert_eq!(numbers(&history, 900), (Some(0), 3, 3));
    }

    #[test]
    fn keeps_no_more_than_ten_minutes() {
        let history = History::default();
        for number in 0..1000 {
            history.push(sample(number));
        }
        assert_eq!(numbers(&history, 0), (Some(700), 300, 1000));
        assert_eq!(numbers(&history, 990), (Some(990), 10, 1000));
        assert!(size_of::<Sample>() * KEPT < 50_000);
    }
}
