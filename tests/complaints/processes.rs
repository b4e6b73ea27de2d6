//! Processes: who they outlive, what they leave.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn c01_a_lease_dies_with_the_process_that_holds_it() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let endpoint = broker.endpoint();
    let mut holder = berth()
        .args(["lease", "--endpoint", &endpoint, "--", "sleep", "1000"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("it has a lease", async || {
        !broker.status().await.leases.is_empty()
    })
    .await;
    let id = broker.status().await.leases[0].id.clone();
    let sleeper = left::children(i32::try_from(holder.id().unwrap()).unwrap());
    holder.start_kill().unwrap();
    let took = until("its lease ended", async || {
        broker.status().await.leases.is_empty()
    })
    .await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(broker.get(&id).await.end_reason(), EndReason::ClientGone);
    holder.wait().await.unwrap();
    // The command it ran is not the broker's; this test started it.
    for line in sleeper {
        let pid = line.split(' ').next().unwrap().parse().unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        nix::sys::wait::waitpid(Pid::from_raw(pid), None).unwrap();
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c02_no_zombie_stays_when_the_broker_is_pid_1() {
    const LAUNCHES: usize = 60;
    let ground = Ground::new();
    let mut command = tokio::process::Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
        .arg(env!("CARGO_BIN_EXE_berth"))
        .args(support::service::SERVE)
        .arg(ground.path())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let service = Service::cold(command).await;
    let broker = left::children(service.pid())[0]
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let mut leases = service.leases().await;
    for number in 0..LAUNCHES {
        let lease = acquire(&mut leases, AcquireRequest::default())
            .await
            .unwrap();
        if number % 3 == 0 {
            let status = service.status().await;
            let browser = lease.browser.clone().unwrap().id;
            // As seen in there: the first process of a fresh pid namespace is the broker.
            assert!(status.browsers.iter().any(|one| one.id == browser));
        }
        let lease_id = lease.id;
        leases
            .release(berth::proto::ReleaseRequest { lease_id })
            .await
            .unwrap();
    }
    until("no zombie is left", async || {
        left::children(broker)
            .iter()
            .all(|child| !child.ends_with(" Z"))
    })
    .await;
    let status = service.status().await;
    assert!(
        status.launches >= LAUNCHES as u64,
        "{} launches",
        status.launches
    );
    let shutdown = DrainRequest { shutdown: true };
    service.admin().await.drain(shutdown).await.unwrap();
    assert_eq!(service.ended().await.0, Some(0));
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn c03_killing_the_root_leaves_no_helper() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let root = broker.pid(&lease).await;
    let helpers = left::browsers(&broker.run_dir().join("run"));
    assert!(helpers.len() > 2, "{helpers:?}");
    // The root alone; and its helpers are stopped, so that they cannot go by themselves.
    for line in &helpers {
        let pid: i32 = line.split(' ').next().unwrap().parse().unwrap();
        let signal = if pid == root {
            Signal::SIGKILL
        } else {
            Signal::SIGSTOP
        };
        kill(Pid::from_raw(pid), signal).unwrap();
    }
    until("another browser stands by", async || broker.idle() > 0).await;
    let alive = left::browsers(&broker.run_dir().join("run"));
    assert!(
        helpers.iter().all(|helper| !alive.contains(helper)),
        "{alive:?}"
    );
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c06_a_browser_that_does_not_close_does_not_keep_its_slot() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    killpg(Pid::from_raw(broker.pid(&lease).await), Signal::SIGSTOP).unwrap();
    let begun = Instant::now();
    broker.release(&lease).await;
    let next = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    broker.release(&next).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c07_a_browser_that_has_become_slow_is_retired() {
    let broker = Broker::with(|config| config.max_browsers = 2).await;
    let url = broker.site.url("/");
    let fetches = async || {
        let one = || async {
            let request = FetchRequest {
                url: url.clone(),
                strategy: FetchStrategy::Browser.into(),
                ..FetchRequest::default()
            };
            broker.fetches().fetch(request).await.unwrap()
        };
        futures::future::join_all((0..4).map(|_| one())).await;
    };
    for _ in 0..4 {
        fetches().await;
    }
    let shared = || async {
        let browsers = broker.status().await.browsers;
        let serves = |one: &BrowserStatus| one.state() == BrowserState::Shared;
        browsers.into_iter().find(serves)
    };
    let slow = shared().await.unwrap();
    assert!(slow.uses >= 16, "{slow:?}");
    // It runs a tenth of the time, in pieces that are too short for a page.
    let group = Pid::from_raw(slow.pid);
    let enough = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&enough);
    let slowed = tokio::task::spawn_blocking(move || {
        let pause = |millis| std::thread::park_timeout(Duration::from_millis(millis));
        while !ends.load(Ordering::Relaxed) && killpg(group, Signal::SIGSTOP).is_ok() {
            pause(45);
            let _ = killpg(group, Signal::SIGCONT);
            pause(5);
        }
    });
    let drifted = async || {
        let (_, metrics) = broker.ops("/metrics").await;
        metrics.contains("berth_browsers_retired_total{reason=\"drift\"} 1")
    };
    for _ in 0..20 {
        fetches().await;
        if drifted().await {
            break;
        }
    }
    enough.store(true, Ordering::Relaxed);
    slowed.await.unwrap();
    assert!(drifted().await, "it is still in use");
    fetches().await;
    let next = shared().await.unwrap();
    assert_ne!(next.id, slow.id);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c08_every_step_of_a_launch_may_fail() {
    // The first launches end at another step each; then the browser is what it should be.
    let dir = tempfile::tempdir().unwrap();
    let count = dir.path().join("count");
    std::fs::write(&count, "").unwrap();
    let script = format!(
        "#!/bin/sh\necho >> {count}\ncase $(wc -l < {count}) in\n1) exit 1;;\n2) sleep 1000;;\n\
         3) echo 'DevTools listening on ws://127.0.0.1:1/x' >&2; sleep 1000;;\n\
         4) kill -9 $$;;\n*) exec /usr/lib/chromium/chromium-headless-shell \"$@\";;\nesac\n",
        count = count.display()
    );
    let path = dir.path().join("browser");
    std::fs::write(&path, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, mode).unwrap();
    let broker = Broker::cold(|config| {
        config.browser = Some(path);
        // It writes to what is beside it, which a jail forbids.
        config.jail = berth::browser::jail::Choice::None;
        config.launch_timeout = Duration::from_secs(10);
    })
    .await;
    until("a browser is up", async || broker.idle() > 0).await;
    let status = broker.status().await;
    // The second was begun anew, within the same launch, as the third.
    assert_eq!(status.launch_failures, 3, "{}", status.last_launch_error);
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    broker.release(&lease).await;
    broker.stop().await;
}
