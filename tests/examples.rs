//! The programs and packages of docs/examples, each against a broker: it finds every browser taken, comes
//! back when it is told to, works and gives the browser back. `make clients` installs what they need.

mod support;

use std::{path::PathBuf, process::Output};

use berth::proto::{AcquireRequest, EndReason, Lease, ListRequest};
use support::{BOUND, Broker, acquire, installed, root, secs, until};
use tokio::{process::Command, time::timeout};

/// A program beneath docs/examples.
fn program(interpreter: impl Into<PathBuf>, path: &str) -> Command {
    let mut command = Command::new(interpreter.into());
    command.arg(root().join("docs/examples").join(path));
    command
}

fn python(path: &str) -> Command {
    program(installed("target/clients/python/bin/python"), path)
}

fn node(path: &str) -> Command {
    installed("docs/examples/node/node_modules");
    program("node", path)
}

async fn ran(command: &mut Command, broker: &Broker, path: &str) -> Output {
    let running = command
        .arg(broker.site.url(path))
        .env("BERTH_ENDPOINT", broker.endpoint())
        .kill_on_drop(true)
        .output();
    timeout(BOUND, running).await.expect("it ends").unwrap()
}

/// A broker with one browser, where nobody may wait.
async fn scarce() -> Broker {
    Broker::with(|config| {
        config.max_browsers = 1;
        config.queue = 0;
    })
    .await
}

/// Leases of the broker, the ended ones too.
async fn leases(broker: &Broker) -> Vec<Lease> {
    let request = ListRequest {
        include_ended: true,
        ..ListRequest::default()
    };
    let listed = broker.leases().list(request).await.unwrap();
    listed.into_inner().leases
}

/// Runs the example while the one browser is taken for another second; `says` whether it tells so.
async fn example(mut command: Command, says: bool) {
    let broker = scarce().await;
    let short = AcquireRequest {
        ttl: secs(1),
        ..AcquireRequest::default()
    };
    acquire(&mut broker.leases(), short).await.unwrap();
    let output = ran(&mut command, &broker, "/site/index.html").await;
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    assert_eq!(said, "Index\n", "{errors}");
    let told = errors.contains("every browser is taken; again in ");
    assert_eq!(told, says, "{errors}");
    let leases = leases(&broker).await;
    let reasons: Vec<_> = leases.iter().map(Lease::end_reason).collect();
    assert_eq!(reasons, [EndReason::Expired, EndReason::Released]);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_blocking() {
    example(python("python/programs/blocking.py"), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_asyncio_with_a_held_lease() {
    example(python("python/programs/hold.py"), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_by_the_helper() {
    example(python("python/programs/helper.py"), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_by_the_helper_without_asyncio() {
    example(python("python/programs/helper_blocking.py"), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_with_puppeteer_and_a_held_lease() {
    example(node("node/programs/puppeteer.mjs"), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_with_playwright() {
    example(node("node/programs/playwright.mjs"), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_by_the_helper() {
    example(node("node/programs/helper.mjs"), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn go() {
    example(Command::new(installed("target/clients/go/title")), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn java() {
    let classpath = std::fs::read_to_string(installed("target/clients/java/classpath")).unwrap();
    let mut command = Command::new("java");
    command.args(["-cp", classpath.trim(), "Title"]);
    example(command, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shell_by_reflection() {
    let mut command = program("bash", "shell/title.sh");
    command.env("PYTHON", installed("target/clients/python/bin/python"));
    example(command, true).await;
}

/// Runs the scenarios of a helper package.
async fn scenarios(mut command: Command, count: usize) {
    let broker = scarce().await;
    let output = ran(&mut command, &broker, "/").await;
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    let passed = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert_eq!(passed, count, "{said}");
    until("every lease is over", async || {
        broker.status().await.leases.is_empty()
    })
    .await;
    let leases = leases(&broker).await;
    assert!(leases.len() >= 3, "{leases:?}");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_package_keeps_its_promises() {
    scenarios(python("../../tests/clients/python/helper.py"), 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_package_keeps_its_promises() {
    scenarios(node("../../tests/clients/node/helper.mjs"), 5).await;
}
