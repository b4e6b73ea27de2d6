//! Room for so many at once, first come, first served.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Error;
use crate::deadline::Deadline;

/// Room for so many at once, first come, first served.
#[derive(Clone, Debug)]
pub(super) struct Permits {
    limit: usize,
    /// So many may wait.
    queue: u64,
    free: Arc<Semaphore>,
    waiting: Arc<AtomicU64>,
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
    /// [`Error::QueueFull`] at once when too many wait; [`Error::Passed`] at the deadline.
    ///
    /// # Cancel safety
    /// Yes: the place in the queue is lost.
    pub(super) async fn acquire(&self, deadline: Deadline) -> Result<OwnedSemaphorePermit, Error> {
        let free = Arc::clone(&self.free);
        if let Ok(permit) = Arc::clone(&free).try_acquire_owned() {
            return Ok(permit);
        }
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.waiting);
        if waiting >= self.queue {
            return Err(Error::QueueFull { waiting });
        }
        let permit = deadline.bound(free.acquire_owned()).await;
        // Nobody closes the semaphore; if somebody did, nothing could be had of it either.
        permit.ok().and_then(Result::ok).ok_or(Error::Passed)
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
        assert!(matches!(refused, Err(Error::Passed)));
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
