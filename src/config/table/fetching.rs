//! The settings of fetches.

use std::thread::available_parallelism;

use super::{
    DAY, HOUR, Kind,
    Preset::{Found, Nothing, Text},
    SECOND, Setting, TENTH, setting,
};

pub(super) const FETCHING: &[Setting] = &[
    setting(
        "fetch-timeout",
        Text("30s"),
        Kind::Duration(TENTH..=DAY, |c| &mut c.fetch_timeout),
        "The time a fetch has when its caller gives no deadline; at most fetch_max_timeout",
    ),
    setting(
        "fetch-max-timeout",
        Text("5m"),
        Kind::Duration(TENTH..=DAY, |c| &mut c.fetch_max_timeout),
        "The longest a fetch may take, whatever its caller's deadline",
    ),
    setting(
        "fetch-concurrency",
        Found(twice_the_cores, "twice the available cores"),
        Kind::Usize(1..=10_000, |c| &mut c.fetch_concurrency),
        "Pages rendered at the same time",
    ),
    setting(
        "user-agent",
        Nothing("the fetcher's own"),
        Kind::Header(|c| &mut c.user_agent),
        "The User-Agent of fetches",
    ),
    setting(
        "http-max-connections",
        Text("100"),
        Kind::Usize(1..=100_000, |c| &mut c.http_max_connections),
        "HTTP connections at the same time",
    ),
    setting(
        "http-max-idle-per-host",
        Text("20"),
        Kind::Usize(0..=10_000, |c| &mut c.http_max_idle_per_host),
        "Idle HTTP connections kept for one host",
    ),
    setting(
        "http-connect-timeout",
        Text("10s"),
        Kind::Duration(TENTH..=HOUR, |c| &mut c.http_connect_timeout),
        "How long an HTTP connection may take to be made",
    ),
    setting(
        "http-idle-timeout",
        Text("90s"),
        Kind::Duration(SECOND..=DAY, |c| &mut c.http_idle_timeout),
        "How long an unused HTTP connection is kept",
    ),
    setting(
        "http-first-byte-timeout",
        Text("30s"),
        Kind::Duration(TENTH..=HOUR, |c| &mut c.http_first_byte_timeout),
        "How long an HTTP server may take to begin its response",
    ),
    setting(
        "http-read-timeout",
        Text("30s"),
        Kind::Duration(TENTH..=HOUR, |c| &mut c.http_read_timeout),
        "How long an HTTP server may stay silent within a response",
    ),
    setting(
        "http-ca-file",
        Nothing("none"),
        Kind::Executable(|c| &mut c.http_ca_file),
        "A PEM file of certificates that fetches trust besides those of the system",
    ),
    setting(
        "cache-bytes",
        Text("64MiB"),
        Kind::Limit(1 << 20..=16 << 40, |c| &mut c.cache_bytes),
        "What fetches keep of answers in memory; with 0 there is no cache",
    ),
    setting(
        "cache-dir",
        Nothing("none"),
        Kind::Executable(|c| &mut c.cache_dir),
        "Where fetches keep answers across restarts; one broker each",
    ),
    setting(
        "cache-disk-bytes",
        Text("1GiB"),
        Kind::Limit(1 << 20..=16 << 40, |c| &mut c.cache_disk_bytes),
        "What fetches keep of answers in cache_dir",
    ),
];

fn twice_the_cores() -> String {
    let cores = available_parallelism().map_or(1, usize::from);
    (2 * cores).to_string()
}
