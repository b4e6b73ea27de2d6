//! Outages, full queues, no descriptors.

use super::*;

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
