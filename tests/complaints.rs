//! What users of comparable systems suffer from, one named test each; `docs/complaints.md` has the
//! list.

mod support;

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use berth::proto::{
    AcquireRequest, BrowserState, BrowserStatus, ContentVerdict as Verdict, DrainRequest,
    EndReason, FetchRequest, FetchStrategy, GetRequest, HoldRequest, LeaseState, OnDisconnect,
    hold_request::Request as Ask, hold_response::Event, lease_service_client::LeaseServiceClient,
};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use procfs::process::all_processes;
use serde_json::json;
use support::{
    BOUND, Broker, Cdp, Ground, Service, acquire, berth, left, proto, proxy, reason, retry, secs,
    until,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};
use tonic_types::StatusExt;

/// The processes of a browser of one type, such as `renderer`.
fn of_type(group: i32, kind: &str) -> Vec<i32> {
    let wanted = format!("--type={kind}");
    let processes = all_processes().unwrap().flatten();
    processes
        .filter(|process| process.stat().is_ok_and(|stat| stat.pgrp == group))
        .filter(|process| {
            process
                .cmdline()
                .is_ok_and(|line| line.join(" ").contains(&wanted))
        })
        .map(|process| process.pid)
        .collect()
}

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
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--gateway-listen",
            "127.0.0.1:0",
        ])
        .args([
            "--ops-listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
            "--run-dir",
        ])
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
async fn c05_a_page_that_never_yields_does_not_pin_its_slot() {
    let broker = Broker::start().await;
    let mut request = Request::new(FetchRequest {
        url: broker.site.url("/loop"),
        strategy: FetchStrategy::Browser.into(),
        ..FetchRequest::default()
    });
    request.set_timeout(Duration::from_secs(2));
    let begun = Instant::now();
    let error = broker.fetches().fetch(request).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::DeadlineExceeded, "DEADLINE")
    );
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    until("its seat is free", async || {
        broker
            .status()
            .await
            .browsers
            .iter()
            .all(|one| one.contexts == 0)
    })
    .await;
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

