//! Directories that pile up, disks that are full.

use super::*;

/// Keeps a directory from being removed, until dropped.
enum Stuck {
    Mount(PathBuf),
    Mode(PathBuf),
}

impl Stuck {
    fn new(dir: &Path) -> Self {
        let inner = dir.join("held");
        fs::create_dir(&inner).unwrap();
        if !nix::unistd::geteuid().is_root() {
            fs::write(inner.join("file"), "").unwrap();
            fs::set_permissions(&inner, fs::Permissions::from_mode(0o000)).unwrap();
            return Self::Mode(inner);
        }
        assert!(mount(&inner, "1m"), "root may mount");
        Self::Mount(inner)
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        match self {
            Self::Mount(dir) => {
                let done = Command::new("umount").arg(dir).status();
                assert!(done.unwrap().success());
            }
            Self::Mode(dir) => {
                fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).unwrap();
            }
        }
    }
}

fn mount(dir: &Path, size: &str) -> bool {
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
        .arg(dir)
        .status();
    mounted.is_ok_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn c04_directories_do_not_pile_up() {
    let broker = Broker::with(|config| config.leak_interval = Duration::from_millis(200)).await;
    let instance = instance(broker.run_dir());
    until("what they take is known", async || {
        metric(&broker, "berth_browser_disk_bytes ").await > 0.0
    })
    .await;
    let lease = lease(&broker).await;
    let dir = instance.join(lease.browser.clone().unwrap().id);
    assert!(
        dir.join("profile").is_dir() && dir.join("tmp").is_dir(),
        "one for both"
    );
    let stuck = Stuck::new(&dir);
    broker.release(&lease).await;
    until("it is to be removed later", async || {
        health(&broker).await["checks"]["resources"]["dirs_pending"] == 1
    })
    .await;
    let (status, reasons) = check(&broker, "resources").await;
    assert_eq!(
        (status.as_str(), reasons),
        ("degraded", vec!["dirs_pending".into()])
    );
    assert!((metric(&broker, "berth_browser_dirs_pending ").await - 1.0).abs() < 0.5);
    assert_eq!(broker.ops("/health").await.0, 200, "it works all the same");
    // Nobody's place is held up by it.
    for _ in 0..3 {
        let next = self::lease(&broker).await;
        broker.release(&next).await;
    }
    drop(stuck);
    until("it is removed", async || !dir.exists()).await;
    resources_are_well(&broker).await;
    until("one directory is left for each browser", async || {
        broker.server.pool().directories() == broker.server.pool().seen().len()
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ruin_that_cannot_be_removed_does_not_stop_the_start() {
    let mut left = None;
    let broker = Broker::with(|config| {
        let ruin = config.run_dir.join("1-dead");
        let dir = ruin.join("browser-1");
        fs::create_dir_all(&dir).unwrap();
        fs::write(ruin.join("lock"), "").unwrap();
        left = Some((Stuck::new(&dir), ruin));
        // Beside one that can be.
        fs::create_dir(config.run_dir.join("2-dead")).unwrap();
        // And one of which nobody can tell whose it is.
        let odd = config.run_dir.join("3-odd");
        fs::create_dir(&odd).unwrap();
        std::os::unix::fs::symlink("lock", odd.join("lock")).unwrap();
    })
    .await;
    let (stuck, ruin) = left.unwrap();
    let (status, reasons) = check(&broker, "resources").await;
    assert_eq!(
        (status.as_str(), reasons),
        ("degraded", vec!["dirs_pending".into()])
    );
    assert_eq!(broker.ops("/readyz").await.0, 200, "it works all the same");
    let run = broker.run_dir().join("run");
    assert!(!run.join("2-dead").exists());
    assert!(run.join("3-odd").exists(), "it may be somebody's");
    fs::remove_dir_all(run.join("3-odd")).unwrap();
    let lease = lease(&broker).await;
    broker.release(&lease).await;
    drop(stuck);
    until("it is removed", async || !ruin.exists()).await;
    resources_are_well(&broker).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_turns_resources() {
    let home = tempfile::tempdir().unwrap();
    let mounted = mount(home.path(), "400m");
    let shared = tempfile::tempdir_in("/dev/shm").unwrap();
    let base = if mounted { home.path() } else { shared.path() };
    let free = nix::sys::statvfs::statvfs(base).unwrap();
    let free = free.blocks_available() * free.fragment_size();
    // A browser takes some of it, too.
    let step = free / 8;
    let run_dir = base.join("run");
    let broker = Broker::with(|config| {
        config.run_dir = run_dir.clone();
        config.health_disk_degraded = free - 2 * step;
        config.health_disk_unhealthy = free - 4 * step;
    })
    .await;
    let mut resources = Watch::of(broker.health(), "resources").await;
    let mut pool = Watch::of(broker.health(), "browser-pool").await;
    resources.turns(ServingStatus::Serving).await;
    pool.turns(ServingStatus::Serving).await;
    let fill = |steps: u64| {
        let size = usize::try_from(steps * step).unwrap();
        fs::write(base.join("ballast"), vec![1_u8; size]).unwrap();
    };
    fill(3);
    until("the disk is scarce", async || {
        check(&broker, "resources").await == ("degraded".into(), vec!["disk_scarce".into()])
    })
    .await;
    fill(5);
    let took = resources.turns(ServingStatus::NotServing).await;
    println!("a full disk shows after {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(check(&broker, "resources").await.1, ["disk_full"]);
    assert_eq!(broker.ops("/health").await.0, 503);
    fs::remove_file(base.join("ballast")).unwrap();
    resources.turns(ServingStatus::Serving).await;
    assert!(pool.is_quiet().await, "another part");
    drop((resources, pool));
    broker.stop().await;
    drop(shared);
    if mounted {
        let gone = Command::new("umount").arg("-l").arg(home.path()).status();
        assert!(gone.unwrap().success());
    }
}
