//! A place in the queue, and what it leads to.

use tokio::sync::oneshot;

use super::{Error, Profile, leased::LeasedBrowser, pool::Pool, queue::Purpose};
use crate::{
    deadline::Deadline,
    fair::{Entry, Position, Ticket},
};

/// The numbers behind a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Browsers there may be.
    pub max: usize,
    /// Browsers that are leased.
    pub leased: usize,
    /// Browsers that serve fetches.
    pub shared: usize,
    /// Browsers that are not up yet.
    pub starting: usize,
    /// Browsers that are about to be gone, to make room for others.
    pub retiring: usize,
    /// Callers that wait for the same: a lease, or a seat.
    pub waiting: usize,
    /// Callers that may.
    pub queue: usize,
}

impl std::fmt::Display for Demand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} of {} browsers are leased, {} serve fetches",
            self.leased, self.max, self.shared
        )?;
        // With these a retry helps sooner than the ends of leases tell.
        if self.starting > 0 {
            write!(f, ", {} starting", self.starting)?;
        }
        if self.retiring > 0 {
            write!(f, ", {} being replaced", self.retiring)?;
        }
        write!(f, ", {} wait in the queue of {}", self.waiting, self.queue)
    }
}

/// A place in the queue for a browser, or already the right to one. Given up when dropped.
#[derive(Debug)]
pub struct Place {
    pool: Pool,
    entry: Entry,
}

impl Place {
    pub(super) const fn new(pool: Pool, entry: Entry) -> Self {
        Self { pool, entry }
    }

    /// Follows this place in the queue; `None` when it is already its turn.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        match &self.entry {
            Entry::In(_) => None,
            Entry::Waits(ticket) => Some(Ticket::position(ticket)),
        }
    }

    /// Waits for its turn and then for a browser that has just answered and is as `profile` says.
    /// `until` bounds the wait, queue and launch counted in; `deadline` the whole.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when `until` came first, [`Error::QueueFull`] when it had to make room for
    /// another party, [`Error::Unavailable`] when browsers cannot
    /// be launched, or could not since the last failure; [`Error::Passed`], [`Error::Draining`].
    ///
    /// # Cancel safety
    /// Yes: the place is given up, a browser already taken goes back or is destroyed.
    pub async fn browser(
        self,
        profile: &Profile,
        until: Deadline,
        deadline: Deadline,
    ) -> Result<LeasedBrowser, Error> {
        let Self { pool, entry } = self;
        let slot = match entry {
            Entry::In(slot) => slot,
            Entry::Waits(mut ticket) => {
                let in_vain = |_passed| pool.in_vain(Purpose::Lease);
                // Whoever asks not to wait still gets the one look that needs no wait.
                let turn = until.bound(ticket.turn()).await.map_err(in_vain)?;
                turn.map_err(|refused| pool.refused(Purpose::Lease, refused))?
            }
        };
        let taken = pool.take(Purpose::Lease, until, deadline).await?;
        let leased = LeasedBrowser::new(pool.clone(), taken, Some(slot));
        if !profile.needs_launch() {
            leased.go_by(profile);
            return Ok(leased);
        }
        // In a task of its own: a launch cut half-way would free the place before its process is
        // gone. What nobody takes any more is destroyed like any other.
        let (give, relaunched) = oneshot::channel();
        let profile = profile.clone();
        pool.0.drain.spawn(async move {
            let _ = give.send(leased.relaunch(&profile).await);
        });
        let relaunched = deadline.bound(relaunched).await.map_err(|_passed| {
            let failing = pool.launch_failure();
            failing.unwrap_or(Error::Passed)
        })?;
        relaunched.unwrap_or(Err(Error::Draining))
    }
}
