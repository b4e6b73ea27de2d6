//! Who calls.
//!
//! A transport hands what a caller showed to the [`Gate`] and puts the [`Caller`] that it answers
//! beside the request; what is below asks only for its owner and its role. Nothing here shows a
//! secret: hashes and public keys are all that is kept.

mod config;
mod gate;
mod jwt;
pub mod tls;
mod tokens;
mod watched;

use std::{path::PathBuf, sync::Arc};

pub use self::{
    config::{Config, OpsAuth},
    gate::{Gate, Refused, Shown},
    tokens::new_token,
};

/// Who calls, as far as the broker is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    owner: Arc<str>,
    admin: bool,
}

/// The owner of everything where nobody has to say who they are.
const ANONYMOUS: &str = "anonymous";
/// The longest name of an owner, in bytes.
const LONGEST_OWNER: usize = 128;

impl Caller {
    /// Whoever calls a broker that asks nobody for a name. Its port is the permission.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::new(ANONYMOUS, true)
    }

    /// Whoever asks what needs no name of a broker that asks others for theirs.
    #[must_use]
    pub fn nobody() -> Self {
        Self::new(ANONYMOUS, false)
    }

    /// The caller that owns what `owner` owns. `admin` sees and ends what others own.
    #[must_use]
    pub fn new(owner: impl Into<Arc<str>>, admin: bool) -> Self {
        Self {
            owner: owner.into(),
            admin,
        }
    }

    /// Whose leases are its own. Safe to log and to show to operators.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Whether it may do what operators do.
    #[must_use]
    pub const fn is_admin(&self) -> bool {
        self.admin
    }

    /// Whether it may see and end what `owner` owns.
    #[must_use]
    pub fn may_touch(&self, owner: &str) -> bool {
        self.admin || *self.owner == *owner
    }
}

/// Whether `text` can be the name of an owner: it is logged and shown as it is.
fn is_owner(text: &str) -> bool {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    printable && (1..=LONGEST_OWNER).contains(&text.len()) && text != ANONYMOUS
}

/// Why a file that says who may call cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {path}: {why}", path = path.display())]
pub struct Error {
    setting: &'static str,
    path: PathBuf,
    why: String,
}

/// Why a caller is not let in. It is told none of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// It showed nothing.
    Missing,
    /// What it showed cannot be read.
    Malformed,
    /// Nobody has this token, or this key.
    Unknown,
    /// It was right once.
    Expired,
    /// It is not signed, or not for us, or does not say who calls.
    Invalid,
}
