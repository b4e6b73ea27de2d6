//! The work that must succeed: fetches and leases, each checked for what it is to bring.

use std::time::Duration;

use tokio::{
    runtime::Handle,
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming};

use super::{
    origin::WORD,
    world::{BOUND, Worker, Wrong},
};
use crate::{
    browser::visit,
    cli::client::duration,
    client::Connection,
    deadline::Deadline,
    drain::Drain,
    proto::{
        AcquireRequest, EndReason, FetchFormat, FetchManyRequest, FetchRequest, FetchResponse,
        FetchStrategy, GetRequest, HoldRelease, HoldRequest, HoldResponse, Lease, LeaseState,
        OnDisconnect, ReleaseRequest, fetch_many_response::Result as Answer,
        fetch_service_client::FetchServiceClient, hold_request::Request as Ask,
        hold_response::Event, lease_service_client::LeaseServiceClient,
    },
};

/// How many different pages of each kind are asked for.
const PAGES: u32 = 64;
/// How many fetches go over one stream.
const MANY: u32 = 8;
/// The TTL of a lease that is left to expire.
const SHORT: Duration = Duration::from_secs(1);
/// Longest that the end of a lease may take to show.
pub(super) const SOON: Duration = Duration::from_secs(10);

pub(super) type Leases = LeaseServiceClient<Connection>;

/// A Hold stream with its lease.
pub(super) struct Held {
    pub(super) lease: Lease,
    requests: mpsc::Sender<HoldRequest>,
    events: Streaming<HoldResponse>,
}

pub(super) fn request(url: String, strategy: FetchStrategy) -> FetchRequest {
    FetchRequest {
        url,
        strategy: strategy.into(),
        formats: vec![FetchFormat::Text.into()],
        ..FetchRequest::default()
    }
}

/// Whether it is the page that was asked for.
fn check(response: &FetchResponse, status: u32) -> Result<(), Wrong> {
    let text = response
        .contents
        .as_ref()
        .and_then(|all| all.text.as_deref());
    if response.status != status || !text.unwrap_or_default().contains(WORD) {
        let (url, got) = (&response.final_url, response.status);
        let head: String = text.unwrap_or_default().chars().take(80).collect();
        return Err(Wrong::new(format!("{url}: {got} with {head:?}")));
    }
    Ok(())
}

/// The browser of a lease.
pub(super) fn browser_of(lease: &Lease) -> String {
    lease.browser.clone().unwrap_or_default().id
}

impl Worker {
    pub(super) fn leases(&self) -> Leases {
        LeaseServiceClient::new(self.channel.clone())
    }

    pub(super) async fn fetch(
        &self,
        request: FetchRequest,
        bound: Duration,
    ) -> Result<FetchResponse, Wrong> {
        let mut request = Request::new(request);
        request.set_timeout(bound);
        let mut client = FetchServiceClient::new(self.channel.clone());
        Ok(client.fetch(request).await?.into_inner())
    }

    pub(super) fn page(&mut self, path: &str) -> String {
        let n = self.any(PAGES);
        format!("{}/{path}/{n}", self.world.origin.site)
    }

    pub(super) async fn http(&mut self) -> Result<(), Wrong> {
        let (url, status) = match self.any(10) {
            0 => (format!("{}/missing", self.world.origin.site), 404),
            1..4 => (self.page("kept"), 200),
            _ => (self.page("article"), 200),
        };
        let response = self.fetch(request(url, FetchStrategy::Http), BOUND).await?;
        check(&response, status)
    }

    pub(super) async fn auto(&mut self) -> Result<(), Wrong> {
        let rendered = self.any(2) == 0;
        let url = self.page(if rendered { "app" } else { "article" });
        let response = self.fetch(request(url, FetchStrategy::Auto), BOUND).await?;
        check(&response, 200)?;
        let by_browser = response.via() == FetchStrategy::Browser;
        if by_browser != rendered {
            let why = &response.via_reason;
            return Err(Wrong::new(format!(
                "{} went the wrong way: {why}",
                response.final_url
            )));
        }
        Ok(())
    }

    pub(super) async fn browser(&mut self) -> Result<(), Wrong> {
        let url = self.page("app");
        let response = self
            .fetch(request(url, FetchStrategy::Browser), BOUND)
            .await?;
        check(&response, 200)
    }

    pub(super) async fn many(&mut self) -> Result<(), Wrong> {
        let requests = (0..MANY).map(|nr| FetchManyRequest {
            id: nr.to_string(),
            fetch: Some(match nr {
                0 => request(self.page("app"), FetchStrategy::Browser),
                _ => request(self.page("article"), FetchStrategy::Http),
            }),
            options: None,
        });
        let requests: Vec<_> = requests.collect();
        let mut call = Request::new(tokio_stream::iter(requests));
        call.set_timeout(BOUND);
        let mut client = FetchServiceClient::new(self.channel.clone());
        let mut results = client.fetch_many(call).await?.into_inner();
        let mut came = 0;
        while let Some(result) = results.message().await? {
            match result.result {
                Some(Answer::Response(response)) => check(&response, 200)?,
                Some(Answer::Failure(failure)) => {
                    let reason = failure.reason().as_str_name();
                    let reason = reason.trim_start_matches("ERROR_REASON_").to_owned();
                    let why = format!("item {}: {reason}: {}", result.id, failure.message);
                    return Err(Wrong {
                        reason,
                        ..Wrong::new(why)
                    });
                }
                None => return Err(Wrong::new("an empty result")),
            }
            came += 1;
        }
        if came == MANY {
            Ok(())
        } else {
            Err(Wrong::new(format!("{came} of {MANY} results")))
        }
    }

