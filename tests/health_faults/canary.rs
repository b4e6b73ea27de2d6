//! Whether a page is really loaded.

use super::*;

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
