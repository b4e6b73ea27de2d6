//! What must hold when things go wrong: each a test against real processes.

mod browsers;
mod clients;
mod queue;
#[path = "../support/mod.rs"]
mod support;

use berth::proto::{
    AcquireRequest, EndReason, FetchFormat, FetchRequest, FetchStrategy, HoldRequest,
    RetireBrowserRequest, hold_request::Request as Ask, hold_response::Event,
};
use futures::{StreamExt, stream::FuturesUnordered};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use serde_json::json;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use support::{BOUND, Broker, Cdp, acquire, proto, reason, retry, secs, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

fn fetch(url: String, strategy: FetchStrategy) -> FetchRequest {
    FetchRequest {
        url,
        strategy: strategy.into(),
        formats: vec![FetchFormat::Text.into()],
        ..FetchRequest::default()
    }
}

async fn text(broker: &Broker, path: &str, strategy: FetchStrategy) -> Result<String, Status> {
    let mut request = Request::new(fetch(broker.site.url(path), strategy));
    request.set_timeout(BOUND);
    let response = broker.fetches().fetch(request).await?.into_inner();
    Ok(response.contents.unwrap().text.unwrap())
}
