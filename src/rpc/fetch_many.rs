//! `FetchService.FetchMany`: requests in, results out as they finish.

use std::{collections::VecDeque, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::mpsc, time::sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tonic_types::StatusExt;

use super::{
    call::Call,
    convert::to_proto,
    fetch::Fetches,
    status::{self, Limit},
};
use crate::{
    broker::{self, Violation},
    fetch::{Host, Turns},
    proto::{
        ErrorReason, FetchFailure, FetchManyOptions, FetchManyRequest, FetchManyResponse,
        FetchRequest, fetch_many_response::Result as Outcome,
    },
};

type Results = mpsc::Sender<Result<FetchManyResponse, Status>>;

/// How long a stream lives at most, and when its caller says nothing.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// So many times what may run is read ahead, so that one busy host does not hold up the others.
const AHEAD: usize = 4;
/// The longest `id`, in bytes.
const MAX_ID: usize = 1024;

/// Serves one stream in a task of its own; the stream's end is the task's end and the other way
/// round: what runs is dropped, and gives back what it holds.
pub(super) fn start(
    fetches: Fetches,
    call: Call,
    requests: Streaming<FetchManyRequest>,
) -> ReceiverStream<Result<FetchManyResponse, Status>> {
    // Results that are not taken are kept by the stream, which counts them as running.
    let (results, receiver) = mpsc::channel(1);
    let drain = fetches.broker.drain().clone();
    let span = tracing::Span::current();
    let task = async move {
        let gone = results.clone();
        tokio::select! {
            () = gone.closed() => {}
            served = serve(&fetches, &call, requests, &results) => if let Err(status) = served {
                // Nobody may listen any more.
                let _ = results.send(Err(status)).await;
            }
        }
    };
    drain.spawn(tracing::Instrument::instrument(task, span));
    ReceiverStream::new(receiver)
}

async fn serve(
    fetches: &Fetches,
    call: &Call,
    mut requests: Streaming<FetchManyRequest>,
    results: &Results,
) -> Result<(), Status> {
    let drain = fetches.broker.drain();
    let (cut, draining) = (drain.cut_token(), drain.begun());
    tokio::pin!(draining);
    let late = sleep_until(call.deadline.instant());
    tokio::pin!(late);
    let mut many: Option<Many<'_>> = None;
    let mut reading = Reading::Open;
    loop {
        let (room, done, ready) = match &mut many {
            Some(many) => {
                many.begin();
                (many.has_room(), many.is_empty(), !many.ready.is_empty())
            }
            None => (true, true, false),
        };
        match reading {
            Reading::Closed if done => return Ok(()),
            Reading::Draining if done => {
                return Err(status::of(broker::Error::Draining, &fetches.broker, None));
            }
            _ => {}
        }
        let next = async {
            match &mut many {
                Some(many) if !many.running.is_empty() => many.running.next().await,
                _ => None,
            }
        };
        tokio::select! {
            message = requests.message(), if reading == Reading::Open && room => match message? {
                Some(request) => match &mut many {
                    Some(many) => many.take(request, false),
                    None => many.insert(Many::new(fetches, call, request.options)?).take(request, true),
                },
                None => reading = Reading::Closed,
            },
            Some((host, result)) = next => if let Some(many) = &mut many {
                many.turns.done(&host);
                many.ready.push_back(result);
            },
            permit = results.reserve(), if ready => {
                // Without a receiver this task is about to end.
                let Ok(permit) = permit else { return Ok(()) };
                if let Some(result) = many.as_mut().and_then(|many| many.ready.pop_front()) {
                    permit.send(Ok(result));
                }
            }
            () = &mut draining, if reading == Reading::Open => reading = Reading::Draining,
            () = &mut late => {
                let limit = Limit { name: "deadline", value: call.timeout.unwrap_or(LONGEST) };
                return Err(status::of(broker::Error::Passed, &fetches.broker, Some(limit)));
            }
            () = cut.cancelled() => {
                return Err(status::of(broker::Error::Draining, &fetches.broker, None));
            }
        }
    }
}

/// Whether more requests are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Open,
    /// The client has said all.
    Closed,
    /// The broker takes no more.
    Draining,
}

