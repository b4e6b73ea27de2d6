//! `FetchService`.

use std::{pin::Pin, time::Duration};

use futures::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::{Options, status};
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
}

#[tonic::async_trait]
impl FetchService for Fetches {
    async fn fetch(
        &self,
        _request: Request<FetchRequest>,
    ) -> Result<Response<FetchResponse>, Status> {
        Err(status::unimplemented("FetchService.Fetch"))
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
