//! A pool of real browsers, a fetcher over it, and the proof that nothing is left of them.

use std::{sync::Arc, time::Duration};

use berth::{
    browser::{self, BrowserId, Pool, RunDir, cdp, launch},
    deadline::Deadline,
    drain::Drain,
    egress::{Egress, OwnPorts, Policy, Resolver, Route, Settings},
    fetch::{Config, Error, Fetcher, Format, Formats, Request, Response, Strategy},
    metrics::Metrics,
};
use chromiumoxide::cdp::browser_protocol::target::GetBrowserContextsParams;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::runtime::Handle;

pub struct Rig {
    pub drain: Drain,
    pub pool: Pool,
    pub fetcher: Fetcher,
    pub metrics: Metrics,
    dir: TempDir,
}

/// Loopback is open, where all origins of these tests are.
pub fn egress(metrics: &Metrics) -> Egress {
    let settings = Settings {
        allow: ["127.0.0.0/8", "::1", "localhost"]
            .map(|rule| rule.parse().unwrap())
            .into(),
        ..Settings::default()
    };
    let policy = Policy::new(settings, OwnPorts::default(), metrics);
    Egress::new(policy, Resolver::new(&[]).unwrap())
}

pub fn secs(secs: u64) -> Deadline {
    Deadline::after(Duration::from_secs(secs))
}

impl Rig {
    pub async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub async fn with(config: Config) -> Self {
        Self::sized(config, 3).await
    }

    pub async fn sized(config: Config, browsers: usize) -> Self {
        Self::warm(config, 1, browsers)
    }

    /// One that starts no browser unless it is asked for one.
    pub fn http(config: Config) -> Self {
        Self::warm(config, 0, 3)
    }

    fn warm(config: Config, min_warm: u32, browsers: usize) -> Self {
        let drain = Drain::new(Handle::current());
        let dir = tempfile::tempdir().unwrap();
        let (run, _) = RunDir::claim(dir.path()).unwrap();
        let metrics = Metrics::new().unwrap();
        let limits = browser::Config {
            canary_interval: Duration::ZERO,
            canary_timeout: Duration::from_secs(10),
            leak_interval: Duration::ZERO,
            max_browsers: u32::try_from(browsers).unwrap(),
            min_warm,
            seats_per_browser: 8,
            queue: 100,
            max_age: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(60),
            max_uses: 1000,
            max_drift: 0,
            limits: browser::Limits::default(),
            isolation: browser::Isolation::default(),
            check_timeout: Duration::from_secs(5),
            check_interval: Duration::from_secs(5),
            launch: launch::Options {
                executable: None,
                extra_args: vec![],
                timeout: Duration::from_secs(30),
            },
        };
        let route = Route::new(egress(&metrics), None);
        let pool = Pool::start(limits, route.clone(), Arc::new(run), &drain, &metrics);
        let fetcher = Fetcher::new(config, pool.clone(), route, &drain, &metrics).unwrap();
        Self {
            drain,
            pool,
            fetcher,
            metrics,
            dir,
        }
    }

    pub async fn get(
        &self,
        url: &str,
        strategy: Strategy,
        formats: &[Format],
    ) -> Result<Response, Error> {
        self.fetcher
            .fetch(request(url, strategy, formats), secs(20))
            .await
    }

    /// The only shared browser's connection.
    pub async fn browser(&self) -> (Arc<browser::Browser>, cdp::Cdp) {
        let seat = self
            .pool
            .seat(&berth::fair::Party::default(), secs(20))
            .await
            .unwrap();
        (seat.browser().clone(), seat.browser().cdp().clone())
    }

