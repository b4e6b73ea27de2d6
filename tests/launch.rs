//! Browsers that cannot be launched, each in another way: told clearly, counted, and gone.

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use berth::proto::{AcquireRequest, EndReason};
use support::{Broker, acquire, reason, secs, until};
use tempfile::TempDir;

/// A program that stands in for a browser: a shell script, as real ones are often wrapped in.
fn program(dir: &Path, name: &str, script: &str) -> PathBuf {
    let path = dir.join(name);
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

#[tokio::test(flavor = "multi_thread")]
async fn it_exits_at_once() {
    let dir = TempDir::new().unwrap();
    let path = program(
        dir.path(),
        "dead",
        "echo 'a library is missing' >&2; exit 7",
    );
    let message = told(&path).await;
    assert!(message.contains('7'), "its exit code: {message}");
    assert!(
        message.contains("a library is missing"),
        "its last words: {message}"
    );
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
