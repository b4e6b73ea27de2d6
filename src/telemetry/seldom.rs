//! Saying something seldom that happens often.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long to stay silent after something was said.
const SILENCE: Duration = Duration::from_secs(1);

/// Lets through what happens at most once a second, so that a flood of refusals does not turn into
/// one of log lines.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// Counts one more. When it is to be said, returns how many there were since the last time that
    /// were not.
    pub fn now(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        let (last, unsaid) = &mut *state;
        if last.is_some_and(|last| now.saturating_duration_since(last) < SILENCE) {
            *unsaid += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_one_line_a_second_with_its_count() {
        let seldom = Seldom::default();
        let begun = Instant::now();
        assert_eq!(seldom.now(begun), Some(0));
        for _ in 0..41 {
            assert_eq!(seldom.now(begun + SILENCE / 2), None);
        }
        assert_eq!(seldom.now(begun + SILENCE), Some(41));
        assert_eq!(seldom.now(begun + SILENCE * 2), Some(0));
    }
}
