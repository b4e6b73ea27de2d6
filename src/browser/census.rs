//! What the kernel shows of processes: the browsers' trees, their leftovers, and our own.

use std::{collections::HashMap, path::Path, time::Duration};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use procfs::process::{LimitValue, Process, all_processes};
use tokio::time::Instant;

/// What one process tree uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Its processes.
    pub processes: u64,
    /// Its memory: proportional set size, so that shared pages count once. Bytes.
    pub memory: u64,
    /// Its open file descriptors.
    pub open_fds: u64,
}

/// What the kernel shows at one moment.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// The trees asked for, by process group.
    pub trees: HashMap<i32, Usage>,
    /// Dead children of ours that nobody has reaped.
    pub zombies: Vec<i32>,
}

/// What this process itself uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Own {
    /// Open file descriptors.
    pub open_fds: u64,
    /// How many it may open.
    pub max_fds: u64,
    /// Resident set size in bytes.
    pub resident: u64,
    /// User and system time in seconds.
    pub cpu_seconds: f64,
    /// When it started, in seconds since the Unix epoch.
    pub start_seconds: f64,
}

/// Reads every process once and adds up those in `groups`. Blocking: some milliseconds a browser.
#[must_use]
pub fn take(groups: &[i32]) -> Census {
    let me = i32::try_from(std::process::id()).unwrap_or_default();
    let mut census = Census::default();
    for (process, stat) in all_processes()
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|process| process.stat().ok().map(|stat| (process, stat)))
    {
        if stat.state == 'Z' {
            if stat.ppid == me {
                census.zombies.push(stat.pid);
            }
        } else if groups.contains(&stat.pgrp) {
            let usage = census.trees.entry(stat.pgrp).or_default();
            usage.processes += 1;
            usage.memory += proportional_memory(&process);
            usage.open_fds += process.fd_count().unwrap_or_default() as u64;
        }
    }
    census
}

/// How many living children this process has, adopted ones included.
#[must_use]
pub fn children() -> usize {
    let me = i32::try_from(std::process::id()).unwrap_or_default();
    let stats = all_processes().into_iter().flatten().flatten();
    let mine = stats.filter_map(|process| process.stat().ok());
    mine.filter(|stat| stat.ppid == me && stat.state != 'Z')
        .count()
}

/// Zero for a process that ended between being listed and being read.
fn proportional_memory(process: &Process) -> u64 {
    let rollup = process.smaps_rollup().ok();
    rollup
        .and_then(|rollup| {
            let map = rollup.memory_map_rollup.0.into_iter().next()?;
            map.extension.map.get("Pss").copied()
        })
        .unwrap_or_default()
}

/// What this process uses now; `None` where the kernel does not tell.
#[must_use]
pub fn own() -> Option<Own> {
    let me = Process::myself().ok()?;
    let stat = me.stat().ok()?;
    let ticks = procfs::ticks_per_second() as f64;
    let max_fds = match me.limits().ok()?.max_open_files.soft_limit {
        LimitValue::Value(limit) => limit,
        LimitValue::Unlimited => u64::MAX,
    };
    Some(Own {
        open_fds: me.fd_count().ok()? as u64,
        max_fds,
        resident: stat.rss * procfs::page_size(),
        cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
        start_seconds: procfs::boot_time_secs().ok()? as f64 + stat.starttime as f64 / ticks,
    })
}

/// Kills every process that works or has its home below `dir`, and waits until
/// they are gone, for at most `bound`. Returns how many there were. Blocking; for the start only.
#[must_use]
pub fn kill_all_below(dir: &Path, bound: Duration) -> usize {
    let until = Instant::now() + bound;
    let mut killed = std::collections::BTreeSet::new();
    loop {
        let found = living_below(dir);
        if found.is_empty() || Instant::now() >= until {
            return killed.len();
        }
        for pid in found {
            // Gone meanwhile is as good as killed.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            killed.insert(pid);
        }
        // They are not our children: the kernel offers no event to wait for.
        std::thread::yield_now();
    }
}

fn living_below(dir: &Path) -> Vec<i32> {
    let below = |path: &Path| path.starts_with(dir);
    let lives_below = |process: &Process| {
        let alive = process.stat().is_ok_and(|stat| stat.state != 'Z');
        // A browser's helpers overwrite their environment, but all of them work where it does.
        let home = || {
            let environ = process.environ().ok()?;
            environ.get(std::ffi::OsStr::new("TMPDIR")).cloned()
        };
        alive
            && (process.cwd().is_ok_and(|cwd| below(&cwd))
                || home().is_some_and(|home| below(Path::new(&home))))
    };
    let processes = all_processes().into_iter().flatten().flatten();
    processes
        .filter(lives_below)
        .map(|process| process.pid)
        .collect()
}

/// Reaps one dead child, when it is one. `true` when it is gone for good.
#[must_use]
pub fn reap(pid: i32) -> bool {
    !matches!(
        waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG)),
        Ok(WaitStatus::StillAlive)
    )
}

/// Kills the process group and reaps those of its members that are our children. `true` once no
/// member is left.
#[must_use]
pub fn kill_group(group: i32) -> bool {
    let group = Pid::from_raw(group);
    // A group without members is what we want; any other failure shows as "not gone".
    let _ = nix::sys::signal::killpg(group, Signal::SIGKILL);
    while let Ok(status) = waitpid(Pid::from_raw(-group.as_raw()), Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            break;
        }
    }
    nix::sys::signal::killpg(group, None) == Err(Errno::ESRCH)
}
