//! The answer to a fetch.

use std::time::Duration;

use bytes::Bytes;
use url::Url;

use super::extract::Source;
use super::verdict::Verdict;
use crate::content::{Links, Metadata};

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
    /// A condition or a format that only a browser has.
    NeedsBrowser,
    /// A method, a body or credentials that a browser does not send.
    RequestNeedsHttp,
    /// What came is no HTML: a browser would add nothing.
    NotHtml,
    /// The document has its text without running its scripts.
    EnoughText,
    /// The document has no scripts that could add to it.
    NoScript,
    /// The document has its text, and the data from which a framework goes on.
    ServerRendered,
    /// The document wants a puzzle solved; a browser does not solve it either.
    Puzzle,
    /// The document has an empty element that its scripts fill.
    ScriptShell,
    /// The document says that its content is being loaded.
    Placeholder,
    /// The document asks for JavaScript.
    AsksForScript,
    /// The document has scripts and nothing to read.
    EmptyBody,
    /// The document has little text and scripts that write more.
    ScriptWritten,
    /// The document tests its visitor by a script that a browser passes.
    Challenge,
    /// The document sets a cookie and sends its reader on.
    Refresh,
}

impl Why {
    /// The stable word of the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::ScreenshotNeedsBrowser => "screenshot_needs_browser",
            Self::NeedsBrowser => "needs_browser",
            Self::RequestNeedsHttp => "request_needs_http",
            Self::NotHtml => "not_html",
            Self::EnoughText => "enough_text",
            Self::NoScript => "no_script",
            Self::ServerRendered => "server_rendered",
            Self::Puzzle => "puzzle",
            Self::ScriptShell => "script_shell",
            Self::Placeholder => "placeholder",
            Self::AsksForScript => "asks_for_script",
            Self::EmptyBody => "empty_body",
            Self::ScriptWritten => "script_written",
            Self::Challenge => "challenge",
            Self::Refresh => "refresh",
        }
    }

    /// Whether it is a reason for which a document that HTTP brought needs a browser.
    #[must_use]
    pub const fn needs_browser(self) -> bool {
        matches!(
            self,
            Self::ScriptShell
                | Self::Placeholder
                | Self::AsksForScript
                | Self::EmptyBody
                | Self::ScriptWritten
                | Self::Challenge
                | Self::Refresh
        )
    }
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheState {
    /// From the origin.
    Miss,
    /// From what was kept, fresh.
    Hit,
    /// From what was kept, after the origin had said that it still holds.
    Revalidated,
    /// From the origin's answer to an equal request at the same time.
    Coalesced,
    /// From the origin, without looking: the request or the answer forbids keeping, or nothing is
    /// kept at all.
    Bypass,
}

impl CacheState {
    /// The stable word: one of [`crate::metrics::CACHE_RESULTS`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Revalidated => "revalidated",
            Self::Coalesced => "coalesced",
            Self::Bypass => "bypass",
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
    /// Coming by new connections: names, sockets, proxies and TLS. Zero where all were reused.
    pub connect: Duration,
    /// From a request on its connection to the headers of its response, redirects included.
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
    /// Its main content as Markdown.
    pub markdown: Option<String>,
    /// Its links.
    pub links: Option<Links>,
    /// What it says about itself.
    pub metadata: Option<Metadata>,
    /// What content is yet to be read of.
    pub(super) source: Option<Source>,
    /// The page, printed.
    pub pdf: Option<Bytes>,
    /// The name that a captured download wants to have.
    pub download_name: Option<String>,
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
    /// Where it came from.
    pub cache: CacheState,
    /// How long ago the origin gave it, when it was kept.
    pub age: Option<Duration>,
    /// After how long the origin wants to be asked again.
    pub retry_after: Option<Duration>,
    /// The protocol of the last response, such as `HTTP/2`, where it is known.
    pub protocol: Option<String>,
    /// What it is good for; `None` for what is neither HTML nor text.
    pub verdict: Option<Verdict>,
    /// The same for people, with numbers.
    pub verdict_detail: String,
}

impl Response {
    /// What it takes of memory, in bytes.
    pub(super) fn weight(&self) -> u64 {
        // Taken apart by name, so that a content added later cannot be forgotten here.
        let Self {
            final_url,
            redirects,
            headers,
            raw,
            html,
            text,
            title,
            screenshot,
            markdown,
            links,
            metadata,
            source,
            pdf,
            download_name,
            why_detail,
            warnings,
            verdict_detail,
            verdict: _,
            status: _,
            content_type: _,
            charset: _,
            via: _,
            why: _,
            timings: _,
            cache: _,
            age: _,
            retry_after: _,
            protocol: _,
        } = self;
        let bytes = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let text_of = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let redirects: usize = redirects.iter().map(|one| one.url.len() + 32).sum();
        let warnings: usize = warnings.iter().map(|one| one.message.len() + 64).sum();
        let headers: usize = headers
            .iter()
            .map(|(name, value)| name.len() + value.len() + 48)
            .sum();
        let contents = bytes(raw) + text_of(html) + text_of(text);
        let contents = contents + bytes(screenshot) + bytes(pdf);
        let said = final_url.len() + text_of(title) + text_of(download_name) + why_detail.len();
        let said = said + verdict_detail.len();
        let links = links.iter().flat_map(|links| &links.links);
        let links: usize = links.map(|one| one.url.len() + one.text.len() + 96).sum();
        // It is a few lines of the document's head.
        let metadata = metadata.as_ref().map_or(0, |_| 4096);
        let read = text_of(markdown) + links + metadata;
        let contents = contents + read + source.as_ref().map_or(0, Source::len);
        (contents + said + redirects + warnings + headers + 1024) as u64
    }
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
