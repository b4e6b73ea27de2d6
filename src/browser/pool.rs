//! The pool: warm browsers in bb8, and the way in and out.
//!
//! bb8 keeps the warm browsers, launches ahead of demand and never has more than the maximum. What
//! it lacks is done here: fairness and admission ([`Queue`]), a check that does not free a place
//! before the browser is gone, launch failures that are seen, retirement, and a way out that is
//! waited for. Its own reaping is off.

use std::{sync::Arc, time::Duration};

use bb8::{ManageConnection, PooledConnection};
use futures::FutureExt;

use super::{
    Error, Isolation, Limits, Profile,
    canary::{self, Canary},
    cdp,
    chrome::{Browser, BrowserId},
    disk::{self, DiskWatch},
    guest::Claim,
    launch::{self, Launcher},
    leaks::{self, LeakWatch},
    place::Place,
    process::Kill,
    queue::{Purpose, Queue, Slot},
    registry::{Registry, State},
    rundir::RunDir,
    seats::Seats,
    starter::Starter,
    supervisor,
};
use crate::{
    deadline::Deadline,
    drain::Drain,
    egress::{Denied, Route},
    fair::{Entry, Party},
    metrics::{Metrics, Retire},
};

/// How many browsers, how long, how often.
#[derive(Clone, Debug)]
pub struct Config {
    /// Browsers at the same time, of whatever use.
    pub max_browsers: u32,
    /// Warm browsers kept ready.
    pub min_warm: u32,
    /// Contexts at the same time in one shared browser.
    pub seats_per_browser: usize,
    /// Callers that may wait.
    pub queue: usize,
    /// A browser older than this is not used again.
    pub max_age: Duration,
    /// A browser beyond the warm ones is retired when unused for this long.
    pub idle_timeout: Duration,
    /// A shared browser is retired after so many fetches.
    pub max_uses: u64,
    /// A shared browser is retired when it takes so many times as long to open a page as when it was
    /// fresh; 0 for never.
    pub max_drift: u32,
    /// What one browser's tree may take.
    pub limits: Limits,
    /// What stands between browsers and the machine.
    pub isolation: Isolation,
    /// How long a browser has to answer a check.
    pub check_timeout: Duration,
    /// How often every browser is checked.
    pub check_interval: Duration,
    /// How often a page is loaded to see that it can be; zero for never.
    pub canary_interval: Duration,
    /// How long that page has to load.
    pub canary_timeout: Duration,
    /// How often leaks are looked for; zero for never.
    pub leak_interval: Duration,
    /// How browsers are launched.
    pub launch: launch::Options,
}

/// The browsers of this broker; clones share them.
#[derive(Clone, Debug)]
pub struct Pool(pub(super) Arc<Core>);

#[derive(Debug)]
pub(super) struct Core {
    pub(super) config: Config,
    pub(super) bb8: bb8::Pool<Manager>,
    pub(super) queue: Queue,
    pub(super) seats: Seats,
    pub(super) registry: Registry,
    pub(super) starter: Arc<Starter>,
    pub(super) drain: Drain,
    pub(super) metrics: Metrics,
    pub(super) run_dir: Arc<RunDir>,
    pub(super) canary: Canary,
    pub(super) leaks: LeakWatch,
    pub(super) disk: DiskWatch,
}

/// A browser as bb8 keeps it: killed when bb8 drops it.
#[derive(Debug)]
pub(super) struct Spare(pub(super) Arc<Browser>);

impl Drop for Spare {
    fn drop(&mut self) {
        self.0.kill(Kill::Done);
    }
}

/// A browser taken out of bb8, whose place it still takes.
pub(super) type Taken = PooledConnection<'static, Manager>;

/// What bb8 asks to launch and judge browsers.
#[derive(Debug)]
pub(super) struct Manager(Arc<Starter>);

impl ManageConnection for Manager {
    type Connection = Spare;
    type Error = Arc<launch::Error>;

    async fn connect(&self) -> Result<Spare, Self::Error> {
        self.0.start_spare().await.map(Spare)
    }

