//! Leases: who may use something until when.
//!
//! * [`Table`] is the pure state machine: grant, renew, attach, detach, end, expire. Time is an
//!   argument, nothing waits, and what is leased is a type parameter: leases know no browsers.
//! * [`Lessor`] is the thin shell around it: one lock, and one task that sleeps until the next
//!   limit of any lease and ends what reached it, whatever the resource does.
//!
//! A leased resource has one way out: it is *moved* out of the table under the lock, and its own
//! `Drop` takes it from there.

mod id;
mod lessor;
mod limits;
mod reason;
mod record;
mod table;

pub use id::{LeaseId, Token, TokenError};
pub use lessor::Lessor;
pub use limits::{Limits, OnDisconnect};
pub use reason::EndReason;
pub use record::{Activity, Now, Record};
pub use table::{Error, Grant, Spec, Table};
