//! Fetching: by HTTP where that is enough, by a browser where it is not.
//!
//! * [`Fetcher::fetch`] answers a [`Request`] with a [`Response`], which says what answered and
//!   why. What the origin says is data, whatever its status; an [`Error`] is a failure to hear it.
//! * The HTTP way is one client for the whole process with a bound on its connections. The
//!   browser's way is a page in a seat of the [`Pool`], with a bound on the pages at once.
//! * Everything a fetch holds is given back when its future is dropped.

mod charset;
mod classify;
mod client;
mod error;
mod html;
mod http;
mod redirect;
mod render;
mod request;
mod response;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use self::{classify::classify, client::Permits, html::Found, http::Brought};
pub use self::{
    client::BuildError,
    error::Error,
    request::{Format, Formats, Picture, Problem, Request, Screenshot, Strategy, WaitUntil},
    response::{Redirect, Response, Timings, Via, Warning, Why},
};
use crate::{browser::Pool, deadline::Deadline, drain::Drain, metrics::Metrics};

/// The bounds of fetching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// HTTP fetches at once, and so connections in use.
    pub max_connections: usize,
    /// Idle connections kept for each host.
    pub max_idle_per_host: usize,
    /// How long a connection may take to come up.
    pub connect_timeout: Duration,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// How long an origin may be silent.
    pub read_timeout: Duration,
    /// The `User-Agent` of both ways; `None` for each one's own.
    pub user_agent: Option<String>,
    /// Pages at once over all browsers; more wait their turn.
    pub browser_concurrency: usize,
    /// Fetches that may wait, for a connection and for a page each.
    pub queue: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_connections: 100,
            max_idle_per_host: 20,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(90),
            read_timeout: Duration::from_secs(30),
            user_agent: None,
            browser_concurrency: 2 * cores(),
            queue: 1000,
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How busy fetching is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// HTTP fetches that run.
    pub active: u64,
    /// HTTP fetches that wait for a connection permit.
    pub waiting: u64,
    /// HTTP fetches there may be at once.
    pub limit: u64,
    /// Fetches that ended, both ways.
    pub total: u64,
    /// Those of them that failed or were cancelled.
    pub failed: u64,
}

/// Answers fetches; clones share one.
#[derive(Clone, Debug)]
pub struct Fetcher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    client: reqwest::Client,
    connections: Permits,
    pages: Permits,
    /// Bounds the documents that are read at once on threads of their own.
    readers: Permits,
    pool: Pool,
    drain: Drain,
    metrics: Metrics,
    total: AtomicU64,
    failed: AtomicU64,
}

impl Fetcher {
    /// A fetcher that renders in the browsers of `pool`.
    ///
    /// # Errors
    /// [`BuildError`] when the HTTP client cannot be made, as without any trusted roots.
    pub fn new(
        config: Config,
        pool: Pool,
        drain: &Drain,
        metrics: &Metrics,
    ) -> Result<Self, BuildError> {
        Ok(Self(Arc::new(Inner {
            client: client::build(&config, metrics)?,
            connections: Permits::new(config.max_connections, config.queue),
            pages: Permits::new(config.browser_concurrency, config.queue),
            readers: Permits::new(cores(), usize::MAX),
            pool,
            drain: drain.clone(),
            metrics: metrics.clone(),
            total: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            config,
        })))
    }

    /// Fetches. `deadline` bounds all of it.
    ///
    /// # Errors
    /// See [`Error`].
    ///
    /// # Cancel safety
    /// Yes: connections, permits and seats are given back, and the fetch counts as cancelled.
    pub async fn fetch(&self, request: Request, deadline: Deadline) -> Result<Response, Error> {
        let mut count = Count {
            fetcher: &self.0,
            began: Instant::now(),
            via: Via::Http,
            outcome: "cancelled",
        };
        let fetched = Box::pin(self.answer(&request, deadline, &mut count.via)).await;
        count.outcome = fetched.as_ref().map_or_else(Error::outcome, |_| "ok");
        let mut response = fetched?;
        response.timings.total = count.began.elapsed();
        Ok(response)
    }

