//! Starting browsers, and knowing which run.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

use super::{
    Profile,
    chrome::{Browser, BrowserId},
    launch::{self, Launcher},
    launches::Launches,
};
use crate::{
    drain::Drain,
    egress::Route,
    metrics::{LaunchResult, Metrics},
};

/// How long the launch of a spare keeps back after a browser was handed out.
const COURTESY: Duration = Duration::from_millis(300);

/// Who waits for a browser right now, and when one was last asked for.
#[derive(Debug, Default)]
struct Demand {
    waiting: AtomicUsize,
    risen: Notify,
    last: Mutex<Option<Instant>>,
}

/// Somebody waits for a browser, as long as this lives.
#[derive(Debug)]
pub(super) struct Wants<'a>(&'a Demand);

impl Drop for Wants<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Starts browsers, keeps the record of how that goes and the list of those that run.
#[derive(Debug)]
pub(super) struct Starter {
    launcher: Launcher,
    launches: Launches,
    /// The running ones by name, owned by whoever uses them.
    browsers: Arc<Mutex<BTreeMap<BrowserId, Weak<Browser>>>>,
    /// Rung when something happened that the supervisor should look at now.
    bell: Arc<Notify>,
    demand: Demand,
    drain: Drain,
    metrics: Metrics,
}

impl Starter {
    pub(super) fn new(launcher: Launcher, drain: &Drain, metrics: &Metrics) -> Self {
        Self {
            launcher,
            launches: Launches::default(),
            browsers: Arc::default(),
            bell: Arc::default(),
            demand: Demand::default(),
            drain: drain.clone(),
            metrics: metrics.clone(),
        }
    }

    /// Somebody asks for a browser now.
    pub(super) fn asked(&self) {
        *self.demand.last.lock() = Some(Instant::now());
    }

    /// Somebody waits for a browser that is not there.
    pub(super) fn wants(&self) -> Wants<'_> {
        self.demand.waiting.fetch_add(1, Ordering::Relaxed);
        self.demand.risen.notify_waiters();
        Wants(&self.demand)
    }

    /// Starts a spare, or what somebody waits for. A spare keeps back for a moment after a browser
    /// was handed out: a launch takes as much of the machine as the first page that the new owner
    /// is about to load.
    ///
    /// # Cancel safety
    /// As [`Starter::start`].
    pub(super) async fn start_spare(&self) -> Result<Arc<Browser>, Arc<launch::Error>> {
        let last = *self.demand.last.lock();
        if let Some(last) = last {
            let rest = sleep_until(last + COURTESY);
            tokio::pin!(rest);
            loop {
                let risen = self.demand.risen.notified();
                tokio::pin!(risen);
                risen.as_mut().enable();
                if self.demand.waiting.load(Ordering::Relaxed) > 0 {
                    break;
                }
                tokio::select! {
                    () = &mut rest => break,
                    () = risen => {}
                }
            }
        }
        self.start(&Profile::default()).await
    }

    /// Starts one browser, after a pause when the last launches failed.
    ///
    /// # Cancel safety
    /// Yes: a browser half started is killed.
    pub(super) async fn start(
        &self,
        profile: &Profile,
    ) -> Result<Arc<Browser>, Arc<launch::Error>> {
        // Whatever broke the last launch gets a moment to pass.
        sleep(self.launches.pause()).await;
        let begun = Instant::now();
        // A panic here would have bb8 count the place as taken for ever.
        let launch = AssertUnwindSafe(self.launcher.launch(profile)).catch_unwind();
        let launched = launch.await.unwrap_or(Err(launch::Error::Panicked));
        let took = begun.elapsed();
        match launched {
            Ok(browser) => {
                let browser = Arc::new(browser);
                self.metrics.launched(LaunchResult::Ok, took);
                self.launches.succeeded();
                let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                tracing::info!(
                    browser = %browser.id(), pid = browser.pid(), millis,
                    product = browser.product().name, "browser.launched"
                );
                self.watch(&browser);
                Ok(browser)
            }
            Err(error) => {
                let error = Arc::new(error);
                if !matches!(*error, launch::Error::Draining) {
                    self.metrics.launched(LaunchResult::Failed, took);
                    tracing::error!(%error, "browser.launch_failed");
                }
                self.launches.failed(Arc::clone(&error));
                Err(error)
            }
        }
    }

    /// Enters the browser among the running ones, and has the bell rung when it dies, so that a
    /// dead idle browser is replaced before anybody asks for it.
    fn watch(&self, browser: &Arc<Browser>) {
        let id = browser.id();
        self.browsers.lock().insert(id, Arc::downgrade(browser));
        let gone = browser.gone().clone();
        let closed = browser.cdp().closed().clone();
        let (browsers, bell) = (Arc::clone(&self.browsers), Arc::clone(&self.bell));
        self.drain.spawn(async move {
            tokio::select! {
                () = closed.cancelled() => bell.notify_one(),
                () = gone.cancelled() => {}
            }
            gone.cancelled().await;
            browsers.lock().remove(&id);
            bell.notify_one();
        });
    }

    /// The way of its browsers' connections.
    pub(super) const fn route(&self) -> &Route {
        self.launcher.route()
    }

    /// How launches go.
    pub(super) const fn launches(&self) -> &Launches {
        &self.launches
    }

    /// What wakes the supervisor.
    pub(super) fn bell(&self) -> &Notify {
        &self.bell
    }

    /// The running browsers.
    pub(super) fn browsers(&self) -> Vec<Arc<Browser>> {
        let browsers = self.browsers.lock();
        browsers.values().filter_map(Weak::upgrade).collect()
    }

    /// The running browser `id`.
    pub(super) fn find(&self, id: BrowserId) -> Option<Arc<Browser>> {
        self.browsers.lock().get(&id).and_then(Weak::upgrade)
    }
}
