//! Fetching: by HTTP where that is enough, by a browser where it is not.
//!
//! * [`Fetcher::fetch`] answers a [`Request`] with a [`Response`], which says what answered and
//!   why. What the origin says is data, whatever its status; an [`Error`] is a failure to hear it.
//! * The HTTP way is one client for the whole process with a bound on its connections. The
//!   browser's way is a page in a seat of the [`Pool`], with a bound on the pages at once.
//! * Everything a fetch holds is given back when its future is dropped.

mod attributes;
mod body;
mod cache;
mod charset;
mod classify;
mod client;
mod config;
mod connections;
mod connector;
mod cookies;
#[cfg(test)]
mod corpus_tests;
mod depth;
mod error;
mod exchange;
mod extract;
mod first;
mod follow;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod glance;
mod guard;
mod html;
mod http;
mod in_browser;
mod judge;
mod judge_page;
mod load;
mod marks;
mod obtain;
mod permits;
mod proxy;
mod recent;
mod redirect;
mod render;
mod request;
mod response;
mod retry_after;
mod survey;
mod turns;
mod verdict;
mod ways;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use self::{
    cache::Cache,
    client::Clients,
    config::cores,
    connections::Connections,
    extract::Source,
    first::Start,
    http::Brought,
    judge::{Read, Reading, judge},
    permits::Permits,
    recent::Recent,
    ways::Ways,
};
pub use self::{
    cache::{CacheConfig, CacheLoad},
    client::BuildError,
    config::Config,
    connections::ConnectionCounts,
    cookies::Cookie,
    error::Error,
    in_browser::{Area, Blocking, ColorScheme, InBrowser, Media, Pdf, Rect, Resource},
    load::Load,
    proxy::Proxy,
    recent::Latency,
    request::{
        CacheControl, Format, Formats, Picture, Problem, Request, Screenshot, Strategy, WaitUntil,
    },
    response::{CacheState, Redirect, Response, Timings, Via, Warning, Why},
    turns::{Host, Turns},
    verdict::Verdict,
};
use crate::{
    browser::Pool, deadline::Deadline, drain::Drain, egress::Route, fair::Party, metrics::Metrics,
};

/// Answers fetches; clones share one.
#[derive(Clone, Debug)]
pub struct Fetcher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    clients: Clients,
    connections: Connections,
    ways: Ways,
    cache: Option<Cache>,
    /// Bounds the HTTP requests at once.
    permits: Permits,
    pages: Permits,
    /// Bounds the documents that are read at once on threads of their own.
    readers: Permits,
    pool: Pool,
    drain: Drain,
    metrics: Metrics,
    requests: AtomicU64,
    total: AtomicU64,
    failed: AtomicU64,
    recent: Recent,
}

