//! What the kernel shows of processes: the browsers' trees, their leftovers, and our own.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        resource::{Resource, getrlimit},
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use procfs::{
    net::TcpState,
    process::{FDTarget, Process, all_processes},
};
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
    /// Processor time spent, by those of its processes that live and what they have reaped.
    pub cpu: Duration,
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

/// Reads every process once and adds up those in `groups`, with descendants that have left their group.
/// Blocking: some milliseconds a browser.
#[must_use]
pub fn take(groups: &[i32]) -> Census {
    let me = i32::try_from(std::process::id()).unwrap_or_default();
    let ticks = procfs::ticks_per_second();
    let mut census = Census::default();
    let all = all_processes().into_iter().flatten().flatten();
    let all: Vec<_> = all
        .filter_map(|process| process.stat().ok().map(|stat| (process, stat)))
        .collect();
    let kin: HashMap<_, _> = all
        .iter()
        .map(|(_, stat)| (stat.pid, (stat.ppid, stat.pgrp)))
        .collect();
    for (process, stat) in all {
        if stat.state == 'Z' {
            if stat.ppid == me {
                census.zombies.push(stat.pid);
            }
        } else if let Some(group) = tree_of(stat.pid, &kin, groups) {
            let usage = census.trees.entry(group).or_default();
            let spent = stat.utime + stat.stime;
            let reaped = u64::try_from(stat.cutime + stat.cstime).unwrap_or_default();
            usage.cpu += Duration::from_millis((spent + reaped) * 1000 / ticks);
            usage.processes += 1;
            usage.memory += proportional_memory(&process);
            usage.open_fds += process.fd_count().unwrap_or_default() as u64;
        }
    }
    census
}

/// The one of `groups` that `pid` or the closest of its ancestors is in.
fn tree_of(mut pid: i32, kin: &HashMap<i32, (i32, i32)>, groups: &[i32]) -> Option<i32> {
    /// Deeper than trees are; they are read while they change, so there may be circles.
    const DEEPEST: usize = 1000;
    for _ in 0..DEEPEST {
        let (parent, group) = kin.get(&pid)?;
        if groups.contains(group) {
            return Some(*group);
        }
        pid = *parent;
    }
    None
}

/// The processes in `group`. Blocking.
#[must_use]
pub fn members(group: i32) -> Vec<i32> {
    let stats = all_processes().into_iter().flatten().flatten();
    let stats = stats.filter_map(|process| process.stat().ok());
    let members = stats.filter(|stat| stat.pgrp == group && stat.state != 'Z');
    members.map(|stat| stat.pid).collect()
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
    let (open_fds, max_fds) = descriptors()?;
    let exhausted = Own {
        open_fds,
        max_fds,
        ..Own::default()
    };
    // Whatever else is told takes a descriptor to read.
    Some(own_at_length(exhausted).unwrap_or(exhausted))
}

fn own_at_length(own: Own) -> Option<Own> {
    let stat = Process::myself().ok()?.stat().ok()?;
    let ticks = procfs::ticks_per_second() as f64;
    Some(Own {
        resident: stat.rss * procfs::page_size(),
        cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
        start_seconds: procfs::boot_time_secs().ok()? as f64 + stat.starttime as f64 / ticks,
        ..own
    })
}

/// Descriptors that are open and may be. Known even when there is none left to look with.
fn descriptors() -> Option<(u64, u64)> {
    const OWN: &str = "/proc/self/fd";
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    // The size of the directory is how many there are; older kernels say nothing.
    let told = std::fs::metadata(OWN).map_or(0, |found| found.len());
    if told > 0 {
        return Some((told, limit));
    }
    match std::fs::read_dir(OWN) {
        Ok(listed) => Some((listed.count() as u64, limit)),
        Err(error) if error.raw_os_error() == Some(Errno::EMFILE as i32) => Some((limit, limit)),
        Err(_) => None,
    }
}

/// The files this process has open.
#[must_use]
pub fn open_files() -> Vec<(i32, PathBuf)> {
    let fds = Process::myself().and_then(|me| me.fd());
    let fds = fds.into_iter().flatten().flatten();
    let files = fds.filter_map(|fd| match fd.target {
        FDTarget::Path(path) => Some((fd.fd, path)),
        _ => None,
    });
    files.collect()
}

