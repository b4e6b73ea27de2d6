//! What it costs to count, to log and to be scraped, as part of the rate of fetches.

use std::time::Duration;

use berth::{
    metrics::Metrics,
    proto::{FetchFormat, fetch_service_client::FetchServiceClient},
    telemetry::{self, Format},
};
use tokio::time::Instant;

use crate::{
    Row, median,
    origin::{AT_ONCE, EACH, Origin, crowd, fetch},
    rounds,
    stand::Stand,
};

pub async fn measure() -> Vec<Row> {
    let logging = telemetry::init("off", Format::Json, None).unwrap();
    let level = logging.controls().level.unwrap();
    let stand = Stand::start(|config| config.cache_bytes = 0).await;
    let origin = Origin::start().await;
    let url = origin.url;
    let endpoint = format!("http://{}", stand.server.addresses().grpc);
    let client = FetchServiceClient::connect(endpoint).await.unwrap();
    let scraped = format!("http://{}/metrics", stand.server.addresses().ops);
    let scraper = reqwest::Client::new();
    let mut took = [const { Vec::new() }; 2];
    for turn in 0..rounds() * 2 + 2 {
        let watched = turn % 2 == 1;
        let filter = if watched { "info" } else { "off" };
        level.set(filter, None, "bench").unwrap();
        let begun = Instant::now();
        let client = client.clone();
        let load = crowd(move || fetch(client.clone(), url, FetchFormat::Html));
        if watched {
            // More often than anybody scrapes: a turn takes less than a second.
            let scrape = async { scraper.get(&scraped).send().await.unwrap().bytes().await };
            let (scrape, ()) = tokio::join!(scrape, load);
            assert!(!scrape.unwrap().is_empty());
        } else {
            load.await;
        }
        if turn > 1 {
            took[turn % 2].push(begun.elapsed().as_secs_f64());
        }
    }
    let [alone, watched] = took.map(median);
    let fetch = alone / (AT_ONCE * EACH) as f64;
    let counted = counted();
    println!(
        "a fetch takes {:.0} us, its metrics {:.2}",
        fetch * 1e6,
        counted * 1e6
    );
    drop((client, scraper));
    origin.stop().await;
    stand.stop().await;
    vec![
        Row::at_most(
            "Fetch HTTP, 64 at once: time with logs and a scrape / without",
            watched / alone,
            1.05,
            "",
        ),
        Row::at_most(
            "the metrics of a fetch / the fetch",
            counted / fetch,
            0.05,
            "",
        ),
    ]
}

/// How long it takes to count what a fetch over HTTP counts, in seconds.
fn counted() -> f64 {
    const TIMES: u32 = 100_000;
    let metrics = Metrics::new().unwrap();
    let took = Duration::from_millis(3);
    let begun = Instant::now();
    for _ in 0..TIMES {
        metrics.http_requested();
        metrics.fetched("http", "ok", took);
        metrics.rpc("/berth.v1.FetchService/Fetch", "OK", took);
    }
    begun.elapsed().as_secs_f64() / f64::from(TIMES)
}