    /// Waits until every seat is free, then demands that no context is left of those who had them.
    pub async fn nothing_held(&self) {
        for _ in 0..200 {
            if self.pool.seats().1 == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(self.pool.seats().1, 0, "seats are still taken");
        let (_, cdp) = self.browser().await;
        let contexts = cdp
            .call(None, GetBrowserContextsParams::default(), secs(5))
            .await
            .unwrap();
        assert_eq!(contexts.browser_context_ids.len(), 0, "contexts are left");
        assert_eq!(self.fetcher.load().active, 0);
        assert_eq!(self.fetcher.load().waiting, 0);
    }

    /// Waits until no connection of the HTTP client is in use and so many are kept.
    pub async fn kept(&self, idle: u64) {
        for _ in 0..200 {
            let load = self.fetcher.load();
            let in_use = (load.active, load.waiting, load.connections.active);
            if in_use == (0, 0, 0) && load.connections.idle == idle {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not {idle} kept: {:?}", self.fetcher.load());
    }

    /// Kills the browser that serves a fetch, once there is one that is not `last`; its name.
    pub async fn kill_busy(&self, last: Option<BrowserId>) -> BrowserId {
        for _ in 0..1000 {
            let seen = self.pool.seen();
            let busy = seen
                .iter()
                .find(|one| one.seats > 0 && Some(one.id) != last);
            if let Some((id, pid)) = busy.and_then(|one| Some((one.id, one.pid?))) {
                kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
                return id;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no browser is busy");
    }

    /// Kills every process that holds pages.
    pub fn kill_renderers(&self) {
        let groups: Vec<_> = self.pool.seen().iter().filter_map(|one| one.pid).collect();
        for process in procfs::process::all_processes().unwrap().flatten() {
            let ours = process.stat().is_ok_and(|stat| groups.contains(&stat.pgrp));
            let line = process.cmdline().unwrap_or_default().join(" ");
            if ours && line.contains("--type=renderer") {
                // One that is gone already is as good.
                let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            }
        }
    }

    /// Waits until no directory for downloads is left.
    pub async fn no_downloads(&self) {
        for _ in 0..200 {
            if self.download_dirs() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!(
            "{} directories for downloads are left",
            self.download_dirs()
        );
    }

    /// How many directories for downloads there are.
    fn download_dirs(&self) -> usize {
        let known = ["profile", "tmp"];
        let instances = std::fs::read_dir(self.dir.path()).unwrap().flatten();
        let browsers =
            instances.flat_map(|one| std::fs::read_dir(one.path()).into_iter().flatten());
        let browsers = browsers.flatten().map(|one| one.path());
        let inside = browsers.flat_map(|one| std::fs::read_dir(one).into_iter().flatten());
        let names = inside.flatten().map(|one| one.file_name());
        names
            .filter(|name| {
                let name = name.to_string_lossy();
                name.len() == 32 && !known.contains(&name.as_ref())
            })
            .count()
    }

    /// So many fetches ended with `outcome`.
    pub fn counted(&self, via: &str, outcome: &str) -> u64 {
        let text = self.metrics.encode().unwrap();
        let line = text.lines().find(|line| {
            line.starts_with("berth_fetches_total")
                && line.contains(&format!("via=\"{via}\""))
                && line.contains(&format!("outcome=\"{outcome}\""))
        });
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or(0)
    }

    /// The value of a counter without labels.
    pub fn total(&self, name: &str) -> u64 {
        let text = self.metrics.encode().unwrap();
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
        lines
            .find_map(|rest| rest.rsplit(' ').next()?.parse().ok())
            .unwrap()
    }

    pub async fn end(self) {
        self.drain.cut();
        self.pool.shut_down().await;
        drop(self.fetcher);
        tokio::time::timeout(Duration::from_secs(20), self.drain.closed())
            .await
            .expect("every task ends");
        assert_eq!(self.pool.seen().len(), 0, "browsers are left");
        assert_eq!(self.pool.seats(), (0, 0));
        drop(self.dir);
    }
}

pub fn request(url: &str, strategy: Strategy, formats: &[Format]) -> Request {
    let mut request = Request::get(Request::target(url).unwrap());
    request.strategy = strategy;
    request.formats = Formats::of(formats);
    request
}
