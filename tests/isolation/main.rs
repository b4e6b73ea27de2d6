//! That tenants see nothing of each other: leases at once and one after another, with real clients,
//! and fetches that share a browser.
//!
//! What can be left behind is one table, `marks.js`. Each test shows first that who left a mark sees
//! it, by the same probe that then finds nothing elsewhere.

#[path = "../support/mod.rs"]
mod support;

mod fetches;
mod limits;
mod origin;
mod secrets;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use berth::proto::{AcquireRequest, Lease};
use origin::Origin;
use procfs::process::Process;
use serde_json::{Value, json};
use support::{BOUND, Broker, Cdp, acquire, until};
use tokio::{process::Command, time::timeout};

/// What was seen, by row of the table.
type Seen = BTreeMap<String, bool>;

/// Rows that whoever drives the browser plants, beside those that a page does.
const DRIVEN: [&str; 3] = ["permission", "http_auth", "clipboard"];
/// How many rows a page plants.
const OWN: usize = 12;

fn read(value: &Value) -> Seen {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

fn all(seen: &Seen, wanted: bool, what: &str) {
    let wrong: Vec<_> = seen.iter().filter(|(_, saw)| **saw != wanted).collect();
    assert!(wrong.is_empty(), "{what}: {wrong:?}");
}

/// A tenant: a lease, and a client on its first page.
struct Tenant {
    lease: Lease,
    cdp: Cdp,
    page: String,
    target: String,
}

impl Tenant {
    async fn new(broker: &Broker, origin: &Origin) -> Self {
        let lease = acquire(&mut broker.leases(), AcquireRequest::default())
            .await
            .unwrap();
        let mut cdp = Cdp::connect(&lease.cdp_url).await;
        let page = cdp.page().await;
        let info = cdp.call(Some(&page), "Target.getTargetInfo", json!({}));
        let target = info.await["result"]["targetInfo"]["targetId"].clone();
        let mut tenant = Self {
            lease,
            cdp,
            page,
            target: target.as_str().unwrap().to_owned(),
        };
        tenant.goes(&origin.url("/page")).await;
        // What may be asked of the clipboard is the same for each.
        let grant = json!({"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]});
        let granted = tenant
            .cdp
            .call(None, "Browser.grantPermissions", grant)
            .await;
        assert!(granted["error"].is_null(), "{granted}");
        let focus = json!({"enabled": true});
        tenant
            .on_page("Emulation.setFocusEmulationEnabled", focus)
            .await;
        tenant
    }

    async fn on_page(&mut self, method: &str, params: Value) -> Value {
        self.cdp.call(Some(&self.page), method, params).await
    }

    /// Goes to a page of the table and waits until it listens.
    async fn goes(&mut self, url: &str) {
        self.on_page("Page.navigate", json!({"url": url})).await;
        let mut ready = false;
        for _ in 0..2000 {
            let there = format!("location.href === {url:?} && window.done === true");
            ready = self.cdp.evaluate(&self.page, &there).await == true;
            if ready {
                break;
            }
        }
        assert!(ready, "{url} is there");
    }

    /// What an expression comes to; one that throws fails the test.
    async fn does(&mut self, expression: &str) -> Value {
        let params = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true,
            "userGesture": true,
        });
        let done = self.on_page("Runtime.evaluate", params).await;
        let result = &done["result"];
        assert!(result["exceptionDetails"].is_null(), "{expression}: {done}");
        result["result"]["value"].clone()
    }

    async fn sees(&mut self) -> Seen {
        read(&self.does("see(Object.keys(rows))").await)
    }

    /// Leaves every mark there is.
    async fn plants(&mut self, origin: &Origin) {
        let signed_in = origin.url("/auth").replacen("://", "://me:mark@", 1);
        self.on_page("Page.navigate", json!({"url": signed_in}))
            .await;
        self.goes(&origin.url("/page")).await;
        let grant = json!({
            "permissions": ["geolocation", "clipboardReadWrite", "clipboardSanitizedWrite"],
        });
        self.cdp.call(None, "Browser.grantPermissions", grant).await;
        self.does("plant([...own, 'clipboard'])").await;
    }
}

/// The directory of a browser, as it was told.
fn profile(pid: i32) -> PathBuf {
    let line = Process::new(pid).unwrap().cmdline().unwrap();
    let told = line
        .iter()
        .find_map(|word| word.strip_prefix("--user-data-dir="));
    PathBuf::from(told.unwrap())
}

/// Every route of a lease answers that it is over.
async fn void_on_every_route(broker: &Broker, lease: &Lease, target: &str) {
    let http = reqwest::Client::new();
    for route in [
        "",
        "/json/version",
        "/json/list",
        "/json/protocol",
        "/json/new",
        &format!("/devtools/page/{target}"),
        "/devtools/browser/x",
        "/nonsense",
    ] {
        let url = format!("{}{route}", lease.cdp_http_url);
        let answer = http.get(&url).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 410, "{route}");
        let upgraded = http
            .get(&url)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(
            upgraded.send().await.unwrap().status().as_u16(),
            410,
            "{route}"
        );
    }
    assert!(broker.get(&lease.id).await.cdp_url.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_leases_see_nothing_of_each_other_at_once_or_after() {
    let origin = Origin::start().await;
    let broker = Broker::with(|config| config.max_browsers = 2).await;
    let mut one = Tenant::new(&broker, &origin).await;
    let mut two = Tenant::new(&broker, &origin).await;
    one.plants(&origin).await;
    let seen = one.sees().await;
    assert_eq!(seen.len(), OWN + DRIVEN.len(), "{seen:?}");
    all(&seen, true, "who left them sees them");
    let seen = two.sees().await;
    assert_eq!(seen.len(), OWN + DRIVEN.len());
    all(&seen, false, "another lease at the same time");

    // Another browser, another directory, and nothing in it.
    let pid = broker.pid(&one.lease).await;
    let dir = profile(pid);
    let Tenant {
        lease, cdp, target, ..
    } = one;
    drop(cdp);
    broker.release(&lease).await;
    void_on_every_route(&broker, &lease, &target).await;
    let mut three = Tenant::new(&broker, &origin).await;
    let next = broker.pid(&three.lease).await;
    assert_ne!(next, pid);
    assert_ne!(profile(next), dir);
    assert!(!dir.exists(), "{} is gone", dir.display());
    all(&three.sees().await, false, "the lease after it");
    for tenant in [two, three] {
        drop(tenant.cdp);
        broker.release(&tenant.lease).await;
    }
    broker.stop().await;
    origin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reaches_the_pages_of_another_lease() {
    let origin = Origin::start().await;
    let broker = Broker::with(|config| config.max_browsers = 2).await;
    let mut one = Tenant::new(&broker, &origin).await;
    let mut two = Tenant::new(&broker, &origin).await;
    let target = one.target.clone();
    for method in [
        "Target.attachToTarget",
        "Target.activateTarget",
        "Target.getTargetInfo",
        "Target.closeTarget",
    ] {
        let params = json!({"targetId": target});
        let refused = two.cdp.call(None, method, params.clone()).await;
        let success = &refused["result"]["success"];
        assert!(
            !refused["error"].is_null() || success == false,
            "{method}: {refused}"
        );
        let refused = two.on_page(method, params).await;
        assert!(!refused["error"].is_null(), "{method} of a page: {refused}");
    }
    let targets = two.cdp.call(None, "Target.getTargets", json!({})).await;
    assert!(!targets.to_string().contains(&target), "{targets}");
    assert!(targets.to_string().contains(&two.target), "{targets}");
    let list = reqwest::get(format!("{}/json/list", two.lease.cdp_http_url)).await;
    let list = list.unwrap().text().await.unwrap();
    assert!(
        !list.contains(&target) && list.contains(&two.target),
        "{list}"
    );

    // Over the gateway's own route: one's page does not open with two's token.
    let page = |lease: &Lease| format!("{}/devtools/page/{target}", lease.cdp_url);
    assert!(
        tokio_tungstenite::connect_async(page(&two.lease))
            .await
            .is_err()
    );
    let mut direct = Cdp::connect(&page(&one.lease)).await;
    let evaluate = json!({"expression": "6 * 7"});
    let answer = direct.call(None, "Runtime.evaluate", evaluate).await;
    assert_eq!(answer["result"]["result"]["value"], 42);
    drop(direct);

    // Every end has said its own word after the other's was due.
    let downloads = tempfile::tempdir().unwrap();
    let behavior = json!({
        "behavior": "allow", "downloadPath": downloads.path(), "eventsEnabled": true,
    });
    for tenant in [&mut one, &mut two] {
        tenant.on_page("Runtime.enable", json!({})).await;
        let answer = tenant
            .cdp
            .call(None, "Browser.setDownloadBehavior", behavior.clone())
            .await;
        assert!(answer["error"].is_null(), "{answer}");
    }
    one.cdp
        .send(
            Some(&one.page),
            "Page.navigate",
            json!({"url": origin.url("/download")}),
        )
        .await;
    let say = |word: &str| json!({"expression": format!("console.log({word:?})")});
    one.cdp
        .send(Some(&one.page), "Runtime.evaluate", say("said by one"))
        .await;
    let (mut said, mut began) = (false, false);
    while !(said && began) {
        let event = one.cdp.next().await.unwrap();
        said |= event["method"] == "Runtime.consoleAPICalled";
        began |= event["method"] == "Browser.downloadWillBegin";
    }
    two.cdp
        .send(Some(&two.page), "Runtime.evaluate", say("said by two"))
        .await;
    loop {
        let event = two.cdp.next().await.unwrap();
        assert_ne!(event["method"], "Browser.downloadWillBegin", "{event}");
        assert!(!event.to_string().contains("said by one"), "{event}");
        if event.to_string().contains("said by two") {
            break;
        }
    }
    // One's page lives and is where it was.
    assert_eq!(one.does("location.pathname").await, "/page");
    for tenant in [one, two] {
        drop(tenant.cdp);
        broker.release(&tenant.lease).await;
    }
    broker.stop().await;
    origin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_browser_never_comes_back() {
    const TIMES: usize = 20;
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let (mut pids, mut dirs) = (Vec::new(), Vec::new());
    for round in 0..TIMES {
        let lease = acquire(&mut broker.leases(), AcquireRequest::default())
            .await
            .unwrap();
        let pid = broker.pid(&lease).await;
        let dir = profile(pid);
        assert!(
            !pids.contains(&pid) && !dirs.contains(&dir),
            "round {round}"
        );
        let mark = dir.join("mark");
        assert!(!mark.exists(), "round {round}");
        fs::write(&mark, "left by a tenant").unwrap();
        let mut cdp = Cdp::connect(&lease.cdp_url).await;
        let cookies = cdp.call(None, "Storage.getCookies", json!({})).await;
        assert_eq!(cookies["result"]["cookies"], json!([]), "round {round}");
        let cookie = json!({"name": "mark", "value": "1", "url": "http://a.test/"});
        let set = json!({"cookies": [cookie]});
        cdp.call(None, "Storage.setCookies", set).await;
        let cookies = cdp.call(None, "Storage.getCookies", json!({})).await;
        assert_eq!(cookies["result"]["cookies"][0]["name"], "mark");
        drop(cdp);
        broker.release(&lease).await;
        until("its files are gone", async || !dir.exists()).await;
        pids.push(pid);
        dirs.push(dir);
    }
    broker.stop().await;
}

/// Two tenants that use a library of their own.
async fn with_a_library(library: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/node");
    assert!(root.join("node_modules").exists(), "run `make clients`");
    let origin = Origin::start().await;
    let broker = Broker::with(|config| config.max_browsers = 2).await;
    let mut leases = broker.leases();
    let one = acquire(&mut leases, AcquireRequest::default())
        .await
        .unwrap();
    let two = acquire(&mut leases, AcquireRequest::default())
        .await
        .unwrap();
    let ran = Command::new("node")
        .arg(root.join("isolation.mjs"))
        .args([library, &one.cdp_url, &two.cdp_url, &origin.url("/page")])
        .kill_on_drop(true)
        .output();
    let output = timeout(BOUND, ran).await.expect("it ends").unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(read(&told["first"]).len(), OWN, "{told}");
    all(&read(&told["first"]), true, "who left them sees them");
    assert_eq!(read(&told["second"]).len(), OWN, "{told}");
    all(
        &read(&told["second"]),
        false,
        "another lease at the same time",
    );
    assert_eq!(told["pages"].as_array().unwrap().len(), 1, "{told}");
    broker.release(&one).await;
    broker.release(&two).await;
    broker.stop().await;
    origin.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_playwright_tenants_see_nothing_of_each_other() {
    with_a_library("playwright").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_puppeteer_tenants_see_nothing_of_each_other() {
    with_a_library("puppeteer").await;
}
