//! `LeaseService`.

use std::time::Duration;

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{
    access::own_lease,
    browser_options,
    call::{self, Call},
    convert::{self, Place},
    hold,
    observe::Carried,
    status::{self, Limit},
};
use crate::{
    broker::{AcquireSpec, Broker, Violation},
    lease::{EndReason, LeaseId, OnDisconnect},
    proto::{
        self, AcquireRequest, AcquireResponse, GetRequest, GetResponse, HoldRequest, HoldResponse,
        ListRequest, ListResponse, ReleaseRequest, ReleaseResponse, RenewRequest, RenewResponse,
        lease_service_server::LeaseService,
    },
};

/// The service.
#[derive(Clone, Debug)]
pub(super) struct Leases {
    pub(super) broker: Broker,
    pub(super) place: Place,
}

/// A caller without a deadline is bounded by its wait, and a launch by its own bound; this is
/// never the first to come.
const NO_DEADLINE: Duration = Duration::from_secs(365 * 24 * 3600);

impl Leases {
    pub(super) fn new(broker: Broker, place: Place) -> Self {
        Self { broker, place }
    }

    pub(super) fn call<T>(&self, request: &Request<T>) -> Result<Call, Status> {
        Call::of(request, NO_DEADLINE, NO_DEADLINE)
    }

    /// The limit that bounds the wait of `spec` under `call`.
    pub(super) fn limit(&self, spec: &AcquireSpec, call: &Call) -> Limit {
        let most = self.broker.lease_config().max_wait;
        let wait = spec.wait.unwrap_or(most).min(most);
        match call.timeout {
            Some(value) if value < wait => Limit {
                name: "deadline",
                value,
            },
            _ => Limit {
                name: "wait",
                value: wait,
            },
        }
    }
}

/// What a client asks for, as the broker speaks.
pub(super) fn spec(request: AcquireRequest, owner: &str) -> Result<AcquireSpec, Status> {
    let mut wrong = Vec::new();
    let on_disconnect = match request.on_disconnect() {
        proto::OnDisconnect::Unspecified => None,
        proto::OnDisconnect::Release => Some(OnDisconnect::Release),
        proto::OnDisconnect::Keep => Some(OnDisconnect::Keep),
    };
    if proto::OnDisconnect::try_from(request.on_disconnect).is_err() {
        let why = format!("there is no value {}", request.on_disconnect);
        wrong.push(Violation::new("on_disconnect", why));
    }
    let spec = AcquireSpec {
        owner: owner.to_owned(),
        wait: convert::duration("wait", request.wait, &mut wrong),
        ttl: convert::duration("ttl", request.ttl, &mut wrong),
        idle_timeout: convert::duration("idle_timeout", request.idle_timeout, &mut wrong),
        max_lifetime: convert::duration("max_lifetime", request.max_lifetime, &mut wrong),
        on_disconnect,
        detach_grace: convert::duration("detach_grace", request.detach_grace, &mut wrong),
        labels: request.labels.into_iter().collect(),
        profile: browser_options::profile(request.browser.unwrap_or_default(), &mut wrong),
        request_id: Some(request.request_id).filter(|id| !id.is_empty()),
    };
    if wrong.is_empty() {
        Ok(spec)
    } else {
        Err(status::invalid(wrong))
    }
}

#[tonic::async_trait]
impl LeaseService for Leases {
    // INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE, DEADLINE_EXCEEDED
    async fn acquire(
        &self,
        request: Request<AcquireRequest>,
    ) -> Result<Response<AcquireResponse>, Status> {
        let call = self.call(&request)?;
        let request = request.into_inner();
        if request.storage_state {
            let why = "only a Hold stream is told: there is no other way to say it";
            return Err(status::invalid(vec![Violation::new("storage_state", why)]));
        }
        let spec = spec(request, call.caller.owner())?;
        let limit = self.limit(&spec, &call);
        let acquired = self
            .broker
            .acquire(spec, call.deadline, false, |_| {})
            .await;
        let leased = acquired.map_err(|error| status::of(error, &self.broker, Some(limit)))?;
        let grant = &leased.grant;
        let authority = call.authority.as_deref();
        let lease = self.place.granted(&grant.record, &grant.token, authority);
        let mut response = Response::new(AcquireResponse { lease: Some(lease) });
        if let Some(guard) = leased.guard {
            response.extensions_mut().insert(Carried::new(guard));
        }
        Ok(response)
    }

