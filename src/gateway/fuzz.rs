//! What fuzzing asks of this room; see `crate::fuzzing`.

use axum::http::{HeaderMap, HeaderValue, Uri, header::HOST};
use serde_json::Value;

use super::{
    access::Admitted,
    discovery,
    frame::{Control, Part, Peer, Scanner, Violation},
    policy::{Rules, Verdict, inspect},
    route::{self, Route},
};
use crate::lease::Token;

/// What a scanner makes of a run of bytes.
#[derive(Debug)]
struct Followed {
    data: Vec<u8>,
    controls: Vec<Control>,
    end: Result<bool, Violation>,
}

fn follow(peer: Peer, bytes: &[u8], piece: usize) -> Followed {
    let mut scanner = Scanner::new(peer);
    let mut followed = Followed {
        data: Vec::new(),
        controls: Vec::new(),
        end: Ok(true),
    };
    for mut rest in bytes.chunks(piece.max(1)) {
        while !rest.is_empty() {
            match scanner.scan(rest) {
                Ok((taken, part)) => {
                    assert!((1..=rest.len()).contains(&taken), "a scan takes something");
                    match part {
                        Part::Data { payload } => {
                            assert!(payload <= taken, "no more payload than was taken");
                            followed.data.extend_from_slice(&rest[..taken]);
                        }
                        Part::Held => {}
                        Part::Control(control) => followed.controls.push(control),
                    }
                    rest = &rest[taken..];
                }
                Err(violation) => {
                    followed.end = Err(violation);
                    return followed;
                }
            }
        }
    }
    followed.end = Ok(scanner.at_boundary());
    followed
}

/// Frames of one side (the first byte's lowest bit), whole and in pieces (the second byte): both
/// come to the same, no byte is invented, and a control frame is passed on as it came.
pub(crate) fn frames(data: &[u8]) {
    let [peer, piece, bytes @ ..] = data else {
        return;
    };
    let (peer, other) = match peer & 1 {
        0 => (Peer::Client, Peer::Browser),
        _ => (Peer::Browser, Peer::Client),
    };
    let whole = follow(peer, bytes, bytes.len());
    let pieces = follow(peer, bytes, usize::from(*piece));
    assert_eq!(whole.end, pieces.end);
    assert_eq!(whole.controls, pieces.controls);
    // Up to a violation, pieces may have been passed on that a whole run has not.
    assert!(pieces.data.starts_with(&whole.data));
    assert!(whole.end.is_err() || whole.data == pieces.data);
    assert!(whole.data.len() <= bytes.len());
    for control in whole.controls {
        let mut encoded = Vec::new();
        control.encode(peer, &mut encoded);
        let read = follow(other, &encoded, encoded.len());
        assert_eq!((read.controls, read.end), (vec![control], Ok(true)));
        assert!(read.data.is_empty());
    }
}

/// The path of a request: nothing but plain names goes to the browser, and a token has one spelling.
pub(crate) fn routes(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(token) = Token::parse(&text) {
        assert_eq!(token.reveal(), text);
    }
    let Some((token, below)) = route::split(&text) else {
        return;
    };
    assert!(!token.contains('/'));
    assert!(below.is_empty() || below.starts_with('/'));
    if let Route::Target(path) = Route::parse(below) {
        let plain = |char: char| char.is_ascii_alphanumeric() || "/-_".contains(char);
        assert!(path.chars().all(plain), "{path}");
        assert!(path.len() <= 128 && path.starts_with("/devtools/"));
    }
}

/// A `Host` (up to the first line feed) and the browser's answer behind it: whatever the browser
/// says, its own address is not told, and a host that is not served is not.
pub(crate) fn discovery(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n');
    let (host, body) = data.split_at(end.unwrap_or_default());
    let mut headers = HeaderMap::new();
    match HeaderValue::from_bytes(host) {
        Ok(host) if !host.is_empty() => headers.insert(HOST, host),
        _ => headers.insert(HOST, HeaderValue::from_static("localhost:1")),
    };
    let Ok(admitted) = Admitted::new(&Uri::from_static("/"), &headers, None, false) else {
        return;
    };
    let base = "/lease/t";
    let start = admitted.websocket(base);
    assert!(
        !start.contains('@') && start.starts_with("ws://"),
        "{start}"
    );
    let Some(answer) = discovery::rewrite(body.trim_ascii_start(), &admitted, base) else {
        return;
    };
    let entries = match serde_json::from_slice(&answer) {
        Ok(Value::Array(entries)) => entries,
        Ok(entry) => vec![entry],
        Err(error) => panic!("what is rewritten is no JSON: {error}"),
    };
    for entry in entries {
        if let Some(url) = entry.get("webSocketDebuggerUrl").and_then(Value::as_str) {
            let rest = url.strip_prefix(&start);
            let ours = |rest: &str| rest.is_empty() || rest.starts_with("/devtools/page/");
            assert!(rest.is_some_and(ours), "{url}");
        }
        let keys = entry.as_object().into_iter().flat_map(|entry| entry.keys());
        assert!(
            keys.into_iter()
                .all(|key| !key.starts_with("devtoolsFrontendUrl"))
        );
    }
}

/// A message of a CDP client: what is sent in its place passes as it is, and what is denied is
/// answered with JSON.
pub(crate) fn cdp(data: &[u8]) {
    let rules = Rules {
        files: "/lease/files".into(),
    };
    match inspect(data, &rules) {
        Verdict::Pass => {}
        Verdict::PassFiles(files) => {
            for file in files {
                assert_eq!(file.parent(), Some(rules.files.as_path()), "{file:?}");
            }
        }
        Verdict::Rewrite(message) => {
            let again = inspect(message.as_bytes(), &rules);
            assert!(!matches!(again, Verdict::Deny(_)), "{message}");
        }
        Verdict::Deny(denial) => {
            let answer = denial.answer();
            let read: Result<Value, _> = serde_json::from_str(&answer);
            assert!(read.is_ok(), "{answer}");
        }
    }
}
