//! How much work the text of a document is, before it is parsed.
//!
//! A parser gives text in pieces, one more for each `&` and each `<` that opens nothing, and each
//! costs as much as an element. A serializer looks, from each character that it must escape, for
//! the next one of another kind (`<`, `>`, within attributes `"`) up to the end of the text: without
//! any, its work grows by the square of the text.

use super::Error;

/// Pieces of a document; some seconds of parsing.
const MOST_PIECES: usize = 400_000;

/// Bytes that a serializer looks at in vain; less than a second of it.
const MOST_LOOKS: u64 = 4_000_000_000;

/// What the text of a document adds up to.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pieces: usize,
    looks: u64,
}

/// Where a text stands: other characters are escaped there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Between tags.
    Text,
    /// Within a tag.
    Attributes,
}

impl Pieces {
    /// Adds `text`.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when it is more than a document may have.
    pub(super) fn add(&mut self, text: &str, place: Place) -> Result<(), Error> {
        let attributes = place == Place::Attributes;
        let bytes = text.as_bytes();
        let (mut escaped, mut from) = (0_u64, 0_usize);
        for (at, byte) in bytes.iter().enumerate() {
            let ends = match byte {
                b'<' | b'>' => true,
                b'"' => attributes,
                b'&' => decodes_to_an_end(bytes.get(at..).unwrap_or_default(), attributes),
                // The first byte of a no-break space, and of what else a serializer looks at twice.
                0xC2 => false,
                _ => continue,
            };
            if ends {
                self.looks += escaped * (at - from) as u64;
                (escaped, from) = (0, at);
            } else {
                escaped += 1;
            }
            self.pieces += usize::from(matches!(byte, b'&' | b'<'));
        }
        self.looks += escaped * (bytes.len() - from) as u64;
        let too_large = |limit, what| Err(Error::TooLarge { limit, what });
        if self.pieces > MOST_PIECES {
            return too_large(MOST_PIECES, "pieces of text");
        }
        if self.looks > MOST_LOOKS {
            return too_large(escaped_limit(bytes.len()), "escaped characters in one text");
        }
        Ok(())
    }
}

/// How many escaped characters a text of `length` bytes may have.
fn escaped_limit(length: usize) -> usize {
    let limit = MOST_LOOKS / (length as u64).max(1);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn decodes_to_an_end(text: &[u8], attributes: bool) -> bool {
    let is = |entity: &str| text.starts_with(entity.as_bytes());
    is("&lt;") || is("&gt;") || attributes && (is("&quot;") || is("&#34;"))
}
