//! Who calls.
//!
//! A transport finds out and puts a [`Caller`] beside the request; what is below asks only for its
//! owner and its role.

use std::sync::Arc;

/// Who calls, as far as the broker is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    owner: Arc<str>,
    admin: bool,
}

/// The owner of everything where nobody has to say who they are.
const ANONYMOUS: &str = "anonymous";

impl Caller {
    /// Whoever calls a broker that asks nobody for a name. Its port is the permission.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::new(ANONYMOUS, true)
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
