//! `FetchService`.

use std::{pin::Pin, time::Duration};

use futures::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::{
    Options,
    call::Call,
    fetch_messages,
    status::{self, Limit},
};
use crate::{
    broker::Broker,
    proto::{
        FetchManyRequest, FetchManyResponse, FetchRequest, FetchResponse,
        fetch_service_server::FetchService,
    },
};

/// The service.
#[derive(Clone, Debug)]
pub(super) struct Fetches {
    broker: Broker,
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
        let request = fetch_messages::request(request.into_inner()).map_err(status::invalid)?;
        let fetched = self.broker.fetch(request, call.deadline).await;
        let response = fetched.map_err(|error| status::of(error, &self.broker, Some(limit)))?;
        Ok(Response::new(fetch_messages::response(response)))
    }

    type FetchManyStream = Pin<Box<dyn Stream<Item = Result<FetchManyResponse, Status>> + Send>>;

    async fn fetch_many(
        &self,
        _: Request<Streaming<FetchManyRequest>>,
    ) -> Result<Response<Self::FetchManyStream>, Status> {
        Err(status::unimplemented(
            "FetchService.FetchMany (call Fetch for each)",
        ))
    }
}