    /// Not used: the check at checkout must not free the place of a browser that fails it.
    async fn is_valid(&self, _spare: &mut Spare) -> Result<(), Self::Error> {
        Ok(())
    }

    fn has_broken(&self, spare: &mut Spare) -> bool {
        spare.0.condemned().is_some()
    }
}

/// bb8 reports failed launches here; they are logged and counted where they happen.
#[derive(Clone, Copy, Debug)]
struct Reported;

impl bb8::ErrorSink<Arc<launch::Error>> for Reported {
    fn sink(&self, _error: Arc<launch::Error>) {}

    fn boxed_clone(&self) -> Box<dyn bb8::ErrorSink<Arc<launch::Error>>> {
        Box::new(*self)
    }
}

impl Pool {
    /// A pool that warms up at once. The connections of its browsers go by `route`.
    #[must_use]
    pub fn start(
        mut config: Config,
        route: Route,
        run_dir: Arc<RunDir>,
        drain: &Drain,
        metrics: &Metrics,
    ) -> Self {
        let registry = Registry::default();
        config.limits.throttled = config.isolation.throttles();
        let launcher = Launcher::new(
            config.launch.clone(),
            config.isolation.clone(),
            route,
            Arc::clone(&run_dir),
            registry.clone(),
            drain.clone(),
        );
        let starter = Arc::new(Starter::new(launcher, drain, metrics));
        let bb8 = bb8::Pool::builder()
            .max_size(config.max_browsers)
            .min_idle(config.min_warm.min(config.max_browsers))
            .max_lifetime(None)
            .idle_timeout(None)
            .test_on_check_out(false)
            .retry_connection(false)
            // Callers wait by their own deadlines; this one only must never come first.
            .connection_timeout(Duration::from_secs(24 * 3600))
            .error_sink(Box::new(Reported))
            .build_unchecked(Manager(Arc::clone(&starter)));
        let core = Arc::new(Core {
            queue: Queue::new(config.max_browsers as usize, config.queue),
            seats: Seats::new(config.seats_per_browser),
            config,
            bb8,
            registry,
            starter,
            drain: drain.clone(),
            metrics: metrics.clone(),
            run_dir,
            canary: Canary::default(),
            leaks: LeakWatch::default(),
            disk: DiskWatch::default(),
        });
        let pool = Self(core);
        pool.until_cut(supervisor::supervise);
        pool.until_cut(canary::keep_watch);
        pool.until_cut(leaks::keep_watch);
        pool.until_cut(disk::keep_watch);
        pool
    }

