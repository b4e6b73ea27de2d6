//! However the host ends, its browser is back at once.

use std::{path::Path, process::Stdio, time::Duration};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

use crate::{
    raw::{Host, no_lease},
    support::{BOUND, Broker, LOOPBACK, berth, until},
};

/// What the issue of it all demands.
const AT_ONCE: Duration = Duration::from_secs(1);

fn kill_9(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap());
    kill(pid, Signal::SIGKILL).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn c01_the_browser_is_back_when_the_host_is_killed() {
    let broker = Broker::start().await;
    let visit = json!({ "url": broker.site.url("/") });

    // The host closes standard input.
    let mut host = Host::greet(&broker, &[]).await;
    host.text("browser_navigate", visit.clone()).await;
    host.leave().await;
    assert!(no_lease(&broker).await < AT_ONCE);

    // The shim itself is killed.
    let mut host = Host::greet(&broker, &[]).await;
    host.text("browser_navigate", visit.clone()).await;
    kill_9(host.child.id().unwrap());
    assert!(no_lease(&broker).await < AT_ONCE);
    host.child.wait().await.unwrap();
    drop(host);

    // The host is killed, and somebody else still holds its end of standard input: this test.
    let mut command = Command::new("sh");
    command
        .arg("-c")
        // A shell that waits for its child is its parent.
        .arg("\"$0\" mcp --endpoint \"$1\"; exit 0")
        .arg(env!("CARGO_BIN_EXE_berth"))
        .arg(broker.endpoint())
        .env_remove("BERTH_ENDPOINT")
        .kill_on_drop(true);
    let mut host = Host::start(command);
    host.initialize(crate::raw::REVISION).await;
    host.text("browser_navigate", visit).await;
    let shell = host.child.id().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"));
    let orphan: i32 = children.unwrap().trim().parse().unwrap();
    kill_9(shell);
    assert!(no_lease(&broker).await < AT_ONCE);
    host.child.wait().await.unwrap();
    // The broker made this process the parent of orphans.
    let orphan = waitpid(Pid::from_raw(orphan), None).unwrap();
    assert!(matches!(orphan, WaitStatus::Exited(_, 0)), "{orphan:?}");
    drop(host);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_says_nothing_or_nonsense_leaves_nothing() {
    let broker = Broker::start().await;
    let host = Host::start(crate::raw::shim(&broker, &[]));
    host.leave().await;
    let output = berth()
        .args(["mcp", "--http", "0.0.0.0:0"])
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("serves this machine only"), "{told}");
    // No broker there: the model is told so by each tool.
    let mut command = berth();
    command.args(["mcp", "--endpoint", "http://127.0.0.1:9"]);
    let mut host = Host::start(command);
    host.initialize(crate::raw::REVISION).await;
    let failed = host
        .failure("fetch", json!({ "url": broker.site.url("/") }))
        .await;
    assert!(failed.contains("berth serve"), "{failed}");
    host.leave().await;
    broker.stop().await;
}

/// All processes below one.
fn descendants(pid: u32) -> Vec<i32> {
    let mut found = Vec::new();
    let mut parents = vec![i32::try_from(pid).unwrap()];
    while let Some(parent) = parents.pop() {
        let tasks = std::fs::read_dir(format!("/proc/{parent}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children"));
            let children = children.unwrap_or_default();
            let children = children
                .split_whitespace()
                .map(|pid| pid.parse::<i32>().unwrap());
            let children: Vec<_> = children.collect();
            parents.extend(&children);
            found.extend(children);
        }
    }
    found
}

/// A shim with a broker of its own, whose files lie in `run_dir`.
fn embedded(run_dir: &Path) -> Command {
    let mut command = berth();
    command
        .args(["mcp", "--embedded"])
        .env("BERTH_EGRESS_ALLOW", LOOPBACK)
        .env("BERTH_RUN_DIR", run_dir)
        .stderr(Stdio::piped());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_of_its_own_is_started_said_and_ended() {
    let broker = Broker::start().await;
    let run_dir = broker.run_dir().join("embedded");
    let visit = json!({ "url": broker.site.url("/") });
    let mut host = Host::start(embedded(&run_dir));
    let stderr = host.child.stderr.take().unwrap();
    host.initialize(crate::raw::REVISION).await;
    let mut lines = BufReader::new(stderr).lines();
    let said = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains("started one of its own") {
                return;
            }
        }
        panic!("it did not say so");
    };
    timeout(BOUND, said).await.unwrap();
    let page = host.text("browser_navigate", visit.clone()).await;
    assert!(page.contains("An article"), "{page}");
    // Killed, it leaves files; the next one sweeps them, and leaves none.
    let shim = host.child.id().unwrap();
    let below = descendants(shim);
    assert!(!below.is_empty());
    kill_9(shim);
    host.child.wait().await.unwrap();
    drop((host, lines));
    until("its browsers are gone", async || {
        below.iter().all(|pid| {
            // The broker made this process the parent of orphans.
            let _ = waitpid(Pid::from_raw(*pid), Some(WaitPidFlag::WNOHANG));
            !Path::new(&format!("/proc/{pid}")).exists()
        })
    })
    .await;
    let directories = || {
        let entries = std::fs::read_dir(&run_dir).unwrap().flatten();
        entries.filter(|entry| entry.path().is_dir()).count()
    };
    assert!(directories() > 0);
    let mut host = Host::start(embedded(&run_dir));
    host.initialize(crate::raw::REVISION).await;
    host.text("browser_navigate", visit).await;
    host.leave().await;
    until("nothing is left", async || directories() == 0).await;
    // Browsers are counted by the end of this one.
    broker.stop().await;
}
