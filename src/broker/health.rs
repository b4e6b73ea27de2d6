//! The live state in the form that health is judged by.

use super::{Broker, Status};
use crate::{
    browser::State,
    egress::Route,
    fetch,
    health::{BrowserPool, Cache, Checks, Egress, Health, HttpClient, Resources, Stage, Verdict},
};

impl Broker {
    /// How the broker is. Cheap, and it waits for nothing: everything in it is a count that is kept
    /// or a sample that was taken before.
    #[must_use]
    pub fn health(&self) -> Health {
        self.judged(&self.status())
    }

    pub(super) fn judged(&self, status: &Status) -> Health {
        let (draining, checks) = (status.draining, self.checks(status));
        let started = status.launches > 0 || self.is_cold();
        Health::judge(checks, Stage { started, draining }, &self.0.thresholds)
    }

    /// Nobody keeps a browser warm, and nobody tries one: it is not known whether one can be had
    /// before somebody asks.
    fn is_cold(&self) -> bool {
        let config = self.0.pool.config();
        config.min_warm == 0 && config.canary_interval.is_zero()
    }

    fn checks(&self, status: &Status) -> Checks {
        let load = &status.fetches;
        Checks {
            browser_pool: self.browser_pool(status),
            http_client: HttpClient {
                verdict: Verdict::default(),
                active: load.active,
                waiting: load.waiting,
                queue: load.queue,
                limit: load.limit,
                connections_active: load.connections.active,
                connections_idle: load.connections.idle,
                connections_opened: load.connections.opened,
                requests: load.requests,
                requests_reused: load.connections.reused,
            },
            cache: cache(&load.cache),
            egress: egress(self.0.fetcher.route()),
            resources: self.resources(status),
        }
    }

    fn browser_pool(&self, status: &Status) -> BrowserPool {
        let pool = &self.0.pool;
        let tally = pool.launches().tally();
        let max = u64::from(pool.config().max_browsers);
        let idle = status.count(State::Idle);
        BrowserPool {
            verdict: Verdict::default(),
            available: max.saturating_sub(status.browsers.len() as u64) + idle,
            idle,
            leased: status.count(State::Leased),
            shared: status.count(State::Shared),
            starting: status.count(State::Starting),
            retiring: status.count(State::Retiring),
            waiting: status.waiting() as u64,
            waiting_leases: status.waiting_leases as u64,
            waiting_seats: status.waiting_seats as u64,
            waiting_pages: status.fetches.pages_waiting,
            queue: pool.config().queue as u64,
            max,
            launch_failures: u64::from(tally.failed_in_a_row),
            last_launch_error: tally
                .last_error
                .filter(|_| tally.failed_in_a_row > 0)
                .map(|(error, _)| error.to_string()),
            canary: pool.canary(),
        }
    }

    fn resources(&self, status: &Status) -> Resources {
        let disk = self.0.pool.disk();
        let browsers = status.browsers.iter();
        Resources {
            verdict: Verdict::default(),
            open_fds: status.own.open_fds,
            fd_limit: status.own.max_fds,
            rss_bytes: status.own.resident,
            browser_pss_bytes: browsers.map(|(seen, _)| seen.usage.memory).sum(),
            zombies: status.zombies,
            lasting_zombies: status.lasting_zombies,
            disk_free_bytes: disk.free,
            browser_disk_bytes: disk.taken,
            dirs_pending: disk.pending,
            leaks: self.0.pool.leaks(),
        }
    }
}

fn egress(route: &Route) -> Egress {
    let settings = route.egress().policy().settings();
    let operators = route.operators();
    Egress {
        verdict: Verdict::default(),
        allow_rules: settings.allow.len() as u64,
        deny_rules: settings.deny.len() as u64,
        default: settings.fallback.as_str(),
        report_only: settings.report_only,
        proxy: operators.is_some(),
        bypass_rules: operators.map_or(0, |proxy| proxy.bypasses() as u64),
    }
}

fn cache(load: &fetch::CacheLoad) -> Cache {
    Cache {
        verdict: Verdict::default(),
        enabled: load.enabled,
        bytes: load.bytes,
        max_bytes: load.max_bytes,
        entries: load.entries,
        disk_bytes: load.disk_bytes,
        disk_error: load.disk_error.clone(),
        requests: load.requests,
        hits: load.hits,
        hit_percent: (load.hits * 100).checked_div(load.requests),
    }
}
