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
        "dns-server",
        Nothing("those of /etc/resolv.conf"),
        Kind::Addresses(|c| &mut c.dns_servers),
        "The DNS servers that fetches ask, after /etc/hosts",
    ),
];