impl Fetcher {
    /// A fetcher that renders in the browsers of `pool` and goes by `route`.
    ///
    /// # Errors
    /// [`BuildError`] when the HTTP client cannot be made, as without any trusted roots.
    pub fn new(
        config: Config,
        pool: Pool,
        route: Route,
        drain: &Drain,
        metrics: &Metrics,
    ) -> Result<Self, BuildError> {
        let connections = Connections::default();
        let ways = Ways::new(route.clone(), config.connect_timeout);
        let cache = Cache::new(&config.cache, drain, metrics);
        Ok(Self(Arc::new(Inner {
            clients: Clients::new(&config, &connections, &ways, (&route, drain), metrics)?,
            connections,
            ways,
            cache: cache.map_err(|source| BuildError::Cache { source })?,
            permits: Permits::new(config.max_connections, config.queue),
            pages: Permits::new(config.browser_concurrency, config.queue),
            readers: Permits::unbounded(cores()),
            pool,
            drain: drain.clone(),
            metrics: metrics.clone(),
            requests: AtomicU64::new(0),
            total: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            recent: Recent::new(Instant::now()),
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
        let fetched = async {
            let answer = Box::pin(self.answer(&request, deadline, &mut count.via)).await?;
            self.extract(&request, answer, deadline).await
        };
        let fetched = fetched.await;
        count.outcome = fetched.as_ref().map_or_else(Error::outcome, |_| "ok");
        let mut response = fetched?;
        response.timings.total = count.began.elapsed();
        Ok(response)
    }

    /// How long fetches took in the last minute.
    #[must_use]
    pub fn latency(&self) -> Latency {
        self.0.recent.latency(Instant::now())
    }

    async fn answer(
        &self,
        request: &Request,
        deadline: Deadline,
        via: &mut Via,
    ) -> Result<Response, Error> {
        let at_once = match request.strategy {
            Strategy::Browser => Some((Why::Requested, "the caller asked for a browser")),
            Strategy::Auto => request
                .needs_browser()
                .map(|(_, why, detail)| (why, detail)),
            Strategy::Http => None,
        };
        if at_once.is_some() {
            *via = Via::Browser;
        }
        request.validate()?;
        if let Some((why, detail)) = at_once {
            let (ways, proxy) = (&self.0.ways, request.proxy.as_ref());
            ways.look_ahead(&request.url, proxy, deadline).await?;
            let start = Start::of(request);
            let why = (why, detail.into());
            return self.rendered(request, &start, why, deadline).await;
        }
        let (read, brought) = self.follow(request, deadline).await?;
        let (why, detail) = judge(request, &brought, &read);
        if why.needs_browser() && request.strategy == Strategy::Auto {
            *via = Via::Browser;
            let why = (why, detail);
            return self.go_on(request, brought, why, deadline).await;
        }
        Ok(respond(request, brought, read, (why, detail)))
    }

    /// Decodes the body and finds its text, on a thread of its own where that takes a while.
    async fn read(
        &self,
        brought: Brought,
        request: &Request,
        deadline: Deadline,
    ) -> Result<(Read, Brought), Error> {
        let how = Reading {
            text: request.formats.has(Format::Text),
            title: request.strategy == Strategy::Auto,
        };
        let size = brought.body.len();
        let read = move || {
            let began = Instant::now();
            let mut read = Read::of(&brought, how);
            read.took = began.elapsed();
            (read, brought)
        };
        self.aside(size, &request.party, read, deadline).await
    }

    /// Does `work` on something of `size` bytes, on a thread of its own where that takes a while.
    async fn aside<T: Send + 'static>(
        &self,
        size: usize,
        party: &Party,
        work: impl FnOnce() -> T + Send + 'static,
        deadline: Deadline,
    ) -> Result<T, Error> {
        const A_WHILE: usize = 32 << 10;
        if size <= A_WHILE {
            return Ok(work());
        }
        let permit = self.0.readers.acquire(party, deadline).await;
        // No queue is too long here: it is the time that was not enough.
        let permit = permit.map_err(|_passed| Error::Passed)?;
        let work = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        // Tracked, for it runs on when the caller has left.
        let work = self.0.drain.spawn(work);
        let done = deadline.bound(work).await;
        let done = done.map_err(|_passed| Error::Passed)?;
        let done = done.and_then(std::convert::identity);
        done.map_err(|_panicked| Error::Protocol("the document cannot be read".into()))
    }
}

fn respond(
    request: &Request,
    brought: Brought,
    read: Read,
    (why, why_detail): (Why, String),
) -> Response {
    let wants = |format| request.formats.has(format);
    let is_html = brought.is_html();
    let (verdict, verdict_detail) = read.verdict(request, &brought).parts();
    let mut warnings = Vec::new();
    warnings.extend(verdict.and_then(|verdict| verdict.warning(&verdict_detail)));
    if read.text.is_none() && (wants(Format::Html) || wants(Format::Text)) {
        let is = brought.content_type.as_deref().unwrap_or("no type");
        warnings.push(Warning {
            code: "not_text",
            message: format!("the answer is {is}: there is no text in it"),
        });
    }
    if brought.coded {
        warnings.push(Warning {
            code: "unknown_coding",
            message: "the body is in a coding that is not known: it is as it came".into(),
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
    let source = request.content().map(|_| match &read.text {
        Some(text) if is_html => Source::Html(text.clone()),
        Some(text) => Source::Text(text.clone()),
        None => Source::Body(brought.body.clone()),
    });
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
        markdown: None,
        links: None,
        metadata: None,
        source,
        pdf: None,
        download_name: None,
        via: Via::Http,
        why,
        why_detail,
        timings: Timings {
            queue: brought.times.queue,
            connect: brought.times.connect.unwrap_or_default(),
            first_byte: brought.times.first_byte,
            render: Duration::ZERO,
            extract: brought.times.read + read.took,
            total: Duration::ZERO,
        },
        warnings,
        cache: brought.cache,
        age: brought.age,
        retry_after: brought.retry_after,
        protocol: Some(brought.protocol.into()),
        verdict,
        verdict_detail,
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
            recent,
            ..
        } = self.fetcher;
        total.fetch_add(1, Ordering::Relaxed);
        if self.outcome != "ok" {
            failed.fetch_add(1, Ordering::Relaxed);
        }
        let took = self.began.elapsed();
        recent.record(self.began + took, took);
        metrics.fetched(self.via.as_str(), self.outcome, took);
    }
}
