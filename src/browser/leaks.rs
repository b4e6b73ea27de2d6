//! The leak watch: what the broker owns, held against what the kernel shows.
//!
//! It looks slowly, and believes only what it has seen twice: things come and go. What nobody owns
//! is reported once, put right where that is possible, and reported again when it is gone.

use std::{collections::HashSet, net::SocketAddr, path::PathBuf, sync::Arc};

use parking_lot::Mutex;
use tokio::time::sleep;

use super::{
    census::{self, Lodger},
    chrome::BrowserId,
    pool::Pool,
    process::Kill,
    rundir::RunDir,
};
use crate::health::Leaks;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct LeakWatch(Mutex<Leaks>);

impl LeakWatch {
    /// What is there now.
    pub(super) fn counts(&self) -> Leaks {
        *self.0.lock()
    }
}

/// Something that nobody owns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Leak {
    Process(Lodger),
    Directory(PathBuf),
    /// A descriptor of our own, open in such a directory.
    Descriptor(i32, PathBuf),
    /// Counted, and without a process.
    Browser(BrowserId),
    /// A socket of our own, by its number, that the other end has closed.
    Socket(u64, SocketAddr),
}

impl Leak {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Process(_) => "process",
            Self::Directory(_) => "directory",
            Self::Descriptor(..) => "descriptor",
            Self::Browser(_) => "browser",
            Self::Socket(..) => "socket",
        }
    }

    fn what(&self) -> String {
        match self {
            Self::Process(lodger) => format!("{} in {}", lodger.pid, lodger.home.display()),
            Self::Directory(dir) => dir.display().to_string(),
            Self::Descriptor(fd, path) => format!("{fd} on {}", path.display()),
            Self::Browser(id) => id.to_string(),
            Self::Socket(number, peer) => format!("{number} to {peer}"),
        }
    }
}

/// Looks for leaks of `pool` until dropped.
pub(super) async fn keep_watch(pool: Pool) {
    let interval = pool.0.config.leak_interval;
    if interval.is_zero() {
        return;
    }
    let mut watch = Watch::default();
    loop {
        sleep(interval).await;
        let seen = pool.seen().into_iter();
        let owned = Owned {
            browsers: seen.map(|one| (one.id, one.pid)).collect(),
            run_dir: Arc::clone(&pool.0.run_dir),
        };
        let Ok(found) = tokio::task::spawn_blocking(move || owned.survey()).await else {
            continue;
        };
        watch.look(&pool, found).await;
    }
}

#[derive(Debug, Default)]
struct Watch {
    /// What was there at the last look.
    before: HashSet<Leak>,
    /// What was there at the look before that, too.
    leaks: HashSet<Leak>,
}

impl Watch {
    async fn look(&mut self, pool: &Pool, found: HashSet<Leak>) {
        let metrics = &pool.0.metrics;
        for leak in self.leaks.difference(&found) {
            let (kind, what) = (leak.kind(), leak.what());
            tracing::info!(kind, what, "leak.repaired");
            metrics.leak_repaired(kind);
        }
        let leaks: HashSet<_> = found.intersection(&self.before).cloned().collect();
        for leak in leaks.difference(&self.leaks) {
            let (kind, what) = (leak.kind(), leak.what());
            tracing::error!(kind, what, "leak.found");
            metrics.leak_found(kind);
        }
        let count = |kind| leaks.iter().filter(|one| one.kind() == kind).count() as u64;
        *pool.0.leaks.0.lock() = Leaks {
            process: count("process"),
            directory: count("directory"),
            descriptor: count("descriptor"),
            browser: count("browser"),
            socket: count("socket"),
        };
        repair(pool, &leaks).await;
        self.before = found;
        self.leaks = leaks;
    }
}

/// Puts right what can be; the next look tells whether it is. A descriptor, a socket among them,
/// cannot be closed by anybody but its owner.
async fn repair(pool: &Pool, leaks: &HashSet<Leak>) {
    let mut lodgers = Vec::new();
    let mut dirs = Vec::new();
    for leak in leaks {
        match leak {
            Leak::Process(lodger) => lodgers.push(lodger.clone()),
            Leak::Directory(dir) => dirs.push(dir.clone()),
            Leak::Browser(id) => {
                if let Some(browser) = pool.0.starter.find(*id) {
                    browser.kill(Kill::Hung);
                }
            }
            Leak::Descriptor(..) | Leak::Socket(..) => {}
        }
    }
    let run_dir = Arc::clone(&pool.0.run_dir);
    let put_right = move || {
        census::evict(&lodgers);
        for dir in dirs {
            run_dir.discard(&dir);
        }
    };
    // One that panics is one that the next look finds undone.
    let _ = tokio::task::spawn_blocking(put_right).await;
}

/// What the broker knows as its own.
struct Owned {
    browsers: Vec<(BrowserId, Option<i32>)>,
    run_dir: Arc<RunDir>,
}

impl Owned {
    /// What the kernel shows beside that. Blocking.
    fn survey(&self) -> HashSet<Leak> {
        let instance = self.run_dir.path();
        let names: HashSet<_> = self.browsers.iter().map(|(id, _)| id.to_string()).collect();
        let groups: HashSet<_> = self.browsers.iter().filter_map(|(_, pid)| *pid).collect();
        // The instance directory itself is nobody's home: whoever works there only looks around.
        let unowned = |path: &std::path::Path| {
            let below = path.strip_prefix(instance).ok();
            let home = below.and_then(|below| below.components().next());
            let home = home.map(|home| home.as_os_str().to_string_lossy().into_owned());
            home.is_some_and(|home| {
                // So the kernel marks what was removed.
                let home = home.trim_end_matches(" (deleted)");
                home.starts_with("browser-") && !names.contains(home)
            })
        };
        let mut found = HashSet::new();
        let lodgers = census::lodgers(instance).into_iter();
        let lodgers = lodgers.filter(|one| !groups.contains(&one.group) && unowned(&one.home));
        found.extend(lodgers.map(Leak::Process));
        // Those that are still to be removed are known.
        let pending = self.run_dir.removals().all();
        let dirs = self.run_dir.directories().into_iter();
        let dirs = dirs.filter(|dir| unowned(dir) && !pending.contains(dir));
        found.extend(dirs.map(Leak::Directory));
        let open = census::open_files().into_iter();
        let open = open.filter(|(_, path)| unowned(path));
        found.extend(open.map(|(fd, path)| Leak::Descriptor(fd, path)));
        let sockets = census::forsaken_sockets().into_iter();
        found.extend(sockets.map(|(number, peer)| Leak::Socket(number, peer)));
        let alive = census::groups();
        let dead = self.browsers.iter().filter(|(_, pid)| {
            // A launch that has no process yet is not dead.
            pid.is_some_and(|pid| !alive.contains(&pid))
        });
        found.extend(dead.map(|(id, _)| Leak::Browser(*id)));
        found
    }
}
