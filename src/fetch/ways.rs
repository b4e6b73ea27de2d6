//! Where the HTTP client may go: its names, looked up and checked, and its connections, checked again.
//!
//! The client's resolver is told a name and no port, and its connector a socket and no name. So
//! every request says first where it is going, and both look there: a name that nobody is on the way
//! to has no address, and a socket that leads nowhere that was checked carries nothing.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::{Error, Proxy};
use crate::{
    deadline::Deadline,
    egress::{Denied, Failure, LookupError, Route, Target},
};

/// The ways that requests are on; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Ways {
    route: Route,
    /// How long a lookup may take: as long as the connection that it is for.
    limit: Duration,
    open: Arc<Mutex<HashMap<Host<String>, Way>>>,
}

/// What is known of a host that somebody is on the way to.
#[derive(Debug, Default)]
struct Way {
    /// How many are, by port.
    ports: HashMap<u16, usize>,
    /// The addresses of its name that were let through.
    addresses: HashSet<IpAddr>,
    /// Why there were none the last time.
    failed: Option<LookupError>,
}

/// A request is on its way, until this is dropped.
#[derive(Debug)]
pub(super) struct OnTheWay {
    ways: Ways,
    target: Target,
}

/// A connection came up to where nothing that was checked leads.
#[derive(Debug, thiserror::Error)]
#[error("the connection leads to where it was not checked that it may")]
pub(super) struct Astray;

impl Ways {
    pub(super) fn new(route: Route, limit: Duration) -> Self {
        Self {
            route,
            limit,
            open: Arc::default(),
        }
    }

    pub(super) const fn route(&self) -> &Route {
        &self.route
    }

    /// What can be said of a request for `url` before anything is looked up, sent, or served of
    /// what is kept.
    ///
    /// # Errors
    /// [`Error::Denied`], of the target or of its proxy.
    pub(super) fn check(&self, url: &Url, proxy: Option<&Proxy>) -> Result<(), Error> {
        let target = target(url)?;
        match proxy {
            None => self.route.foresee(&target)?,
            Some(proxy) => {
                self.route.foresee(proxy.target())?;
                self.route.egress().policy().check_elsewhere(&target)?;
            }
        }
        Ok(())
    }

    /// As [`check`](Self::check), and where the names lead as well: for a browser, which costs more
    /// than a lookup.
    ///
    /// # Errors
    /// [`Error::Denied`] only: a name that is not found is for the browser to report.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn look_ahead(
        &self,
        url: &Url,
        proxy: Option<&Proxy>,
        deadline: Deadline,
    ) -> Result<(), Error> {
        self.check(url, proxy)?;
        let first = match proxy {
            None => target(url)?,
            Some(proxy) => proxy.target().clone(),
        };
        if !self.route.looks_up(&first) {
            return Ok(());
        }
        let deadline = deadline.within(self.limit);
        match self.route.egress().addresses(&first, deadline).await {
            Err(LookupError::Denied(denied)) => Err(denied.into()),
            Ok(_) | Err(LookupError::NotFound(_) | LookupError::Passed) => Ok(()),
        }
    }

    /// A request sets out for `url`, which was [checked](Self::check).
    ///
    /// # Errors
    /// [`Error::Denied`] where the URL has no target.
    pub(super) fn set_out(&self, url: &Url, proxy: Option<&Proxy>) -> Result<OnTheWay, Error> {
        let target = match proxy {
            None => target(url)?,
            Some(proxy) => proxy.target().clone(),
        };
        let mut open = self.open.lock();
        let way = open.entry(target.host().clone()).or_default();
        *way.ports.entry(target.port()).or_default() += 1;
        drop(open);
        Ok(OnTheWay {
            ways: self.clone(),
            target,
        })
    }

    /// Whether a connection to `peer` is what somebody who is on the way was let through to.
    ///
    /// # Errors
    /// [`Astray`].
    pub(super) fn arrived(&self, peer: IpAddr) -> Result<(), Astray> {
        let peer = peer.to_canonical();
        let open = self.open.lock();
        let mut ways = open.iter();
        let is_known = ways.any(|(host, way)| match host {
            Host::Ipv4(address) => IpAddr::V4(*address) == peer,
            Host::Ipv6(address) => IpAddr::V6(*address).to_canonical() == peer,
            Host::Domain(_) => way.addresses.contains(&peer),
        });
        if is_known { Ok(()) } else { Err(Astray) }
    }

    /// The addresses of `name` that may be dialled, on all ports that are wanted of it now: for
    /// which of them this is, nobody says.
    async fn look_up(self, name: String) -> Result<Vec<SocketAddr>, LookupError> {
        let asked = Target::new(Host::Domain(&name), 0);
        let host = asked.host().clone();
        let ports: Vec<u16> = match self.open.lock().get(&host) {
            Some(way) => way.ports.keys().copied().collect(),
            None => Vec::new(),
        };
        if ports.is_empty() {
            let why = "nobody is on the way there any more";
            return Err(LookupError::NotFound(format!("{name}: {why}")));
        }
        let targets: Vec<_> = ports
            .into_iter()
            .map(|port| Target::new(Host::Domain(&name), port))
            .collect();
        let plain = host.to_string();
        let deadline = Deadline::after(self.limit);
        let found = self.route.egress().open(&plain, &targets, deadline).await;
        if let Some(way) = self.open.lock().get_mut(&host) {
            way.failed = found.as_ref().err().cloned();
            let found = found.iter().flatten();
            way.addresses.extend(found.map(IpAddr::to_canonical));
        }
        Ok(found?
            .into_iter()
            .map(|address| SocketAddr::new(address, 0))
            .collect())
    }
}

