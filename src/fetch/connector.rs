//! How a connection comes up: in its time, to where it may lead, and counted.

use std::{
    error::Error,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use http::Extensions;
use hyper_util::client::legacy::connect::{Connection, HttpInfo};
use tokio::time::{Instant, timeout};
use tower::{Layer, Service};

use super::{connections::Connections, ways::Ways};
use crate::metrics::Metrics;

type Boxed = Box<dyn Error + Send + Sync>;

/// Bounds, checks and counts the connections that the client makes, whatever way they go.
#[derive(Clone, Debug)]
pub(super) struct Counting {
    pub(super) limit: Duration,
    pub(super) connections: Connections,
    /// `None` for those that the egress proxy makes, which checks them.
    pub(super) ways: Option<Ways>,
    pub(super) metrics: Metrics,
}

/// A connection took longer to come up than it may.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {}", humantime::format_duration(*.0))]
pub(super) struct TooSlow(pub(super) Duration);

impl<S> Layer<S> for Counting {
    type Service = Connector<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Connector {
            inner,
            counting: self.clone(),
        }
    }
}

/// A connector that is bounded and counted.
#[derive(Clone, Debug)]
pub(super) struct Connector<S> {
    inner: S,
    counting: Counting,
}

impl<S, T> Service<T> for Connector<S>
where
    S: Service<T, Error = Boxed>,
    S::Response: Connection,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = Boxed;
    type Future = BoxFuture<'static, Result<S::Response, Boxed>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Boxed>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, target: T) -> Self::Future {
        let Counting {
            limit,
            connections,
            ways,
            metrics,
        } = self.counting.clone();
        let connecting = self.inner.call(target);
        let counted = connections.connecting();
        let connecting = async move {
            let began = Instant::now();
            let connected = timeout(limit, connecting).await;
            let io = connected.map_err(|_elapsed| TooSlow(limit))??;
            let mut extras = Extensions::new();
            io.connected().get_extras(&mut extras);
            let info = extras.get::<HttpInfo>();
            if let (Some(info), Some(ways)) = (info, ways) {
                ways.arrived(info.remote_addr().ip())?;
            }
            metrics.http_connection_opened();
            connections.opened(info, began.elapsed());
            drop(counted);
            Ok(io)
        };
        connecting.boxed()
    }
}
