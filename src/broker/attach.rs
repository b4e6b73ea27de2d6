//! CDP clients of a lease.

use tokio::{sync::watch, time::Instant};

use super::Broker;
use crate::{
    browser::Endpoint,
    lease::{self, Activity, EndReason, LeaseId, Token},
};

/// One attached CDP client. Detaches when dropped.
#[derive(Debug)]
pub struct Attachment {
    broker: Broker,
    id: LeaseId,
    endpoint: Endpoint,
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
                endpoint: held.endpoint().clone(),
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
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
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
        let mut ended = self.ended.clone();
        let reason = ended.wait_for(Option::is_some).await;
        // Without a word only the whole broker's end takes a lease away.
        reason
            .ok()
            .and_then(|reason| *reason)
            .unwrap_or(EndReason::Drained)
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let detach = |table: &mut lease::Table<_, _>| table.detach(self.id, Instant::now());
        self.broker.0.lessor.write(detach);
    }
}