#[tokio::test(flavor = "multi_thread")]
async fn c09_no_browser_for_a_client_that_is_gone() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let mut client = broker.leases();
    let gone = client.acquire(AcquireRequest::default());
    assert!(timeout(Duration::from_millis(300), gone).await.is_err());
    until("its place is given up", async || {
        broker.status().await.waiting == 0
    })
    .await;
    broker.release(&lease).await;
    until("the next browser stands by", async || broker.idle() > 0).await;
    assert!(broker.status().await.leases.is_empty());
    let (_, metrics) = broker.ops("/metrics").await;
    assert!(
        metrics.contains("berth_acquire_total{outcome=\"cancelled\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("berth_acquire_total{outcome=\"granted\"} 1"),
        "{metrics}"
    );
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_the_error_names_the_limit_that_fired() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let asked = AcquireRequest {
        wait: proto(Duration::from_millis(400)),
        ..AcquireRequest::default()
    };
    let begun = Instant::now();
    let error = acquire(&mut broker.leases(), asked).await.unwrap_err();
    assert!(
        (350..10_000).contains(&begun.elapsed().as_millis()),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        error.message().contains("the wait of 400ms"),
        "{}",
        error.message()
    );
    let details = error.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["limit"], "wait");
    let mut request = Request::new(AcquireRequest::default());
    request.set_timeout(Duration::from_secs(2));
    let error = broker.leases().acquire(request).await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted);
    assert!(
        error.message().contains("the deadline of 2s"),
        "{}",
        error.message()
    );
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c11_three_named_limits_are_echoed() {
    let broker = Broker::start().await;
    let asked = AcquireRequest {
        wait: secs(11),
        idle_timeout: secs(12),
        max_lifetime: secs(13),
        ttl: secs(10),
        ..AcquireRequest::default()
    };
    let lease = acquire(&mut broker.leases(), asked).await.unwrap();
    assert_eq!(lease.wait, secs(11));
    assert_eq!(lease.idle_timeout, secs(12));
    assert_eq!(lease.max_lifetime, secs(13));
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c12_limits_fire_while_the_browser_hangs() {
    let broker = Broker::start().await;
    let asked = AcquireRequest {
        idle_timeout: secs(3),
        ..AcquireRequest::default()
    };
    let idle = acquire(&mut broker.leases(), asked).await.unwrap();
    let mut client = Cdp::connect(&idle.cdp_url).await;
    let asked = AcquireRequest {
        max_lifetime: secs(2),
        ttl: secs(2),
        ..AcquireRequest::default()
    };
    let absolute = acquire(&mut broker.leases(), asked).await.unwrap();
    let page = client.page().await;
    let forever = json!({"expression": "for(;;);"});
    client.send(Some(&page), "Runtime.evaluate", forever).await;
    for lease in [&idle, &absolute] {
        killpg(Pid::from_raw(broker.pid(lease).await), Signal::SIGSTOP).unwrap();
    }
    assert_eq!(client.closed().await, Some((4002, "idle".into())));
    assert_eq!(broker.get(&idle.id).await.end_reason(), EndReason::Idle);
    until("the other ended, too", async || {
        broker.get(&absolute.id).await.end_reason() == EndReason::Expired
    })
    .await;
    drop(client);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c13_gauges_are_what_is_there() {
    let broker = Broker::start().await;
    let mut leases = Vec::new();
    for _ in 0..2 {
        leases.push(
            acquire(&mut broker.leases(), AcquireRequest::default())
                .await
                .unwrap(),
        );
    }
    let gauge = async |name: &str| {
        let (_, metrics) = broker.ops("/metrics").await;
        let line = metrics
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap()
            .to_owned();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert!((gauge("berth_leases_active ").await - 2.0).abs() < 0.5);
    assert!((gauge("berth_browsers{state=\"leased\"}").await - 2.0).abs() < 0.5);
    // One is given back, the other's browser dies: nobody decrements, and yet it is right.
    broker.release(&leases[0]).await;
    killpg(Pid::from_raw(broker.pid(&leases[1]).await), Signal::SIGKILL).unwrap();
    until("the gauges are back", async || {
        gauge("berth_leases_active ").await < 0.5
            && gauge("berth_browsers{state=\"leased\"}").await < 0.5
            && gauge("berth_browsers{state=\"retiring\"}").await < 0.5
    })
    .await;
    assert!(gauge("berth_acquire_waiting ").await < 0.5);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c14_a_refusal_says_how_many_wait_and_when_to_retry() {
    let broker = Broker::with(|config| {
        config.max_browsers = 1;
        config.queue = 0;
    })
    .await;
    let asked = AcquireRequest {
        ttl: secs(8),
        ..AcquireRequest::default()
    };
    let lease = acquire(&mut broker.leases(), asked).await.unwrap();
    let error = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::ResourceExhausted, "POOL_EXHAUSTED")
    );
    let delay = retry(&error).unwrap();
    assert!(
        delay > Duration::from_secs(5) && delay <= Duration::from_secs(8),
        "{delay:?}"
    );
    let details = error.get_error_details();
    let metadata = details.error_info().unwrap().metadata.clone();
    assert_eq!(
        (metadata["leased"].as_str(), metadata["waiting"].as_str()),
        ("1", "0")
    );
    assert_eq!(
        (
            metadata["max_browsers"].as_str(),
            metadata["limit"].as_str()
        ),
        ("1", "queue")
    );
    assert!(details.quota_failure().is_some());
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c15_a_kept_lease_survives_its_clients() {
    let broker = Broker::start().await;
    let asked = AcquireRequest {
        on_disconnect: OnDisconnect::Keep.into(),
        detach_grace: secs(0),
        ..AcquireRequest::default()
    };
    let lease = acquire(&mut broker.leases(), asked).await.unwrap();
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    client
        .evaluate(&page, "globalThis.mark = 'still here'")
        .await;
    drop(client);
    until("it is detached", async || {
        broker.get(&lease.id).await.attached_clients == 0
    })
    .await;
    sleep(Duration::from_millis(300)).await;
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    assert_eq!(
        client.evaluate(&page, "globalThis.mark").await,
        "still here"
    );
    assert_eq!(broker.get(&lease.id).await.attached_clients, 1);
    drop(client);
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c16_a_lease_is_given_back_when_its_client_detaches() {
    let broker = Broker::start().await;
    let asked = AcquireRequest {
        detach_grace: secs(3),
        ..AcquireRequest::default()
    };
    let lease = acquire(&mut broker.leases(), asked).await.unwrap();
    // Nobody was there yet: the grace does not run.
    sleep(Duration::from_millis(3300)).await;
    assert_eq!(broker.get(&lease.id).await.state(), LeaseState::Active);
    let first = Cdp::connect(&lease.cdp_url).await;
    drop(first);
    // Back in time.
    let second = Cdp::connect(&lease.cdp_url).await;
    sleep(Duration::from_millis(3300)).await;
    assert_eq!(broker.get(&lease.id).await.state(), LeaseState::Active);
    drop(second);
    until("it is given back", async || {
        broker.get(&lease.id).await.end_reason() == EndReason::Detached
    })
    .await;
    broker.stop().await;
}

/// The proxy delays each byte by up to a second each way, the idle timeout is four seconds, and the
/// broker asks a quiet connection after ten, with five to answer.
#[tokio::test(flavor = "multi_thread")]
async fn c17_a_buffering_proxy_ends_no_healthy_session() {
    let broker = Broker::start().await;
    let batch = Duration::from_secs(1);
    let grpc = broker.server.addresses().grpc.to_string();
    let gateway = broker.server.addresses().gateway.to_string();
    let (grpc, _grpc) = proxy::buffering(grpc, batch).await;
    let (cdp, _cdp) = proxy::buffering(gateway.clone(), batch).await;
    let channel = tonic::transport::Channel::from_shared(format!("http://{grpc}")).unwrap();
    let mut leases = LeaseServiceClient::new(channel.connect().await.unwrap());
    let (say, said) = mpsc::channel(1);
    let acquire = AcquireRequest {
        idle_timeout: secs(4),
        ..AcquireRequest::default()
    };
    let request = Some(Ask::Acquire(acquire));
    say.send(HoldRequest { request }).await.unwrap();
    let held = leases.hold(ReceiverStream::new(said)).await.unwrap();
    let mut events = held.into_inner();
    let lease = loop {
        let event = timeout(BOUND, events.message()).await.unwrap().unwrap();
        if let Some(Event::Granted(granted)) = event.unwrap().event {
            break granted.lease.unwrap();
        }
    };
    let mut client = Cdp::connect(&lease.cdp_url.replace(&gateway, &cdp)).await;
    let page = client.page().await;
    let begun = Instant::now();
    let mut answers = 0;
    while begun.elapsed() < Duration::from_secs(17) {
        assert_eq!(client.evaluate(&page, "6 * 7").await, 42);
        answers += 1;
    }
    assert!(answers >= 5, "{answers}");
    assert_eq!(broker.get(&lease.id).await.state(), LeaseState::Active);
    // Only silence of the client is idleness, and the stream is there to say so.
    let event = timeout(BOUND, events.message()).await.unwrap().unwrap();
    let Some(Event::Ended(ended)) = event.unwrap().event else {
        panic!("the end");
    };
    assert_eq!(ended.reason(), EndReason::Idle);
    drop((client, events, leases, _grpc, _cdp));
    broker.stop().await;
}

/// An answer takes seven seconds: too long for the five that a client has unless it is said
/// otherwise, and not for the twenty of the setting.
#[tokio::test(flavor = "multi_thread")]
async fn c17_a_proxy_that_is_late_keeps_a_hold_when_it_may_be() {
    let held = async |patience: Option<&str>| {
        let ground = Ground::new();
        let mut flags = vec!["--grpc-keepalive-interval", "1s"];
        flags.extend(
            patience
                .iter()
                .flat_map(|it| ["--grpc-keepalive-timeout", it]),
        );
        let service = Service::start(ground.path(), &flags).await;
        let grpc = service.grpc.strip_prefix("http://").unwrap().to_owned();
        let (grpc, proxying) = proxy::late(grpc, Duration::from_millis(3500)).await;
        let channel = tonic::transport::Channel::from_shared(format!("http://{grpc}")).unwrap();
        let mut leases = LeaseServiceClient::new(channel.connect().await.unwrap());
        let (say, said) = mpsc::channel(1);
        let request = Some(Ask::Acquire(AcquireRequest::default()));
        say.send(HoldRequest { request }).await.unwrap();
        let mut hold = std::pin::pin!(leases.hold(ReceiverStream::new(said)));
        let granted = async || service.status().await.leases.first().cloned();
        let lease = tokio::select! {
            lease = async {
                until("it is granted", async || granted().await.is_some()).await;
                granted().await.unwrap()
            } => lease,
            answer = &mut hold => panic!("the grant comes first: {answer:?}"),
        };
        // Time for several answers that come late.
        let followed = timeout(Duration::from_secs(18), async {
            let mut events = hold.await.unwrap().into_inner();
            while let Ok(Some(_)) = events.message().await {}
        });
        let lived = followed.await.is_err();
        let now = async || {
            let lease_id = lease.id.clone();
            let got = service.leases().await.get(GetRequest { lease_id }).await;
            got.unwrap().into_inner().lease.unwrap()
        };
        let found = now().await;
        drop((say, proxying));
        until("it is over", async || {
            now().await.state() == LeaseState::Ended
        })
        .await;
        service.signal(Signal::SIGTERM);
        assert_eq!(service.ended().await.0, Some(0));
        ground.assert_clean();
        (lived, found.state(), found.end_reason())
    };
    let (patient, usual) = tokio::join!(held(Some("20s")), held(None));
    assert_eq!(
        patient,
        (true, LeaseState::Active, EndReason::Unspecified),
        "its client lives"
    );
    assert_eq!(
        usual,
        (false, LeaseState::Ended, EndReason::ClientGone),
        "what the setting is for"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn c18_a_client_is_told_when_the_browser_dies() {
    let broker = Broker::start().await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let (mut one, mut two) = (
        Cdp::connect(&lease.cdp_url).await,
        Cdp::connect(&lease.cdp_url).await,
    );
    let begun = Instant::now();
    killpg(Pid::from_raw(broker.pid(&lease).await), Signal::SIGKILL).unwrap();
    for client in [&mut one, &mut two] {
        assert_eq!(
            client.closed().await,
            Some((4005, "browser_crashed".into()))
        );
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    drop((one, two));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c19_an_ended_lease_says_how_it_ended() {
    let broker = Broker::start().await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    kill(Pid::from_raw(broker.pid(&lease).await), Signal::SIGKILL).unwrap();
    until("it is no longer called active", async || {
        broker.get(&lease.id).await.state() == LeaseState::Ended
    })
    .await;
    let ended = broker.get(&lease.id).await;
    assert_eq!(ended.end_reason(), EndReason::BrowserCrashed);
    assert!(ended.end_time.is_some());
    let lease_id = lease.id.clone();
    let renew = berth::proto::RenewRequest {
        lease_id,
        ttl: None,
    };
    let error = broker.leases().renew(renew).await.unwrap_err();
    assert_eq!(reason(&error), "LEASE_NOT_FOUND");
    let metadata = error
        .get_error_details()
        .error_info()
        .unwrap()
        .metadata
        .clone();
    assert_eq!(metadata["end_reason"], "BROWSER_CRASHED");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c20_a_stuck_page_is_not_handed_over() {
    let broker = Broker::with(|config| {
        config.max_browsers = 1;
        config.health_check_timeout = Duration::from_secs(3);
        // The check at the hand-over must see it, not the one that comes by.
        config.health_check_interval = Duration::from_secs(60);
    })
    .await;
    let spare = broker.status().await.browsers.remove(0);
    // A renderer is a fork of the zygote that renames itself.
    let renderers = async || !of_type(spare.pid, "renderer").is_empty();
    until("its page has a process", renderers).await;
    for renderer in of_type(spare.pid, "renderer") {
        kill(Pid::from_raw(renderer), Signal::SIGSTOP).unwrap();
    }
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    assert_ne!(lease.browser.clone().unwrap().id, spare.id);
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    assert_eq!(client.evaluate(&page, "6 * 7").await, 42);
    drop(client);
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "the test's own listener")]
async fn c23_no_fetch_leads_inside() {
    let inside = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = inside.local_addr().unwrap().port();
    let (count, mut reached) = mpsc::unbounded_channel();
    let accepting = tokio::spawn(async move {
        while let Ok((stream, from)) = inside.accept().await {
            drop(stream);
            count.send(from).unwrap();
        }
    });
    // Nothing of loopback is open.
    let broker = Broker::with(|config| config.egress_allow.clear()).await;
    let fetch = async |url: String, strategy: FetchStrategy| {
        let request = FetchRequest {
            url,
            strategy: strategy.into(),
            ..FetchRequest::default()
        };
        broker.fetches().fetch(request).await
    };
    for host in [
        "127.0.0.1",
        "localhost",
        "0x7f.1",
        "①②⑦.⓪.⓪.①",
        "[::ffff:127.0.0.1]",
    ] {
        for strategy in [
            FetchStrategy::Http,
            FetchStrategy::Auto,
            FetchStrategy::Browser,
        ] {
            let denied = fetch(format!("http://{host}:{port}/"), strategy).await;
            let denied = denied.expect_err("it leads inside");
            assert_eq!(denied.code(), Code::PermissionDenied, "{host}: {denied:?}");
            assert_eq!(reason(&denied), "EGRESS_DENIED");
        }
    }
    assert!(reached.try_recv().is_err(), "somebody got through");
    drop(
        tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .unwrap(),
    );
    assert!(
        reached.recv().await.is_some(),
        "the listener would have seen it"
    );
    accepting.abort();
    assert!(accepting.await.is_err_and(|ended| ended.is_cancelled()));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c24_no_route_opens_without_the_token() {
    let broker = Broker::start().await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let other = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let gateway = format!("http://{}", broker.server.addresses().gateway);
    let token = lease.cdp_url.rsplit('/').next().unwrap().to_owned();
    let secret_of_other = other.cdp_url.rsplit('.').next().unwrap();
    let swapped = format!("{}.{secret_of_other}", token.split('.').next().unwrap());
    let http = reqwest::Client::new();
    let routes = [
        "",
        "/",
        "/json",
        "/json/",
        "/json/version",
        "/json/version/",
        "/json/list",
        "/json/protocol",
        "/json/new",
        "/devtools/browser/x",
        "/devtools/page/x",
        "/files",
        "/files/x",
    ];
    let ask = async |token: &str, route: &str| {
        let url = format!("{gateway}/lease/{token}{route}");
        let answer = http.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for route in routes {
        for wrong in [
            "",
            "x",
            &lease.id,
            &swapped,
            &token[..token.len() - 1],
            &format!("{token}A"),
        ] {
            let (code, body) = ask(wrong, route).await;
            assert_eq!(code, 404, "{route} with {wrong:?}: {body}");
            assert!(!body.contains(&token), "no answer tells the secret");
        }
    }
    for route in ["/json/version", "/json/list", "/devtools/browser/x", "/"] {
        let answer = http.get(format!("{gateway}{route}")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 404, "{route} without a token");
    }
    assert_eq!(
        ask(&token, "/json/version").await.0,
        200,
        "the right one opens"
    );
    broker.release(&lease).await;
    for route in routes {
        let (code, body) = ask(&token, route).await;
        assert_eq!(code, 410, "{route} after the end");
        assert!(body.contains("released"), "{body}");
    }
    broker.release(&other).await;
    drop(http);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "the test's own origin")]
async fn c25_an_empty_success_says_what_it_is() {
    let broker = Broker::start().await;
    let words = "A plain sentence that somebody wrote for somebody to read. ".repeat(20);
    let article = format!(
        "<title>Ferries</title><header><a href=/login>Log in</a></header><h1>Ferries</h1><p>{words}"
    );
    let login = "<title>Sign in</title><h1>Sign in</h1><form><input name=user>\
        <input type=password><button>Sign in</button></form>";
    let shell = "<title>App</title><noscript>You need to enable JavaScript.</noscript>\
        <div id=root></div><script>if (!window) render()</script>";
    let pages = [
        (
            "",
            "<title>nothing</title><body></body>",
            Verdict::Empty,
            Verdict::Empty,
        ),
        ("", &article, Verdict::Content, Verdict::Content),
        ("", login, Verdict::LoginWall, Verdict::LoginWall),
        (
            "401 Unauthorized",
            "<p>no",
            Verdict::LoginWall,
            Verdict::LoginWall,
        ),
        (
            "",
            "<h1>Are you a robot?</h1><div class=h-captcha></div>",
            Verdict::Blocked,
            Verdict::Blocked,
        ),
        (
            "429 Too Many Requests",
            "<p>slow down",
            Verdict::Blocked,
            Verdict::Blocked,
        ),
        (
            "404 Not Found",
            &article,
            Verdict::ErrorPage,
            Verdict::ErrorPage,
        ),
        (
            "",
            "<title>Page not found</title><h1>Sorry</h1>",
            Verdict::ErrorPage,
            Verdict::ErrorPage,
        ),
        ("", shell, Verdict::Unrendered, Verdict::Unrendered),
    ];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = listener.local_addr().unwrap();
    let answers: Vec<_> = pages
        .iter()
        .map(|(status, body, ..)| {
            let status = if status.is_empty() { "200 OK" } else { status };
            format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                body.len()
            )
        })
        .collect();
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let page = request
                .split(['/', ' '])
                .nth(2)
                .and_then(|page| page.parse().ok());
            let answer = page.and_then(|page: usize| answers.get(page));
            let _ = stream
                .write_all(answer.map_or("", String::as_str).as_bytes())
                .await;
        }
    });
    for (at, (_, body, by_http, by_browser)) in pages.into_iter().enumerate() {
        for (strategy, verdict) in [
            (FetchStrategy::Http, by_http),
            (FetchStrategy::Browser, by_browser),
        ] {
            let request = FetchRequest {
                url: format!("http://{origin}/{at}"),
                strategy: strategy.into(),
                ..FetchRequest::default()
            };
            let got = broker.fetches().fetch(request).await.unwrap().into_inner();
            assert_eq!(
                got.verdict(),
                verdict,
                "{strategy:?} {body}: {}",
                got.verdict_detail
            );
            assert!(!got.verdict_detail.is_empty());
            let code = verdict.as_str_name().trim_start_matches("CONTENT_VERDICT_");
            let warned = got
                .warnings
                .iter()
                .any(|one| one.code.eq_ignore_ascii_case(code));
            assert_eq!(warned, verdict != Verdict::Content, "{:?}", got.warnings);
        }
    }
    serving.abort();
    let _ = serving.await;
    broker.stop().await;
}
