//! What is no HTML, as Markdown.

use url::Url;

use super::{Error, Limits, Text, feed, json, pdf};

/// What a document is, as far as reading it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTML, for [`read_html`](super::read_html).
    Html,
    /// JSON.
    Json,
    /// RSS, Atom or a JSON feed.
    Feed,
    /// PDF.
    Pdf,
    /// Other XML.
    Xml,
    /// Any other text.
    Text,
}

/// A document made into Markdown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// What it was.
    pub kind: Kind,
    /// The Markdown. Of a PDF without a text layer it is empty.
    pub markdown: Text,
    /// Its title: of a feed or a PDF that has one.
    pub title: Option<String>,
}

/// What a document is, by its content type (parameters allowed), else by its first bytes; `None` for
/// what has no text, as pictures.
#[must_use]
pub fn kind(body: &[u8], content_type: Option<&str>) -> Option<Kind> {
    let start = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let start = start.get(..start.len().min(1024)).unwrap_or_default();
    let start = String::from_utf8_lossy(start).to_ascii_lowercase();
    let start = start.trim_start();
    let media = content_type.unwrap_or_default();
    let media = media
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let looks_like_feed = ["<rss", "<feed", "<rdf:rdf"]
        .iter()
        .any(|tag| start.contains(tag));
    Some(match &*media {
        "text/html" | "application/xhtml+xml" => Kind::Html,
        "application/pdf" | "application/x-pdf" => Kind::Pdf,
        "application/rss+xml"
        | "application/atom+xml"
        | "application/rdf+xml"
        | "application/feed+json" => Kind::Feed,
        media if media.ends_with("/json") || media.ends_with("+json") => {
            if start.contains("//jsonfeed.org/version") {
                Kind::Feed
            } else {
                Kind::Json
            }
        }
        media if media.ends_with("/xml") || media.ends_with("+xml") => {
            if looks_like_feed {
                Kind::Feed
            } else {
                Kind::Xml
            }
        }
        media if media.starts_with("text/") => Kind::Text,
        "application/javascript"
        | "application/x-ndjson"
        | "application/yaml"
        | "application/x-yaml"
        | "application/toml" => Kind::Text,
        "" | "application/octet-stream" | "binary/octet-stream" => {
            return by_look(body, start, looks_like_feed);
        }
        _ => return None,
    })
}

fn by_look(body: &[u8], start: &str, looks_like_feed: bool) -> Option<Kind> {
    let html = ["<!doctype html", "<html", "<head", "<body"]
        .iter()
        .any(|tag| start.starts_with(tag));
    if body.starts_with(b"%PDF-") {
        Some(Kind::Pdf)
    } else if html {
        Some(Kind::Html)
    } else if looks_like_feed {
        Some(Kind::Feed)
    } else if start.starts_with("<?xml") {
        Some(Kind::Xml)
    } else if (start.starts_with('{') || start.starts_with('[')) && json::is_json(body) {
        Some(Kind::Json)
    } else if !body.is_empty() && !body.contains(&0) && std::str::from_utf8(body).is_ok() {
        Some(Kind::Text)
    } else {
        None
    }
}

/// Makes Markdown of what is no HTML. Texts are read as UTF-8 (decode them before); feeds and PDFs
/// say themselves what they are written in. `url` is what addresses in a feed are relative to.
///
/// # Errors
/// [`Error::Unsupported`] for HTML, pictures and other things that this is not for;
/// [`Error::TooLarge`], [`Error::Stopped`], and [`Error::Malformed`] for a PDF that cannot be read.
/// A feed or JSON that cannot be read is given as the text that it is.
pub fn convert(
    body: &[u8],
    content_type: Option<&str>,
    url: Option<&Url>,
    limits: &Limits,
    stop: &dyn Fn() -> bool,
) -> Result<Converted, Error> {
    let kind = kind(body, content_type).ok_or(Error::Unsupported)?;
    if body.len() > limits.max_input {
        return Err(Error::TooLarge {
            limit: limits.max_input,
            what: "bytes",
        });
    }
    if stop() {
        return Err(Error::Stopped);
    }
    let mut title = None;
    let markdown = match kind {
        Kind::Html => return Err(Error::Unsupported),
        Kind::Json => json(body, limits),
        Kind::Xml => fenced("xml", &text(body), limits),
        Kind::Text => Text::cut(text(body).into_owned(), limits.max_output),
        Kind::Feed => match feed::read(body, url, limits, stop)? {
            Some(feed) => {
                title = feed.title;
                Text::cut(feed.markdown, limits.max_output)
            }
            None if json::is_json(body) => json(body, limits),
            None => fenced("xml", &text(body), limits),
        },
        Kind::Pdf => {
            let pdf = pdf::read(body, limits, stop)?;
            title = pdf.title;
            pdf.text
        }
    };
    Ok(Converted {
        kind,
        markdown,
        title,
    })
}

fn text(body: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body))
}

/// JSON laid out for readers; as it is when it is none.
fn json(body: &[u8], limits: &Limits) -> Text {
    let text = text(body);
    let pretty = json::is_json(text.as_bytes()).then(|| json::pretty(&text, limits.max_output));
    fenced("json", pretty.as_deref().unwrap_or(&text), limits)
}

/// A block of code, with a fence longer than any in it.
fn fenced(language: &str, text: &str, limits: &Limits) -> Text {
    let longest = text
        .split(|char| char != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat(longest.clamp(2, 64) + 1);
    let room = limits
        .max_output
        .saturating_sub(2 * fence.len() + language.len() + 2);
    let cut = Text::cut(text.trim().to_owned(), room);
    Text {
        text: format!("{fence}{language}\n{}\n{fence}", cut.text),
        truncated: cut.truncated,
    }
}
