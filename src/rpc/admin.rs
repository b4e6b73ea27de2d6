//! `AdminService`.

use std::{pin::Pin, time::Duration, time::SystemTime};

use futures::Stream;
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::{StreamExt, wrappers::IntervalStream};
use tonic::{Request, Response, Status};

use super::{
    Shutdown, admin_health,
    convert::{self, Place},
    status,
};
use crate::{
    broker::{self, Broker, Violation},
    browser::{BrowserId, Seen, State},
    lease::{EndReason, LeaseId},
    proto::{
        self, BrowserState, BrowserStatus, DrainRequest, DrainResponse, EndLeaseRequest,
        EndLeaseResponse, FetchStatus, GetStatusRequest, GetStatusResponse, ResumeRequest,
        ResumeResponse, RetireBrowserRequest, RetireBrowserResponse, SetLogLevelRequest,
        SetLogLevelResponse, WatchStatusRequest, WatchStatusResponse,
        admin_service_server::AdminService,
    },
    telemetry::{self, Level},
};

/// The service.
#[derive(Clone, Debug)]
pub(super) struct Admin {
    broker: Broker,
    place: Place,
    shutdown: Shutdown,
    level: Option<Level>,
}

/// How many leases a status shows.
const MOST_LEASES: usize = 1000;

impl Admin {
    pub(super) fn new(
        broker: Broker,
        place: Place,
        shutdown: Shutdown,
        level: Option<Level>,
    ) -> Self {
        Self {
            broker,
            place,
            shutdown,
            level,
        }
    }

    fn status(&self) -> proto::Status {
        let status = self.broker.status();
        let health = self.broker.health();
        let latency = self.broker.latency();
        let some = |duration| (latency.count > 0).then(|| convert::to_proto(duration))?;
        let config = self.broker.pool_config();
        let (leases, _) = self.broker.list(None, MOST_LEASES, false, |_| true);
        proto::Status {
            version: env!("CARGO_PKG_VERSION").into(),
            node: self.place.node().into(),
            now: Some(SystemTime::now().into()),
            start_time: Some(self.place.started.1.into()),
            draining: status.draining,
            running: narrow(self.broker.drain().running()),
            browsers: status.browsers.iter().map(browser).collect(),
            max_browsers: config.max_browsers,
            waiting: narrow(status.waiting()),
            queue: narrow(config.queue),
            leases: leases
                .iter()
                .map(|record| self.place.lease(record))
                .collect(),
            fetches: Some(FetchStatus {
                active: narrow(status.fetches.active),
                waiting: narrow(status.fetches.waiting),
                total: status.fetches.total,
                failed: status.fetches.failed,
                connections_active: narrow(status.fetches.connections.active),
                connections_idle: narrow(status.fetches.connections.idle),
                connections_opened: status.fetches.connections.opened,
                http_requests: status.fetches.requests,
                http_requests_reused: status.fetches.connections.reused,
                limit: narrow(status.fetches.limit),
                recent: latency.count,
                latency_p50: some(latency.p50),
                latency_p95: some(latency.p95),
            }),
            launches: status.launches,
            launch_failures: status.launch_failures,
            last_launch_error: status
                .last_launch_error
                .map(|last| last.0)
                .unwrap_or_default(),
            zombies: narrow(status.zombies),
            open_fds: narrow(status.own.open_fds),
            resident_bytes: status.own.resident,
            log_level: self.level.as_ref().map(Level::current).unwrap_or_default(),
            ready: health.ready,
            health: admin_health::overall(health.status).into(),
            checks: admin_health::checks(&health),
            max_fds: status.own.max_fds,
        }
    }
}

/// A count as messages hold it.
fn narrow(count: impl TryInto<u32>) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}

