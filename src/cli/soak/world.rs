//! What the workers share, and their loop.

use std::{
    fs::File,
    io::Write,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{
    dir::Mishap,
    kind::{Fault, Kind, Step},
    origin::Origin,
    tally::{Outcome, Tally},
};
use crate::{cli::client::Target, client::Connection};

/// Longest that any work may take.
pub(super) const BOUND: Duration = Duration::from_secs(30);
/// A worker rests for up to this long between two steps: it is a user, not a benchmark.
const PAUSE_MS: u64 = 150;
/// So long after the kill of a browser a call may still meet it.
const AFTERMATH: Duration = Duration::from_secs(1);
/// What is kept of what went wrong: enough to see what it was.
const MISHAPS: u64 = 10_000;

/// What the workers share.
#[derive(Debug)]
pub(super) struct World {
    pub(super) target: Target,
    pub(super) origin: Origin,
    /// The broker's process, when it is our child.
    pub(super) pid: Option<i32>,
    pub(super) tally: Tally,
    killed: Mutex<Vec<(Instant, String)>>,
    mishaps: Mutex<(File, u64)>,
}

/// Why a step is not as it must be.
#[derive(Clone, Debug, Default)]
pub(super) struct Wrong {
    /// For people.
    pub(super) why: String,
    /// The reason in the status, when it is one.
    pub(super) reason: String,
    /// The leased browser, when there was one.
    pub(super) browser: Option<String>,
}

impl Wrong {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            ..Self::default()
        }
    }

    /// The same, of a call with this leased browser.
    pub(super) fn of(mut self, browser: &str) -> Self {
        self.browser = Some(browser.to_owned());
        self
    }
}

impl From<Status> for Wrong {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone());
        // The client keeps the deadline, too, and may come first.
        let passed = matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled);
        let own = if passed { "DEADLINE" } else { "" };
        let reason = reason.unwrap_or_else(|| own.into());
        let code = format!("{:?}", status.code());
        Self {
            why: format!("{code} {reason}: {}", status.message()),
            reason,
            browser: None,
        }
    }
}

/// The wall clock, in milliseconds since the Unix epoch.
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

impl World {
    pub(super) fn new(target: Target, origin: Origin, pid: Option<i32>, mishaps: File) -> Self {
        Self {
            target,
            origin,
            pid,
            tally: Tally::default(),
            killed: Mutex::default(),
            mishaps: Mutex::new((mishaps, MISHAPS)),
        }
    }

    /// Notes that this browser is about to be killed by us.
    pub(super) fn kills(&self, browser: &str) {
        let mut killed = self.killed.lock();
        // Longer than any work lasts, and then some.
        killed.retain(|(when, _)| when.elapsed() < BOUND * 4);
        killed.push((Instant::now(), browser.to_owned()));
    }

    /// Whether a kill of ours explains what went wrong with a step begun then: that of its leased
    /// browser, or for a call that says BROWSER_LOST and cannot say which, any during the call.
    fn explains(&self, begun: Instant, wrong: &Wrong) -> bool {
        let killed = self.killed.lock();
        match &wrong.browser {
            Some(browser) => killed.iter().any(|(_, one)| one == browser),
            None => {
                wrong.reason == "BROWSER_LOST"
                    && killed.iter().any(|(when, _)| *when + AFTERMATH >= begun)
            }
        }
    }

    fn outcome(&self, begun: Instant, result: Result<(), Wrong>) -> Outcome {
        match result {
            Ok(()) => Outcome::Good,
            Err(wrong) if self.explains(begun, &wrong) => Outcome::Explained,
            Err(wrong) => Outcome::Bad(wrong.why),
        }
    }

    /// Notes what went wrong. What does not fit on the disk is still counted.
    pub(super) fn note(&self, step: &str, why: &str) {
        let mut mishaps = self.mishaps.lock();
        let (file, left) = &mut *mishaps;
        let mishap = Mishap {
            unix_ms: unix_ms(),
            step: step.to_owned(),
            why: why.to_owned(),
        };
        if let (Some(less), Ok(line)) = (left.checked_sub(1), serde_json::to_string(&mishap)) {
            *left = less;
            let _ = writeln!(file, "{line}");
        }
    }
}

