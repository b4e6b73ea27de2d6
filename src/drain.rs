//! Admission, tracked tasks and the two phases of a drain.
//!
//! A process that serves goes through three states: *admitting* (new work is let in), *draining*
//! (new work is refused, what runs may end) and *cut* (what still runs is cancelled). Work is let
//! in by [`Drain::admit`], whose guard is the proof that it counts; tasks are started through
//! [`Drain::spawn`] only, so that [`Drain::closed`] can wait for every one of them.

use std::sync::Arc;

use tokio::{runtime::Handle, sync::watch, task::JoinHandle, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Refused: the process is draining.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("draining: no new work is taken")]
pub struct Draining;

/// The one handle to admission and shutdown; clones share the same state.
#[derive(Clone, Debug)]
pub struct Drain(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: watch::Sender<State>,
    cut: CancellationToken,
    tasks: TaskTracker,
    /// Kept, so that a guard dropped outside of the runtime can still hand its resource to a task.
    runtime: Handle,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    draining: bool,
    /// When what still runs will be cut, once that is known.
    cut_at: Option<Instant>,
    running: usize,
}

/// Proof of admission: the work counts as running until this is dropped.
#[derive(Debug)]
pub struct Admission(Drain);

impl Drain {
    /// Admits work from now on; its tasks run on `runtime`.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        Self(Arc::new(Inner {
            state: watch::Sender::new(State::default()),
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime,
        }))
    }

    /// Lets a piece of work in, unless draining.
    ///
    /// # Errors
    /// [`Draining`] from the first moment of a drain.
    pub fn admit(&self) -> Result<Admission, Draining> {
        let mut admitted = false;
        // One lock decides and counts: no work slips in after `begin`.
        self.0.state.send_if_modified(|state| {
            if !state.draining {
                state.running += 1;
                admitted = true;
            }
            admitted
        });
        if admitted {
            Ok(Admission(self.clone()))
        } else {
            Err(Draining)
        }
    }

    /// Begins to drain: refuses new work, lets running work end. Idempotent.
    pub fn begin(&self) {
        self.0.state.send_if_modified(|state| {
            let begun = !state.draining;
            state.draining = true;
            begun
        });
    }

    /// Begins to drain, and says when what then still runs will be cut.
    pub fn begin_until(&self, cut_at: Instant) {
        self.0.state.send_modify(|state| {
            state.draining = true;
            state.cut_at = Some(cut_at);
        });
    }

    /// When what still runs will be cut; `None` as long as nothing will.
    #[must_use]
    pub fn cut_at(&self) -> Option<Instant> {
        self.0.state.borrow().cut_at
    }

    /// Resolves once it is known when what still runs will be cut.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn cut_known(&self) -> Instant {
        self.wait_for(|state| state.cut_at.is_some()).await;
        self.cut_at().unwrap_or_else(Instant::now)
    }

    /// Takes new work again. Returns `false` when it is too late because work was already cut, or
    /// it was said when it will be.
    #[must_use]
    pub fn resume(&self) -> bool {
        if self.0.cut.is_cancelled() {
            return false;
        }
        let mut resumed = true;
        self.0.state.send_if_modified(|state| {
            // Those who run were told that they will be cut.
            resumed = state.cut_at.is_none();
            let changed = resumed && state.draining;
            state.draining &= !resumed;
            changed
        });
        resumed
    }

    /// Cancels what still runs: the second phase. Also begins to drain. Cannot be undone.
    pub fn cut(&self) {
        self.begin();
        self.0.cut.cancel();
    }

    /// Whether new work is refused.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.state.borrow().draining
    }

    /// How many pieces of admitted work run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.state.borrow().running
    }

    /// Changes of the draining flag, for whoever must react to both directions.
    #[must_use]
    pub fn watch(&self) -> DrainWatch {
        DrainWatch(self.0.state.subscribe())
    }

    /// Resolves once draining has begun.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn begun(&self) {
        self.wait_for(|state| state.draining).await;
    }

    /// Resolves once no admitted work runs.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn idle(&self) {
        self.wait_for(|state| state.running == 0).await;
    }

    /// The token of the second phase.
    #[must_use]
    pub fn cut_token(&self) -> CancellationToken {
        self.0.cut.clone()
    }

    /// Starts a task that [`Drain::closed`] waits for.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.0.tasks.spawn_on(task, &self.0.runtime)
    }

    /// How many tracked tasks live.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.0.tasks.len()
    }

    /// Resolves once every tracked task has ended.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn closed(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    async fn wait_for(&self, condition: impl Fn(State) -> bool) {
        let mut state = self.0.state.subscribe();
        // The sender lives as long as `self`, so this cannot fail; if it ever did, the condition
        // would be moot as nothing is left to wait for.
        let _ = state.wait_for(|state| condition(*state)).await;
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.0.state.send_modify(|state| state.running -= 1);
    }
}

/// Follows whether the process is draining, in both directions.
#[derive(Clone, Debug)]
pub struct DrainWatch(watch::Receiver<State>);

impl DrainWatch {
    /// Resolves with the flag each time the state may have changed.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn changed(&mut self) -> bool {
        if self.0.changed().await.is_err() {
            return true;
        }
        self.0.borrow_and_update().draining
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn refuses_new_work_and_waits_for_the_old() {
        let drain = Drain::new(Handle::current());
        let work = drain.admit().unwrap();
        drain.begin();
        assert_eq!(drain.admit().unwrap_err(), Draining);
        let idle = tokio::time::timeout(Duration::from_secs(1), drain.idle());
        assert!(idle.await.is_err(), "one piece of work still runs");
        drop(work);
        drain.idle().await;
        assert_eq!(drain.running(), 0);
    }

    #[tokio::test]
    async fn resumes_until_cut() {
        let drain = Drain::new(Handle::current());
        drain.begin();
        assert!(drain.resume());
        drop(drain.admit().unwrap());
        drain.cut();
        assert!(drain.is_draining(), "a cut implies a drain");
        assert!(!drain.resume());
        assert!(drain.admit().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_known_when_work_will_be_cut() {
        let drain = Drain::new(Handle::current());
        drain.begin();
        assert_eq!(drain.cut_at(), None);
        assert!(drain.resume(), "nobody was told anything");
        let cut = Instant::now() + Duration::from_secs(7);
        drain.begin_until(cut);
        assert_eq!(drain.cut_known().await, cut);
        assert!(!drain.resume() && drain.is_draining());
    }

    #[tokio::test]
    async fn closed_waits_for_every_tracked_task() {
        let drain = Drain::new(Handle::current());
        let cut = drain.cut_token();
        drain.spawn(async move { cut.cancelled().await });
        assert_eq!(drain.tasks(), 1);
        drain.cut();
        drain.closed().await;
        assert_eq!(drain.tasks(), 0);
    }
}