/// The TCP sockets of this process that the other end has closed, with nothing left to read or to
/// send: its owner has only to close it. By their numbers, with the other end. Blocking.
#[must_use]
pub fn forsaken_sockets() -> Vec<(u64, SocketAddr)> {
    let fds = Process::myself().and_then(|me| me.fd());
    let fds = fds.into_iter().flatten().flatten();
    let ours: HashSet<u64> = fds
        .filter_map(|fd| match fd.target {
            FDTarget::Socket(number) => Some(number),
            _ => None,
        })
        .collect();
    let all = [procfs::net::tcp(), procfs::net::tcp6()].into_iter();
    // The end itself counts as one byte until it is read.
    let over = |rx: u32, tx: u32| rx <= 1 && tx == 0;
    let forsaken = all.flatten().flatten();
    let forsaken =
        forsaken.filter(|one| one.state == TcpState::CloseWait && over(one.rx_queue, one.tx_queue));
    let forsaken = forsaken.map(|one| (one.inode, one.remote_address));
    forsaken
        .filter(|(number, _)| ours.contains(number))
        .collect()
}

/// The process groups that have a living member.
#[must_use]
pub fn groups() -> HashSet<i32> {
    let all = all_processes().into_iter().flatten().flatten();
    let alive = all.filter_map(|process| process.stat().ok().filter(|stat| stat.state != 'Z'));
    alive.map(|stat| stat.pgrp).collect()
}

/// Kills every process that works or has its home below `dir`, and waits until
/// they are gone, for at most `bound`. Returns how many there were. Blocking; for the start only.
#[must_use]
pub fn kill_all_below(dir: &Path, bound: Duration) -> usize {
    let until = Instant::now() + bound;
    let mut killed = std::collections::BTreeSet::new();
    loop {
        let found = lodgers(dir);
        if found.is_empty() || Instant::now() >= until {
            return killed.len();
        }
        for Lodger { pid, .. } in found {
            // Gone meanwhile is as good as killed.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            killed.insert(pid);
        }
        // They are not our children: the kernel offers no event to wait for.
        std::thread::yield_now();
    }
}

/// A living process in somebody's directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lodger {
    /// The process.
    pub pid: i32,
    /// Its process group.
    pub group: i32,
    /// When it started, in ticks since the boot: a number may come again.
    pub started: u64,
    /// Where it works or has its home.
    pub home: PathBuf,
}

/// Every other living process that works or has its home below `dir`. Blocking.
#[must_use]
pub fn lodgers(dir: &Path) -> Vec<Lodger> {
    let me = i32::try_from(std::process::id()).unwrap_or_default();
    let lodger = |process: Process| {
        let stat = process.stat().ok()?;
        let below = |path: &PathBuf| path.starts_with(dir);
        // A browser's helpers overwrite their environment, but all of them work where it does.
        let home = || {
            let environ = process.environ().ok()?;
            let home = environ
                .get(std::ffi::OsStr::new("TMPDIR"))
                .map(PathBuf::from);
            home.filter(below)
        };
        let home = process.cwd().ok().filter(below).or_else(home)?;
        (stat.state != 'Z' && stat.pid != me).then_some(Lodger {
            pid: stat.pid,
            group: stat.pgrp,
            started: stat.starttime,
            home,
        })
    };
    let processes = all_processes().into_iter().flatten().flatten();
    processes.filter_map(lodger).collect()
}

/// Kills `lodgers`, with their group where every living member of it is one of them. Blocking.
pub fn evict(lodgers: &[Lodger]) {
    let all = all_processes().into_iter().flatten().flatten();
    let all: Vec<_> = all.filter_map(|process| process.stat().ok()).collect();
    for lodger in lodgers {
        let is = |pid, started| pid == lodger.pid && started == lodger.started;
        if !all.iter().any(|stat| is(stat.pid, stat.starttime)) {
            continue;
        }
        let members = all
            .iter()
            .filter(|stat| stat.pgrp == lodger.group && stat.state != 'Z');
        let mut members = members.map(|stat| stat.pid);
        // Gone meanwhile is as good as killed.
        if members.all(|pid| lodgers.iter().any(|one| one.pid == pid)) {
            let _ = kill_group(lodger.group);
        } else {
            let _ = kill(Pid::from_raw(lodger.pid), Signal::SIGKILL);
        }
    }
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
