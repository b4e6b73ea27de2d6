//! What is shown of the pool, and what those are told whom it refuses.

use super::{
    Error,
    disk::Disk,
    launch,
    launches::Launches,
    place::Demand,
    pool::{Config, Pool},
    queue::Purpose,
    registry::{Seen, State},
};
use crate::{
    fair::Refused,
    health::{self, Leaks},
};

impl Pool {
    /// How many browsers there are, of which state.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.0.registry.seen()
    }

    /// Dead children nobody had reaped when last counted, and those of them that had been there
    /// at the count before.
    #[must_use]
    pub fn zombies(&self) -> (u64, u64) {
        self.0.registry.zombies()
    }

    /// What the kernel shows and nobody owns.
    #[must_use]
    pub fn leaks(&self) -> Leaks {
        self.0.leaks.counts()
    }

    /// The page that is loaded now and then.
    #[must_use]
    pub fn canary(&self) -> health::Canary {
        self.0.canary.seen(self.0.config.canary_interval)
    }

    /// The numbers behind a refusal of what was wanted for `purpose`.
    #[must_use]
    pub fn demand(&self, purpose: Purpose) -> Demand {
        let count = |state| self.0.registry.count(state);
        Demand {
            max: self.0.config.max_browsers as usize,
            leased: count(State::Leased),
            shared: count(State::Shared),
            starting: count(State::Starting),
            retiring: count(State::Retiring),
            waiting: match purpose {
                Purpose::Lease => self.leases_waiting(),
                Purpose::Seats => self.seats_waiting(),
            },
            queue: self.0.queue.limit(),
        }
    }

    /// What a caller is told that may not wait, or no longer, for `purpose`.
    pub(super) fn refused(&self, purpose: Purpose, refused: Refused) -> Error {
        match refused {
            Refused::Full => Error::QueueFull(self.demand(purpose)),
            Refused::Share(most) => Error::OverShare(most),
        }
    }

    /// What a caller is told that waited in vain for `purpose`.
    pub(super) fn in_vain(&self, purpose: Purpose) -> Error {
        let exhausted = || Error::Exhausted(self.demand(purpose));
        self.launch_failure().unwrap_or_else(exhausted)
    }

    /// Why there are fewer browsers than there may be: none could be launched since the last failure.
    /// `None` when one could, or when all places are taken and a launch would not help.
    #[must_use]
    pub fn launch_failure(&self) -> Option<Error> {
        let error = self.launches().failing()?;
        if matches!(*error, launch::Error::Draining) {
            return Some(Error::Draining);
        }
        let count = |state| self.0.registry.count(state);
        let used = count(State::Leased) + count(State::Shared);
        (used < self.0.config.max_browsers as usize).then_some(Error::Unavailable(error))
    }

    /// How many callers wait for a browser or a seat.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.leases_waiting() + self.seats_waiting()
    }

    /// How many callers wait for a browser of their own.
    #[must_use]
    pub fn leases_waiting(&self) -> usize {
        self.0.queue.leases_waiting()
    }

    /// How many callers wait for a seat.
    #[must_use]
    pub fn seats_waiting(&self) -> usize {
        self.0.seats.waiting()
    }

    /// How launches go.
    #[must_use]
    pub fn launches(&self) -> &Launches {
        self.0.starter.launches()
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// How many browser directories are on disk.
    #[must_use]
    pub fn directories(&self) -> usize {
        self.0.run_dir.browsers()
    }

    /// The disk that browsers keep their directories on.
    #[must_use]
    pub fn disk(&self) -> Disk {
        self.0.disk.seen(&self.0.run_dir)
    }
}
