//! From a target to a connection with it.

use std::{net::SocketAddr, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until},
};

use super::{
    Denied, Egress, Rule, Target,
    proxy::Failure,
    upstream::{Detour, Stream, Upstream},
};
use crate::deadline::Deadline;

/// The next address is dialled beside one that has not answered for so long (RFC 8305, section 5).
const PATIENCE: Duration = Duration::from_millis(250);
/// So many addresses of a name are tried.
const MOST_ADDRESSES: usize = 8;

/// How connections are made: what may be reached, and through whom. Clones share what is behind it.
#[derive(Clone, Debug)]
pub struct Route {
    egress: Egress,
    /// The operator's proxy, which may be anywhere.
    outer: Option<Detour>,
    /// A caller's, and what it must be among: it is a target like any other.
    inner: Option<(Detour, Egress)>,
}

impl Route {
    /// What `egress` lets through, by the operator's proxy where there is one.
    #[must_use]
    pub const fn new(egress: Egress, operators: Option<Detour>) -> Self {
        Self {
            egress,
            outer: operators,
            inner: None,
        }
    }

    /// The policy, and the resolver that it is asked with.
    #[must_use]
    pub const fn egress(&self) -> &Egress {
        &self.egress
    }

    /// The same, for what one of `allow` names only. The proxy on the way need not be among it.
    #[must_use]
    pub fn narrowed(&self, allow: Vec<Rule>) -> Self {
        Self {
            egress: self.egress.narrowed(allow),
            ..self.clone()
        }
    }

    /// The same, on by a caller's proxy.
    #[must_use]
    pub fn through(&self, detour: Detour) -> Self {
        Self {
            inner: Some((detour, self.egress.clone())),
            ..self.clone()
        }
    }

    /// Whether the caller's proxy may be reached, as far as is known before its name is looked up.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn check(&self) -> Result<(), Denied> {
        match &self.inner {
            Some((detour, egress)) => egress.policy().check(detour.upstream().target()),
            None => Ok(()),
        }
    }

    /// What can be said of `target` before anything is looked up.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn foresee(&self, target: &Target) -> Result<(), Denied> {
        if self.looks_up(target) {
            self.egress.policy().check(target)
        } else {
            self.egress.policy().check_elsewhere(target)
        }
    }

    /// Whether the name of `target` is looked up here, rather than by a proxy.
    #[must_use]
    pub fn looks_up(&self, target: &Target) -> bool {
        let next = match self.inner(target) {
            Some((inner, _)) => Some(inner),
            None => self.outer(target),
        };
        next.is_none_or(|next| !next.looks_up())
    }

    /// The operator's proxy: everything goes by it that does not go around it.
    #[must_use]
    pub const fn operators(&self) -> Option<&Detour> {
        self.outer.as_ref()
    }

    /// Whether browsers are to speak HTTP to whoever goes by it, since the next proxy does.
    #[must_use]
    pub fn is_http(&self) -> bool {
        let inner = self.inner.as_ref().map(|(inner, _)| inner);
        let last = inner.or(self.outer.as_ref());
        last.is_some_and(|last| last.upstream().is_http())
    }

    /// A connection that takes a plain HTTP request for `target`: with the HTTP proxy that is named,
    /// else with the target itself.
    ///
    /// # Errors
    /// See [`Failure`].
    ///
    /// # Cancel safety
    /// Yes: what is half made is closed.
    pub(super) async fn dial_for_http(
        &self,
        target: &Target,
        deadline: Deadline,
    ) -> Result<(Stream, Option<&Upstream>), Failure> {
        let (stream, proxy) = match (self.inner(target), self.outer(target)) {
            (Some((inner, egress)), _) if inner.is_http() => {
                handed(&self.egress, inner, target, deadline).await?;
                let stream = self.dial_out(egress, inner.target(), deadline).await?;
                (stream, inner)
            }
            (None, Some(outer)) if outer.is_http() => {
                handed(&self.egress, outer, target, deadline).await?;
                (self.dial_operators(outer, deadline).await?, outer)
            }
            _ => return Ok((self.dial(target, deadline).await?, None)),
        };
        let secured = deadline.bound(proxy.secured(stream)).await;
        let secured = secured.unwrap_or_else(|_passed| Err(late(proxy)))?;
        Ok((secured, Some(proxy)))
    }

    /// A connection to `target`, whose addresses and proxies are checked as it is made.
    ///
    /// # Errors
    /// See [`Failure`].
    ///
    /// # Cancel safety
    /// Yes: what is half made is closed.
    pub(super) async fn dial(
        &self,
        target: &Target,
        deadline: Deadline,
    ) -> Result<Stream, Failure> {
        let Some((inner, egress)) = self.inner(target) else {
            return self.dial_out(&self.egress, target, deadline).await;
        };
        // First what is asked for: whether its proxy can be reached is no concern of what cannot.
        let handed = handed(&self.egress, inner, target, deadline).await?;
        let stream = self.dial_out(egress, inner.target(), deadline).await?;
        join(inner, stream, &handed, deadline).await
    }

    /// As far as the operator's proxy leads, to what `egress` lets through.
    async fn dial_out(
        &self,
        egress: &Egress,
        target: &Target,
        deadline: Deadline,
    ) -> Result<Stream, Failure> {
        let Some(outer) = self.outer(target) else {
            let addresses = egress.addresses(target, deadline).await?;
            return dial_first(target, addresses, deadline).await;
        };
        let handed = handed(egress, outer, target, deadline).await?;
        let stream = self.dial_operators(outer, deadline).await?;
        join(outer, stream, &handed, deadline).await
    }

    /// As far as `outer` itself, wherever that is.
    async fn dial_operators(
        &self,
        outer: &Upstream,
        deadline: Deadline,
    ) -> Result<Stream, Failure> {
        let own = outer.target();
        let addresses = self.egress.operators_addresses(own, deadline).await?;
        dial_first(own, addresses, deadline).await
    }

    /// The caller's proxy, where it is for `target`, and what it must be among.
    fn inner(&self, target: &Target) -> Option<(&Upstream, &Egress)> {
        let inner = self.inner.as_ref();
        let (detour, egress) = inner.filter(|(detour, _)| detour.is_for(target))?;
        Some((detour.upstream(), egress))
    }

    /// The operator's proxy, where it is for `target`.
    fn outer(&self, target: &Target) -> Option<&Upstream> {
        let outer = self.outer.as_ref().filter(|outer| outer.is_for(target));
        outer.map(Detour::upstream)
    }
}

