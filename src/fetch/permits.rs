//! Room for so many at once; turns go round among the parties that wait.

use super::Error;
use crate::{
    deadline::Deadline,
    fair::{Entry, Gate, Party, Pass, Refused},
    metrics::Wanted,
};

/// Room for so many at once; turns go round among the parties that wait.
#[derive(Clone, Debug)]
pub(super) struct Permits {
    gate: Gate,
    bounded: bool,
}

/// There was no turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoTurn {
    /// Why it may not wait; `None` when the deadline passed.
    refused: Option<Refused>,
    waiting: u64,
    queue: u64,
}

impl NoTurn {
    /// Whether the deadline passed.
    pub(super) const fn passed(&self) -> bool {
        self.refused.is_none()
    }

    /// What a fetch is told that wanted `wanted`.
    pub(super) const fn of(self, wanted: Wanted) -> Error {
        let Self { waiting, queue, .. } = self;
        match self.refused {
            None => Error::Exhausted {
                wanted,
                waiting,
                queue,
            },
            Some(Refused::Full) => Error::QueueFull {
                wanted,
                waiting,
                queue,
            },
            Some(Refused::Share(most)) => Error::OverShare { wanted, most },
        }
    }
}

impl Permits {
    pub(super) fn new(limit: usize, queue: usize) -> Self {
        Self {
            gate: Gate::new(limit.max(1), queue),
            bounded: true,
        }
    }

    /// For which any number may wait, until their deadlines.
    pub(super) fn unbounded(limit: usize) -> Self {
        Self {
            gate: Gate::new(limit.max(1), usize::MAX),
            bounded: false,
        }
    }

    /// # Errors
    /// [`NoTurn`] at once when no more may wait, else at the deadline, or when it has to make room
    /// for another party.
    ///
    /// # Cancel safety
    /// Yes: the place in the queue is lost.
    pub(super) async fn acquire(&self, party: &Party, deadline: Deadline) -> Result<Pass, NoTurn> {
        let no_turn = |refused| NoTurn {
            refused,
            waiting: self.waiting(),
            queue: self.gate.queue() as u64,
        };
        let refused = |why| no_turn(Some(why));
        match self.gate.enter(party, self.bounded).map_err(refused)? {
            Entry::In(pass) => Ok(pass),
            Entry::Waits(mut ticket) => {
                let turn = deadline.bound(ticket.turn()).await;
                turn.map_err(|_passed| no_turn(None))?.map_err(refused)
            }
        }
    }

    pub(super) fn active(&self) -> u64 {
        self.gate.inside() as u64
    }

    pub(super) fn waiting(&self) -> u64 {
        self.gate.waiting() as u64
    }

    pub(super) fn limit(&self) -> u64 {
        self.gate.room() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn permits_are_counted_and_waits_end() {
        let (permits, one) = (Permits::new(1, 10), Party::default());
        let soon = |secs| Deadline::after(Duration::from_secs(secs));
        let held = permits.acquire(&one, soon(0)).await;
        assert_eq!((permits.active(), permits.waiting()), (1, 0));
        let refused = permits.acquire(&one, soon(1)).await;
        assert!(refused.unwrap_err().passed());
        let waiting = permits.acquire(&one, soon(9));
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(permits.waiting(), 1);
        drop(held);
        let held = waiting.await;
        assert!(held.is_ok());
        assert_eq!((permits.active(), permits.waiting()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_may_not_wait_is_told_why() {
        let permits = Permits::new(1, 2);
        let soon = Deadline::after(Duration::from_secs(9));
        let _held = permits.acquire(&Party::default(), soon).await;
        let (few, many) = (Party::new("few", 1), Party::new("many", 9));
        let mut waiting: Vec<_> = [&few, &many]
            .map(|party| Box::pin(permits.acquire(party, soon)))
            .into();
        for one in &mut waiting {
            assert!(futures::poll!(one).is_pending());
        }
        let over = permits.acquire(&few, soon).await.unwrap_err();
        let over = over.of(Wanted::Page);
        assert!(matches!(over, Error::OverShare { most: 1, .. }), "{over:?}");
        let full = permits.acquire(&many, soon).await.unwrap_err();
        assert!(matches!(
            full.of(Wanted::Http),
            Error::QueueFull { waiting: 2, .. }
        ));
    }
}
