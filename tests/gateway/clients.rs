//! Clients that come, go, vanish and do not read.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn clients_come_and_go_on_one_lease() {
    let rig = Rig::start().await;
    let lease = rig.lease().await;
    // The way Playwright takes.
    let version = rig.page(&format!("{}/json/version/", lease.path)).await;
    let url = version["webSocketDebuggerUrl"].as_str().unwrap();
    assert_eq!(url, format!("ws://{}{}", rig.gateway, lease.path));
    let mut first = Client::connect(url).await.unwrap();
    let product = first.call("Browser.getVersion", json!({})).await;
    assert_eq!(product["product"], version["Browser"]);

    let mut second = rig.connect(&lease.path).await;
    rig.attached(&lease, 2).await;
    let (one, two) = tokio::join!(
        first.call("Target.getTargets", json!({})),
        second.call("Target.getTargets", json!({})),
    );
    assert_eq!(one, two);

    let close = CloseFrame {
        code: 1000.into(),
        reason: "done".into(),
    };
    first.socket.close(Some(close)).await.unwrap();
    assert_eq!(first.closed().await, (1000, "done".to_owned()));
    drop(second);
    rig.attached(&lease, 0).await;
    let mut again = rig.connect(&format!("{}/", lease.path)).await;
    again.call("Browser.getVersion", json!({})).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_their_own_sockets_and_replies_may_be_long() {
    let rig = Rig::start().await;
    let lease = rig.lease().await;
    let list = rig.page(&format!("{}/json/list", lease.path)).await;
    assert_eq!(list, rig.page(&format!("{}/json/", lease.path)).await);
    assert!(!list.to_string().contains("devtoolsFrontendUrl"), "{list}");
    let url = list[0]["webSocketDebuggerUrl"].as_str().unwrap();
    let base = format!("ws://{}{}/devtools/page/", rig.gateway, lease.path);
    assert!(url.starts_with(&base), "{url}");
    let mut page = Client::connect(url).await.unwrap();

    const LENGTH: usize = 6 << 20;
    let script = format!("'x'.repeat({LENGTH})");
    let params = json!({ "expression": script, "returnByValue": true });
    let reply = page.call("Runtime.evaluate", params).await;
    assert_eq!(reply["result"]["value"].as_str().unwrap().len(), LENGTH);
    let script = format!("'{}'.length", "y".repeat(LENGTH));
    let reply = page.call("Runtime.evaluate", json!({ "expression": script }));
    assert_eq!(reply.await["result"]["value"], LENGTH);

    let protocol = rig.page(&format!("{}/json/protocol", lease.path)).await;
    assert!(protocol["domains"].is_array());
    let none = format!("ws://{}{}/devtools/page/none", rig.gateway, lease.path);
    let refused = Client::connect(&none).await.err().unwrap();
    let WsError::Http(answer) = *refused else {
        panic!("{refused}");
    };
    assert_eq!(answer.status(), 404);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_cut_all_the_same() {
    let rig = Rig::start().await;
    let lease = rig.lease().await;
    let list = rig.page(&format!("{}/json/list", lease.path)).await;
    let id = list[0]["id"].as_str().unwrap();
    let path = format!("{}/devtools/page/{id}", lease.path);
    let mut page = rig.connect(&path).await;
    let params = json!({ "expression": "'x'.repeat(50 << 20)", "returnByValue": true });
    page.send("Runtime.evaluate", params).await;
    sleep(Duration::from_secs(1)).await;
    rig.attached(&lease, 1).await;
    let begun = Instant::now();
    rig.end(&lease, EndReason::Released);
    // Cut in the middle of a frame: no close frame can follow.
    let mut read = 0;
    let socket = page.socket.get_mut();
    let mut buffer = vec![0; 1 << 16];
    sleep(Duration::from_millis(1300)).await;
    while let Ok(count @ 1..) = socket.read(&mut buffer).await {
        read += count;
    }
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert!(read < 50 << 20, "{read}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_is_gone_at_once() {
    let rig = Rig::start().await;
    let lease = rig.lease().await;
    for reset in [false, true] {
        let stream = rig.raw(&lease.path).await;
        rig.attached(&lease, 1).await;
        if reset {
            stream.set_zero_linger().unwrap();
        }
        drop(stream);
        rig.attached(&lease, 0).await;
    }
    rig.stop().await;
}
