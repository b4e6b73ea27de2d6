//! Limits by the kernel: one control group for each browser, where cgroup v2 is delegated to the
//! broker (systemd: `Delegate=`, see cgroups(7) and "Control Group APIs and Delegation").
//!
//! Below the broker's own group there is one for this broker, `berth-<pid>-<tag>`, and in it one for
//! each browser. A group that hands controllers on may have no processes of its own, so the broker goes
//! into a leaf beside it, `berth-broker`, when it has to. Other processes are never moved.
//!
//! Everything is a directory with files, so all of it works in any directory that looks like a group.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nix::errno::Errno;
use procfs::process::Process;
use tokio::time::Instant;

use super::{census, limits::Limits};

const PREFIX: &str = "berth-";
/// Where the broker itself goes.
const LEAF: &str = "berth-broker";
/// Chromium's processes have up to some thirty threads, and the kernel counts those.
const THREADS: u64 = 32;
/// The kernel's unit of time for `cpu.max`, in microseconds.
const PERIOD: u64 = 100_000;
/// How long what a dead broker left is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The control groups of this broker's browsers; clones share them. Removed with the last.
#[derive(Clone, Debug)]
pub(super) struct Cgroups {
    tree: Arc<Tree>,
    limits: Limits,
}

/// The directory that holds those of the browsers.
#[derive(Debug)]
struct Tree(PathBuf);

impl Drop for Tree {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

impl Cgroups {
    /// Groups below the one this process is in, for the broker whose instance is `name`.
    ///
    /// # Errors
    /// Why there can be none.
    pub(super) fn delegated(name: &str, limits: Limits) -> Result<Self, String> {
        Self::below(&own()?, name, limits)
    }

    /// Groups below `base`.
    ///
    /// # Errors
    /// Why there can be none; `base` is as before then.
    pub(super) fn below(base: &Path, name: &str, limits: Limits) -> Result<Self, String> {
        let told = |path: &Path| {
            let path = path.display().to_string();
            move |error: io::Error| format!("{path}: {error}")
        };
        let listed = base.join("cgroup.controllers");
        let there = fs::read_to_string(&listed).map_err(told(&listed))?;
        let mut wanted = vec!["memory", "pids"];
        if limits.cpu > 0 {
            wanted.push("cpu");
        }
        let has = |name: &&str| there.split_whitespace().any(|one| one == *name);
        if let Some(missing) = wanted.iter().find(|name| !has(name)) {
            return Err(format!("{} lacks {missing}", base.display()));
        }
        let tree = base.join(format!("{PREFIX}{name}"));
        fs::create_dir(&tree).map_err(told(&tree))?;
        let tree = Tree(tree);
        sweep(base).map_err(told(base))?;
        let wanted: Vec<_> = wanted.iter().map(|name| format!("+{name}")).collect();
        let wanted = wanted.join(" ");
        hand_on(base, &wanted).map_err(told(base))?;
        fs::write(tree.0.join("cgroup.subtree_control"), wanted).map_err(told(&tree.0))?;
        Ok(Self {
            tree: Arc::new(tree),
            limits,
        })
    }

    /// Makes the group of one browser, with its limits.
    ///
    /// # Errors
    /// What the kernel says; nothing is left then.
    pub(super) fn browser(&self, name: &str) -> io::Result<Cgroup> {
        let group = Cgroup {
            dir: self.tree.0.join(name),
            _tree: Arc::clone(&self.tree),
        };
        fs::create_dir(&group.dir)?;
        self.limit(&group)?;
        Ok(group)
    }

    fn limit(&self, group: &Cgroup) -> io::Result<()> {
        let Limits {
            memory,
            processes,
            cpu,
            ..
        } = self.limits;
        if memory > 0 {
            group.write("memory.max", &memory.to_string())?;
            // A browser without some of its processes is of no use: all or none.
            group.write("memory.oom.group", "1")?;
            match group.write("memory.swap.max", "0") {
                // A kernel without swap has no such file.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                written => written?,
            }
        }
        if processes > 0 {
            group.write("pids.max", &(processes * THREADS).to_string())?;
        }
        if cpu > 0 {
            let quota = cpu * PERIOD / 1000;
            group.write("cpu.max", &format!("{quota} {PERIOD}"))?;
        }
        Ok(())
    }
}

/// The control group of one browser. Removed when dropped.
#[derive(Debug)]
pub(super) struct Cgroup {
    dir: PathBuf,
    _tree: Arc<Tree>,
}

impl Cgroup {
    /// Takes in `pid`, and with it all that it starts from now on.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn take_in(&self, pid: i32) -> io::Result<()> {
        match self.write("cgroup.procs", &pid.to_string()) {
            // One that has ended needs no limits.
            Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => Ok(()),
            written => written,
        }
    }

