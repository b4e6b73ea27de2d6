//! What one browser's tree may take, and who takes more.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{census::Usage, chrome::BrowserId, process::Kill};
use crate::metrics::Retire;

/// So many measurements in a row make a burst of work a habit: half a minute.
const HABIT: u32 = 6;

/// What one browser may take; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory of its processes together, in bytes.
    pub memory: u64,
    /// Processes.
    pub processes: u64,
    /// Processor time for each second, in thousandths of a core.
    pub cpu: u64,
    /// Whether the kernel itself holds it to its processor time.
    pub throttled: bool,
}

/// More than a browser may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Over {
    /// So many bytes.
    Memory(u64),
    /// So many processes.
    Processes(u64),
    /// So many thousandths of a core, for half a minute on end.
    Cpu(u64),
}

impl Over {
    pub(super) const fn retire(self) -> Retire {
        match self {
            Self::Memory(_) => Retire::Memory,
            Self::Processes(_) => Retire::Processes,
            Self::Cpu(_) => Retire::Cpu,
        }
    }

    pub(super) const fn kill(self) -> Kill {
        match self {
            Self::Memory(_) => Kill::Memory,
            Self::Processes(_) | Self::Cpu(_) => Kill::Policy,
        }
    }
}

/// What is remembered of the last measurement of each browser.
#[derive(Debug, Default)]
pub(super) struct Meter(HashMap<BrowserId, Last>);

#[derive(Clone, Copy, Debug)]
struct Last {
    cpu: Duration,
    at: Instant,
    /// Measurements in a row over the limit.
    over: u32,
}

impl Meter {
    /// Judges what `id` uses at the time `at`.
    pub(super) fn judge(
        &mut self,
        id: BrowserId,
        usage: &Usage,
        limits: Limits,
        at: Instant,
    ) -> Option<Over> {
        let last = self.0.get(&id).copied();
        let rate = last.map_or(0, |last| {
            let spent = usage.cpu.saturating_sub(last.cpu).as_micros();
            let passed = at.duration_since(last.at).as_micros().max(1);
            u64::try_from(spent * 1000 / passed).unwrap_or(u64::MAX)
        });
        let busy = limits.cpu > 0 && !limits.throttled && rate > limits.cpu;
        let over = if busy {
            last.map_or(0, |last| last.over) + 1
        } else {
            0
        };
        let cpu = usage.cpu;
        self.0.insert(id, Last { cpu, at, over });
        let more = |limit: u64, used: u64| limit > 0 && used > limit;
        if more(limits.memory, usage.memory) {
            Some(Over::Memory(usage.memory))
        } else if more(limits.processes, usage.processes) {
            Some(Over::Processes(usage.processes))
        } else if over >= HABIT {
            Some(Over::Cpu(rate))
        } else {
            None
        }
    }

    /// Forgets all but those that are still there.
    pub(super) fn keep(&mut self, there: impl Fn(BrowserId) -> bool) {
        self.0.retain(|id, _| there(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: BrowserId = BrowserId(1);
    const LIMITS: Limits = Limits {
        memory: 1000,
        processes: 10,
        cpu: 1500,
        throttled: false,
    };

    fn usage(memory: u64, processes: u64, cpu_secs: u64) -> Usage {
        Usage {
            memory,
            processes,
            cpu: Duration::from_secs(cpu_secs),
            ..Usage::default()
        }
    }

    #[test]
    fn each_limit_is_told_and_what_fits_is_not() {
        let now = Instant::now();
        let mut meter = Meter::default();
        let mut judge = |usage, limits| meter.judge(ID, &usage, limits, now);
        assert_eq!(judge(usage(1000, 10, 0), LIMITS), None);
        assert_eq!(judge(usage(1001, 11, 0), LIMITS), Some(Over::Memory(1001)));
        assert_eq!(judge(usage(1, 11, 0), LIMITS), Some(Over::Processes(11)));
        assert_eq!(judge(usage(9999, 9999, 0), Limits::default()), None);
    }

    /// The time spent, as measured every five seconds.
    fn run(limits: Limits, spent: impl Iterator<Item = u64>) -> Vec<Option<Over>> {
        let begun = Instant::now();
        let mut meter = Meter::default();
        let mut total = 0;
        let judged = spent.enumerate().map(|(n, secs)| {
            total += secs;
            let at = begun + Duration::from_secs(5 * n as u64);
            meter.judge(ID, &usage(0, 0, total), limits, at)
        });
        judged.collect()
    }

    #[test]
    fn a_burst_of_work_is_allowed_and_a_habit_is_not() {
        // Two cores: over the limit of one and a half.
        let habit = run(LIMITS, std::iter::repeat_n(10, 7));
        assert_eq!(habit.last(), Some(&Some(Over::Cpu(2000))));
        assert!(habit[..6].iter().all(Option::is_none), "{habit:?}");
        let bursts = run(LIMITS, [10, 10, 10, 10, 10, 0].into_iter().cycle().take(60));
        assert!(bursts.iter().all(Option::is_none), "{bursts:?}");
        let throttled = Limits {
            throttled: true,
            ..LIMITS
        };
        let held = run(throttled, std::iter::repeat_n(10, 20));
        assert!(held.iter().all(Option::is_none), "the kernel's: {held:?}");
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let mut meter = Meter::default();
        let _ = meter.judge(ID, &Usage::default(), LIMITS, Instant::now());
        meter.keep(|_| false);
        assert!(meter.0.is_empty());
    }
}
