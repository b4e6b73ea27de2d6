//! Asking for a browser.

use std::{fmt, future::IntoFuture, pin::Pin, time::Duration};

use tokio::{sync::mpsc, time::sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::{Connection, Error, Lease, lease};
use crate::{
    deadline::Deadline,
    drain::Drain,
    proto::{
        AcquireRequest, BrowserOptions, HoldRequest, OnDisconnect, hold_request,
        hold_response::Event, lease_service_client::LeaseServiceClient,
    },
};

/// How long refusals are obeyed when no wait is set: as long as the server waits by default.
const WAIT: Duration = Duration::from_secs(300);

/// A lease that is asked for, by [`Client::lease`](super::Client::lease). Awaited, it is waited for.
///
/// When there is too little of something and the refusal says when to come back (RESOURCE_EXHAUSTED with
/// RetryInfo, as POOL_EXHAUSTED has it), it is asked again then, as long as that is within the wait.
/// Dropped while it is awaited, the place in the queue is given up.
///
/// Awaiting it fails with [`Error::Refused`].
#[must_use = "nothing is asked for until it is awaited"]
pub struct Acquire {
    leases: LeaseServiceClient<Connection>,
    tasks: Drain,
    request: AcquireRequest,
    wait: Option<Duration>,
    queued: Option<Box<dyn FnMut(u32) + Send>>,
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Acquire");
        shown.field("request", &self.request);
        shown.field("wait", &self.wait).finish_non_exhaustive()
    }
}

impl Acquire {
    pub(super) fn new(leases: LeaseServiceClient<Connection>, tasks: Drain) -> Self {
        Self {
            leases,
            tasks,
            request: AcquireRequest::default(),
            wait: None,
            queued: None,
        }
    }

    /// How long to wait for a browser at most, launch and repeated tries included; zero takes one that is
    /// ready, or none. Default and maximum of one try: the server's, 5 minutes unless set otherwise.
    pub const fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// How long the lease lives at most. Default: the server's, 1 hour.
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.request.max_lifetime = lifetime.try_into().ok();
        self
    }

    /// How long the lease lives without traffic. Default: without limit.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.request.idle_timeout = timeout.try_into().ok();
        self
    }

    /// What happens when the last CDP client has left. Default: nothing, the lease stays.
    pub fn on_disconnect(mut self, what: OnDisconnect) -> Self {
        self.request.on_disconnect = what.into();
        self
    }

    /// A label that operators see. May be repeated.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.labels.insert(key.into(), value.into());
        self
    }

    /// What the browser is started with.
    pub fn browser(mut self, options: BrowserOptions) -> Self {
        self.request.browser = Some(options);
        self
    }

    /// Whether a shutdown that cuts the lease hands out the cookies and local storage, as the end's
    /// `storage_state`.
    pub const fn storage_state(mut self, wanted: bool) -> Self {
        self.request.storage_state = wanted;
        self
    }

    /// Is called with the place in the queue, whenever that changes.
    pub fn on_queued(mut self, call: impl FnMut(u32) + Send + 'static) -> Self {
        self.queued = Some(Box::new(call));
        self
    }

    async fn wait_for_it(mut self) -> Result<Lease, Error> {
        let deadline = Deadline::after(self.wait.unwrap_or(WAIT));
        if self.tasks.is_draining() {
            return Err(Status::cancelled("this client is closed").into());
        }
        loop {
            if self.wait.is_some() {
                self.request.wait = deadline.remaining().try_into().ok();
            }
            let error = match self.once().await {
                Ok(lease) => return Ok(lease),
                Err(status) => Error::from(status),
            };
            let taken = error.code() == Code::ResourceExhausted;
            match error.retry_after() {
                Some(delay) if taken && delay < deadline.remaining() => sleep(delay).await,
                _ => return Err(error),
            }
        }
    }

    async fn once(&mut self) -> Result<Lease, Status> {
        // There is room for both that are ever sent.
        let (requests, outgoing) = mpsc::channel(2);
        let asked = hold_request::Request::Acquire(self.request.clone());
        let asked = HoldRequest {
            request: Some(asked),
        };
        // The receiver is right here.
        let _ = requests.try_send(asked);
        let hold = self.leases.hold(ReceiverStream::new(outgoing));
        let mut events = hold.await?.into_inner();
        loop {
            match events.message().await?.and_then(|message| message.event) {
                Some(Event::Granted(granted)) => {
                    let lease = granted.lease.unwrap_or_default();
                    return Ok(lease::keep(lease, requests, events, &self.tasks));
                }
                Some(Event::Queued(queued)) => {
                    if let Some(call) = &mut self.queued {
                        call(queued.position);
                    }
                }
                Some(_) => {}
                None => {
                    return Err(Status::unavailable(
                        "the broker ended the call without a lease",
                    ));
                }
            }
        }
    }
}

impl IntoFuture for Acquire {
    type Output = Result<Lease, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.wait_for_it())
    }
}
