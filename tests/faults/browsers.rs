//! Browsers that die, hang, grow and grow old.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_leased_browser_is_killed() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let mut client = Cdp::connect(&lease.cdp_url).await;
    assert!(client.call(None, "Browser.getVersion", json!({})).await["result"].is_object());
    killpg(Pid::from_raw(broker.pid(&lease).await), Signal::SIGKILL).unwrap();
    assert_eq!(
        client.closed().await,
        Some((4005, "browser_crashed".into()))
    );
    assert_eq!(
        broker.get(&lease.id).await.end_reason(),
        EndReason::BrowserCrashed
    );
    let next = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    broker.release(&next).await;
    drop(client);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_browser_is_killed_and_replaced_before_anybody_asks() {
    let broker = Broker::start().await;
    let before = broker.status().await.browsers.remove(0);
    kill(Pid::from_raw(before.pid), Signal::SIGKILL).unwrap();
    until("another stands by", async || {
        let browsers = broker.status().await.browsers;
        browsers.iter().any(|one| one.id != before.id) && broker.idle() > 0
    })
    .await;
    let (_, metrics) = broker.ops("/metrics").await;
    assert!(
        metrics.contains("berth_browsers_retired_total{reason=\"crashed\"} 1"),
        "{metrics}"
    );
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_idle_browser_is_noticed_and_replaced() {
    let broker = Broker::with(|config| {
        config.health_check_timeout = Duration::from_millis(500);
        config.health_check_interval = Duration::from_millis(200);
    })
    .await;
    let before = broker.status().await.browsers.remove(0);
    killpg(Pid::from_raw(before.pid), Signal::SIGSTOP).unwrap();
    until("another stands by", async || {
        let browsers = broker.status().await.browsers;
        browsers.iter().all(|one| one.id != before.id) && broker.idle() > 0
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_browser_is_killed_in_mid_fetch() {
    let broker = Broker::start().await;
    let fetching = text(&broker, "/hang", FetchStrategy::Browser);
    let killing = async {
        // The first loss is made up for on another browser, the second is told.
        let mut killed = 0;
        for _ in 0..2 {
            let shared = async || {
                let browsers = broker.status().await.browsers;
                let mut browsers = browsers.into_iter();
                browsers.find(|one| one.contexts > 0 && one.pid != killed)
            };
            until("the fetch is in a browser", async || {
                shared().await.is_some()
            })
            .await;
            killed = shared().await.unwrap().pid;
            killpg(Pid::from_raw(killed), Signal::SIGKILL).unwrap();
        }
    };
    let (fetched, ()) = tokio::join!(fetching, killing);
    let error = fetched.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::Aborted, "BROWSER_LOST")
    );
    assert!(retry(&error).is_some());
    let next = text(&broker, "/shell", FetchStrategy::Browser)
        .await
        .unwrap();
    assert_eq!(next, "filled by a script");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executable_that_is_none_is_named_and_health_says_so() {
    let missing = PathBuf::from("/nowhere/chromium");
    let broker = Broker::cold(|config| config.browser = Some(missing)).await;
    let asked = AcquireRequest {
        wait: secs(20),
        ..AcquireRequest::default()
    };
    let error = acquire(&mut broker.leases(), asked).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::Unavailable, "BROWSER_UNAVAILABLE")
    );
    assert!(
        error.message().contains("/nowhere/chromium"),
        "{}",
        error.message()
    );
    assert!(retry(&error).is_some());
    let (code, health) = broker.ops("/health").await;
    assert_eq!(code, 503, "{health}");
    assert!(health.contains("/nowhere/chromium"), "{health}");
    assert_eq!(broker.ops("/readyz").await.0, 503);
    assert_eq!(broker.ops("/livez").await.0, 200);
    let article = text(&broker, "/", FetchStrategy::Http).await.unwrap();
    assert!(
        article.contains("An article"),
        "what needs no browser goes on"
    );
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_retired_by_an_operator() {
    let broker = Broker::start().await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let browser_id = lease.browser.clone().unwrap().id;
    let retire = async |browser_id: &str| {
        let browser_id = browser_id.to_owned();
        broker
            .admin()
            .retire_browser(RetireBrowserRequest { browser_id })
            .await
    };
    assert_eq!(
        reason(&retire(&browser_id).await.unwrap_err()),
        "BROWSER_LEASED"
    );
    assert_eq!(
        reason(&retire("browser-999").await.unwrap_err()),
        "BROWSER_NOT_FOUND"
    );
    assert_eq!(reason(&retire("opera").await.unwrap_err()), "BAD_REQUEST");
    until("a spare stands by", async || broker.idle() > 0).await;
    let browsers = broker.status().await.browsers;
    let spare = browsers
        .into_iter()
        .find(|one| one.id != browser_id)
        .unwrap();
    retire(&spare.id).await.unwrap();
    until("it is gone", async || {
        broker
            .status()
            .await
            .browsers
            .iter()
            .all(|one| one.id != spare.id)
    })
    .await;
    broker.release(&lease).await;
    let (_, metrics) = broker.ops("/metrics").await;
    for (reason, count) in [("operator", 1), ("age", 0)] {
        let series = format!("berth_browsers_retired_total{{reason=\"{reason}\"}} {count}");
        assert!(metrics.contains(&series), "{series}\n{metrics}");
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_browser_grows_too_old_and_a_memory_eater_is_killed() {
    let broker = Broker::with(|config| {
        config.browser_max_age = Duration::from_secs(1);
        config.browser_memory_limit = 600 << 20;
        config.health_check_interval = Duration::from_millis(200);
    })
    .await;
    until("one was retired for its age", async || {
        broker
            .ops("/metrics")
            .await
            .1
            .contains("berth_browsers_retired_total{reason=\"age\"} 1")
    })
    .await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    let eat = "globalThis.kept = []; for (let i = 0; i < 12; i++) { const a = new Uint8Array(100e6); a.fill(i + 1); kept.push(a); } 1";
    client
        .send(
            Some(&page),
            "Runtime.evaluate",
            json!({ "expression": eat }),
        )
        .await;
    assert_eq!(client.closed().await, Some((4006, "oom_killed".into())));
    assert_eq!(
        broker.get(&lease.id).await.end_reason(),
        EndReason::OomKilled
    );
    drop(client);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_pool_comes_to_rest_at_its_minimum() {
    let broker = Broker::with(|config| config.browser_idle_timeout = Duration::from_secs(1)).await;
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(
            acquire(&mut broker.leases(), AcquireRequest::default())
                .await
                .unwrap(),
        );
    }
    for lease in &leases {
        broker.release(lease).await;
    }
    until("one stands by", async || broker.idle() == 1).await;
    let launches = broker.status().await.launches;
    // Some times the idle timeout: whoever replaces what it retires does it again and again.
    sleep(Duration::from_secs(5)).await;
    assert_eq!(broker.status().await.launches, launches);
    assert_eq!(broker.idle(), 1);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_browser_is_retired_after_so_many_uses() {
    let broker = Broker::with(|config| config.browser_max_uses = 2).await;
    for _ in 0..5 {
        text(&broker, "/shell", FetchStrategy::Browser)
            .await
            .unwrap();
    }
    let (_, metrics) = broker.ops("/metrics").await;
    assert!(
        metrics.contains("berth_browsers_retired_total{reason=\"uses\"} 2"),
        "{metrics}"
    );
    broker.stop().await;
}
