//! What a lease's clients were denied by the CDP policy.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::metrics::CdpRule;

/// After so many denied commands a lease ends. A crawler that follows every link, those to mail
/// addresses included, stays below it; one that searches for a hole does not.
pub const MAX_DENIED: u32 = 1000;

/// Whether the CDP policy is in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PolicyMode {
    /// What it forbids does not happen.
    #[default]
    Enforce,
    /// What it forbids is counted and logged, and happens.
    Report,
}

impl PolicyMode {
    /// Every one there is.
    pub const ALL: [Self; 2] = [Self::Enforce, Self::Report];

    /// The word of settings, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Report => "report",
        }
    }
}

/// Counts denials, and remembers which were told.
#[derive(Debug, Default)]
pub(super) struct Denials {
    count: AtomicU32,
    /// One bit for each rule.
    told: AtomicU32,
}

/// What follows from one more denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Consequence {
    /// It is the first by its rule, and worth a line of the log.
    pub(super) tell: bool,
    /// It is one too many.
    pub(super) end: bool,
}

impl Denials {
    /// Counts one more.
    pub(super) fn add(&self, rule: CdpRule) -> Consequence {
        let bit = 1_u32 << (rule as u32);
        let told = self.told.fetch_or(bit, Ordering::Relaxed);
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        Consequence {
            tell: told & bit == 0,
            end: before.saturating_add(1) == MAX_DENIED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_told_once_and_the_last_denial_ends_it() {
        let denials = Denials::default();
        let told: Vec<_> = CdpRule::ALL.map(|rule| denials.add(rule).tell).to_vec();
        assert!(told.iter().all(|told| *told));
        let rest: Vec<_> = (8..MAX_DENIED + 5)
            .map(|_| denials.add(CdpRule::Scheme))
            .collect();
        assert!(rest.iter().all(|one| !one.tell));
        let ends = rest.iter().filter(|one| one.end).count();
        assert_eq!(ends, 1);
        assert!(rest[(MAX_DENIED - 9) as usize].end);
    }
}
