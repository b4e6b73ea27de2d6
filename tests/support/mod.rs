//! What every test stands on: a whole broker on free ports, real clients, and a count of what is
//! left behind at the end of each test, whatever it tests.

// Each test binary uses a part of it.
#![allow(dead_code, missing_docs, unused_imports)]

pub mod broker;
pub mod cdp;
pub mod dns;
pub mod forbidden;
pub mod left;
pub mod proxy;
pub mod service;
pub mod shop;
pub mod site;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub use broker::{Broker, acquire, reason, retry};
pub use cdp::Cdp;
pub use left::Left;
pub use service::{Ground, Service, berth, serve};
use tokio::time::{Instant, sleep};

/// Longer than anything in a test may take on a busy machine; never waited out when all is well.
pub const BOUND: Duration = Duration::from_secs(30);

/// Where the project is.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program of `make clients`.
pub fn installed(path: &str) -> PathBuf {
    let path = root().join(path);
    assert!(
        path.exists(),
        "{} is missing: run `make clients`",
        path.display()
    );
    path
}

/// Rules that open loopback, where the origins of tests are.
pub const LOOPBACK: &str = "127.0.0.0/8,::1";

/// The same as rules.
pub fn loopback() -> Vec<berth::egress::Rule> {
    rules(LOOPBACK)
}

/// The rules in `text`, separated by commas.
pub fn rules(text: &str) -> Vec<berth::egress::Rule> {
    let rules = text.split(',').filter(|rule| !rule.is_empty());
    rules.map(|rule| rule.parse().unwrap()).collect()
}

/// Waits until `is` holds, and fails the test when it does not within [`BOUND`].
pub async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is().await {
        assert!(begun.elapsed() < BOUND, "not within {BOUND:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
    begun.elapsed()
}

/// A duration as messages have it.
pub fn proto(duration: Duration) -> Option<prost_types::Duration> {
    duration.try_into().ok()
}

/// A number of seconds as messages have it.
pub fn secs(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}
