//! How busy fetching is.

use std::sync::atomic::Ordering;

use super::{CacheLoad, ConnectionCounts, Fetcher, cache::Cache};
use crate::egress::Route;

/// How busy fetching is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// HTTP requests that run.
    pub active: u64,
    /// HTTP requests that wait for a connection permit.
    pub waiting: u64,
    /// HTTP requests that may wait; pages as many.
    pub queue: u64,
    /// Fetches that wait for their turn with a page.
    pub pages_waiting: u64,
    /// HTTP requests there may be at once.
    pub limit: u64,
    /// The connections of the HTTP client.
    pub connections: ConnectionCounts,
    /// Requests that the HTTP client sent.
    pub requests: u64,
    /// The cache.
    pub cache: CacheLoad,
    /// Fetches that ended, both ways.
    pub total: u64,
    /// Those of them that failed or were cancelled.
    pub failed: u64,
}

impl Fetcher {
    /// The way that it goes.
    #[must_use]
    pub fn route(&self) -> &Route {
        self.0.ways.route()
    }

    /// How busy fetching is.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            active: self.0.permits.active(),
            waiting: self.0.permits.waiting(),
            pages_waiting: self.0.pages.waiting(),
            queue: self.0.config.queue as u64,
            limit: self.0.permits.limit(),
            connections: self.0.connections.counts(),
            requests: self.0.requests.load(Ordering::Relaxed),
            cache: self.0.cache.as_ref().map(Cache::load).unwrap_or_default(),
            total: self.0.total.load(Ordering::Relaxed),
            failed: self.0.failed.load(Ordering::Relaxed),
        }
    }
}
