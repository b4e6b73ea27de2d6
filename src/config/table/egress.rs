//! The settings of where the broker and its browsers may go.

use super::{
    Kind,
    Preset::{Nothing, Text},
    Setting, setting,
};

pub(super) const EGRESS: &[Setting] = &[
    setting(
        "egress-allow",
        Nothing("none"),
        Kind::Rules(|c| &mut c.egress_allow),
        "Targets that are open though they lead inside, or though egress_default closes them; never \
         the broker's own ports, nor metadata services",
    ),
    setting(
        "egress-deny",
        Nothing("none"),
        Kind::Rules(|c| &mut c.egress_deny),
        "Targets that are closed, whatever is allowed",
    ),
    setting(
        "egress-default",
        Text("public"),
        Kind::Fallback(|c| &mut c.egress_default),
        "What is open when no rule is about it: all of the public internet, or nothing",
    ),
    setting(
        "egress-report-only",
        Text("false"),
        Kind::Switch(|c| &mut c.egress_report_only),
        "Log and count what would be denied, and let it through",
    ),
    setting(
        "egress-proxy",
        Nothing("none"),
        Kind::Proxy(|c| &mut c.egress_proxy),
        "The proxy that everything goes by, of fetches and of browsers alike; socks5 is told addresses, \
         all but socks4 else names; a caller's own proxy comes after it",
    ),
    setting(
        "egress-proxy-credentials",
        Nothing("none"),
        Kind::File(|c| &mut c.egress_proxy_credentials),
        "A file with the name and the password for that proxy, as NAME:PASSWORD; read at the start",
    ),
    setting(
        "egress-proxy-bypass",
        Nothing("none"),
        Kind::Bypass(|c| &mut c.egress_proxy_bypass),
        "What is reached without that proxy; <local> stands for names without a dot",
    ),
    setting(
        "dns-server",
        Nothing("those of /etc/resolv.conf"),
        Kind::Addresses(|c| &mut c.dns_servers),
        "The DNS servers that fetches ask, after /etc/hosts",
    ),
];
