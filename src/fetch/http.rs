//! The HTTP way: redirects followed by hand, cookies kept on the way.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Version, header};

use super::{
    Error, Fetcher, Request,
    cookies::Jar,
    exchange::{Answer, Times},
    redirect::Hop,
    response::{CacheState, Redirect, public},
    retry_after::retry_after,
};
use crate::deadline::Deadline;

/// What HTTP brought.
#[derive(Debug)]
pub(super) struct Brought {
    pub(super) final_url: String,
    pub(super) host: Option<String>,
    pub(super) redirects: Vec<Redirect>,
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) content_type: Option<String>,
    pub(super) body: Bytes,
    /// The body is in a coding that is not known.
    pub(super) coded: bool,
    pub(super) protocol: &'static str,
    pub(super) retry_after: Option<Duration>,
    pub(super) cache: CacheState,
    pub(super) age: Option<Duration>,
    pub(super) times: Times,
    /// A cookie was set, on the way or at its end.
    pub(super) cookies_set: bool,
}

impl Brought {
    /// Whether it is a document that a browser would show as a page.
    pub(super) fn is_html(&self) -> bool {
        let essence = self.content_type.as_deref().map(essence);
        match essence.as_deref() {
            Some("text/html" | "application/xhtml+xml") => true,
            Some(_) => false,
            None => looks_like_html(&self.body),
        }
    }

    /// Whether its body is text.
    pub(super) fn is_text(&self) -> bool {
        let essence = self.content_type.as_deref().map(essence);
        essence.is_some_and(|essence| {
            essence.starts_with("text/")
                || ["json", "xml", "javascript"]
                    .iter()
                    .any(|end| essence.ends_with(end))
        })
    }
}

fn essence(content_type: &str) -> String {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// For bodies whose origin does not say what they are.
fn looks_like_html(body: &[u8]) -> bool {
    const FAR: usize = 512;
    let start = body.get(..FAR).unwrap_or(body);
    let start = String::from_utf8_lossy(start).to_ascii_lowercase();
    let start = start.trim_start_matches('\u{feff}').trim_start();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

impl Fetcher {
    /// Fetches by HTTP, following redirects.
    ///
    /// # Cancel safety
    /// Yes: the connection is closed and its permit free.
    pub(super) async fn http(
        &self,
        request: &Request,
        deadline: Deadline,
    ) -> Result<Brought, Error> {
        let mut jar = Jar::new(&request.cookies, &request.url)
            .map_err(|(at, why)| Error::BadRequest("cookies", format!("number {at}: {why}")))?;
        let mut hop = Hop {
            url: request.url.clone(),
            method: request.method.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
        };
        if let Some(user_agent) = &request.user_agent {
            let value = HeaderValue::from_str(user_agent);
            let value = value.map_err(|bad| Error::BadRequest("user_agent", bad.to_string()))?;
            hop.headers.retain(|(name, _)| name != header::USER_AGENT);
            hop.headers.push((header::USER_AGENT, value));
        }
        let mut redirects: Vec<Redirect> = Vec::new();
        let mut times = Times::default();
        let mut cookies_set = false;
        loop {
            // Before what is kept is asked, too: it may be of a time when this was open.
            self.0.ways.check(&hop.url, request.proxy.as_ref())?;
            let mut headers = hop.sent(self.0.config.user_agent.as_deref());
            if let Some(cookies) = jar.header(&hop.url, headers.get(header::COOKIE)) {
                headers.insert(header::COOKIE, cookies);
            }
            let got = self.0.obtain(&hop, &headers, request, deadline).await?;
            times = times.then(got.answer.times);
            cookies_set |= got.answer.headers.contains_key(header::SET_COOKIE);
            jar.keep(&got.answer.headers, &hop.url);
            let status = got.answer.status;
            let location = got.answer.headers.get(header::LOCATION);
            let Some(next) = hop.next(status, location)? else {
                let mut brought = brought(&hop, redirects, got, times);
                brought.cookies_set = cookies_set;
                return Ok(brought);
            };
            if redirects.len() >= request.max_redirects as usize {
                return Err(Error::TooManyRedirects {
                    limit: request.max_redirects,
                });
            }
            redirects.push(Redirect {
                url: public(&hop.url),
                status: status.as_u16(),
            });
            hop = next;
        }
    }
}

/// An answer, and where it came from.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) answer: Answer,
    pub(super) cache: CacheState,
    pub(super) age: Option<Duration>,
}

fn brought(hop: &Hop, redirects: Vec<Redirect>, got: Got, times: Times) -> Brought {
    let Got { answer, cache, age } = got;
    Brought {
        final_url: public(&hop.url),
        host: hop.url.host_str().map(str::to_owned),
        redirects,
        status: answer.status.as_u16(),
        content_type: content_type(&answer.headers),
        retry_after: retry_after(&answer.headers, SystemTime::now()),
        headers: headers(&answer.headers),
        body: answer.body,
        coded: answer.coded,
        protocol: protocol(answer.version),
        cache,
        age,
        times,
        cookies_set: false,
    }
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

fn headers(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect()
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brought(content_type: Option<&str>, body: &'static str) -> Brought {
        Brought {
            final_url: String::new(),
            host: None,
            redirects: Vec::new(),
            status: 200,
            headers: Vec::new(),
            content_type: content_type.map(str::to_owned),
            body: Bytes::from_static(body.as_bytes()),
            coded: false,
            protocol: "HTTP/1.1",
            retry_after: None,
            cache: CacheState::Miss,
            age: None,
            times: Times::default(),
            cookies_set: false,
        }
    }

    #[test]
    fn html_is_told_by_its_type_or_its_start() {
        assert!(brought(Some("Text/HTML; charset=x"), "").is_html());
        assert!(!brought(Some("text/plain"), "<html>").is_html());
        assert!(brought(None, "\u{feff} <!DOCTYPE html>").is_html());
        assert!(!brought(None, "{}").is_html());
        assert!(brought(Some("application/ld+json"), "").is_text());
        assert!(!brought(Some("image/png"), "").is_text());
    }
}
