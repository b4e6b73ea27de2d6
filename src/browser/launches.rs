//! How launches go: what failed last, and whether it is hopeless.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::watch;

use super::launch;

/// So many failures in a row, and whoever waits is told instead of kept.
const HOPELESS: u32 = 3;

/// The record of launches; clones share it.
#[derive(Clone, Debug)]
pub struct Launches(Arc<watch::Sender<Tally>>);

/// How launches went so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many succeeded.
    pub succeeded: u64,
    /// How many failed.
    pub failed: u64,
    /// How many failed since the last that succeeded.
    pub failed_in_a_row: u32,
    /// The last failure and when it was.
    pub last_error: Option<(Arc<launch::Error>, SystemTime)>,
}

impl Default for Launches {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Tally::default())))
    }
}

impl Launches {
    pub(super) fn succeeded(&self) {
        self.0.send_modify(|tally| {
            tally.succeeded += 1;
            tally.failed_in_a_row = 0;
        });
    }

    pub(super) fn failed(&self, error: Arc<launch::Error>) {
        self.0.send_modify(|tally| {
            tally.failed += 1;
            tally.failed_in_a_row += 1;
            tally.last_error = Some((error, SystemTime::now()));
        });
    }

    /// How launches went so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.0.borrow().clone()
    }

    /// Why the last launch failed, when none has succeeded since.
    pub(super) fn failing(&self) -> Option<Arc<launch::Error>> {
        let tally = self.0.borrow();
        let error = tally.last_error.as_ref();
        error
            .map(|(error, _)| Arc::clone(error))
            .filter(|_| tally.failed_in_a_row > 0)
    }

    /// How long to wait before the next launch: nothing after a success, ever longer after each
    /// failure, so that a browser that cannot start does not keep the machine busy.
    pub(super) fn pause(&self) -> Duration {
        match self.0.borrow().failed_in_a_row {
            0 => Duration::ZERO,
            failed => Duration::from_millis(100 << failed.min(6)).min(Duration::from_secs(5)),
        }
    }

    /// Follows launches from now on.
    #[must_use]
    pub fn follow(&self) -> LaunchWatch {
        LaunchWatch(self.0.subscribe())
    }

    /// Follows the failures from now on.
    pub(super) fn watch(&self) -> Failures {
        let tally = self.0.subscribe();
        let seen = tally.borrow().failed;
        Failures { tally, seen }
    }
}

/// Rings when a launch has failed, or has come up.
#[derive(Debug)]
pub struct LaunchWatch(watch::Receiver<Tally>);

impl LaunchWatch {
    /// Resolves when a launch has ended.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // The pool is gone, and no launch will end.
            std::future::pending().await
        }
    }
}

/// The failures since somebody began to wait.
#[derive(Debug)]
pub(super) struct Failures {
    tally: watch::Receiver<Tally>,
    /// How many were seen: one that happened between two looks must not be missed.
    seen: u64,
}

impl Failures {
    /// Resolves at the next failure: `Some` with the error once it is hopeless to wait on.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn next(&mut self) -> Option<Arc<launch::Error>> {
        let seen = self.seen;
        let failed = self.tally.wait_for(|tally| tally.failed > seen).await;
        let Ok(tally) = failed.map(|tally| tally.clone()) else {
            // The pool is gone, and whoever waits with it.
            return std::future::pending().await;
        };
        self.seen = tally.failed;
        let hopeless = tally.failed_in_a_row >= HOPELESS;
        let error = tally.last_error.as_ref();
        error
            .map(|(error, _)| Arc::clone(error))
            .filter(|_| hopeless)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_is_given_up_after_failures_in_a_row() {
        let launches = Launches::default();
        let error = || Arc::new(launch::Error::Draining);
        let mut failures = launches.watch();
        for _ in 1..HOPELESS {
            launches.failed(error());
            assert!(failures.next().await.is_none());
        }
        launches.failed(error());
        assert!(failures.next().await.is_some());
        assert!(launches.failing().is_some());
        assert!(launches.pause() > Duration::from_millis(100));
        launches.succeeded();
        assert_eq!(launches.pause(), Duration::ZERO);
        assert_eq!(launches.tally().failed, u64::from(HOPELESS));
        assert!(launches.failing().is_none());
    }
}
