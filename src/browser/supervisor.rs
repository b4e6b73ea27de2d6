//! The supervisor: looks after every browser, whatever its users do.
//!
//! It wakes each second and whenever something happened: a browser died, a place came free. It
//! checks that browsers answer, measures their trees, retires what is due, keeps the minimum warm,
//! and reaps dead children that nobody owns.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    census::{self, Census},
    chrome::{Browser, BrowserId},
    limits::{Limits, Meter, Over},
    pool::Pool,
    process::Kill,
    registry::State,
};
use crate::{deadline::Deadline, metrics::Retire};

const TICK: Duration = Duration::from_secs(1);
/// Measuring reads each process's memory map: some milliseconds a browser.
const CENSUS_INTERVAL: Duration = Duration::from_secs(5);
/// A leased browser may be busy with what its client asks of it: only so many missed checks in a
/// row mean that it hangs.
const MISSES_OF_A_LEASED: u32 = 3;
/// The kind of leak that the census finds.
const ZOMBIE: &str = "zombie";

/// Looks after the browsers of `pool` until dropped.
pub(super) async fn supervise(pool: Pool) {
    let mut watch = Watch {
        misses: HashMap::new(),
        meter: Meter::default(),
        checked: Instant::now(),
        counted: None,
        strays: HashSet::new(),
        zombies: HashSet::new(),
    };
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = pool.0.starter.bell().notified() => {}
        }
        watch.look(&pool).await;
    }
}

struct Watch {
    /// Checks missed in a row.
    misses: HashMap<BrowserId, u32>,
    /// What each browser has used.
    meter: Meter,
    checked: Instant,
    counted: Option<Instant>,
    /// Dead children seen at the last census that were nobody's then.
    strays: HashSet<i32>,
    /// Those of them that were reaped, and not yet seen to be gone.
    zombies: HashSet<i32>,
}

impl Watch {
    async fn look(&mut self, pool: &Pool) {
        retire_idle(pool);
        pool.sweep();
        pool.settle();
        pool.warm_up();
        if self.checked.elapsed() >= pool.0.config.check_interval {
            self.check(pool).await;
            self.checked = Instant::now();
        }
        if self
            .counted
            .is_none_or(|at| at.elapsed() >= CENSUS_INTERVAL)
        {
            self.count(pool).await;
            self.counted = Some(Instant::now());
        }
    }

    /// Asks every running browser for a sign of life, all at once.
    async fn check(&mut self, pool: &Pool) {
        let deadline = Deadline::after(pool.0.config.check_timeout);
        let checks = pool.0.starter.browsers().into_iter().map(|browser| async {
            let alive = browser.pulse(deadline).await.is_ok();
            (browser, alive)
        });
        let states: HashMap<_, _> = pool.seen().iter().map(|one| (one.id, one.state)).collect();
        let mut misses = HashMap::new();
        for (browser, alive) in futures::future::join_all(checks).await {
            if alive || browser.is_dead() {
                continue;
            }
            let missed = self
                .misses
                .get(&browser.id())
                .map_or(1, |missed| missed + 1);
            misses.insert(browser.id(), missed);
            tracing::warn!(browser = %browser.id(), missed, "browser.no_answer");
            match states.get(&browser.id()) {
                Some(State::Leased) if missed < MISSES_OF_A_LEASED => {}
                _ => {
                    browser.condemn(Retire::Unhealthy);
                    browser.kill(Kill::Hung);
                }
            }
        }
        self.misses = misses;
        pool.sweep();
    }

    /// Measures every tree, kills what takes too much, and reaps strays.
    async fn count(&mut self, pool: &Pool) {
        let browsers = pool.0.starter.browsers();
        let groups: Vec<_> = browsers.iter().map(|browser| browser.pid()).collect();
        let taken = tokio::task::spawn_blocking(move || census::take(&groups)).await;
        let Ok(census) = taken else {
            return;
        };
        let limits = pool.0.config.limits;
        let now = Instant::now();
        for browser in &browsers {
            let usage = census
                .trees
                .get(&browser.pid())
                .copied()
                .unwrap_or_default();
            pool.0.registry.measured(browser.pid(), usage);
            if let Some(over) = self.meter.judge(browser.id(), &usage, limits, now) {
                over_limit(browser, over, limits);
            }
        }
        let there: HashSet<_> = browsers.iter().map(|browser| browser.id()).collect();
        self.meter.keep(|id| there.contains(&id));
        self.reap_strays(pool, &census);
        pool.sweep();
        pool.settle();
    }

    /// Dead children that no browser's keeper will reap: processes that left their group and came
    /// to us when their parent died. One that is still there at the second look is nobody's; the
    /// look after that tells whether it is gone.
    fn reap_strays(&mut self, pool: &Pool, census: &Census) {
        let metrics = &pool.0.metrics;
        let leaders: HashSet<_> = pool.seen().iter().filter_map(|one| one.pid).collect();
        let unowned = census.zombies.iter().copied();
        let unowned: HashSet<_> = unowned.filter(|pid| !leaders.contains(pid)).collect();
        for pid in self.zombies.difference(&unowned) {
            tracing::info!(kind = ZOMBIE, what = %pid, "leak.repaired");
            metrics.leak_repaired(ZOMBIE);
        }
        let zombies: HashSet<_> = unowned.intersection(&self.strays).copied().collect();
        let mut left = unowned.len() as u64;
        for pid in &zombies {
            if !self.zombies.contains(pid) {
                tracing::error!(kind = ZOMBIE, what = %pid, "leak.found");
                metrics.leak_found(ZOMBIE);
            }
            let reaped = census::reap(*pid);
            tracing::warn!(pid, reaped, "process.stray_reaped");
            left -= u64::from(reaped);
        }
        pool.0.registry.counted_zombies(left, zombies.len() as u64);
        self.strays = unowned;
        self.zombies = zombies;
    }
}

fn over_limit(browser: &Arc<Browser>, over: Over, limits: Limits) {
    let id = browser.id();
    match over {
        Over::Memory(memory) => {
            let limit = limits.memory;
            tracing::warn!(browser = %id, memory, limit, "browser.over_memory_limit");
        }
        Over::Processes(processes) => {
            let limit = limits.processes;
            tracing::warn!(browser = %id, processes, limit, "browser.over_process_limit");
        }
        Over::Cpu(millicores) => {
            let limit = limits.cpu;
            tracing::warn!(browser = %id, millicores, limit, "browser.over_cpu_limit");
        }
    }
    browser.condemn(over.retire());
    browser.kill(over.kill());
}

/// Condemns idle browsers that are too old, or more than are wanted and unused for too long.
fn retire_idle(pool: &Pool) {
    let config = &pool.0.config;
    let states: HashMap<_, _> = pool.seen().iter().map(|one| (one.id, one.state)).collect();
    let mut idle: Vec<_> = pool.0.starter.browsers();
    idle.retain(|browser| {
        states.get(&browser.id()) == Some(&State::Idle) && browser.condemned().is_none()
    });
    // The oldest go first.
    idle.sort_by_key(|browser| std::cmp::Reverse(browser.age()));
    let mut kept = idle.len();
    for browser in idle {
        if browser.age() >= config.max_age {
            browser.condemn(Retire::Age);
        } else if kept > config.min_warm as usize && browser.idle_for() >= config.idle_timeout {
            browser.condemn(Retire::Idle);
            kept -= 1;
        }
    }
}