    /// Takes in what the process group `group` has outside. Blocking.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn gather(&self, group: i32) -> io::Result<()> {
        let mut inside = HashSet::new();
        loop {
            let mut members = census::members(group).into_iter();
            // What is inside stays so, with all that it starts; only who was outside when the last
            // look was taken may have started another outside.
            let Some(outside) = members.find(|pid| !inside.contains(pid)) else {
                return Ok(());
            };
            for pid in std::iter::once(outside).chain(members) {
                if inside.insert(pid) {
                    self.take_in(pid)?;
                }
            }
        }
    }

    /// Kills every process in it at once, whatever its process group; kernels before 5.14 cannot.
    pub(super) fn kill(&self) {
        match self.write("cgroup.kill", "1") {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.dir.display(), %error, "a control group cannot be killed");
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Whether no process is in it.
    pub(super) fn is_empty(&self) -> bool {
        is_empty(&self.dir)
    }

    /// Whether the kernel has killed in it, for its memory.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        count(&self.dir.join("memory.events"), "oom_kill") > 0
    }

    /// The files are the kernel's: one that is missing is not made.
    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        use std::io::Write;
        let file = fs::OpenOptions::new().write(true).open(self.dir.join(file));
        file?.write_all(text.as_bytes())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        remove(&self.dir);
    }
}

/// The directory of the group this process is in.
fn own() -> Result<PathBuf, String> {
    let me = Process::myself().map_err(|error| error.to_string())?;
    let mounts = me.mountinfo().map_err(|error| error.to_string())?;
    let mount = mounts.0.into_iter().find(|one| one.fs_type == "cgroup2");
    let mount = mount.ok_or("cgroup v2 is not mounted")?.mount_point;
    let groups = me.cgroups().map_err(|error| error.to_string())?;
    let group = groups.0.into_iter().find(|one| one.hierarchy == 0);
    let path = group
        .ok_or("this process is in no group of cgroup v2")?
        .pathname;
    let path = Path::new(&path);
    let path = path.strip_prefix("/").unwrap_or(path);
    // Beside the leaf of an earlier broker in this process, not inside of it.
    let path = if path.ends_with(LEAF) {
        path.parent().unwrap_or(path)
    } else {
        path
    };
    Ok(mount.join(path))
}

/// Lets the groups below `base` have the controllers `wanted`.
fn hand_on(base: &Path, wanted: &str) -> io::Result<()> {
    let control = base.join("cgroup.subtree_control");
    match fs::write(&control, wanted) {
        // There are processes in it. When this one is the only one, it can go aside.
        Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) => {}
        written => return written,
    }
    let leaf = base.join(LEAF);
    match fs::create_dir(&leaf) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let me = std::process::id().to_string();
    fs::write(leaf.join("cgroup.procs"), &me)?;
    fs::write(&control, wanted).inspect_err(|_| {
        if let Err(error) = fs::write(base.join("cgroup.procs"), &me) {
            tracing::warn!(%error, "the broker stays in a control group of its own");
        }
        remove(&leaf);
    })
}

/// Kills and removes what brokers left below `base` that are no more.
fn sweep(base: &Path) -> io::Result<()> {
    for entry in fs::read_dir(base)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX);
        let owner = owner.and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        let Some(owner) = owner else {
            continue;
        };
        if Path::new("/proc").join(owner.to_string()).exists() {
            continue;
        }
        let tree = entry.path();
        for group in fs::read_dir(&tree)?.flatten() {
            if group.file_type()?.is_dir() {
                clear(&group.path())?;
            }
        }
        remove(&tree);
        tracing::warn!(path = %tree.display(), "cgroup.swept");
    }
    Ok(())
}

/// Kills what is in `group`, and removes it.
fn clear(group: &Path) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    if !is_empty(group) {
        fs::write(group.join("cgroup.kill"), "1")?;
    }
    while !is_empty(group) && Instant::now() < until {
        // At the start only, and with nothing else to do.
        std::thread::yield_now();
    }
    remove(group);
    Ok(())
}

/// One that cannot be read is one that is gone.
fn is_empty(group: &Path) -> bool {
    count(&group.join("cgroup.events"), "populated") == 0
}

/// The number beside `key` in a file of such pairs.
fn count(file: &Path, key: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok())?
    });
    value.unwrap_or_default()
}

/// The kernel's files in it go by themselves.
fn remove(dir: &Path) {
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %dir.display(), %error, "cgroup.not_removed");
        }
        Ok(()) | Err(_) => {}
    }
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
