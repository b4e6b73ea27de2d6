//! The pool: warm browsers in bb8, and the way in and out.
//!
//! bb8 keeps the warm browsers, launches ahead of demand and never has more than the maximum. What
//! it lacks is done here: fairness and admission ([`Queue`]), a check that does not free a place
//! before the browser is gone, launch failures that are seen, retirement, and a way out that is
//! waited for. Its own reaping is off.

use std::{sync::Arc, time::Duration};

use bb8::{ManageConnection, PooledConnection};
use futures::FutureExt;
use tokio::time::sleep;

use super::{
    Error, Profile,
    chrome::{Browser, BrowserId},
    launch::{self, Launcher},
    launches::Launches,
    place::{Demand, Place},
    process::Kill,
    queue::{Purpose, Queue, Slot},
    registry::{Registry, Seen, State},
    rundir::RunDir,
    seats::Seats,
    starter::Starter,
    supervisor,
};
use crate::{
    deadline::Deadline,
    drain::Drain,
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
    /// A browser's tree may take so much memory, in bytes; 0 for no limit.
    pub memory_limit: u64,
    /// How long a browser has to answer a check.
    pub check_timeout: Duration,
    /// How often every browser is checked.
    pub check_interval: Duration,
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
    run_dir: Arc<RunDir>,
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
    /// A pool that warms up at once.
    #[must_use]
    pub fn start(config: Config, run_dir: Arc<RunDir>, drain: &Drain, metrics: &Metrics) -> Self {
        let registry = Registry::default();
        let launcher = Launcher::new(
            config.launch.clone(),
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
        });
        let cut = drain.cut_token();
        let watched = Self(Arc::clone(&core));
        drain.spawn(async move {
            cut.run_until_cancelled(supervisor::supervise(watched))
                .await
        });
        Self(core)
    }

    /// Takes a place in the queue for a browser that will be nobody else's.
    ///
    /// # Errors
    /// [`Error::QueueFull`] at once when nothing is free and the queue is full.
    pub fn queue(&self) -> Result<Place, Error> {
        let slot = self.0.queue.slot_now();
        let ticket = match slot {
            Some(_) => None,
            None => {
                let ticket = self.0.queue.join(Purpose::Lease);
                Some(ticket.map_err(|_full| Error::QueueFull(self.demand()))?)
            }
        };
        if ticket.is_some() {
            self.settle();
        }
        Ok(Place::new(self.clone(), slot, ticket))
    }

    /// How many browsers there are, of which state.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.0.registry.seen()
    }

    /// Dead children nobody had reaped when last counted.
    #[must_use]
    pub fn zombies(&self) -> u64 {
        self.0.registry.zombies()
    }

    /// The numbers behind a refusal.
    #[must_use]
    pub fn demand(&self) -> Demand {
        Demand {
            max: self.0.config.max_browsers as usize,
            leased: self.0.registry.count(State::Leased),
            shared: self.0.registry.count(State::Shared),
            waiting: self.waiting(),
            queue: self.0.queue.limit(),
        }
    }

    /// How many callers wait for a browser or a seat.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.queue.leases_waiting() + self.0.seats.waiting()
    }

    /// How launches go.
    #[must_use]
    pub fn launches(&self) -> &Launches {
        self.0.starter.launches()
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// How many browser directories are on disk.
    #[must_use]
    pub fn directories(&self) -> usize {
        self.0.run_dir.browsers()
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
        browser.condemn(Retire::Age);
        self.settle();
        self.0.starter.bell().notify_one();
        Ok(())
    }

    /// Kills every browser and waits until nothing of any is left. Call it once no lease and no
    /// fetch is running; the caller bounds it.
    ///
    /// # Cancel safety
    /// The killing goes on.
    pub async fn shut_down(&self) {
        self.close_all_seats();
        for browser in self.0.starter.browsers() {
            browser.condemn(Retire::Drain);
        }
        self.sweep();
        let mut pause = Duration::from_millis(1);
        while self.0.registry.total() > 0 {
            // A launch that was cut may still enter bb8; it is swept like any other.
            self.sweep();
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        // Not left to the last clone's drop: a process may exit before some task lets go of it.
        self.0.run_dir.remove();
    }

    /// Takes a browser that has just answered, with `slot` as the right to one. `until` bounds the
    /// wait for it, `deadline` the whole.
    ///
    /// # Cancel safety
    /// Yes: the browser goes back.
    pub(super) async fn take(&self, until: Deadline, deadline: Deadline) -> Result<Taken, Error> {
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
                    return Err(Error::Exhausted(self.demand()));
                }
            };
            drop(wants);
            let browser = Arc::clone(&taken.0);
            if let Some(reason) = browser.condemned() {
                self.destroy(taken, None, reason);
                continue;
            }
            match browser
                .answers(deadline.within(self.0.config.check_timeout))
                .await
            {
                Ok(()) => return Ok(taken),
                // The caller had no time for the check: nothing is said against the browser.
                Err(_) if deadline.has_passed() && !browser.is_dead() => return Err(Error::Passed),
                Err(error) => {
                    tracing::warn!(browser = %browser.id(), %error, "browser.check_failed");
                    self.destroy(taken, None, Retire::Unhealthy);
                }
            }
        }
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

    /// Takes the condemned ones out of bb8's idle queue. Nothing here waits: each turn takes the
    /// first of the queue and puts a healthy one back to its end.
    pub(super) fn sweep(&self) {
        // bb8 replaces what is taken out even for a moment: nothing is, beyond what must be.
        let mut idle = self.seen();
        idle.retain(|one| one.state == State::Idle);
        let browsers = self.0.starter.browsers();
        let is_idle = |browser: &&Arc<Browser>| idle.iter().any(|one| one.id == browser.id());
        let mut due = browsers
            .iter()
            .filter(is_idle)
            .filter(|one| one.condemned().is_some())
            .count();
        for _ in 0..self.0.bb8.state().idle_connections {
            if due == 0 {
                return;
            }
            let Some(Ok(taken)) = self.0.bb8.get_owned().now_or_never() else {
                return;
            };
            if let Some(reason) = taken.0.condemned() {
                due -= 1;
                self.destroy(taken, None, reason);
            }
        }
    }

    /// Has bb8 launch what the minimum of warm browsers lacks, as it only does when it is used.
    pub(super) fn warm_up(&self) {
        let state = self.0.bb8.state();
        if state.idle_connections < self.0.config.min_warm
            && state.connections < self.0.config.max_browsers
            && self.0.registry.count(State::Starting) == 0
        {
            drop(self.0.bb8.get_owned().now_or_never());
        }
    }
}
