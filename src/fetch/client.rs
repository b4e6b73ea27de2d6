//! The one HTTP client of the process: its construction, its permits, its counts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures::{FutureExt, TryFutureExt, future::BoxFuture};
use http::{HeaderMap, HeaderValue, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service};

use super::{Config, Error};
use crate::{deadline::Deadline, metrics::Metrics};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be built: {0}")]
pub struct BuildError(#[from] reqwest::Error);

/// What a client without wishes accepts: origins that look at it send their page.
const ACCEPT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// The client. It follows no redirects, keeps no cookies and asks no proxy: all of that is decided
/// per fetch.
pub(super) fn build(config: &Config, metrics: &Metrics) -> Result<reqwest::Client, BuildError> {
    let user_agent = config.user_agent.as_deref();
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
    let client = reqwest::Client::builder()
        .user_agent(user_agent.unwrap_or(concat!("berth/", env!("CARGO_PKG_VERSION"))))
        .default_headers(headers)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .connect_timeout(config.connect_timeout)
        .read_timeout(config.read_timeout)
        .pool_idle_timeout(config.idle_timeout)
        .pool_max_idle_per_host(config.max_idle_per_host)
        .connector_layer(Counting(metrics.clone()))
        .build()?;
    Ok(client)
}

/// Counts the connections that come up.
#[derive(Clone, Debug)]
struct Counting<S = Metrics>(S);

impl<S> Layer<S> for Counting {
    type Service = Connector<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Connector {
            inner,
            metrics: self.0.clone(),
        }
    }
}

#[derive(Clone, Debug)]
struct Connector<S> {
    inner: S,
    metrics: Metrics,
}

impl<S, T> Service<T> for Connector<S>
where
    S: Service<T>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, target: T) -> Self::Future {
        let metrics = self.metrics.clone();
        let connecting = self.inner.call(target);
        connecting
            .inspect_ok(move |_connection| metrics.http_connection_opened())
            .boxed()
    }
}

/// Room for so many at once, first come, first served.
#[derive(Clone, Debug)]
pub(super) struct Permits {
    limit: usize,
    /// So many may wait.
    queue: u64,
    free: Arc<Semaphore>,
    waiting: Arc<AtomicU64>,
}

impl Permits {
    pub(super) fn new(limit: usize, queue: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            limit,
            queue: queue as u64,
            free: Arc::new(Semaphore::new(limit)),
            waiting: Arc::default(),
        }
    }

    /// # Errors
    /// [`Error::QueueFull`] at once when too many wait; [`Error::Passed`] at the deadline.
    ///
    /// # Cancel safety
    /// Yes: the place in the queue is lost.
    pub(super) async fn acquire(&self, deadline: Deadline) -> Result<OwnedSemaphorePermit, Error> {
        let free = Arc::clone(&self.free);
        if let Ok(permit) = Arc::clone(&free).try_acquire_owned() {
            return Ok(permit);
        }
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.waiting);
        if waiting >= self.queue {
            return Err(Error::QueueFull { waiting });
        }
        let permit = deadline.bound(free.acquire_owned()).await;
        // Nobody closes the semaphore; if somebody did, nothing could be had of it either.
        permit.ok().and_then(Result::ok).ok_or(Error::Passed)
    }

    pub(super) fn active(&self) -> u64 {
        self.limit.saturating_sub(self.free.available_permits()) as u64
    }

    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) const fn limit(&self) -> u64 {
        self.limit as u64
    }
}

struct Waits<'a>(&'a AtomicU64);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn permits_are_counted_and_waits_end() {
        let permits = Permits::new(1, 10);
        let held = permits.acquire(Deadline::after(Duration::ZERO)).await;
        assert_eq!((permits.active(), permits.waiting()), (1, 0));
        let refused = permits
            .acquire(Deadline::after(Duration::from_secs(1)))
            .await;
        assert!(matches!(refused, Err(Error::Passed)));
        let waiting = permits.acquire(Deadline::after(Duration::from_secs(9)));
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(permits.waiting(), 1);
        drop(held);
        let held = waiting.await;
        assert!(held.is_ok());
        assert_eq!((permits.active(), permits.waiting()), (1, 0));
    }
}
