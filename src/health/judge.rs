//! What the numbers mean: the one function from live state to health.

use std::time::Duration;

use super::{
    BrowserPool, Cache, Checks, Health, HttpClient, Reason, Resources, Stage,
    Status::{Degraded, Unhealthy},
    Verdict, millis,
};

/// What is still well. What each means to an operator is in `docs/HEALTH_MONITORING.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// So many failed launches in a row are unhealthy, fewer degraded.
    pub launch_failures: u32,
    /// So many failed canaries in a row are unhealthy, fewer degraded.
    pub canary_failures: u32,
    /// A canary that last passed longer ago is unhealthy, unless it was skipped.
    pub canary_max_age: Duration,
    /// So much of a queue taken is degraded, in percent.
    pub queue_percent: u64,
    /// So many file descriptors in use are degraded, in percent.
    pub fds_degraded: u64,
    /// So many file descriptors in use are unhealthy, in percent.
    pub fds_unhealthy: u64,
    /// Less free disk is degraded, in bytes; 0 for no limit.
    pub disk_degraded: u64,
    /// Less free disk is unhealthy, in bytes; 0 for no limit.
    pub disk_unhealthy: u64,
}

impl Health {
    /// The health that follows from the numbers in `checks`.
    #[must_use]
    pub fn judge(mut checks: Checks, stage: Stage, thresholds: &Thresholds) -> Self {
        let fds = thresholds.fds(&checks.resources);
        checks.browser_pool.verdict = thresholds.browser_pool(&checks.browser_pool);
        checks.http_client.verdict = thresholds.http_client(&checks.http_client, fds);
        checks.cache.verdict = cache(&checks.cache);
        checks.egress.verdict = Verdict::default();
        checks.resources.verdict = thresholds.resources(&checks.resources, fds);
        let status = checks.worst();
        Self {
            status,
            ready: stage.started && !stage.draining && status != Unhealthy,
            started: stage.started,
            draining: stage.draining,
            checks,
        }
    }
}

impl Thresholds {
    fn browser_pool(&self, pool: &BrowserPool) -> Verdict {
        let mut verdict = Verdict::default();
        let running = pool.idle + pool.shared + pool.leased;
        if pool.launch_failures >= u64::from(self.launch_failures) {
            verdict.worsen(Unhealthy, Reason::LaunchesFailing);
        } else if pool.launch_failures > 0 {
            verdict.worsen(Degraded, Reason::LaunchesFailing);
        }
        // With one that runs, something can still be served.
        if pool.launch_failures > 0 && running == 0 {
            verdict.worsen(Unhealthy, Reason::NoBrowser);
        }
        let canary = &pool.canary;
        if canary.failures >= u64::from(self.canary_failures) {
            verdict.worsen(Unhealthy, Reason::CanaryFailed);
        } else if canary.failures > 0 {
            verdict.worsen(Degraded, Reason::CanaryFailed);
        }
        // Skipped because browsers were busy: others load pages all the time.
        let stale = canary.age_ms > millis(self.canary_max_age) && canary.skipped.is_none();
        if canary.enabled && stale {
            verdict.worsen(Unhealthy, Reason::CanaryStale);
        }
        // Each may be as long as the queue, and refuses only when it is by itself.
        let queues = [pool.waiting_leases, pool.waiting_seats, pool.waiting_pages];
        if queues
            .iter()
            .any(|waiting| self.is_full(*waiting, pool.queue))
        {
            verdict.worsen(Degraded, Reason::QueueFull);
        }
        verdict
    }

    fn http_client(&self, client: &HttpClient, fds: Option<(super::Status, Reason)>) -> Verdict {
        let mut verdict = Verdict::default();
        if self.is_full(client.waiting, client.queue) {
            verdict.worsen(Degraded, Reason::QueueFull);
        }
        if client.connections_active > client.limit {
            verdict.worsen(Degraded, Reason::ConnectionsOverLimit);
        }
        // Without a descriptor there is no connection.
        if let Some((Unhealthy, reason)) = fds {
            verdict.worsen(Unhealthy, reason);
        }
        verdict
    }