impl Resolve for Ways {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = self.clone().look_up(name.as_str().to_owned());
        Box::pin(async move {
            let found: Addrs = Box::new(looking.await?.into_iter());
            Ok(found)
        })
    }
}

impl OnTheWay {
    /// What `error` of the client means, who may have dropped why a name has no address: its SOCKS
    /// part does.
    pub(super) fn explained(&self, error: Error) -> Error {
        let open = self.ways.open.lock();
        let way = open.get(self.target.host());
        let failed = way.and_then(|way| way.failed.clone());
        failed.map_or(error, Error::from)
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        let mut open = self.ways.open.lock();
        let host = self.target.host();
        let Some(way) = open.get_mut(host) else {
            return;
        };
        if let Some(count) = way.ports.get_mut(&self.target.port()) {
            *count -= 1;
            if *count == 0 {
                way.ports.remove(&self.target.port());
            }
        }
        if way.ports.is_empty() {
            open.remove(host);
        }
    }
}

/// Where a request for `url` goes.
fn target(url: &Url) -> Result<Target, Error> {
    let none = || Error::BadRequest("url", "it leads to no host".into());
    Target::of_url(url).ok_or_else(none)
}

impl From<LookupError> for Error {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Denied(denied) => denied.into(),
            LookupError::NotFound(why) => Self::Dns(why),
            LookupError::Passed => Self::Timeout {
                what: "no answer from a DNS server".into(),
            },
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Denied(denied) => denied.into(),
            Failure::Dns(why) => Self::Dns(why),
            Failure::Refused(why) => Self::Refused(why),
            Failure::Timeout(what) => Self::Timeout { what },
            Failure::Proxy(why) => Self::Protocol(why),
        }
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        Self::Denied(Box::new(denied))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        egress::{Egress, OwnPorts, Policy, Resolver, Settings},
        metrics::{EgressRule, Metrics},
    };

    /// A way out by `settings` alone: without ports of its own, a DNS server that answers, a proxy.
    pub(in crate::fetch) fn route(settings: Settings) -> Route {
        let policy = Policy::new(settings, OwnPorts::default(), &Metrics::new().unwrap());
        let resolver = Resolver::new(&["127.0.0.1:9".parse().unwrap()]).unwrap();
        Route::new(Egress::new(policy, resolver), None)
    }

    fn ways(allow: &str) -> Ways {
        let settings = Settings {
            allow: vec![allow.parse().unwrap()],
            ..Settings::default()
        };
        Ways::new(route(settings), Duration::from_secs(5))
    }

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_name_has_addresses_while_somebody_is_on_the_way_to_a_port_that_may_be() {
        let ways = ways("localhost:80");
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        let look_up = || ways.clone().look_up("localhost".into());
        assert!(matches!(look_up().await, Err(LookupError::NotFound(_))));
        let first = ways.set_out(&url("http://localhost/"), None).unwrap();
        assert!(ways.arrived(here).is_err(), "not looked up yet");
        assert_eq!(look_up().await.unwrap().len(), 2);
        assert!(ways.arrived(here).is_ok());
        let other = ways.set_out(&url("http://localhost:81/"), None).unwrap();
        let denied = look_up().await;
        assert!(
            matches!(&denied, Err(LookupError::Denied(denied)) if denied.rule == EgressRule::Loopback),
            "it may be for the other port: {denied:?}"
        );
        drop(other);
        assert!(look_up().await.is_ok());
        drop(first);
        assert!(ways.arrived(here).is_err());
        assert!(ways.open.lock().is_empty());
    }

    #[test]
    fn an_address_is_its_own_way() {
        let ways = ways("127.0.0.1");
        let [here, there] = ["127.0.0.1", "127.0.0.2"].map(|text| text.parse().unwrap());
        let _one = ways.set_out(&url("http://[::ffff:7f00:1]/"), None).unwrap();
        assert!(ways.arrived(here).is_ok());
        assert!(ways.arrived(there).is_err());
    }

    #[test]
    fn a_proxy_is_a_target_and_so_is_what_it_is_asked_for() {
        let ways = ways("127.0.0.2");
        let rule = |target: &str, proxy: &str| {
            let proxy = Proxy::parse(proxy).unwrap();
            match ways.check(&url(target), Some(&proxy)) {
                Ok(()) => None,
                Err(Error::Denied(denied)) => Some((denied.rule, denied.target.to_string())),
                Err(other) => panic!("{other:?}"),
            }
        };
        let well = "http://127.0.0.2:3128";
        assert_eq!(rule("http://example.org/", well), None);
        let shut = (EgressRule::Loopback, "127.0.0.1:3128".into());
        assert_eq!(
            rule("http://example.org/", "http://127.1:3128"),
            Some(shut.clone())
        );
        assert_eq!(
            rule("http://example.org/", "socks5://2130706433:3128"),
            Some(shut)
        );
        let inside = (EgressRule::Private, "db.internal:80".into());
        assert_eq!(rule("http://db.internal/", well), Some(inside));
        let local = (EgressRule::Loopback, "localhost:443".into());
        assert_eq!(rule("https://localhost/", well), Some(local));
    }
}
