//! What of a fetch only a browser does.

use super::{Error, Format, Proxy, Request, Strategy, response::Why};
pub use crate::browser::page::{Area, Blocking, ColorScheme, Media, Pdf, Rect, Resource};
use crate::{browser::page, egress::Detour};

/// What of a fetch only a browser does. What is not a condition or a format holds only if a browser
/// answers at all.
#[derive(Clone, Debug, Default)]
pub struct InBrowser {
    /// The page counts as there once an element matches this CSS selector, too.
    pub wait_selector: Option<String>,
    /// The page counts as there once the value of this JavaScript expression is true, too.
    pub wait_predicate: Option<String>,
    /// The language, as a BCP 47 tag.
    pub locale: Option<String>,
    /// The time zone, as an IANA name.
    pub time_zone: Option<String>,
    /// The medium the page is shown in.
    pub media: Media,
    /// What the page does not load.
    pub blocking: Blocking,
    /// How the page is printed.
    pub pdf: Pdf,
    /// What a browser would save is given as raw bytes.
    pub capture_download: bool,
}

impl Request {
    /// The cookies, as a page takes them.
    pub(super) fn page_cookies(&self) -> Vec<page::Cookie> {
        let host = self.url.host_str().unwrap_or_default();
        let cookies = self.cookies.iter().map(|cookie| {
            let own = match cookie.domain.trim_start_matches('.') {
                "" => host,
                own => own,
            };
            let path = match cookie.path.as_str() {
                "" => "/",
                path => path,
            };
            // A browser takes a secure cookie only of a secure URL.
            let scheme = match cookie.secure {
                true => "https",
                false => self.url.scheme(),
            };
            let with_subdomains = cookie.domain.starts_with('.');
            page::Cookie {
                name: cookie.name.clone(),
                value: cookie.value.clone(),
                url: format!("{scheme}://{own}{path}"),
                domain: with_subdomains.then(|| cookie.domain.clone()),
                path: path.to_owned(),
                secure: cookie.secure,
                http_only: cookie.http_only,
            }
        });
        cookies.collect()
    }

    /// The proxy, as a page takes it.
    pub(super) fn detour(&self) -> Result<Option<Detour>, Error> {
        let detour = self.proxy.as_ref().map(Proxy::detour).transpose();
        detour.map_err(|why| Error::BadRequest("proxy_url", why))
    }

    /// What of the request means that nothing but a browser will do: the field, why, and the same
    /// for people.
    pub(super) fn needs_browser(&self) -> Option<(&'static str, Why, &'static str)> {
        if self.formats.has(Format::Screenshot) {
            let why = Why::ScreenshotNeedsBrowser;
            Some(("formats", why, "only a browser takes pictures"))
        } else if self.formats.has(Format::Pdf) {
            Some(("formats", Why::NeedsBrowser, "only a browser prints"))
        } else if self.page.wait_selector.is_some() {
            let why = "only a browser waits for an element";
            Some(("wait_selector", Why::NeedsBrowser, why))
        } else if self.page.wait_predicate.is_some() {
            let why = "only a browser evaluates a predicate";
            Some(("wait_predicate", Why::NeedsBrowser, why))
        } else {
            None
        }
    }

    /// Whether what only one of both does can be done by what is allowed to answer.
    pub(super) fn validate_way(&self) -> Result<(), Error> {
        let bad = |field, why: &str| Err(Error::BadRequest(field, why.to_owned()));
        match (self.strategy, self.needs_browser()) {
            (Strategy::Http, Some(("formats", _, why))) => bad("strategy", why),
            (Strategy::Http, Some((field, _, why))) => bad(field, why),
            (Strategy::Auto, Some((field, _, why))) if self.needs_http().is_some() => {
                bad(field, &format!("{why}, and the request needs HTTP"))
            }
            _ => Ok(()),
        }
    }
}
