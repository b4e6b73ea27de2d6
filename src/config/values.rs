//! The configuration as the rest of the broker reads it.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use url::Url;

use super::table;
use crate::{
    auth,
    broker::{PolicyMode, Quota},
    browser::jail,
    egress::{Fallback, Rule, Upstream},
    telemetry::Format,
};

/// Everything that can be set, checked. What each of them means to an operator, and its range, is
/// in [`reference`](super::reference).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the gRPC API listens.
    pub listen: SocketAddr,
    /// Where the CDP gateway listens.
    pub gateway_listen: SocketAddr,
    /// The base URL by which clients reach the gateway; `None` for the address it listens on.
    pub gateway_public_url: Option<Url>,
    /// Where health checks and metrics are served.
    pub ops_listen: SocketAddr,
    /// Who may call.
    pub auth: auth::Config,
    /// gRPC connections at the same time.
    pub max_connections: usize,
    /// How often a quiet gRPC connection is asked whether its client is still there.
    pub grpc_keepalive_interval: Duration,
    /// How long the answer may take.
    pub grpc_keepalive_timeout: Duration,
    /// The longest gRPC message taken or sent, in bytes.
    pub max_message_size: usize,
    /// The name of this broker in what it reports.
    pub node: String,
    /// How long running work has to end when the broker is told to stop.
    pub shutdown_timeout: Duration,
    /// The browser to launch; `None` for the first that is found.
    pub browser: Option<PathBuf>,
    /// Flags added to every browser's command line.
    pub browser_args: Vec<String>,
    /// Below it browsers keep their profiles.
    pub run_dir: PathBuf,
    /// Browsers at the same time, of whatever use.
    pub max_browsers: u32,
    /// Warm browsers kept ready.
    pub min_warm: u32,
    /// Contexts at the same time in one shared browser.
    pub seats_per_browser: usize,
    /// Callers that may wait for a browser.
    pub queue: usize,
    /// How long a browser has to start.
    pub launch_timeout: Duration,
    /// How long a browser has to answer a check.
    pub health_check_timeout: Duration,
    /// How often every browser is checked.
    pub health_check_interval: Duration,
    /// A browser older than this is not used again.
    pub browser_max_age: Duration,
    /// A browser beyond the warm ones is retired when unused for this long.
    pub browser_idle_timeout: Duration,
    /// A shared browser is retired after so many fetches.
    pub browser_max_uses: u64,
    /// A shared browser is retired when it is so many times as slow as when it was fresh; 0 for never.
    pub browser_max_drift: u32,
    /// The memory a browser's processes may take together, in bytes; 0 for no limit.
    pub browser_memory_limit: u64,
    /// The jail that browsers are put in.
    pub jail: jail::Choice,
    /// What else browsers in a jail may read.
    pub jail_paths: Vec<PathBuf>,
    /// A browser may have so many processes; 0 for no limit.
    pub browser_process_limit: u64,
    /// A browser may use so much processor time, in thousandths of a core; 0 for no limit.
    pub browser_cpu_limit: u64,
    /// The TTL of a lease when the client names none.
    pub lease_ttl: Duration,
    /// The longest TTL a client may ask for.
    pub lease_max_ttl: Duration,
    /// The lifetime of a lease when the client names none.
    pub lease_lifetime: Duration,
    /// The longest lifetime a lease can have.
    pub lease_max_lifetime: Duration,
    /// How long a client that left may stay away when it names no grace.
    pub lease_detach_grace: Duration,
    /// How long a caller may wait for a browser.
    pub lease_max_wait: Duration,
    /// Whether the CDP policy is in force.
    pub cdp_policy: PolicyMode,
    /// What the files of a lease may take together, in bytes; 0 for no limit.
    pub lease_download_quota: u64,
    /// The time a fetch has when its caller gives no deadline.
    pub fetch_timeout: Duration,
    /// The longest a fetch may take, whatever its caller's deadline.
    pub fetch_max_timeout: Duration,
    /// Pages rendered at the same time.
    pub fetch_concurrency: usize,
    /// The `User-Agent` of fetches; `None` for the fetcher's own.
    pub user_agent: Option<String>,
    /// HTTP connections at the same time.
    pub http_max_connections: usize,
    /// Idle HTTP connections kept for one host.
    pub http_max_idle_per_host: usize,
    /// How long an HTTP connection may take to be made.
    pub http_connect_timeout: Duration,
    /// How long an unused HTTP connection is kept.
    pub http_idle_timeout: Duration,
    /// How long an HTTP server may take to begin its response.
    pub http_first_byte_timeout: Duration,
    /// How long an HTTP server may stay silent within a response.
    pub http_read_timeout: Duration,
    /// What fetches keep of answers in memory, in bytes; 0 for nothing.
    pub cache_bytes: u64,
    /// Where fetches keep answers across restarts; `None` for nowhere.
    pub cache_dir: Option<PathBuf>,
    /// What fetches keep of answers there, in bytes; 0 for nothing.
    pub cache_disk_bytes: u64,
    /// A file of certificates that are trusted besides those of the system.
    pub http_ca_file: Option<PathBuf>,
    /// What is reachable though it would not be.
    pub egress_allow: Vec<Rule>,
    /// What is not reachable, whatever is allowed.
    pub egress_deny: Vec<Rule>,
    /// What holds for targets that no rule is about.
    pub egress_default: Fallback,
    /// Denials are told and not enforced.
    pub egress_report_only: bool,
    /// The proxy that everything goes by.
    pub egress_proxy: Option<Upstream>,
    /// A file with name and password for it.
    pub egress_proxy_credentials: Option<PathBuf>,
    /// What is reached without it.
    pub egress_proxy_bypass: Vec<String>,
    /// The DNS servers that are asked; none for the system's.
    pub dns_servers: Vec<SocketAddr>,
    /// What one owner may have.
    pub owner_quota: Quota,
    /// What single owners may have in its place, by name.
    pub owner_quotas: BTreeMap<String, Quota>,
    /// How often a canary page is loaded; zero for never.
    pub canary_interval: Duration,
    /// How long a canary page has to load.
    pub canary_timeout: Duration,
    /// How old the last canary that passed may be.
    pub canary_max_age: Duration,
    /// So many failed canaries in a row are unhealthy.
    pub canary_failures: u32,
    /// So many failed launches in a row are unhealthy.
    pub health_launch_failures: u32,
    /// So much of a queue taken is degraded, in percent.
    pub health_queue_percent: u64,
    /// So many file descriptors in use are degraded, in percent.
    pub health_fds_degraded: u64,
    /// So many file descriptors in use are unhealthy, in percent.
    pub health_fds_unhealthy: u64,
    /// Less free disk than this is degraded, in bytes; 0 for no limit.
    pub health_disk_degraded: u64,
    /// Less free disk than this is unhealthy, in bytes; 0 for no limit.
    pub health_disk_unhealthy: u64,
    /// How often leaks are looked for; zero for never.
    pub leak_interval: Duration,
    /// What is logged: a level or a list of directives.
    pub log_level: String,
    /// How log lines look.
    pub log_format: Format,
    /// Where traces are sent; `None` for nowhere.
    pub otlp_endpoint: Option<Url>,
}

