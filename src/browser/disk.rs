//! The disk that browsers keep their directories on: what is free, what they take, and what is
//! still to be removed.
//!
//! Sampled, so that a disk that does not answer holds up nobody who asks.

use std::{fs, os::unix::fs::MetadataExt, path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{pool::Pool, rundir::RunDir};

/// A disk fills faster than anything else is noticed.
const SAMPLE: Duration = Duration::from_millis(250);
/// Counting reads the metadata of every file of every profile.
const COUNT: Duration = Duration::from_secs(15);

/// What the disk was like lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Bytes that are free for this user; `None` until it is known.
    pub free: Option<u64>,
    /// Bytes that the directories of browsers take.
    pub taken: u64,
    /// Directories of browsers or brokers that are gone, still to be removed.
    pub pending: u64,
}

/// The samples.
#[derive(Debug, Default)]
pub(super) struct DiskWatch(Mutex<Disk>);

impl DiskWatch {
    pub(super) fn seen(&self, run_dir: &RunDir) -> Disk {
        Disk {
            pending: run_dir.removals().count(),
            ..*self.0.lock()
        }
    }
}

/// Samples the disk of `pool` and removes what is still to be removed, until dropped.
pub(super) async fn keep_watch(pool: Pool) {
    let mut tick = interval(SAMPLE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut counted: Option<Instant> = None;
    loop {
        tick.tick().await;
        let now = Instant::now();
        let count = counted.is_none_or(|at| now >= at + COUNT);
        let run_dir = Arc::clone(&pool.0.run_dir);
        let sample = move || {
            run_dir.removals().retry(now);
            let dirs = count.then(|| run_dir.directories());
            let taken = dirs.map(|dirs| dirs.iter().map(|dir| size(dir)).sum());
            (free(run_dir.path()), taken)
        };
        let Ok((free, taken)) = tokio::task::spawn_blocking(sample).await else {
            continue;
        };
        if count {
            counted = Some(now);
        }
        let mut disk = pool.0.disk.0.lock();
        disk.free = free;
        disk.taken = taken.unwrap_or(disk.taken);
    }
}

fn free(dir: &Path) -> Option<u64> {
    let found = nix::sys::statvfs::statvfs(dir).ok()?;
    Some(found.blocks_available() * found.fragment_size())
}

/// What the files below `dir` take of the disk, in bytes. Links are not followed; what goes
/// meanwhile counts for nothing.
fn size(dir: &Path) -> u64 {
    const BLOCK: u64 = 512;
    let mut bytes = 0;
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(found) = entry.metadata() else {
                continue;
            };
            bytes += found.blocks() * BLOCK;
            if found.is_dir() {
                dirs.push(entry.path());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_files_take() {
        let dir = tempfile::tempdir().unwrap();
        let empty = size(dir.path());
        let deep = dir.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), vec![7; 100_000]).unwrap();
        std::os::unix::fs::symlink("/", deep.join("link")).unwrap();
        let grown = size(dir.path()) - empty;
        assert!((100_000..1_000_000).contains(&grown), "{grown}");
        assert_eq!(size(&dir.path().join("nowhere")), 0);
        assert!(free(dir.path()).unwrap() > 0);
        assert_eq!(free(&dir.path().join("nowhere")), None);
    }
}
