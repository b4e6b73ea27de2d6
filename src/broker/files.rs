//! The files of a lease: what its browser downloaded, and what was brought for it.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{Broker, attach::end_of};
use crate::{
    browser::{Files, Quota},
    lease::{self, Activity, EndReason, LeaseId, Token},
};

/// How many files a lease may have. A directory of more is slow to read.
pub const MAX_FILES: usize = 1000;

/// A disk fills faster than anything else is noticed.
const SAMPLE: Duration = Duration::from_millis(250);

/// The files of a lease, for whoever has its token.
#[derive(Debug)]
pub struct LeaseFiles {
    files: Files,
    activity: Activity,
    ended: watch::Receiver<Option<EndReason>>,
}

impl LeaseFiles {
    /// The files.
    #[must_use]
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// Marks that the client did something.
    pub fn touch(&self) {
        self.activity.touch(Instant::now());
    }

    /// Resolves when the lease has ended, and its files with it.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn ended(&self) -> EndReason {
        end_of(&self.ended).await
    }
}

impl Broker {
    /// The files of the lease that `token` opens. Counts as client traffic.
    ///
    /// # Errors
    /// As [`Broker::attach`].
    pub fn files(&self, token: &Token) -> Result<LeaseFiles, lease::Error> {
        let now = Instant::now();
        self.0.lessor.read(|table| {
            let (_, held, activity) = table.open(token, now)?;
            activity.touch(now);
            Ok(LeaseFiles {
                files: held.files().clone(),
                activity: activity.clone(),
                ended: held.watch_end(),
            })
        })
    }

    pub(super) fn quota(&self) -> Quota {
        Quota {
            bytes: self.0.config.download_quota,
            files: MAX_FILES,
        }
    }

    /// Ends the lease when its files become more than they may be: no other way surely stops a
    /// download.
    pub(super) fn watch_files(
        &self,
        id: LeaseId,
        files: Files,
        mut ended: watch::Receiver<Option<EndReason>>,
    ) {
        let broker = self.clone();
        self.0.drain.spawn(async move {
            let mut tick = interval(SAMPLE);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = tick.tick() => {}
                    _ended = ended.wait_for(Option::is_some) => return,
                }
                let usage = match files.usage().await {
                    Ok(usage) => usage,
                    Err(error) => {
                        tracing::warn!(lease = %id, %error, "the files of a lease cannot be counted");
                        continue;
                    }
                };
                let quota = files.quota();
                if quota.is_exceeded(usage) {
                    tracing::warn!(
                        lease = %id, bytes = usage.bytes, files = usage.files,
                        quota = quota.bytes, "lease.files_exceeded"
                    );
                    // One that has ended meanwhile is what we want.
                    let _ = broker.end(id, EndReason::Policy);
                    return;
                }
            }
        });
    }
}
