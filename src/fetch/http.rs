//! The HTTP way: redirects followed by hand, bodies read up to a bound.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, header};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    Error, Fetcher, Request,
    redirect::Hop,
    response::{Redirect, public},
};
use crate::deadline::Deadline;

/// What HTTP brought.
#[derive(Debug)]
pub(super) struct Brought {
    pub(super) final_url: String,
    pub(super) redirects: Vec<Redirect>,
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) content_type: Option<String>,
    pub(super) body: Bytes,
    pub(super) queue: Duration,
    pub(super) first_byte: Duration,
    pub(super) read: Duration,
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
        let began = Instant::now();
        let permit = self.0.connections.acquire(deadline).await?;
        let queue = began.elapsed();
        let mut hop = Hop {
            url: request.url.clone(),
            method: request.method.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
        };
        if let Some(user_agent) = &request.user_agent {
            let value = HeaderValue::from_str(user_agent);
            let value = value.map_err(|bad| Error::BadRequest("user_agent", bad.to_string()))?;
            hop.headers.push((header::USER_AGENT, value));
        }
        let mut redirects: Vec<Redirect> = Vec::new();
        let sent = Instant::now();
        loop {
            let response = self.send(&hop, deadline).await?;
            let status = response.status();
            let location = response.headers().get(header::LOCATION);
            let Some(next) = hop.next(status, location)? else {
                let first_byte = sent.elapsed();
                let brought = Brought {
                    final_url: public(&hop.url),
                    redirects,
                    status: status.as_u16(),
                    headers: headers(&response),
                    content_type: content_type(&response),
                    body: Bytes::new(),
                    queue,
                    first_byte,
                    read: Duration::ZERO,
                };
                return read(brought, response, request.max_bytes, permit, deadline).await;
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

    async fn send(&self, hop: &Hop, deadline: Deadline) -> Result<reqwest::Response, Error> {
        let request = self.0.client.request(hop.method.clone(), hop.url.clone());
        // Set as a whole: a header given twice is sent twice, in place of the client's own.
        let request = request
            .headers(hop.headers.iter().cloned().collect())
            .body(hop.body.clone());
        self.0.metrics.http_requested();
        match deadline.bound(request.send()).await {
            Ok(sent) => sent.map_err(|error| Error::of_http(&error)),
            Err(_passed) => Err(Error::Timeout {
                what: "no answer before the deadline".into(),
            }),
        }
    }
}

/// Reads the body, which ends the connection's use: `permit` is free after that.
async fn read(
    mut brought: Brought,
    mut response: reqwest::Response,
    limit: u64,
    permit: OwnedSemaphorePermit,
    deadline: Deadline,
) -> Result<Brought, Error> {
    let began = Instant::now();
    let too_large = || Err(Error::TooLarge { limit });
    // Known only for bodies that are not compressed.
    if response.content_length().is_some_and(|size| size > limit) {
        return too_large();
    }
    let mut body = BytesMut::new();
    loop {
        let chunk = deadline.bound(response.chunk()).await;
        let chunk = chunk.map_err(|_passed| Error::Timeout {
            what: "the body did not end before the deadline".into(),
        })?;
        let Some(chunk) = chunk.map_err(|error| Error::of_http(&error))? else {
            break;
        };
        if (body.len() + chunk.len()) as u64 > limit {
            return too_large();
        }
        body.extend_from_slice(&chunk);
    }
    drop(permit);
    brought.body = body.freeze();
    brought.read = began.elapsed();
    Ok(brought)
}

fn headers(response: &reqwest::Response) -> Vec<(String, Vec<u8>)> {
    let headers = response.headers().iter();
    headers
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect()
}

fn content_type(response: &reqwest::Response) -> Option<String> {
    let value = response.headers().get(header::CONTENT_TYPE)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brought(content_type: Option<&str>, body: &'static str) -> Brought {
        Brought {
            final_url: String::new(),
            redirects: Vec::new(),
            status: 200,
            headers: Vec::new(),
            content_type: content_type.map(str::to_owned),
            body: Bytes::from_static(body.as_bytes()),
            queue: Duration::ZERO,
            first_byte: Duration::ZERO,
            read: Duration::ZERO,
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
