//! Every way to a session, and how a lease that asks too often ends.

use super::*;

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
