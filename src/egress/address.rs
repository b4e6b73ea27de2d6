//! Which addresses are special.
//!
//! The IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its updates, as of
//! 2025), RFC 5771 and RFC 4291 for multicast. What is not known to be global is special.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::metrics::EgressRule;

/// What is special about `address`; `None` when it is an address of the public internet.
pub(super) fn special(address: IpAddr) -> Option<EgressRule> {
    match address.to_canonical() {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<EgressRule> {
    let [a, b, c, d] = address.octets();
    let rule = match (a, b, c) {
        // "This network" (RFC 791): Linux takes 0.0.0.0 for the machine itself.
        (0, ..) => EgressRule::Unspecified,
        (127, ..) => EgressRule::Loopback,
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => EgressRule::Private,
        (169, 254, _) => EgressRule::LinkLocal,
        // Shared by carriers (RFC 6598), and by clouds for their insides.
        (100, 64..=127, _) => EgressRule::Cgnat,
        (224..=239, ..) => EgressRule::Multicast,
        // Two anycast addresses among the protocol assignments are global (RFC 7723, RFC 8155).
        (192, 0, 0) if d == 9 || d == 10 => return None,
        // Protocol assignments, documentation, 6to4 relays, benchmarks, and what is reserved up to
        // the broadcast address.
        (192, 0, 0 | 2)
        | (192, 88, 99)
        | (198, 18..=19, _)
        | (198, 51, 100)
        | (203, 0, 113)
        | (240.., ..) => EgressRule::Reserved,
        _ => return None,
    };
    Some(rule)
}

fn special_v6(address: Ipv6Addr) -> Option<EgressRule> {
    let [a, b, c, d, ..] = address.segments();
    if let Some(inner) = embedded(address) {
        // A translator of the well-known prefix reaches what the inner address says. 6to4 is
        // deprecated (RFC 7526), and compatible addresses are as well (RFC 4291, 2.5.5.1).
        let is_nat64 = (a, b) == (0x64, 0xff9b);
        let usual = (!is_nat64).then_some(EgressRule::Reserved);
        if address != Ipv6Addr::UNSPECIFIED && address != Ipv6Addr::LOCALHOST {
            return special_v4(inner).or(usual);
        }
    }
    let rule = match (a, b, c, d) {
        _ if address == Ipv6Addr::UNSPECIFIED => EgressRule::Unspecified,
        _ if address == Ipv6Addr::LOCALHOST => EgressRule::Loopback,
        // Unique local (RFC 4193), and the site-local that came before (RFC 3879).
        (0xfc00..=0xfdff, ..) | (0xfec0..=0xfeff, ..) => EgressRule::Private,
        (0xfe80..=0xfebf, ..) => EgressRule::LinkLocal,
        (0xff00.., ..) => EgressRule::Multicast,
        // Of the protocol assignments 2001::/23 these are global: anycast for PCP, TURN and DNS-SD,
        // AMT, AS112, ORCHIDv2 and drone identifiers.
        (0x2001, 0x1, 0, 0) if matches!(address.segments(), [.., 0, 0, 0, 1..=3]) => return None,
        (0x2001, 0x3, ..) | (0x2001, 0x4, 0x112, _) | (0x2001, 0x20..=0x3f, ..) => return None,
        // The others, Teredo among them; documentation (RFC 3849, RFC 9637).
        (0x2001, 0..=0x1ff, ..) | (0x2001, 0xdb8, ..) | (0x3fff, 0..=0xfff, ..) => {
            EgressRule::Reserved
        }
        // All that is global unicast (RFC 4291, 2.4) and assigned at all.
        (0x2000..=0x3fff, ..) => return None,
        _ => EgressRule::Reserved,
    };
    Some(rule)
}

/// The IPv4 address that an IPv6 address carries: NAT64 (RFC 6052), 6to4 (RFC 3056), compatible
/// (RFC 4291). Mapped ones are IPv4 addresses by then.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match [a, b, c, d, e, f] {
        [0x64, 0xff9b, 0, 0, 0, 0] | [0, 0, 0, 0, 0, 0] => Some(of(g, h)),
        [0x2002, ..] => Some(of(b, c)),
        _ => None,
    }
}

/// Where clouds tell a machine its credentials: EC2 and all who copied it, ECS and EKS, Alibaba,
/// Oracle, Azure's wire server, Scaleway, Tencent; then EC2 and EKS, Google, Scaleway and OpenStack
/// over IPv6. From the documentation of each.
const METADATA: [IpAddr; 13] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 42, 42)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 0, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
    IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe)),
];

/// The names by which they are asked for. A name is looked up by whoever dials, so an upstream proxy
/// would find them, too.
const METADATA_NAMES: [&str; 8] = [
    "metadata",
    "metadata.goog",
    "metadata.google.internal",
    "metadata.azure.internal",
    "metadata.tencentyun.com",
    "metadata.platformequinix.com",
    "instance-data",
    "instance-data.ec2.internal",
];

/// Whether `address` is one of a metadata service, also when it is wrapped in another.
pub(super) fn is_metadata(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let inner = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => embedded(address).map(IpAddr::V4),
    };
    METADATA.contains(&address) || inner.is_some_and(|inner| METADATA.contains(&inner))
}