    fn until_cut<F: Future<Output = ()> + Send + 'static>(&self, watch: impl FnOnce(Self) -> F) {
        let (cut, watch) = (self.0.drain.cut_token(), watch(self.clone()));
        let watch = async move { cut.run_until_cancelled(watch).await };
        self.0.drain.spawn(watch);
    }

    /// Whether a browser may be as `profile` says, as far as is known before it is.
    ///
    /// # Errors
    /// [`Denied`], of its proxy.
    pub fn check(&self, profile: &Profile) -> Result<(), Denied> {
        let route = profile.route(self.0.starter.route());
        route.map_or(Ok(()), |route| route.check())
    }

    /// Takes a place in the queue for a browser that will be nobody else's, as one of `party`.
    ///
    /// # Errors
    /// [`Error::QueueFull`] or [`Error::OverShare`] at once when nothing is free and no more may
    /// wait.
    pub fn queue(&self, party: &Party) -> Result<Place, Error> {
        let entry = self.0.queue.join(party, Purpose::Lease);
        let entry = entry.map_err(|refused| self.refused(Purpose::Lease, refused))?;
        if matches!(entry, Entry::Waits(_)) {
            self.settle();
        }
        Ok(Place::new(self.clone(), entry))
    }

    /// Retires the browser `id`: an idle one at once, a shared one after its running fetches. A
    /// leased one is refused: end its lease.
    ///
    /// # Errors
    /// [`Error::Unknown`] or [`Error::Leased`].
    pub fn retire(&self, id: BrowserId) -> Result<(), Error> {
        let browser = self.0.starter.find(id).ok_or(Error::Unknown(id))?;
        let seen = self.seen();
        let state = seen.iter().find(|one| one.id == id).map(|one| one.state);
        if state == Some(State::Leased) {
            return Err(Error::Leased(id));
        }
        browser.condemn(Retire::Operator);
        self.settle();
        self.0.starter.bell().notify_one();
        Ok(())
    }

    /// Takes a browser that has just answered, for `purpose`; the caller has the slot that is the right
    /// to one. `until` bounds the wait for it, `deadline` the whole.
    ///
    /// # Cancel safety
    /// Yes: the browser goes back.
    pub(super) async fn take(
        &self,
        purpose: Purpose,
        until: Deadline,
        deadline: Deadline,
    ) -> Result<Taken, Error> {
        let mut failures = self.0.starter.launches().watch();
        let cut = self.0.drain.cut_token();
        loop {
            self.0.starter.asked();
            let ready = self.0.bb8.get_owned().now_or_never();
            let wants = ready.is_none().then(|| self.0.starter.wants());
            let get = async {
                match ready {
                    Some(ready) => ready,
                    None => self.0.bb8.get_owned().await,
                }
            };
            let taken = tokio::select! {
                biased;
                taken = get => taken.map_err(|_timeout| Error::Passed)?,
                failed = failures.next() => match failed {
                    Some(error) => return Err(Error::Unavailable(error)),
                    // Asking anew launches anew.
                    None => continue,
                },
                () = cut.cancelled() => return Err(Error::Draining),
                () = tokio::time::sleep_until(until.instant()) => {
                    return Err(self.in_vain(purpose));
                }
            };
            drop(wants);
            let browser = Arc::clone(&taken.0);
            if let Some(reason) = browser.condemned() {
                self.destroy(taken, None, reason);
                continue;
            }
            match self.claimed(&browser, deadline).await {
                Ok(claim) => {
                    claim.keep();
                    return Ok(taken);
                }
                // The caller had no time for the check: nothing is said against the browser.
                Err(_) if deadline.has_passed() && !browser.is_dead() => return Err(Error::Passed),
                Err(error) => {
                    tracing::warn!(browser = %browser.id(), %error, "browser.check_failed");
                    self.destroy(taken, None, Retire::Unhealthy);
                }
            }
        }
    }

    /// Nobody else is in the browser, and it answers.
    async fn claimed(&self, browser: &Browser, deadline: Deadline) -> Result<Claim, cdp::Error> {
        let soon = deadline.within(self.0.config.check_timeout);
        let claim = browser.lodge().claim(soon).await;
        let claim = claim.map_err(|_passed| cdp::Error::Timeout("a guest to leave".into()))?;
        browser.answers(soon).await?;
        Ok(claim)
    }

    /// Replaces a taken spare by a browser with options of its own, in the same place.
    pub(super) async fn relaunch(&self, taken: &mut Taken, profile: &Profile) -> Result<(), Error> {
        let plain = Arc::clone(&taken.0);
        plain.condemn(Retire::Leased);
        plain.state(State::Retiring);
        plain.kill(Kill::Done);
        plain.gone().cancelled().await;
        let own = self.0.starter.start(profile).await;
        taken.0 = own.map_err(Error::Unavailable)?;
        Ok(())
    }

    /// The one way out of the pool: kills the browser, and frees its place in bb8 and its slot
    /// only when nothing of it is left.
    pub(super) fn destroy(&self, taken: Taken, slot: Option<Slot>, reason: Retire) {
        let browser = Arc::clone(&taken.0);
        browser.condemn(reason);
        browser.state(State::Retiring);
        browser.kill(Kill::Done);
        self.0.metrics.retired(reason);
        tracing::info!(
            browser = %browser.id(), reason = reason.as_str(), uses = browser.uses(),
            "browser.retired"
        );
        let starter = Arc::clone(&self.0.starter);
        self.0.drain.spawn(async move {
            browser.gone().cancelled().await;
            drop(taken);
            drop(slot);
            starter.bell().notify_one();
        });
    }
}
