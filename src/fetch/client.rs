//! The HTTP clients of the process: one for going straight, and a few for the proxies in use.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use lru::LruCache;
use parking_lot::Mutex;
use reqwest::Certificate;
use tokio::time::Instant;

use super::{
    Config,
    connections::Connections,
    connector::Counting,
    proxy::{Kind, Proxy},
    ways::Ways,
};
use crate::metrics::Metrics;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// It cannot be set up, as without any trusted roots.
    #[error("the HTTP client cannot be built: {0}")]
    Client(#[from] reqwest::Error),
    /// The directory of the cache cannot be used.
    #[error("the cache's directory cannot be used: {source}")]
    Cache {
        /// Why.
        source: std::io::Error,
    },
    /// The file of further roots cannot be read.
    #[error("the certificates of {path} cannot be read: {why}")]
    Roots {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// So many proxies have a client of their own at once.
const MOST_PROXIES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(31);

/// The clients. They follow no redirects, keep no cookies, decode nothing and ask no proxy of the
/// environment: all of that is decided per fetch.
#[derive(Debug)]
pub(super) struct Clients {
    straight: reqwest::Client,
    /// Whose proxy is a matter of the connection, so each has a pool of its own. One that is not
    /// asked for any more goes, and its idle connections with it.
    proxied: Mutex<LruCache<Proxy, (reqwest::Client, Instant)>>,
    make: Make,
}

/// What every client is made of.
#[derive(Debug)]
struct Make {
    roots: Vec<Certificate>,
    connections: Connections,
    ways: Ways,
    metrics: Metrics,
    connect_timeout: Duration,
    idle_timeout: Duration,
    max_idle_per_host: usize,
}

impl Clients {
    /// # Errors
    /// See [`BuildError`].
    pub(super) fn new(
        config: &Config,
        connections: &Connections,
        ways: &Ways,
        metrics: &Metrics,
    ) -> Result<Self, BuildError> {
        let make = Make {
            roots: match &config.extra_roots {
                Some(path) => roots(path)?,
                None => Vec::new(),
            },
            connections: connections.clone(),
            ways: ways.clone(),
            metrics: metrics.clone(),
            connect_timeout: config.connect_timeout,
            idle_timeout: config.idle_timeout,
            max_idle_per_host: config.max_idle_per_host,
        };
        Ok(Self {
            straight: make.client(None)?,
            proxied: Mutex::new(LruCache::new(MOST_PROXIES)),
            make,
        })
    }

    /// The client that goes through `proxy`.
    ///
    /// # Errors
    /// When there cannot be one for this proxy.
    pub(super) fn of(&self, proxy: Option<&Proxy>) -> Result<reqwest::Client, reqwest::Error> {
        let Some(proxy) = proxy else {
            return Ok(self.straight.clone());
        };
        let now = Instant::now();
        let mut proxied = self.proxied.lock();
        while let Some((_, (_, used))) = proxied.peek_lru() {
            if now.saturating_duration_since(*used) < self.make.idle_timeout {
                break;
            }
            proxied.pop_lru();
        }
        if let Some((client, used)) = proxied.get_mut(proxy) {
            *used = now;
            return Ok(client.clone());
        }
        let client = self.make.client(Some(proxy))?;
        proxied.put(proxy.clone(), (client.clone(), now));
        Ok(client)
    }
}

impl Make {
    fn client(&self, proxy: Option<&Proxy>) -> Result<reqwest::Client, reqwest::Error> {
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .tls_certs_merge(self.roots.iter().cloned())
            .pool_idle_timeout(self.idle_timeout)
            .pool_max_idle_per_host(self.max_idle_per_host)
            .dns_resolver(self.ways.clone())
            .connector_layer(Counting {
                limit: self.connect_timeout,
                connections: self.connections.clone(),
                ways: self.ways.clone(),
                metrics: self.metrics.clone(),
            });
        let Some(proxy) = proxy else {
            return builder.build();
        };
        // Names are resolved where the traffic leaves, as browsers do it.
        let address = match proxy.kind() {
            Kind::Socks5 => proxy.address().replacen("socks5://", "socks5h://", 1),
            Kind::Http | Kind::Https => proxy.address().to_owned(),
        };
        let mut through = reqwest::Proxy::all(address)?;
        if let Some((name, password)) = proxy.credentials() {
            through = through.basic_auth(name, password);
        }
        builder.proxy(through).build()
    }
}

fn roots(path: &PathBuf) -> Result<Vec<Certificate>, BuildError> {
    let failed = |why: String| BuildError::Roots {
        path: path.clone(),
        why,
    };
    let read = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let read = Certificate::from_pem_bundle(&read).map_err(|error| failed(error.to_string()))?;
    if read.is_empty() {
        return Err(failed("there is none in it".into()));
    }
    Ok(read)
}
