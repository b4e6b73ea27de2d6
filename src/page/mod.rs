//! Driving the pages of a leased browser: what [`PageService`](crate::proto) does, without a CDP
//! client.
//!
//! * [`Driver`] follows the pages of one browser, from the first call on. It sits beside whatever
//!   CDP clients the lease has: each has sessions of its own.
//! * [`Tab`] is one page. Elements are known by a number in their document ([`Ref`]), which a world of
//!   Berth's own in each frame keeps (`js/`): the page's scripts neither see nor change it.
//! * What happened on the way (consoles, dialogs, failed requests) is kept in [`events`] until it is told.
//!
//! Everything here is bounded by the caller's deadline, and leaves no key or button pressed when it is
//! dropped.

mod act;
mod dialog;
mod driver;
mod element;
mod error;
pub mod events;
mod frames;
mod go;
mod input;
mod key;
mod listen;
mod look;
mod opened;
mod script;
mod settle;
mod snapshot;
mod state;
mod tab;
mod wait;

pub use self::{
    act::Click,
    dialog::Answer,
    driver::Driver,
    element::{Locator, Ref},
    error::{Error, Why},
    go::Way,
    input::{Button, Modifier},
    opened::{PageId, Seen},
    snapshot::{Part, Wanted},
    tab::{Answering, Tab},
    wait::Condition,
};
