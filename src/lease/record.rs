//! What is known of one lease, while it lives and for some minutes after.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{EndReason, LeaseId, Limits};

/// One moment on both clocks: the steady one decides, the wall clock is shown.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The steady clock.
    pub instant: Instant,
    /// The wall clock.
    pub wall: SystemTime,
}

impl Now {
    /// This moment.
    #[must_use]
    pub fn read() -> Self {
        Self {
            instant: Instant::now(),
            wall: SystemTime::now(),
        }
    }
}

/// What is known of one lease. `S` is what is shown of the leased thing.
#[derive(Clone, Debug)]
pub struct Record<S> {
    /// Its name.
    pub id: LeaseId,
    /// Who it was granted to.
    pub owner: String,
    /// The client's own labels.
    pub labels: BTreeMap<String, String>,
    /// What is leased.
    pub subject: S,
    /// The limits it was granted with; a renewal may have changed the TTL.
    pub limits: Limits,
    /// Whether a `Hold` stream keeps it, so that the TTL is not in force.
    pub held: bool,
    /// How long the caller waited for it.
    pub queue_time: Duration,
    /// When it was granted.
    pub created: SystemTime,
    /// When it ends unless renewed.
    pub expires: SystemTime,
    /// When it ends at the latest.
    pub max_expires: SystemTime,
    /// How many CDP clients are attached.
    pub attached: usize,
    /// How and when it ended; `None` while it lives.
    pub ended: Option<(EndReason, SystemTime)>,
}

impl<S> Record<S> {
    /// The limit that ended it and its value, when it was one.
    #[must_use]
    pub fn limit_reached(&self) -> Option<(&'static str, Duration)> {
        let limits = &self.limits;
        let (reason, at) = self.ended?;
        match reason {
            EndReason::Expired if at >= self.max_expires => {
                Some(("max_lifetime", limits.max_lifetime))
            }
            EndReason::Expired => Some(("ttl", limits.ttl)),
            EndReason::Idle => Some(("idle_timeout", limits.idle_timeout?)),
            EndReason::Detached => Some(("detach_grace", limits.detach_grace)),
            _ => None,
        }
    }
}

/// When a client last did something with a lease; shared with whoever carries the traffic, so
/// that a busy connection marks it without taking a lock.
#[derive(Clone, Debug)]
pub struct Activity(Arc<Mark>);

#[derive(Debug)]
struct Mark {
    epoch: Instant,
    millis: AtomicU64,
}

impl Activity {
    pub(super) fn new(now: Instant) -> Self {
        Self(Arc::new(Mark {
            epoch: now,
            millis: AtomicU64::new(0),
        }))
    }

    /// Marks traffic at `now`.
    pub fn touch(&self, now: Instant) {
        let since = now.saturating_duration_since(self.0.epoch).as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.0.millis.fetch_max(since, Ordering::Relaxed);
    }

    pub(super) fn last(&self) -> Instant {
        self.0.epoch + Duration::from_millis(self.0.millis.load(Ordering::Relaxed))
    }
}
