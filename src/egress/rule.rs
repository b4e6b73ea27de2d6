//! One line of an allow or deny list.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    str::FromStr,
};

use ipnet::IpNet;
use url::Host;

/// What an egress list names: addresses as CIDR, or hosts by a pattern, and ports.
///
/// `10.1.0.0/16`, `192.0.2.7:443`, `[fd00::/8]:8000-8999`, `example.org`, `*.example.org:443`, `*:25`.
/// A port or a range of ports may follow anything; IPv6 needs brackets then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    hosts: Hosts,
    /// `None` for any.
    ports: Option<RangeInclusive<u16>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    Any,
    Net(IpNet),
    /// In lower case and ASCII, without a final dot.
    Name(String),
    /// What follows the asterisk, with its dot.
    Below(String),
}

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {why}")]
pub struct ParseError {
    text: String,
    why: String,
}

impl Rule {
    /// Exactly `address`.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self {
            hosts: Hosts::Net(IpNet::from(address.ip().to_canonical())),
            ports: Some(address.port()..=address.port()),
        }
    }

    /// Whether the rule is about `port` of the host called `name`: lower case, no final dot.
    pub(super) fn names(&self, name: &str, port: u16) -> bool {
        let host = match &self.hosts {
            Hosts::Any => true,
            Hosts::Net(_) => false,
            Hosts::Name(own) => own == name,
            Hosts::Below(suffix) => name.len() > suffix.len() && name.ends_with(suffix.as_str()),
        };
        host && self.is_about(port)
    }

    /// Whether the rule is about `port` of `address`.
    pub(super) fn covers(&self, address: IpAddr, port: u16) -> bool {
        let host = match &self.hosts {
            Hosts::Any => true,
            Hosts::Net(net) => net.contains(&address.to_canonical()),
            Hosts::Name(_) | Hosts::Below(_) => false,
        };
        host && self.is_about(port)
    }

    /// Whether it takes an address to know if the rule applies.
    pub(super) const fn is_about_addresses(&self) -> bool {
        matches!(self.hosts, Hosts::Net(_))
    }

    fn is_about(&self, port: u16) -> bool {
        self.ports
            .as_ref()
            .is_none_or(|ports| ports.contains(&port))
    }
}

impl FromStr for Rule {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = |why: String| ParseError {
            text: text.to_owned(),
            why,
        };
        let trimmed = text.trim();
        if trimmed.contains("://") {
            return Err(wrong(
                "is a URL, and a rule has neither scheme nor path".into(),
            ));
        }
        let (hosts, ports) = split(trimmed).map_err(|why| wrong(why.into()))?;
        let ports = ports.map(read_ports).transpose();
        let ports = ports.map_err(|why| wrong(why.into()))?;
        let hosts = read_hosts(hosts).map_err(wrong)?;
        Ok(Self { hosts, ports })
    }
}

/// The hosts and the ports of a rule.
fn split(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("has no closing bracket")?;
        return match rest.strip_prefix(':') {
            Some(ports) => Ok((host, Some(ports))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err("has something other than a port after the bracket"),
        };
    }
    // More than one colon is an IPv6 address without brackets, hence without a port.
    match text.split_once(':') {
        Some((host, ports)) if !ports.contains(':') => Ok((host, Some(ports))),
        _ => Ok((text, None)),
    }
}

fn read_ports(text: &str) -> Result<RangeInclusive<u16>, &'static str> {
    const WANTED: &str = "has no port between 1 and 65535, or range of such, after the colon";
    let read = |text: &str| {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let port = text.parse().ok().filter(|port| plain && *port > 0);
        port.ok_or(WANTED)
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (read(first)?, read(last)?),
        None => (read(text)?, read(text)?),
    };
    if first > last {
        return Err("has a range of ports that ends before it begins");
    }
    Ok(first..=last)
}

fn read_hosts(text: &str) -> Result<Hosts, String> {
    if text == "*" {
        return Ok(Hosts::Any);
    }
    if text.contains('/') {
        let net: IpNet = text
            .parse()
            .map_err(|_| "is no CIDR such as 10.0.0.0/8 or fd00::/8".to_owned())?;
        if net.trunc() != net {
            return Err(format!("has host bits set: did you mean {}?", net.trunc()));
        }
        return Ok(Hosts::Net(canonical(net)));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Hosts::Net(IpNet::from(address.to_canonical())));
    }
    let (below, name) = match text.strip_prefix("*.") {
        Some(name) => (true, name),
        None => (false, text),
    };
    let read = |name: &str| {
        let host = Host::parse(name.trim_end_matches('.'));
        host.map_err(|error| format!("is neither an address nor a host: {error}"))
    };
    let host = match read(name)? {
        // Other characters become dots, too (UTS 46): without them it is the name of the target.
        Host::Domain(name) if name.ends_with('.') => read(&name)?,
        host => host,
    };
    match host {
        _ if name.contains('*') => Err("may have an asterisk only as its first label".into()),
        Host::Domain(name) if below => Ok(Hosts::Below(format!(".{name}"))),
        Host::Domain(name) => Ok(Hosts::Name(name)),
        _ if below => Err("is an address, and those have no subdomains".into()),
        Host::Ipv4(address) => Ok(Hosts::Net(IpNet::from(IpAddr::V4(address)))),
        Host::Ipv6(address) => Ok(Hosts::Net(IpNet::from(IpAddr::V6(address).to_canonical()))),
    }
}

