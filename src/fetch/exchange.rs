//! One request and its answer: sent, waited for and read, each in its time.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use hyper_util::client::legacy::connect::HttpInfo;
use tokio::time::Instant;

use super::{
    Error, Inner,
    body::{self, Limits},
    client::ClientError,
    connections::Use,
    proxy::{basic, percent_decoded},
    redirect::Hop,
    request::Request,
};
use crate::{deadline::Deadline, egress::Target, fair::Pass, metrics::Wanted};

/// What a client without wishes accepts: origins that look at it send their page.
const ACCEPT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const USER_AGENT: &str = concat!("berth/", env!("CARGO_PKG_VERSION"));

/// An answer whose body has not been read.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) times: Times,
    body: reqwest::Body,
    /// In this order: the connection is given back before the permit to use one.
    using: Option<Use>,
    permit: Pass,
}

/// An answer that has come in whole.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    /// As they came, but for those that are not true of the decoded body.
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The body is in a coding that is not known.
    pub(super) coded: bool,
    pub(super) times: Times,
}

/// Where the time of one or several exchanges went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) queue: Duration,
    /// `None` where no new connection was needed.
    pub(super) connect: Option<Duration>,
    /// From the request to the headers.
    pub(super) first_byte: Duration,
    pub(super) read: Duration,
}

impl Times {
    /// Those of what came after this.
    pub(super) fn then(self, next: Self) -> Self {
        let connect = match (self.connect, next.connect) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        Self {
            queue: self.queue + next.queue,
            connect,
            first_byte: self.first_byte + next.first_byte,
            read: self.read + next.read,
        }
    }
}

impl Hop {
    /// The headers as they are sent: the caller's, and the client's own where it has none.
    pub(super) fn sent(&self, user_agent: Option<&str>) -> HeaderMap {
        let mut headers: HeaderMap = HeaderMap::with_capacity(self.headers.len() + 4);
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        let mut unless_set = |name: HeaderName, value: HeaderValue| {
            headers.entry(name).or_insert(value);
        };
        let user_agent = user_agent.and_then(|text| HeaderValue::from_str(text).ok());
        let user_agent = user_agent.unwrap_or(HeaderValue::from_static(USER_AGENT));
        unless_set(header::USER_AGENT, user_agent);
        unless_set(header::ACCEPT, HeaderValue::from_static(ACCEPT));
        let codings = HeaderValue::from_static(body::ACCEPT_ENCODING);
        unless_set(header::ACCEPT_ENCODING, codings);
        if !self.url.username().is_empty() || self.url.password().is_some() {
            let plain = |text| String::from_utf8_lossy(&percent_decoded(text)).into_owned();
            let name = plain(self.url.username());
            let password = plain(self.url.password().unwrap_or_default());
            if let Some(value) = basic(&name, &password) {
                unless_set(header::AUTHORIZATION, value);
            }
        }
        headers
    }

    /// Whether asking twice is asking once.
    fn is_repeatable(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    fn request(&self, headers: &HeaderMap) -> reqwest::Request {
        let mut url = self.url.clone();
        url.set_fragment(None);
        // They are in the headers, and only a URL without a host refuses to be without them.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let mut request = reqwest::Request::new(self.method.clone(), url);
        *request.headers_mut() = headers.clone();
        if !self.body.is_empty() {
            *request.body_mut() = Some(self.body.clone().into());
        }
        request
    }
}

impl Inner {
    /// Sends `hop` with `headers` and waits for the head of the answer.
    ///
    /// # Cancel safety
    /// Yes: the connection is closed, or not made, and the permit is free.
    pub(super) async fn begin(
        &self,
        hop: &Hop,
        headers: &HeaderMap,
        request: &Request,
        deadline: Deadline,
    ) -> Result<Begun, Error> {
        let began = Instant::now();
        let permit = self.permits.acquire(&request.party, deadline).await;
        let permit = permit.map_err(|no_turn| no_turn.of(Wanted::Http))?;
        let queue = began.elapsed();
        let client = self.clients.of(request.proxy.as_ref()).map_err(|error| {
            let why = match error {
                ClientError::Client(error) => Error::of_http(&error).to_string(),
                other => other.to_string(),
            };
            Error::BadRequest("proxy_url", why)
        })?;
        let way = self.ways.set_out(&hop.url, request.proxy.as_ref())?;
        let mut again = hop.is_repeatable();
        loop {
            let mut request = hop.request(headers);
            if self.connections.exceed(self.config.max_connections) {
                // There are enough to keep: this one, or the one it reuses, goes with its answer.
                let close = HeaderValue::from_static("close");
                request.headers_mut().insert(header::CONNECTION, close);
            }
            self.metrics.http_requested();
            self.requests.fetch_add(1, Ordering::Relaxed);
            let sent = Instant::now();
            let sending = self.connections.sending();
            match self.answered(client.http.execute(request), deadline).await {
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    let using = self.connections.used(head.extensions.get::<HttpInfo>());
                    drop(sending);
                    let connect = using.as_ref().and_then(|using| using.connect);
                    let waited = sent.elapsed();
                    let times = Times {
                        queue,
                        connect,
                        first_byte: waited.saturating_sub(connect.unwrap_or_default()),
                        read: Duration::ZERO,
                    };
                    return Ok(Begun {
                        status: head.status,
                        version: head.version,
                        headers: head.headers,
                        times,
                        body,
                        using,
                        permit,
                    });
                }
                // The origin closed a connection that had been idle just when it was used again.
                // Once may be bad luck.
                Err((error, true)) if again && sending.reuses() => {
                    tracing::debug!(%error, "fetch.repeated");
                    again = false;
                }
                Err((error, _)) => {
                    let target = Target::of_url(&hop.url);
                    let why = target.and_then(|target| client.why(&target, sent));
                    return Err(why.map_or_else(|| way.explained(error), Error::from));
                }
            }
        }
    }