impl Config {
    /// What the table of settings is applied to. No field is good for anything before it is.
    pub(super) fn unset() -> Self {
        let nowhere = SocketAddr::from(([0; 4], 0));
        let never = Duration::ZERO;
        Self {
            listen: nowhere,
            gateway_listen: nowhere,
            gateway_public_url: None,
            ops_listen: nowhere,
            auth: auth::Config::default(),
            max_connections: 0,
            grpc_keepalive_interval: never,
            grpc_keepalive_timeout: never,
            max_message_size: 0,
            node: String::new(),
            shutdown_timeout: never,
            browser: None,
            browser_args: Vec::new(),
            run_dir: PathBuf::new(),
            max_browsers: 0,
            min_warm: 0,
            seats_per_browser: 0,
            queue: 0,
            launch_timeout: never,
            health_check_timeout: never,
            health_check_interval: never,
            browser_max_age: never,
            browser_idle_timeout: never,
            browser_max_uses: 0,
            browser_max_drift: 0,
            browser_memory_limit: 0,
            jail: jail::Choice::Auto,
            jail_paths: Vec::new(),
            browser_process_limit: 0,
            browser_cpu_limit: 0,
            lease_ttl: never,
            lease_max_ttl: never,
            lease_lifetime: never,
            lease_max_lifetime: never,
            lease_detach_grace: never,
            lease_max_wait: never,
            cdp_policy: PolicyMode::Enforce,
            lease_download_quota: 0,
            fetch_timeout: never,
            fetch_max_timeout: never,
            fetch_concurrency: 0,
            user_agent: None,
            http_max_connections: 0,
            http_max_idle_per_host: 0,
            http_connect_timeout: never,
            http_idle_timeout: never,
            http_first_byte_timeout: never,
            http_read_timeout: never,
            http_ca_file: None,
            cache_bytes: 0,
            cache_dir: None,
            cache_disk_bytes: 0,
            egress_allow: Vec::new(),
            egress_deny: Vec::new(),
            egress_default: Fallback::Public,
            egress_report_only: false,
            egress_proxy: None,
            egress_proxy_credentials: None,
            egress_proxy_bypass: Vec::new(),
            dns_servers: Vec::new(),
            owner_quota: Quota::default(),
            owner_quotas: BTreeMap::new(),
            canary_interval: never,
            canary_timeout: never,
            canary_max_age: never,
            canary_failures: 0,
            health_launch_failures: 0,
            health_queue_percent: 0,
            health_fds_degraded: 0,
            health_fds_unhealthy: 0,
            health_disk_degraded: 0,
            health_disk_unhealthy: 0,
            leak_interval: never,
            log_level: String::new(),
            log_format: Format::Auto,
            otlp_endpoint: None,
        }
    }
}

