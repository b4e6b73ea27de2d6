//! CDP round trips through the gateway against direct ones.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    Row, median, rounds,
    site::Site,
    stand::{Cdp, Stand},
};

pub async fn measure() -> Vec<Row> {
    let stand = Stand::start(|_| {}).await;
    let site = Site::start().await;
    let leased = stand.acquire().await;
    let mut direct = Cdp::connect(&stand.direct_url(&leased)).await;
    let mut relayed = Cdp::connect(&stand.url(&leased)).await;

    let version = ("Browser.getVersion", json!({}));
    let small = compare([&mut direct, &mut relayed], [None, None], &version, 200).await;

    let page = direct.page(None).await;
    direct.read(&page, &site.url("/site/tall.html")).await;
    let also = relayed.page(None).await;
    let whole = json!({"format": "png", "captureBeyondViewport": true,
        "clip": {"x": 0, "y": 0, "width": 800, "height": 4000, "scale": 1}});
    let picture = ("Page.captureScreenshot", whole);
    let taken = direct.call(Some(&page), picture.0, picture.1.clone()).await;
    let bytes = BASE64_STANDARD
        .decode(taken["data"].as_str().unwrap())
        .unwrap()
        .len();
    let sessions = [Some(page.as_str()), Some(also.as_str())];
    let large = compare([&mut direct, &mut relayed], sessions, &picture, 1).await;

    drop((direct, relayed));
    stand.end(leased);
    stand.stop().await;
    site.stop().await;
    let megabytes = bytes as f64 / 1e6;
    vec![
        Row::at_most(
            "Browser.getVersion by the gateway / direct",
            small,
            1.10,
            "",
        ),
        Row::at_most(
            format!("a screenshot of {megabytes:.1} MB by the gateway / direct"),
            large,
            1.10,
            "",
        ),
    ]
}

async fn compare(
    clients: [&mut Cdp; 2],
    sessions: [Option<&str>; 2],
    (method, params): &(&str, Value),
    calls: u32,
) -> f64 {
    let mut took = [Vec::new(), Vec::new()];
    let [direct, relayed] = clients;
    for _ in 0..rounds() {
        let sides = [&mut *direct, &mut *relayed];
        for ((client, session), took) in sides.into_iter().zip(sessions).zip(&mut took) {
            for _ in 0..calls {
                let begun = Instant::now();
                client.call(session, method, params.clone()).await;
                took.push(begun.elapsed().as_secs_f64());
            }
        }
    }
    let [direct, relayed] = took;
    median(relayed) / median(direct)
}
