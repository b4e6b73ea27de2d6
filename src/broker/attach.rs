//! CDP clients of a lease.

use std::sync::Arc;

use tokio::{sync::watch, time::Instant};

use super::{Broker, PolicyMode, denials::Denials};
use crate::{
    browser::{Browser, Endpoint, Files, cdp},
    deadline::Deadline,
    lease::{self, Activity, EndReason, LeaseId, Token},
    metrics::CdpRule,
};

/// One attached CDP client. Detaches when dropped.
#[derive(Debug)]
pub struct Attachment {
    broker: Broker,
    id: LeaseId,
    browser: Arc<Browser>,
    files: Files,
    denials: Arc<Denials>,
    first: bool,
    activity: Activity,
    ended: watch::Receiver<Option<EndReason>>,
}

impl Broker {
    /// Counts one more CDP client of the lease that `token` opens.
    ///
    /// # Errors
    /// [`lease::Error::Unknown`] for a wrong token; [`lease::Error::Ended`] for the right token of
    /// an ended lease.
    pub fn attach(&self, token: &Token) -> Result<Attachment, lease::Error> {
        let now = Instant::now();
        self.0.lessor.write(|table| {
            let (record, held, activity) = table.open(token, now)?;
            let attachment = Attachment {
                broker: self.clone(),
                id: record.id,
                browser: Arc::clone(held.browser()),
                files: held.files().clone(),
                denials: Arc::clone(held.denials()),
                first: record.attached == 0,
                activity: activity.clone(),
                ended: held.watch_end(),
            };
            table.attach(attachment.id, now)?;
            Ok(attachment)
        })
    }

    /// Where the browser of the lease that `token` opens speaks DevTools. Counts as client
    /// traffic, not as an attached client.
    ///
    /// # Errors
    /// As [`Broker::attach`].
    pub fn endpoint(&self, token: &Token) -> Result<Endpoint, lease::Error> {
        let now = Instant::now();
        self.0.lessor.read(|table| {
            let (_, held, activity) = table.open(token, now)?;
            activity.touch(now);
            Ok(held.endpoint().clone())
        })
    }
}

impl Attachment {
    /// The lease.
    #[must_use]
    pub const fn lease(&self) -> LeaseId {
        self.id
    }

    /// Where its browser speaks DevTools.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        self.browser.endpoint()
    }

    /// The lease's files.
    #[must_use]
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// Lets the browser save downloads among the lease's files, unless another client is attached,
    /// which may have said otherwise. A client that leaves takes back what it said of downloads,
    /// and with it what was said before it.
    ///
    /// # Errors
    /// What the DevTools connection says.
    ///
    /// # Cancel safety
    /// The browser may have been told all the same.
    pub async fn allow_downloads(&self, deadline: Deadline) -> Result<(), cdp::Error> {
        if self.first {
            self.browser.allow_downloads(deadline).await
        } else {
            Ok(())
        }
    }

    /// Takes note that `method`, a word of the policy's own, was denied by `rule`, or would have
    /// been: counts it, tells the first of each rule, and ends the lease that asks too often.
    pub fn denied(&self, rule: CdpRule, method: &'static str, mode: PolicyMode) {
        let enforced = mode == PolicyMode::Enforce;
        self.broker.0.metrics.cdp_denied(rule, enforced);
        let consequence = self.denials.add(rule);
        if consequence.tell {
            tracing::info!(
                lease = %self.id, rule = rule.as_str(), method, mode = mode.as_str(), "cdp.denied"
            );
        }
        if consequence.end && enforced {
            // One that has ended meanwhile is what we want.
            let _ = self.broker.end(self.id, EndReason::Policy);
        }
    }

    /// Where client traffic is marked.
    #[must_use]
    pub const fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Resolves when the lease has ended.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn ended(&self) -> EndReason {
        end_of(&self.ended).await
    }
}

/// Resolves when the lease has ended.
///
/// # Cancel safety
/// Yes.
pub(super) async fn end_of(ended: &watch::Receiver<Option<EndReason>>) -> EndReason {
    let mut ended = ended.clone();
    let reason = ended.wait_for(Option::is_some).await;
    // Without a word only the whole broker's end takes a lease away.
    reason
        .ok()
        .and_then(|reason| *reason)
        .unwrap_or(EndReason::Drained)
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let detach = |table: &mut lease::Table<_, _>| table.detach(self.id, Instant::now());
        self.broker.0.lessor.write(detach);
    }
}
