//! The HTTP clients of the process: one without a caller's proxy, and a few for those in use.

use std::{io, num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

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
use crate::{
    drain::Drain,
    egress::{EgressProxy, Failure, Route, Target},
    metrics::Metrics,
};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// It cannot be set up, as without any trusted roots.
    #[error("the HTTP client cannot be built: {0}")]
    Client(#[from] ClientError),
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

/// Why there is no client for a proxy.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client refuses.
    #[error(transparent)]
    Client(#[from] reqwest::Error),
    /// There is no port for the way to the operator's proxy.
    #[error("no port for the egress proxy: {0}")]
    Port(#[from] io::Error),
    /// The caller's proxy cannot be one that comes after the operator's.
    #[error("{0}")]
    Chain(String),
}

/// A client, and the egress proxy by which it goes where the operator has a proxy.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) http: reqwest::Client,
    egress: Option<Arc<EgressProxy>>,
}

impl Client {
    /// Why the last connection to `target` was not made, when that was at or after `since` and it is known.
    pub(super) fn why(&self, target: &Target, since: Instant) -> Option<Failure> {
        self.egress.as_ref()?.why(target, since)
    }
}

/// So many proxies have a client of their own at once.
const MOST_PROXIES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(31);

/// The clients. They follow no redirects, keep no cookies, decode nothing and ask no proxy of the
/// environment: all of that is decided per fetch.
#[derive(Debug)]
pub(super) struct Clients {
    straight: Client,
    /// Whose proxy is a matter of the connection, so each has a pool of its own. One that is not
    /// asked for any more goes, and its idle connections with it.
    proxied: Mutex<LruCache<Proxy, (Client, Instant)>>,
    make: Make,
}

/// What every client is made of.
#[derive(Debug)]
struct Make {
    roots: Vec<Certificate>,
    connections: Connections,
    ways: Ways,
    route: Route,
    drain: Drain,
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
        (route, drain): (&Route, &Drain),
        metrics: &Metrics,
    ) -> Result<Self, BuildError> {
        let make = Make {
            roots: match &config.extra_roots {
                Some(path) => roots(path)?,
                None => Vec::new(),
            },
            connections: connections.clone(),
            ways: ways.clone(),
            route: route.clone(),
            drain: drain.clone(),
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
    pub(super) fn of(&self, proxy: Option<&Proxy>) -> Result<Client, ClientError> {
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
    fn client(&self, proxy: Option<&Proxy>) -> Result<Client, ClientError> {
        if self.route.operators().is_some() {
            return self.by_operators(proxy);
        }
        let builder = self.builder(Some(self.ways.clone()));
        let builder = match proxy {
            None => builder,
            Some(proxy) => {
                // Names are resolved where the traffic leaves, as browsers do it.
                let address = match proxy.kind() {
                    Kind::Socks5 => proxy.address().replacen("socks5://", "socks5h://", 1),
                    Kind::Http | Kind::Https => proxy.address().to_owned(),
                };
                let mut through = reqwest::Proxy::all(address)?;
                if let Some((name, password)) = proxy.credentials() {
                    through = through.basic_auth(name, password);
                }
                builder.proxy(through)
            }
        };
        Ok(Client {
            http: builder.build()?,
            egress: None,
        })
    }

    /// A client that goes by an egress proxy, as browsers do: what goes around the operator's proxy
    /// and what comes after it is decided in one place.
    fn by_operators(&self, proxy: Option<&Proxy>) -> Result<Client, ClientError> {
        let route = match proxy {
            None => self.route.clone(),
            Some(proxy) => {
                let detour = proxy.detour().map_err(ClientError::Chain)?;
                self.route.through(detour)
            }
        };
        let egress = EgressProxy::open(route, &self.drain)?;
        let address = egress.url().replacen("socks5://", "socks5h://", 1);
        let builder = self.builder(None).proxy(reqwest::Proxy::all(address)?);
        Ok(Client {
            http: builder.build()?,
            egress: Some(Arc::new(egress)),
        })
    }

    /// A client whose connections `ways` checks, where nobody else does.
    fn builder(&self, ways: Option<Ways>) -> reqwest::ClientBuilder {
        reqwest::Client::builder()
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
                ways,
                metrics: self.metrics.clone(),
            })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{egress::Settings, fetch::ways};

    fn clients(config: &Config) -> Clients {
        let metrics = Metrics::new().unwrap();
        let route = ways::tests::route(Settings::default());
        let ways = Ways::new(route.clone(), config.connect_timeout);
        let drain = Drain::new(tokio::runtime::Handle::current());
        let connections = Connections::default();
        Clients::new(config, &connections, &ways, (&route, &drain), &metrics).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_proxies_unused_for_longest_lose_their_client() {
        let config = Config::default();
        let clients = clients(&config);
        let ask = |port| {
            let proxy = Proxy::parse(&format!("http://proxy.example:{port}")).unwrap();
            clients.of(Some(&proxy)).unwrap();
        };
        let kept = || -> Vec<String> {
            let proxied = clients.proxied.lock();
            let addresses = proxied.iter().map(|(proxy, _)| proxy.address().to_owned());
            addresses.collect()
        };
        (1..=40).for_each(ask);
        assert_eq!(kept().len(), MOST_PROXIES.get());
        assert!(kept()[0].contains(":40"), "the newest first: {:?}", kept());
        tokio::time::advance(config.idle_timeout / 2).await;
        ask(20);
        tokio::time::advance(config.idle_timeout / 2).await;
        ask(20);
        assert_eq!(kept().len(), 1, "as idle connections, too: {:?}", kept());
    }
}
