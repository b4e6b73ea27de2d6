//! What a caller wants fetched.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use url::Url;

use super::{Cookie, Error, InBrowser, Proxy};
pub use crate::browser::page::{Picture, Screenshot, WaitUntil};
use crate::{browser::Viewport, fair::Party};

/// What may answer a fetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// HTTP, and a browser where that is not enough.
    #[default]
    Auto,
    /// HTTP only.
    Http,
    /// A browser at once.
    Browser,
}

/// A form in which the caller wants the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The body's bytes, decompressed.
    Raw,
    /// The document as text.
    Html,
    /// What of it a reader sees.
    Text,
    /// A picture.
    Screenshot,
    /// The page, printed.
    Pdf,
    /// The main content as Markdown.
    Markdown,
    /// The links.
    Links,
    /// What the document says about itself.
    Metadata,
}

/// A set of [`Format`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Formats(u8);

impl Formats {
    /// The set of `formats`.
    #[must_use]
    pub fn of(formats: &[Format]) -> Self {
        formats.iter().copied().collect()
    }

    /// Whether `format` is one of them.
    #[must_use]
    pub const fn has(self, format: Format) -> bool {
        self.0 & (1 << format as u8) != 0
    }
}

impl FromIterator<Format> for Formats {
    fn from_iter<T: IntoIterator<Item = Format>>(formats: T) -> Self {
        let bits = formats.into_iter().map(|format| 1 << format as u8);
        Self(bits.fold(0, |all, bit| all | bit))
    }
}

/// One fetch.
#[derive(Clone, Debug)]
pub struct Request {
    /// What: see [`Request::target`]. A name and password in it are sent as basic authentication.
    pub url: Url,
    /// By what.
    pub strategy: Strategy,
    /// In which forms the answer is wanted.
    pub formats: Formats,
    /// The method; other than `GET` over HTTP only.
    pub method: Method,
    /// Sent besides the client's own. A browser sends them with every request of the page.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body; over HTTP only.
    pub body: Bytes,
    /// The `User-Agent`, in place of the configured one.
    pub user_agent: Option<String>,
    /// When a browser's page counts as there.
    pub wait: WaitUntil,
    /// The size of a browser's page.
    pub viewport: Option<Viewport>,
    /// How a picture is taken.
    pub screenshot: Screenshot,
    /// So large may the answer be, in bytes, decompressed.
    pub max_bytes: u64,
    /// So many redirects are followed; one more is an error.
    pub max_redirects: u32,
    /// Cookies, besides those that origins set on the way.
    pub cookies: Vec<Cookie>,
    /// The proxy to go through.
    pub proxy: Option<Proxy>,
    /// What may serve of what is kept, and what may be kept.
    pub cache: CacheControl,
    /// What of it only a browser does.
    pub page: InBrowser,
    /// As one of whom it waits its turn, and has of the cache.
    pub party: Party,
}

/// How long an answer that is kept may serve, and whether one is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// An answer that the origin gave longer ago does not serve.
    pub max_age: Option<Duration>,
    /// The origin is asked, whatever is kept.
    pub bypass: bool,
    /// Neither served from what is kept nor kept.
    pub no_store: bool,
}

/// Why a text is no target of a fetch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is too long.
    #[error("longer than {MAX_URL} bytes")]
    TooLong,
    /// It is no absolute URL.
    #[error("not an absolute URL: {0}")]
    NotUrl(url::ParseError),
    /// It is a URL of something that is not fetched.
    #[error("`{0}:` URLs are not fetched, only http: and https:")]
    Scheme(String),
    /// It names no host.
    #[error("the URL has no host")]
    NoHost,
}

/// The longest URL, in bytes.
const MAX_URL: usize = 8 << 10;

