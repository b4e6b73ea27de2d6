//! Why a page could not be driven.

use crate::browser::{cdp, page};

/// Why an element cannot be acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is not in the document any more.
    Detached,
    /// It cannot be seen.
    Hidden,
    /// It moves.
    Moving,
    /// It is disabled.
    Disabled,
    /// It cannot be written into.
    ReadOnly,
    /// Something else receives the click.
    Covered,
    /// It cannot be brought into view.
    OutOfView,
    /// What was asked cannot be done to such an element.
    WrongKind,
}

impl Why {
    const ALL: [Self; 8] = [
        Self::Detached,
        Self::Hidden,
        Self::Moving,
        Self::Disabled,
        Self::ReadOnly,
        Self::Covered,
        Self::OutOfView,
        Self::WrongKind,
    ];

    /// Its name in errors.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Detached => "detached",
            Self::Hidden => "hidden",
            Self::Moving => "moving",
            Self::Disabled => "disabled",
            Self::ReadOnly => "read_only",
            Self::Covered => "covered",
            Self::OutOfView => "out_of_view",
            Self::WrongKind => "wrong_kind",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.as_str() == text)
    }

    /// Whether it may change while one waits.
    pub(super) const fn may_pass(self) -> bool {
        !matches!(self, Self::WrongKind)
    }
}

/// Why a page could not be driven.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What happens to pages of every kind: lost, out of time, an origin that cannot be reached.
    #[error(transparent)]
    Page(#[from] page::Error),
    /// The lease has no such page.
    #[error("there is no page {0:?}")]
    NoPage(String),
    /// The page has no such element.
    #[error("{0}")]
    NoElement(String),
    /// More than one element matches.
    #[error("{count} elements match {wanted}: {some}; use one of the references")]
    Ambiguous {
        /// What was wanted.
        wanted: String,
        /// How many match.
        count: u64,
        /// Some of them.
        some: String,
    },
    /// The element cannot be acted on so.
    #[error("{what}")]
    NotActionable {
        /// What stood in the way.
        why: Why,
        /// The same in words.
        what: String,
    },
    /// The caller's script threw.
    #[error("{message}")]
    Script {
        /// What it threw.
        message: String,
        /// Where.
        stack: String,
    },
    /// A field of the request is not as it must be, which only the page knows.
    #[error("{0}: {1}")]
    Invalid(&'static str, String),
}

impl From<cdp::Error> for Error {
    fn from(error: cdp::Error) -> Self {
        Self::Page(error.into())
    }
}

impl Error {
    pub(super) const fn passed() -> Self {
        Self::Page(page::Error::Passed)
    }

    /// Whether the document that was asked is not there any more, so that the next may be asked.
    pub(super) fn is_moved(&self) -> bool {
        match self {
            Self::Page(page::Error::Cdp(cdp::Error::Refused { message, .. })) => {
                const WORDS: [&str; 6] = [
                    "Cannot find context",
                    "Execution context was destroyed",
                    "Inspected target navigated",
                    "Promise was collected",
                    "No frame for given id",
                    "Could not find node",
                ];
                WORDS.iter().any(|word| message.contains(word))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back() {
        for why in Why::ALL {
            assert_eq!(Why::parse(why.as_str()), Some(why));
        }
        assert_eq!(Why::parse("tired"), None);
    }
}
