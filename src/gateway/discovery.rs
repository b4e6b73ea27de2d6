//! The pages by which clients find their way to a websocket, rewritten to lead through the
//! gateway.

use axum::body::Bytes;
use serde_json::Value;

use super::access::Admitted;

/// Rewrites every `webSocketDebuggerUrl` in the browser's answer `body` to one under `base`, the
/// path of the lease, at the host the client asked at. `None` when the answer is not JSON.
pub(super) fn rewrite(body: &[u8], admitted: &Admitted, base: &str) -> Option<Bytes> {
    let mut json: Value = serde_json::from_slice(body).ok()?;
    match &mut json {
        Value::Array(targets) => {
            for target in targets {
                rewrite_entry(target, admitted, base);
            }
        }
        entry => rewrite_entry(entry, admitted, base),
    }
    serde_json::to_vec_pretty(&json).ok().map(Bytes::from)
}

fn rewrite_entry(entry: &mut Value, admitted: &Admitted, base: &str) {
    let Value::Object(entry) = entry else {
        return;
    };
    // A user interface served by the browser's own port, which the client cannot reach.
    entry.retain(|key, _| !key.starts_with("devtoolsFrontendUrl"));
    let Some(url) = entry.remove("webSocketDebuggerUrl") else {
        return;
    };
    let path = url.as_str().and_then(path_of);
    // An address of another form is the browser's own; better none than that.
    if let Some(path) = path.and_then(through_gateway) {
        let url = admitted.websocket(&format!("{base}{path}"));
        entry.insert("webSocketDebuggerUrl".to_owned(), Value::String(url));
    }
}

fn path_of(url: &str) -> Option<&str> {
    let (_scheme, rest) = url.split_once("://")?;
    rest.find('/').map(|at| &rest[at..])
}

/// The path below the lease's own that leads to the target at `path`.
fn through_gateway(path: &str) -> Option<&str> {
    if path.starts_with("/devtools/browser/") {
        // The lease's own path is the browser target.
        Some("")
    } else {
        path.starts_with("/devtools/page/").then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, Uri, header::HOST};

    use super::*;

    fn rewritten(body: &str) -> Option<Value> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("localhost:50052"));
        let admitted = Admitted::new(&Uri::from_static("/"), &headers, None, false).unwrap();
        let body = rewrite(body.as_bytes(), &admitted, "/lease/t")?;
        Some(serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn the_browser_is_found_at_the_lease_itself() {
        let json = rewritten(
            r#"{"Browser": "Chrome/1", "webSocketDebuggerUrl":
                "ws://127.0.0.1:9222/devtools/browser/5f0c"}"#,
        );
        let json = json.unwrap();
        assert_eq!(json["webSocketDebuggerUrl"], "ws://localhost:50052/lease/t");
        assert_eq!(json["Browser"], "Chrome/1");
    }

    #[test]
    fn pages_are_found_below_it_and_nothing_leads_past_the_gateway() {
        let json = rewritten(
            r#"[{"id": "A", "devtoolsFrontendUrl": "https://x?ws=127.0.0.1:9222/devtools/page/A",
                 "devtoolsFrontendUrlCompat": "x",
                 "webSocketDebuggerUrl": "ws://127.0.0.1:9222/devtools/page/A"},
                {"id": "B", "webSocketDebuggerUrl": "ws://127.0.0.1:9222/other/B"},
                {"id": "C", "webSocketDebuggerUrl": 3}, "odd"]"#,
        );
        let json = json.unwrap();
        let url = "ws://localhost:50052/lease/t/devtools/page/A";
        assert_eq!(json[0]["webSocketDebuggerUrl"], url);
        assert!(!json.to_string().contains("9222"), "{json}");
        assert_eq!(json[3], "odd");
        assert!(rewritten("no json").is_none());
    }
}
