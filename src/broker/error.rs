//! Why a use case failed.

use super::{OverQuota, Violation};
use crate::{browser, drain::Draining, egress::Denied, fetch, lease, page};

/// Why a use case failed. The transport turns each into a code and a stable reason.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is not one.
    #[error("{}", join(.0))]
    Invalid(Vec<Violation>),
    /// The lease cannot be used.
    #[error(transparent)]
    Lease(#[from] lease::Error),
    /// There is no browser.
    #[error(transparent)]
    Browser(#[from] browser::Error),
    /// The fetch failed.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// The page cannot be driven.
    #[error(transparent)]
    Page(#[from] page::Error),
    /// It is somebody else's lease.
    #[error("the lease is somebody else's")]
    NotOwner,
    /// Its owner has as much as it may.
    #[error(transparent)]
    OverQuota(#[from] OverQuota),
    /// What was asked for leads where nothing may go.
    #[error("{0}")]
    Denied(Box<Denied>),
    /// No new work is taken.
    #[error("the broker is draining: no new work is taken")]
    Draining,
    /// The caller's deadline passed.
    #[error("the deadline passed")]
    Passed,
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        Self::Denied(Box::new(denied))
    }
}

impl From<Draining> for Error {
    fn from(_: Draining) -> Self {
        Self::Draining
    }
}

fn join(violations: &[Violation]) -> String {
    let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
    lines.join("; ")
}
