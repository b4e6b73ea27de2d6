//! What keeps the pool in order: sweeping, warming up, and the end of it.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::time::sleep;

use super::{chrome::Browser, pool::Pool, registry::State};
use crate::metrics::Retire;

impl Pool {
    /// Kills every browser and waits until nothing of any is left. Call it once no lease and no
    /// fetch is running; the caller bounds it.
    ///
    /// # Cancel safety
    /// The killing goes on.
    pub async fn shut_down(&self) {
        self.close_all_seats();
        let mut pause = Duration::from_millis(1);
        loop {
            // In each turn: a launch that was as good as done may still end well, and enter bb8.
            for browser in self.0.starter.browsers() {
                browser.condemn(Retire::Drain);
            }
            self.sweep();
            if self.0.registry.total() == 0 {
                break;
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        // Not left to the last clone's drop: a process may exit before some task lets go of it.
        self.0.run_dir.remove();
    }

    /// Takes the condemned ones out of bb8's idle queue. Nothing here waits: each turn takes the
    /// first of the queue and puts a healthy one back to its end.
    pub(super) fn sweep(&self) {
        // bb8 replaces what is taken out even for a moment: nothing is, beyond what must be.
        let idle: Vec<_> = self
            .seen()
            .into_iter()
            .filter(|one| one.state == State::Idle)
            .collect();
        let browsers = self.0.starter.browsers();
        let is_idle = |browser: &&Arc<Browser>| idle.iter().any(|one| one.id == browser.id());
        let mut due = browsers
            .iter()
            .filter(is_idle)
            .filter(|one| one.condemned().is_some())
            .count();
        for _ in 0..self.0.bb8.state().idle_connections {
            if due == 0 {
                return;
            }
            let Some(Ok(taken)) = self.0.bb8.get_owned().now_or_never() else {
                return;
            };
            if let Some(reason) = taken.0.condemned() {
                due -= 1;
                self.destroy(taken, None, reason);
            }
        }
    }

    /// Has bb8 launch what the minimum of warm browsers lacks, as it only does when it is used.
    pub(super) fn warm_up(&self) {
        let state = self.0.bb8.state();
        if state.idle_connections < self.0.config.min_warm
            && state.connections < self.0.config.max_browsers
            && self.0.registry.count(State::Starting) == 0
        {
            drop(self.0.bb8.get_owned().now_or_never());
        }
    }
}
