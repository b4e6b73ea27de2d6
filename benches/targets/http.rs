//! Fetches over HTTP against a loop of the HTTP client that others would use.

use std::time::Duration;

use axum::{Router, response::Html, routing::get};
use berth::{
    http_server,
    proto::{
        FetchContents, FetchFormat, FetchManyOptions, FetchManyRequest, FetchManyResponse,
        FetchRequest, FetchResponse, FetchStrategy, fetch_many_response,
        fetch_service_client::FetchServiceClient,
        fetch_service_server::{FetchService, FetchServiceServer},
    },
};
use tokio::{net::TcpListener, time::Instant};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Channel, Server},
};

use crate::{Row, median, millis, rounds, stand::Stand};

pub const AT_ONCE: usize = 64;
pub const EACH: usize = 40;
const ALONE: usize = 200;

/// A page of 20 KB.
pub fn page() -> String {
    let words = "<p>Plain words that a reader sees without any script at all.</p>\n";
    let mut page = String::from("<!doctype html><meta charset=utf-8><title>Page</title>");
    while page.len() < 20_000 {
        page.push_str(words);
    }
    page
}

/// The least that a gRPC service can do: it asks the bare client and passes the bytes on.
struct Barest(reqwest::Client);

#[tonic::async_trait]
impl FetchService for Barest {
    async fn fetch(
        &self,
        request: Request<FetchRequest>,
    ) -> Result<Response<FetchResponse>, Status> {
        let answer = self.0.get(request.into_inner().url).send().await.unwrap();
        let contents = FetchContents {
            raw: Some(answer.bytes().await.unwrap()),
            ..FetchContents::default()
        };
        Ok(Response::new(FetchResponse {
            contents: Some(contents),
            ..FetchResponse::default()
        }))
    }

    type FetchManyStream = tokio_stream::Empty<Result<FetchManyResponse, Status>>;

    async fn fetch_many(
        &self,
        _: Request<Streaming<FetchManyRequest>>,
    ) -> Result<Response<Self::FetchManyStream>, Status> {
        Err(Status::unimplemented("not measured"))
    }
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
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let barest = Server::builder()
        .add_service(FetchServiceServer::new(Barest(bare.clone())))
        .serve_with_incoming_shutdown(
            TcpListenerStream::new(listener),
            stop.clone().cancelled_owned(),
        );
    let barest_served = tokio::spawn(barest);
    let barest = FetchServiceClient::connect(endpoint).await.unwrap();
    let mut spent = [Duration::ZERO; 5];
    for turn in 0..rounds() * 5 {
        let begun = Instant::now();
        if turn % 5 == 4 {
            fetch_many(client.clone(), &url).await;
        }
        let at_once = if turn % 5 == 4 { 0 } else { AT_ONCE };
        let workers = (0..at_once).map(|_| {
            let (client, bare, url) = (client.clone(), bare.clone(), url.clone());
            let barest = barest.clone();
            tokio::spawn(async move {
                for _ in 0..EACH {
                    match turn % 5 {
                        0 => get_bare(&bare, &url).await,
                        1 => fetch(client.clone(), &url, FetchFormat::Raw).await,
                        2 => fetch(client.clone(), &url, FetchFormat::Html).await,
                        _ => fetch(barest.clone(), &url, FetchFormat::Raw).await,
                    }
                }
            })
        });
        for worker in workers.collect::<Vec<_>>() {
            worker.await.unwrap();
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
            0 => get_bare(&bare, &url).await,
            1 => fetch(client.clone(), &url, FetchFormat::Raw).await,
            _ => fetch(client.clone(), &url, FetchFormat::Html).await,
        }
        alone[turn % 3].push(millis(begun.elapsed()));
    }
    let load = stand.server.broker().status().fetches;
    drop((client, bare, barest));
    stop.cancel();
    barest_served.await.unwrap().unwrap();
    origin.await.unwrap();
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

async fn get_bare(client: &reqwest::Client, url: &str) {
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

async fn fetch(mut client: FetchServiceClient<Channel>, url: &str, format: FetchFormat) {
    check(
        client
            .fetch(request(url, format))
            .await
            .unwrap()
            .into_inner(),
    );
}

pub fn request(url: &str, format: FetchFormat) -> FetchRequest {
    FetchRequest {
        url: url.to_owned(),
        strategy: FetchStrategy::Http.into(),
        formats: vec![format.into()],
        ..FetchRequest::default()
    }
}

pub fn check(answer: FetchResponse) {
    let contents = answer.contents.unwrap();
    let size = contents.raw.map_or(0, |raw| raw.len()) + contents.html.map_or(0, |html| html.len());
    assert!(size >= 20_000);
}
