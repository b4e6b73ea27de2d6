//! The settings of what each owner may have. The file may say otherwise of single owners.

use super::{Kind, Preset::Text, Setting, setting};

pub(super) const OWNERS: &[Setting] = &[
    setting(
        "owner-max-leases",
        Text("0"),
        Kind::U32(0..=10_000, |c| &mut c.owner_quota.max_leases),
        "Leases of one owner at the same time, those it waits for counted in; with 0 any number",
    ),
    setting(
        "owner-max-fetches",
        Text("0"),
        Kind::U32(0..=1_000_000, |c| &mut c.owner_quota.max_fetches),
        "Fetches of one owner at the same time; with 0 any number",
    ),
    setting(
        "owner-max-waiting",
        Text("0"),
        Kind::U32(0..=1_000_000, |c| &mut c.owner_quota.max_waiting),
        "Requests of one owner that may wait for the same at the same time: for browsers, for seats, \
         for pages, for HTTP; with 0 as many as queue",
    ),
    setting(
        "owner-rate",
        Text("0"),
        Kind::U32(0..=1_000_000, |c| &mut c.owner_quota.rate),
        "Leases and fetches that one owner may ask for in a second; with 0 any number",
    ),
    setting(
        "owner-burst",
        Text("0"),
        Kind::U32(0..=1_000_000, |c| &mut c.owner_quota.burst),
        "So many of these may come at once after a time without any; with 0 those of a second",
    ),
];
