//! Noticing that the host is gone, though its end of standard input is still held open by somebody.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(250);

/// Resolves when the process that started this one has ended: orphans get another parent.
///
/// # Cancel safety
/// Yes.
pub(super) async fn gone() {
    let parent = nix::unistd::getppid();
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if nix::unistd::getppid() != parent {
            return;
        }
    }
}
