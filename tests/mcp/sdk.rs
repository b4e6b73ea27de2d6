//! The official SDKs as hosts, and the official conformance suite. `make clients` installs them.

use std::{path::PathBuf, time::Duration};

use tokio::{process::Command, time::timeout};

use crate::{
    http::Listening,
    raw::no_lease,
    support::{Broker, installed, root, shop::Shop},
};

/// Longer than a host takes with all its steps on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// Runs a host's script; what it said.
async fn run(mut command: Command) -> String {
    let output = command
        .env_remove("BERTH_ENDPOINT")
        .kill_on_drop(true)
        .output();
    let output = timeout(LONG, output).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    said
}

async fn walk(program: PathBuf, script: &str) {
    let broker = Broker::start().await;
    let shop = Shop::open().await;
    let mut listening = Listening::start(&broker, &["--tools", "all"]).await;
    let mut command = Command::new(program);
    command
        .arg(root().join(script))
        .arg(shop.url(""))
        .arg(&listening.url)
        .arg(env!("CARGO_BIN_EXE_berth"))
        .arg(broker.endpoint());
    let said = run(command).await;
    let passed = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert_eq!(passed, 14, "seven steps over two transports\n{said}");
    listening.child.start_kill().unwrap();
    listening.child.wait().await.unwrap();
    no_lease(&broker).await;
    shop.close().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_sdk_is_a_host() {
    installed("tests/clients/node/node_modules/@modelcontextprotocol/sdk");
    walk("node".into(), "tests/clients/node/mcp.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_is_a_host() {
    let python = installed("target/clients/python/bin/python");
    walk(python, "tests/clients/python/mcp_host.py").await;
}

/// The scenarios of the suite that are about what the shim has. The others need tools, prompts and
/// notifications of a server that was made for the suite.
const SCENARIOS: &[&str] = &[
    "server-initialize",
    "ping",
    "tools-list",
    "resources-list",
    "server-sse-multiple-streams",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_conformance_suite_passes() {
    let suite = "tests/clients/node/node_modules/.bin/conformance";
    let suite = installed(suite);
    let broker = Broker::start().await;
    let mut listening = Listening::start(&broker, &[]).await;
    let scratch = tempfile::tempdir().unwrap();
    for scenario in SCENARIOS {
        let mut command = Command::new(&suite);
        command
            .args(["server", "--url", &listening.url, "--scenario", scenario])
            .current_dir(scratch.path());
        let said = run(command).await;
        assert!(said.contains("0 failed"), "{scenario}\n{said}");
    }
    listening.child.start_kill().unwrap();
    listening.child.wait().await.unwrap();
    broker.stop().await;
}
