//! Room for so many at once, first come, first served.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Error;
use crate::{deadline::Deadline, metrics::Wanted};

/// Room for so many at once, first come, first served.
#[derive(Clone, Debug)]
pub(super) struct Permits {
    limit: usize,
    /// So many may wait.
    queue: u64,
    free: Arc<Semaphore>,
    waiting: Arc<AtomicU64>,
}

/// There was no turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoTurn {
    /// The deadline passed; else too many waited already.
    pub(super) passed: bool,
    waiting: u64,
    queue: u64,
}

impl NoTurn {
    /// What a fetch is told that wanted `wanted`.
    pub(super) const fn of(self, wanted: Wanted) -> Error {
        let Self {
            passed,
            waiting,
            queue,
        } = self;
        if passed {
            Error::Exhausted {
                wanted,
                waiting,
                queue,
            }
        } else {
            Error::QueueFull {
                wanted,
                waiting,
                queue,
            }
        }
    }
}

impl Permits {
    pub(super) fn new(limit: usize, queue: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            limit,
            queue: queue as u64,
            free: Arc::new(Semaphore::new(limit)),
            waiting: Arc::default(),
        }
    }

    /// # Errors
    /// [`NoTurn`] at once when too many wait, else at the deadline.
    ///
    /// # Cancel safety
    /// Yes: the place in the queue is lost.
    pub(super) async fn acquire(&self, deadline: Deadline) -> Result<OwnedSemaphorePermit, NoTurn> {
        let free = Arc::clone(&self.free);
        if let Ok(permit) = Arc::clone(&free).try_acquire_owned() {
            return Ok(permit);
        }
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.waiting);
        let no_turn = |passed, waiting| NoTurn {
            passed,
            waiting,
            queue: self.queue,
        };
        if waiting >= self.queue {
            return Err(no_turn(false, waiting));
        }
        let permit = deadline.bound(free.acquire_owned()).await;
        // Nobody closes the semaphore; if somebody did, nothing could be had of it either.
        let permit = permit.ok().and_then(Result::ok);
        permit.ok_or_else(|| no_turn(true, self.waiting()))
    }

    pub(super) fn active(&self) -> u64 {
        self.limit.saturating_sub(self.free.available_permits()) as u64
    }

    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) const fn limit(&self) -> u64 {
        self.limit as u64
    }
}

struct Waits<'a>(&'a AtomicU64);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn permits_are_counted_and_waits_end() {
        let permits = Permits::new(1, 10);
        let held = permits.acquire(Deadline::after(Duration::ZERO)).await;
        assert_eq!((permits.active(), permits.waiting()), (1, 0));
        let refused = permits
            .acquire(Deadline::after(Duration::from_secs(1)))
            .await;
        assert!(matches!(refused, Err(NoTurn { passed: true, .. })));
        let waiting = permits.acquire(Deadline::after(Duration::from_secs(9)));
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(permits.waiting(), 1);
        drop(held);
        let held = waiting.await;
        assert!(held.is_ok());
        assert_eq!((permits.active(), permits.waiting()), (1, 0));
    }
}
