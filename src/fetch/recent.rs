//! How long the fetches of the last minute took.

use std::{collections::VecDeque, time::Duration};

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::time::Instant;

/// How long fetches took that ended in the last minute, however they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many there were.
    pub count: u64,
    /// Half of them took no longer, within 1 %. Zero when there were none.
    pub p50: Duration,
    /// Of a hundred of them, 95 took no longer, within 1 %. Zero when there were none.
    pub p95: Duration,
}

/// The last minute is so many slots, of which the oldest is forgotten as a whole.
const SLOTS: u64 = 6;
/// What a slot spans, in seconds.
const SLOT: u64 = 10;
/// An hour in microseconds: what took longer counts as that.
const LONGEST: u64 = 3_600_000_000;
/// Two digits are right: 1 %, at some 13 kB a slot.
const DIGITS: u8 = 2;

/// The durations of the last 50 to 60 seconds.
#[derive(Debug)]
pub(super) struct Recent {
    epoch: Instant,
    slots: Mutex<VecDeque<(u64, Histogram<u32>)>>,
}

impl Recent {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            slots: Mutex::default(),
        }
    }

    /// A fetch that ended at `now` took `took`.
    pub(super) fn record(&self, now: Instant, took: Duration) {
        let slot = self.slot(now);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut slots = self.slots.lock();
        if slots.back().is_none_or(|(latest, _)| *latest < slot) {
            forget(&mut slots, slot);
            slots.push_back((slot, empty()));
        }
        // One that was overtaken by the clock of another counts with it.
        if let Some((_, histogram)) = slots.back_mut() {
            histogram.saturating_record(micros);
        }
    }

    /// What `now`'s last minute was like.
    pub(super) fn latency(&self, now: Instant) -> Latency {
        let mut all = empty();
        let mut slots = self.slots.lock();
        forget(&mut slots, self.slot(now));
        for (_, histogram) in slots.iter() {
            // They have the same bounds, so that nothing is out of range.
            let _ = all.add(histogram);
        }
        drop(slots);
        if all.is_empty() {
            return Latency::default();
        }
        let at = |quantile| Duration::from_micros(all.value_at_quantile(quantile));
        Latency {
            count: all.len(),
            p50: at(0.5),
            p95: at(0.95),
        }
    }

    fn slot(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_secs() / SLOT
    }
}

fn forget(slots: &mut VecDeque<(u64, Histogram<u32>)>, now: u64) {
    while slots.front().is_some_and(|(slot, _)| slot + SLOTS <= now) {
        slots.pop_front();
    }
}

#[expect(
    clippy::expect_used,
    reason = "the bounds are constants within their range"
)]
fn empty() -> Histogram<u32> {
    Histogram::new_with_max(LONGEST, DIGITS).expect("at most five digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn near(found: Duration, wanted: Duration) -> bool {
        found.abs_diff(wanted) <= wanted / 100
    }

    #[test]
    fn tells_the_percentiles_of_the_last_minute() {
        let start = Instant::now();
        let recent = Recent::new(start);
        assert_eq!(recent.latency(start), Latency::default());
        for millis in 1..=100 {
            recent.record(start + millis * 100 * MS, millis * MS);
        }
        let latency = recent.latency(start + 10_000 * MS);
        assert_eq!(latency.count, 100);
        assert!(near(latency.p50, 50 * MS), "{latency:?}");
        assert!(near(latency.p95, 95 * MS), "{latency:?}");
    }

    #[test]
    fn forgets_what_is_older_and_never_holds_more_than_the_slots() {
        let start = Instant::now();
        let recent = Recent::new(start);
        for second in 0..600 {
            let now = start + second * 1000 * MS;
            recent.record(now, 20 * MS);
            let latency = recent.latency(now);
            assert!(latency.count <= 60, "{second}: {latency:?}");
            assert!(recent.slots.lock().len() <= 6);
            if second >= 60 {
                assert!(latency.count >= 50, "{second}: {latency:?}");
            }
        }
        assert_eq!(recent.latency(start + 700_000 * MS).count, 0);
    }

    #[test]
    fn what_is_out_of_all_bounds_counts_and_breaks_nothing() {
        let start = Instant::now();
        let recent = Recent::new(start);
        recent.record(start, Duration::ZERO);
        recent.record(start, Duration::MAX);
        assert_eq!(recent.latency(start).count, 2);
    }
}
