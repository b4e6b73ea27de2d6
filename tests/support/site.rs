//! A small origin on loopback: pages that are well, slow, broken or hostile.

use std::{net::SocketAddr, path::Path, time::Duration};

use axum::{
    Router,
    extract::Path as UrlPath,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use berth::http_server;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// The origin, up until stopped.
pub struct Site {
    pub address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Site {
    pub async fn start() -> Self {
        Self::with(|_| router()).await
    }

    /// An origin with pages of its own.
    #[allow(clippy::disallowed_methods, reason = "the test's own task")]
    pub async fn with(router: impl FnOnce(SocketAddr) -> Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = tokio::spawn(http_server::serve(
            "site",
            1024,
            listener,
            router(address),
            stopped,
        ));
        Self {
            address,
            stop,
            serving,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

const ARTICLE: &str = "<!doctype html><title>Article</title><h1>An article</h1><p>This page has all of \
its text in its document, as pages should: enough of it that nobody needs to run a script in order to \
read it, and long enough that a rule which counts characters finds more of them than it wants.</p>";

const SHELL: &str = "<!doctype html><title>Shell</title><div id=root></div><script>\
document.getElementById('root').textContent='filled by a script'</script>";

const SELF: &str = "<!doctype html><meta name=viewport content='width=device-width'><body><script>\
document.body.textContent=[navigator.userAgent,navigator.language,\
Intl.DateTimeFormat().resolvedOptions().timeZone,innerWidth,devicePixelRatio].join('|')</script>";

fn router() -> Router {
    Router::new()
        .route("/", get(async || Html(ARTICLE)))
        .route("/shell", get(async || Html(SHELL)))
        .route(
            "/loop",
            get(async || Html("<title>Loop</title><script>for(;;);</script>")),
        )
        .route("/status/{code}", get(status))
        .route("/self", get(async || Html(SELF)))
        .route("/redirect", get(async || Redirect::temporary("/")))
        .route("/who", get(who))
        .route("/hang", get(std::future::pending::<()>))
        .route("/slow", get(slow))
        .route("/site/{file}", get(file))
}

async fn status(UrlPath(code): UrlPath<u16>) -> Response {
    (
        StatusCode::from_u16(code).unwrap(),
        format!("status {code}"),
    )
        .into_response()
}

/// Whom the cookie `user` names.
async fn who(headers: axum::http::HeaderMap) -> Html<String> {
    let cookies = headers.get("cookie").and_then(|value| value.to_str().ok());
    let mut pairs = cookies.unwrap_or_default().split("; ");
    let user = pairs.find_map(|pair| pair.strip_prefix("user="));
    Html(format!("<title>{}</title>", user.unwrap_or("nobody")))
}

async fn slow() -> Html<&'static str> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    Html(ARTICLE)
}

async fn file(UrlPath(file): UrlPath<String>) -> Response {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/site");
    let kind = match file.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript",
        _ => "application/octet-stream",
    };
    match tokio::fs::read(root.join(file)).await {
        Ok(content) => ([(header::CONTENT_TYPE, kind)], content).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}
