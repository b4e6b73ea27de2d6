//! The page for people, looked at with a real browser: another broker's, as a broker's own browsers do not
//! reach its ports.

mod support;

use std::collections::HashSet;

use berth::proto::{AcquireRequest, DrainRequest, FetchRequest};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::{BOUND, Broker, Cdp, Ground, Service, acquire, until};
use tokio::time::{Instant, timeout};

/// Who looks: a broker of its own, in a process of its own.
struct Viewer {
    ground: Ground,
    service: Service,
    cdp_url: String,
}

impl Viewer {
    async fn start() -> Self {
        let ground = Ground::new();
        let service = Service::start(
            ground.path(),
            &["--max-browsers", "1", "--shutdown-timeout", "1s"],
        )
        .await;
        let mut leases = service.leases().await;
        let lease = acquire(&mut leases, AcquireRequest::default());
        let cdp_url = lease.await.unwrap().cdp_url;
        Self {
            ground,
            service,
            cdp_url,
        }
    }

    async fn end(self) {
        self.service.signal(Signal::SIGTERM);
        let _log = self.service.ended().await;
        self.ground.assert_clean();
    }
}

/// The page in a browser, with everything that the browser said of it.
struct Page {
    cdp: Cdp,
    session: String,
    said: Vec<Value>,
}

impl Page {
    async fn open(cdp_url: &str, url: &str) -> Self {
        let mut cdp = Cdp::connect(cdp_url).await;
        let session = cdp.page().await;
        let mut page = Self {
            cdp,
            session,
            said: Vec::new(),
        };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        page.call("Page.navigate", json!({"url": url})).await;
        page
    }

    /// The answer to a command; events on the way are kept.
    async fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.cdp.send(Some(&self.session), method, params).await;
        loop {
            let message = self.cdp.next().await.unwrap();
            if message["id"] == id {
                return message["result"].clone();
            }
            self.said.push(message);
        }
    }

    async fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        self.call("Runtime.evaluate", params).await["result"]["value"].clone()
    }

    async fn shows(&mut self, expression: &str, is: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let value = self.evaluate(expression).await;
            if is(&value) {
                return;
            }
            assert!(begun.elapsed() < BOUND, "{expression} stays {value}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// The events of a kind so far.
    fn events(&self, method: &str) -> Vec<&Value> {
        let events = self.said.iter().filter(|event| event["method"] == method);
        events.map(|event| &event["params"]).collect()
    }

    /// A picture of the whole page at `width`, as PNG in base64.
    async fn picture(&mut self, width: u32, scheme: &str) -> String {
        let metrics =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500});
        self.call("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features).await;
        let params = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.call("Page.captureScreenshot", params).await;
        picture["data"].as_str().unwrap().to_owned()
    }
}

