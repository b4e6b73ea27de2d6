//! The page for people: the live picture with the last minutes, and nothing to press.
//!
//! The page asks for `/status` each second over one kept connection. It is no stream of events:
//! this port has few connections, and a stream would keep one for every forgotten tab, where a
//! page that nobody sees does not ask.
//!
//! Whoever reaches the port may read it; no other site may, not even one whose name was bent to
//! this address: such a name is refused.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::SystemTime,
};

use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
        uri::Authority,
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
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

/// The routes of the page: `/`, what it loads, and `/status`. `node` is the name of this broker,
/// by which it may be called beside `localhost` and its addresses.
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
        .route_layer(from_fn_with_state(Arc::clone(&shown), guard))
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

async fn guard(State(shown): State<Arc<Shown>>, request: Request, next: Next) -> Response {
    let mut answer = if is_ours(request.headers(), &shown.node) {
        next.run(request).await
    } else {
        let why = format!(
            "this page is shown at an IP address, at localhost and at {}, not at other names\n",
            shown.node
        );
        (StatusCode::MISDIRECTED_REQUEST, why).into_response()
    };
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

/// Whether the caller means us by the name it uses. A page of another site can have its own name
/// lead here and then read what comes, but it cannot call us by ours.
fn is_ours(headers: &HeaderMap, node: &str) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let Some(authority) = host.and_then(|host| host.parse::<Authority>().ok()) else {
        return false;
    };
    let host = authority.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>().is_ok() || bare.parse::<Ipv6Addr>().is_ok();
    let host = host.to_ascii_lowercase();
    address
        || host == "localhost"
        || host.ends_with(".localhost")
        || host.eq_ignore_ascii_case(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls_us(host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        is_ours(&headers, "Node-7")
    }

    #[test]
    fn our_own_names_are_answered_and_no_others() {
        for host in [
            "127.0.0.1:9464",
            "10.1.2.3",
            "[::1]:9464",
            "[fd00::7]",
            "localhost:9464",
            "LOCALHOST",
            "berth.localhost:80",
            "node-7:9464",
        ] {
            assert!(calls_us(host), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example:9464",
            "localhost.evil.example",
            "notlocalhost",
            "node-7.evil.example",
            "x@127.0.0.1:@evil.example",
            "",
        ] {
            assert!(!calls_us(host), "{host}");
        }
        assert!(!is_ours(&HeaderMap::new(), "node-7"));
    }

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