    /// How busy fetching is.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            active: self.0.connections.active(),
            waiting: self.0.connections.waiting(),
            limit: self.0.connections.limit(),
            total: self.0.total.load(Ordering::Relaxed),
            failed: self.0.failed.load(Ordering::Relaxed),
        }
    }

    async fn answer(
        &self,
        request: &Request,
        deadline: Deadline,
        via: &mut Via,
    ) -> Result<Response, Error> {
        let picture = request.formats.has(Format::Screenshot);
        let at_once = match request.strategy {
            Strategy::Browser => Some((Why::Requested, "the caller asked for a browser")),
            Strategy::Auto if picture => {
                Some((Why::ScreenshotNeedsBrowser, "only a browser takes pictures"))
            }
            Strategy::Auto | Strategy::Http => None,
        };
        if at_once.is_some() {
            *via = Via::Browser;
        }
        request.validate()?;
        if let Some((why, detail)) = at_once {
            return self.render(request, why, detail.into(), deadline).await;
        }
        let brought = self.http(request, deadline).await?;
        let began = Instant::now();
        let (read, brought) = self.read(brought, request, deadline).await?;
        let (why, detail) = judge(request, &brought, read.found.as_ref());
        if why == Why::ScriptShell && request.strategy == Strategy::Auto {
            *via = Via::Browser;
            let mut response = self.render(request, why, detail, deadline).await?;
            response.timings.queue += brought.queue;
            return Ok(response);
        }
        Ok(respond(
            request,
            brought,
            read,
            (why, detail),
            began.elapsed(),
        ))
    }

    /// Decodes the body and finds its text, on a thread of its own where that takes a while.
    async fn read(
        &self,
        brought: Brought,
        request: &Request,
        deadline: Deadline,
    ) -> Result<(Read, Brought), Error> {
        const A_WHILE: usize = 32 << 10;
        let parse = request.strategy == Strategy::Auto || request.formats.has(Format::Text);
        if brought.body.len() <= A_WHILE {
            return Ok((Read::of(&brought, parse), brought));
        }
        let permit = self.0.readers.acquire(deadline).await?;
        let work = tokio::task::spawn_blocking(move || {
            let read = Read::of(&brought, parse);
            drop(permit);
            (read, brought)
        });
        // Tracked, for it runs on when the caller has left.
        let work = self.0.drain.spawn(work);
        let read = deadline
            .bound(work)
            .await
            .map_err(|_passed| Error::Passed)?;
        let read = read.and_then(std::convert::identity);
        read.map_err(|_panicked| Error::Protocol("the document cannot be read".into()))
    }
}

/// What was made of a body.
#[derive(Debug, Default)]
struct Read {
    text: Option<String>,
    charset: Option<&'static str>,
    found: Option<Found>,
}

impl Read {
    fn of(brought: &Brought, parse: bool) -> Self {
        let is_html = brought.is_html();
        if !is_html && !brought.is_text() {
            return Self::default();
        }
        let (text, charset) = charset::decode(&brought.body, brought.content_type.as_deref());
        Self {
            found: (is_html && parse).then(|| html::read(&text)),
            text: Some(text),
            charset: Some(charset),
        }
    }
}

/// What should answer, now that HTTP has brought something.
fn judge(request: &Request, brought: &Brought, found: Option<&Found>) -> (Why, String) {
    if request.strategy == Strategy::Http {
        return (Why::Requested, "the caller asked for HTTP".into());
    }
    let Some(found) = found else {
        let is = brought.content_type.as_deref().unwrap_or("no type");
        return (Why::NotHtml, format!("the answer is {is}"));
    };
    match (classify(&found.seen), request.needs_http()) {
        ((Why::ScriptShell, detail), Some(part)) => {
            let detail = format!("{detail}; a browser does not send the request's {part}");
            (Why::RequestNeedsHttp, detail)
        }
        (judged, _) => judged,
    }
}

fn respond(
    request: &Request,
    brought: Brought,
    read: Read,
    (why, why_detail): (Why, String),
    extract: Duration,
) -> Response {
    let wants = |format| request.formats.has(format);
    let is_html = brought.is_html();
    let mut warnings = Vec::new();
    if read.text.is_none() && (wants(Format::Html) || wants(Format::Text)) {
        let is = brought.content_type.as_deref().unwrap_or("no type");
        warnings.push(Warning {
            code: "not_text",
            message: format!("the answer is {is}: there is no text in it"),
        });
    }
    if why == Why::RequestNeedsHttp {
        warnings.push(Warning {
            code: "not_rendered",
            message: why_detail.clone(),
        });
    }
    let (title, visible) = read
        .found
        .map_or((None, None), |found| (found.title, Some(found.text)));
    let plain = || read.text.clone().filter(|_| !is_html);
    Response {
        final_url: brought.final_url,
        redirects: brought.redirects,
        status: brought.status,
        headers: brought.headers,
        content_type: brought.content_type,
        charset: read.charset.map(str::to_owned),
        raw: wants(Format::Raw).then_some(brought.body),
        text: wants(Format::Text)
            .then(|| visible.or_else(plain))
            .flatten(),
        html: read.text.filter(|_| is_html && wants(Format::Html)),
        title,
        screenshot: None,
        via: Via::Http,
        why,
        why_detail,
        timings: Timings {
            queue: brought.queue,
            first_byte: brought.first_byte,
            render: Duration::ZERO,
            extract: brought.read + extract,
            total: Duration::ZERO,
        },
        warnings,
    }
}

/// Counts a fetch once, however it ends.
struct Count<'a> {
    fetcher: &'a Inner,
    began: Instant,
    via: Via,
    outcome: &'static str,
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        let Inner {
            metrics,
            total,
            failed,
            ..
        } = self.fetcher;
        total.fetch_add(1, Ordering::Relaxed);
        if self.outcome != "ok" {
            failed.fetch_add(1, Ordering::Relaxed);
        }
        metrics.fetched(self.via.as_str(), self.outcome, self.began.elapsed());
    }
}
