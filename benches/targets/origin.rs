//! An origin of one page, and a crowd that asks for it.

use axum::{Router, response::Html, routing::get};
use berth::{
    http_server,
    proto::{
        FetchFormat, FetchRequest, FetchResponse, FetchStrategy,
        fetch_service_client::FetchServiceClient,
    },
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// How many ask at once, and how often each does.
pub const AT_ONCE: usize = 64;
pub const EACH: usize = 40;

pub struct Origin {
    pub url: &'static str,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Origin {
    #[allow(clippy::disallowed_methods, reason = "the bench's own task")]
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let body: &'static str = page().leak();
        let router = Router::new().route("/", get(async move || Html(body)));
        let stopped = stop.clone().cancelled_owned();
        Self {
            url: url.leak(),
            stop,
            served: tokio::spawn(http_server::serve("page", 4096, listener, router, stopped)),
        }
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.served.await.unwrap();
    }
}

/// A page of 20 KB.
fn page() -> String {
    let words = "<p>Plain words that a reader sees without any script at all.</p>\n";
    let mut page = String::from("<!doctype html><meta charset=utf-8><title>Page</title>");
    while page.len() < 20_000 {
        page.push_str(words);
    }
    page
}

/// [`AT_ONCE`] askers, each of whom asks [`EACH`] times.
#[allow(clippy::disallowed_methods, reason = "the bench's own tasks")]
pub async fn crowd<F>(ask: impl Fn() -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + Send,
{
    let workers = (0..AT_ONCE).map(|_| {
        let ask = ask.clone();
        tokio::spawn(async move {
            for _ in 0..EACH {
                ask().await;
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
}

pub async fn fetch(mut client: FetchServiceClient<Channel>, url: &str, format: FetchFormat) {
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
