//! Guests: Berth's own short visits of browsers, which take nothing from anybody.
//!
//! A guest has neither slot nor seat. It may be in a browser that waits for its first use, or in a
//! shared one beside the seats. Whoever takes the browser *claims* it: the guest is asked to leave,
//! and the claim waits until nothing of it is left, which takes as long as closing a context does.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::deadline::{Deadline, Passed};

/// Whether a browser takes a guest; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Lodge(Arc<Mutex<Presence>>);

#[derive(Debug, Default)]
enum Presence {
    #[default]
    Open,
    Visited {
        leave: CancellationToken,
        gone: CancellationToken,
    },
    Claimed,
}

/// A guest in a browser. It has left when this is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    lodge: Lodge,
    leave: CancellationToken,
    gone: CancellationToken,
}

/// A browser without a guest. Guests are let in again when it is dropped, unless it is kept.
#[derive(Debug)]
pub(super) struct Claim(Option<Lodge>);

impl Lodge {
    /// Lets a guest in; `None` when there is one or the browser is claimed.
    pub(super) fn visit(&self) -> Option<Guest> {
        let mut presence = self.0.lock();
        if !matches!(*presence, Presence::Open) {
            return None;
        }
        let (leave, gone) = (CancellationToken::new(), CancellationToken::new());
        *presence = Presence::Visited {
            leave: leave.clone(),
            gone: gone.clone(),
        };
        Some(Guest {
            lodge: self.clone(),
            leave,
            gone,
        })
    }

    /// Lets no guest in, asks the one that is there to leave, and waits until it has.
    ///
    /// # Errors
    /// [`Passed`] when it is still there at the deadline.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn claim(&self, deadline: Deadline) -> Result<Claim, Passed> {
        let claim = Claim(Some(self.clone()));
        if let Some(gone) = self.close() {
            deadline.bound(gone.cancelled()).await?;
        }
        Ok(claim)
    }

    /// Lets no guest in and asks the one that is there to leave. Returns what tells that it has.
    pub(super) fn close(&self) -> Option<CancellationToken> {
        match std::mem::replace(&mut *self.0.lock(), Presence::Claimed) {
            Presence::Visited { leave, gone } => {
                leave.cancel();
                Some(gone)
            }
            Presence::Open | Presence::Claimed => None,
        }
    }

    /// Lets guests in.
    pub(super) fn open(&self) {
        *self.0.lock() = Presence::Open;
    }
}

impl Guest {
    /// Cancelled when it has to leave.
    pub(super) const fn leave(&self) -> &CancellationToken {
        &self.leave
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut presence = self.lodge.0.lock();
        if matches!(*presence, Presence::Visited { .. }) {
            *presence = Presence::Open;
        }
        drop(presence);
        self.gone.cancel();
    }
}

impl Claim {
    /// Lets no guest in any more.
    pub(super) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(lodge) = &self.0 {
            lodge.open();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_guest_leaves_before_the_browser_is_taken() {
        let lodge = Lodge::default();
        let guest = lodge.visit().unwrap();
        assert!(lodge.visit().is_none(), "one at a time");
        let soon = || Deadline::after(Duration::from_secs(1));
        assert!(lodge.claim(soon()).await.is_err(), "it has not left");
        drop(guest);

        let guest = lodge.visit().unwrap();
        let claim = lodge.claim(soon());
        tokio::pin!(claim);
        assert!(futures::poll!(&mut claim).is_pending());
        assert!(guest.leave().is_cancelled());
        assert!(lodge.visit().is_none(), "claimed");
        drop(guest);
        let claim = claim.await.unwrap();
        assert!(lodge.visit().is_none(), "claimed");
        drop(claim);
        drop(lodge.visit().unwrap());
        lodge.claim(soon()).await.unwrap().keep();
        assert!(lodge.visit().is_none(), "taken for good");
        lodge.open();
        assert!(lodge.visit().is_some(), "shared");
    }
}
