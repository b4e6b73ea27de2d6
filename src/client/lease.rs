//! A leased browser, held by a stream.

use std::{fmt, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Status, Streaming};

use super::Error;
use crate::{
    drain::Drain,
    proto::{
        self, Ended, HoldRelease, HoldRequest, HoldResponse, hold_request, hold_response::Event,
    },
};

/// How long the broker may take to confirm a release.
const RELEASE: Duration = Duration::from_secs(5);
/// Of each kind of event that follows a grant there is at most one.
const EVENTS: usize = 4;

/// How a lease ended, as the broker said; or that the connection broke, in which case the broker ends it as
/// soon as it notices.
pub type End = Result<Ended, Error>;

/// A leased browser, of nobody else's. It is given back when this is dropped.
#[must_use = "dropped, the browser is given back"]
pub struct Lease {
    lease: proto::Lease,
    events: mpsc::Receiver<Event>,
    ended: watch::Receiver<Option<End>>,
    /// Dropped, the keeper gives the lease back.
    held: DropGuard,
}

impl fmt::Debug for Lease {
    /// Without the URLs, which are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Lease");
        shown.field("id", &self.lease.id);
        shown.field("end", &self.end()).finish_non_exhaustive()
    }
}

impl Lease {
    /// Its name, safe to log.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.lease.id
    }

    /// Where CDP clients attach. A bearer secret, until the lease ends.
    #[must_use]
    pub fn cdp_url(&self) -> &str {
        &self.lease.cdp_url
    }

    /// The same as `http://…`, for clients that look for `/json/version`; the lease's files are below it.
    #[must_use]
    pub fn cdp_http_url(&self) -> &str {
        &self.lease.cdp_http_url
    }

    /// The lease as it was granted.
    #[must_use]
    pub const fn granted(&self) -> &proto::Lease {
        &self.lease
    }

    /// How it ended, once it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.ended.borrow().clone()
    }

    /// Resolves when the lease has ended, with how.
    ///
    /// # Errors
    /// The connection broke: [`End`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn ended(&self) -> End {
        end(self.ended.clone()).await
    }

    /// What happens to the lease: that it will expire, that the broker shuts down, that the browser died, how
    /// it ended. `None` once there is nothing more to come.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Gives the browser back, and waits for the broker to say so.
    ///
    /// # Errors
    /// The broker did not confirm it within 5 s, or the connection broke. The lease is over in any case.
    pub async fn release(self) -> End {
        let Self { ended, held, .. } = self;
        drop(held);
        end(ended).await
    }
}

async fn end(mut ended: watch::Receiver<Option<End>>) -> End {
    let end = match ended.wait_for(Option::is_some).await {
        Ok(end) => end.clone(),
        // The runtime went away under the keeper.
        Err(_closed) => None,
    };
    end.unwrap_or_else(|| Err(Status::cancelled("the program ends").into()))
}

/// Keeps the stream of a lease in a task, which outlives the guard for as long as a release takes.
pub(super) fn keep(
    lease: proto::Lease,
    requests: mpsc::Sender<HoldRequest>,
    stream: Streaming<HoldResponse>,
    tasks: &Drain,
) -> Lease {
    let given_up = tasks.cut_token().child_token();
    let (heard, events) = mpsc::channel(EVENTS);
    let (tell, ended) = watch::channel(None);
    let keeper = Keeper {
        requests,
        stream,
        given_up: given_up.clone(),
        heard,
    };
    tasks.spawn(async move {
        let end = keeper.keep().await.map_err(Error::from);
        tell.send_replace(Some(end));
    });
    Lease {
        lease,
        events,
        ended,
        held: given_up.drop_guard(),
    }
}

struct Keeper {
    requests: mpsc::Sender<HoldRequest>,
    stream: Streaming<HoldResponse>,
    given_up: CancellationToken,
    heard: mpsc::Sender<Event>,
}

impl Keeper {
    async fn keep(mut self) -> Result<Ended, Status> {
        let given_up = self.given_up.clone();
        tokio::select! {
            ended = self.listen() => return ended,
            () = given_up.cancelled() => {}
        }
        let request = Some(hold_request::Request::Release(HoldRelease {}));
        // There is room, and should the stream be over, the lease is.
        let _ = self.requests.try_send(HoldRequest { request });
        let confirmed = timeout(RELEASE, self.listen()).await;
        confirmed.unwrap_or_else(|_passed| {
            Err(Status::deadline_exceeded(format!(
                "the broker did not confirm the release within {RELEASE:?}"
            )))
        })
    }

    /// # Cancel safety
    /// Yes.
    async fn listen(&mut self) -> Result<Ended, Status> {
        loop {
            let message = self.stream.message().await?;
            let Some(event) = message.and_then(|message| message.event) else {
                return Err(Status::unavailable("the broker ended the call"));
            };
            // Nobody has to listen.
            let _ = self.heard.try_send(event.clone());
            if let Event::Ended(ended) = event {
                return Ok(ended);
            }
        }
    }
}
