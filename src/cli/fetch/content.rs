//! What came, as bytes for a file or a terminal and as JSON for a program.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};

use super::args::FormatArg;
use crate::proto::{FetchContents, Links, Metadata};

/// One format of what came, as a file holds it; `None` when there is none.
pub(super) fn bytes(format: FormatArg, contents: &FetchContents) -> Option<Bytes> {
    let text = |text: &Option<String>| text.clone().map(Bytes::from);
    match format {
        FormatArg::Raw => contents.raw.clone(),
        FormatArg::Html => text(&contents.html),
        FormatArg::Text => text(&contents.text),
        FormatArg::Markdown => text(&contents.markdown),
        FormatArg::Links => contents.links.as_ref().map(links).map(pretty),
        FormatArg::Metadata => contents.metadata.as_ref().map(metadata).map(pretty),
        FormatArg::Screenshot => contents.screenshot.clone(),
        FormatArg::Pdf => contents.pdf.clone(),
    }
}

/// One format of what came, as a value of a JSON line and the name it has there: bytes that are no
/// text are base64.
pub(super) fn json(format: FormatArg, contents: &FetchContents) -> (String, Value) {
    let name = format.name();
    let coded = |bytes: &Option<Bytes>| {
        let bytes = bytes.as_ref().map(|bytes| BASE64_STANDARD.encode(bytes));
        (format!("{name}_base64"), json!(bytes))
    };
    let plain = |value| (name.to_owned(), value);
    match format {
        FormatArg::Raw => match contents.raw.as_deref().map(std::str::from_utf8) {
            Some(Ok(text)) => plain(json!(text)),
            _ => coded(&contents.raw),
        },
        FormatArg::Html => plain(json!(contents.html)),
        FormatArg::Text => plain(json!(contents.text)),
        FormatArg::Markdown => plain(json!(contents.markdown)),
        FormatArg::Links => plain(json!(contents.links.as_ref().map(links))),
        FormatArg::Metadata => plain(json!(contents.metadata.as_ref().map(metadata))),
        FormatArg::Screenshot => coded(&contents.screenshot),
        FormatArg::Pdf => coded(&contents.pdf),
    }
}

/// What a file of this format is called at its end.
pub(super) fn extension(format: FormatArg, content_type: &str) -> &'static str {
    match format {
        FormatArg::Raw => match content_type {
            "text/html" | "application/xhtml+xml" => "html",
            "text/plain" => "txt",
            "application/json" => "json",
            "application/pdf" => "pdf",
            "image/png" => "png",
            "image/jpeg" => "jpg",
            "image/webp" => "webp",
            "image/svg+xml" => "svg",
            "application/xml" | "text/xml" => "xml",
            _ => "bin",
        },
        FormatArg::Html => "html",
        FormatArg::Text => "txt",
        FormatArg::Markdown => "md",
        FormatArg::Links => "links.json",
        FormatArg::Metadata => "metadata.json",
        FormatArg::Screenshot => "png",
        FormatArg::Pdf => "pdf",
    }
}

fn pretty(value: Value) -> Bytes {
    format!("{value:#}\n").into()
}

fn links(links: &Links) -> Value {
    let each = links.links.iter();
    let each: Vec<_> = each
        .map(|link| json!({"url": link.url, "text": link.text, "rel": link.rel}))
        .collect();
    json!({"links": each, "truncated": links.truncated})
}

fn metadata(found: &Metadata) -> Value {
    json!({
        "title": found.title,
        "description": found.description,
        "canonical_url": found.canonical_url,
        "language": found.language,
        "authors": found.authors,
        "published": found.published,
        "modified": found.modified,
        "site_name": found.site_name,
        "image_url": found.image_url,
        "type": found.r#type,
    })
}
