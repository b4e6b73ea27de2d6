//! What each part of the broker is told of the configuration.

use super::Config;
use crate::{
    broker::{LeaseConfig, Quotas},
    browser::{self, Isolation, isolation, launch},
    egress::{self, Detour, ProxyError},
    fetch,
    health::Thresholds,
};

impl Config {
    /// What the browser pool needs to know.
    #[must_use]
    pub fn pool(&self) -> browser::Config {
        browser::Config {
            max_browsers: self.max_browsers,
            min_warm: self.min_warm,
            seats_per_browser: self.seats_per_browser,
            queue: self.queue,
            max_age: self.browser_max_age,
            idle_timeout: self.browser_idle_timeout,
            max_uses: self.browser_max_uses,
            max_drift: self.browser_max_drift,
            limits: self.limits(),
            isolation: Isolation::default(),
            check_timeout: self.health_check_timeout,
            check_interval: self.health_check_interval,
            canary_interval: self.canary_interval,
            canary_timeout: self.canary_timeout,
            leak_interval: self.leak_interval,
            launch: launch::Options {
                executable: self.browser.clone(),
                extra_args: self.browser_args.clone(),
                timeout: self.launch_timeout,
            },
        }
    }

    /// The rules on where the broker and its browsers may go.
    #[must_use]
    pub fn egress(&self) -> egress::Settings {
        egress::Settings {
            allow: self.egress_allow.clone(),
            deny: self.egress_deny.clone(),
            fallback: self.egress_default,
            report_only: self.egress_report_only,
        }
    }

    /// The operator's proxy, with the name and password that are in its file.
    ///
    /// # Errors
    /// See [`ProxyError`].
    pub fn egress_detour(&self) -> Result<Option<Detour>, ProxyError> {
        let Some(proxy) = self.egress_proxy.clone() else {
            return Ok(None);
        };
        let proxy = match &self.egress_proxy_credentials {
            Some(path) => proxy.with_credentials_of(path)?,
            None => proxy,
        };
        let detour = Detour::new(proxy, &self.egress_proxy_bypass);
        detour.map(Some).map_err(ProxyError::Bypass)
    }

    /// What stands between browsers and the machine.
    #[must_use]
    pub fn isolation(&self) -> isolation::Options {
        isolation::Options {
            jail: self.jail,
            readable: self.jail_paths.clone(),
            limits: self.limits(),
            no_sandbox: self.browser_args.iter().any(|arg| arg == "--no-sandbox"),
        }
    }

    fn limits(&self) -> browser::Limits {
        browser::Limits {
            memory: self.browser_memory_limit,
            processes: self.browser_process_limit,
            cpu: self.browser_cpu_limit,
            throttled: false,
        }
    }

    /// What is still well.
    #[must_use]
    pub fn thresholds(&self) -> Thresholds {
        Thresholds {
            launch_failures: self.health_launch_failures,
            canary_failures: self.canary_failures,
            canary_max_age: self.canary_max_age,
            queue_percent: self.health_queue_percent,
            fds_degraded: self.health_fds_degraded,
            fds_unhealthy: self.health_fds_unhealthy,
            disk_degraded: self.health_disk_degraded,
            disk_unhealthy: self.health_disk_unhealthy,
        }
    }

    /// The bounds and defaults of leases.
    #[must_use]
    pub fn leases(&self) -> LeaseConfig {
        LeaseConfig {
            ttl: self.lease_ttl,
            max_ttl: self.lease_max_ttl,
            lifetime: self.lease_lifetime,
            max_lifetime: self.lease_max_lifetime,
            detach_grace: self.lease_detach_grace,
            max_wait: self.lease_max_wait,
            download_quota: self.lease_download_quota,
        }
    }

    /// What owners may have.
    #[must_use]
    pub fn quotas(&self) -> Quotas {
        Quotas {
            usual: self.owner_quota,
            of: self.owner_quotas.clone(),
        }
    }

    /// What fetches need to know.
    #[must_use]
    pub fn fetches(&self) -> fetch::Config {
        fetch::Config {
            max_connections: self.http_max_connections,
            max_idle_per_host: self.http_max_idle_per_host,
            connect_timeout: self.http_connect_timeout,
            idle_timeout: self.http_idle_timeout,
            first_byte_timeout: self.http_first_byte_timeout,
            read_timeout: self.http_read_timeout,
            extra_roots: self.http_ca_file.clone(),
            cache: fetch::CacheConfig {
                memory: self.cache_bytes,
                dir: self.cache_dir.clone(),
                disk: self.cache_disk_bytes,
            },
            user_agent: self.user_agent.clone(),
            browser_concurrency: self.fetch_concurrency,
            queue: self.queue,
        }
    }
}
