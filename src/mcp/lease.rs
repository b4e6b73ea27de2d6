//! The lease of a session, held by a stream.

use std::time::Duration;

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{broker::Broker, failure::Failure};
use crate::proto::{
    AcquireRequest, EndReason, HoldRequest, HoldResponse, Lease, OnDisconnect, hold_request,
    hold_response::Event,
};

/// How long a browser is waited for, its launch counted in.
const WAIT: Duration = Duration::from_secs(60);

/// A leased browser. Dropped, its stream ends, and with it the lease.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) lease: Lease,
    /// How it ended, once it has.
    ended: watch::Receiver<Option<String>>,
    /// The stream is open as long as this is there.
    _requests: mpsc::Sender<HoldRequest>,
    _listening: JoinSet<()>,
}

impl Held {
    /// Waits for a browser.
    pub(super) async fn open(broker: &Broker, idle: Duration) -> Result<Self, Failure> {
        let opened = timeout(WAIT, Self::open_unbounded(broker, idle)).await;
        opened.map_err(|_passed| {
            let what = format!("no browser came within {WAIT:?}");
            Failure::new(what, "Try again, or use `fetch`, which needs no lease.")
        })?
    }

    async fn open_unbounded(broker: &Broker, idle: Duration) -> Result<Self, Failure> {
        let (requests, receiver) = mpsc::channel(1);
        let acquire = AcquireRequest {
            wait: WAIT.try_into().ok(),
            idle_timeout: idle.try_into().ok(),
            on_disconnect: OnDisconnect::Keep.into(),
            labels: [("client".to_owned(), "mcp".to_owned())].into(),
            ..AcquireRequest::default()
        };
        let acquire = HoldRequest {
            request: Some(hold_request::Request::Acquire(acquire)),
        };
        // There is room for one.
        let _ = requests.try_send(acquire);
        let hold = broker.open_request(ReceiverStream::new(receiver));
        let mut events = broker.leases().hold(hold).await?.into_inner();
        loop {
            match events.message().await?.and_then(|message| message.event) {
                Some(Event::Granted(granted)) => {
                    let lease = granted.lease.unwrap_or_default();
                    let (told, ended) = watch::channel(None);
                    let mut listening = JoinSet::new();
                    listening.spawn(listen(events, told));
                    return Ok(Self {
                        lease,
                        ended,
                        _requests: requests,
                        _listening: listening,
                    });
                }
                Some(_) => {}
                None => return Err(Status::unavailable("the broker gave no browser").into()),
            }
        }
    }

    /// How it ended, when it has.
    pub(super) fn ended(&self) -> Option<String> {
        self.ended.borrow().clone()
    }
}

/// Hears how the lease ends.
async fn listen(mut events: Streaming<HoldResponse>, told: watch::Sender<Option<String>>) {
    let reason = loop {
        match events.message().await {
            Ok(Some(HoldResponse {
                event: Some(Event::Ended(ended)),
            })) => {
                let name = ended.lease.unwrap_or_default().end_reason();
                break word(name).to_owned();
            }
            Ok(Some(_)) => {}
            Ok(None) => break "the broker ended it".into(),
            Err(status) => break format!("the broker is gone: {}", status.message()),
        }
    };
    told.send_replace(Some(reason));
}

/// An end's reason as the contract has it.
pub(super) fn word(reason: EndReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("END_REASON_").unwrap_or(name)
}