impl Default for Config {
    /// Every setting at its default.
    fn default() -> Self {
        let mut config = Self::unset();
        for setting in table::settings() {
            let applied = setting.kind.apply(&mut config, &setting.default.text());
            debug_assert!(applied.is_ok(), "the default of {}", setting.flag);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_contract() {
        let config = Config::default();
        let secs = Duration::from_secs;
        let cores = std::thread::available_parallelism().unwrap().get();
        let contract = Config {
            listen: "127.0.0.1:50051".parse().unwrap(),
            gateway_listen: "127.0.0.1:50052".parse().unwrap(),
            gateway_public_url: None,
            ops_listen: "127.0.0.1:9464".parse().unwrap(),
            auth: auth::Config {
                jwt_owner_claim: "sub".into(),
                ..auth::Config::default()
            },
            max_connections: 1000,
            grpc_keepalive_interval: secs(10),
            grpc_keepalive_timeout: secs(5),
            max_message_size: 16 << 20,
            node: config.node.clone(),
            shutdown_timeout: secs(10),
            browser: None,
            browser_args: Vec::new(),
            run_dir: crate::browser::RunDir::default_root(),
            max_browsers: 3,
            min_warm: 1,
            seats_per_browser: 8,
            queue: 100,
            launch_timeout: secs(30),
            health_check_timeout: secs(5),
            health_check_interval: secs(5),
            browser_max_age: secs(300),
            browser_idle_timeout: secs(60),
            browser_max_uses: 1000,
            browser_max_drift: 4,
            browser_memory_limit: 2 << 30,
            jail: jail::Choice::Auto,
            jail_paths: Vec::new(),
            browser_process_limit: 256,
            browser_cpu_limit: 0,
            lease_ttl: secs(60),
            lease_max_ttl: secs(3600),
            lease_lifetime: secs(3600),
            lease_max_lifetime: secs(24 * 3600),
            lease_detach_grace: secs(10),
            lease_max_wait: secs(300),
            cdp_policy: PolicyMode::Enforce,
            lease_download_quota: 1 << 30,
            fetch_timeout: secs(30),
            fetch_max_timeout: secs(300),
            fetch_concurrency: 2 * cores,
            user_agent: None,
            http_max_connections: 100,
            http_max_idle_per_host: 20,
            http_connect_timeout: secs(10),
            http_idle_timeout: secs(90),
            http_first_byte_timeout: secs(30),
            http_read_timeout: secs(30),
            http_ca_file: None,
            cache_bytes: 64 << 20,
            cache_dir: None,
            cache_disk_bytes: 1 << 30,
            egress_allow: Vec::new(),
            egress_deny: Vec::new(),
            egress_default: Fallback::Public,
            egress_report_only: false,
            egress_proxy: None,
            egress_proxy_credentials: None,
            egress_proxy_bypass: Vec::new(),
            dns_servers: Vec::new(),
            owner_quota: Quota::default(),
            owner_quotas: BTreeMap::new(),
            canary_interval: secs(60),
            canary_timeout: secs(10),
            canary_max_age: secs(300),
            canary_failures: 2,
            health_launch_failures: 3,
            health_queue_percent: 100,
            health_fds_degraded: 90,
            health_fds_unhealthy: 97,
            health_disk_degraded: 256 << 20,
            health_disk_unhealthy: 32 << 20,
            leak_interval: secs(30),
            log_level: "info".into(),
            log_format: Format::Auto,
            otlp_endpoint: None,
        };
        assert_eq!(config, contract);
        assert!(!config.node.is_empty());
    }

    #[test]
    fn floors_get_their_part() {
        let config = Config {
            browser: Some("/usr/bin/chromium".into()),
            browser_args: vec!["--mute-audio".into()],
            ..Config::default()
        };
        let pool = config.pool();
        assert_eq!(pool.max_browsers, 3);
        assert_eq!(pool.limits.memory, 2 << 30);
        assert_eq!(pool.launch.executable, config.browser);
        assert_eq!(pool.launch.extra_args, config.browser_args);
        let leases = config.leases();
        assert_eq!(leases.ttl, Duration::from_secs(60));
        assert_eq!(leases.max_wait, Duration::from_secs(300));
    }
}
