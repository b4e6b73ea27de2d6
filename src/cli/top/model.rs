//! What is known of the broker: its latest status, and what follows from those before it. Pure: no
//! clock is read but those in the messages.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime},
};

use super::{
    rows::{BrowserRow, LeaseRow, duration, time},
    words::clean,
};
use crate::proto::{HealthStatus, Status};

/// How far the charts go back.
pub(super) const SPAN: Duration = Duration::from_secs(300);
/// How many points are kept: those of the span at the shortest interval.
const KEPT: usize = 3000;
/// A rate is the mean of so long, as far as is known: single updates would jump.
const RATE_OVER: Duration = Duration::from_secs(5);

/// The broker at one update.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Point {
    at: Option<SystemTime>,
    fetches: u64,
    failed: u64,
    /// Fetches per second.
    pub(super) rate: f64,
    /// Failed ones per second.
    pub(super) failing: f64,
    pub(super) p95: Duration,
    pub(super) leases: u64,
    pub(super) waiting: u64,
    /// Memory of all browsers and the broker.
    pub(super) memory: u64,
}

/// What is known of the broker.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    latest: Option<Status>,
    /// While paused: what is shown instead of the latest.
    frozen: Option<Status>,
    points: VecDeque<Point>,
}

impl Model {
    /// Takes in an update.
    pub(super) fn update(&mut self, status: Status) {
        let restarted = self.latest.as_ref().is_some_and(|before| {
            before.start_time != status.start_time || before.node != status.node
        });
        if restarted {
            self.points.clear();
        }
        let point = self.point(&status);
        if self.points.len() >= KEPT {
            self.points.pop_front();
        }
        self.points.push_back(point);
        self.latest = Some(status);
    }

    /// Freezes what is shown, or lets it go on. The history goes on all the same.
    pub(super) fn pause(&mut self, paused: bool) {
        self.frozen = self.latest.clone().filter(|_| paused);
    }

    /// What is shown; `None` before the first update.
    pub(super) fn status(&self) -> Option<&Status> {
        self.frozen.as_ref().or(self.latest.as_ref())
    }

    /// The browsers in the order of their launch.
    pub(super) fn browsers(&self) -> Vec<BrowserRow> {
        let browsers = self
            .status()
            .into_iter()
            .flat_map(|status| &status.browsers);
        browsers.map(BrowserRow::of).collect()
    }

    /// The leases in the order of their grant.
    pub(super) fn leases(&self) -> Vec<LeaseRow> {
        let Some(status) = self.status() else {
            return Vec::new();
        };
        let now = time(status.now).unwrap_or(SystemTime::UNIX_EPOCH);
        let leases = status.leases.iter();
        leases.map(|lease| LeaseRow::of(lease, now)).collect()
    }

    /// The latest point.
    pub(super) fn last(&self) -> Point {
        self.points.back().copied().unwrap_or_default()
    }

    /// The last minutes in `count` bars, the newest first; each shows the most of its time.
    pub(super) fn bars(&self, count: u16, of: impl Fn(&Point) -> u64) -> Vec<u64> {
        let mut bars = vec![0; usize::from(count)];
        let step = SPAN.as_millis() / u128::from(count.max(1));
        // Bars end at round times, so that a peak stays in its bar.
        let number = |point: &Point| {
            let since = point.at?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            Some(since.as_millis() / step.max(1))
        };
        let newest = number(&self.last());
        for point in &self.points {
            let age = newest
                .zip(number(point))
                .and_then(|(newest, at)| newest.checked_sub(at));
            let at = age.and_then(|age| usize::try_from(age).ok());
            if let Some(bar) = at.and_then(|at| bars.get_mut(at)) {
                *bar = of(point).max(*bar);
            }
        }
        bars
    }

