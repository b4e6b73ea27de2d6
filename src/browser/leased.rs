//! A browser that is one client's alone.

use std::sync::Arc;

use tokio::sync::watch;

use super::{
    Error, Profile,
    chrome::Browser,
    pool::{Pool, Taken},
    process::Exit,
    queue::Slot,
    registry::State,
};
use crate::metrics::Retire;

/// A browser that is one client's alone. When dropped it is destroyed, never used again: whoever
/// had it may have done anything to it. Its place in the pool is free once nothing of it is left.
#[derive(Debug)]
pub struct LeasedBrowser {
    browser: Arc<Browser>,
    pool: Pool,
    /// `None` only once dropped.
    taken: Option<Taken>,
    slot: Option<Slot>,
}

impl LeasedBrowser {
    pub(super) fn new(pool: Pool, taken: Taken, slot: Option<Slot>) -> Self {
        let browser = Arc::clone(&taken.0);
        hand_out(&browser);
        Self {
            browser,
            pool,
            taken: Some(taken),
            slot,
        }
    }

    /// Replaces the browser by one that is launched with `profile`.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; the place in the pool is free again then.
    pub(super) async fn relaunch(mut self, profile: &Profile) -> Result<Self, Error> {
        if let Some(taken) = &mut self.taken {
            self.pool.relaunch(taken, profile).await?;
            self.browser = Arc::clone(&taken.0);
            hand_out(&self.browser);
        }
        Ok(self)
    }

    /// Has its connections go by the way of `profile` from now on.
    pub(super) fn go_by(&self, profile: &Profile) {
        let egress = self.browser.egress();
        if let Some(route) = profile.route(&egress.route()) {
            egress.reroute(route);
        }
    }

    /// The browser.
    #[must_use]
    pub const fn browser(&self) -> &Arc<Browser> {
        &self.browser
    }

    /// Follows the end of its main process, be it a crash or a kill by the supervisor.
    #[must_use]
    pub fn watch_exit(&self) -> watch::Receiver<Option<Exit>> {
        self.browser.watch_exit()
    }
}

fn hand_out(browser: &Browser) {
    browser.hand_over();
    // One with options of its own was not taken from the spares, where guests are sent away.
    let _left_soon = browser.lodge().close();
    browser.used();
    browser.state(State::Leased);
}

impl Drop for LeasedBrowser {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.pool.destroy(taken, self.slot.take(), Retire::Leased);
        }
    }
}