/// Headers that belong to the connection or to the client itself.
const RESERVED: [HeaderName; 9] = [
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

impl Request {
    /// A `GET` of `url` with the defaults: by whatever answers, as HTML, at most 16 MiB and 10
    /// redirects.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self {
            url,
            strategy: Strategy::Auto,
            formats: Formats::of(&[Format::Html]),
            method: Method::GET,
            headers: Vec::new(),
            body: Bytes::new(),
            user_agent: None,
            wait: WaitUntil::Load,
            viewport: None,
            screenshot: Screenshot::default(),
            max_bytes: 16 << 20,
            max_redirects: 10,
            cookies: Vec::new(),
            proxy: None,
            cache: CacheControl::default(),
            page: InBrowser::default(),
            party: Party::default(),
        }
    }

    /// Reads the URL of a fetch: only `http:` and `https:` with a host are targets.
    ///
    /// # Errors
    /// See [`Problem`].
    pub fn target(text: &str) -> Result<Url, Problem> {
        if text.len() > MAX_URL {
            return Err(Problem::TooLong);
        }
        let url = Url::parse(text).map_err(Problem::NotUrl)?;
        Self::check(&url).map(|()| url)
    }

    pub(super) fn check(url: &Url) -> Result<(), Problem> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Problem::Scheme(url.scheme().to_owned()));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(Problem::NoHost);
        }
        Ok(())
    }

    /// Whether the parts make sense together.
    pub(super) fn validate(&self) -> Result<(), Error> {
        let bad = |field, why: &str| Err(Error::BadRequest(field, why.to_owned()));
        if let Err(problem) = Self::check(&self.url) {
            return bad("url", &problem.to_string());
        }
        let reserved = self
            .headers
            .iter()
            .find(|(name, _)| RESERVED.contains(name));
        if let Some((name, _)) = reserved {
            return bad("headers", &format!("`{name}` is the client's own to set"));
        }
        self.validate_way()?;
        if self.strategy == Strategy::Browser {
            match self.needs_http() {
                Some("method") => return bad("method", "a browser sends GET only"),
                Some("body") => return bad("body", "a browser sends no body"),
                Some(_) => {
                    let why = "a browser would send credentials to every host of the page";
                    return bad("headers", why);
                }
                None => {}
            }
        }
        if self.user_agent.as_deref().is_some_and(invalid_value) {
            return bad("user_agent", "not a header's value");
        }
        Ok(())
    }

    /// What of the request only HTTP can do.
    pub(super) fn needs_http(&self) -> Option<&'static str> {
        const SECRET: [HeaderName; 2] = [header::AUTHORIZATION, header::COOKIE];
        if self.method != Method::GET {
            Some("method")
        } else if !self.body.is_empty() {
            Some("body")
        } else if self.headers.iter().any(|(name, _)| SECRET.contains(name)) {
            Some("headers")
        } else {
            None
        }
    }
}

fn invalid_value(text: &str) -> bool {
    HeaderValue::from_str(text).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_are_targets() {
        assert!(Request::target("https://user:pass@example.com:8443/a?b#c").is_ok());
        assert!(Request::target("HTTP://[::1]/").is_ok());
        for scheme in [
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:,x",
            "ftp://a/",
        ] {
            let name = scheme.split(':').next().unwrap().to_owned();
            assert_eq!(Request::target(scheme), Err(Problem::Scheme(name)));
        }
        assert!(matches!(Request::target("/path"), Err(Problem::NotUrl(_))));
        assert!(matches!(
            Request::target("http://"),
            Err(Problem::NotUrl(_))
        ));
        let long = format!("http://a/{}", "x".repeat(MAX_URL));
        assert_eq!(Request::target(&long), Err(Problem::TooLong));
    }

    #[test]
    fn combinations_without_sense_are_refused() {
        let fetch = || Request::get(Url::parse("http://a/").unwrap());
        let field = |request: Request| match request.validate() {
            Err(Error::BadRequest(field, _)) => Some(field),
            _ => None,
        };
        assert_eq!(field(fetch()), None);
        let mut request = fetch();
        request.strategy = Strategy::Http;
        request.formats = Formats::of(&[Format::Text, Format::Screenshot]);
        assert_eq!(field(request), Some("strategy"));
        let mut request = fetch();
        request.strategy = Strategy::Browser;
        request.method = Method::POST;
        assert_eq!(field(request.clone()), Some("method"));
        request.strategy = Strategy::Auto;
        assert_eq!(field(request), None);
        let mut request = fetch();
        request.strategy = Strategy::Browser;
        request.body = Bytes::from_static(b"x");
        assert_eq!(field(request), Some("body"));
        let mut request = fetch();
        let value = HeaderValue::from_static("7");
        request.headers = vec![(header::CONTENT_LENGTH, value)];
        assert_eq!(field(request), Some("headers"));
    }
}
