//! The settings of leases.

use std::time::Duration;

use super::{DAY, Kind, MONTH, Preset::Text, SECOND, Setting, setting};

pub(super) const LEASES: &[Setting] = &[
    setting(
        "lease-ttl",
        Text("60s"),
        Kind::Duration(SECOND..=MONTH, |c| &mut c.lease_ttl),
        "The TTL of a lease when the client names none; at most lease_max_ttl",
    ),
    setting(
        "lease-max-ttl",
        Text("1h"),
        Kind::Duration(SECOND..=MONTH, |c| &mut c.lease_max_ttl),
        "The longest TTL a client may ask for",
    ),
    setting(
        "lease-lifetime",
        Text("1h"),
        Kind::Duration(SECOND..=MONTH, |c| &mut c.lease_lifetime),
        "The lifetime of a lease, however often renewed, when the client names none; at most \
         lease_max_lifetime",
    ),
    setting(
        "lease-max-lifetime",
        Text("24h"),
        Kind::Duration(SECOND..=MONTH, |c| &mut c.lease_max_lifetime),
        "The longest lifetime a lease can have",
    ),
    setting(
        "lease-detach-grace",
        Text("10s"),
        Kind::Duration(Duration::ZERO..=DAY, |c| &mut c.lease_detach_grace),
        "How long a client that left may stay away when it names no grace",
    ),
    setting(
        "lease-max-wait",
        Text("5m"),
        Kind::Duration(Duration::ZERO..=DAY, |c| &mut c.lease_max_wait),
        "How long a caller may wait for a browser",
    ),
];
