//! Admission: who waits for a place in the pool, in which order, and how many may.
//!
//! There are as many *slots* as the pool may have browsers. Whoever holds one is certain to get a
//! browser: a warm one, or one that is launched for it. Slots go round among the parties that wait,
//! and within each in the order of arrival.

use crate::fair::{Entry, Gate, Party, Pass, Refused};

/// The right to one place in the pool.
pub(super) type Slot = Pass;

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
pub(super) struct Queue(Gate);

impl Queue {
    /// A queue for `slots` slots, in which at most `limit` wait for a lease.
    #[must_use]
    pub(super) fn new(slots: usize, limit: usize) -> Self {
        Self(Gate::new(slots, limit))
    }

    /// A slot at once when one is free, else a place in the queue.
    ///
    /// # Errors
    /// [`Refused`], for leases.
    pub(super) fn join(&self, party: &Party, purpose: Purpose) -> Result<Entry, Refused> {
        self.0.enter(party, purpose == Purpose::Lease)
    }

    /// How many wait for a lease.
    #[must_use]
    pub(super) fn leases_waiting(&self) -> usize {
        self.0.waiting()
    }

    /// Whether no slot is free.
    #[must_use]
    pub(super) fn is_exhausted(&self) -> bool {
        self.0.is_full()
    }

    /// How many may wait.
    #[must_use]
    pub(super) fn limit(&self) -> usize {
        self.0.queue()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fair::Ticket;

    fn ticket(entry: Result<Entry, Refused>) -> Ticket {
        match entry {
            Ok(Entry::Waits(ticket)) => ticket,
            other => panic!("it waits: {other:?}"),
        }
    }

    #[tokio::test]
    async fn slots_go_in_order_and_the_gone_leave_no_trace() {
        let (queue, one) = (Queue::new(1, 3), Party::default());
        let Ok(Entry::In(held)) = queue.join(&one, Purpose::Lease) else {
            panic!("a slot is free");
        };
        assert!(queue.is_exhausted());
        let mut first = ticket(queue.join(&one, Purpose::Lease));
        let mut second = ticket(queue.join(&one, Purpose::Lease));
        let mut third = ticket(queue.join(&one, Purpose::Lease));
        let refused = queue.join(&one, Purpose::Lease).unwrap_err();
        assert_eq!(refused, Refused::Full);
        let opener = ticket(queue.join(&one, Purpose::Seats));
        assert_eq!(queue.leases_waiting(), 3, "openers are counted elsewhere");
        assert_eq!(third.position().now(), 3);
        assert_eq!(opener.position().now(), 4);
        assert!(futures::poll!(Box::pin(first.turn())).is_pending());
        assert!(futures::poll!(Box::pin(second.turn())).is_pending());
        drop(held);
        let slot = first.turn().await.unwrap();
        assert!(futures::poll!(Box::pin(third.turn())).is_pending());
        drop(first);
        drop(second);
        assert_eq!(third.position().now(), 1);
        drop(slot);
        assert!(third.turn().await.is_ok());
        drop(third);
        assert_eq!(queue.leases_waiting(), 0);
        assert!(queue.is_exhausted(), "the opener has it");
        drop(opener);
        assert!(!queue.is_exhausted());
    }
}