    fn point(&self, status: &Status) -> Point {
        let fetches = status.fetches.unwrap_or_default();
        let at = time(status.now);
        let mut point = Point {
            at,
            fetches: fetches.total,
            failed: fetches.failed,
            p95: duration(fetches.latency_p95),
            leases: status.leases.len() as u64,
            waiting: status.waiting.into(),
            memory: memory(status),
            ..Point::default()
        };
        let since = |before: &Point| at?.duration_since(before.at?).ok();
        let recent = |before: &&Point| since(before).is_some_and(|since| since >= RATE_OVER);
        let before = self
            .points
            .iter()
            .rev()
            .find(recent)
            .or(self.points.front());
        if let Some((before, since)) = before.and_then(|before| Some((before, since(before)?)))
            && !since.is_zero()
        {
            let per =
                |now: u64, before: u64| now.saturating_sub(before) as f64 / since.as_secs_f64();
            point.rate = per(point.fetches, before.fetches);
            point.failing = per(point.failed, before.failed);
        }
        point
    }
}

/// Memory of all browsers and the broker, in bytes.
pub(super) fn memory(status: &Status) -> u64 {
    let browsers: u64 = status.browsers.iter().map(|one| one.memory_bytes).sum();
    browsers + status.resident_bytes
}

/// How long the broker has been up, by its own clock.
pub(super) fn uptime(status: &Status) -> Duration {
    let up = time(status.now).zip(time(status.start_time));
    let up = up.map(|(now, start)| now.duration_since(start));
    up.and_then(Result::ok).unwrap_or_default()
}

/// Whether it takes new work, in a word.
pub(super) const fn readiness(status: &Status) -> &'static str {
    match (status.draining, status.ready) {
        (true, _) => "draining",
        (false, true) => "ready",
        (false, false) => "not ready",
    }
}

/// How it is, in a word.
pub(super) const fn health(health: HealthStatus) -> &'static str {
    match health {
        HealthStatus::Unspecified => "health unknown",
        HealthStatus::Healthy => "healthy",
        HealthStatus::Degraded => "degraded",
        HealthStatus::Unhealthy => "unhealthy",
    }
}

