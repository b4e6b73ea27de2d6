//! What fuzzing asks of this room; see `crate::fuzzing`.

use prost::Message;
use tonic::{Status, metadata::MetadataMap};

use super::{call, fetch_messages, lease, status};
use crate::proto;

/// What clients that take few headers can still read of an error, in bytes.
const MOST_SAID: usize = 8 << 10;

fn readable(status: &Status) {
    assert!(!status.message().is_empty());
    // The message is written with three bytes for one that is not plain, the details with four for
    // three.
    let message = status.message().bytes();
    let message: usize = message
        .map(|byte| {
            if byte.is_ascii_graphic() || byte == b' ' {
                1
            } else {
                3
            }
        })
        .sum();
    let length = message + status.details().len() * 4 / 3;
    assert!(length <= MOST_SAID, "{length} bytes");
}

/// A message of a fetch: what is wrong with it is told in few words, what is right is bounded.
pub(crate) fn fetch(data: &[u8]) {
    let Ok(message) = proto::FetchRequest::decode(data) else {
        return;
    };
    match fetch_messages::request(message) {
        Ok(request) => {
            assert!(matches!(request.url.scheme(), "http" | "https"));
            assert!(request.headers.len() <= 64 && request.cookies.len() <= 64);
            assert!(request.max_bytes <= 256 << 20 && request.max_redirects <= 50);
        }
        Err(wrong) => {
            assert!(!wrong.is_empty() && wrong.len() <= 512, "{}", wrong.len());
            readable(&status::invalid(wrong));
        }
    }
}

/// A message that asks for a lease, and a deadline: the same.
pub(crate) fn acquire(data: &[u8]) {
    if let Ok(message) = proto::AcquireRequest::decode(data)
        && let Err(status) = lease::spec(message, "somebody")
    {
        readable(&status);
    }
    let mut metadata = MetadataMap::new();
    if let Ok(value) = String::from_utf8_lossy(data).parse() {
        metadata.insert("grpc-timeout", value);
        let _ = call::timeout(&metadata);
    }
}
