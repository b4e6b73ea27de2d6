//! What settings must be to each other, and what is allowed but worth a word.

use std::net::SocketAddr;

use super::{problem::Problem, settings::Chosen, values::Config};
use crate::auth::OpsAuth;

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
    problems.extend(open(config, chosen));
    problems.extend(halves(config, chosen));
    problems
}

/// Whether others than this machine reach it.
fn is_open(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

/// What is open to everybody by accident. The gateway is not: the path of a lease is its permission.
fn open(config: &Config, chosen: &[Chosen]) -> Vec<Problem> {
    if config.auth.insecure {
        return Vec::new();
    }
    let asks = config.auth.is_asking();
    let ops = is_open(config.ops_listen) && !asks && config.auth.ops == OpsAuth::Auto;
    [
        ("listen", config.listen, is_open(config.listen) && !asks, ""),
        (
            "ops-listen",
            config.ops_listen,
            ops,
            " (or ops_auth = \"off\", where anybody may read it)",
        ),
    ]
    .into_iter()
    .filter(|(.., refused, _)| *refused)
    .filter_map(|(flag, address, _, or)| {
        let here = find(chosen, flag)?;
        Some(here.problem(format!(
            "others reach {address}, and nobody is asked who they are: set auth_tokens (`berth token \
             new` makes one), auth_jwks or tls_client_ca{or}, or insecure_no_auth to be open to all"
        )))
    })
    .collect()
}

/// Settings that mean nothing without another.
fn halves(config: &Config, chosen: &[Chosen]) -> Vec<Problem> {
    let auth = &config.auth;
    let ops_on = auth.ops == OpsAuth::On;
    [
        (
            "tls-cert",
            auth.tls_cert.is_some(),
            "tls_key",
            auth.tls_key.is_some(),
        ),
        (
            "tls-key",
            auth.tls_key.is_some(),
            "tls_cert",
            auth.tls_cert.is_some(),
        ),
        (
            "tls-client-ca",
            auth.tls_client_ca.is_some(),
            "tls_cert",
            auth.has_tls(),
        ),
        (
            "tls-admin",
            !auth.tls_admin.is_empty(),
            "tls_client_ca",
            auth.tls_client_ca.is_some(),
        ),
        (
            "auth-jwks",
            auth.jwks.is_some(),
            "auth_jwt_issuer",
            !auth.jwt_issuer.is_empty(),
        ),
        (
            "auth-jwks",
            auth.jwks.is_some(),
            "auth_jwt_audience",
            !auth.jwt_audience.is_empty(),
        ),
        (
            "auth-jwt-admin",
            auth.jwt_admin.is_some(),
            "auth_jwks",
            auth.jwks.is_some(),
        ),
        (
            "egress-proxy-credentials",
            config.egress_proxy_credentials.is_some(),
            "egress_proxy",
            config.egress_proxy.is_some(),
        ),
        (
            "egress-proxy-bypass",
            !config.egress_proxy_bypass.is_empty(),
            "egress_proxy",
            config.egress_proxy.is_some(),
        ),
        (
            "ops-auth",
            ops_on,
            "auth_tokens, auth_jwks or tls_client_ca",
            auth.is_asking(),
        ),
    ]
    .into_iter()
    .filter(|(_, one, _, other)| *one && !*other)
    .filter_map(|(flag, _, other, _)| {
        Some(find(chosen, flag)?.problem(format!("needs {other} beside it")))
    })
    .collect()
}

/// What is allowed but worth a word.
pub(super) fn exposed(config: &Config) -> Vec<String> {
    let (asks, tls) = (config.auth.is_asking(), config.auth.has_tls());
    let mut warnings = Vec::new();
    let mut warn = |name, address: SocketAddr, is: bool, why: &str| {
        if is && is_open(address) {
            warnings.push(format!("{name}: {why} {address}"));
        }
    };
    let (grpc, gateway, ops) = (config.listen, config.gateway_listen, config.ops_listen);
    let all = "nobody is asked who they are: a browser on this machine is at the command of whoever \
               reaches";
    warn("listen", grpc, !asks, all);
    let plain = "tokens can be read on the way: there is no TLS (tls_cert) at";
    warn("listen", grpc, asks && !tls, plain);
    let lease =
        "the secret addresses of leases can be read on the way: there is no TLS (tls_cert) at";
    let behind = config.gateway_public_url.is_some();
    warn("gateway_listen", gateway, !tls && !behind, lease);
    let read = "metrics, owners and leases are shown to whoever reaches";
    warn("ops_listen", ops, !config.auth.asks_at_ops(true), read);
    warnings
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
            ["ops_listen: metrics, owners and leases are shown to whoever reaches 0.0.0.0:9464"]
        );
        config.auth.tokens = Some("tokens.toml".into());
        assert!(exposed(&config).is_empty());
        config.listen = "10.0.0.1:50051".parse().unwrap();
        let warnings = exposed(&config);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("there is no TLS"), "{warnings:?}");
        config.auth.tls_cert = Some("cert.pem".into());
        assert!(exposed(&config).is_empty());
    }
}
