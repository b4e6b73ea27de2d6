//! Health turns with each fault, by itself, and turns back: real browsers, real probes.

mod support;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use berth::{
    browser::State,
    metrics::{Kind, TABLE},
    proto::{AcquireRequest, GetStatusRequest, Lease},
};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use procfs::process::all_processes;
use serde_json::Value;
use support::{BOUND, Broker, Ground, Service, acquire, reason, until};
use tokio::time::{Instant, timeout};
use tonic::{Code, Streaming, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};

/// What a probe is told, each time it changes.
struct Watch(Streaming<HealthCheckResponse>);

impl Watch {
    async fn of(mut client: HealthClient<Channel>, service: &str) -> Self {
        let service = service.to_owned();
        let watch = client.watch(HealthCheckRequest { service }).await;
        Self(watch.unwrap().into_inner())
    }

    /// Waits until it is told `status`, and returns how long that took.
    async fn turns(&mut self, status: ServingStatus) -> Duration {
        let begun = Instant::now();
        let told = async { while self.0.message().await.unwrap().unwrap().status() != status {} };
        timeout(BOUND, told)
            .await
            .unwrap_or_else(|_| panic!("it never turned {status:?}"));
        begun.elapsed()
    }

    /// Whether nothing was told for a moment.
    async fn is_quiet(&mut self) -> bool {
        let told = timeout(Duration::from_millis(700), self.0.message()).await;
        told.is_err()
    }
}

async fn health(broker: &Broker) -> Value {
    serde_json::from_str(&broker.ops("/health").await.1).unwrap()
}

async fn resources_are_well(broker: &Broker) {
    until("it is well", async || {
        check(broker, "resources").await.0 == "healthy"
    })
    .await;
}

/// Status and reasons of a check.
async fn check(broker: &Broker, name: &str) -> (String, Vec<String>) {
    let health = health(broker).await;
    let check = &health["checks"][name];
    let reasons = check["reasons"].as_array().unwrap().iter();
    (
        check["status"].as_str().unwrap().to_owned(),
        reasons
            .map(|one| one.as_str().unwrap().to_owned())
            .collect(),
    )
}