    fn resources(&self, found: &Resources, fds: Option<(super::Status, Reason)>) -> Verdict {
        let mut verdict = Verdict::default();
        if let Some((status, reason)) = fds {
            verdict.worsen(status, reason);
        }
        match found.disk_free_bytes {
            Some(free) if free < self.disk_unhealthy => {
                verdict.worsen(Unhealthy, Reason::DiskFull);
            }
            Some(free) if free < self.disk_degraded => {
                verdict.worsen(Degraded, Reason::DiskScarce);
            }
            Some(_) | None => {}
        }
        if found.lasting_zombies > 0 {
            verdict.worsen(Degraded, Reason::Zombies);
        }
        if found.leaks.each().iter().any(|(_, count)| *count > 0) {
            verdict.worsen(Degraded, Reason::Leaks);
        }
        if found.dirs_pending > 0 {
            verdict.worsen(Degraded, Reason::DirsPending);
        }
        verdict
    }

    fn fds(&self, found: &Resources) -> Option<(super::Status, Reason)> {
        let reaches = |percent: u64| {
            let (open, limit) = (u128::from(found.open_fds), u128::from(found.fd_limit));
            limit > 0 && open * 100 >= limit * u128::from(percent)
        };
        if reaches(self.fds_unhealthy) {
            Some((Unhealthy, Reason::FdsExhausted))
        } else if reaches(self.fds_degraded) {
            Some((Degraded, Reason::FdsScarce))
        } else {
            None
        }
    }

    /// Whoever set up a queue of nobody wants the refusals.
    fn is_full(&self, waiting: u64, queue: u64) -> bool {
        let (waiting, queue) = (u128::from(waiting), u128::from(queue));
        queue > 0 && waiting * 100 >= queue * u128::from(self.queue_percent)
    }
}

