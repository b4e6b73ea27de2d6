//! The CDP policy of the gateway, and the files of a lease, with real browsers.

mod support;

use std::collections::BTreeSet;

use berth::{
    broker::{MAX_DENIED, PolicyMode},
    browser::jail::Choice,
    gateway::policy::{self, Treatment},
    proto::{AcquireRequest, EndReason, Lease},
};
use futures::SinkExt;
use serde_json::{Value, json};
use support::{BOUND, Broker, Cdp, acquire, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

async fn lease(broker: &Broker) -> Lease {
    acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap()
}

/// Which rule an answer says that the policy denied by; `None` when it does not.
fn denied(answer: &Value) -> Option<String> {
    let error = &answer["error"];
    let message = error["message"].as_str()?.strip_prefix("berth: ")?;
    assert_eq!(error["code"], -32000, "{answer}");
    assert!(
        message.contains("denied by the broker's CDP policy"),
        "{answer}"
    );
    let rule = message.rsplit_once('(')?.1.strip_suffix(')')?;
    Some(rule.to_owned())
}

/// The value of a series of the ops port.
async fn metric(broker: &Broker, series: &str) -> f64 {
    let (_, text) = broker.ops("/metrics").await;
    let line = text.lines().find(|line| line.starts_with(series));
    let line = line.unwrap_or_else(|| panic!("no {series}\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Commands that reach past the browser, and by which rule they are denied. The session is that
/// of a page where `true`.
fn machine_level() -> Vec<(bool, &'static str, Value, &'static str)> {
    let elsewhere = "/etc/hostname";
    vec![
        (false, "SystemInfo.getInfo", json!({}), "machine"),
        (false, "SystemInfo.getProcessInfo", json!({}), "machine"),
        (
            false,
            "SystemInfo.getFeatureState",
            json!({"featureState": "x"}),
            "machine",
        ),
        (true, "SystemInfo.getInfo", json!({}), "machine"),
        (false, "Tethering.bind", json!({"port": 1}), "network"),
        (false, "Tethering.unbind", json!({"port": 1}), "network"),
        (
            false,
            "Target.setRemoteLocations",
            json!({"locations": [{"host": "127.0.0.1", "port": 9}]}),
            "network",
        ),
        (
            false,
            "Target.createBrowserContext",
            json!({"proxyServer": "http://127.0.0.1:9"}),
            "network",
        ),
        (
            false,
            "Target.createBrowserContext",
            json!({"proxyServer": "direct://", "proxyBypassList": "*"}),
            "network",
        ),
        (
            false,
            "Target.createBrowserContext",
            json!({"originsWithUniversalNetworkAccess": ["http://a.example"]}),
            "network",
        ),
        (
            false,
            "Target.exposeDevToolsProtocol",
            json!({"targetId": "x"}),
            "bypass",
        ),
        (
            false,
            "Target.openDevTools",
            json!({"targetId": "x"}),
            "bypass",
        ),
        (
            false,
            "Target.getDevToolsTarget",
            json!({"targetId": "x"}),
            "bypass",
        ),
        (false, "Browser.crash", json!({}), "machine"),
        (true, "Browser.crash", json!({}), "machine"),
        (false, "Browser.crashGpuProcess", json!({}), "machine"),
        (
            false,
            "Browser.executeBrowserCommand",
            json!({"commandId": "openTabSearch"}),
            "machine",
        ),
        (false, "Browser.getBrowserCommandLine", json!({}), "machine"),
        (
            false,
            "Browser.setDockTile",
            json!({"badgeLabel": "x"}),
            "machine",
        ),
        (false, "Browser.somethingNew", json!({}), "unknown"),
        (
            false,
            "Extensions.loadUnpacked",
            json!({"path": "/tmp"}),
            "code",
        ),
        (true, "Extensions.getExtensions", json!({}), "code"),
        (false, "Extensions.uninstall", json!({"id": "x"}), "code"),
        (
            true,
            "Extensions.setStorageItems",
            json!({"id": "x"}),
            "code",
        ),
        (
            true,
            "Page.addCompilationCache",
            json!({"url": "http://a.example/x.js", "data": ""}),
            "code",
        ),
        (false, "PWA.install", json!({"manifestId": "x"}), "machine"),
        (
            false,
            "PWA.launchFilesInApp",
            json!({"manifestId": "x", "files": [elsewhere]}),
            "machine",
        ),
        (
            true,
            "PWA.openCurrentPageInApp",
            json!({"manifestId": "x"}),
            "machine",
        ),
        (true, "Cast.enable", json!({}), "machine"),
        (
            true,
            "Cast.startDesktopMirroring",
            json!({"sinkName": "x"}),
            "machine",
        ),
        (true, "DeviceAccess.enable", json!({}), "machine"),
        (
            true,
            "DeviceAccess.selectPrompt",
            json!({"id": "x", "deviceId": "x"}),
            "machine",
        ),
        (
            false,
            "Tracing.start",
            json!({"perfettoConfig": "AAAA"}),
            "machine",
        ),
        (
            false,
            "Tracing.start",
            json!({"tracingBackend": "system"}),
            "machine",
        ),
        (
            true,
            "Tracing.start",
            json!({"traceConfig": {"enableSystrace": true}}),
            "machine",
        ),
        (
            true,
            "DOM.setFileInputFiles",
            json!({"files": [elsewhere], "nodeId": 1}),
            "path",
        ),
        (
            true,
            "Page.handleFileChooser",
            json!({"action": "accept", "files": [elsewhere]}),
            "path",
        ),
        (
            true,
            "Input.dispatchDragEvent",
            json!({"type": "drop", "x": 1, "y": 1, "data": {"items": [], "files": [elsewhere], "dragOperationsMask": 1}}),
            "path",
        ),
        (
            true,
            "Input.dispatchDragEvent",
            json!({"type": "drop", "x": 1, "y": 1, "data": {"items": [{"mimeType": "text/uri-list", "data": "file:///etc/hostname"}], "dragOperationsMask": 1}}),
            "scheme",
        ),
        (
            true,
            "Network.loadNetworkResource",
            json!({"url": "file:///etc/hostname", "options": {"disableCache": true, "includeCredentials": false}}),
            "scheme",
        ),
        (
            true,
            "Fetch.continueRequest",
            json!({"requestId": "x", "url": "file:///etc/hostname"}),
            "scheme",
        ),
        (
            true,
            "Page.navigate",
            json!({"url": "file:///etc/hostname"}),
            "scheme",
        ),
        (
            false,
            "Target.createTarget",
            json!({"url": "file:///etc/hostname"}),
            "scheme",
        ),
        (
            false,
            "Target.sendMessageToTarget",
            json!({"sessionId": "x", "message": r#"{"id":1,"method":"SystemInfo.getInfo"}"#}),
            "machine",
        ),
        (false, "Nonsense.enable", json!({}), "unknown"),
        (true, "target.getTargets", json!({}), "unknown"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_reach_past_the_browser_are_denied_and_the_session_lives() {
    let broker = Broker::start().await;
    let lease = lease(&broker).await;
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    let commands = machine_level();
    assert!(commands.len() >= 30);
    for (in_page, method, params, rule) in &commands {
        let session = in_page.then_some(page.as_str());
        let answer = client.call(session, method, params.clone()).await;
        assert_eq!(
            denied(&answer).as_deref(),
            Some(*rule),
            "{method} {params}: {answer}"
        );
        assert_eq!(answer["sessionId"].as_str(), session, "{answer}");
        assert_eq!(client.evaluate(&page, "6 * 7").await, 42, "after {method}");
    }
    for rule in [
        "scheme", "path", "network", "machine", "code", "bypass", "unknown",
    ] {
        let series = format!("berth_cdp_denied_total{{mode=\"enforce\",rule=\"{rule}\"}}");
        let wanted = commands.iter().filter(|one| one.3 == rule).count();
        assert_eq!(metric(&broker, &series).await, wanted as f64, "{rule}");
    }
    broker.release(&lease).await;
    drop(client);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_policy_the_same_commands_do_what_they_say() {
    let elsewhere = tempfile::tempdir().unwrap();
    let broker = Broker::with(|config| {
        config.cdp_policy = PolicyMode::Report;
        // What a jail hides could not be reached all the same.
        config.jail = Choice::None;
    })
    .await;
    let lease = lease(&broker).await;
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    for (in_page, method, params) in [
        (false, "SystemInfo.getInfo", json!({})),
        (false, "SystemInfo.getProcessInfo", json!({})),
        (false, "Browser.setDockTile", json!({})),
        (true, "DeviceAccess.enable", json!({})),
        (
            false,
            "Target.createBrowserContext",
            json!({"proxyServer": "http://127.0.0.1:9"}),
        ),
        (
            false,
            "Target.createBrowserContext",
            json!({"originsWithUniversalNetworkAccess": [broker.site.url("/")]}),
        ),
        (
            false,
            "Browser.setDownloadBehavior",
            json!({"behavior": "allow", "downloadPath": elsewhere.path()}),
        ),
    ] {
        let session = in_page.then_some(page.as_str());
        let answer = client.call(session, method, params).await;
        assert!(answer["result"].is_object(), "{method}: {answer}");
    }
    let target = client
        .call(Some(&page), "Target.getTargetInfo", json!({}))
        .await;
    let target = &target["result"]["targetInfo"]["targetId"];
    let exposed = json!({"targetId": target});
    let answer = client
        .call(None, "Target.exposeDevToolsProtocol", exposed)
        .await;
    assert!(answer["result"].is_object(), "{answer}");

    let hostname = std::fs::read_to_string("/etc/hostname").unwrap();
    let url = json!({"url": broker.site.url("/")});
    client.call(Some(&page), "Page.navigate", url).await;
    let files = json!(["/etc/hostname"]);
    assert_eq!(
        given(&mut client, &page, files).await.unwrap(),
        hostname,
        "a page reads a file"
    );
    let url = json!({"url": broker.site.url("/site/data.bin")});
    client.call(Some(&page), "Page.navigate", url).await;
    until("it is saved elsewhere", async || {
        elsewhere.path().join("data.bin").exists()
    })
    .await;
    let url = json!({"url": "file:///etc/hostname"});
    client.call(Some(&page), "Page.navigate", url).await;
    let shown = async || -> String {
        let mut client = Cdp::connect(&lease.cdp_url).await;
        let page = client.page().await;
        let shown = client.evaluate(&page, "document.body.innerText").await;
        shown.as_str().unwrap_or_default().to_owned()
    };
    until("the file is shown", async || {
        shown().await.trim() == hostname.trim()
    })
    .await;
    let series = "berth_cdp_denied_total{mode=\"report\",rule=\"machine\"}";
    assert!(metric(&broker, series).await >= 4.0, "it is counted");
    broker.release(&lease).await;
    drop(client);
    broker.stop().await;
}

/// What a page reads of the first of `files`, given to an input of it; the error otherwise.
async fn given(client: &mut Cdp, page: &str, files: Value) -> Result<String, Value> {
    let params = json!({"expression": "globalThis.input = Object.assign(document.createElement('input'), {type: 'file'})"});
    let made = client.call(Some(page), "Runtime.evaluate", params).await;
    let object = &made["result"]["result"]["objectId"];
    let params = json!({"files": files, "objectId": object});
    let answer = client
        .call(Some(page), "DOM.setFileInputFiles", params)
        .await;
    if !answer["error"].is_null() {
        return Err(answer);
    }
    let read = client.evaluate(page, "input.files[0].text()").await;
    Ok(read.as_str().unwrap().to_owned())
}

/// URLs that lead out of the web, as somebody may spell them who wants in.
fn forbidden_urls() -> Vec<String> {
    let mut urls: Vec<String> = [
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "FiLe:///etc/passwd",
        "file:/etc/passwd",
        "file:etc/passwd",
        "file://localhost/etc/passwd",
        "file://127.0.0.1/etc/passwd",
        "file:\\\\\\etc\\passwd",
        "file:///etc/./passwd",
        "file:////etc/passwd",
        "file:///%65tc/passwd",
        "file:///etc/passwd#x",
        "file:///etc/passwd?x",
        "file:",
        "file://",
        " file:///etc/passwd",
        "\tfile:///etc/passwd",
        "\nfile:///etc/passwd",
        "\r\n file:///etc/passwd \r\n",
        "\u{0}file:///etc/passwd",
        "\u{1f}\u{1}file:///etc/passwd",
        "fi\tle:///etc/passwd",
        "fi\nle:///etc/passwd",
        "f\ri\nl\te\n:///etc/passwd",
        "file\n:///etc/passwd",
        "file:\n///etc/passwd",
        "file:/\t/\n/etc/passwd",
        "view-source:file:///etc/passwd",
        "VIEW-SOURCE:FILE:///etc/passwd",
        "view-source:view-source:file:///etc/passwd",
        "view-source:http://a.example/",
        "view-\nsource:file:///etc/passwd",
        "view-source: file:///etc/passwd",
        "filesystem:file:///temporary/x",
        "filesystem:http://a.example/temporary/x",
        "blob:file:///7f2c",
        "blob:chrome://version/7f2c",
        "blob:",
        "blob:7f2c",
        "chrome://version",
        "chrome://settings",
        "Chrome://gpu",
        "chrome:version",
        "chrome://crash",
        "chrome-untrusted://x/",
        "chrome-error://chromewebdata/",
        "chrome-search://x/",
        "chrome-native://x/",
        "chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/x.html",
        "devtools://devtools/bundled/inspector.html",
        "chrome-devtools://devtools/x",
        "isolated-app://x/",
        "about:version",
        "about:gpu",
        "about:BLANK",
        "about:",
        "about:blank/../x",
        "ftp://a.example/x",
        "mailto:a@a.example",
        "tel:1",
        "intent://x#Intent;end",
        "content://x",
        "ws://a.example/",
        "wss://a.example/",
        "x:y",
        "c:\\windows\\win.ini",
        "c:/x",
        "/etc/passwd",
        "//etc/passwd",
        "\\\\host\\share",
        "etc/passwd",
        "../x",
        "passwd",
        "?x",
        "#x",
        ":file:///etc/passwd",
        "-file:///etc/passwd",
        "ﬁle:///etc/passwd",
        "file：///etc/passwd",
        "\u{200b}file:///etc/passwd",
        "http://",
        "http://[x",
        "https://a b/",
        "jar:file:///x!/y",
        "cid:x",
        "externalfile:x",
        "googlechrome://x",
        "search:x",
    ]
    .map(str::to_owned)
    .to_vec();
    urls.push(format!("{}file:///etc/passwd", " ".repeat(5000)));
    urls
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_forbidden_url_is_opened() {
    let broker = Broker::start().await;
    let lease = lease(&broker).await;
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    let urls = forbidden_urls();
    assert!(urls.len() >= 40);
    for url in &urls {
        let params = json!({"url": url});
        let answer = client
            .call(Some(&page), "Page.navigate", params.clone())
            .await;
        assert_eq!(
            denied(&answer).as_deref(),
            Some("scheme"),
            "{url:?}: {answer}"
        );
        let answer = client.call(None, "Target.createTarget", params).await;
        assert_eq!(
            denied(&answer).as_deref(),
            Some("scheme"),
            "{url:?}: {answer}"
        );
    }
    assert_eq!(
        client.evaluate(&page, "String(location)").await,
        "about:blank"
    );
    let targets = client.call(None, "Target.getTargets", json!({})).await;
    let targets = targets["result"]["targetInfos"].as_array().unwrap().len();
    assert_eq!(targets, 1, "nothing was opened");
    for url in [
        broker.site.url("/"),
        "data:text/html,<p>x".into(),
        "about:blank".into(),
    ] {
        let answer = client
            .call(Some(&page), "Page.navigate", json!({"url": url}))
            .await;
        assert!(
            answer["result"]["errorText"].is_null() && answer["error"].is_null(),
            "{answer}"
        );
        let answer = client
            .call(None, "Target.createTarget", json!({"url": url}))
            .await;
        assert!(answer["result"]["targetId"].is_string(), "{answer}");
    }
    broker.release(&lease).await;
    drop(client);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_a_session_is_judged() {
    let broker = Broker::start().await;
    let lease = lease(&broker).await;
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    let url = json!({"url": broker.site.url("/site/parts.html")});

    // A worker and a frame, attached by themselves.
    let auto = json!({"autoAttach": true, "waitForDebuggerOnStart": false, "flatten": true});
    client.send(Some(&page), "Target.setAutoAttach", auto).await;
    client.send(Some(&page), "Page.navigate", url).await;
    let sub = loop {
        let message = client.next().await.unwrap();
        if message["method"] == "Target.attachedToTarget" {
            break message["params"]["sessionId"].as_str().unwrap().to_owned();
        }
    };
    // The browser, once more, in a session of its own.
    let browser = client
        .call(None, "Target.attachToBrowserTarget", json!({}))
        .await;
    let browser = browser["result"]["sessionId"].as_str().unwrap().to_owned();
    let version = client
        .call(Some(&browser), "Browser.getVersion", json!({}))
        .await;
    assert!(version["result"]["product"].is_string(), "{version}");
    for session in [&sub, &browser] {
        for (method, params, rule) in [
            ("SystemInfo.getProcessInfo", json!({}), "machine"),
            (
                "Page.navigate",
                json!({"url": "file:///etc/passwd"}),
                "scheme",
            ),
            (
                "Target.createTarget",
                json!({"url": "file:///etc/passwd"}),
                "scheme",
            ),
        ] {
            let answer = client.call(Some(session), method, params).await;
            assert_eq!(denied(&answer).as_deref(), Some(rule), "{answer}");
            assert_eq!(answer["sessionId"], session.as_str());
        }
    }
    assert_eq!(client.evaluate(&sub, "1 + 1").await, 2, "it lives");

    // The old way: commands in commands.
    let targets = client.call(None, "Target.getTargets", json!({})).await;
    let infos = targets["result"]["targetInfos"].as_array().unwrap();
    let one = infos.iter().find(|one| one["type"] == "page").unwrap();
    let id = one["targetId"].as_str().unwrap().to_owned();
    let attached = client
        .call(None, "Target.attachToTarget", json!({"targetId": id}))
        .await;
    let session = attached["result"]["sessionId"].clone();
    let wrap = |method: &str, params: Value| {
        let message = json!({"id": 5, "method": method, "params": params}).to_string();
        json!({"sessionId": session, "message": message})
    };
    let harmless = wrap("Runtime.evaluate", json!({"expression": "'wrapped'"}));
    client
        .send(None, "Target.sendMessageToTarget", harmless)
        .await;
    loop {
        let message = client.next().await.unwrap();
        if message["method"] == "Target.receivedMessageFromTarget" {
            assert!(message.to_string().contains("wrapped"), "{message}");
            break;
        }
    }
    let hidden = wrap("Page.navigate", json!({"url": "file:///etc/passwd"}));
    let answer = client
        .call(None, "Target.sendMessageToTarget", hidden)
        .await;
    assert_eq!(denied(&answer).as_deref(), Some("scheme"));

    // The page's own socket.
    let mut direct = Cdp::connect(&format!("{}/devtools/page/{id}", lease.cdp_url)).await;
    let answer = direct
        .call(None, "Page.navigate", json!({"url": "file:///etc/passwd"}))
        .await;
    assert_eq!(denied(&answer).as_deref(), Some("scheme"));
    // The browser's HTTP pages that open and close others.
    let http = reqwest::Client::new();
    for path in [
        "/json/new?url=file:///etc/passwd",
        "/json/new?file:///etc/passwd",
        "/json/close/x",
        "/json/activate/x",
    ] {
        for method in [reqwest::Method::GET, reqwest::Method::PUT] {
            let asked = http.request(method, format!("{}{path}", lease.cdp_http_url));
            let code = asked.send().await.unwrap().status().as_u16();
            assert!(matches!(code, 404 | 405), "{path}: {code}");
        }
    }
    drop(http);
    broker.release(&lease).await;
    drop(client);
    drop(direct);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_of_pages_do_not_get_where_their_clients_may_not() {
    let broker = Broker::start().await;
    let lease = lease(&broker).await;
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    for start in [
        broker.site.url("/"),
        "about:blank".into(),
        "data:text/html,<p>x".into(),
    ] {
        let url = json!({"url": start});
        client.call(Some(&page), "Page.navigate", url).await;
        until("it is there", async || {
            client.evaluate(&page, "document.readyState").await == "complete"
        })
        .await;
        let before = client.evaluate(&page, "String(location)").await;
        let tree = client
            .call(Some(&page), "Page.getFrameTree", json!({}))
            .await;
        let world = json!({
            "frameId": tree["result"]["frameTree"]["frame"]["id"],
            "grantUniveralAccess": true,
        });
        let world = client
            .call(Some(&page), "Page.createIsolatedWorld", world)
            .await;
        let world = world["result"]["executionContextId"].clone();
        for script in [
            "fetch('file:///etc/hostname').then(r => r.text(), () => 'no')",
            "new Promise(done => { const x = new XMLHttpRequest; x.onloadend = () => done(x.responseText || 'no'); x.open('GET', 'file:///etc/hostname'); x.send() })",
            "import('file:///etc/hostname').then(String, () => 'no')",
            "new Promise(done => { const i = document.createElement('img'); i.onload = () => done('yes'); i.onerror = () => done('no'); i.src = 'file:///usr/share/pixmaps/debian-logo.png' })",
            "String(window.open('file:///etc/hostname')).replace('null', 'no').replace('[object Window]', 'no')",
            "(location = 'file:///etc/hostname', 'no')",
            "(location.assign('view-source:file:///etc/hostname'), 'no')",
            "(location.replace('chrome://version'), 'no')",
            "(document.body.append(Object.assign(document.createElement('iframe'), {src: 'file:///etc/hostname'})), 'no')",
        ] {
            for context in [Value::Null, world.clone()] {
                let script = format!(
                    "(async () => {{ try {{ return await ({script}) }} catch (e) {{ return 'no' }} }})()"
                );
                let mut params = json!({
                    "expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true,
                });
                if !context.is_null() {
                    params["contextId"] = context;
                }
                let answer = client.call(Some(&page), "Runtime.evaluate", params).await;
                assert_eq!(
                    answer["result"]["result"]["value"], "no",
                    "{script}: {answer}"
                );
            }
        }
        assert_eq!(client.evaluate(&page, "String(location)").await, before);
    }
    let targets = client.call(None, "Target.getTargets", json!({})).await;
    let open: BTreeSet<_> = targets["result"]["targetInfos"]
        .as_array()
        .unwrap()
        .iter()
        .map(|target| target["url"].as_str().unwrap().to_owned())
        .collect();
    let web = |url: &String| {
        ["http:", "about:blank", "data:", ""]
            .iter()
            .any(|start| url.starts_with(start) && (!start.is_empty() || url.is_empty()))
    };
    assert!(open.iter().all(web), "{open:?}");
    broker.release(&lease).await;
    drop(client);
    broker.stop().await;
}

fn piece(text: &str, opcode: Data, last: bool) -> Message {
    Message::Frame(Frame::message(text.to_owned(), OpCode::Data(opcode), last))
}

#[tokio::test(flavor = "multi_thread")]
async fn however_a_message_is_sent_it_is_judged_whole() {
    let broker = Broker::start().await;
    let lease = lease(&broker).await;
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    let navigate = json!({
        "id": 1001, "method": "Page.navigate", "sessionId": page, "params": {"url": "file:///etc/passwd"},
    })
    .to_string();
    let harmless = json!({"id": 1002, "method": "Browser.getVersion"}).to_string();
    // In pieces of one byte, with pings between them.
    for text in [&navigate, &harmless] {
        let last = text.len() - 1;
        for (at, char) in text.chars().enumerate() {
            let opcode = if at == 0 { Data::Text } else { Data::Continue };
            let frame = piece(&char.to_string(), opcode, at == last);
            client.socket.send(frame).await.unwrap();
            if at % 10 == 0 {
                client.socket.send(Message::Ping("x".into())).await.unwrap();
            }
        }
    }
    // An end that carries nothing.
    let empty = json!({"id": 1003, "method": "Browser.getVersion"}).to_string();
    client
        .socket
        .send(piece(&empty, Data::Text, false))
        .await
        .unwrap();
    client
        .socket
        .send(piece("", Data::Continue, true))
        .await
        .unwrap();
    let mut answers = Vec::new();
    while answers.len() < 3 {
        let message = client.next().await.unwrap();
        if message["id"].is_number() {
            answers.push(message);
        }
    }
    let of = |id: u64| answers.iter().find(|answer| answer["id"] == id).unwrap();
    assert_eq!(denied(of(1001)).as_deref(), Some("scheme"));
    assert!(of(1002)["result"]["product"].is_string());
    assert!(of(1003)["result"]["product"].is_string());

    // What is no command: an answer without a number, or with the one it had, and no end.
    for (message, id) in [
        (Message::binary(harmless.clone()), Value::Null),
        (
            Message::binary(&b"\xd8\x5a\x00\x00\x00\x01\xbf"[..]),
            Value::Null,
        ),
        (Message::text("nonsense"), Value::Null),
        (Message::text("[]"), Value::Null),
        (Message::text(""), Value::Null),
        (Message::text(format!("{harmless}{harmless}")), 1002.into()),
        (
            Message::text(r#"{"id":9,"method":"Browser.getVersion","method":"Page.navigate"}"#),
            9.into(),
        ),
        (
            Message::text(
                r#"{"id":9,"method":"Page.navigate","params":{"url":"about:blank","url":"file:///x"}}"#,
            ),
            9.into(),
        ),
        (
            Message::text(r#"{"id":99999999999,"method":"Browser.getVersion"}"#),
            Value::Null,
        ),
        (
            Message::text(format!(
                r#"{{"id":9,"method":"Page.navigate","params":{}{}}}"#,
                "[".repeat(9000),
                "]".repeat(9000)
            )),
            9.into(),
        ),
    ] {
        let shown = format!("{message:.60?}");
        client.socket.send(message).await.unwrap();
        let answer = client.next().await.unwrap();
        assert_eq!(denied(&answer).as_deref(), Some("malformed"), "{shown}");
        assert_eq!(answer["id"], id, "{shown}");
    }
    assert_eq!(
        client.evaluate(&page, "6 * 7").await,
        42,
        "the session lives"
    );

    // Longer than the browser takes: told by the head alone.
    let address = broker.server.addresses().gateway;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let path = lease.cdp_url.split_once("/lease/").unwrap().1;
    let head = format!(
        "GET /lease/{path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap().to_lowercase();
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    assert!(
        !answer.contains("extensions"),
        "nothing is compressed: {answer}"
    );
    let mut long = vec![0x81, 0xff];
    long.extend((policy::MAX_MESSAGE as u64 + 1).to_be_bytes());
    long.extend([0; 4]);
    stream.write_all(&long).await.unwrap();
    let mut end = Vec::new();
    timeout(BOUND, stream.read_to_end(&mut end))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((end[0], &end[2..4]), (0x88, &1009_u16.to_be_bytes()[..]));
    drop(stream);

    // A long one that is not too long, in one frame.
    let long = "y".repeat(20 << 20);
    assert_eq!(
        client.evaluate(&page, &format!("'{long}'.length")).await,
        long.len()
    );
    broker.release(&lease).await;
    drop(client);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_asks_too_often_ends() {
    let broker = Broker::start().await;
    let lease = lease(&broker).await;
    let mut one = Cdp::connect(&lease.cdp_url).await;
    let mut other = Cdp::connect(&lease.cdp_url).await;
    for _ in 0..MAX_DENIED - 1 {
        one.send(None, "SystemInfo.getInfo", json!({})).await;
    }
    for _ in 0..MAX_DENIED - 1 {
        let answer = one.next().await.unwrap();
        assert_eq!(denied(&answer).as_deref(), Some("machine"));
    }
    let version = other.call(None, "Browser.getVersion", json!({})).await;
    assert!(version["result"].is_object(), "{version}");
    other.send(None, "SystemInfo.getInfo", json!({})).await;
    for client in [&mut one, &mut other] {
        assert_eq!(client.closed().await, Some((4010, "policy".to_owned())));
    }
    let ended = broker.get(&lease.id).await;
    assert_eq!(ended.end_reason(), EndReason::Policy);
    drop(one);
    drop(other);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_ends_itself_still_may() {
    let broker = Broker::start().await;
    let lease = lease(&broker).await;
    let mut client = Cdp::connect(&lease.cdp_url).await;
    client.send(None, "Browser.close", json!({})).await;
    until("the lease has ended", async || {
        broker.get(&lease.id).await.end_time.is_some()
    })
    .await;
    drop(client);
    broker.stop().await;
}

/// Words that parameters have which lead past the browser.
const TELLING: [&str; 8] = [
    "path",
    "file",
    "directory",
    "proxy",
    "host",
    "port",
    "url",
    "command",
];

/// Parameters that have such a word in them and lead nowhere, by command.
const HARMLESS: &[&str] = &[
    "Autofill.",
    "Browser.addPrivacySandboxEnrollmentOverride",
    "BluetoothEmulation.enable",
    "CSS.",
    "CacheStorage.",
    "DOM.pushNodeByPathToFrontend",
    "DOMDebugger.",
    "Debugger.",
    "Emulation.setDeviceMetricsOverride",
    "FedCm.openUrl",
    "Fetch.enable",
    "FileSystem.getDirectory",
    "Input.dispatchKeyEvent",
    "Input.dispatchDragEvent",
    "Network.",
    "Overlay.",
    "Page.deleteCookie",
    "Page.enable",
    "Page.setDeviceMetricsOverride",
    "Page.addScriptToEvaluateOnNewDocument",
    "Page.captureScreenshot",
    "Page.createIsolatedWorld",
    "Page.getResourceContent",
    "Page.produceCompilationCache",
    "Page.searchInResource",
    "Page.screencastFrameAck",
    "Page.startScreencast",
    "Page.setRPHRegistrationMode",
    "Page.setSPCTransactionMode",
    "Page.setBypassCSP",
    "Page.printToPDF",
    "Profiler.",
    "Runtime.",
    "ServiceWorker.",
    "Storage.",
    "WebAuthn.",
    "Tracing.",
    "Memory.",
    "HeapProfiler.",
    "DOMSnapshot.",
    "SmartCardEmulation.",
    "Log.startViolationsReport",
    "LayerTree.",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_domain_of_the_browser_at_hand_has_been_judged() {
    let broker = Broker::start().await;
    let lease = lease(&broker).await;
    let url = format!("{}/json/protocol", lease.cdp_http_url);
    let protocol: Value =
        serde_json::from_str(&reqwest::get(url).await.unwrap().text().await.unwrap()).unwrap();
    let domains = protocol["domains"].as_array().unwrap();
    assert!(domains.len() > 40);
    let mut unjudged = Vec::new();
    for domain in domains {
        let name = domain["domain"].as_str().unwrap();
        if !policy::TABLE.iter().any(|known| known.name == name) {
            unjudged.push(format!("the domain {name} is in no row"));
            continue;
        }
        for command in domain["commands"].as_array().into_iter().flatten() {
            let method = format!("{name}.{}", command["name"].as_str().unwrap());
            if policy::treatment(&method) != Treatment::Pass {
                let unknown = Treatment::Deny(berth::metrics::CdpRule::Unknown);
                if policy::treatment(&method) == unknown {
                    unjudged.push(format!("{method} is not listed"));
                }
                continue;
            }
            if HARMLESS.iter().any(|start| method.starts_with(start)) {
                continue;
            }
            for param in command["parameters"].as_array().into_iter().flatten() {
                let param = param["name"].as_str().unwrap();
                let word = param.to_lowercase();
                if TELLING.iter().any(|telling| word.contains(telling)) {
                    unjudged.push(format!("{method} passes with {param}"));
                }
            }
        }
    }
    assert!(unjudged.is_empty(), "{unjudged:#?}");
    broker.release(&lease).await;
    broker.stop().await;
}
