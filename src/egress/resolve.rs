//! From a target to the addresses that may be dialled for it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::Name,
    system_conf::read_system_conf,
};
use url::Host;

use super::{
    policy::{Denied, Policy, Target},
    rule::Rule,
};
use crate::deadline::Deadline;

/// Names are looked up again after so long, however long their owner says that they hold; names that
/// are not there, after [`NEGATIVE`].
const POSITIVE: Duration = Duration::from_secs(300);
/// Somebody may be waiting for a name to appear.
const NEGATIVE: Duration = Duration::from_secs(10);
/// Answers kept; the oldest go.
const CACHED: u64 = 4096;

/// Looks names up: in `/etc/hosts` (as it was when this was made), then at DNS servers. Clones share
/// one cache. No lookup takes a thread, and one that nobody waits for any more ends.
#[derive(Clone)]
pub struct Resolver(TokioResolver);

/// The resolver cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the resolver cannot be made: {0}")]
pub struct ResolverError(#[from] NetError);

/// There is no address to dial.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The policy forbids the target, or every address of it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The name has no address, or no server said so: why.
    #[error("{0}")]
    NotFound(String),
    /// The deadline passed.
    #[error("the deadline passed while a name was looked up")]
    Passed,
}

/// The policy, and the resolver that it is asked with: what everything that connects goes through.
#[derive(Clone, Debug)]
pub struct Egress {
    policy: Policy,
    resolver: Resolver,
}

impl Resolver {
    /// A resolver that asks `servers`; with none, those of `/etc/resolv.conf`, with its search list
    /// and options. Where that has none or is not there, the one on this machine is asked, as
    /// resolv.conf(5) has it: never one that nobody chose. The file is read once.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn new(servers: &[SocketAddr]) -> Result<Self, ResolverError> {
        let (config, mut options) = if servers.is_empty() {
            read_system_conf().unwrap_or_else(|error| {
                tracing::warn!(%error, "dns.local_only");
                (
                    at(&[(Ipv4Addr::LOCALHOST, 53).into()]),
                    ResolverOpts::default(),
                )
            })
        } else {
            (at(servers), ResolverOpts::default())
        };
        options.cache_size = CACHED;
        options.positive_max_ttl = Some(POSITIVE);
        options.negative_max_ttl = Some(NEGATIVE);
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        let provider = TokioRuntimeProvider::default();
        let builder = TokioResolver::builder_with_config(config, provider);
        Ok(Self(builder.with_options(options).build()?))
    }

    /// The addresses of `name`, IPv4 first: where there is no IPv6, trying it would take time.
    ///
    /// # Cancel safety
    /// Yes.
    async fn look_up(&self, name: &str, deadline: Deadline) -> Result<Vec<IpAddr>, LookupError> {
        // RFC 6761, 6.3: never asked for, whatever a server would say.
        if name == "localhost" || name.ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let missing = |why: &dyn fmt::Display| LookupError::NotFound(format!("{name}: {why}"));
        // Escapes of the master file format (RFC 1035, 5.1) would be another spelling of a name.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(missing(&"is no host name"));
        }
        let read = Name::from_ascii(name).map_err(|error| missing(&error))?;
        let found = deadline.bound(self.0.lookup_ip(read)).await;
        let found = found.map_err(|_passed| LookupError::Passed)?;
        let mut found: Vec<IpAddr> = match found {
            Ok(found) => found.iter().collect(),
            Err(error) if error.is_nx_domain() => return Err(missing(&"there is no such name")),
            Err(error) if error.is_no_records_found() => {
                return Err(missing(&"the name has no address"));
            }
            Err(error) => return Err(missing(&error)),
        };
        found.sort_by_key(IpAddr::is_ipv6);
        found.dedup();
        Ok(found)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

fn at(servers: &[SocketAddr]) -> ResolverConfig {
    let server = |server: &SocketAddr| {
        let mut both = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
        for connection in &mut both {
            connection.port = server.port();
        }
        NameServerConfig::new(server.ip(), true, both.into())
    };
    ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(server).collect())
}

impl Egress {
    /// What `policy` lets through, with names looked up by `resolver`.
    #[must_use]
    pub const fn new(policy: Policy, resolver: Resolver) -> Self {
        Self { policy, resolver }
    }

    /// The policy alone.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The same, for what one of `allow` names only: see [`Policy::narrowed`].
    #[must_use]
    pub fn narrowed(&self, allow: Vec<Rule>) -> Self {
        Self {
            policy: self.policy.narrowed(allow),
            resolver: self.resolver.clone(),
        }
    }

    /// The addresses of a proxy that the operator chose, which may be anywhere.
    ///
    /// # Errors
    /// See [`LookupError`]; never [`LookupError::Denied`].
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn operators_addresses(
        &self,
        target: &Target,
        deadline: Deadline,
    ) -> Result<Vec<SocketAddr>, LookupError> {
        let addresses = match (target.address(), target.name()) {
            (Some(address), _) => vec![address],
            (None, name) => {
                let name = name.unwrap_or_default();
                self.resolver.look_up(name, deadline).await?
            }
        };
        let port = target.port();
        let addresses = addresses.into_iter();
        Ok(addresses
            .map(|address| SocketAddr::new(address, port))
            .collect())
    }

    /// The checked addresses of `target`, at least one, in the order in which to dial them. An
    /// address is checked and is its own answer. Of a name's addresses those are left out that may
    /// not be reached.
    ///
    /// Whoever dials, dials these and does not look the name up again.
    ///
    /// # Errors
    /// See [`LookupError`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn addresses(
        &self,
        target: &Target,
        deadline: Deadline,
    ) -> Result<Vec<SocketAddr>, LookupError> {
        self.policy.check(target)?;
        let port = target.port();
        let name = match target.host() {
            Host::Ipv4(address) => return Ok(vec![SocketAddr::new((*address).into(), port)]),
            Host::Ipv6(address) => return Ok(vec![SocketAddr::new((*address).into(), port)]),
            Host::Domain(name) => name,
        };
        let open = self
            .open(name, std::slice::from_ref(target), deadline)
            .await?;
        Ok(open
            .into_iter()
            .map(|address| SocketAddr::new(address, port))
            .collect())
    }

    /// The addresses of `name` that every one of `targets` may be reached at: its ports.
    ///
    /// # Errors
    /// See [`LookupError`].
    ///
    /// # Cancel safety
    /// Yes.
    pub(crate) async fn open(
        &self,
        name: &str,
        targets: &[Target],
        deadline: Deadline,
    ) -> Result<Vec<IpAddr>, LookupError> {
        let found = self.resolver.look_up(name, deadline).await?;
        let mut denied = None;
        let mut open = Vec::with_capacity(found.len());
        for address in found {
            let mut each = targets.iter();
            match each.try_for_each(|target| self.policy.check_address(target, address)) {
                Ok(()) => open.push(address),
                Err(why) => denied = denied.or(Some(why)),
            }
        }
        match denied {
            _ if !open.is_empty() => Ok(open),
            Some(denied) => Err(denied.into()),
            None => Err(LookupError::NotFound(format!(
                "{name}: the name has no address"
            ))),
        }
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
