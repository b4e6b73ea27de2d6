//! Commands that reach past the browser.

use super::*;

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
