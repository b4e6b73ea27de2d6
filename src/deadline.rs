//! One clock per request: the instant by which the caller wants its answer.
//!
//! Every function that waits takes a [`Deadline`], never a `Duration`, so that no second, hidden
//! timer can grow inside a call.

use std::time::Duration;

use tokio::time::Instant;

/// The instant by which an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// The deadline passed before the work was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct Passed;

impl Deadline {
    /// A deadline `duration` from now.
    #[must_use]
    pub fn after(duration: Duration) -> Self {
        let now = Instant::now();
        // A century stands for "never": adding more would overflow the platform's clock.
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        Self(now + duration.min(CENTURY))
    }

    /// A deadline at `instant`.
    #[must_use]
    pub const fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// The instant itself.
    #[must_use]
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// The time left; zero once passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether no time is left.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// The earlier of this deadline and `duration` from now: a step of the work with a bound of
    /// its own that never outlives the caller's.
    #[must_use]
    pub fn within(self, duration: Duration) -> Self {
        self.min(Self::after(duration))
    }

    /// Runs `work` for at most the time left.
    ///
    /// # Errors
    /// [`Passed`] when the deadline comes first; `work` is dropped then.
    ///
    /// # Cancel safety
    /// As safe as `work` is.
    pub async fn bound<F: Future>(self, work: F) -> Result<F::Output, Passed> {
        tokio::time::timeout_at(self.0, work)
            .await
            .map_err(|_elapsed| Passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bounds_work_by_the_earlier_deadline() {
        let deadline = Deadline::after(Duration::from_secs(10));
        let step = deadline.within(Duration::from_secs(1));
        assert_eq!(step.remaining(), Duration::from_secs(1));
        assert_eq!(
            step.bound(std::future::pending::<()>()).await,
            Err(Passed),
            "work that never ends is cut at the step's bound"
        );
        assert!(step.has_passed());
        assert!(!deadline.has_passed());
        assert_eq!(deadline.bound(async { 7 }).await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn an_absurdly_long_deadline_does_not_overflow() {
        assert!(!Deadline::after(Duration::MAX).has_passed());
    }
}
