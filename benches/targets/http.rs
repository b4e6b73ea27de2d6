//! Fetches over HTTP against a loop of the HTTP client that others would use.

use std::time::Duration;

use berth::proto::{
    FetchFormat, FetchManyOptions, FetchManyRequest, fetch_many_response,
    fetch_service_client::FetchServiceClient,
};
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::{
    Row,
    barest::Barest,
    median, millis,
    origin::{AT_ONCE, EACH, Origin, check, crowd, fetch, request},
    rounds,
    stand::Stand,
};

const ALONE: usize = 200;

pub async fn measure() -> Vec<Row> {
    // What is measured is the way to the origin, not around it.
    let stand = Stand::start(|config| {
        config.cache_bytes = 0;
        // As many as the bare client keeps: its bound is that of what is asked at once.
        config.http_max_idle_per_host = AT_ONCE;
    })
    .await;
    let origin = Origin::start().await;
    let url = origin.url;
    let endpoint = format!("http://{}", stand.server.addresses().grpc);
    let client = FetchServiceClient::connect(endpoint).await.unwrap();
    let bare = reqwest::Client::new();
    let barest = Barest::start(bare.clone()).await;
    let mut spent = [Duration::ZERO; 5];
    for turn in 0..rounds() * 5 {
        let (client, bare, barest) = (client.clone(), bare.clone(), barest.client.clone());
        let begun = Instant::now();
        match turn % 5 {
            0 => crowd(move || get_bare(bare.clone(), url)).await,
            1 => crowd(move || fetch(client.clone(), url, FetchFormat::Raw)).await,
            2 => crowd(move || fetch(client.clone(), url, FetchFormat::Html)).await,
            3 => crowd(move || fetch(barest.clone(), url, FetchFormat::Raw)).await,
            _ => fetch_many(client, url).await,
        }
        // The first of each makes the connections.
        if turn >= 5 {
            spent[turn % 5] += begun.elapsed();
        }
    }
    let mut alone = [const { Vec::new() }; 3];
    for turn in 0..ALONE * 3 {
        let begun = Instant::now();
        match turn % 3 {
            0 => get_bare(bare.clone(), url).await,
            1 => fetch(client.clone(), url, FetchFormat::Raw).await,
            _ => fetch(client.clone(), url, FetchFormat::Html).await,
        }
        alone[turn % 3].push(millis(begun.elapsed()));
    }
    let load = stand.server.broker().status().fetches;
    drop((client, bare));
    barest.stop().await;
    origin.stop().await;
    stand.stop().await;
    let requests = ((rounds() - 1) * AT_ONCE * EACH) as f64;
    let rates = spent.map(|spent| requests / spent.as_secs_f64());
    let [one, raw, html] = alone.map(median);
    println!(
        "bare {:.0}/s, barest gRPC {:.0}/s, RAW {:.0}/s, HTML {:.0}/s, FetchMany {:.0}/s; alone: bare {one:.2} ms, RAW {raw:.2}, HTML {html:.2}",
        rates[0], rates[3], rates[1], rates[2], rates[4]
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
            "Fetch HTTP of RAW, 64 at once: rate / barest gRPC service",
            rates[1] / rates[3],
            0.70,
            "",
        ),
        Row::at_least(
            "HTTP requests over a connection that was there",
            reused,
            0.70,
            "",
        ),
    ]
}

async fn get_bare(client: reqwest::Client, url: &str) {
    let answer = client.get(url).send().await.unwrap();
    assert!(answer.bytes().await.unwrap().len() >= 20_000);
}

/// As many on one stream, as many at once.
async fn fetch_many(mut client: FetchServiceClient<Channel>, url: &str) {
    let many = u32::try_from(AT_ONCE).unwrap();
    let request = FetchManyRequest {
        fetch: Some(request(url, FetchFormat::Raw)),
        ..FetchManyRequest::default()
    };
    let first = FetchManyRequest {
        options: Some(FetchManyOptions {
            max_concurrent: many,
            max_per_host: many,
        }),
        ..request.clone()
    };
    let rest = std::iter::repeat_n(request, AT_ONCE * EACH - 1);
    let requests = tokio_stream::iter(std::iter::once(first).chain(rest));
    let mut results = client.fetch_many(requests).await.unwrap().into_inner();
    while let Some(result) = results.message().await.unwrap() {
        match result.result.unwrap() {
            fetch_many_response::Result::Response(answer) => check(answer),
            fetch_many_response::Result::Failure(failure) => panic!("{failure:?}"),
        }
    }
}
