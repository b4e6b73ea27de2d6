//! Admission: who waits for a place in the pool, in which order, and how many may.
//!
//! There are as many *slots* as the pool may have browsers. Whoever holds one is certain to get a
//! browser: a warm one, or one that is launched for it. Slots are given in the order of arrival.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// The right to one place in the pool.
pub(super) type Slot = OwnedSemaphorePermit;

/// What a place is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A lease: somebody is waiting.
    Lease,
    /// Another shared browser, for seats: those who wait are counted where seats are given.
    Seats,
}

/// The queue for slots; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    slots: Arc<Semaphore>,
    limit: usize,
    waiting: Mutex<BTreeMap<u64, Purpose>>,
    next: AtomicU64,
    moved: watch::Sender<()>,
}

/// The queue is as long as it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Queue {
    /// A queue of at most `limit` waiting for `slots` slots.
    #[must_use]
    pub(super) fn new(slots: usize, limit: usize) -> Self {
        Self(Arc::new(Inner {
            slots: Arc::new(Semaphore::new(slots)),
            limit,
            waiting: Mutex::new(BTreeMap::new()),
            next: AtomicU64::new(0),
            moved: watch::Sender::new(()),
        }))
    }

    /// A slot at once, when one is free and nobody waits for it.
    #[must_use]
    pub(super) fn slot_now(&self) -> Option<Slot> {
        Arc::clone(&self.0.slots).try_acquire_owned().ok()
    }

    /// Takes a place at the end of the queue.
    ///
    /// # Errors
    /// [`Full`].
    pub(super) fn join(&self, purpose: Purpose) -> Result<Ticket, Full> {
        let mut waiting = self.0.waiting.lock();
        let leases = waiting.values().filter(|one| **one == Purpose::Lease);
        if purpose == Purpose::Lease && leases.count() >= self.0.limit {
            return Err(Full);
        }
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        waiting.insert(number, purpose);
        Ok(Ticket {
            queue: self.clone(),
            number,
        })
    }

    /// How many wait for a lease.
    #[must_use]
    pub(super) fn leases_waiting(&self) -> usize {
        let waiting = self.0.waiting.lock();
        waiting
            .values()
            .filter(|one| **one == Purpose::Lease)
            .count()
    }

    /// Whether no slot is free.
    #[must_use]
    pub(super) fn is_exhausted(&self) -> bool {
        self.0.slots.available_permits() == 0
    }

    /// How many may wait.
    #[must_use]
    pub(super) fn limit(&self) -> usize {
        self.0.limit
    }
}

/// A place in the queue; leaves it when dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    queue: Queue,
    number: u64,
}

impl Ticket {
    /// Waits for this ticket's turn. Call it once, at once after [`Queue::join`]: the order is
    /// that of the calls.
    ///
    /// # Cancel safety
    /// Yes: the place in the queue is given up.
    pub(super) async fn turn(&self) -> Option<Slot> {
        // The semaphore hands its permits out in the order of arrival and is never closed.
        let slots = Arc::clone(&self.queue.0.slots);
        slots.acquire_owned().await.ok()
    }

    /// Follows this ticket's place in the queue.
    #[must_use]
    pub(super) fn position(&self) -> Position {
        Position {
            queue: self.queue.clone(),
            number: self.number,
            moved: self.queue.0.moved.subscribe(),
        }
    }
}

/// A view on one ticket's place in the queue.
#[derive(Debug)]
pub struct Position {
    queue: Queue,
    number: u64,
    moved: watch::Receiver<()>,
}

impl Position {
    /// How many are in front, plus one; 0 once the queue has been left.
    #[must_use]
    pub fn now(&self) -> usize {
        let waiting = self.queue.0.waiting.lock();
        if waiting.contains_key(&self.number) {
            waiting.range(..=self.number).count()
        } else {
            0
        }
    }

    /// Resolves when somebody has left the queue.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn moved(&mut self) {
        // The queue cannot end while it is looked at.
        let _ = self.moved.changed().await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.queue.0.waiting.lock().remove(&self.number);
        self.queue.0.moved.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn slots_go_in_order_and_the_gone_leave_no_trace() {
        let queue = Queue::new(1, 3);
        let held = queue.slot_now().unwrap();
        assert!(queue.slot_now().is_none());
        let first = queue.join(Purpose::Lease).unwrap();
        let second = queue.join(Purpose::Lease).unwrap();
        let third = queue.join(Purpose::Lease).unwrap();
        assert_eq!(queue.join(Purpose::Lease).unwrap_err(), Full);
        assert!(queue.join(Purpose::Seats).is_ok(), "counted elsewhere");
        assert_eq!(third.position().now(), 3);
        let mut first_turn = Box::pin(first.turn());
        let mut second_turn = Box::pin(second.turn());
        let mut third_turn = Box::pin(third.turn());
        assert!(futures::poll!(&mut first_turn).is_pending());
        assert!(futures::poll!(&mut second_turn).is_pending());
        assert!(futures::poll!(&mut third_turn).is_pending());
        drop(held);
        let slot = first_turn.await.unwrap();
        assert!(futures::poll!(&mut third_turn).is_pending());
        drop(second_turn);
        drop(first);
        drop(second);
        assert_eq!(third.position().now(), 1);
        drop(slot);
        assert!(third_turn.await.is_some());
        drop(third);
        assert_eq!(queue.leases_waiting(), 0);
    }

    #[tokio::test]
    async fn nobody_overtakes_a_waiting_one() {
        let queue = Queue::new(1, 10);
        let held = queue.slot_now().unwrap();
        let ticket = queue.join(Purpose::Lease).unwrap();
        let mut turn = Box::pin(ticket.turn());
        assert!(futures::poll!(&mut turn).is_pending());
        drop(held);
        assert!(queue.slot_now().is_none(), "the slot is the waiting one's");
        assert!(turn.await.is_some());
    }
}