async fn metric(broker: &Broker, series: &str) -> f64 {
    let (_, text) = broker.ops("/metrics").await;
    let line = text.lines().find(|line| line.starts_with(series));
    let line = line.unwrap_or_else(|| panic!("no {series}\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

async fn lease(broker: &Broker) -> Lease {
    acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap()
}

/// The instance directory of the only broker below `run_dir`.
fn instance(run_dir: &Path) -> PathBuf {
    let mut found = fs::read_dir(run_dir.join("run")).unwrap().flatten();
    found.find(|one| one.path().is_dir()).unwrap().path()
}

#[tokio::test(flavor = "multi_thread")]
async fn c21_health_is_not_green_while_no_page_loads() {
    let broker = Broker::with(|config| {
        config.max_browsers = 1;
        config.canary_interval = Duration::from_millis(300);
        config.canary_timeout = Duration::from_secs(2);
    })
    .await;
    let canary = async || health(&broker).await["checks"]["browser_pool"]["canary"].clone();
    until("a canary has passed", async || {
        canary().await["took_ms"].is_u64()
    })
    .await;
    assert!(canary().await["age_ms"].as_u64().unwrap() < 60_000);
    let mut pool = Watch::of(broker.health(), "browser-pool").await;
    let mut whole = Watch::of(broker.health(), "").await;
    pool.turns(ServingStatus::Serving).await;
    whole.turns(ServingStatus::Serving).await;

    // Browsers answer every check, but no page can be had of them: nothing forks renderers.
    let stopped = tokio_util::sync::CancellationToken::new();
    let faults = async {
        loop {
            let seen = broker.server.pool().seen();
            let idle = seen.iter().filter(|one| one.state == State::Idle);
            let groups: Vec<_> = idle.filter_map(|one| one.pid).collect();
            for process in all_processes().unwrap().flatten() {
                let stat = process.stat();
                let ours = stat.is_ok_and(|stat| groups.contains(&stat.pgrp));
                let line = process.cmdline().unwrap_or_default();
                if ours && line.join(" ").contains("--type=zygote") {
                    // One that is gone is what the next look replaces.
                    let _ = kill(Pid::from_raw(process.pid), Signal::SIGSTOP);
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let watched = async {
        pool.turns(ServingStatus::NotServing).await;
        whole.turns(ServingStatus::NotServing).await;
        let (code, body) = broker.ops("/health").await;
        assert_eq!(code, 503);
        assert!(body.contains("canary_failed"), "{body}");
        assert!(canary().await["last_error"].is_string());
        assert_eq!(broker.ops("/readyz").await.0, 503);
        stopped.cancel();
    };
    tokio::select! {
        () = faults => {}
        () = watched => {}
    }
    pool.turns(ServingStatus::Serving).await;
    whole.turns(ServingStatus::Serving).await;
    until("it is healthy", async || {
        broker.ops("/health").await.0 == 200
    })
    .await;
    assert_eq!(canary().await["last_error"], Value::Null);
    assert!(metric(&broker, "berth_canary_runs_total{result=\"failed\"}").await >= 2.0);
    assert!(metric(&broker, "berth_canary_runs_total{result=\"ok\"}").await >= 2.0);
    drop((pool, whole));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c21_a_canary_takes_nothing_from_anybody_and_is_skipped_under_load() {
    let broker = Broker::with(|config| {
        config.max_browsers = 1;
        config.canary_interval = Duration::from_millis(20);
        config.canary_max_age = Duration::from_secs(1);
    })
    .await;
    let canary = async || health(&broker).await["checks"]["browser_pool"]["canary"].clone();
    until("a canary has passed", async || {
        canary().await["took_ms"].is_u64()
    })
    .await;
    for round in 0..10 {
        until("one stands by", async || broker.idle() > 0).await;
        let request = AcquireRequest {
            wait: support::secs(0),
            ..AcquireRequest::default()
        };
        // Not to wait, and yet to be served: the canary is not in the way.
        let lease = acquire(&mut broker.leases(), request).await;
        let lease = lease.unwrap_or_else(|refused| panic!("round {round}: {refused}"));
        broker.release(&lease).await;
    }
    let lease = lease(&broker).await;
    until("it is skipped for long", async || {
        let canary = canary().await;
        canary["skipped"] == "busy" && canary["age_ms"].as_u64().unwrap() > 1500
    })
    .await;
    assert_eq!(check(&broker, "browser_pool").await.0, "healthy");
    broker.release(&lease).await;
    until("it passes again", async || {
        let canary = canary().await;
        canary["skipped"].is_null() && canary["age_ms"].as_u64().unwrap() < 1000
    })
    .await;
    assert_eq!(
        broker.status().await.browsers.len(),
        1,
        "and takes no browser"
    );
    broker.stop().await;
}

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
async fn what_nobody_owns_is_reported_and_put_right() {
    let broker = Broker::with(|config| config.leak_interval = Duration::from_millis(500)).await;
    let dir = instance(broker.run_dir()).join("browser-999");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("file"), "left").unwrap();
    let mut stray = Command::new("sleep")
        .arg("1000")
        .current_dir(&dir)
        .process_group(0)
        .spawn()
        .unwrap();
    let open = fs::File::open(dir.join("file")).unwrap();
    let leaks = async || health(&broker).await["checks"]["resources"]["leaks"].clone();
    until("they are seen", async || {
        let leaks = leaks().await;
        leaks["process"] == 1 && leaks["directory"] == 1 && leaks["descriptor"] == 1
    })
    .await;
    let (status, reasons) = check(&broker, "resources").await;
    assert_eq!(
        (status.as_str(), reasons),
        ("degraded", vec!["leaks".into()])
    );
    until("the process is gone", async || {
        // It may have been reaped by the watch itself.
        !matches!(stray.try_wait(), Ok(None))
    })
    .await;
    until("the directory is gone", async || !dir.exists()).await;
    // Only its owner can close a descriptor: it stays, and is told, until then.
    assert_eq!(leaks().await["descriptor"], 1);
    drop(open);
    resources_are_well(&broker).await;
    for kind in ["process", "directory", "descriptor"] {
        for what in ["found", "repaired"] {
            let series = format!("berth_leaks_{what}_total{{kind=\"{kind}\"}}");
            let count = metric(&broker, &series).await;
            assert!((count - 1.0).abs() < 0.5, "{series} {count}");
        }
    }
    // What is in use was let alone.
    assert_eq!(broker.idle(), 1);
    broker.stop().await;
}

/// A browser for the broker to start, which does `first` before it is one, and only as long as the
/// file `once` in `home` is there.
fn wrapper(home: &Path, first: &str) -> PathBuf {
    let found = berth::browser::executable::Executable::find(None).unwrap();
    let program = home.join("browser");
    let script = format!(
        "#!/bin/sh\nbrowser={browser}\nif rm {once} 2>/dev/null; then\n{first}\nfi\n\
         exec \"$browser\" \"$@\"\n",
        browser = found.path.display(),
        once = home.join("once").display(),
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(home.join("once"), "").unwrap();
    program
}

/// `berth serve` with that browser, up.
async fn wrapped(ground: &Ground, program: &Path) -> Service {
    // The program writes to what is beside it, which a jail forbids.
    let flags = ["--canary-interval", "0s", "--jail", "none"];
    let mut command = support::serve(ground.path(), &flags);
    command.args(["--leak-interval", "1s", "--max-browsers", "2", "--browser"]);
    command.arg(program);
    let service = Service::cold(command).await;
    until("a browser is up", async || {
        !service.status().await.browsers.is_empty()
    })
    .await;
    service
}

/// Status and reasons of the resources of a broker in its own process, and what its metrics are.
async fn resources(service: &Service) -> (Value, Vec<Value>, String) {
    let ask = async |path| {
        let answer = reqwest::get(format!("http://{}{path}", service.ops)).await;
        answer.unwrap().text().await.unwrap()
    };
    let health: Value = serde_json::from_str(&ask("/health").await).unwrap();
    let check = &health["checks"]["resources"];
    let reasons = check["reasons"].as_array().unwrap().clone();
    (check["status"].clone(), reasons, ask("/metrics").await)
}

/// The next leak of this kind is found, shown for `reason`, repaired, and over.
async fn found_and_repaired(service: &mut Service, kind: &str, reason: &str) {
    let told = service.event("leak.found").await;
    assert_eq!(told["kind"], kind, "{told}");
    until("it shows", async || {
        let (status, reasons, metrics) = resources(service).await;
        let shown = format!("berth_leaks{{kind=\"{kind}\"}} 1");
        let found = format!("berth_leaks_found_total{{kind=\"{kind}\"}} 1");
        status == "degraded"
            && reasons == [reason]
            && metrics.contains(&shown)
            && metrics.contains(&found)
    })
    .await;
    let over = service.event("leak.repaired").await;
    assert_eq!(
        (&over["kind"], &over["what"]),
        (&told["kind"], &told["what"])
    );
    until("it is well", async || {
        let (status, reasons, metrics) = resources(service).await;
        let gone = format!("berth_leaks{{kind=\"{kind}\"}} 0");
        let repaired = format!("berth_leaks_repaired_total{{kind=\"{kind}\"}} 1");
        status == "healthy"
            && reasons.is_empty()
            && metrics.contains(&gone)
            && metrics.contains(&repaired)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_without_its_processes_is_found_and_replaced() {
    let (ground, home) = (Ground::new(), tempfile::tempdir().unwrap());
    // It joins the broker's group, so that nothing is left in that of the browser.
    let leave = "exec perl -e 'setpgrp(0, getpgrp(getppid())); exec @ARGV' \"$browser\" \"$@\"";
    let program = wrapper(home.path(), leave);
    let mut service = wrapped(&ground, &program).await;
    let lost = service.status().await.browsers.remove(0);
    found_and_repaired(&mut service, "browser", "leaks").await;
    until("another stands by", async || {
        let browsers = service.status().await.browsers;
        browsers.len() == 1 && browsers[0].id != lost.id
    })
    .await;
    let lease = acquire(&mut service.leases().await, AcquireRequest::default()).await;
    assert_ne!(lease.unwrap().browser.unwrap().id, lost.id);
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended().await.0, Some(3), "its lease was cut");
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_that_falls_to_the_broker_is_found_and_reaped() {
    let (ground, home) = (Ground::new(), tempfile::tempdir().unwrap());
    // A child in a session of its own, of a browser that does not know of it: dead, it stays until
    // the browser dies, and then falls to the broker, whose keeper looks at the group only.
    let program = wrapper(home.path(), "setsid true &");
    let mut service = wrapped(&ground, &program).await;
    let mut leases = service.leases().await;
    let lease = acquire(&mut leases, AcquireRequest::default()).await;
    let lease_id = lease.unwrap().id;
    let release = berth::proto::ReleaseRequest { lease_id };
    leases.release(release).await.unwrap();
    let zombies = || {
        let all = support::left::children(service.pid());
        all.into_iter().filter(|one| one.ends_with(" Z")).count()
    };
    until("it has fallen to the broker", async || zombies() == 1).await;
    found_and_repaired(&mut service, "zombie", "zombies").await;
    let all = support::left::children(service.pid());
    assert!(all.iter().all(|one| !one.ends_with(" Z")), "{all:?}");
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended().await.0, Some(0));
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_nobody_closes_is_told() {
    let broker = Broker::with(|config| config.leak_interval = Duration::from_millis(500)).await;
    // One in use is none, nor is one that still has something to be read.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let pair = || {
        let near = std::net::TcpStream::connect(address).unwrap();
        (near, listener.accept().unwrap().0)
    };
    let used = pair();
    let (unread, mut writer) = pair();
    std::io::Write::write_all(&mut writer, b"a last word").unwrap();
    drop(writer);
    let (forgotten, gone) = pair();
    drop(gone);
    let count = async || health(&broker).await["checks"]["resources"]["leaks"]["socket"].clone();
    until("it is seen", async || count().await == 1).await;
    assert_eq!(
        check(&broker, "resources").await,
        ("degraded".into(), vec!["leaks".into()])
    );
    let found = "berth_leaks_found_total{kind=\"socket\"}";
    assert!((metric(&broker, found).await - 1.0).abs() < 0.5);
    drop((forgotten, unread, used));
    resources_are_well(&broker).await;
    let repaired = "berth_leaks_repaired_total{kind=\"socket\"}";
    assert!((metric(&broker, repaired).await - 1.0).abs() < 0.5);
    drop(listener);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_browsers_turns_the_pool() {
    let found = berth::browser::executable::Executable::find(None).unwrap();
    let home = tempfile::tempdir().unwrap();
    let program = home.path().join("browser");
    let place = || {
        let script = format!("#!/bin/sh\nexec {} \"$@\"\n", found.path.display());
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    };
    place();
    let path = program.clone();
    let broker = Broker::with(|config| config.browser = Some(path)).await;
    let mut pool = Watch::of(broker.health(), "browser-pool").await;
    let mut client = Watch::of(broker.health(), "http-client").await;
    pool.turns(ServingStatus::Serving).await;
    client.turns(ServingStatus::Serving).await;
    fs::remove_file(&program).unwrap();
    for one in broker.server.pool().seen() {
        killpg(Pid::from_raw(one.pid.unwrap()), Signal::SIGKILL).unwrap();
    }
    let took = pool.turns(ServingStatus::NotServing).await;
    println!("an outage shows after {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let (status, reasons) = check(&broker, "browser_pool").await;
    assert_eq!(status, "unhealthy");
    assert!(reasons.contains(&"no_browser".into()), "{reasons:?}");
    assert!(client.is_quiet().await, "another part");
    place();
    let took = pool.turns(ServingStatus::Serving).await;
    println!("it turns back after {took:?}");
    drop((pool, client));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_degrades_the_pool_and_a_full_pool_does_not() {
    let broker = Broker::with(|config| {
        config.max_browsers = 1;
        config.queue = 2;
    })
    .await;
    let mut whole = Watch::of(broker.health(), "").await;
    whole.turns(ServingStatus::Serving).await;
    let first = lease(&broker).await;
    assert_eq!(check(&broker, "browser_pool").await.0, "healthy", "full");
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut client = broker.leases();
        waiting.push(Box::pin(async move {
            acquire(&mut client, AcquireRequest::default()).await
        }));
    }
    let both = futures::future::join_all(waiting);
    let seen = async {
        until("its queue is full, too", async || {
            check(&broker, "browser_pool").await == ("degraded".into(), vec!["queue_full".into()])
        })
        .await;
        let refused = acquire(&mut broker.leases(), AcquireRequest::default()).await;
        let refused = refused.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused)),
            (Code::ResourceExhausted, "POOL_EXHAUSTED".into())
        );
        assert!(whole.is_quiet().await, "degraded serves");
        broker.release(&first).await;
        until("the queue moves", async || {
            check(&broker, "browser_pool").await.0 == "healthy"
        })
        .await;
        // The first of the two has it now.
        until("it is granted", async || {
            !broker.status().await.leases.is_empty()
        })
        .await;
        let held = broker.status().await.leases.remove(0);
        broker.release(&held).await;
    };
    let (both, ()) = tokio::join!(both, seen);
    for lease in both {
        // The one that was given back above is given back again, which is nothing.
        broker.release(&lease.unwrap()).await;
    }
    drop(whole);
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

#[tokio::test(flavor = "multi_thread")]
async fn running_out_of_descriptors_turns_resources_and_the_http_client() {
    let ground = Ground::new();
    let mut service = Service::start(ground.path(), &["--canary-interval", "0s"]).await;
    let channel = service.channel().await;
    let mut watches = Vec::new();
    for name in ["resources", "http-client", "browser-pool"] {
        let mut watch = Watch::of(HealthClient::new(channel.clone()), name).await;
        watch.turns(ServingStatus::Serving).await;
        watches.push(watch);
    }
    let limit = |soft: &str| {
        let pid = service.pid().to_string();
        let set = Command::new("prlimit")
            .args(["--pid", &pid, &format!("--nofile={soft}:")])
            .status();
        assert!(set.unwrap().success());
    };
    let open = fs::read_dir(format!("/proc/{}/fd", service.pid()))
        .unwrap()
        .count();
    limit(&open.to_string());
    for watch in &mut watches[..2] {
        let took = watch.turns(ServingStatus::NotServing).await;
        println!("exhaustion shows after {took:?}");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    assert!(watches[2].is_quiet().await, "another part");
    limit("4096");
    for watch in &mut watches[..2] {
        watch.turns(ServingStatus::Serving).await;
    }
    let told = service.event("health.changed").await;
    assert!(
        told["check"].is_string() && told["to"].is_string(),
        "{told}"
    );
    assert_eq!(
        told["reasons"], "fds_exhausted",
        "as it is documented: {told}"
    );
    drop(watches);
    drop(channel);
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended().await.0, Some(0));
    ground.assert_clean();
}

/// Name, type, labels and meaning of every metric in the documentation.
fn documented() -> BTreeMap<String, [String; 3]> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/HEALTH_MONITORING.md");
    let docs = fs::read_to_string(docs).unwrap();
    let table = docs
        .split("| name | type | labels | meaning |")
        .nth(1)
        .unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, meaning] = cells[..] else {
            panic!("four cells: {row}");
        };
        let cell = |text: &str| text.replace('`', "");
        (cell(name), [cell(kind), cell(labels), meaning.to_owned()])
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn c22_no_metric_vanishes_or_appears_undocumented() {
    let broker = Broker::with(|config| config.canary_interval = Duration::from_millis(200)).await;
    // A histogram shows with its first value.
    broker
        .admin()
        .get_status(GetStatusRequest {})
        .await
        .unwrap();
    let lease = lease(&broker).await;
    broker.release(&lease).await;
    broker.fetch_both_ways().await;
    until("a canary has passed", async || {
        metric(&broker, "berth_canary_runs_total{result=\"ok\"}").await > 0.0
    })
    .await;
    let (code, text) = broker.ops("/metrics").await;
    assert_eq!(code, 200);
    let after = |mark: &str| -> BTreeMap<String, String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(mark));
        let pairs = lines.map(|line| line.split_once(' ').unwrap());
        pairs
            .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
            .collect()
    };
    let (helps, types) = (after("# HELP "), after("# TYPE "));
    let documented = documented();
    let mut names: Vec<_> = TABLE.iter().map(|def| def.name.to_owned()).collect();
    names.sort();
    assert_eq!(types.keys().cloned().collect::<Vec<_>>(), names, "exported");
    assert_eq!(
        documented.keys().cloned().collect::<Vec<_>>(),
        names,
        "documented"
    );
    for def in TABLE {
        let name = def.name;
        let kind = match def.kind {
            Kind::Counter | Kind::ObservedCounter(_) => "counter",
            Kind::Gauge(_) => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let mut labels = def.labels.to_vec();
        labels.sort_unstable();
        assert_eq!(types[name], kind, "{name}");
        assert_eq!(helps[name], def.help, "{name}");
        let row = [kind.to_owned(), labels.join(", "), def.help.to_owned()];
        assert_eq!(documented[name], row, "{name}");
        let series = text.lines().filter(|line| {
            let end = line.find(['{', ' ']).unwrap_or(0);
            let full = &line[..end];
            let plain = full.strip_suffix("_bucket").or(full.strip_suffix("_sum"));
            let plain = plain
                .or(full.strip_suffix("_count"))
                .filter(|_| kind == "histogram");
            full == name || plain == Some(name)
        });
        let mut any = false;
        for line in series {
            any = true;
            let inside = line
                .split_once('{')
                .and_then(|(_, rest)| rest.rsplit_once('}'));
            let mut found: Vec<_> = inside
                .map(|(inside, _)| inside)
                .unwrap_or_default()
                .split(',')
                .filter_map(|pair| pair.split_once('=').map(|(label, _)| label))
                .filter(|label| *label != "le")
                .collect();
            found.sort_unstable();
            assert_eq!(found, labels, "{line}");
        }
        assert!(any, "{name} has no series");
    }
    // Closed sets: a scrape does not grow with what callers say.
    assert!(
        text.lines().count() < 1500,
        "{} lines",
        text.lines().count()
    );
    broker.stop().await;
}