    type HoldStream = ReceiverStream<Result<HoldResponse, Status>>;

    // as acquire, before the grant
    async fn hold(
        &self,
        request: Request<Streaming<HoldRequest>>,
    ) -> Result<Response<Self::HoldStream>, Status> {
        let call = self.call(&request)?;
        let events = hold::start(self.clone(), call, request.into_inner());
        Ok(Response::new(events))
    }

    // INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED
    async fn renew(
        &self,
        request: Request<RenewRequest>,
    ) -> Result<Response<RenewResponse>, Status> {
        let caller = call::caller(request.extensions());
        let request = request.into_inner();
        let mut wrong = Vec::new();
        let ttl = convert::duration("ttl", request.ttl, &mut wrong);
        if !wrong.is_empty() {
            return Err(status::invalid(wrong));
        }
        let id = own_lease(&self.broker, &caller, &request.lease_id)?;
        let renewed = self.broker.renew(id, ttl);
        let record = renewed.map_err(|error| status::of(error, &self.broker, None))?;
        let lease = Some(self.place.lease(&record));
        Ok(Response::new(RenewResponse { lease }))
    }

    // INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED
    async fn release(
        &self,
        request: Request<ReleaseRequest>,
    ) -> Result<Response<ReleaseResponse>, Status> {
        let caller = call::caller(request.extensions());
        let id = own_lease(&self.broker, &caller, &request.into_inner().lease_id)?;
        let ended = self.broker.end(id, EndReason::Released);
        let record = ended.map_err(|error| status::of(error, &self.broker, None))?;
        let lease = Some(self.place.lease(&record));
        Ok(Response::new(ReleaseResponse { lease }))
    }

    // INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED
    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let caller = call::caller(request.extensions());
        let id = own_lease(&self.broker, &caller, &request.into_inner().lease_id)?;
        let found = self.broker.get(id);
        let record = found.map_err(|error| status::of(error, &self.broker, None))?;
        let lease = Some(self.place.lease(&record));
        Ok(Response::new(GetResponse { lease }))
    }

    // INVALID_ARGUMENT
    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        const USUAL: u32 = 100;
        const MOST: u32 = 1000;
        let caller = call::caller(request.extensions());
        let request = request.into_inner();
        let mut wrong = Vec::new();
        let size = match request.page_size {
            0 => USUAL,
            size => size,
        };
        if size > MOST {
            let why = format!("{size} is more than {MOST}");
            wrong.push(Violation::new("page_size", why));
        }
        let token = request.page_token.as_str();
        let after = LeaseId::parse(token);
        if after.is_none() && !token.is_empty() {
            let why = "not the next_page_token of an earlier answer";
            wrong.push(Violation::new("page_token", why));
        }
        if !wrong.is_empty() {
            return Err(status::invalid(wrong));
        }
        let labels = request.labels;
        let wanted = |record: &crate::lease::Record<_>| {
            let has = |(key, value): (&String, &String)| record.labels.get(key) == Some(value);
            caller.may_touch(&record.owner) && labels.iter().all(has)
        };
        let (page, next) = self
            .broker
            .list(after, size as usize, request.include_ended, wanted);
        Ok(Response::new(ListResponse {
            leases: page.iter().map(|record| self.place.lease(record)).collect(),
            next_page_token: next.map(|id| id.to_string()).unwrap_or_default(),
        }))
    }
}
