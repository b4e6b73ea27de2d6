//! The names of pages, and what is shown of them.

use std::fmt;

use chromiumoxide::cdp::browser_protocol::target::TargetId;

/// The name of a page: its CDP target's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageId(String);

impl PageId {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn target(&self) -> TargetId {
        TargetId::from(self.0.clone())
    }
}

impl From<&str> for PageId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is shown of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub id: PageId,
    /// Where it is.
    pub url: String,
    /// Its title.
    pub title: String,
    /// Whether calls that name no page mean it.
    pub current: bool,
    /// The page that opened it.
    pub opener: Option<PageId>,
}
