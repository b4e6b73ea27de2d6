//! What is there before a test and after it, as the kernel shows it.

use std::{path::Path, time::Duration};

use procfs::process::{Process, all_processes};
use tokio::time::{Instant, sleep};

/// How long what was let go may take to be gone.
const MOMENT: Duration = Duration::from_secs(10);

/// What this process has, and what lives in a run directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
                    let names = all
                        .flatten()
                        .map(|one| one.file_name().into_string().unwrap());
                    // The gate of the sweep stays for the next broker.
                    names.filter(|name| name != "lock").collect()
                },
            ),
        }
    }

    /// What `now` has that was not there before.
    fn more(&self, now: &Self) -> Self {
        let more = |before: &[String], now: &[String]| {
            let mut known = before.to_vec();
            let mut new = now.to_vec();
            new.retain(|one| match known.iter().position(|other| other == one) {
                Some(at) => {
                    known.swap_remove(at);
                    false
                }
                None => true,
            });
            new
        };
        Self {
            fds: more(&self.fds, &now.fds),
            children: more(&self.children, &now.children),
            browsers: now.browsers.clone(),
            files: now.files.clone(),
        }
    }

    /// Fails the test unless what is there is, within a moment, no more than was there before: the
    /// test's own clients close their sockets in tasks that nobody can wait for.
    pub async fn assert_nothing_more(&self, run_dir: &Path) {
        let nothing = Self::default();
        let begun = Instant::now();
        loop {
            let more = self.more(&Self::count(run_dir));
            if more == nothing {
                return;
            }
            assert!(begun.elapsed() < MOMENT, "left behind: {more:#?}");
            sleep(Duration::from_millis(10)).await;
        }
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

/// The processes that work below `run_dir`, as a browser and all of its helpers do.
pub fn browsers(run_dir: &Path) -> Vec<String> {
    let mut found: Vec<_> = all_processes()
        .unwrap()
        .flatten()
        .filter(|process| process.cwd().is_ok_and(|cwd| cwd.starts_with(run_dir)))
        .filter_map(|process| process.stat().ok())
        .filter(|stat| stat.state != 'Z')
        .map(|stat| format!("{} {}", stat.pid, stat.comm))
        .collect();
    found.sort();
    found
}
