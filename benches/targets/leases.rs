//! Acquire, warm and cold, and the first content of a fresh lease.

use berth::proto::{AcquireRequest, ReleaseRequest, lease_service_client::LeaseServiceClient};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    Row, median, millis, rounds,
    site::Site,
    stand::{Cdp, Stand},
};

pub async fn measure() -> Vec<Row> {
    let mut rows = warm().await;
    rows.push(cold().await);
    rows.push(first_content().await);
    rows
}

async fn warm() -> Vec<Row> {
    let stand = Stand::start(|_| {}).await;
    let endpoint = format!("http://{}", stand.server.addresses().grpc);
    let mut client = LeaseServiceClient::connect(endpoint).await.unwrap();
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for _ in 0..rounds() * 3 {
        stand.calm(1).await;
        let begun = Instant::now();
        let leased = stand.acquire().await;
        inside.push(millis(begun.elapsed()));
        stand.end(leased);

        stand.calm(1).await;
        let begun = Instant::now();
        let acquired = client.acquire(AcquireRequest::default()).await.unwrap();
        outside.push(millis(begun.elapsed()));
        let lease_id = acquired.into_inner().lease.unwrap().id;
        client.release(ReleaseRequest { lease_id }).await.unwrap();
    }
    stand.stop().await;
    vec![
        Row::at_most(
            "warm Acquire in the broker, p50",
            median(inside),
            5.0,
            " ms",
        ),
        Row::at_most("warm Acquire over gRPC, p50", median(outside), 7.0, " ms"),
    ]
}

/// What an Acquire costs beyond the launch it has to wait for.
async fn cold() -> Row {
    let stand = Stand::start(|config| config.min_warm = 0).await;
    let launches = async || {
        let url = format!("http://{}/metrics", stand.server.addresses().ops);
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let name = "berth_browser_launch_duration_seconds_sum ";
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0.0, |value| value.parse::<f64>().unwrap()) * 1000.0
    };
    let mut beyond = Vec::new();
    for _ in 0..rounds() {
        stand.calm(0).await;
        let before = launches().await;
        let begun = Instant::now();
        let leased = stand.acquire().await;
        let took = millis(begun.elapsed());
        beyond.push(took - (launches().await - before));
        stand.end(leased);
    }
    stand.stop().await;
    Row::at_most(
        "Acquire on an empty pool beyond its launch",
        median(beyond),
        20.0,
        " ms",
    )
}

/// Acquire, attach, go and read, against the same on a browser that is open with a context ahead.
async fn first_content() -> Row {
    let stand = Stand::start(|_| {}).await;
    let site = Site::start().await;
    let url = site.url("/");
    let kept = stand.acquire().await;
    let mut open = Cdp::connect(&stand.direct_url(&kept)).await;
    let mut parts = [const { Vec::new() }; 4];
    for _ in 0..rounds() * 2 {
        stand.calm_beside(1).await;
        let context = open
            .call(None, "Target.createBrowserContext", json!({}))
            .await;
        let context = context["browserContextId"].clone();
        let page = open.page(Some(&context)).await;
        let begun = Instant::now();
        open.read(&page, &url).await;
        parts[0].push(millis(begun.elapsed()));
        open.call(
            None,
            "Target.disposeBrowserContext",
            json!({"browserContextId": context}),
        )
        .await;

        let begun = Instant::now();
        let leased = stand.acquire().await;
        parts[1].push(millis(begun.elapsed()));
        let mut fresh = Cdp::connect(&stand.url(&leased)).await;
        let page = fresh.page(None).await;
        parts[2].push(millis(begun.elapsed()));
        fresh.read(&page, &url).await;
        parts[3].push(millis(begun.elapsed()));
        drop(fresh);
        stand.end(leased);
    }
    drop(open);
    stand.end(kept);
    stand.stop().await;
    site.stop().await;
    let [ahead, acquired, attached, read] = parts.map(median);
    println!(
        "open browser: read after {ahead:.1} ms; fresh lease: acquired after {acquired:.1}, \
         attached after {attached:.1}, read after {read:.1} ms"
    );
    let what = "first content of a fresh lease / of an open browser";
    Row::at_most(what, read / ahead, 1.15, "")
}