    pub(super) async fn acquire(&self, ttl: Duration) -> Result<Lease, Wrong> {
        let mut request = Request::new(AcquireRequest {
            ttl: duration(ttl),
            on_disconnect: OnDisconnect::Keep.into(),
            ..AcquireRequest::default()
        });
        request.set_timeout(BOUND);
        let lease = self.leases().acquire(request).await?.into_inner().lease;
        lease.ok_or_else(|| Wrong::new("a grant without a lease"))
    }

    pub(super) async fn release(&self, lease: &Lease) -> Result<(), Wrong> {
        let lease_id = lease.id.clone();
        let mut request = Request::new(ReleaseRequest { lease_id });
        request.set_timeout(BOUND);
        let released = self.leases().release(request).await?.into_inner().lease;
        match released.unwrap_or_default().end_reason() {
            EndReason::Released => Ok(()),
            other => {
                Err(Wrong::new(format!("released as {}", other.as_str_name()))
                    .of(&browser_of(lease)))
            }
        }
    }

    /// Drives a leased browser as any CDP client would.
    pub(super) async fn drive(&self, lease: &Lease, url: &str) -> Result<String, Wrong> {
        let own = Drain::new(Handle::current());
        let visited = visit(&lease.cdp_url, url, Deadline::after(BOUND), &own).await;
        // Its socket is closed in a task of its own; the broker does not wait for that either.
        let _ = timeout(SOON, own.closed()).await;
        match visited {
            Ok(seen) => Ok(seen.text),
            Err(error) => Err(Wrong::new(format!("over CDP: {error}")).of(&browser_of(lease))),
        }
    }

    async fn drive_app(&mut self, lease: &Lease) -> Result<(), Wrong> {
        let url = self.page("app");
        let text = self.drive(lease, &url).await?;
        if text.contains(WORD) {
            Ok(())
        } else {
            Err(Wrong::new(format!("{url}: the page's script did not run")).of(&browser_of(lease)))
        }
    }

    pub(super) async fn attach(&mut self) -> Result<(), Wrong> {
        let lease = self.acquire(BOUND * 2).await?;
        let driven = self.drive_app(&lease).await;
        let released = self.release(&lease).await;
        driven.and(released)
    }

    pub(super) async fn granted(&self, mut client: Leases) -> Result<Held, Wrong> {
        let (requests, outgoing) = mpsc::channel(2);
        let request = Some(Ask::Acquire(AcquireRequest {
            wait: duration(BOUND),
            max_lifetime: duration(BOUND * 4),
            ..AcquireRequest::default()
        }));
        // The receiver is right here.
        let _ = requests.send(HoldRequest { request }).await;
        let granting = async {
            let mut events = client
                .hold(ReceiverStream::new(outgoing))
                .await?
                .into_inner();
            while let Some(message) = events.message().await? {
                if let Some(Event::Granted(granted)) = message.event {
                    let lease = granted.lease.unwrap_or_default();
                    return Ok(Held {
                        lease,
                        requests,
                        events,
                    });
                }
            }
            Err(Wrong::new("the stream ended without a grant"))
        };
        let late = |_| Wrong::new("no grant before the deadline");
        timeout(BOUND, granting).await.map_err(late)?
    }

    pub(super) async fn hold(&mut self) -> Result<(), Wrong> {
        let mut held = self.granted(self.leases()).await?;
        let driven = self.drive_app(&held.lease).await;
        let request = Some(Ask::Release(HoldRelease {}));
        // A stream that has ended says so below.
        let _ = held.requests.send(HoldRequest { request }).await;
        let ending = async {
            while let Some(message) = held.events.message().await? {
                if let Some(Event::Ended(ended)) = message.event {
                    return Ok::<_, Wrong>(ended.reason());
                }
            }
            Err(Wrong::new("the stream ended without a word"))
        };
        let late = |_| Wrong::new("no end after a release");
        let reason = timeout(SOON, ending).await.map_err(late)??;
        driven?;
        match reason {
            EndReason::Released => Ok(()),
            other => Err(
                Wrong::new(format!("held, ended as {}", other.as_str_name()))
                    .of(&browser_of(&held.lease)),
            ),
        }
    }

    /// How a lease ends, when it does within `bound`.
    pub(super) async fn ends(&self, lease: &Lease, bound: Duration) -> Result<EndReason, Wrong> {
        let until = Instant::now() + bound;
        loop {
            let lease_id = lease.id.clone();
            let mut request = Request::new(GetRequest { lease_id });
            request.set_timeout(BOUND);
            let seen = self.leases().get(request).await?.into_inner().lease;
            let seen = seen.unwrap_or_default();
            if seen.state() == LeaseState::Ended {
                return Ok(seen.end_reason());
            }
            if Instant::now() >= until {
                let id = &lease.id;
                return Err(Wrong::new(format!("{id} has not ended within {bound:?}")));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Checks how a lease ends.
    pub(super) async fn must_end(
        &self,
        lease: &Lease,
        wanted: EndReason,
        bound: Duration,
    ) -> Result<(), Wrong> {
        let reason = self.ends(lease, bound).await?;
        if reason == wanted {
            return Ok(());
        }
        let (was, must) = (reason.as_str_name(), wanted.as_str_name());
        Err(Wrong::new(format!("ended as {was}, wanted {must}")).of(&browser_of(lease)))
    }

    pub(super) async fn expire(&mut self) -> Result<(), Wrong> {
        let lease = self.acquire(SHORT).await?;
        self.must_end(&lease, EndReason::Expired, SHORT + SOON)
            .await
    }
}