fn text_of(id: &str) -> String {
    format!("document.getElementById('{id}').textContent")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_sees_the_live_picture() {
    let viewer = Viewer::start().await;
    let broker = Broker::with(|config| config.max_browsers = 3).await;
    let ops = format!("http://{}", broker.server.addresses().ops);
    let seen = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let attached = Cdp::connect(&seen.cdp_url).await;
    let mut page = Page::open(&viewer.cdp_url, &format!("{ops}/")).await;
    let leases = "[...document.querySelectorAll('#leases tbody tr')].map(row => row.dataset.key)";
    page.shows(leases, |rows| *rows == json!([seen.id])).await;
    page.shows(&text_of("health"), |text| text == "healthy")
        .await;
    page.shows(&text_of("ready"), |text| text == "ready").await;
    page.shows(
        "document.querySelector('#browsers tbody').innerText",
        |text| text.as_str().is_some_and(|text| text.contains("leased")),
    )
    .await;
    page.shows(
        "document.querySelectorAll('#checks tbody tr').length",
        |rows| rows.as_u64() >= Some(5),
    )
    .await;
    // Who is attached is counted.
    page.shows(
        "document.querySelector('#leases tbody tr').cells[5].textContent",
        |count| count == "1",
    )
    .await;

    // Another comes, with a name that would be trouble if it were not text, and goes.
    let mut request = AcquireRequest::default();
    let trouble = "</td><script>alert(1)</script><img src=x onerror=alert(2)>";
    request.labels.insert("job".into(), trouble.into());
    let other = acquire(&mut broker.leases(), request).await.unwrap();
    page.shows(leases, |rows| *rows == json!([seen.id, other.id]))
        .await;
    let labels = "document.querySelectorAll('#leases tbody tr')[1].cells[6].textContent";
    assert_eq!(page.evaluate(labels).await, format!("job={trouble}"));
    let loaded = "document.querySelectorAll('script, img').length";
    assert_eq!(page.evaluate(loaded).await, 2, "the page's own, no more");
    broker.release(&other).await;
    page.shows(leases, |rows| *rows == json!([seen.id])).await;

    // Fetches come in the history.
    for path in ["/", "/status/404"] {
        let url = broker.site.url(path);
        let fetch = FetchRequest {
            url,
            ..FetchRequest::default()
        };
        broker.fetches().fetch(fetch).await.unwrap();
    }
    page.shows(&text_of("about"), |text| {
        text.as_str()
            .is_some_and(|text| text.contains("2 fetches, 0 failed"))
    })
    .await;
    let latency = "[...document.querySelectorAll('figure')].map(one => one.innerText).find(text => \
                   text.startsWith('Fetch latency'))";
    page.shows(latency, |text| {
        text.as_str()
            .is_some_and(|text| text.contains("p95") && text.contains(" ms"))
    })
    .await;
    let charts = "[...document.querySelectorAll('figure svg')].every(one => one.role === 'img' && \
                  one.getAttribute('aria-label').includes('now') && \
                  one.querySelector('.line').getAttribute('d').startsWith('M'))";
    assert_eq!(page.evaluate(charts).await, true);

    let drain = DrainRequest { shutdown: false };
    broker.admin().drain(drain).await.unwrap();
    page.shows(&text_of("ready"), |text| text == "draining")
        .await;

    for (width, scheme) in [(1280, "light"), (800, "dark"), (390, "light")] {
        let picture = page.picture(width, scheme).await;
        assert!(picture.len() > 20_000, "a page with something on it");
        let wide = page.evaluate("document.documentElement.scrollWidth").await;
        assert_eq!(wide.as_u64(), Some(width.into()), "nothing sticks out");
        keep(&picture, width);
    }

    assert_eq!(page.events("Runtime.exceptionThrown"), Vec::<&Value>::new());
    assert_eq!(
        page.events("Runtime.consoleAPICalled"),
        Vec::<&Value>::new()
    );
    assert_eq!(page.events("Log.entryAdded"), Vec::<&Value>::new());
    let asked = page.events("Network.requestWillBeSent");
    let asked = asked
        .iter()
        .map(|event| event["request"]["url"].as_str().unwrap());
    let asked: Vec<_> = asked.collect();
    let elsewhere: Vec<_> = asked.iter().filter(|url| !url.starts_with(&ops)).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    assert!(asked.iter().filter(|url| url.contains("/status")).count() >= 3);
    // One kept connection does: what the page asks for comes over few.
    let answers = page.events("Network.responseReceived");
    let connections: HashSet<_> = answers
        .iter()
        .map(|event| event["response"]["connectionId"].to_string())
        .collect();
    assert!(connections.len() <= 6, "{connections:?}");
    drop((page, attached));
    broker.release(&seen).await;
    broker.stop().await;
    viewer.end().await;
}

/// With `BERTH_KEEP_PICTURES` set to a directory, the pictures can be looked at there.
fn keep(picture: &str, width: u32) {
    use base64::Engine as _;
    if let Some(dir) = std::env::var_os("BERTH_KEEP_PICTURES") {
        let png = base64::engine::general_purpose::STANDARD.decode(picture);
        let file = std::path::Path::new(&dir).join(format!("dashboard-{width}.png"));
        std::fs::write(file, png.unwrap()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_when_the_broker_is_gone_and_recovers() {
    let viewer = Viewer::start().await;
    let broker = Broker::start().await;
    let ops = format!("http://{}/", broker.server.addresses().ops);
    let mut page = Page::open(&viewer.cdp_url, &ops).await;
    page.shows(&text_of("health"), |text| text == "healthy")
        .await;
    // The network of the page is cut: it comes back at the same address.
    let offline = |offline: bool| json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
    page.call("Network.emulateNetworkConditions", offline(true))
        .await;
    let shown = "!document.getElementById('link').hidden";
    page.shows(shown, |shown| *shown == true).await;
    page.shows(&text_of("link"), |text| {
        text.as_str()
            .is_some_and(|text| text.starts_with("No answer for"))
    })
    .await;
    page.call("Network.emulateNetworkConditions", offline(false))
        .await;
    page.shows(shown, |shown| *shown == false).await;
    drop(page);
    broker.stop().await;
    viewer.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_has_no_secret_and_its_history_goes_on_where_it_was() {
    let broker = Broker::start().await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let token = lease.cdp_url.rsplit('/').next().unwrap();
    let (code, text) = broker.ops("/status").await;
    assert_eq!(code, 200);
    assert!(!text.contains(token) && !text.contains("cdp_url"), "{text}");
    let status: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status["leases"][0]["id"], lease.id);
    assert_eq!(status["health"]["status"], "healthy");
    let seen = status["history"]["next"].as_u64().unwrap();
    until("there is a newer sample", async || {
        let (_, text) = broker.ops(&format!("/status?since={seen}")).await;
        let status: Value = serde_json::from_str(&text).unwrap();
        let history = &status["history"];
        let rows = history["rows"].as_array().unwrap();
        assert_eq!(history["from"], seen, "nothing twice, nothing left out");
        !rows.is_empty()
    })
    .await;
    assert_eq!(broker.ops("/status?since=soon").await.0, 400);
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_and_other_methods_get_nothing() {
    let broker = Broker::start().await;
    let ops = format!("http://{}", broker.server.addresses().ops);
    let client = reqwest::Client::new();
    for path in ["/", "/status", "/dashboard.js"] {
        let url = format!("{ops}{path}");
        let get = client.get(&url).header("host", "rebound.example:9464");
        let answer = timeout(BOUND, get.send()).await.unwrap().unwrap();
        assert_eq!(answer.status(), 421, "{path}");
        assert!(!answer.text().await.unwrap().contains("browser"));
        let get = client.get(&url).header("host", "localhost:9464");
        let answer = get.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"));
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert!(!answer.headers().contains_key("access-control-allow-origin"));
        let post = client.post(&url).body("{}").send().await.unwrap();
        assert_eq!(post.status(), 405, "{path}");
    }
    // Probes and Prometheus may call by any name.
    let get = client
        .get(format!("{ops}/readyz"))
        .header("host", "berth.default.svc:9464");
    assert_eq!(get.send().await.unwrap().status(), 200);
    drop(client);
    broker.stop().await;
}
