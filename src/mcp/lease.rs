//! The lease of a session, and how it ended.

use std::time::Duration;

use tokio::time::timeout;

use super::failure::Failure;
use crate::{
    client::{Client, End, Lease},
    proto::OnDisconnect,
};

/// How long a browser is waited for, its launch counted in.
const WAIT: Duration = Duration::from_secs(60);
/// How much later than the broker this side's clock ends the wait: the broker is the one to say why.
const SLACK: Duration = Duration::from_secs(2);

/// Waits for a browser.
pub(super) async fn open(broker: &Client, idle: Duration) -> Result<Lease, Failure> {
    let asked = broker
        .lease()
        .wait(WAIT)
        .idle_timeout(idle)
        .on_disconnect(OnDisconnect::Keep)
        .label("client", "mcp");
    let opened = timeout(WAIT + SLACK, asked).await;
    let opened = opened.map_err(|_passed| {
        let what = format!("no browser came within {WAIT:?}");
        Failure::new(what, "Try again, or use `fetch`, which needs no lease.")
    })?;
    Ok(opened?)
}

/// How it ended, in words.
pub(super) fn told(end: &End) -> String {
    match end {
        Ok(ended) => ended.reason().word().to_owned(),
        Err(error) => format!("the broker is gone: {error}"),
    }
}
