//! `LeaseService.Hold`: a lease that lives as long as its stream.

use std::{
    future,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{
    call::Call,
    convert,
    lease::{Leases, spec},
    status,
};
use crate::{
    broker::{Leased, Violation},
    browser::StorageState,
    deadline::Deadline,
    lease::{EndReason, LeaseId},
    proto::{
        BrowserLost, Draining, Ended, Expiring, Granted, HoldRequest, HoldResponse, Queued,
        hold_request::Request, hold_response::Event,
    },
};

type Events = mpsc::Sender<Result<HoldResponse, Status>>;

/// Room for the events of a client that reads slowly.
const ROOM: usize = 16;
/// What of it is kept from places in the queue, which are skipped then: enough for all that may
/// follow, so that nothing waits for a client that reads nothing, least of all what it says.
const KEPT: usize = 6;
/// How long before its end a lease is announced to end.
const NOTICE: Duration = Duration::from_secs(30);

/// How long before a cut the storage state is read.
const STATE_TIME: Duration = Duration::from_secs(1);

/// Serves one stream in a task of its own; the stream's end is the task's end and the other way
/// round.
pub(super) fn start(
    leases: Leases,
    call: Call,
    requests: Streaming<HoldRequest>,
) -> ReceiverStream<Result<HoldResponse, Status>> {
    let (events, receiver) = mpsc::channel(ROOM);
    let drain = leases.broker.drain().clone();
    let span = tracing::Span::current();
    let task = async move {
        let gone = events.clone();
        tokio::select! {
            // Dropping the work gives up the queue, or ends the lease as CLIENT_GONE.
            () = gone.closed() => {}
            served = serve(&leases, &call, requests, &events) => if let Err(status) = served {
                send(&events, Err(status)).await;
            }
        }
    };
    drain.spawn(tracing::Instrument::instrument(task, span));
    ReceiverStream::new(receiver)
}

async fn serve(
    leases: &Leases,
    call: &Call,
    mut requests: Streaming<HoldRequest>,
    events: &Events,
) -> Result<(), Status> {
    let first = "the first message must be `acquire`";
    let request = match call.deadline.bound(requests.message()).await {
        Ok(Ok(Some(HoldRequest {
            request: Some(Request::Acquire(request)),
        }))) => request,
        Ok(Ok(_)) => return Err(status::invalid(vec![Violation::new("request", first)])),
        Ok(Err(_)) | Err(_) => return Ok(()),
    };
    let wants_state = request.storage_state;
    let spec = spec(request, call.caller.owner())?;
    let limit = leases.limit(&spec, call);
    let queued = |position: usize| {
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        if events.capacity() > KEPT {
            // One that is gone misses nothing.
            let _ = events.try_send(Ok(event(Event::Queued(Queued { position }))));
        }
    };
    let broker = &leases.broker;
    let leased = tokio::select! {
        leased = broker.acquire(spec, call.deadline, true, queued) => {
            leased.map_err(|error| status::of(error, broker, Some(limit)))?
        }
        done = said(&mut requests) => return done,
    };
    keep(leases, call, leased, wants_state, requests, events).await
}

async fn keep(
    leases: &Leases,
    call: &Call,
    leased: Leased,
    wants_state: bool,
    mut requests: Streaming<HoldRequest>,
    events: &Events,
) -> Result<(), Status> {
    let Leased { grant, guard } = leased;
    let record = grant.record;
    let broker = &leases.broker;
    // One that has ended already is told below.
    let ended = broker.watch_end(record.id).ok();
    let lease = leases
        .place
        .granted(&record, &grant.token, call.authority.as_deref());
    send(
        events,
        Ok(event(Event::Granted(Granted { lease: Some(lease) }))),
    )
    .await;

    let left = record
        .max_expires
        .duration_since(SystemTime::now())
        .unwrap_or_default();
    let notice = Instant::now() + left.saturating_sub(NOTICE.min(left / 10));
    let ended = until_end(ended);
    let cut = until_cut(leases, record.id, wants_state, events);
    tokio::pin!(ended, cut);
    let mut talking = true;
    let mut announced = false;
    let mut state = None;
    let reason = loop {
        tokio::select! {
            reason = &mut ended => break reason,
            done = said(&mut requests), if talking => match done {
                Ok(()) => {
                    // Told as it ended, which may have been earlier and otherwise.
                    let _ = broker.end(record.id, EndReason::Released);
                    talking = false;
                }
                Err(status) => return Err(status),
            },
            read = &mut cut, if state.is_none() => state = Some(read),
            () = sleep_until(notice), if !announced => {
                announced = true;
                let remaining = record.max_expires.duration_since(SystemTime::now());
                send(events, Ok(event(Event::Expiring(Expiring {
                    expire_time: Some(record.max_expires.into()),
                    remaining: remaining.ok().and_then(convert::to_proto),
                })))).await;
            }
        }
    };
    if let Some(guard) = guard {
        guard.disarm();
    }
    // One that is still being read when the lease is cut comes too late.
    let state = state.unwrap_or_else(|| StorageState::none("the browser did not answer in time"));
    let state = Some(state).filter(|_| wants_state);
    tell_end(leases, record.id, reason, state, events).await;
    Ok(())
}

/// Tells when the lease will be cut, once that is known. Resolves shortly before, with the storage
/// state when it is wanted; else never.
async fn until_cut(
    leases: &Leases,
    id: LeaseId,
    wants_state: bool,
    events: &Events,
) -> StorageState {
    let cut = leases.broker.drain().cut_known().await;
    let left = cut.saturating_duration_since(Instant::now());
    send(
        events,
        Ok(event(Event::Draining(Draining {
            deadline: leases.place.drain_time(),
            remaining: convert::to_proto(left),
        }))),
    )
    .await;
    if !wants_state {
        return future::pending().await;
    }
    let time = STATE_TIME.min(left / 2);
    sleep_until(cut - time).await;
    // A page that hangs must leave time to say what the others told.
    let read = Deadline::at(cut - time / 4);
    let read = leases.broker.storage_state(id, read).await;
    read.unwrap_or_else(|_ended| StorageState::none("the lease had ended"))
}

async fn tell_end(
    leases: &Leases,
    id: LeaseId,
    reason: Option<EndReason>,
    state: Option<StorageState>,
    events: &Events,
) {
    let record = leases.broker.get(id).ok();
    let known = record
        .as_ref()
        .and_then(|record| record.ended)
        .map(|end| end.0);
    let reason = known.or(reason).unwrap_or(EndReason::Drained);
    let word = convert::end_reason(reason).into();
    if reason.lost_browser() {
        send(
            events,
            Ok(event(Event::BrowserLost(BrowserLost { reason: word }))),
        )
        .await;
    }
    let state = state.filter(|_| reason == EndReason::Drained);
    let state = state.unwrap_or_default();
    let ended = Ended {
        reason: word,
        lease: record.map(|record| leases.place.lease(&record)),
        storage_state: state.json.unwrap_or_default(),
        storage_state_error: state.missing.unwrap_or_default(),
    };
    send(events, Ok(event(Event::Ended(ended)))).await;
}

/// Resolves with how the lease ended; `None` when only its being gone is known.
async fn until_end(ended: Option<watch::Receiver<Option<EndReason>>>) -> Option<EndReason> {
    let mut ended = ended?;
    let reason = ended.wait_for(Option::is_some).await;
    reason.ok().and_then(|reason| *reason)
}

/// Resolves when the client has said something that changes things: `Ok` for a release.
/// Half-closing says nothing: whoever goes away closes the other direction too.
async fn said(requests: &mut Streaming<HoldRequest>) -> Result<(), Status> {
    match requests.message().await {
        Ok(Some(HoldRequest {
            request: Some(Request::Release(_)),
        })) => Ok(()),
        Ok(Some(HoldRequest {
            request: Some(Request::Acquire(_)),
        })) => {
            let why = "a stream holds one lease: `acquire` was sent before";
            Err(status::invalid(vec![Violation::new("request", why)]))
        }
        Ok(Some(HoldRequest { request: None })) => {
            let why = "neither `acquire` nor `release` is set";
            Err(status::invalid(vec![Violation::new("request", why)]))
        }
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

const fn event(event: Event) -> HoldResponse {
    HoldResponse { event: Some(event) }
}

/// Sends, or finds that nobody listens any more, which ends the task anyway.
async fn send(events: &Events, event: Result<HoldResponse, Status>) {
    let _ = events.send(event).await;
}
