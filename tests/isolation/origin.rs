//! An origin on loopback that keeps, counts and asks, so that what one visitor leaves would show to
//! the next.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use berth::http_server;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// The origin, up until stopped.
pub struct Origin {
    pub host: String,
    /// Whether pages that wait at the gate may go on.
    pub gate: watch::Sender<bool>,
    /// How many visitors wait there.
    pub waiting: Arc<AtomicU64>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    counted: Arc<AtomicU64>,
    gate: watch::Sender<bool>,
    waiting: Arc<AtomicU64>,
}

impl Origin {
    #[allow(clippy::disallowed_methods, reason = "the test's own task")]
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let shared = Shared {
            counted: Arc::default(),
            gate: watch::Sender::new(false),
            waiting: Arc::default(),
        };
        let (gate, waiting) = (shared.gate.clone(), Arc::clone(&shared.waiting));
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let router = router(shared);
        let serving = tokio::spawn(http_server::serve(
            "origin", 1024, listener, router, stopped,
        ));
        Self {
            host,
            gate,
            waiting,
            stop,
            serving,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

const KEPT: (HeaderName, &str) = (header::CACHE_CONTROL, "max-age=600");
const JS: (HeaderName, &str) = (header::CONTENT_TYPE, "text/javascript");
/// `me:mark`.
const BASIC: &str = "Basic bWU6bWFyaw==";

const WORKER: &str = "onfetch = () => {};";
const SHARED: &str = "let kept = ''; onconnect = ({ ports: [port] }) => {\
  port.onmessage = ({ data }) => { kept = data || kept; port.postMessage(kept); } };";

/// A page with the table of marks that does `then`.
fn page(then: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><title>Page</title><body><script src=/marks.js></script>\
         <script>const show = (seen) => document.body.textContent = JSON.stringify(seen);\
         (async () => {{ await listen(); {then} window.done = true; }})();</script>"
    ))
}

fn router(shared: Shared) -> Router {
    let script = |text: &'static str| get(async move || ([JS], text));
    let then = |text: &'static str| get(async move || page(text));
    Router::new()
        .route("/marks.js", script(include_str!("marks.js")))
        .route("/worker.js", script(WORKER))
        .route("/shared.js", script(SHARED))
        .route("/page", then(""))
        .route("/plant", then("await plant(own); show(await see(own));"))
        .route(
            "/plant-and-stay",
            then("await plant(own); show(await see(own)); await fetch('/gate');"),
        )
        .route("/look", then("show(await see(own));"))
        .route("/auth-page", get(auth_page))
        .route("/auth", get(auth))
        .route(
            "/download",
            get(async || {
                (
                    [(header::CONTENT_DISPOSITION, "attachment; filename=mark")],
                    "mark",
                )
            }),
        )
        .route("/gate", get(gate))
        // Each answer is another number.
        .route(
            "/counter",
            get(async move |state| ([KEPT], count(state).await)),
        )
        .route(
            "/sets",
            get(async move |state| ([KEPT, (header::SET_COOKIE, "who=me")], count(state).await)),
        )
        .route(
            "/varies",
            get(async move |state| ([KEPT, (header::VARY, "x-user")], count(state).await)),
        )
        .route("/who", get(who))
        .with_state(shared)
}

async fn count(State(shared): State<Shared>) -> String {
    (shared.counted.fetch_add(1, Ordering::SeqCst) + 1).to_string()
}

async fn gate(State(shared): State<Shared>) -> &'static str {
    shared.waiting.fetch_add(1, Ordering::SeqCst);
    let mut gate = shared.gate.subscribe();
    // An origin that is stopped closes it.
    let _ = gate.wait_for(|open| *open).await;
    "open"
}

fn knows(headers: &HeaderMap) -> bool {
    let said = headers.get(header::AUTHORIZATION);
    said.is_some_and(|said| said == BASIC)
}

fn who_is_there() -> Response {
    let wanted = [(header::WWW_AUTHENTICATE, "Basic realm=mark")];
    (StatusCode::UNAUTHORIZED, wanted, "who?").into_response()
}

async fn auth(headers: HeaderMap) -> Response {
    if knows(&headers) {
        "welcome".into_response()
    } else {
        who_is_there()
    }
}

/// Shows whether the browser says again by itself who it is.
async fn auth_page(headers: HeaderMap) -> Response {
    if knows(&headers) {
        page("show(await see(['http_auth']));").into_response()
    } else {
        who_is_there()
    }
}

/// The cookies that came, and one more.
async fn who(headers: HeaderMap) -> Response {
    let cookies = headers
        .get(header::COOKIE)
        .and_then(|value| value.to_str().ok());
    let said = cookies.unwrap_or_default().to_owned();
    ([(header::SET_COOKIE, "mark=1; Path=/")], said).into_response()
}
