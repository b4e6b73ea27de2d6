//! The bond between a lease and the client that must be there for it.

use super::Broker;
use crate::lease::{EndReason, LeaseId};

/// Ends a lease as `CLIENT_GONE` when dropped, unless told that the client has it.
///
/// It spans the moment between the grant and the client's having it, and the life of a `Hold`
/// stream.
#[derive(Debug)]
pub struct LeaseGuard {
    broker: Option<Broker>,
    id: LeaseId,
}

impl LeaseGuard {
    pub(super) fn new(broker: &Broker, id: LeaseId) -> Self {
        Self {
            broker: Some(broker.clone()),
            id,
        }
    }

    /// The client has the lease: from now on its own limits decide.
    pub fn disarm(mut self) {
        self.broker = None;
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        if let Some(broker) = self.broker.take() {
            // One that has ended already needs no end.
            let _ = broker.end(self.id, EndReason::ClientGone);
        }
    }
}
