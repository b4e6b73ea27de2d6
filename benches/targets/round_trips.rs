//! CDP round trips through the gateway against direct ones.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    time::Instant,
};

use crate::{
    Row, median, rounds,
    site::Site,
    stand::{Cdp, Stand},
};

/// The least that can be between a client and a browser: `direct` by way of a task that copies
/// bytes and knows nothing of them.
#[allow(clippy::disallowed_methods, reason = "the bench's own tasks")]
async fn piped(direct: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = listener.local_addr().unwrap().to_string();
    let far = direct.split('/').nth(2).unwrap().to_owned();
    let url = direct.replace(&far, &near);
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut browser = TcpStream::connect(far).await.unwrap();
        client.set_nodelay(true).unwrap();
        browser.set_nodelay(true).unwrap();
        // It ends as the client leaves, however that looks from here.
        let _ = copy_bidirectional(&mut client, &mut browser).await;
    });
    url
}

pub async fn measure() -> Vec<Row> {
    let stand = Stand::start(|_| {}).await;
    let site = Site::start().await;
    let leased = stand.acquire().await;
    let mut direct = Cdp::connect(&stand.direct_url(&leased)).await;
    let mut pipe = Cdp::connect(&piped(&stand.direct_url(&leased)).await).await;
    let mut relayed = Cdp::connect(&stand.url(&leased)).await;

    let version = ("Browser.getVersion", json!({}));
    let clients = [&mut direct, &mut pipe, &mut relayed];
    let [bare, least, small] = compare(clients, [None; 3], &version, 200).await;
    drop(pipe);

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
    let [whole, large] = compare([&mut direct, &mut relayed], sessions, &picture, 1).await;

    drop((direct, relayed));
    stand.end(leased);
    stand.stop().await;
    site.stop().await;
    let megabytes = bytes as f64 / 1e6;
    println!(
        "Browser.getVersion: direct {:.0} us, by a bare pipe {:.0}, by the gateway {:.0}",
        bare * 1e6,
        least * 1e6,
        small * 1e6
    );
    vec![
        Row::at_most(
            "Browser.getVersion by the gateway / direct",
            small / bare,
            1.10,
            "",
        ),
        Row::at_most(
            "Browser.getVersion by the gateway / by a bare pipe",
            small / least,
            1.10,
            "",
        ),
        Row::at_most(
            format!("a screenshot of {megabytes:.1} MB by the gateway / direct"),
            large / whole,
            1.10,
            "",
        ),
    ]
}

/// The median time of each client, in seconds.
async fn compare<const N: usize>(
    mut clients: [&mut Cdp; N],
    sessions: [Option<&str>; N],
    (method, params): &(&str, Value),
    calls: u32,
) -> [f64; N] {
    let mut took = [const { Vec::new() }; N];
    for _ in 0..rounds() {
        for ((client, session), took) in clients.iter_mut().zip(sessions).zip(&mut took) {
            for _ in 0..calls {
                let begun = Instant::now();
                client.call(session, method, params.clone()).await;
                took.push(begun.elapsed().as_secs_f64());
            }
        }
    }
    took.map(median)
}
