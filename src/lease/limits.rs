//! The named limits of one lease, as the server granted them.

use std::time::Duration;

/// What happens when the last CDP client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDisconnect {
    /// The lease ends when nobody came back within the detach grace.
    Release,
    /// The lease lives on until another limit.
    Keep,
}

/// The limits a lease was granted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long it lives without a renewal. Not in force while a `Hold` stream keeps it.
    pub ttl: Duration,
    /// How long it lives without client traffic; `None` for no such limit.
    pub idle_timeout: Option<Duration>,
    /// How long it lives at most, whatever the client does.
    pub max_lifetime: Duration,
    /// What happens when the last CDP client has left.
    pub on_disconnect: OnDisconnect,
    /// How long a client that left may stay away. Does not run before a first attach.
    pub detach_grace: Duration,
}
