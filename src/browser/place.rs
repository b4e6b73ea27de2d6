//! A place in the queue, and what it leads to.

use tokio::sync::oneshot;

use super::{
    Error, Profile,
    leased::LeasedBrowser,
    pool::Pool,
    queue::{Position, Slot, Ticket},
};
use crate::deadline::Deadline;

/// The numbers behind a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Browsers there may be.
    pub max: usize,
    /// Browsers that are leased.
    pub leased: usize,
    /// Browsers that serve fetches.
    pub shared: usize,
    /// Callers that wait.
    pub waiting: usize,
    /// Callers that may wait.
    pub queue: usize,
}

impl std::fmt::Display for Demand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} of {} browsers are leased, {} serve fetches, {} wait in the queue of {}",
            self.leased, self.max, self.shared, self.waiting, self.queue
        )
    }
}

/// A place in the queue for a browser, or already the right to one. Given up when dropped.
#[derive(Debug)]
pub struct Place {
    pool: Pool,
    slot: Option<Slot>,
    ticket: Option<Ticket>,
}

impl Place {
    pub(super) const fn new(pool: Pool, slot: Option<Slot>, ticket: Option<Ticket>) -> Self {
        Self { pool, slot, ticket }
    }

    /// Follows this place in the queue; `None` when it is already its turn.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.ticket.as_ref().map(Ticket::position)
    }

    /// Waits for its turn and then for a browser that has just answered, launched with `profile`.
    /// `until` bounds the wait, queue and launch counted in; `deadline` the whole.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when `until` came first, [`Error::Unavailable`] when browsers cannot
    /// be launched, [`Error::Passed`], [`Error::Draining`].
    ///
    /// # Cancel safety
    /// Yes: the place is given up, a browser already taken goes back or is destroyed.
    pub async fn browser(
        mut self,
        profile: &Profile,
        until: Deadline,
        deadline: Deadline,
    ) -> Result<LeasedBrowser, Error> {
        if let Some(ticket) = &self.ticket {
            let exhausted = |_passed| Error::Exhausted(self.pool.demand());
            // Whoever asks not to wait still gets the one look that needs no wait.
            let turn = until.bound(ticket.turn()).await.map_err(exhausted)?;
            self.slot = turn;
        }
        self.ticket = None;
        let taken = self.pool.take(until, deadline).await?;
        let leased = LeasedBrowser::new(self.pool.clone(), taken, self.slot.take());
        if profile.is_plain() {
            return Ok(leased);
        }
        // In a task of its own: a launch cut half-way would free the place before its process is
        // gone. What nobody takes any more is destroyed like any other.
        let (give, relaunched) = oneshot::channel();
        let profile = profile.clone();
        self.pool.0.drain.spawn(async move {
            let _ = give.send(leased.relaunch(&profile).await);
        });
        let relaunched = deadline
            .bound(relaunched)
            .await
            .map_err(|_| Error::Passed)?;
        relaunched.unwrap_or(Err(Error::Draining))
    }
}
