//! The text layer of a PDF.

use std::{
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use pdf_extract::{Document, Object, PlainTextOutput, output_doc_page};

use super::{Error, Limits, Text, tree::collapse};

/// A PDF as text.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) title: Option<String>,
    pub(super) text: Text,
}

/// Reads the text of a PDF page by page, as paragraphs. A page that cannot be read is passed over.
///
/// # Errors
/// [`Error::Malformed`] for a file that is no PDF, or of which no page can be read, or that needs a
/// password; [`Error::Stopped`].
pub(super) fn read(body: &[u8], limits: &Limits, stop: &dyn Fn() -> bool) -> Result<Read, Error> {
    // Every library for this panics on some damaged file.
    let read = catch_unwind(AssertUnwindSafe(|| pages(body, limits, stop)));
    read.unwrap_or(Err(Error::Malformed { format: "PDF" }))
}

fn pages(body: &[u8], limits: &Limits, stop: &dyn Fn() -> bool) -> Result<Read, Error> {
    let malformed = Error::Malformed { format: "PDF" };
    let mut document = Document::load_mem(body).map_err(|_| malformed)?;
    if document.is_encrypted() {
        // Many are, with an empty password, to forbid printing.
        document.decrypt("").map_err(|_| malformed)?;
    }
    let numbers: Vec<u32> = document.get_pages().into_keys().collect();
    let mut out = Sink {
        bytes: Vec::new(),
        most: limits.max_output,
        full: false,
        stop,
    };
    let mut readable = 0;
    let mut truncated = numbers.len() > limits.max_items;
    for number in numbers.iter().take(limits.max_items) {
        if stop() {
            return Err(Error::Stopped);
        }
        let read = catch_unwind(AssertUnwindSafe(|| {
            let sink: &mut dyn Write = &mut out;
            let mut output = PlainTextOutput::new(sink);
            output_doc_page(&document, &mut output, *number).is_ok()
        }));
        readable += usize::from(read.unwrap_or(false) || out.full);
        if out.full {
            truncated = true;
            break;
        }
        out.bytes.extend(b"\n\n");
    }
    if stop() {
        return Err(Error::Stopped);
    }
    if readable == 0 {
        return Err(malformed);
    }
    let text = paragraphs(&String::from_utf8_lossy(&out.bytes));
    Ok(Read {
        title: title(&document),
        text: Text { text, truncated },
    })
}

/// Where the text goes: it takes no more than its limit, and nothing once it is told to stop.
struct Sink<'a> {
    bytes: Vec<u8>,
    most: usize,
    full: bool,
    stop: &'a dyn Fn() -> bool,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.full |= self.bytes.len() + bytes.len() > self.most;
        if self.full || (self.stop)() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines with white space collapsed, and one empty line between paragraphs.
fn paragraphs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut gap = false;
    for line in text.lines() {
        let line = collapse(line);
        if line.is_empty() {
            gap = !out.is_empty();
            continue;
        }
        if !out.is_empty() {
            out.push_str(if gap { "\n\n" } else { "\n" });
        }
        gap = false;
        out.push_str(&line);
    }
    out
}

/// The title in the document's own description, in either of the encodings it may have.
fn title(document: &Document) -> Option<String> {
    let info = document.trailer.get(b"Info").ok()?;
    let info = match info {
        Object::Reference(id) => document.get_object(*id).ok()?,
        info => info,
    };
    let Object::String(bytes, _) = info.as_dict().ok()?.get(b"Title").ok()? else {
        return None;
    };
    let text = if let Some(wide) = bytes.strip_prefix(b"\xfe\xff") {
        let units = wide
            .chunks_exact(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        char::decode_utf16(units)
            .map(|char| char.unwrap_or('\u{fffd}'))
            .collect()
    } else {
        std::str::from_utf8(bytes).map_or_else(
            |_| bytes.iter().map(|byte| char::from(*byte)).collect(),
            str::to_owned,
        )
    };
    Some(collapse(&text)).filter(|text| !text.is_empty())
}
