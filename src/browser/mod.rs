//! Browsers: processes that Berth starts, owns and never loses.
//!
//! * [`Browser`] is one running Chromium: its process tree, profile directory and DevTools
//!   connection. It is killed when dropped, and *gone* when nothing of it is left.
//! * [`Pool`] keeps some warm and never has more than its maximum. [`Pool::queue`] leads to a
//!   [`LeasedBrowser`], one client's alone and destroyed after use; [`Pool::seat`] to a [`Seat`],
//!   room for one isolated context in a *shared* browser that only Berth drives.
//! * A supervisor task checks, measures and retires them whatever their users do.
//!
//! This floor knows neither leases nor requests: nothing here imports a floor above.

mod canary;
pub mod cdp;
pub mod census;
mod cgroup;
mod chrome;
mod disk;
mod environment;
pub mod executable;
mod files;
mod guest;
pub mod isolation;
pub mod jail;
pub mod launch;
mod launches;
mod leaks;
mod leased;
mod limits;
mod mounts;
mod openers;
mod pace;
pub mod page;
mod place;
mod pool;
mod process;
mod profile;
mod queue;
mod registry;
mod removals;
mod rundir;
mod said;
mod seats;
mod starter;
mod storage_state;
mod supervisor;
mod upkeep;
mod view;
mod visit;

use std::sync::Arc;

pub use chrome::{Browser, BrowserId, Endpoint, Product};
pub use disk::Disk;
pub use files::{Bringing, Entry, Error as FilesError, Files, Quota, Usage};
pub use isolation::Isolation;
pub use launches::{LaunchWatch, Launches, Tally};
pub use leased::LeasedBrowser;
pub use limits::Limits;
pub use page::{Page, PageOptions};
pub use place::{Demand, Place};
pub use pool::{Config, Pool};
pub use process::{Exit, Kill};
pub use profile::{Profile, Viewport};
pub use queue::Purpose;
pub use registry::{Seen, State};
pub use rundir::{Error as RunDirError, RunDir, Swept};
pub use seats::Seat;
pub use storage_state::StorageState;
pub use visit::{Visit, visit};

/// Why there is no browser for a caller.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Nothing was free, and the queue is as long as it may be.
    #[error("the queue is full: {0}")]
    QueueFull(Demand),
    /// Nothing was free, and as many of the caller's party wait as may: so many.
    #[error("{0} requests of the same party wait for a browser, as many as may")]
    OverShare(usize),
    /// Nothing became free within the wait.
    #[error("no browser became free in time: {0}")]
    Exhausted(Demand),
    /// Browsers cannot be launched.
    #[error("no browser can be launched: {0}")]
    Unavailable(Arc<launch::Error>),
    /// The broker is shutting down.
    #[error("the broker is shutting down")]
    Draining,
    /// The caller's deadline passed.
    #[error("the deadline passed")]
    Passed,
    /// There is no such browser.
    #[error("there is no {0}")]
    Unknown(BrowserId),
    /// A leased browser goes with its lease.
    #[error("{0} is leased: end its lease instead")]
    Leased(BrowserId),
}
