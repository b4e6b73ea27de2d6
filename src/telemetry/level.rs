//! The log level, changed while the process runs.

use std::{fmt, future, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tracing_subscriber::{EnvFilter, Registry, reload::Handle};

use super::{Error, filter};

/// The filter of the log, which may be changed at any time; clones change the same.
///
/// A change is for good, or for a while and then taken back. [`Level::watch`] is what takes it back.
#[derive(Clone)]
pub struct Level(Arc<Inner>);

struct Inner {
    handle: Handle<EnvFilter, Registry>,
    configured: String,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Clone, Debug)]
struct State {
    now: String,
    /// When what holds is taken back, and what holds then.
    back: Option<(Instant, String)>,
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Level").field(&self.current()).finish()
    }
}

impl Level {
    pub(super) fn new(configured: &str, handle: Handle<EnvFilter, Registry>) -> Self {
        let configured = configured.to_owned();
        let state = Mutex::new(State {
            now: configured.clone(),
            back: None,
        });
        Self(Arc::new(Inner {
            handle,
            configured,
            state,
            changed: Notify::new(),
        }))
    }

    /// The filter in force.
    #[must_use]
    pub fn current(&self) -> String {
        self.0.state.lock().now.clone()
    }

    /// Puts `filter` in force, the configured one when it is empty, and returns the one before.
    /// With `period` it is taken back after that, to what was in force for good. `by` is whose wish
    /// it was, for the log.
    ///
    /// # Errors
    /// [`Error::Filter`] and [`Error::TooLong`]; nothing has changed then.
    pub fn set(
        &self,
        wanted: &str,
        period: Option<Duration>,
        by: &'static str,
    ) -> Result<String, Error> {
        if filter::too_long(wanted) {
            return Err(Error::TooLong);
        }
        let wanted = match wanted.trim() {
            "" => &self.0.configured,
            wanted => wanted,
        };
        let parsed = filter::parse(wanted)?;
        let before = {
            let mut state = self.0.state.lock();
            let before = state.now.clone();
            state.back = period.map(|period| {
                let for_good = state.back.take().map(|(_, filter)| filter);
                let for_good = for_good.unwrap_or_else(|| before.clone());
                (Instant::now() + period, for_good)
            });
            wanted.clone_into(&mut state.now);
            self.apply(parsed);
            before
        };
        self.0.changed.notify_one();
        // As a warning, so that a log that falls silent says why.
        tracing::warn!(from = before, to = wanted, by, "log.level_changed");
        Ok(before)
    }

    /// Hears one level more of Berth's own events than now, until told otherwise.
    ///
    /// # Errors
    /// [`Error::TooLong`] when the filter in force is as long as may be.
    pub fn more(&self, by: &'static str) -> Result<String, Error> {
        self.set(&filter::raised(&self.current()), None, by)
    }

    /// Puts the configured filter in force again.
    ///
    /// # Errors
    /// None that was not found at the start.
    pub fn reset(&self, by: &'static str) -> Result<String, Error> {
        self.set("", None, by)
    }

    /// Takes back what was for a while, until dropped.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn watch(&self) {
        loop {
            let due = self.0.state.lock().back.clone();
            let passed = async {
                match &due {
                    Some((at, _)) => sleep_until(*at).await,
                    None => future::pending().await,
                }
            };
            tokio::select! {
                () = passed => self.take_back(),
                () = self.0.changed.notified() => {}
            }
        }
    }

    fn take_back(&self) {
        let due = {
            let mut state = self.0.state.lock();
            // Meanwhile it may have been set anew.
            state.back.take_if(|(at, _)| *at <= Instant::now())
        };
        if let Some((_, for_good)) = due
            && let Err(error) = self.set(&for_good, None, "time")
        {
            tracing::error!(%error, "the log level cannot be taken back");
        }
    }

    fn apply(&self, filter: EnvFilter) {
        // It fails only once the log itself is gone, and then nobody hears.
        let _ = self.0.handle.reload(filter);
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::reload;

    use super::*;

    fn level() -> (Level, reload::Layer<EnvFilter, Registry>) {
        let (layer, handle) = reload::Layer::new(filter::parse("info").unwrap());
        (Level::new("info", handle), layer)
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_for_a_while_is_taken_back_to_what_was_for_good() {
        let (level, _layer) = level();
        let watch = level.watch();
        tokio::pin!(watch);
        assert_eq!(level.set("warn", None, "test").unwrap(), "info");
        let minute = Some(Duration::from_secs(60));
        assert_eq!(level.set("debug", minute, "test").unwrap(), "warn");
        assert_eq!(level.set("trace", minute, "test").unwrap(), "debug");
        let soon = tokio::time::timeout(Duration::from_secs(59), &mut watch);
        assert!(soon.await.is_err());
        assert_eq!(level.current(), "trace");
        let late = tokio::time::timeout(Duration::from_secs(2), &mut watch);
        assert!(late.await.is_err());
        assert_eq!(level.current(), "warn");
    }

    #[test]
    fn more_and_back() {
        let (level, _layer) = level();
        assert_eq!(level.more("test").unwrap(), "info");
        assert_eq!(level.current(), "info,berth=debug");
        level.more("test").unwrap();
        level.more("test").unwrap();
        assert_eq!(level.current(), "info,berth=trace");
        level.reset("test").unwrap();
        assert_eq!(level.current(), "info");
    }

    #[test]
    fn what_is_no_filter_changes_nothing() {
        let (level, _layer) = level();
        let wrong = level.set("berth=loud", None, "test");
        assert!(matches!(wrong, Err(Error::Filter(_))));
        let long = level.set(&"x".repeat(1025), None, "test");
        assert!(matches!(long, Err(Error::TooLong)));
        assert_eq!(level.current(), "info");
    }
}
