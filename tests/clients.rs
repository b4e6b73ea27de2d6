//! Real clients in other languages. `make clients` installs what they need.

mod support;

use std::{process::Stdio, time::Duration};

use berth::proto::{AcquireRequest, DrainRequest};
use nix::sys::signal::Signal;
use serde_json::Value;
use support::{BOUND, Broker, Ground, Service, acquire, berth, installed, root, site::Site, until};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
    time::timeout,
};

/// Runs the scenarios of a Node library on a leased browser.
async fn scenarios(library: &str, at_least: usize) {
    installed("tests/clients/node/node_modules");
    let broker = Broker::start().await;
    let ran = berth()
        .args(["lease", "--endpoint", &broker.endpoint(), "--", "node"])
        .arg(root().join("tests/clients/node/run.mjs"))
        .args([library, &broker.site.url("/site")])
        .output();
    let output = timeout(Duration::from_secs(180), ran)
        .await
        .expect("it ends")
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    let passed = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(passed >= at_least, "{passed} scenarios\n{said}");
    until("the lease is given back", async || {
        broker.status().await.leases.is_empty()
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn playwright_works_on_a_leased_browser() {
    scenarios("playwright", 21).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn puppeteer_works_on_a_leased_browser() {
    scenarios("puppeteer", 18).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_client_holds_a_lease_and_lets_it_go() {
    installed("tests/clients/node/node_modules");
    let broker = Broker::start().await;
    let ran = Command::new("node")
        .arg(root().join("tests/clients/node/hold.mjs"))
        .arg(broker.endpoint().strip_prefix("http://").unwrap())
        .arg(broker.site.url("/site/index.html"))
        .kill_on_drop(true)
        .output();
    let output = timeout(BOUND, ran)
        .await
        .expect("it ends by itself")
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "Index\n",
        "{errors}"
    );
    assert!(broker.status().await.leases.is_empty());
    broker.stop().await;
}

fn python(script: &str, endpoint: &str) -> Command {
    let mut command = Command::new(installed("target/clients/python/bin/python"));
    command
        .arg(root().join("tests/clients/python").join(script))
        .arg(endpoint)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_in_hold_is_killed_and_its_browser_is_back_within_a_second() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let mut client = python("hold.py", &broker.endpoint()).spawn().unwrap();
    let mut events = BufReader::new(client.stdout.take().unwrap()).lines();
    let granted = loop {
        let line = timeout(BOUND, events.next_line())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["event"] == "granted" {
            break event;
        }
    };
    assert!(granted["cdp_url"].as_str().unwrap().starts_with("ws://"));
    assert_eq!(broker.status().await.leases.len(), 1);
    client.start_kill().unwrap();
    let took = until("the lease ended", async || {
        broker.status().await.leases.is_empty()
    })
    .await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    client.wait().await.unwrap();
    drop(events);
    let next = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    broker.release(&next).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_reads_why_it_was_refused_and_retries() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let taken = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let mut client = python("acquire.py", &broker.endpoint()).spawn().unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let mut next = async || -> Value {
        let line = timeout(BOUND, lines.next_line())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        serde_json::from_str(&line).unwrap()
    };
    let refused = next().await;
    assert_eq!(
        (&refused["code"], &refused["reason"]),
        (&"RESOURCE_EXHAUSTED".into(), &"POOL_EXHAUSTED".into())
    );
    assert_eq!(refused["metadata"]["leased"], "1");
    assert!(refused["retry_seconds"].as_f64().unwrap() > 0.0);
    broker.release(&taken).await;
    let mut told = next().await;
    while told["code"].is_string() {
        told = next().await;
    }
    assert!(told["lease"].as_str().unwrap().starts_with("lease-"));
    assert_eq!(next().await["ended"], "END_REASON_RELEASED");
    assert!(client.wait().await.unwrap().success());
    drop(lines);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_fetches_many_and_cancels_the_rest() {
    let python = installed("target/clients/python/bin/python");
    let broker = Broker::start().await;
    let url = |path: &str| broker.site.url(path);
    let ran = Command::new(python)
        .arg(root().join("tests/clients/python/fetch_many.py"))
        .arg(broker.endpoint())
        .args([url("/hang"), url("/"), url("/status/404"), url("/hang")])
        .args(["http://127.0.0.1:9/", "file:///etc/passwd"])
        .kill_on_drop(true)
        .output();
    let output = timeout(BOUND, ran).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 4, "{said}");
    let of = |url: &str| lines.iter().find(|line| line["url"] == url).unwrap();
    assert!(
        of(&url("/"))["text"]
            .as_str()
            .unwrap()
            .contains("An article")
    );
    assert_eq!(of(&url("/status/404"))["status"], 404);
    assert_eq!(
        of("http://127.0.0.1:9/")["reason"],
        "ERROR_REASON_ORIGIN_REFUSED"
    );
    assert_eq!(
        of("file:///etc/passwd")["reason"],
        "ERROR_REASON_BAD_REQUEST"
    );
    until("what was cancelled is given back", async || {
        broker.status().await.running == 0
    })
    .await;
    broker.stop().await;
}

/// What a standard probe is told of a service.
async fn probe(endpoint: &str, service: &str) -> String {
    let asked = python("health.py", endpoint).arg(service).output();
    let output = timeout(BOUND, asked).await.expect("it ends").unwrap();
    let told = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert_eq!(output.status.success(), told == "SERVING", "{told}");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_probe_tells_serving_degraded_draining_and_down_apart() {
    let broker = Broker::with(|config| {
        config.max_browsers = 1;
        config.queue = 1;
    })
    .await;
    let endpoint = broker.endpoint();
    until("it serves", async || {
        probe(&endpoint, "").await == "SERVING"
    })
    .await;
    assert_eq!(probe(&endpoint, "browser-pool").await, "SERVING");
    assert_eq!(probe(&endpoint, "tea").await, "NOT_FOUND");

    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let mut leases = broker.leases();
    let waits = acquire(&mut leases, AcquireRequest::default());
    let seen = async {
        until("it is degraded", async || {
            let (_, health) = broker.ops("/health").await;
            health.contains(r#""status":"degraded""#)
        })
        .await;
        let degraded = probe(&endpoint, "").await;
        broker.release(&lease).await;
        degraded
    };
    let (waited, degraded) = tokio::join!(waits, seen);
    assert_eq!(degraded, "SERVING", "degraded serves");
    broker.release(&waited.unwrap()).await;

    let drain = DrainRequest { shutdown: false };
    broker.admin().drain(drain).await.unwrap();
    until("it is draining", async || {
        probe(&endpoint, "").await == "NOT_SERVING"
    })
    .await;
    broker.stop().await;
    assert_eq!(probe(&endpoint, "").await, "UNAVAILABLE", "nobody is there");
}

/// What `state.mjs` says when it is given `state`.
async fn state(endpoint: &str, url: &str, state: &str) -> tokio::process::Child {
    installed("tests/clients/node/node_modules");
    let mut child = Command::new("node")
        .arg(root().join("tests/clients/node/state.mjs"))
        .args([endpoint.strip_prefix("http://").unwrap(), url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(state.as_bytes()).await.unwrap();
    child
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playwright_client_is_logged_in_again_after_a_drain() {
    let site = Site::start().await;
    let url = site.url("/who");
    let ground = Ground::new();
    let service = Service::start(ground.path(), &["--shutdown-timeout", "6s"]).await;
    let mut first = state(&service.grpc, &url, "").await;
    let mut said = BufReader::new(first.stderr.take().unwrap()).lines();
    let ready = timeout(BOUND, said.next_line()).await.unwrap().unwrap();
    assert_eq!(ready.as_deref(), Some("ready"));
    service.signal(Signal::SIGTERM);
    let output = timeout(BOUND, first.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let taken = String::from_utf8(output.stdout).unwrap();
    assert!(taken.contains("ada"), "{taken}");
    assert_eq!(service.ended().await.0, Some(3));
    ground.assert_clean();

    let broker = Broker::start().await;
    let second = state(&broker.endpoint(), &url, &taken).await;
    let output = timeout(BOUND, second.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "ada value\n",
        "{errors}"
    );
    broker.stop().await;
    site.stop().await;
}
