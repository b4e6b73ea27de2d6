//! The answer to a fetch.

use std::time::Duration;

use bytes::Bytes;
use url::Url;

/// What answered a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The HTTP client.
    Http,
    /// A browser.
    Browser,
}

impl Via {
    /// The stable word: one of [`crate::metrics::VIA`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Browser => "browser",
        }
    }
}

/// Why that answered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The caller asked for it.
    Requested,
    /// A picture was asked for.
    ScreenshotNeedsBrowser,
    /// A method, a body or credentials that a browser does not send.
    RequestNeedsHttp,
    /// What came is no HTML: a browser would add nothing.
    NotHtml,
    /// The document has its text without running its scripts.
    EnoughText,
    /// The document has no scripts that could add to it.
    NoScript,
    /// The document is an empty frame that its scripts fill.
    ScriptShell,
}

impl Why {
    /// The stable word of the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::ScreenshotNeedsBrowser => "screenshot_needs_browser",
            Self::RequestNeedsHttp => "request_needs_http",
            Self::NotHtml => "not_html",
            Self::EnoughText => "enough_text",
            Self::NoScript => "no_script",
            Self::ScriptShell => "script_shell",
        }
    }
}

/// A redirect that was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// What was asked for.
    pub url: String,
    /// The status that led away from it.
    pub status: u16,
}

/// Where the time of a fetch went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Waiting for a connection permit, a page permit and a seat.
    pub queue: Duration,
    /// From the first request to the headers of the last response.
    pub first_byte: Duration,
    /// A browser's work from the headers to the finished page.
    pub render: Duration,
    /// Reading the body or page, decoding, and finding the text.
    pub extract: Duration,
    /// All of it.
    pub total: Duration,
}

/// Something the caller should know that did not fail the fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// A stable word.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// The answer to a fetch. What was not asked for, or cannot be had of such an answer, is `None`.
#[derive(Clone, Debug)]
pub struct Response {
    /// Where it came from, after redirects; without credentials.
    pub final_url: String,
    /// The redirects on the way.
    pub redirects: Vec<Redirect>,
    /// The origin's HTTP status.
    pub status: u16,
    /// The origin's headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its `Content-Type`.
    pub content_type: Option<String>,
    /// The encoding its text was decoded from.
    pub charset: Option<String>,
    /// The body, decompressed; from a browser, text is as UTF-8.
    pub raw: Option<Bytes>,
    /// The document; what a browser made of it when one answered.
    pub html: Option<String>,
    /// What a reader sees of it.
    pub text: Option<String>,
    /// Its title. Over HTTP only where the document was read for its text, too.
    pub title: Option<String>,
    /// A picture.
    pub screenshot: Option<Bytes>,
    /// What answered.
    pub via: Via,
    /// Why that did.
    pub why: Why,
    /// The same for people, with numbers.
    pub why_detail: String,
    /// Where the time went.
    pub timings: Timings,
    /// What the caller should know.
    pub warnings: Vec<Warning>,
}

/// `url` without name and password: an answer tells no secrets of its request.
pub(super) fn public(url: &Url) -> String {
    let mut url = url.clone();
    // Only a URL without a host refuses, and that has no credentials either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::VIA;

    #[test]
    fn no_credentials_are_told() {
        let url = Url::parse("http://me:secret@a/b?c#d").unwrap();
        assert_eq!(public(&url), "http://a/b?c#d");
        assert_eq!(VIA, [Via::Http, Via::Browser].map(Via::as_str));
    }
}
