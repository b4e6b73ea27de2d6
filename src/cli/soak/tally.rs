//! What the workers count between two samples, and what became of each step.

use std::time::Duration;

use parking_lot::Mutex;

use super::{
    kind::{Fault, Kind, Step},
    sample::{Latency, Sample},
    stats::percentile,
};

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Work succeeded, or a fault led to what it must.
    Good,
    /// Work failed because its browser had been killed by us.
    Explained,
    /// What must not be, and why.
    Bad(String),
}

/// Counts; all workers share one.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    work: u64,
    errors: u64,
    explained: u64,
    surprises: u64,
    faults: [u64; Fault::ALL.len()],
    /// In milliseconds.
    took: [Vec<f64>; Kind::ALL.len()],
}

impl Tally {
    pub(super) fn count(&self, step: Step, took: Duration, outcome: &Outcome) {
        let mut window = self.0.lock();
        match (step, outcome) {
            (Step::Work(kind), Outcome::Good) => {
                window.work += 1;
                window.took[kind as usize].push(took.as_secs_f64() * 1000.0);
            }
            // Neither among the work that counts for the rate of errors nor among its errors.
            (Step::Work(_), Outcome::Explained) => window.explained += 1,
            (Step::Work(_), Outcome::Bad(_)) => {
                window.work += 1;
                window.errors += 1;
            }
            (Step::Fault(fault), outcome) => {
                window.faults[fault as usize] += 1;
                window.surprises += u64::from(matches!(outcome, Outcome::Bad(_)));
            }
        }
    }

    /// Moves what was counted into `sample`, and begins anew.
    pub(super) fn take(&self, sample: &mut Sample) {
        let window = std::mem::take(&mut *self.0.lock());
        sample.work = window.work;
        sample.errors = window.errors;
        sample.explained = window.explained;
        sample.surprises = window.surprises;
        sample.faults = window.faults;
        sample.latency = window.took.map(latency);
    }
}

fn latency(mut took: Vec<f64>) -> Latency {
    took.sort_by(f64::total_cmp);
    let at = |share| percentile(&took, share).unwrap_or_default();
    Latency {
        count: count(took.len()),
        p50: at(0.5),
        p95: at(0.95),
        p99: at(0.99),
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Sums over samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) work: u64,
    pub(super) errors: u64,
    pub(super) explained: u64,
    pub(super) surprises: u64,
    pub(super) faults: [u64; Fault::ALL.len()],
    /// Work that succeeded, by kind.
    pub(super) done: [u64; Kind::ALL.len()],
}

impl Totals {
    pub(super) fn of(samples: &[Sample]) -> Self {
        let mut totals = Self::default();
        for sample in samples {
            totals.add(sample);
        }
        totals
    }

    pub(super) fn add(&mut self, sample: &Sample) {
        self.work += sample.work;
        self.errors += sample.errors;
        self.explained += sample.explained;
        self.surprises += sample.surprises;
        for (sum, one) in self.faults.iter_mut().zip(sample.faults) {
            *sum += one;
        }
        for (sum, one) in self.done.iter_mut().zip(sample.latency) {
            *sum += one.count;
        }
    }

    pub(super) fn injected(&self) -> u64 {
        self.faults.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_faults_are_counted_apart() {
        let tally = Tally::default();
        let took = Duration::from_millis(20);
        let bad = Outcome::Bad("no".into());
        let (work, fault) = (Step::Work(Kind::Http), Step::Fault(Fault::Hang));
        for outcome in [&Outcome::Good, &Outcome::Good, &Outcome::Explained, &bad] {
            tally.count(work, took, outcome);
        }
        for outcome in [&Outcome::Good, &bad] {
            tally.count(fault, took, outcome);
        }
        let mut sample = Sample::default();
        tally.take(&mut sample);
        assert_eq!((sample.work, sample.errors, sample.explained), (3, 1, 1));
        assert_eq!(
            (sample.faults[Fault::Hang as usize], sample.surprises),
            (2, 1)
        );
        let seen = sample.latency(Kind::Http);
        assert_eq!((seen.count, seen.p50, seen.p99), (2, 20.0, 20.0));
        let totals = Totals::of(&[sample.clone(), sample.clone()]);
        assert_eq!((totals.work, totals.injected(), totals.done[0]), (6, 4, 4));
        tally.take(&mut sample);
        assert_eq!(sample, Sample::default(), "each window begins anew");
    }
}
