//! The bounds of reading one document.

/// The bounds of reading one document. Work beyond them is refused or cut, never done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a document; more is [`Error::TooLarge`](super::Error::TooLarge).
    pub max_input: usize,
    /// Bytes of each text that is given back; more is cut and said to be.
    pub max_output: usize,
    /// Elements of a document; more is [`Error::TooLarge`](super::Error::TooLarge).
    pub max_elements: usize,
    /// How deep elements may nest. What is deeper is laid flat, as browsers do at 512.
    pub max_nesting: usize,
    /// Links that are given back.
    pub max_links: usize,
    /// Pages of a PDF and entries of a feed that are read.
    pub max_items: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_input: 8 << 20,
            max_output: 4 << 20,
            max_elements: 150_000,
            max_nesting: 128,
            max_links: 5_000,
            max_items: 2_000,
        }
    }
}
