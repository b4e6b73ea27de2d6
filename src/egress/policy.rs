//! The decision.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use url::{Host, Url};

use super::{
    address::{is_metadata, is_metadata_name, special, special_name},
    own::OwnPorts,
    rule::Rule,
};
use crate::metrics::{EgressRule, Metrics};

/// What a policy is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Opens what is special, and what [`Fallback::Nothing`] closes.
    pub allow: Vec<Rule>,
    /// Closes, whatever is allowed.
    pub deny: Vec<Rule>,
    /// What holds for a target that no rule is about.
    pub fallback: Fallback,
    /// Denials are logged and counted, and the connection is made all the same; not to the broker's
    /// own ports, and not to metadata services.
    pub report_only: bool,
}

/// What holds for a target that no rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// The public internet is open.
    #[default]
    Public,
    /// Nothing is.
    Nothing,
}

impl Fallback {
    /// The stable word of settings and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Nothing => "nothing",
        }
    }
}

impl FromStr for Fallback {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "public" => Ok(Self::Public),
            "nothing" => Ok(Self::Nothing),
            _ => Err(()),
        }
    }
}

/// Where something wants to go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// An address, or a name in lower case without a final dot.
    host: Host<String>,
    port: u16,
}

/// A target may not be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Denied {
    /// Which rule forbids it.
    pub rule: EgressRule,
    /// What was asked for; never what a name resolved to, which is the inside's business.
    pub target: Target,
}

/// Where the broker may go; clones share one.
#[derive(Clone, Debug)]
pub struct Policy {
    shared: Arc<Shared>,
    /// One of each list must name the target, too.
    narrowed: Vec<Arc<[Rule]>>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    own: OwnPorts,
    metrics: Metrics,
    said: Mutex<Option<(Instant, u64)>>,
}

/// What is known of where a target leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leads {
    /// The address comes later.
    Unknown,
    /// Somebody else looks it up: there will be no other chance to say no.
    Elsewhere,
    To(IpAddr),
}

impl Target {
    /// The port of a host, as `url` reads hosts: every spelling of an address is one.
    #[must_use]
    pub fn new(host: Host<&str>, port: u16) -> Self {
        let host = match host {
            Host::Domain(name) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                // What comes from a URL was read before; what a proxy is asked for was not.
                match Host::parse(&name) {
                    Ok(Host::Ipv4(address)) => Host::Ipv4(address),
                    // Other characters become dots, too (UTS 46).
                    Ok(Host::Domain(name)) if name.ends_with('.') => {
                        return Self::new(Host::Domain(&name), port);
                    }
                    Ok(Host::Domain(name)) => Host::Domain(name),
                    Ok(Host::Ipv6(_)) | Err(_) => Host::Domain(name),
                }
            }
            Host::Ipv4(address) => Host::Ipv4(address),
            Host::Ipv6(address) => Host::Ipv6(address),
        };
        Self { host, port }
    }

    /// Where a request for `url` goes; `None` where its scheme leads to no host or has no port.
    #[must_use]
    pub fn of_url(url: &Url) -> Option<Self> {
        Some(Self::new(url.host()?, url.port_or_known_default()?))
    }

    /// The same of a host that somebody read for good.
    pub(super) fn owned(host: Host<String>, port: u16) -> Self {
        match host {
            Host::Domain(name) => Self::new(Host::Domain(&name), port),
            Host::Ipv4(address) => Self::new(Host::Ipv4(address), port),
            Host::Ipv6(address) => Self::new(Host::Ipv6(address), port),
        }
    }

    /// The port of an address.
    #[must_use]
    pub const fn of(address: SocketAddr) -> Self {
        let host = match address.ip() {
            IpAddr::V4(address) => Host::Ipv4(address),
            IpAddr::V6(address) => Host::Ipv6(address),
        };
        Self {
            host,
            port: address.port(),
        }
    }

    /// An address, or a name in lower case without a final dot.
    #[must_use]
    pub const fn host(&self) -> &Host<String> {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn name(&self) -> Option<&str> {
        match &self.host {
            Host::Domain(name) => Some(name),
            Host::Ipv4(_) | Host::Ipv6(_) => None,
        }
    }

    pub(super) fn address(&self) -> Option<IpAddr> {
        match self.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, target } = self;
        write!(f, "{target} is not reachable from here: {}", rule.why())?;
        if rule.is_opened_by_allowing() {
            write!(f, "; an operator opens it with --egress-allow {target}")?;
        }
        Ok(())
    }
}