type Running<'a> = BoxFuture<'a, (Host, FetchManyResponse)>;

/// The requests of one stream, from being read to being answered.
struct Many<'a> {
    fetches: &'a Fetches,
    call: &'a Call,
    most: usize,
    turns: Turns<(String, FetchRequest)>,
    running: FuturesUnordered<Running<'a>>,
    ready: VecDeque<FetchManyResponse>,
}

impl<'a> Many<'a> {
    fn new(
        fetches: &'a Fetches,
        call: &'a Call,
        options: Option<FetchManyOptions>,
    ) -> Result<Self, Status> {
        let options = options.unwrap_or_default();
        let mut wrong = Vec::new();
        let mut read = |field: &str, value: u32, usual| match value {
            0 => usual,
            1..=256 => value as usize,
            _ => {
                let why = format!("{value} is not in 1 to 256");
                wrong.push(Violation::new(format!("options.{field}"), why));
                usual
            }
        };
        let most = read("max_concurrent", options.max_concurrent, 16);
        let per_host = read("max_per_host", options.max_per_host, 4);
        if !wrong.is_empty() {
            return Err(status::invalid(wrong));
        }
        let owners = fetches.broker.most_fetches(call.caller.owner());
        let owners = owners.map_or(usize::MAX, |most| most as usize);
        Ok(Self {
            fetches,
            call,
            most: most.min(owners),
            turns: Turns::new(per_host),
            running: FuturesUnordered::new(),
            ready: VecDeque::new(),
        })
    }

    fn has_room(&self) -> bool {
        self.turns.waiting() + self.running.len() + self.ready.len() < self.most * AHEAD
    }

    fn is_empty(&self) -> bool {
        self.turns.waiting() == 0 && self.running.is_empty() && self.ready.is_empty()
    }

    /// Takes a request in: what cannot be fetched is answered, the rest waits for its turn.
    fn take(&mut self, request: FetchManyRequest, first: bool) {
        let FetchManyRequest { id, fetch, options } = request;
        let mut wrong = Vec::new();
        if id.len() > MAX_ID {
            wrong.push(Violation::new("id", format!("longer than {MAX_ID} bytes")));
        }
        if options.is_some() && !first {
            let why = "only the first request of a stream may set them";
            wrong.push(Violation::new("options", why));
        }
        let fetch = fetch.unwrap_or_default();
        match crate::fetch::Request::target(&fetch.url) {
            Ok(url) if wrong.is_empty() => self.turns.push(Host::of(&url), (id, fetch)),
            target => {
                let target = target.err();
                wrong
                    .extend(target.map(|problem| Violation::new("fetch.url", problem.to_string())));
                let failure = failure(&status::invalid(wrong));
                self.ready.push_back(answer(id, Outcome::Failure(failure)));
            }
        }
    }

    /// Begins what may run. What nobody takes counts as running.
    fn begin(&mut self) {
        while self.running.len() + self.ready.len() < self.most
            && let Some((host, (id, request))) = self.turns.begin()
        {
            let (fetches, bound) = (self.fetches, self.call.deadline);
            let owner = self.call.caller.owner();
            let run = async move {
                let outcome = match fetches.one(owner, request, bound).await {
                    Ok(response) => Outcome::Response(response),
                    Err(status) => Outcome::Failure(failure(&status)),
                };
                (host, answer(id, outcome))
            };
            self.running.push(run.boxed());
        }
    }
}

fn answer(id: String, result: Outcome) -> FetchManyResponse {
    FetchManyResponse {
        id,
        result: Some(result),
    }
}

/// A failure among results that are not: what `status` says, as a message.
fn failure(status: &Status) -> FetchFailure {
    let details = status.get_error_details();
    let reason = details
        .error_info()
        .and_then(|info| ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason)));
    let retry = details.retry_info().and_then(|retry| retry.retry_delay);
    FetchFailure {
        code: status.code().into(),
        reason: reason.unwrap_or(ErrorReason::Unspecified).into(),
        message: status.message().into(),
        retry_delay: retry.and_then(to_proto),
    }
}
