//! The way to the broker: its status again and again, and what is done to it.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tonic::{Request, Streaming};

use super::{
    super::{
        client::{Target, duration},
        exit::Failure,
    },
    app::{Deed, News},
    words::clean,
};
use crate::{
    client::Connection,
    proto::{
        DrainRequest, EndLeaseRequest, ResumeRequest, RetireBrowserRequest, Status,
        WatchStatusRequest, WatchStatusResponse, admin_service_client::AdminServiceClient,
    },
};

/// How long to wait before the first new try; it doubles from one to the next.
const SOONEST: Duration = Duration::from_millis(500);
/// How long to wait before a new try at most.
const LATEST: Duration = Duration::from_secs(10);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tells `news` how the broker is, each `interval`, until nobody listens. What is lost is tried
/// again.
///
/// # Errors
/// [`Failure`] when the endpoint is not one.
///
/// # Cancel safety
/// Yes.
pub(super) async fn follow(
    target: Target,
    interval: Duration,
    news: mpsc::Sender<News>,
) -> Result<(), Failure> {
    let mut again = SOONEST;
    loop {
        let failure = match updates(&target, interval).await {
            Err(failure) if failure.is_usage() => return Err(failure),
            Err(failure) => failure,
            Ok(mut updates) => loop {
                match next(&mut updates, interval).await {
                    Ok(status) => {
                        again = SOONEST;
                        if news.send(News::Status(Box::new(status))).await.is_err() {
                            return Ok(());
                        }
                    }
                    Err(failure) => break failure,
                }
            },
        };
        let why = clean(failure.message());
        if news.send(News::Lost { why, again }).await.is_err() {
            return Ok(());
        }
        sleep(again).await;
        again = (again * 2).min(LATEST);
    }
}

/// One status.
///
/// # Errors
/// [`Failure`] when the broker cannot be reached or does not answer in time.
pub(super) async fn once(target: &Target, interval: Duration) -> Result<Status, Failure> {
    let mut updates = updates(target, interval).await?;
    next(&mut updates, interval).await
}

async fn updates(
    target: &Target,
    interval: Duration,
) -> Result<Streaming<WatchStatusResponse>, Failure> {
    let mut client = admin(target).await?;
    let interval = duration(interval);
    let watching = client.watch_status(WatchStatusRequest { interval });
    Ok(in_time(PATIENCE, watching).await??.into_inner())
}

async fn next(
    updates: &mut Streaming<WatchStatusResponse>,
    interval: Duration,
) -> Result<Status, Failure> {
    let message = in_time(PATIENCE + interval * 2, updates.message()).await??;
    let status = message.and_then(|message| message.status);
    status.ok_or_else(|| Failure::other("the broker ended the call: it shuts down"))
}

/// Does `deed`, and tells what came of it in a line.
///
/// # Errors
/// Why it was not done, with the broker's reason.
pub(super) async fn act(target: &Target, deed: Deed) -> Result<String, String> {
    let done = async {
        let mut client = admin(target).await?;
        Ok::<_, Failure>(match &deed {
            Deed::Retire(id) => {
                let browser_id = id.clone();
                let request = Request::new(RetireBrowserRequest { browser_id });
                client.retire_browser(request).await?;
                format!("{id} is retired, or will be after what runs in it")
            }
            Deed::End(id) => {
                let lease_id = id.clone();
                let ended = client.end_lease(EndLeaseRequest { lease_id }).await?;
                let lease = ended.into_inner().lease.unwrap_or_default();
                format!("{id} ended: {}", lease.end_reason().word())
            }
            Deed::Drain => {
                let shutdown = false;
                let drained = client.drain(DrainRequest { shutdown }).await?;
                let running = drained.into_inner().running;
                format!("new work is refused; {running} still running")
            }
            Deed::Resume => {
                client.resume(ResumeRequest {}).await?;
                "new work is taken again".into()
            }
        })
    };
    let done = in_time(PATIENCE, done).await.and_then(|done| done);
    done.map_err(|failure| clean(failure.message()))
}

async fn admin(target: &Target) -> Result<AdminServiceClient<Connection>, Failure> {
    Ok(target.connect().await?.admin())
}

async fn in_time<T>(bound: Duration, work: impl Future<Output = T>) -> Result<T, Failure> {
    let within = timeout(bound, work).await;
    within.map_err(|_elapsed| Failure::other(format!("the broker did not answer in {bound:?}")))
}
