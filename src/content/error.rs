//! Why a document gives no content.

/// Why a document gives no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The document has more than `limit` bytes, or makes more than `limit` elements, or its text is
    /// more work than that.
    #[error("the document is over the limit of {limit} {what}")]
    TooLarge {
        /// The limit that was met.
        limit: usize,
        /// What it counts: `bytes`, `elements`, `pieces of text` or `escaped characters in one text`.
        what: &'static str,
    },
    /// Its elements nest deeper than this, and could not be laid flat.
    #[error("elements nest more than {limit} deep")]
    TooDeep {
        /// The limit that was met.
        limit: usize,
    },
    /// The caller's `stop` said so.
    #[error("stopped before the content was found")]
    Stopped,
    /// The document is not what its content type says, or is damaged.
    #[error("the document is no valid {format}")]
    Malformed {
        /// The format it should have: `PDF` or `feed`.
        format: &'static str,
    },
    /// There is no conversion for this content type.
    #[error("no conversion for this content type")]
    Unsupported,
}
