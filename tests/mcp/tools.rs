//! What each tool says, and what it says when it cannot.

use std::time::Duration;

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::{
    raw::{Host, no_lease, said, shim},
    support::{Broker, shop::Shop, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_revision_that_hosts_speak_is_spoken() {
    let broker = Broker::start().await;
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut host = Host::start(shim(&broker, &[]));
        let hello = host.initialize(revision).await;
        assert_eq!(hello["protocolVersion"], revision);
        assert_eq!(hello["serverInfo"]["name"], "berth");
        let listed = host.ask("tools/list", json!({})).await;
        let tools = listed["result"]["tools"].as_array().unwrap().clone();
        assert_eq!(tools.len(), 14, "few tools");
        for tool in &tools {
            assert!(tool["annotations"]["readOnlyHint"].is_boolean(), "{tool}");
            assert_eq!(tool["outputSchema"]["type"], "object");
        }
        host.leave().await;
    }
    // The newest knows no handshake: every request says what it speaks.
    let mut host = Host::start(shim(&broker, &["--tools", "all"]));
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let found = host.ask("server/discover", json!({ "_meta": meta })).await;
    let spoken = found["result"]["supportedVersions"].to_string();
    assert!(spoken.contains("2026-07-28"), "{found}");
    let listed = host.ask("tools/list", json!({ "_meta": meta })).await;
    assert!(
        listed["result"]["tools"].as_array().unwrap().len() > 20,
        "{listed}"
    );
    host.leave().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fetch_reads_in_parts_and_many_at_once() {
    let broker = Broker::start().await;
    let shop = Shop::open().await;
    let mut host = Host::greet(&broker, &[]).await;
    let url = shop.url("/terms");
    let whole = host.text("fetch", json!({ "url": url })).await;
    assert!(
        whole.contains("You agree to everything") && !whole.contains("truncated"),
        "{whole}"
    );
    let mut read = String::new();
    let mut start = 0;
    loop {
        let part = host
            .tool(
                "fetch",
                json!({ "url": url, "max_length": 100, "start_index": start }),
            )
            .await;
        let text = said(&part);
        let body = text.split_once(":\n").unwrap().1;
        read += body.split("\n<error>Content truncated").next().unwrap();
        let next = &part["structuredContent"]["results"][0]["next_start_index"];
        match next.as_u64() {
            Some(next) => {
                assert!(text.contains(&format!("start_index of {next}")), "{text}");
                start = next;
            }
            None => break,
        }
    }
    assert_eq!(read, whole.split_once(":\n").unwrap().1, "all of it, once");
    let beyond = host
        .text("fetch", json!({ "url": url, "start_index": 9999 }))
        .await;
    assert!(beyond.contains("No more content"), "{beyond}");
    let raw = host.text("fetch", json!({ "url": url, "raw": true })).await;
    assert!(raw.contains("<article>"), "{raw}");
    let urls = json!({ "urls": [url, shop.url("/list"), "http://10.0.0.1/"] });
    let many = host.tool("fetch", urls).await;
    let results = many["structuredContent"]["results"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(results.len(), 3);
    // A page of which scripts make all comes by a browser.
    assert_eq!(results[1]["via"], "browser", "{many}");
    assert!(
        results[2]["error"]
            .as_str()
            .unwrap()
            .contains("EGRESS_DENIED"),
        "{many}"
    );
    for (arguments, wanted) in [
        (json!({}), "give either url, or urls"),
        (json!({ "url": "http://nobody.invalid/" }), "ORIGIN_DNS"),
        (json!({ "url": "nonsense" }), "BAD_REQUEST"),
        (
            json!({ "url": shop.url("/"), "max_length": 0 }),
            "max_length",
        ),
        (json!({ "url": 7 }), "arguments are wrong"),
    ] {
        let failed = host.failure("fetch", arguments).await;
        assert!(
            failed.contains(wanted) && failed.contains("Next: "),
            "{failed}"
        );
    }
    assert!(
        broker.status().await.leases.is_empty(),
        "no browser was needed"
    );
    host.leave().await;
    shop.close().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_tell_what_to_do_next() {
    let broker = Broker::start().await;
    let shop = Shop::open().await;
    let mut host = Host::greet(&broker, &["--tools", "all"]).await;
    host.text("browser_navigate", json!({ "url": shop.url("/") }))
        .await;
    for (tool, arguments, wanted) in [
        (
            "browser_click",
            json!({ "ref": "e999" }),
            "browser_snapshot",
        ),
        ("browser_click", json!({ "ref": "Sign in" }), "text=<text>"),
        (
            "browser_click",
            json!({ "ref": "css=button" }),
            "Use one of the refs above",
        ),
        (
            "browser_navigate",
            json!({ "url": "http://169.254.169.254/" }),
            "closed to you by the operator",
        ),
        (
            "browser_tabs",
            json!({ "action": "select", "index": 7 }),
            "there is no tab 7: there are 1",
        ),
        (
            "browser_evaluate",
            json!({ "function": "() => nothing.here" }),
            "ReferenceError",
        ),
        ("browser_wait_for", json!({}), "Give text, textGone or time"),
        ("browser_press_key", json!({ "key": "Return" }), "no key"),
        (
            "browser_file_upload",
            json!({ "ref": "e1", "files": [{ "name": "x" }] }),
            "text and base64",
        ),
        ("browser_fill_form", json!({ "fields": [] }), "0 fields"),
    ] {
        let failed = host.failure(tool, arguments).await;
        assert!(failed.contains(wanted), "{tool}: {failed}");
    }
    let unknown = host
        .ask("tools/call", json!({ "name": "browser_fly" }))
        .await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    let missing = host
        .ask("resources/read", json!({ "uri": "berth://nothing" }))
        .await;
    assert!(missing.get("error").is_some(), "{missing}");
    // The browser dies: that is said, and the next call has another.
    let lease = broker.status().await.leases[0].clone();
    let pid = broker.pid(&broker.get(&lease.id).await).await;
    killpg(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    no_lease(&broker).await;
    let mut again = String::new();
    until("another browser comes", async || {
        let result = host
            .tool("browser_navigate", json!({ "url": shop.url("/terms") }))
            .await;
        again = said(&result);
        result["isError"] != true
    })
    .await;
    assert!(again.contains("the browser before ended"), "{again}");
    host.leave().await;
    no_lease(&broker).await;
    shop.close().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c25_a_cancelled_call_is_cancelled_at_the_broker_and_a_long_one_tells() {
    let broker = Broker::start().await;
    let shop = Shop::open().await;
    let mut host = Host::greet(&broker, &[]).await;
    host.text("browser_navigate", json!({ "url": shop.url("/") }))
        .await;
    let wait = json!({
        "name": "browser_wait_for",
        "arguments": { "text": "never" },
        "_meta": { "progressToken": "p1" },
    });
    let id = host.send("tools/call", wait).await;
    let told = loop {
        let message = host.read().await;
        if message["method"] == "notifications/progress" {
            break message;
        }
    };
    assert_eq!(told["params"]["progressToken"], "p1");
    host.notify(
        "notifications/cancelled",
        json!({ "requestId": id, "reason": "enough" }),
    )
    .await;
    until("the broker knows", async || {
        let (_, metrics) = broker.ops("/metrics").await;
        metrics.lines().any(|line| {
            line.starts_with("rpc_server_duration_seconds_count")
                && line.contains("PageService/WaitFor")
                && line.contains("CANCELLED")
        })
    })
    .await;
    host.text("browser_snapshot", json!({})).await;
    host.leave().await;
    shop.close().await;
    no_lease(&broker).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c25_what_is_large_is_cut_marked_or_linked() {
    let broker = Broker::start().await;
    let shop = Shop::open().await;
    let mut host = Host::greet(&broker, &["--tools", "all"]).await;
    host.text("browser_navigate", json!({ "url": shop.url("/") }))
        .await;
    let shown = host
        .tool("browser_take_screenshot", json!({ "type": "jpeg" }))
        .await;
    assert_eq!(shown["content"][1]["type"], "image");
    assert_eq!(shown["content"][1]["mimeType"], "image/jpeg");
    let linked = host
        .tool(
            "browser_take_screenshot",
            json!({ "fullPage": true, "max_bytes": 10 }),
        )
        .await;
    let printed = host.tool("browser_pdf_save", json!({})).await;
    for (result, kind, start) in [
        (linked, "image/png", "iVBOR"),
        (printed, "application/pdf", "JVBER"),
    ] {
        let link = &result["content"][1];
        assert_eq!(
            (link["type"].as_str(), link["mimeType"].as_str()),
            (Some("resource_link"), Some(kind))
        );
        let read = host
            .ask("resources/read", json!({ "uri": link["uri"] }))
            .await;
        let contents = &read["result"]["contents"][0];
        assert!(
            contents["blob"].as_str().unwrap().starts_with(start),
            "{kind}"
        );
    }
    let listed = host.ask("resources/list", json!({})).await;
    let uris = listed["result"]["resources"].to_string();
    assert!(
        uris.contains("berth://lease") && uris.contains("berth://screenshot/last"),
        "{uris}"
    );
    let lease = host
        .ask("resources/read", json!({ "uri": "berth://lease" }))
        .await;
    let told: Value =
        serde_json::from_str(lease["result"]["contents"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(told["state"], "active");
    assert!(!lease.to_string().contains("ws://"), "no secrets");
    // Budgets: what is cut says so and goes on.
    let cut = host
        .tool("browser_snapshot", json!({ "max_length": 300 }))
        .await;
    let cursor = cut["structuredContent"]["next_cursor"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(said(&cut).contains("cut: "), "{cut}");
    let rest = host
        .text("browser_snapshot", json!({ "cursor": cursor }))
        .await;
    assert!(rest.contains("contentinfo"), "{rest}");
    let long = host
        .text(
            "browser_evaluate",
            json!({ "function": "() => 'x'.repeat(9000)" }),
        )
        .await;
    assert!(
        long.contains("Truncated: characters 0 to 5000 of 9002"),
        "{}",
        &long[long.len() - 200..]
    );
    let url = format!("data:text/html,<h1>Hello</h1><!--{}-->", "y".repeat(50_000));
    let far = host.text("browser_navigate", json!({ "url": url })).await;
    assert!(
        far.len() < 1000 && far.contains("[cut: 50"),
        "{} bytes",
        far.len()
    );
    host.text("browser_close", json!({})).await;
    no_lease(&broker).await;
    host.leave().await;
    shop.close().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_browser_is_given_back() {
    let broker = Broker::start().await;
    let mut host = Host::greet(&broker, &["--idle-timeout", "1s"]).await;
    host.text("browser_navigate", json!({ "url": broker.site.url("/") }))
        .await;
    let took = no_lease(&broker).await;
    assert!(took > Duration::from_millis(500), "{took:?}");
    let again = host
        .text("browser_navigate", json!({ "url": broker.site.url("/") }))
        .await;
    assert!(again.contains("the browser before ended (IDLE)"), "{again}");
    host.leave().await;
    no_lease(&broker).await;
    broker.stop().await;
}