fn cache(cache: &Cache) -> Verdict {
    let mut verdict = Verdict::default();
    // Without it fetches only take longer.
    if cache.disk_error.is_some() {
        verdict.worsen(Degraded, Reason::DiskFailing);
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Canary, Leaks, Status};

    const THRESHOLDS: Thresholds = Thresholds {
        launch_failures: 3,
        canary_failures: 2,
        canary_max_age: Duration::from_secs(300),
        queue_percent: 80,
        fds_degraded: 90,
        fds_unhealthy: 97,
        disk_degraded: 1000,
        disk_unhealthy: 100,
    };
    const UP: Stage = Stage {
        started: true,
        draining: false,
    };

    fn well() -> Checks {
        let mut checks = Checks::default();
        checks.browser_pool.idle = 1;
        checks.browser_pool.queue = 10;
        checks.browser_pool.canary.enabled = true;
        checks.http_client.queue = 10;
        checks.http_client.limit = 100;
        checks.resources.open_fds = 100;
        checks.resources.fd_limit = 1000;
        checks.resources.disk_free_bytes = Some(1000);
        checks
    }

    /// The status of each part and of the whole after `change`, and every reason.
    fn judged(change: impl FnOnce(&mut Checks)) -> ([Status; 5], Status, Vec<Reason>) {
        let mut checks = well();
        change(&mut checks);
        let health = Health::judge(checks, UP, &THRESHOLDS);
        let parts = health.checks.each().map(|(_, verdict)| verdict.status);
        let reasons = health.checks.each().map(|(_, one)| one.reasons.clone());
        assert_eq!(health.ready, health.status != Unhealthy);
        (parts, health.status, reasons.concat())
    }

    #[test]
    fn each_threshold_turns_its_part_and_no_other() {
        const OK: Status = Status::Healthy;
        type Case = (fn(&mut Checks), [Status; 5], &'static [Reason]);
        let cases: &[Case] = &[
            (|_| {}, [OK; 5], &[]),
            (
                |c| c.browser_pool.launch_failures = 2,
                [Degraded, OK, OK, OK, OK],
                &[Reason::LaunchesFailing],
            ),
            (
                |c| c.browser_pool.launch_failures = 3,
                [Unhealthy, OK, OK, OK, OK],
                &[Reason::LaunchesFailing],
            ),
            (
                |c| (c.browser_pool.launch_failures, c.browser_pool.idle) = (1, 0),
                [Unhealthy, OK, OK, OK, OK],
                &[Reason::LaunchesFailing, Reason::NoBrowser],
            ),
            // Capacity is not health.
            (
                |c| (c.browser_pool.available, c.browser_pool.waiting_leases) = (0, 7),
                [OK; 5],
                &[],
            ),
            // Three queues, each of which may be as long: full together is full nowhere.
            (
                |c| {
                    let pool = &mut c.browser_pool;
                    (pool.waiting_leases, pool.waiting_seats) = (7, 7);
                    (pool.waiting_pages, pool.waiting) = (7, 14);
                },
                [OK; 5],
                &[],
            ),
            (
                |c| c.browser_pool.waiting_leases = 8,
                [Degraded, OK, OK, OK, OK],
                &[Reason::QueueFull],
            ),
            (
                |c| c.browser_pool.waiting_seats = 8,
                [Degraded, OK, OK, OK, OK],
                &[Reason::QueueFull],
            ),
            (
                |c| c.browser_pool.waiting_pages = 8,
                [Degraded, OK, OK, OK, OK],
                &[Reason::QueueFull],
            ),
            (
                |c| (c.browser_pool.waiting_leases, c.browser_pool.queue) = (0, 0),
                [OK; 5],
                &[],
            ),
            (
                |c| c.http_client.waiting = 8,
                [OK, Degraded, OK, OK, OK],
                &[Reason::QueueFull],
            ),
            (
                |c| c.http_client.connections_active = 101,
                [OK, Degraded, OK, OK, OK],
                &[Reason::ConnectionsOverLimit],
            ),
            (
                |c| c.cache.disk_error = Some("no space".into()),
                [OK, OK, Degraded, OK, OK],
                &[Reason::DiskFailing],
            ),
            (|c| c.resources.open_fds = 899, [OK; 5], &[]),
            (
                |c| c.resources.open_fds = 900,
                [OK, OK, OK, OK, Degraded],
                &[Reason::FdsScarce],
            ),
            (
                |c| c.resources.open_fds = 970,
                [OK, Unhealthy, OK, OK, Unhealthy],
                &[Reason::FdsExhausted, Reason::FdsExhausted],
            ),
            (|c| c.resources.fd_limit = u64::MAX, [OK; 5], &[]),
            (
                |c| c.resources.disk_free_bytes = Some(999),
                [OK, OK, OK, OK, Degraded],
                &[Reason::DiskScarce],
            ),
            (
                |c| c.resources.disk_free_bytes = Some(99),
                [OK, OK, OK, OK, Unhealthy],
                &[Reason::DiskFull],
            ),
            (|c| c.resources.disk_free_bytes = None, [OK; 5], &[]),
            (|c| c.resources.zombies = 3, [OK; 5], &[]),
            (
                |c| c.resources.lasting_zombies = 1,
                [OK, OK, OK, OK, Degraded],
                &[Reason::Zombies],
            ),
            (
                |c| {
                    c.resources.leaks = Leaks {
                        directory: 1,
                        ..Leaks::default()
                    };
                },
                [OK, OK, OK, OK, Degraded],
                &[Reason::Leaks],
            ),
            (
                |c| c.resources.dirs_pending = 1,
                [OK, OK, OK, OK, Degraded],
                &[Reason::DirsPending],
            ),
        ];
        for (at, (change, parts, reasons)) in cases.iter().enumerate() {
            let worst = parts.iter().copied().max().unwrap();
            let expected = (*parts, worst, reasons.to_vec());
            assert_eq!(judged(change), expected, "case {at}");
        }
    }

    #[test]
    fn a_canary_fails_or_grows_stale_but_not_while_browsers_are_busy() {
        let pool = |canary: Canary| judged(|c| c.browser_pool.canary = canary).0[0];
        let old = Canary {
            enabled: true,
            age_ms: 300_001,
            ..Canary::default()
        };
        assert_eq!(pool(old.clone()), Unhealthy);
        let with = |change: fn(&mut Canary)| {
            let mut canary = old.clone();
            change(&mut canary);
            pool(canary)
        };
        assert_eq!(with(|c| c.age_ms = 300_000), Status::Healthy);
        assert_eq!(with(|c| c.skipped = Some("busy")), Status::Healthy);
        assert_eq!(with(|c| c.enabled = false), Status::Healthy);
        let failed = |failures| {
            pool(Canary {
                enabled: true,
                failures,
                ..Canary::default()
            })
        };
        assert_eq!(failed(1), Degraded);
        assert_eq!(failed(2), Unhealthy);
    }

    #[test]
    fn ready_is_started_and_not_draining_and_not_broken() {
        let ready = |started, draining| {
            let stage = Stage { started, draining };
            let health = Health::judge(well(), stage, &THRESHOLDS);
            assert_eq!(health.draining, draining);
            health.ready
        };
        assert!(ready(true, false));
        assert!(!ready(false, false));
        assert!(!ready(true, true));
    }
}
