//! The canary: a page that is really loaded now and then, to see that pages can be.
//!
//! It is a guest: it goes where a caller would be served at once, into a browser that waits for its
//! first use or one with a free seat, and takes neither slot nor seat. When browsers are busy it is
//! skipped. The page comes with its own address, so that no network has a part in it.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use futures::FutureExt;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::{
    chrome::Browser,
    page::{self, Page, PageOptions, WaitUntil, Want},
    pool::Pool,
    registry::State,
    seats::Seat,
};
use crate::{
    deadline::Deadline,
    health::{self, millis},
    metrics::{CanaryResult, Retire},
};

/// What went before is soon looked at again: a failure, to tell a slip from an outage, and a skip.
const AGAIN: Duration = Duration::from_secs(5);
/// A browser that comes or goes is there or gone in a moment.
const MOMENT: Duration = Duration::from_secs(1);

/// How the canary does.
#[derive(Debug)]
pub(super) struct Canary(Mutex<Record>);

#[derive(Debug)]
struct Record {
    /// When it last loaded; at first when it was set up.
    passed: Instant,
    took: Option<Duration>,
    failures: u64,
    last_error: Option<String>,
    skipped: Option<Skip>,
}

/// Why it was not loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    /// Every browser has its hands full.
    Busy,
    /// No browser runs, and none is wanted before somebody asks.
    Cold,
}

impl Skip {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Cold => "cold",
        }
    }
}

/// What came of one look.
#[derive(Debug)]
enum Outcome {
    Passed(Duration),
    Failed(String),
    Skipped(Skip),
    /// No browser to load it in at this moment, or none any more.
    Nowhere,
}

impl Default for Canary {
    fn default() -> Self {
        Self(Mutex::new(Record {
            passed: Instant::now(),
            took: None,
            failures: 0,
            last_error: None,
            skipped: None,
        }))
    }
}

impl Canary {
    /// How it does, when it is loaded each `interval`.
    pub(super) fn seen(&self, interval: Duration) -> health::Canary {
        let record = self.0.lock();
        health::Canary {
            enabled: !interval.is_zero(),
            age_ms: millis(record.passed.elapsed()),
            took_ms: record.took.map(millis),
            failures: record.failures,
            last_error: record.last_error.clone(),
            skipped: record.skipped.map(Skip::as_str),
        }
    }

    /// Enters what came of a look, and says when to look again.
    fn enter(&self, outcome: Outcome, interval: Duration) -> Duration {
        let mut record = self.0.lock();
        record.skipped = None;
        match outcome {
            Outcome::Passed(took) => {
                *record = Record {
                    passed: Instant::now(),
                    took: Some(took),
                    failures: 0,
                    last_error: None,
                    skipped: None,
                };
                interval
            }
            Outcome::Failed(error) => {
                record.failures += 1;
                record.last_error = Some(error);
                interval.min(AGAIN)
            }
            Outcome::Skipped(why) => {
                record.skipped = Some(why);
                interval.min(AGAIN)
            }
            Outcome::Nowhere => interval.min(MOMENT),
        }
    }
}

/// Loads the canary of `pool` again and again, until dropped.
pub(super) async fn keep_watch(pool: Pool) {
    let interval = pool.0.config.canary_interval;
    if interval.is_zero() {
        return;
    }
    let mut pause = interval.min(AGAIN);
    loop {
        sleep(pause).await;
        let outcome = Box::pin(pool.look()).await;
        match &outcome {
            Outcome::Passed(took) => {
                pool.0.metrics.canary(CanaryResult::Ok, Some(*took));
                tracing::debug!(millis = millis(*took), "canary.passed");
            }
            Outcome::Failed(error) => {
                pool.0.metrics.canary(CanaryResult::Failed, None);
                tracing::warn!(error, "canary.failed");
            }
            Outcome::Skipped(_) => pool.0.metrics.canary(CanaryResult::Skipped, None),
            Outcome::Nowhere => {}
        }
        pause = pool.0.canary.enter(outcome, interval);
    }
}

