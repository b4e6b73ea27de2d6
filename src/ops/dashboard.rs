//! The page for people: the live picture with the last minutes, and nothing to press.
//!
//! The page asks for `/status` each second over one kept connection. It is no stream of events:
//! this port has few connections, and a stream would keep one for every forgotten tab, where a
//! page that nobody sees does not ask.
//!
//! Who may read it is decided by [`Access`](super::Access): no other site may, not even one whose
//! name was bent to this address.

use std::{sync::Arc, time::SystemTime};

use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::{
        HeaderValue,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::{Next, from_fn},
    response::Response,
    routing::get,
};
use serde::Deserialize;

use super::picture::Picture;
use crate::broker::Broker;

/// Everything from here, nothing written into the page by text, and no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/dashboard.css");
const SCRIPT: &str = include_str!("page/dashboard.js");
const CHART: &str = include_str!("page/chart.js");
const WORDS: &str = include_str!("page/words.js");
const ICON: &str = include_str!("page/icon.svg");

const TEXT_JS: &str = "text/javascript; charset=utf-8";

#[derive(Debug)]
struct Shown {
    broker: Broker,
    node: String,
    started: SystemTime,
}

#[derive(Debug, Deserialize)]
struct Asked {
    /// From which sample on the history is wanted.
    #[serde(default)]
    since: u64,
}

/// The routes of the page: `/`, what it loads, and `/status`. `node` is the name of this broker.
pub fn router(broker: Broker, node: String) -> Router {
    let shown = Arc::new(Shown {
        broker,
        node,
        started: SystemTime::now(),
    });
    Router::new()
        .route("/", file("text/html; charset=utf-8", HTML))
        .route("/dashboard.css", file("text/css; charset=utf-8", STYLE))
        .route("/dashboard.js", file(TEXT_JS, SCRIPT))
        .route("/chart.js", file(TEXT_JS, CHART))
        .route("/words.js", file(TEXT_JS, WORDS))
        .route("/icon.svg", file("image/svg+xml", ICON))
        .route("/status", get(status))
        .route_layer(from_fn(dress))
        .with_state(shown)
}

fn file(kind: &'static str, text: &'static str) -> axum::routing::MethodRouter<Arc<Shown>> {
    get(async move || ([(CONTENT_TYPE, kind)], text))
}

async fn status(State(shown): State<Arc<Shown>>, Query(asked): Query<Asked>) -> Json<Picture> {
    let Shown {
        broker,
        node,
        started,
    } = &*shown;
    Json(Picture::of(broker, node, *started, asked.since))
}

/// What browsers are told of the page beside it.
async fn dress(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_nothing_from_elsewhere_and_writes_no_markup() {
        for text in [HTML, STYLE, SCRIPT, CHART, WORDS] {
            let rest = text.replace("http://www.w3.org/2000/svg", "");
            for bad in [
                "http://",
                "https://",
                "//cdn",
                "innerHTML",
                "insertAdjacent",
            ] {
                assert!(!rest.contains(bad), "{bad}");
            }
            assert!(!rest.contains("document.write"));
        }
        for bad in ["style=", "onclick", "<script>"] {
            assert!(!HTML.contains(bad), "{bad}: the policy forbids it");
        }
    }
}