/// Whether `name`, in lower case and without a final dot, is that of a metadata service.
pub(super) fn is_metadata_name(name: &str) -> bool {
    METADATA_NAMES.contains(&name)
}

/// What a name alone says of where it leads, for when somebody else looks it up: the names that are
/// reserved for the inside of a machine or a network (RFC 6761, RFC 6762, RFC 8375, and ICANN's
/// `internal`), and those without a dot, which only an inside knows.
pub(super) fn special_name(name: &str) -> Option<EgressRule> {
    let last = name.rsplit('.').next().unwrap_or(name);
    match last {
        "localhost" => Some(EgressRule::Loopback),
        "local" | "internal" | "intranet" | "lan" | "home" | "corp" | "private" => {
            Some(EgressRule::Private)
        }
        _ if name == "home.arpa" || name.ends_with(".home.arpa") => Some(EgressRule::Private),
        _ if !name.contains('.') => Some(EgressRule::Private),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<EgressRule> {
        special(text.parse().unwrap())
    }

    #[test]
    fn public_addresses_are_not_special() {
        for global in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.0.9",
            "192.0.0.10",
            "192.0.1.0",
            "192.31.196.1",
            "192.167.255.255",
            "192.169.0.0",
            "192.175.48.1",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.114.0",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "64:ff9b::8.8.8.8",
            "2001:1::1",
            "2001:4:112::1",
            "2001:20::1",
            "2001:4860:4860::8888",
            "2606:4700:4700::1111",
            "2a00:1450::1",
            "3ffe::1",
        ] {
            assert_eq!(of(global), None, "{global}");
        }
    }

    #[test]
    fn special_addresses_are_told_apart() {
        use EgressRule::{Cgnat, LinkLocal, Loopback, Multicast, Private, Reserved, Unspecified};
        for (text, rule) in [
            ("0.0.0.0", Unspecified),
            ("0.1.2.3", Unspecified),
            ("10.0.0.0", Private),
            ("10.255.255.255", Private),
            ("100.64.0.0", Cgnat),
            ("100.127.255.255", Cgnat),
            ("127.0.0.1", Loopback),
            ("127.255.255.254", Loopback),
            ("169.254.0.1", LinkLocal),
            ("172.16.0.0", Private),
            ("172.31.255.255", Private),
            ("192.0.0.1", Reserved),
            ("192.0.0.170", Reserved),
            ("192.0.2.1", Reserved),
            ("192.88.99.1", Reserved),
            ("192.168.0.1", Private),
            ("198.18.0.1", Reserved),
            ("198.19.255.255", Reserved),
            ("198.51.100.1", Reserved),
            ("203.0.113.1", Reserved),
            ("224.0.0.1", Multicast),
            ("239.255.255.255", Multicast),
            ("240.0.0.1", Reserved),
            ("255.255.255.255", Reserved),
            ("::", Unspecified),
            ("::1", Loopback),
            ("::2", Unspecified),
            ("::127.0.0.1", Loopback),
            ("::8.8.8.8", Reserved),
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:10.0.0.1", Private),
            ("::ffff:0:127.0.0.1", Reserved),
            ("64:ff9b::127.0.0.1", Loopback),
            ("64:ff9b::10.0.0.1", Private),
            ("64:ff9b:1::1", Reserved),
            ("100::1", Reserved),
            ("2001::1", Reserved),
            ("2001:2::1", Reserved),
            ("2001:10::1", Reserved),
            ("2001:db8::1", Reserved),
            ("2002:7f00:1::", Loopback),
            ("2002:a00:1::", Private),
            ("2002:808:808::", Reserved),
            ("3fff::1", Reserved),
            ("4000::1", Reserved),
            ("5f00::1", Reserved),
            ("fc00::1", Private),
            ("fdff::1", Private),
            ("fe80::1", LinkLocal),
            ("febf::1", LinkLocal),
            ("fec0::1", Private),
            ("ff02::1", Multicast),
        ] {
            assert_eq!(of(text), Some(rule), "{text}");
        }
    }

    #[test]
    fn metadata_is_known_in_every_wrapping() {
        for text in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::",
            "::169.254.169.254",
            "fd00:ec2::254",
            "168.63.129.16",
        ] {
            assert!(is_metadata(text.parse().unwrap()), "{text}");
        }
        assert!(!is_metadata("169.254.169.253".parse().unwrap()));
        assert!(is_metadata_name("metadata.google.internal"));
    }

    #[test]
    fn names_of_the_inside_are_known() {
        for (name, rule) in [
            ("localhost", Some(EgressRule::Loopback)),
            ("a.localhost", Some(EgressRule::Loopback)),
            ("printer.local", Some(EgressRule::Private)),
            ("db.internal", Some(EgressRule::Private)),
            ("router.home.arpa", Some(EgressRule::Private)),
            ("intranet", Some(EgressRule::Private)),
            ("example.org", None),
            ("local.example.org", None),
        ] {
            assert_eq!(special_name(name), rule, "{name}");
        }
    }
}
