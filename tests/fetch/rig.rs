//! A pool of real browsers, a fetcher over it, and the proof that nothing is left of them.

use std::{sync::Arc, time::Duration};

use berth::{
    browser::{self, Pool, RunDir, cdp, launch},
    deadline::Deadline,
    drain::Drain,
    fetch::{Config, Error, Fetcher, Format, Formats, Request, Response, Strategy},
    metrics::Metrics,
};
use chromiumoxide::cdp::browser_protocol::target::GetBrowserContextsParams;
use tempfile::TempDir;
use tokio::runtime::Handle;

pub struct Rig {
    pub drain: Drain,
    pub pool: Pool,
    pub fetcher: Fetcher,
    pub metrics: Metrics,
    dir: TempDir,
}

pub fn secs(secs: u64) -> Deadline {
    Deadline::after(Duration::from_secs(secs))
}

impl Rig {
    pub async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub async fn with(config: Config) -> Self {
        let drain = Drain::new(Handle::current());
        let dir = tempfile::tempdir().unwrap();
        let (run, _) = RunDir::claim(dir.path()).unwrap();
        let metrics = Metrics::new().unwrap();
        let browsers = browser::Config {
            max_browsers: 3,
            min_warm: 1,
            seats_per_browser: 8,
            queue: 100,
            max_age: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(60),
            max_uses: 1000,
            memory_limit: 0,
            check_timeout: Duration::from_secs(5),
            check_interval: Duration::from_secs(5),
            launch: launch::Options {
                executable: None,
                extra_args: vec![],
                timeout: Duration::from_secs(30),
            },
        };
        let pool = Pool::start(browsers, Arc::new(run), &drain, &metrics);
        let fetcher = Fetcher::new(config, pool.clone(), &drain, &metrics).unwrap();
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
        let seat = self.pool.seat(secs(20)).await.unwrap();
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
