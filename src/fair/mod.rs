//! Whose turn it is where several parties wait for the same: in turns between the parties, and in
//! the order of arrival within each.
//!
//! * [`Line`] is the order, and pure: who is next, and who stands where.
//! * [`Gate`] lets so many in at once and has the others stand in a line.
//!
//! What a party is, is not known here. With one party the order is that of arrival.

mod gate;
mod line;

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

pub use self::{
    gate::{Entry, Gate, Pass, Position, Refused, Ticket},
    line::{Line, Number},
};

/// Those among whom turns go round: whoever has the same key is one party.
#[derive(Clone, Debug)]
pub struct Party {
    key: Arc<str>,
    most: usize,
}

impl Party {
    /// The party of all that have `key`, of whom `most` may stand in one line.
    #[must_use]
    pub fn new(key: impl Into<Arc<str>>, most: usize) -> Self {
        Self {
            key: key.into(),
            most,
        }
    }

    /// What it is one party by.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How many of it may stand in one line.
    #[must_use]
    pub const fn most(&self) -> usize {
        self.most
    }
}

impl Default for Party {
    /// The party of those who belong to no other.
    fn default() -> Self {
        Self::new("", usize::MAX)
    }
}

impl PartialEq for Party {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Party {}

impl Hash for Party {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}
