//! What the tests stand on: a page that tries every way out, and listeners that nobody may reach.

use std::{
    collections::BTreeSet,
    net::{Ipv6Addr, SocketAddr},
    sync::Arc,
};

use axum::{Router, response::Html, routing::get};
use berth::{
    http_server,
    proto::{AcquireRequest, BrowserOptions, FetchRequest, FetchResponse, FetchStrategy, Lease},
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tonic::Status;

use super::support::{BOUND, Broker, acquire};

/// A listener on one port of every address of this machine, which notes what was asked of it.
pub struct Trap {
    pub port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Trap {
    #[allow(clippy::disallowed_methods, reason = "the test's own tasks")]
    pub async fn set() -> Self {
        // IPv4 comes in by it as well.
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let notes = Arc::clone(&seen);
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let notes = Arc::clone(&notes);
                tokio::spawn(async move {
                    let mut head = vec![0; 4096];
                    let read = stream.read(&mut head).await.unwrap_or(0);
                    let head = String::from_utf8_lossy(&head[..read]).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    notes.lock().push(path);
                    let answer = "HTTP/1.1 200 Here\r\ncontent-type: text/html\r\n\
                                  content-length: 4\r\nconnection: close\r\n\r\n<p>x";
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self {
            port,
            seen,
            serving,
        }
    }

    /// The paths that were asked for; one for each connection.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().clone()
    }

    /// The ways by which it was reached: the first part of each path.
    pub fn ways(&self) -> BTreeSet<String> {
        let seen = self.seen();
        let ways = seen.iter().filter_map(|path| path.split(['/', '?']).nth(1));
        ways.map(str::to_owned).collect()
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The ways out that a page has. `(u, e)` is the URL and an element of its own.
const TRIES: &str = include_str!("tries.js");

/// A site whose pages try things.
pub struct Pages {
    pub address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Pages {
    /// Its page tries every one of `urls` by every way; `WAY` in a URL is the way's name. `REDIRECTS`
    /// leads to the URL of that number.
    #[allow(clippy::disallowed_methods, reason = "the test's own task")]
    pub async fn trying(urls: Vec<String>) -> Self {
        let script = format!("const URLS = {};\n{TRIES}", serde_json::json!(urls));
        let page = format!(
            "<!doctype html><title>trying</title><body><p>It tries every way out.</p><script>{script}</script>"
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let urls = Arc::new(urls);
        let to = move |axum::extract::Path(at): axum::extract::Path<usize>| {
            let url = urls[at].clone();
            async move { (http::StatusCode::FOUND, [("location", url)]) }
        };
        let refresh = |axum::extract::Query(to): axum::extract::Query<Vec<(String, String)>>| async move {
            let url = to[0].1.replace('"', "&quot;");
            Html(format!(
                "<!doctype html><title>here</title><meta http-equiv=refresh content=\"0;url={url}\">"
            ))
        };
        let router = Router::new()
            .route("/", get(async move || Html(page.clone())))
            .route(
                "/blank",
                get(async || Html("<!doctype html><title>blank</title>")),
            )
            .route("/refresh", get(refresh))
            .route("/redirect/{at}", get(to));
        let serving = tokio::spawn(http_server::serve(
            "pages",
            1024,
            listener,
            router,
            std::future::pending(),
        ));
        Self { address, serving }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Fetches `url` by a browser, once its title is `title` where one is named.
pub async fn browse(
    broker: &Broker,
    url: &str,
    title: Option<&str>,
) -> Result<FetchResponse, Status> {
    let mut request = tonic::Request::new(FetchRequest {
        url: url.to_owned(),
        strategy: FetchStrategy::Browser.into(),
        wait_predicate: title.map_or(String::new(), |title| {
            format!("document.title === '{title}'")
        }),
        ..FetchRequest::default()
    });
    request.set_timeout(BOUND * 3);
    let fetched = broker.fetches().fetch(request).await;
    fetched.map(tonic::Response::into_inner)
}

/// A lease of a browser with `options`.
pub async fn lease(broker: &Broker, options: BrowserOptions) -> Result<Lease, Status> {
    let request = AcquireRequest {
        browser: Some(options),
        ..AcquireRequest::default()
    };
    acquire(&mut broker.leases(), request).await
}
