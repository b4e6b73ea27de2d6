//! Why connections were not made: a browser tells its page one word for all of it.

use std::{io, num::NonZeroUsize};

use lru::LruCache;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::socks::Reply;
use crate::egress::{Denied, LookupError, Target};

/// So many targets are remembered for a browser, the last ones: whoever asks why has just been
/// refused.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// Why a connection was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The policy forbids it.
    #[error(transparent)]
    Denied(Denied),
    /// The name has no address.
    #[error("{0}")]
    Dns(String),
    /// Nobody took the connection.
    #[error("{0}")]
    Refused(String),
    /// It did not come up in time.
    #[error("{0}")]
    Timeout(String),
    /// A proxy on the way did not do as it was asked.
    #[error("{0}")]
    Proxy(String),
}

impl Failure {
    /// The word of SOCKS for it.
    pub(super) const fn reply(&self) -> Reply {
        match self {
            Self::Denied(_) => Reply::Forbidden,
            Self::Dns(_) => Reply::Unreachable,
            Self::Refused(_) => Reply::Refused,
            Self::Timeout(_) => Reply::Expired,
            Self::Proxy(_) => Reply::Failed,
        }
    }

    /// A connection to `what` that the operating system did not make.
    pub(in crate::egress) fn of_dial(what: &dyn std::fmt::Display, error: &io::Error) -> Self {
        let why = format!("{what}: {error}");
        if error.kind() == io::ErrorKind::TimedOut {
            Self::Timeout(why)
        } else {
            Self::Refused(why)
        }
    }
}

impl From<LookupError> for Failure {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Denied(denied) => Self::Denied(denied),
            LookupError::NotFound(why) => Self::Dns(why),
            LookupError::Passed => Self::Timeout(LookupError::Passed.to_string()),
        }
    }
}

/// What failed lately, and when.
#[derive(Debug)]
pub(super) struct Failures(Mutex<LruCache<Target, (Failure, Instant)>>);

impl Default for Failures {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }
}

impl Failures {
    pub(super) fn enter(&self, target: Target, failure: Failure) {
        self.0.lock().put(target, (failure, Instant::now()));
    }

    /// A connection to `target` was made: what held it up before does no longer.
    pub(super) fn forget(&self, target: &Target) {
        let mut failures = self.0.lock();
        if !failures.is_empty() {
            failures.pop(target);
        }
    }

    /// Why the last connection to `target` was not made, when that was at or after `since`.
    pub(super) fn since(&self, target: &Target, since: Instant) -> Option<Failure> {
        let failures = self.0.lock();
        let (failure, when) = failures.peek(target)?;
        (*when >= since).then(|| failure.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(port: u16) -> Target {
        Target::of(([192, 0, 2, 1], port).into())
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_failures_are_remembered() {
        let failures = Failures::default();
        let began = Instant::now();
        failures.enter(at(1), Failure::Refused("one".into()));
        tokio::time::advance(Duration::from_secs(1)).await;
        let later = Instant::now();
        assert!(failures.since(&at(1), began).is_some());
        assert_eq!(failures.since(&at(1), later), None, "that was before");
        assert_eq!(failures.since(&at(2), began), None);
        failures.forget(&at(1));
        assert_eq!(failures.since(&at(1), began), None);
        for port in 0..300 {
            failures.enter(at(port), Failure::Dns("none".into()));
        }
        assert_eq!(failures.since(&at(0), began), None, "too long ago");
        assert!(failures.since(&at(299), began).is_some());
    }
}
