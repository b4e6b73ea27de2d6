//! The bounds of fetching.

use std::{path::PathBuf, time::Duration};

use super::CacheConfig;

/// The bounds of fetching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// HTTP requests at once, and connections: while there are more, that of a request is closed with
    /// its answer instead of kept.
    pub max_connections: usize,
    /// Idle connections kept for each host.
    pub max_idle_per_host: usize,
    /// How long a connection may take to come up.
    pub connect_timeout: Duration,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// How long an origin may take from the request to the head of its answer.
    pub first_byte_timeout: Duration,
    /// How long an origin may be silent within a body.
    pub read_timeout: Duration,
    /// A file of certificates in PEM that are trusted besides those of the system.
    pub extra_roots: Option<PathBuf>,
    /// What is kept of answers.
    pub cache: CacheConfig,
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
            first_byte_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(30),
            extra_roots: None,
            cache: CacheConfig::default(),
            user_agent: None,
            browser_concurrency: 2 * cores(),
            queue: 1000,
        }
    }
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