fn browser((seen, lease): &(Seen, Option<LeaseId>)) -> BrowserStatus {
    let state = match seen.state {
        State::Starting => BrowserState::Starting,
        State::Idle => BrowserState::Idle,
        State::Shared => BrowserState::Shared,
        State::Leased => BrowserState::Leased,
        State::Retiring => BrowserState::Retiring,
    };
    BrowserStatus {
        id: seen.id.to_string(),
        state: state.into(),
        pid: seen.pid.unwrap_or_default(),
        age: convert::to_proto(seen.age),
        uses: seen.uses,
        contexts: narrow(seen.seats),
        memory_bytes: seen.usage.memory,
        processes: narrow(seen.usage.processes),
        open_fds: narrow(seen.usage.open_fds),
        lease_id: lease.map(|id| id.to_string()).unwrap_or_default(),
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn get_status(
        &self,
        _: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        let status = Some(self.status());
        Ok(Response::new(GetStatusResponse { status }))
    }

    type WatchStatusStream =
        Pin<Box<dyn Stream<Item = Result<WatchStatusResponse, Status>> + Send>>;

    // INVALID_ARGUMENT
    async fn watch_status(
        &self,
        request: Request<WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        const USUAL: Duration = Duration::from_secs(1);
        let allowed = Duration::from_millis(100)..=Duration::from_secs(60);
        let mut wrong = Vec::new();
        let period = convert::duration("interval", request.into_inner().interval, &mut wrong);
        let period = period.unwrap_or(USUAL);
        if !allowed.contains(&period) {
            wrong.push(Violation::new("interval", "must be 100ms to 1m"));
        }
        if !wrong.is_empty() {
            return Err(status::invalid(wrong));
        }
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let admin = self.clone();
        let cut = self.broker.drain().cut_token();
        let statuses = IntervalStream::new(ticks).map(move |_| {
            let status = Some(admin.status());
            Ok(WatchStatusResponse { status })
        });
        // The shutdown does not wait for those who watch it.
        let until_cut = futures::StreamExt::take_until(statuses, cut.cancelled_owned());
        Ok(Response::new(Box::pin(until_cut)))
    }

    async fn drain(
        &self,
        request: Request<DrainRequest>,
    ) -> Result<Response<DrainResponse>, Status> {
        let shutdown = request.into_inner().shutdown;
        tracing::info!(shutdown, "drain.asked");
        self.broker.drain().begin();
        if shutdown {
            self.shutdown.cancel();
        }
        let running = narrow(self.broker.drain().running());
        Ok(Response::new(DrainResponse { running }))
    }

    // UNAVAILABLE
    async fn resume(&self, _: Request<ResumeRequest>) -> Result<Response<ResumeResponse>, Status> {
        if self.shutdown.is_cancelled() || !self.broker.drain().resume() {
            return Err(status::of(broker::Error::Draining, &self.broker, None));
        }
        tracing::info!("drain.resumed");
        Ok(Response::new(ResumeResponse {}))
    }

    // INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION
    async fn retire_browser(
        &self,
        request: Request<RetireBrowserRequest>,
    ) -> Result<Response<RetireBrowserResponse>, Status> {
        let text = request.into_inner().browser_id;
        let id = BrowserId::parse(&text).ok_or_else(|| {
            let why = format!("not the name of a browser: {text:?}; it looks like browser-7");
            status::invalid(vec![Violation::new("browser_id", why)])
        })?;
        let retired = self.broker.retire(id);
        retired.map_err(|error| status::of(error, &self.broker, None))?;
        Ok(Response::new(RetireBrowserResponse {}))
    }

    // INVALID_ARGUMENT, NOT_FOUND
    async fn end_lease(
        &self,
        request: Request<EndLeaseRequest>,
    ) -> Result<Response<EndLeaseResponse>, Status> {
        let id = convert::lease_id(&request.into_inner().lease_id).map_err(status::invalid)?;
        let ended = self.broker.end(id, EndReason::Revoked);
        let record = ended.map_err(|error| status::of(error, &self.broker, None))?;
        let lease = Some(self.place.lease(&record));
        Ok(Response::new(EndLeaseResponse { lease }))
    }

    // INVALID_ARGUMENT, UNIMPLEMENTED
    async fn set_log_level(
        &self,
        request: Request<SetLogLevelRequest>,
    ) -> Result<Response<SetLogLevelResponse>, Status> {
        let allowed = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
        let request = request.into_inner();
        let Some(level) = &self.level else {
            return Err(status::unimplemented("the log level of another program"));
        };
        let mut wrong = Vec::new();
        let period = convert::duration("duration", request.duration, &mut wrong);
        if period.is_some_and(|period| !allowed.contains(&period)) {
            wrong.push(Violation::new("duration", "must be 1s to 24h"));
        }
        if let Err(error) = telemetry::check_filter(&request.level) {
            let why = format!("{error}; wanted is a level or directives such as info,berth=debug");
            wrong.push(Violation::new("level", why));
        }
        if !wrong.is_empty() {
            return Err(status::invalid(wrong));
        }
        let previous = level.set(&request.level, period, "SetLogLevel");
        let previous = previous
            .map_err(|error| status::invalid(vec![Violation::new("level", error.to_string())]))?;
        let level = level.current();
        Ok(Response::new(SetLogLevelResponse { previous, level }))
    }
}