/// One of the users: takes step after step until `stop`.
pub(super) struct Worker {
    pub(super) world: Arc<World>,
    pub(super) channel: Connection,
    pub(super) rng: StdRng,
}

impl Worker {
    /// The worker of this number, in this part of a run: its steps follow from the seed.
    pub(super) fn new(
        world: Arc<World>,
        channel: Connection,
        seed: u64,
        part: usize,
        nr: usize,
    ) -> Self {
        let mix = (part as u64) << 32 | nr as u64;
        Self {
            world,
            channel,
            rng: StdRng::seed_from_u64(seed ^ mix.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let step = Step::choose(&mut self.rng, self.world.pid.is_some());
            let begun = Instant::now();
            let result = Box::pin(self.take(step)).await;
            let took = begun.elapsed();
            let outcome = self.world.outcome(begun, result);
            self.world.tally.count(step, took, &outcome);
            let mut pause = Duration::from_millis(self.rng.random_range(0..=PAUSE_MS));
            if let Outcome::Bad(why) = outcome {
                self.world.note(name(step), &why);
                // A broker that is gone is not asked a thousand times a second.
                pause += Duration::from_millis(300);
            }
            stop.run_until_cancelled(sleep(pause)).await;
        }
    }

    async fn take(&mut self, step: Step) -> Result<(), Wrong> {
        match step {
            Step::Work(Kind::Http) => self.http().await,
            Step::Work(Kind::Auto) => self.auto().await,
            Step::Work(Kind::Browser) => self.browser().await,
            Step::Work(Kind::Many) => self.many().await,
            Step::Work(Kind::Attach) => self.attach().await,
            Step::Work(Kind::Hold) => self.hold().await,
            Step::Work(Kind::Expire) => self.expire().await,
            Step::Fault(Fault::Cancel) => self.cancel().await,
            Step::Fault(Fault::SlowOrigin) => self.slow_origin().await,
            Step::Fault(Fault::BrokenOrigin) => self.broken_origin().await,
            Step::Fault(Fault::Hang) => self.hang().await,
            Step::Fault(Fault::Memory) => self.memory().await,
            Step::Fault(Fault::KillLeased) => self.kill_leased().await,
            Step::Fault(Fault::KillOther) => self.kill_other().await,
            Step::Fault(Fault::KillClient) => self.kill_client().await,
            Step::Fault(Fault::CutStream) => self.cut_stream().await,
        }
    }

    /// One of `count` numbers.
    pub(super) fn any(&mut self, count: u32) -> u32 {
        self.rng.random_range(0..count)
    }

    /// Up to so many milliseconds.
    pub(super) fn moment(&mut self, most_ms: u64) -> Duration {
        Duration::from_millis(self.rng.random_range(0..=most_ms))
    }
}

const fn name(step: Step) -> &'static str {
    match step {
        Step::Work(kind) => kind.name(),
        Step::Fault(fault) => fault.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_kill_of_ours_explains_and_only_what_it_can() {
        let origin = Origin {
            site: String::new(),
            trap: String::new(),
            nobody: String::new(),
        };
        let target = Target::open(String::new());
        let world = World::new(target, origin, None, tempfile::tempfile().unwrap());
        let lost = || Wrong {
            reason: "BROWSER_LOST".into(),
            ..Wrong::new("lost")
        };
        let bad = |outcome| matches!(outcome, Outcome::Bad(_));
        let begun = Instant::now();
        assert!(bad(world.outcome(begun, Err(lost()))), "nobody was killed");
        world.kills("b-1");
        assert_eq!(world.outcome(begun, Err(lost())), Outcome::Explained);
        assert!(bad(world.outcome(begun, Err(Wrong::new("DEADLINE")))));
        let of = |browser| Err(Wrong::new("socket closed").of(browser));
        assert_eq!(world.outcome(begun, of("b-1")), Outcome::Explained);
        assert!(bad(world.outcome(begun, of("b-2"))));
        tokio::time::advance(AFTERMATH * 2).await;
        let later = Instant::now();
        assert!(
            bad(world.outcome(later, Err(lost()))),
            "the kill was before"
        );
        assert_eq!(world.outcome(later, Ok(())), Outcome::Good);
    }
}
