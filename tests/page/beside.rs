//! Beside a CDP client on the same lease: both see the same pages, and neither holds the other up.

use serde_json::json;

use crate::{
    client::{Agent, by_text},
    support::{Broker, Cdp},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_cdp_client_and_page_service_share_the_pages() {
    let broker = Broker::start().await;
    let mut agent = Agent::of(&broker).await;
    agent.go("/").await;
    let mut cdp = Cdp::connect(&agent.lease.cdp_url).await;
    let session = cdp.page().await;
    agent.click(by_text("Count")).await;
    let count = "document.getElementById('count').textContent";
    assert_eq!(cdp.evaluate(&session, count).await, "1");
    cdp.evaluate(&session, "document.title = 'Both'").await;
    assert_eq!(agent.evaluate("document.title").await.unwrap(), "\"Both\"");
    // A page that the client opens is there for both, and goes for both.
    let opened = cdp
        .call(
            None,
            "Target.createTarget",
            json!({ "url": agent.shop.url("/terms") }),
        )
        .await;
    let id = opened["result"]["targetId"].as_str().unwrap().to_owned();
    agent.page.as_mut().unwrap().page_id.clone_from(&id);
    agent.see("You agree to everything").await;
    cdp.call(None, "Target.closeTarget", json!({ "targetId": id }))
        .await;
    crate::support::until("it is gone", async || {
        let request = Default::default();
        agent.snapshot_as(request).await.is_err()
    })
    .await;
    drop(cdp);
    agent.page.as_mut().unwrap().page_id.clear();
    assert_eq!(
        agent.evaluate("document.title").await.unwrap(),
        "\"Both\"",
        "after it left"
    );
    agent.leave(&broker).await;
    broker.stop().await;
}
