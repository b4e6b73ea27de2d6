//! `FetchService`.

use std::time::Duration;

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{
    Options,
    call::Call,
    fetch_http, fetch_many, fetch_messages,
    status::{self, Limit},
};
use crate::{
    broker::Broker,
    deadline::Deadline,
    proto::{
        FetchManyRequest, FetchManyResponse, FetchRequest, FetchResponse,
        fetch_service_server::FetchService,
    },
};

/// The service.
#[derive(Clone, Debug)]
pub(super) struct Fetches {
    pub(super) broker: Broker,
    timeout: Duration,
    most: Duration,
}

impl Fetches {
    pub(super) fn new(broker: Broker, options: &Options) -> Self {
        Self {
            broker,
            timeout: options.fetch_timeout,
            most: options.fetch_max_timeout,
        }
    }

    /// Fetches one of many of `owner`, `bound` being the stream's deadline.
    pub(super) async fn one(
        &self,
        owner: &str,
        message: FetchRequest,
        bound: Deadline,
    ) -> Result<FetchResponse, Status> {
        let limit = Limit {
            name: "fetch_timeout",
            value: self.timeout,
        };
        let bound = match message.timeout {
            Some(_) => bound,
            None => bound.within(self.timeout),
        };
        self.run(owner, message, bound, limit, true).await
    }

    /// Fetches by `deadline`, of which `limit` is the name, or by the message's own `timeout`. Where
    /// `owner` may ask again only later, a `patient` one waits.
    async fn run(
        &self,
        owner: &str,
        message: FetchRequest,
        deadline: Deadline,
        limit: Limit,
        patient: bool,
    ) -> Result<FetchResponse, Status> {
        let mut wrong = Vec::new();
        let timeout = fetch_http::timeout(message.timeout, &mut wrong);
        let request = match fetch_messages::request(message) {
            Ok(request) if wrong.is_empty() => request,
            Ok(_) => return Err(status::invalid(wrong)),
            Err(before) => {
                wrong.splice(..0, before);
                return Err(status::invalid(wrong));
            }
        };
        let own = timeout.map(|value| value.min(self.most));
        let (deadline, limit) = match own {
            Some(value) if deadline.remaining() > value => {
                let name = "timeout";
                (Deadline::after(value), Limit { name, value })
            }
            _ => (deadline, limit),
        };
        let fetched = self.broker.fetch(owner, request, deadline, patient).await;
        let response = fetched.map_err(|error| status::of(error, &self.broker, Some(limit)))?;
        Ok(fetch_messages::response(response))
    }

    /// The limit that bounds a fetch under `call`.
    fn limit(&self, call: &Call) -> Limit {
        match call.timeout {
            Some(value) if value <= self.most => Limit {
                name: "deadline",
                value,
            },
            Some(_) => Limit {
                name: "fetch_max_timeout",
                value: self.most,
            },
            None => Limit {
                name: "fetch_timeout",
                value: self.timeout,
            },
        }
    }
}

#[tonic::async_trait]
impl FetchService for Fetches {
    // INVALID_ARGUMENT, UNAVAILABLE, FAILED_PRECONDITION, RESOURCE_EXHAUSTED, ABORTED,
    // DEADLINE_EXCEEDED
    async fn fetch(
        &self,
        request: Request<FetchRequest>,
    ) -> Result<Response<FetchResponse>, Status> {
        let call = Call::of(&request, self.timeout, self.most)?;
        let limit = self.limit(&call);
        let (owner, message) = (call.caller.owner(), request.into_inner());
        let fetched = self.run(owner, message, call.deadline, limit, false);
        fetched.await.map(Response::new)
    }

    type FetchManyStream = ReceiverStream<Result<FetchManyResponse, Status>>;

    // Of the stream: INVALID_ARGUMENT, UNAVAILABLE, DEADLINE_EXCEEDED. The rest is in the results.
    async fn fetch_many(
        &self,
        request: Request<Streaming<FetchManyRequest>>,
    ) -> Result<Response<Self::FetchManyStream>, Status> {
        let call = Call::of(&request, fetch_many::LONGEST, fetch_many::LONGEST)?;
        let results = fetch_many::start(self.clone(), call, request.into_inner());
        Ok(Response::new(results))
    }
}
