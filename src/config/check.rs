//! What settings must be to each other, and what is allowed but worth a word.

use std::net::SocketAddr;

use super::{problem::Problem, settings::Chosen, values::Config};

/// What went wrong between settings that are each right.
pub(super) fn together(config: &Config, chosen: &[Chosen]) -> Vec<Problem> {
    let pairs = [
        (
            "min-warm",
            "max-browsers",
            config.min_warm <= config.max_browsers,
        ),
        (
            "lease-ttl",
            "lease-max-ttl",
            config.lease_ttl <= config.lease_max_ttl,
        ),
        (
            "lease-lifetime",
            "lease-max-lifetime",
            config.lease_lifetime <= config.lease_max_lifetime,
        ),
        (
            "fetch-timeout",
            "fetch-max-timeout",
            config.fetch_timeout <= config.fetch_max_timeout,
        ),
        (
            "canary-interval",
            "canary-max-age",
            config.canary_interval <= config.canary_max_age,
        ),
        (
            "health-fds-degraded",
            "health-fds-unhealthy",
            config.health_fds_degraded <= config.health_fds_unhealthy,
        ),
        (
            "health-disk-unhealthy",
            "health-disk-degraded",
            config.health_disk_unhealthy <= config.health_disk_degraded
                || config.health_disk_degraded == 0,
        ),
    ];
    let mut problems = Vec::new();
    for (low, high, fits) in pairs {
        // A setting that is wrong by itself is reported for that alone.
        if let (false, Some(low), Some(high)) = (fits, find(chosen, low), find(chosen, high)) {
            problems.push(low.problem(format!(
                "must not be more than {} ({}): {} is more than {}",
                high.setting.key(),
                high.source,
                low.text,
                high.text
            )));
        }
    }
    let addresses = addresses(config);
    for (i, (name, address)) in addresses.iter().enumerate() {
        for (earlier_name, earlier) in &addresses[..i] {
            let (Some(here), Some(there)) = (find(chosen, name), find(chosen, earlier_name)) else {
                continue;
            };
            if collide(*address, *earlier) {
                problems.push(here.problem(format!(
                    "{address} is taken by {} ({})",
                    there.setting.key(),
                    there.source
                )));
            }
        }
    }
    problems
}

/// What is allowed but worth a word.
pub(super) fn exposed(config: &Config) -> Vec<String> {
    addresses(config)
        .into_iter()
        .filter(|(_, address)| !address.ip().to_canonical().is_loopback())
        .map(|(name, address)| {
            format!(
                "{}: anybody who reaches {address} can use it: there is no authentication yet",
                name.replace('-', "_")
            )
        })
        .collect()
}

/// What the operator has browsers started with that opens ways around their egress proxies.
pub(super) fn around(config: &Config) -> Option<String> {
    const ABOUT: [&str; 5] = ["proxy", "host-re", "host-rules", "webrtc", "quic"];
    let opens = |arg: &&String| ABOUT.iter().any(|about| arg.contains(about));
    let arg = config.browser_args.iter().find(opens)?;
    let flag = arg.split('=').next().unwrap_or_default();
    Some(format!(
        "browser_args: {flag} holds instead of what keeps browsers to the egress policy: nothing is \
         promised of where they go"
    ))
}

fn addresses(config: &Config) -> [(&'static str, SocketAddr); 3] {
    [
        ("listen", config.listen),
        ("gateway-listen", config.gateway_listen),
        ("ops-listen", config.ops_listen),
    ]
}

/// Whether not both can be listened on: an unspecified address includes the others.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let same = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    same && a.port() == b.port() && a.port() != 0
}

fn find<'a>(chosen: &'a [Chosen], flag: &str) -> Option<&'a Chosen> {
    chosen.iter().find(|chosen| chosen.setting.flag == flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_collide_on_one_port() {
        let collides = |a: &str, b: &str| collide(a.parse().unwrap(), b.parse().unwrap());
        assert!(collides("127.0.0.1:1", "127.0.0.1:1"));
        assert!(collides("0.0.0.0:1", "127.0.0.1:1"));
        assert!(collides("127.0.0.1:1", "[::]:1"));
        assert!(!collides("127.0.0.1:1", "127.0.0.1:2"));
        assert!(!collides("127.0.0.1:1", "127.0.0.2:1"));
        assert!(!collides("127.0.0.1:0", "127.0.0.1:0"));
    }

    #[test]
    fn only_loopback_is_silent() {
        let mut config = Config::default();
        assert!(exposed(&config).is_empty());
        config.gateway_listen = "[::1]:50052".parse().unwrap();
        config.ops_listen = "0.0.0.0:9464".parse().unwrap();
        let warnings = exposed(&config);
        assert_eq!(
            warnings,
            [
                "ops_listen: anybody who reaches 0.0.0.0:9464 can use it: there is no authentication yet"
            ]
        );
    }
}