/// The parts that are not well, with what they say.
pub(super) fn complaints(status: &Status) -> Vec<String> {
    let checks = status.checks.iter();
    let ill = checks.filter(|check| check.status() != HealthStatus::Healthy);
    ill.map(|check| {
        let colon = if check.detail.is_empty() { "" } else { ": " };
        let word = health(check.status());
        clean(&format!(
            "{} {word}{colon}{}",
            check.name.replace('_', " "),
            check.detail
        ))
    })
    .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::proto::{
        BrowserState, BrowserStatus, FetchStatus, HealthCheck, Lease, LeasedBrowser,
    };

    fn at(seconds: i64) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds, nanos: 0 })
    }

    /// A broker that started at 1000 s, as it is at `now`, after `fetches`.
    pub(in super::super) fn status(now: i64, fetches: u64) -> Status {
        let browser = |id: &str, state: BrowserState, lease: &str| BrowserStatus {
            id: id.into(),
            state: state.into(),
            pid: 4711,
            age: Some(prost_types::Duration {
                seconds: 75,
                nanos: 0,
            }),
            uses: 3,
            memory_bytes: 120 << 20,
            processes: 5,
            open_fds: 88,
            lease_id: lease.into(),
            ..BrowserStatus::default()
        };
        let lease = |id: &str, browser: &str, left: i64| Lease {
            id: id.into(),
            owner: "anonymous".into(),
            labels: [("job".to_owned(), format!("<{browser}>"))].into(),
            create_time: at(now - 60),
            expire_time: at(now + left),
            attached_clients: 1,
            browser: Some(LeasedBrowser {
                id: browser.into(),
                ..LeasedBrowser::default()
            }),
            ..Lease::default()
        };
        let (one, two) = (
            "lease-0198f2c1-0000-7000-8000-00000000aaaa",
            "lease-0198f2c1-0000-7000-8000-00000000bbbb",
        );
        Status {
            version: "0.1.0".into(),
            node: "quay-7".into(),
            now: at(now),
            start_time: at(1000),
            ready: true,
            health: HealthStatus::Healthy.into(),
            browsers: vec![
                browser("browser-1", BrowserState::Leased, one),
                browser("browser-2", BrowserState::Leased, two),
                browser("browser-3", BrowserState::Idle, ""),
            ],
            max_browsers: 4,
            queue: 100,
            leases: vec![lease(one, "browser-1", 42), lease(two, "browser-2", 7)],
            fetches: Some(FetchStatus {
                total: fetches,
                failed: fetches / 10,
                recent: 12,
                latency_p50: Some(prost_types::Duration {
                    seconds: 0,
                    nanos: 12_000_000,
                }),
                latency_p95: Some(prost_types::Duration {
                    seconds: 0,
                    nanos: 340_000_000,
                }),
                connections_active: 2,
                connections_idle: 8,
                ..FetchStatus::default()
            }),
            resident_bytes: 40 << 20,
            open_fds: 22,
            max_fds: 1024,
            ..Status::default()
        }
    }

    #[test]
    fn rates_come_from_totals_over_some_seconds() {
        let mut model = Model::default();
        model.update(status(2000, 100));
        assert_eq!(model.last().rate, 0.0, "one total tells no rate");
        model.update(status(2001, 110));
        assert_eq!((model.last().rate, model.last().failing), (10.0, 1.0));
        for second in 2..=10 {
            model.update(status(2000 + second, 110));
        }
        assert_eq!(model.last().rate, 0.0, "older updates no longer count");
    }

    #[test]
    fn a_broker_that_started_again_has_a_history_of_its_own() {
        let mut model = Model::default();
        model.update(status(2000, 100));
        let mut again = status(2001, 5);
        again.start_time = at(2001);
        model.update(again);
        assert_eq!(model.last().rate, 0.0);
        assert_eq!(model.points.len(), 1);
    }

    #[test]
    fn two_updates_of_one_moment_or_a_clock_set_back_tell_no_rate() {
        let mut model = Model::default();
        for (now, fetches) in [(2000, 1), (2000, 9), (1990, 20)] {
            model.update(status(now, fetches));
            assert_eq!(model.last().rate, 0.0, "{now}");
        }
    }

    #[test]
    fn a_pause_freezes_what_is_shown_and_not_the_history() {
        let mut model = Model::default();
        model.update(status(2000, 1));
        model.pause(true);
        model.update(status(2060, 61));
        assert_eq!(uptime(model.status().unwrap()), Duration::from_secs(1000));
        assert_eq!(model.last().rate, 1.0);
        model.pause(false);
        assert_eq!(uptime(model.status().unwrap()), Duration::from_secs(1060));
    }

    #[test]
    fn bars_span_the_last_minutes_whatever_their_number() {
        let mut model = Model::default();
        assert_eq!(model.bars(3, |_| 1), [0, 0, 0]);
        for second in 0..600 {
            model.update(status(3000 + second, second as u64));
        }
        // The newest update is at 3599 s, in the bar that begins at 3500 s.
        let bars = model.bars(3, |point| point.fetches);
        assert_eq!(bars, [599, 499, 399]);
        let bars = model.bars(300, |point| point.fetches);
        assert_eq!((bars[0], bars[299]), (599, 300));
        assert!(model.bars(0, |_| 1).is_empty());
    }

    #[test]
    fn the_history_is_bounded() {
        let mut model = Model::default();
        for second in 0..5000 {
            model.update(status(2000 + second, 0));
        }
        assert_eq!(model.points.len(), KEPT);
    }

    #[test]
    fn what_is_not_well_is_said() {
        let mut ill = status(2000, 0);
        assert!(complaints(&ill).is_empty());
        ill.checks = vec![HealthCheck {
            name: "browser_pool".into(),
            status: HealthStatus::Degraded.into(),
            detail: "last launch error: no\u{1b} file".into(),
        }];
        assert_eq!(
            complaints(&ill),
            ["browser pool degraded: last launch error: no� file"]
        );
        ill.draining = true;
        assert_eq!(readiness(&ill), "draining");
        assert_eq!(memory(&ill), 400 << 20);
    }
}