/// Addresses are compared in their canonical form, so mapped nets are IPv4 nets.
fn canonical(net: IpNet) -> IpNet {
    let IpAddr::V4(address) = net.addr().to_canonical() else {
        return net;
    };
    match net {
        IpNet::V6(mapped) if mapped.prefix_len() >= 96 => {
            IpNet::new(IpAddr::V4(address), mapped.prefix_len() - 96).unwrap_or(net)
        }
        _ => net,
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bracketed = self.ports.is_some();
        match &self.hosts {
            Hosts::Any => f.write_str("*")?,
            Hosts::Net(IpNet::V6(net)) if bracketed => write!(f, "[{net}]")?,
            Hosts::Net(net) => write!(f, "{net}")?,
            Hosts::Name(name) => f.write_str(name)?,
            Hosts::Below(suffix) => write!(f, "*{suffix}")?,
        }
        match self.ports.clone().map(RangeInclusive::into_inner) {
            None => Ok(()),
            Some((first, last)) if first == last => write!(f, ":{first}"),
            Some((first, last)) => write!(f, ":{first}-{last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(text: &str) -> Rule {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn rules_are_read_and_written() {
        for (text, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("192.0.2.7:443", "192.0.2.7/32:443"),
            ("127.1", "127.0.0.1/32"),
            ("fd00::/8", "fd00::/8"),
            ("[fd00::/8]:8000-8999", "[fd00::/8]:8000-8999"),
            ("::1", "::1/128"),
            ("[::1]:80", "[::1/128]:80"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("Example.ORG.", "example.org"),
            ("example.org..", "example.org"),
            ("*.example.org。", "*.example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("*.example.org:443", "*.example.org:443"),
            ("*", "*"),
            ("*:25", "*:25"),
            (" example.org ", "example.org"),
        ] {
            assert_eq!(rule(text).to_string(), shown, "{text}");
            assert_eq!(rule(shown), rule(text), "{shown}");
        }
    }

    #[test]
    fn what_is_no_rule_is_told() {
        for (text, why) in [
            ("", "neither"),
            ("10.0.0.1/8", "did you mean 10.0.0.0/8?"),
            ("10.0.0.0/33", "no CIDR"),
            ("example.org/x", "no CIDR"),
            ("example.org:0", "no port"),
            ("example.org:", "no port"),
            ("example.org:+1", "no port"),
            ("example.org:70000", "no port"),
            ("example.org:90-80", "ends before it begins"),
            ("[::1", "closing bracket"),
            ("[::1]80", "after the bracket"),
            ("a.*.example", "asterisk"),
            ("*.10.0.0.1", "no subdomains"),
            ("http://example.org", "is a URL"),
            ("a b", "neither"),
        ] {
            let error = text.parse::<Rule>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn rules_apply_to_what_they_name() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(rule("10.0.0.0/8").covers(address("10.1.2.3"), 1));
        assert!(rule("10.0.0.0/8").covers(address("::ffff:10.1.2.3"), 1));
        assert!(!rule("10.0.0.0/8").covers(address("11.1.2.3"), 1));
        assert!(!rule("10.0.0.0/8:443").covers(address("10.1.2.3"), 1));
        assert!(rule("*:25").covers(address("1.1.1.1"), 25));
        assert!(rule("example.org").names("example.org", 1));
        assert!(!rule("example.org").names("a.example.org", 1));
        assert!(rule("*.example.org").names("a.b.example.org", 1));
        assert!(!rule("*.example.org").names("example.org", 1));
        assert!(!rule("*.example.org").names("badexample.org", 1));
        assert!(!rule("example.org").covers(address("10.1.2.3"), 1));
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_what_is_shown_is_read_the_same(text in "\\PC{0,40}") {
            if let Ok(rule) = text.parse::<Rule>() {
                prop_assert_eq!(rule.to_string().parse::<Rule>().unwrap(), rule);
            }
        }

        #[test]
        fn near_rules_do_not_panic(text in "[\\[\\]0-9a-f:./*-]{0,30}") {
            if let Ok(rule) = text.parse::<Rule>() {
                prop_assert_eq!(rule.to_string().parse::<Rule>().unwrap(), rule);
            }
        }
    }
}