impl Policy {
    /// A policy of `settings`; whatever those allow, `own` stays closed.
    #[must_use]
    pub fn new(settings: Settings, own: OwnPorts, metrics: &Metrics) -> Self {
        Self {
            shared: Arc::new(Shared {
                settings,
                own,
                metrics: metrics.clone(),
                said: Mutex::default(),
            }),
            narrowed: Vec::new(),
        }
    }

    /// The same, for what one of `allow` names only. It opens nothing that was closed.
    #[must_use]
    pub fn narrowed(&self, allow: Vec<Rule>) -> Self {
        let mut narrowed = self.narrowed.clone();
        narrowed.push(allow.into());
        Self {
            shared: Arc::clone(&self.shared),
            narrowed,
        }
    }

    /// What it is made of.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// The ports that are never reachable.
    #[must_use]
    pub fn own_ports(&self) -> &OwnPorts {
        &self.shared.own
    }

    /// What can be said of `target` before its name is looked up. Where the target is an address,
    /// that is all there is to say.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn check(&self, target: &Target) -> Result<(), Denied> {
        let leads = target.address().map_or(Leads::Unknown, Leads::To);
        self.enforce(target, leads)
    }

    /// Whether `address` may be dialled for `target`, which it is one of the addresses of.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn check_address(&self, target: &Target, address: IpAddr) -> Result<(), Denied> {
        self.enforce(target, Leads::To(address))
    }

    /// What can be said of `target` when an upstream proxy is told its name and looks it up there.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn check_elsewhere(&self, target: &Target) -> Result<(), Denied> {
        let leads = target.address().map_or(Leads::Elsewhere, Leads::To);
        self.enforce(target, leads)
    }

    fn enforce(&self, target: &Target, leads: Leads) -> Result<(), Denied> {
        let Err(rule) = self.judge(target, leads) else {
            return Ok(());
        };
        let enforced = !self.shared.settings.report_only || rule.is_absolute();
        self.shared.metrics.egress_denied(rule, enforced);
        self.say(rule, target, leads, enforced);
        if enforced {
            let target = target.clone();
            Err(Denied { rule, target })
        } else {
            Ok(())
        }
    }

    fn judge(&self, target: &Target, leads: Leads) -> Result<(), EgressRule> {
        let Settings {
            allow,
            deny,
            fallback,
            ..
        } = &self.shared.settings;
        let (name, port) = (target.name(), target.port);
        let address = match leads {
            Leads::To(address) => Some(address),
            Leads::Unknown | Leads::Elsewhere => None,
        };
        if address.is_some_and(is_metadata) || name.is_some_and(is_metadata_name) {
            return Err(EgressRule::Metadata);
        }
        if let Some(address) = address
            && self.shared.own.has(SocketAddr::new(address, port))
        {
            return Err(EgressRule::OwnPort);
        }
        let hits = |rule: &Rule| {
            name.is_some_and(|name| rule.names(name, port))
                || address.is_some_and(|address| rule.covers(address, port))
        };
        if deny.iter().any(hits) {
            return Err(EgressRule::DenyList);
        }
        // Before the address is known, a list with addresses in it has not said its last word.
        let undecided =
            |rules: &[Rule]| leads == Leads::Unknown && rules.iter().any(Rule::is_about_addresses);
        for list in &self.narrowed {
            if !list.iter().any(hits) && !undecided(list) {
                return Err(EgressRule::Lease);
            }
        }
        if allow.iter().any(hits) {
            return Ok(());
        }
        let special = match leads {
            Leads::To(address) => special(address),
            Leads::Elsewhere => name.and_then(special_name),
            Leads::Unknown => None,
        };
        match (special, fallback) {
            (Some(rule), _) => Err(rule),
            (None, Fallback::Nothing) if !undecided(allow) => Err(EgressRule::Unlisted),
            (None, _) => Ok(()),
        }
    }

    /// At most one line a second: a page may try thousands of times.
    fn say(&self, rule: EgressRule, target: &Target, leads: Leads, enforced: bool) {
        let now = Instant::now();
        let mut said = self.shared.said.lock();
        if let Some((last, unsaid)) = &mut *said
            && now.saturating_duration_since(*last).as_secs() == 0
        {
            *unsaid += 1;
            return;
        }
        let unsaid = said.replace((now, 0)).map_or(0, |(_, unsaid)| unsaid);
        drop(said);
        let address = match leads {
            Leads::To(address) => Some(tracing::field::display(address)),
            Leads::Unknown | Leads::Elsewhere => None,
        };
        let rule = rule.as_str();
        tracing::info!(rule, %target, address, enforced, unsaid, "egress.denied");
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