/// What `upstream` is told for `target`, which `egress` lets through as far as is known here.
async fn handed(
    egress: &Egress,
    upstream: &Upstream,
    target: &Target,
    deadline: Deadline,
) -> Result<Target, Failure> {
    if upstream.looks_up() {
        let checked = egress.policy().check_elsewhere(target);
        return checked.map(|()| target.clone()).map_err(Failure::Denied);
    }
    let addresses = egress.addresses(target, deadline).await?;
    let mut fit = addresses
        .into_iter()
        .filter(|address| address.is_ipv4() || !upstream.is_v4_only());
    let none = || Failure::Dns(format!("{target} has no address that its proxy takes"));
    fit.next().map(Target::of).ok_or_else(none)
}

fn late(upstream: &Upstream) -> Failure {
    Failure::Timeout(format!(
        "the proxy {} did not answer in time",
        upstream.target()
    ))
}

async fn join(
    upstream: &Upstream,
    stream: Stream,
    target: &Target,
    deadline: Deadline,
) -> Result<Stream, Failure> {
    let joined = deadline.bound(upstream.join(stream, target)).await;
    joined.unwrap_or_else(|_passed| Err(late(upstream)))
}

/// The first of `addresses` that answers. Each has a moment for itself, then the next is tried
/// beside it.
async fn dial_first(
    target: &Target,
    addresses: Vec<SocketAddr>,
    deadline: Deadline,
) -> Result<Stream, Failure> {
    let mut next = addresses.into_iter().take(MOST_ADDRESSES);
    let mut dialling = FuturesUnordered::new();
    let mut failed = None;
    let first = async {
        let mut at = Instant::now();
        loop {
            tokio::select! {
                biased;
                Some(dialled) = dialling.next(), if !dialling.is_empty() => match dialled {
                    Ok(stream) => return Some(stream),
                    Err(error) => {
                        failed.get_or_insert(error);
                        at = Instant::now();
                    }
                },
                () = sleep_until(at), if next.len() > 0 => {
                    dialling.extend(next.next().map(TcpStream::connect));
                    at = Instant::now() + PATIENCE;
                }
                else => return None,
            }
        }
    };
    let late = || Failure::Timeout(format!("{target} did not answer in time"));
    let first = deadline.bound(first).await.map_err(|_passed| late())?;
    match (first, failed) {
        (Some(stream), _) => {
            // Small messages that wait for one another's acknowledgement cost 40 ms each. A socket
            // that refuses the option is already gone, as the next read tells.
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream))
        }
        (None, Some(error)) => Err(Failure::of_dial(target, &error)),
        (None, None) => Err(Failure::Dns(format!("{target} has no address"))),
    }
}
