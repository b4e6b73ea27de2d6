//! Fetches over HTTP against a loop of the HTTP client that others would use.

use std::time::Duration;

use axum::{Router, response::Html, routing::get};
use berth::{
    http_server,
    proto::{FetchFormat, FetchRequest, FetchStrategy, fetch_service_client::FetchServiceClient},
};
use tokio::{net::TcpListener, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::{Row, median, millis, rounds, stand::Stand};

const AT_ONCE: usize = 64;
const EACH: usize = 40;
const ALONE: usize = 200;

/// A page of 20 KB.
fn page() -> String {
    let words = "<p>Plain words that a reader sees without any script at all.</p>\n";
    let mut page = String::from("<!doctype html><meta charset=utf-8><title>Page</title>");
    while page.len() < 20_000 {
        page.push_str(words);
    }
    page
}

#[allow(clippy::disallowed_methods, reason = "the bench's own tasks")]
pub async fn measure() -> Vec<Row> {
    // What is measured is the way to the origin, not around it.
    let stand = Stand::start(|config| {
        config.cache_bytes = 0;
        // As many as the bare client keeps: its bound is that of what is asked at once.
        config.http_max_idle_per_host = AT_ONCE;
    })
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let body: &'static str = page().leak();
    let router = Router::new().route("/", get(async move || Html(body)));
    let stopped = stop.clone().cancelled_owned();
    let origin = tokio::spawn(http_server::serve("page", 4096, listener, router, stopped));
    let endpoint = format!("http://{}", stand.server.addresses().grpc);
    let client = FetchServiceClient::connect(endpoint).await.unwrap();
    let bare = reqwest::Client::new();
    let formats = [FetchFormat::Raw, FetchFormat::Html];
    let mut spent = [Duration::ZERO; 3];
    for turn in 0..rounds() * 3 {
        let begun = Instant::now();
        let workers = (0..AT_ONCE).map(|_| {
            let (client, bare, url) = (client.clone(), bare.clone(), url.clone());
            tokio::spawn(async move {
                for _ in 0..EACH {
                    match turn % 3 {
                        0 => get_bare(&bare, &url).await,
                        way => fetch(client.clone(), &url, formats[way - 1]).await,
                    }
                }
            })
        });
        for worker in workers.collect::<Vec<_>>() {
            worker.await.unwrap();
        }
        // The first of each makes the connections.
        if turn >= 3 {
            spent[turn % 3] += begun.elapsed();
        }
    }
    let mut alone = [const { Vec::new() }; 3];
    for turn in 0..ALONE * 3 {
        let begun = Instant::now();
        match turn % 3 {
            0 => get_bare(&bare, &url).await,
            way => fetch(client.clone(), &url, formats[way - 1]).await,
        }
        alone[turn % 3].push(millis(begun.elapsed()));
    }
    let load = stand.server.broker().status().fetches;
    drop((client, bare));
    stop.cancel();
    origin.await.unwrap();
    stand.stop().await;
    let requests = ((rounds() - 1) * AT_ONCE * EACH) as f64;
    let rates = spent.map(|spent| requests / spent.as_secs_f64());
    let [one, raw, html] = alone.map(median);
    println!(
        "bare {:.0}/s, RAW {:.0}/s, HTML {:.0}/s; alone: bare {one:.2} ms, RAW {raw:.2}, HTML {html:.2}",
        rates[0], rates[1], rates[2]
    );
    let reused = load.connections.reused as f64 / load.requests as f64;
    vec![
        Row::at_least(
            "Fetch HTTP of RAW, 64 at once: rate / bare client",
            rates[1] / rates[0],
            0.70,
            "",
        ),
        Row::at_least(
            "Fetch HTTP of HTML, 64 at once: rate / bare client",
            rates[2] / rates[0],
            0.70,
            "",
        ),
        Row::at_most(
            "Fetch HTTP of HTML, alone: p50 beyond the bare client",
            html - one,
            1.0,
            " ms",
        ),
        Row::at_least(
            "HTTP requests over a connection that was there",
            reused,
            0.70,
            "",
        ),
    ]
}

async fn get_bare(client: &reqwest::Client, url: &str) {
    let answer = client.get(url).send().await.unwrap();
    assert!(answer.bytes().await.unwrap().len() >= 20_000);
}

async fn fetch(mut client: FetchServiceClient<Channel>, url: &str, format: FetchFormat) {
    let request = FetchRequest {
        url: url.to_owned(),
        strategy: FetchStrategy::Http.into(),
        formats: vec![format.into()],
        ..FetchRequest::default()
    };
    let answer = client.fetch(request).await.unwrap().into_inner();
    let contents = answer.contents.unwrap();
    let size = contents.raw.map_or(0, |raw| raw.len()) + contents.html.map_or(0, |html| html.len());
    assert!(size >= 20_000);
}
