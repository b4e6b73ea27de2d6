//! What is told of those who are sent away because there is no room.

use std::time::Duration;

use tokio::time::Instant;

use super::{Broker, OverQuota, millis};
use crate::{
    browser::{self, Demand},
    fetch,
    metrics::{AcquireOutcome, Wanted},
};

/// Somebody was sent away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    wanted: Wanted,
    outcome: &'static str,
    /// How many wait for the same.
    waiting: u64,
    /// How many may.
    queue: u64,
}

impl Refusal {
    pub(super) const fn of_browser(wanted: Wanted, demand: Demand, outcome: &'static str) -> Self {
        Self {
            wanted,
            outcome,
            waiting: demand.waiting as u64,
            queue: demand.queue as u64,
        }
    }

    /// The refusal that `error` is, if it is one.
    fn of_fetch(error: &fetch::Error) -> Option<Self> {
        const FULL: &str = AcquireOutcome::QueueFull.as_str();
        const IN_VAIN: &str = AcquireOutcome::Exhausted.as_str();
        let wanted = error.refused()?;
        Some(match *error {
            fetch::Error::QueueFull { waiting, queue, .. } => Self {
                wanted,
                outcome: FULL,
                waiting,
                queue,
            },
            fetch::Error::Exhausted { waiting, queue, .. } => Self {
                wanted,
                outcome: IN_VAIN,
                waiting,
                queue,
            },
            fetch::Error::Browser(browser::Error::QueueFull(demand)) => {
                Self::of_browser(wanted, demand, FULL)
            }
            fetch::Error::Browser(browser::Error::Exhausted(demand)) => {
                Self::of_browser(wanted, demand, IN_VAIN)
            }
            _ => return None,
        })
    }
}

impl Broker {
    /// Counts and tells the refusal that `error` is, if it is one.
    pub(super) fn fetch_failed(&self, owner: &str, error: &fetch::Error, waited: Duration) {
        if let fetch::Error::OverShare { most, .. }
        | fetch::Error::Browser(browser::Error::OverShare(most)) = error
        {
            self.tell_over_quota(owner, OverQuota::waiting(*most));
        }
        if let Some(refusal) = Refusal::of_fetch(error) {
            self.0.metrics.pool_exhausted(refusal.wanted);
            self.tell_refusal(&refusal, waited);
        }
    }

    /// Counts and tells that `owner` asked for more than it may have.
    pub(super) fn tell_over_quota(&self, owner: &str, over: OverQuota) {
        self.0.metrics.quota_refused(over.quota);
        if let Some(unsaid) = self.0.over_quota.now(Instant::now()) {
            let (quota, limit) = (over.quota.as_str(), over.limit);
            tracing::warn!(owner, quota, limit, unsaid, "quota.refused");
        }
    }

    /// Who has what others want: for whoever reads the log, not for the caller.
    pub(super) fn tell_refusal(&self, refusal: &Refusal, waited: Duration) {
        const MOST_NAMED: usize = 10;
        let Some(unsaid) = self.0.refused.now(Instant::now()) else {
            return;
        };
        let (holders, _) = self.list(None, MOST_NAMED, false, |_| true);
        let holders: Vec<_> = holders.iter().map(|lease| lease.id.to_string()).collect();
        let demand = self.0.pool.demand(browser::Purpose::Lease);
        tracing::warn!(
            wanted = refusal.wanted.as_str(),
            outcome = refusal.outcome,
            max_browsers = demand.max,
            leased = demand.leased,
            shared = demand.shared,
            starting = demand.starting,
            retiring = demand.retiring,
            waiting = refusal.waiting,
            queue = refusal.queue,
            waited_millis = millis(waited),
            holders = holders.join(","),
            unsaid,
            "pool.exhausted"
        );
    }
}
