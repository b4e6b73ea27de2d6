//! Against what the addresses in a document are read.

use dom_query::Document;
use url::Url;

/// What a document's addresses are relative to: its `<base href>`, else where it came from.
pub(super) fn of(document: &Document, url: Option<&Url>) -> Option<Url> {
    let named = document.select_single("base[href]").attr("href");
    let named = named
        .as_deref()
        .map(str::trim)
        .filter(|href| !href.is_empty());
    match (url, named) {
        (Some(url), Some(named)) => Some(url.join(named).unwrap_or_else(|_| url.clone())),
        (None, Some(named)) => Url::parse(named).ok(),
        (url, None) => url.cloned(),
    }
}

/// An address as an absolute one that a program can follow: no script, no data, nothing within
/// the page itself.
pub(super) fn absolute(base: Option<&Url>, address: &str) -> Option<Url> {
    let address = address.trim();
    if address.is_empty() || address.starts_with('#') || address.len() > 4096 {
        return None;
    }
    let url = match base {
        Some(base) => base.join(address).ok()?,
        None => Url::parse(address).ok()?,
    };
    matches!(url.scheme(), "http" | "https" | "mailto" | "tel" | "ftp").then_some(url)
}