    /// The answer to what is being sent. The error comes with whether it is that the connection
    /// ended without an answer.
    async fn answered(
        &self,
        sending: impl Future<Output = reqwest::Result<reqwest::Response>>,
        deadline: Deadline,
    ) -> Result<http::Response<reqwest::Body>, (Error, bool)> {
        // Connecting has a limit of its own, which comes before this one.
        let (connect, answer) = (self.config.connect_timeout, self.config.first_byte_timeout);
        let limit = connect + answer;
        match deadline.within(limit).bound(sending).await {
            Ok(Ok(response)) => Ok(response.into()),
            Ok(Err(error)) => Err((Error::of_http(&error), ended_early(&error))),
            Err(_passed) => {
                let what = if deadline.has_passed() {
                    "no answer before the deadline".into()
                } else {
                    let limits = [connect, answer].map(humantime::format_duration);
                    let [connect, answer] = limits;
                    format!("no answer within {connect} to connect and {answer} to answer")
                };
                Err((Error::Timeout { what }, false))
            }
        }
    }
}

fn ended_early(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        let incomplete = error.downcast_ref::<hyper::Error>();
        let io = error.downcast_ref::<std::io::Error>();
        incomplete.is_some_and(hyper::Error::is_incomplete_message)
            || io.is_some_and(|io| {
                use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
                matches!(io.kind(), ConnectionReset | ConnectionAborted | BrokenPipe)
            })
    })
}

impl Begun {
    /// Reads the body, which ends the connection's use.
    ///
    /// # Errors
    /// As [`body::read`].
    ///
    /// # Cancel safety
    /// Yes: the connection is closed and its permit free.
    pub(super) async fn read(
        mut self,
        bytes: u64,
        silence: Duration,
        deadline: Deadline,
    ) -> Result<Answer, Error> {
        let began = Instant::now();
        let codings = body::codings(&self.headers)?;
        let limits = Limits {
            bytes,
            silence,
            deadline,
        };
        let known = codings.as_deref().unwrap_or_default();
        let body = body::read(self.body, known, limits).await?;
        drop(self.using);
        drop(self.permit);
        if !known.is_empty() {
            self.headers.remove(header::CONTENT_ENCODING);
            self.headers.remove(header::CONTENT_LENGTH);
        }
        self.times.read = began.elapsed();
        Ok(Answer {
            status: self.status,
            version: self.version,
            headers: self.headers,
            body,
            coded: codings.is_none(),
            times: self.times,
        })
    }

    /// Reads a body that nobody wants, so that its connection can be used again, unless that would
    /// take longer than a new one.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn discard(self, deadline: Deadline) -> Answer {
        const MOST: u64 = 64 << 10;
        const LONGEST: Duration = Duration::from_millis(250);
        let limits = Limits {
            bytes: MOST,
            silence: LONGEST,
            deadline: deadline.within(LONGEST),
        };
        // Either way there is nothing left of it.
        let _ = body::read(self.body, &[], limits).await;
        Answer {
            status: self.status,
            version: self.version,
            headers: self.headers,
            body: Bytes::new(),
            coded: false,
            times: self.times,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(url: &str) -> Hop {
        Hop {
            url: url.parse().unwrap(),
            method: Method::GET,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    #[test]
    fn the_callers_headers_take_the_place_of_the_clients_own() {
        let mut asked = hop("http://me:p%40ss@a/");
        let sent = asked.sent(None);
        assert_eq!(sent[header::AUTHORIZATION], "Basic bWU6cEBzcw==");
        assert_eq!(sent[header::USER_AGENT], USER_AGENT);
        assert_eq!(asked.sent(Some("it"))[header::USER_AGENT], "it");
        let own = |name, value| (name, HeaderValue::from_static(value));
        asked.headers = vec![
            own(header::USER_AGENT, "mine"),
            own(header::ACCEPT, "text/plain"),
            own(header::AUTHORIZATION, "Bearer x"),
        ];
        let sent = asked.sent(Some("it"));
        assert_eq!(sent[header::USER_AGENT], "mine");
        assert_eq!(sent[header::ACCEPT], "text/plain");
        assert_eq!(sent[header::AUTHORIZATION], "Bearer x");
    }

    #[test]
    fn credentials_and_fragments_stay_here() {
        for (url, wanted) in [
            ("http://me:pw@a:81/b?c@d#e", "http://a:81/b?c@d"),
            ("https://a/#x", "https://a/"),
            ("http://a?x@y", "http://a/?x@y"),
        ] {
            let request = hop(url).request(&HeaderMap::new());
            assert_eq!(request.url().as_str(), wanted);
        }
    }
}
