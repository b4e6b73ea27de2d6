//! What the egress proxy costs a browser: two brokers that take turns, one of which has its browsers go
//! to the network themselves.

use std::time::Duration;

use berth::proto::{
    FetchFormat, FetchRequest, FetchStrategy, fetch_service_client::FetchServiceClient,
};
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::{Row, median, rounds, site::Site, stand::Stand};

const AT_ONCE: usize = 4;
const EACH: usize = 8;

pub async fn measure() -> Vec<Row> {
    let site = Site::start().await;
    let url = site.url("/");
    let proxied = Stand::start(|_| {}).await;
    // What comes last on a command line holds. Chromium without a head knows no `--no-proxy-server`.
    let direct = Stand::start(|config| {
        config.browser_args = vec![
            "--proxy-server=direct://".into(),
            "--host-resolver-rules=".into(),
        ];
    })
    .await;
    let [one, other] = [&direct, &proxied].map(|stand| {
        let endpoint = format!("http://{}", stand.server.addresses().grpc);
        FetchServiceClient::connect(endpoint)
    });
    let clients = [one.await.unwrap(), other.await.unwrap()];
    for client in &clients {
        round(client, &url).await;
    }
    let mut ratios = Vec::new();
    for turn in 0..rounds() {
        // By turns, and each as often the first.
        let mut took = [Duration::ZERO; 2];
        for side in [turn % 2, 1 - turn % 2] {
            took[side] = round(&clients[side], &url).await;
        }
        let [direct, proxied] = took;
        ratios.push(direct.as_secs_f64() / proxied.as_secs_f64());
    }
    drop(clients);
    proxied.stop().await;
    direct.stop().await;
    site.stop().await;
    vec![Row::at_least(
        "Fetch BROWSER through the egress proxy, 4 at once: rate / without",
        median(ratios),
        0.95,
        "",
    )]
}

async fn round(client: &FetchServiceClient<Channel>, url: &str) -> Duration {
    let begun = Instant::now();
    let worker = async |_| {
        for _ in 0..EACH {
            let request = FetchRequest {
                url: url.to_owned(),
                strategy: FetchStrategy::Browser.into(),
                formats: vec![FetchFormat::Html.into()],
                ..FetchRequest::default()
            };
            client.clone().fetch(request).await.unwrap();
        }
    };
    futures::future::join_all((0..AT_ONCE).map(worker)).await;
    begun.elapsed()
}