impl Pool {
    async fn look(&self) -> Outcome {
        let browser = match self.willing() {
            Ok(browser) => browser,
            Err(outcome) => return outcome,
        };
        let Some(guest) = browser.lodge().visit() else {
            return Outcome::Nowhere;
        };
        let leave = guest.leave().clone();
        let deadline = Deadline::after(self.0.config.canary_timeout);
        let begun = Instant::now();
        let seat = Seat::beside(self.clone(), Arc::clone(&browser), guest);
        let loaded = tokio::select! {
            biased;
            // Somebody wants the browser.
            () = leave.cancelled() => return Outcome::Nowhere,
            loaded = Box::pin(load(seat, deadline)) => loaded,
        };
        match loaded {
            Ok(()) => Outcome::Passed(begun.elapsed()),
            // It was about to go; what came of the page says nothing.
            Err(_)
                if browser
                    .condemned()
                    .is_some_and(|why| why != Retire::Crashed) =>
            {
                Outcome::Nowhere
            }
            Err(error) => {
                browser.condemn(Retire::Unhealthy);
                self.0.starter.bell().notify_one();
                Outcome::Failed(format!("{}: {error}", browser.id()))
            }
        }
    }

    /// A browser in which a caller would be served at once.
    fn willing(&self) -> Result<Arc<Browser>, Outcome> {
        let count = |state| self.0.registry.count(state);
        if self.waiting() > 0 {
            return Err(Outcome::Skipped(Skip::Busy));
        }
        let seen = self.seen();
        let free = |browser: &Arc<Browser>| {
            let seen = seen.iter().find(|one| one.id == browser.id());
            let room = seen.is_some_and(|one| match one.state {
                State::Idle => true,
                State::Shared => one.seats < self.0.config.seats_per_browser,
                State::Starting | State::Leased | State::Retiring => false,
            });
            room && browser.condemned().is_none()
        };
        if let Some(browser) = self.0.starter.browsers().into_iter().find(free) {
            return Ok(browser);
        }
        let running = count(State::Leased) + count(State::Shared);
        if running >= self.0.config.max_browsers as usize {
            return Err(Outcome::Skipped(Skip::Busy));
        }
        if self.0.config.min_warm > 0 {
            return Err(Outcome::Nowhere);
        }
        // Nobody keeps one warm. Whether one can be had is found out once, and after a failure:
        // else nobody would be sent here who could make it turn out.
        let tally = self.launches().tally();
        if tally.succeeded > 0 && tally.failed_in_a_row == 0 {
            return Err(Outcome::Skipped(Skip::Cold));
        }
        if count(State::Starting) == 0 {
            drop(self.0.bb8.get_owned().now_or_never());
        }
        Err(Outcome::Nowhere)
    }
}

/// Loads a page that no network knows, whose text is made by a script of its own.
async fn load(seat: Seat, deadline: Deadline) -> Result<(), String> {
    let number: u32 = rand::random();
    let page = format!(
        "<!doctype html><title>canary</title><p id=p></p>\
         <script>p.textContent='canary ' + ({number} + 1)</script>"
    );
    let mut url = String::from("data:text/html,");
    for byte in page.bytes() {
        write!(url, "%{byte:02x}").map_err(|error| error.to_string())?;
    }
    let told = |error: page::Error| error.to_string();
    let options = PageOptions::default();
    let opened = Box::pin(Page::open(seat, &options, deadline)).await;
    let mut page = opened.map_err(told)?;
    let gone = Box::pin(page.goto(&url, WaitUntil::Load, deadline)).await;
    gone.map_err(told)?;
    let want = Want {
        html: false,
        text: true,
        title: true,
    };
    let found = page.contents(want, 1 << 16, deadline).await.map_err(told)?;
    let text = found.text.unwrap_or_default();
    let wanted = format!("canary {}", u64::from(number) + 1);
    if text.trim() == wanted && found.title.as_deref() == Some("canary") {
        return Ok(());
    }
    Err(format!("it loaded {text:?} instead of {wanted:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_record_tells_what_came_last() {
        let canary = Canary::default();
        let every = Duration::from_secs(60);
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(canary.seen(every).age_ms, 7000, "since the start");
        assert_eq!(canary.enter(Outcome::Failed("slow".into()), every), AGAIN);
        assert_eq!(canary.enter(Outcome::Nowhere, every), MOMENT);
        let seen = canary.seen(every);
        assert_eq!((seen.failures, seen.skipped), (1, None));
        assert_eq!(seen.last_error.as_deref(), Some("slow"));
        assert_eq!(canary.enter(Outcome::Skipped(Skip::Busy), every), AGAIN);
        let seen = canary.seen(every);
        assert_eq!((seen.failures, seen.skipped), (1, Some("busy")));
        let took = Duration::from_millis(80);
        assert_eq!(canary.enter(Outcome::Passed(took), every), every);
        let seen = canary.seen(every);
        let passed = health::Canary {
            enabled: true,
            took_ms: Some(80),
            ..health::Canary::default()
        };
        assert_eq!(seen, passed);
        assert!(!canary.seen(Duration::ZERO).enabled);
    }
}
