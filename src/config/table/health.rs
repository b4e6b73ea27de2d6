//! The settings of health: what is looked at, and from where on it is no longer well.

use std::time::Duration;

use super::{DAY, HOUR, Kind, MINUTE, Preset::Text, SECOND, Setting, TENTH, setting};

pub(super) const HEALTH: &[Setting] = &[
    setting(
        "canary-interval",
        Text("60s"),
        Kind::Duration(Duration::ZERO..=HOUR, |c| &mut c.canary_interval),
        "How often a page is really loaded in a browser to see that it can be; with 0s never",
    ),
    setting(
        "canary-timeout",
        Text("10s"),
        Kind::Duration(TENTH..=MINUTE, |c| &mut c.canary_timeout),
        "How long that page has to load",
    ),
    setting(
        "canary-max-age",
        Text("5m"),
        Kind::Duration(SECOND..=DAY, |c| &mut c.canary_max_age),
        "The pool is unhealthy when that page last loaded longer ago, unless browsers were busy; \
         at least canary_interval",
    ),
    setting(
        "canary-failures",
        Text("2"),
        Kind::U32(1..=1000, |c| &mut c.canary_failures),
        "The pool is unhealthy after that page has failed so often in a row; before, it is degraded",
    ),
    setting(
        "health-launch-failures",
        Text("3"),
        Kind::U32(1..=1000, |c| &mut c.health_launch_failures),
        "The pool is unhealthy after so many failed launches in a row; before, it is degraded",
    ),
    setting(
        "health-queue-percent",
        Text("100"),
        Kind::U64(1..=100, |c| &mut c.health_queue_percent),
        "Pool or HTTP client are degraded when so much of their queue is taken",
    ),
    setting(
        "health-fds-degraded",
        Text("90"),
        Kind::U64(1..=100, |c| &mut c.health_fds_degraded),
        "Resources are degraded when so many percent of the file descriptors are in use; at most \
         health_fds_unhealthy",
    ),
    setting(
        "health-fds-unhealthy",
        Text("97"),
        Kind::U64(1..=100, |c| &mut c.health_fds_unhealthy),
        "Resources and HTTP client are unhealthy when so many percent of the file descriptors are \
         in use",
    ),
    setting(
        "health-disk-degraded",
        Text("256MiB"),
        Kind::Limit(1..=1 << 60, |c| &mut c.health_disk_degraded),
        "Resources are degraded when less is free where run_dir is",
    ),
    setting(
        "health-disk-unhealthy",
        Text("32MiB"),
        Kind::Limit(1..=1 << 60, |c| &mut c.health_disk_unhealthy),
        "Resources are unhealthy when less is free where run_dir is; at most health_disk_degraded",
    ),
    setting(
        "leak-interval",
        Text("30s"),
        Kind::Duration(Duration::ZERO..=HOUR, |c| &mut c.leak_interval),
        "How often what the broker owns is compared with what the kernel shows; with 0s never",
    ),
];
