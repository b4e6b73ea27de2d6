//! The composition root: everything put together, and the order of a shutdown.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    runtime::Handle,
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    accept::Secure,
    auth::{self, Gate},
    broker::Broker,
    browser::{self, Isolation, Pool, RunDir, RunDirError, jail},
    config::Config,
    deadline::Deadline,
    drain::Drain,
    egress::{Egress, OwnPort, OwnPorts, Policy, ProxyError, Resolver, ResolverError, Route},
    fetch::{self, Fetcher},
    gateway,
    lease::EndReason,
    metrics::{self, Metrics},
    ops, rpc, telemetry,
};

/// A broker with its transports, up and serving.
#[derive(Debug)]
pub struct Server {
    broker: Broker,
    pool: Pool,
    drain: Drain,
    health: Arc<rpc::Reporter>,
    addresses: Addresses,
    transports: JoinSet<()>,
    stop: CancellationToken,
    asked: rpc::Shutdown,
    telemetry: telemetry::Controls,
    shutdown_timeout: Duration,
    /// Its ports are closed to what it fetches as long as it listens.
    _own: [OwnPort; 3],
}

/// Where a server listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// gRPC.
    pub grpc: SocketAddr,
    /// The CDP gateway.
    pub gateway: SocketAddr,
    /// Health and metrics over HTTP.
    pub ops: SocketAddr,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All work had ended, and nothing is left.
    Clean,
    /// Work was cut, or the time was over before everything was gone.
    Forced,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be had.
    #[error(
        "cannot listen on {address} ({setting}): {source}{}",
        remedy(source, setting)
    )]
    Listen {
        /// The setting it comes from.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The run directory cannot be used.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// The jail that is wanted does not work.
    #[error("the jail for browsers: {0}; or set --jail auto or none")]
    Jail(#[from] jail::Error),
    /// The HTTP client cannot be built.
    #[error("cannot build the HTTP client: {0}")]
    Client(#[from] fetch::BuildError),
    /// Names cannot be looked up.
    #[error(transparent)]
    Resolver(#[from] ResolverError),
    /// The operator's proxy cannot be used.
    #[error(transparent)]
    EgressProxy(#[from] ProxyError),
    /// A file that says who may call cannot be used.
    #[error(transparent)]
    Auth(#[from] auth::Error),
    /// The metrics cannot be set up.
    #[error(transparent)]
    Metrics(#[from] metrics::Error),
}

/// What helps when an address cannot be had.
fn remedy(error: &io::Error, setting: &str) -> String {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there, perhaps a broker",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address",
        io::ErrorKind::PermissionDenied => "ports below 1024 are kept for root",
        _ => return String::new(),
    };
    let flag = setting.replace('_', "-");
    format!("; {why}: set another with --{flag}")
}

/// What is kept of the shutdown's time for what comes after the grace: killing, reaping, closing. A
/// third of it when that is less. A third of this in turn is kept for the transports.
const RESERVE: Duration = Duration::from_secs(3);

/// Makes this process the one that orphans of its descendants fall to, so that it can reap what a
/// browser leaves behind. Call it once, before anything is started.
pub fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
        tracing::warn!(%error, "cannot become the reaper of orphans: zombies may stay behind");
    }
}

impl Server {
    /// Binds, sweeps what a dead predecessor left, and serves. Browsers come up in the background:
    /// health tells when the first is there.
    ///
    /// # Errors
    /// See [`Error`]; nothing stays behind then.
    pub async fn start(config: &Config) -> Result<Self, Error> {
        Self::start_with(config, telemetry::Controls::default()).await
    }

    /// As [`Server::start`], with the log and the traces of the process in its hands.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_with(
        config: &Config,
        telemetry: telemetry::Controls,
    ) -> Result<Self, Error> {
        let metrics = Metrics::new()?;
        let gate = Gate::open(&config.auth, &metrics).await?;
        let grpc = listen("listen", config.listen).await?;
        let gateway = listen("gateway_listen", config.gateway_listen).await?;
        let ops = listen("ops_listen", config.ops_listen).await?;
        let addresses = Addresses {
            grpc: bound("listen", &grpc)?,
            gateway: bound("gateway_listen", &gateway)?,
            ops: bound("ops_listen", &ops)?,
        };
        let (run_dir, swept) = RunDir::claim(&config.run_dir)?;
        if swept.instances + swept.processes > 0 {
            let (instances, processes) = (swept.instances, swept.processes);
            tracing::warn!(instances, processes, "run_dir.swept");
        }
        let drain = Drain::new(Handle::current());
        let ports = OwnPorts::default();
        let own = [addresses.grpc, addresses.gateway, addresses.ops];
        let own = own.map(|address| ports.add(address.port()));
        let policy = Policy::new(config.egress(), ports, &metrics);
        let egress = Egress::new(policy, Resolver::new(&config.dns_servers)?);
        let route = Route::new(egress.clone(), config.egress_detour()?);
        let browsers = browser::Config {
            isolation: Isolation::set_up(config.isolation(), &run_dir).await?,
            ..config.pool()
        };
        let pool = Pool::start(browsers, route.clone(), Arc::new(run_dir), &drain, &metrics);
        let fetcher = Fetcher::new(config.fetches(), pool.clone(), route, &drain, &metrics)?;
        let broker = Broker::start(
            config.leases(),
            config.quotas(),
            config.thresholds(),
            pool.clone(),
            fetcher,
            &drain,
            &metrics,
        );
        let mut server = Self {
            broker,
            pool,
            drain,
            health: Arc::new(rpc::Reporter::new().await),
            addresses,
            transports: JoinSet::new(),
            stop: CancellationToken::new(),
            asked: rpc::Shutdown::new(),
            telemetry,
            shutdown_timeout: config.shutdown_timeout,
            _own: own,
        };
        let (watched, cut) = (gate.clone(), server.drain.cut_token());
        server
            .drain
            .spawn(async move { cut.run_until_cancelled(watched.watch()).await });
        server.serve_grpc(grpc, config, &gate, &metrics);
        server.serve_gateway(gateway, config, &gate);
        server.serve_ops(ops, config, &gate, metrics);
        tracing::info!(
            grpc = %addresses.grpc, gateway = %addresses.gateway, ops = %addresses.ops,
            "server.started"
        );
        Ok(server)
    }

    fn serve_grpc(
        &mut self,
        listener: TcpListener,
        config: &Config,
        gate: &Gate,
        metrics: &Metrics,
    ) {
        let options = rpc::Options {
            node: config.node.clone(),
            gateway: self.addresses.gateway,
            gateway_public_url: config.gateway_public_url.clone(),
            gate: gate.clone(),
            health_open: !config.auth.health_required,
            reflection_open: config.auth.reflection_open,
            max_connections: config.max_connections,
            keepalive_interval: config.grpc_keepalive_interval,
            keepalive_timeout: config.grpc_keepalive_timeout,
            max_message_size: config.max_message_size,
            fetch_timeout: config.fetch_timeout,
            fetch_max_timeout: config.fetch_max_timeout,
            log_level: self.telemetry.level.clone(),
        };
        let (broker, metrics, health) = (self.broker.clone(), metrics.clone(), self.health.clone());
        let (asked, stop) = (self.asked.clone(), self.stop.clone());
        self.transports.spawn(async move {
            let stopped = stop.cancelled_owned();
            let served =
                rpc::serve(listener, broker, options, metrics, &health, asked, stopped).await;
            if let Err(error) = served {
                tracing::error!(%error, "the gRPC transport failed");
            }
        });
        let (broker, health) = (self.broker.clone(), self.health.clone());
        let cut = self.drain.cut_token();
        self.drain
            .spawn(async move { cut.run_until_cancelled(health.follow(&broker)).await });
        if let Some(level) = self.telemetry.level.clone() {
            let cut = self.drain.cut_token();
            self.drain
                .spawn(async move { cut.run_until_cancelled(level.watch()).await });
        }
    }

    fn serve_gateway(&mut self, listener: TcpListener, config: &Config, gate: &Gate) {
        let options = gateway::Options {
            public_url: config.gateway_public_url.clone(),
            secure: Some(Secure::http(gate.clone())),
            policy: config.cdp_policy,
            ..gateway::Options::default()
        };
        let (broker, stop) = (self.broker.clone(), self.stop.clone().cancelled_owned());
        self.transports
            .spawn(gateway::serve(listener, broker, options, stop));
    }

    fn serve_ops(&mut self, listener: TcpListener, config: &Config, gate: &Gate, metrics: Metrics) {
        let broker = self.broker.clone();
        let router = ops::router(metrics, move || broker.health());
        let router = router.merge(ops::dashboard(self.broker.clone(), config.node.clone()));
        let open = !self.addresses.ops.ip().to_canonical().is_loopback();
        let mut names = config.auth.ops_hosts.clone();
        names.push(config.node.clone());
        let access = ops::Access {
            names,
            gate: config.auth.asks_at_ops(open).then(|| gate.clone()),
        };
        let (router, secure) = (access.guard(router), Secure::http(gate.clone()));
        let stop = self.stop.clone().cancelled_owned();
        self.transports
            .spawn(ops::serve(listener, secure, router, stop));
    }

    /// Where it listens.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The use cases, for whoever is in the same process.
    #[must_use]
    pub const fn broker(&self) -> &Broker {
        &self.broker
    }

    /// The browsers, to be looked at.
    #[must_use]
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Serves until `stop`, or until an operator asks for the end; then shuts down as
    /// [`Server::shut_down`] does.
    ///
    /// # Cancel safety
    /// Dropped, it leaves browsers running until the process ends; call it to its end.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Ended {
        let asked = self.asked.clone();
        tokio::select! {
            () = stop => {}
            () = asked.cancelled() => {}
        }
        self.shut_down().await
    }

    /// Shuts down, within the shutdown timeout. Application first, transport last: nobody is sent
    /// here any more, new work is refused, running work may end; what then still runs is cut,
    /// browsers are killed and reaped; only then do the transports close, so that until the end
    /// clients can renew, release and read why.
    ///
    /// # Cancel safety
    /// As [`Server::run`].
    pub async fn shut_down(mut self) -> Ended {
        let deadline = Deadline::after(self.shutdown_timeout);
        let reserve = RESERVE.min(self.shutdown_timeout / 3);
        let closing = reserve / 3;
        let grace = Deadline::at(deadline.instant() - reserve);
        let killing = Deadline::at(deadline.instant() - closing);
        let begun = Instant::now();
        tracing::info!(running = self.drain.running(), "server.draining");
        self.health.not_serving().await;
        self.drain.begin_until(grace.instant());
        let mut clean = grace.bound(self.drain.idle()).await.is_ok();
        if !clean {
            tracing::warn!(running = self.drain.running(), "drain.cut");
        }
        self.broker.end_all(EndReason::Drained);
        self.drain.cut();
        clean &= killing.bound(self.pool.shut_down()).await.is_ok();
        self.stop.cancel();
        let transports = &mut self.transports;
        let closed = async { while transports.join_next().await.is_some() {} };
        // Whoever keeps a connection open does not keep us: silent clients and watchers are cut.
        let late = deadline.within(closing / 2);
        if timeout_at(late.instant(), closed).await.is_err() {
            self.transports.shutdown().await;
        }
        clean &= deadline.bound(self.drain.closed()).await.is_ok();
        if let Some(traces) = &self.telemetry.traces
            && !traces.close(deadline).await
        {
            tracing::warn!("traces.lost");
        }
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(clean, millis, "server.stopped");
        if clean { Ended::Clean } else { Ended::Forced }
    }
}

async fn listen(setting: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen {
            setting,
            address,
            source,
        })
}

fn bound(setting: &'static str, listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|source| Error::Listen {
        setting,
        address: SocketAddr::from(([0; 4], 0)),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_cannot_be_had_is_told_with_its_remedy() {
        let error = |kind| Error::Listen {
            setting: "ops_listen",
            address: ([127, 0, 0, 1], 80).into(),
            source: io::Error::from(kind),
        };
        for (kind, said) in [
            (io::ErrorKind::PermissionDenied, "below 1024"),
            (io::ErrorKind::AddrInUse, "another program"),
            (io::ErrorKind::AddrNotAvailable, "no such address"),
        ] {
            let told = error(kind).to_string();
            assert!(
                told.contains(said) && told.ends_with("set another with --ops-listen"),
                "{told}"
            );
        }
    }
}
