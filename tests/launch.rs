//! Browsers that cannot be launched, each in another way: told clearly, counted, and gone.

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use berth::{
    browser::jail::Choice,
    proto::{AcquireRequest, EndReason, FetchRequest, FetchStrategy},
};
use support::{Broker, acquire, proto, reason, secs, until};
use tempfile::TempDir;
use tonic::Status;
use tonic_types::StatusExt;

/// A program that stands in for a browser: a shell script, as real ones are often wrapped in.
fn program(dir: &Path, name: &str, script: &str) -> PathBuf {
    let path = dir.join(name);
    // A browser in a jail may be another user than the test.
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A broker over `browser` that fails to launch it, and what a waiting caller is told.
async fn told(browser: &Path) -> String {
    let broker = Broker::cold(|config| {
        config.browser = Some(browser.to_owned());
        config.launch_timeout = Duration::from_secs(1);
    })
    .await;
    let asked = AcquireRequest {
        wait: secs(25),
        ..AcquireRequest::default()
    };
    let error = acquire(&mut broker.leases(), asked).await.unwrap_err();
    assert_eq!(reason(&error), "BROWSER_UNAVAILABLE", "{error:?}");
    let message = error.message().to_owned();
    assert!(
        message.contains(browser.to_str().unwrap()),
        "names the program: {message}"
    );
    let (_, metrics) = broker.ops("/metrics").await;
    let failed = metrics
        .lines()
        .find(|line| line.contains("launches_total{result=\"failed\"}"));
    let failed = failed
        .unwrap()
        .rsplit(' ')
        .next()
        .unwrap()
        .parse::<u64>()
        .unwrap();
    assert!(failed >= 3, "counted: {failed}");
    let status = broker.status().await;
    assert!(!status.last_launch_error.is_empty());
    broker.stop().await;
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_there() {
    let message = told(Path::new("/nowhere/at/all")).await;
    assert!(message.to_lowercase().contains("no such file"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_may_not_be_executed() {
    let dir = TempDir::new().unwrap();
    let path = program(dir.path(), "locked", "true");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let message = told(&path).await;
    assert!(
        message.contains("execut") || message.contains("denied"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_a_directory() {
    let dir = TempDir::new().unwrap();
    told(dir.path()).await;
}

/// A browser that ends before it is one.
fn dead(dir: &Path) -> PathBuf {
    program(dir, "dead", "echo 'a library is missing' >&2; exit 7")
}

#[tokio::test(flavor = "multi_thread")]
async fn it_exits_at_once() {
    let dir = TempDir::new().unwrap();
    let path = dead(dir.path());
    let message = told(&path).await;
    assert!(message.contains('7'), "its exit code: {message}");
    assert!(
        message.contains("a library is missing"),
        "its last words: {message}"
    );
}

/// Asks for a browser and waits so long.
async fn refused(broker: &Broker, wait: Duration) -> Status {
    let asked = AcquireRequest {
        wait: proto(wait),
        ..AcquireRequest::default()
    };
    acquire(&mut broker.leases(), asked).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_shorter_than_the_pause_between_launches_is_told_why() {
    let dir = TempDir::new().unwrap();
    let path = dead(dir.path());
    let broker = Broker::cold(|config| {
        config.browser = Some(path);
        config.max_browsers = 1;
    })
    .await;
    // From here on the pause is 800 ms and more.
    until("launches fail", async || {
        broker.status().await.launch_failures >= 3
    })
    .await;
    for wait in [0, 20, 20, 20] {
        let error = refused(&broker, Duration::from_millis(wait)).await;
        assert_eq!(reason(&error), "BROWSER_UNAVAILABLE", "{error:?}");
        assert!(error.message().contains("a library is missing"), "{error}");
    }
    // One behind another, who has the only place, and one that wants a seat.
    let mut others = broker.leases();
    let other = others.acquire(AcquireRequest::default());
    let short = async {
        until("the place is taken", async || {
            let error = refused(&broker, Duration::from_millis(50)).await;
            assert_eq!(reason(&error), "BROWSER_UNAVAILABLE", "{error:?}");
            broker.status().await.launch_failures >= 5
        })
        .await;
    };
    let (other, ()) = tokio::join!(other, short);
    assert_eq!(reason(&other.unwrap_err()), "BROWSER_UNAVAILABLE");
    let fetch = FetchRequest {
        url: broker.site.url("/"),
        strategy: FetchStrategy::Browser.into(),
        timeout: proto(Duration::from_millis(100)),
        ..FetchRequest::default()
    };
    let error = broker.fetches().fetch(fetch).await.unwrap_err();
    assert_eq!(reason(&error), "BROWSER_UNAVAILABLE", "{error:?}");
    let (_, metrics) = broker.ops("/metrics").await;
    let exhausted = "berth_acquire_total{outcome=\"exhausted\"} 0";
    assert!(metrics.contains(exhausted), "{metrics}");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_tells_of_browsers_that_start() {
    let dir = TempDir::new().unwrap();
    let path = program(dir.path(), "silent", "sleep 1000");
    let broker = Broker::cold(|config| {
        config.browser = Some(path);
        config.max_browsers = 1;
    })
    .await;
    until("one starts", async || {
        !broker.status().await.browsers.is_empty()
    })
    .await;
    let error = refused(&broker, Duration::from_millis(50)).await;
    assert_eq!(reason(&error), "POOL_EXHAUSTED", "{error:?}");
    let says = "0 of 1 browsers are leased, 0 serve fetches, 1 starting";
    assert!(error.message().contains(says), "{error}");
    let details = error.get_error_details();
    let metadata = details.error_info().unwrap().metadata.clone();
    assert_eq!((&*metadata["starting"], &*metadata["retiring"]), ("1", "0"));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_never_says_where_it_listens() {
    let dir = TempDir::new().unwrap();
    let path = program(dir.path(), "silent", "sleep 1000");
    let message = told(&path).await;
    assert!(
        message.contains("1s"),
        "how long it was waited for: {message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_nonsense() {
    let dir = TempDir::new().unwrap();
    let script = "echo 'DevTools listening on ws://127.0.0.1:1/devtools/browser/x' >&2; sleep 1000";
    told(&program(dir.path(), "liar", script)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_talks_without_end() {
    let dir = TempDir::new().unwrap();
    let message = told(&program(
        dir.path(),
        "talker",
        "yes noise | head -c 3000000 >&2; exit 1",
    ))
    .await;
    assert!(
        message.len() < 5_000,
        "{} bytes of it are told",
        message.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_cannot_be_ended_politely() {
    let dir = TempDir::new().unwrap();
    told(&program(
        dir.path(),
        "stubborn",
        "trap '' TERM INT HUP; sleep 1000 & wait; sleep 1000",
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_again_and_so_does_the_broker() {
    let dir = TempDir::new().unwrap();
    let marker = dir.path().join("mended");
    let real = "/usr/lib/chromium/chromium-headless-shell";
    let script = format!("[ -e {} ] || exit 1\nexec {real} \"$@\"", marker.display());
    let path = program(dir.path(), "flaky", &script);
    let broker = Broker::cold(|config| config.browser = Some(path)).await;
    until("health sees it", async || {
        broker.ops("/health").await.0 == 503
    })
    .await;
    fs::write(&marker, "").unwrap();
    let lease = acquire(&mut broker.leases(), AcquireRequest::default()).await;
    let lease = match lease {
        Ok(lease) => lease,
        // The one launch under way may still have been a bad one.
        Err(_) => acquire(&mut broker.leases(), AcquireRequest::default())
            .await
            .unwrap(),
    };
    until("health sees that, too", async || {
        broker.ops("/health").await.0 == 200
    })
    .await;
    assert_eq!(
        broker.release(&lease).await.end_reason(),
        EndReason::Released
    );
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_stuck_once_and_another_is_started_in_time() {
    let dir = TempDir::new().unwrap();
    let marker = dir.path().join("stuck");
    let real = "/usr/lib/chromium/chromium-headless-shell";
    let script = format!(
        "[ -e {0} ] || {{ touch {0}; sleep 1000; }}\nexec {real} \"$@\"",
        marker.display()
    );
    let path = program(dir.path(), "stuck-once", &script);
    let broker = Broker::cold(|config| {
        config.browser = Some(path);
        config.launch_timeout = Duration::from_secs(15);
        config.max_browsers = 1;
        // The program writes to what is beside it, which a jail forbids.
        config.jail = Choice::None;
    })
    .await;
    let most = AtomicUsize::new(0);
    let lease = async {
        acquire(&mut broker.leases(), AcquireRequest::default())
            .await
            .unwrap()
    };
    let lease = tokio::select! {
        lease = lease => lease,
        () = async {
            loop {
                let live = broker.server.pool().seen().iter().filter(|one| one.pid.is_some()).count();
                most.fetch_max(live, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        } => unreachable!(),
    };
    assert!(marker.exists(), "the first was stuck");
    assert_eq!(most.load(Ordering::Relaxed), 1, "never two in one place");
    let status = broker.status().await;
    assert_eq!(
        status.last_launch_error, "",
        "the launch as a whole has not failed"
    );
    broker.release(&lease).await;
    broker.stop().await;
}
