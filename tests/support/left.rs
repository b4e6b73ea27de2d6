//! What is there before a test and after it, as the kernel shows it.

use std::{path::Path, sync::LazyLock};

use procfs::process::{Process, all_processes};
use tokio::sync::{Mutex, MutexGuard};

/// Tests of one binary share a process, and so its descriptors and children: one at a time.
static ALONE: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

/// The only test running in this process.
pub async fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().await
}

/// What this process has, and what lives in a run directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Open descriptors of this process, with what each is.
    pub fds: Vec<String>,
    /// Children of this process, dead or alive.
    pub children: Vec<String>,
    /// Processes whose home is below the run directory.
    pub browsers: Vec<String>,
    /// What is in the run directory.
    pub files: Vec<String>,
}

impl Left {
    pub fn count(run_dir: &Path) -> Self {
        let me = Process::myself().unwrap();
        let mut fds: Vec<_> = me
            .fd()
            .unwrap()
            .flatten()
            // Sockets and pipes are told apart by numbers that change; their kind is what counts.
            .map(|fd| kind(&format!("{:?}", fd.target)))
            // The directory that is being listed right now.
            .filter(|kind| !kind.contains("/fd"))
            .collect();
        fds.sort();
        Self {
            fds,
            children: children(me.pid),
            browsers: browsers(run_dir),
            files: std::fs::read_dir(run_dir).map_or_else(
                |_| Vec::new(),
                |all| {
                    all.flatten()
                        .map(|one| format!("{:?}", one.file_name()))
                        .collect()
                },
            ),
        }
    }

    /// Fails the test unless `now` has no more than was there before.
    pub fn assert_nothing_more(&self, now: &Self) {
        assert_eq!(now.children, self.children, "children of this process");
        assert_eq!(now.browsers, Vec::<String>::new(), "processes of browsers");
        assert_eq!(now.files, Vec::<String>::new(), "files of browsers");
        assert_eq!(now.fds, self.fds, "open file descriptors");
    }
}

fn kind(target: &str) -> String {
    target
        .split(['(', ')'])
        .enumerate()
        .map(|(at, part)| match at {
            1 if part.bytes().all(|byte| byte.is_ascii_digit()) => "",
            _ => part,
        })
        .collect()
}

/// The children of `pid`, with their states.
pub fn children(pid: i32) -> Vec<String> {
    let mut found: Vec<_> = all_processes()
        .unwrap()
        .flatten()
        .filter_map(|process| process.stat().ok())
        .filter(|stat| stat.ppid == pid)
        .map(|stat| format!("{} {} {}", stat.pid, stat.comm, stat.state))
        .collect();
    found.sort();
    found
}

/// The processes whose home is below `run_dir`.
pub fn browsers(run_dir: &Path) -> Vec<String> {
    let mut found: Vec<_> = all_processes()
        .unwrap()
        .flatten()
        .filter(|process| {
            process.environ().is_ok_and(|environ| {
                let home = environ.get(std::ffi::OsStr::new("TMPDIR"));
                home.is_some_and(|home| Path::new(home).starts_with(run_dir))
            })
        })
        .filter_map(|process| process.stat().ok())
        .filter(|stat| stat.state != 'Z')
        .map(|stat| format!("{} {}", stat.pid, stat.comm))
        .collect();
    found.sort();
    found
}
