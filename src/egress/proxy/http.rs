//! What a browser says to its egress proxy where another HTTP proxy comes after: HTTP, as browsers
//! speak it to proxies. Many such proxies join nobody to port 80, so a plain request is passed on as
//! one (RFC 9112, 3.2.2); everything else is `CONNECT`.

use std::{convert::Infallible, io, pin::Pin, sync::Arc};

use futures::{StreamExt as _, stream::FuturesUnordered};
use http::{
    HeaderName, Method, Request, Response, StatusCode, Uri,
    header::{PROXY_AUTHORIZATION, UPGRADE},
};
use http_body_util::{BodyExt as _, Empty, combinators::BoxBody};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1 as client,
    server::conn::http1 as server,
    service::service_fn,
    upgrade::OnUpgrade,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::mpsc};
use url::Host;

use super::{DIAL, Failure, HANDSHAKE, Shared, carry};
use crate::{
    deadline::Deadline,
    egress::{Route, Target, upstream::Stream},
};

const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

type Body = BoxBody<Bytes, hyper::Error>;
/// What carries a request that was passed on.
type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A request is not answered: the browser sees its connection end, as it would an origin's.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error(transparent)]
    Failed(#[from] Failure),
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error("no proxy is asked for that")]
    Senseless,
}

/// One connection of a browser.
struct Connection {
    route: Route,
    shared: Arc<Shared>,
    /// What is to be joined once its answer is sent.
    joined: Mutex<Option<(OnUpgrade, Stream)>>,
    drivers: mpsc::UnboundedSender<Driver>,
}

/// Serves one connection until it ends.
pub(super) async fn converse(
    stream: TcpStream,
    route: Route,
    shared: Arc<Shared>,
) -> io::Result<()> {
    let (drivers, drive) = mpsc::unbounded_channel();
    let connection = Arc::new(Connection {
        route,
        shared,
        joined: Mutex::new(None),
        drivers,
    });
    let service = service_fn(|request| {
        let connection = Arc::clone(&connection);
        async move { connection.answer(request).await }
    });
    let serving = server::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .preserve_header_case(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let served = tokio::select! {
        served = Box::pin(serving) => served,
        never = driving(drive) => match never {},
    };
    served.map_err(io::Error::other)?;
    let joined = connection.joined.lock().take();
    let Some((upgrade, mut far)) = joined else {
        return Ok(());
    };
    let near = Deadline::after(HANDSHAKE).bound(upgrade).await;
    let near = near.map_err(io::Error::other)?.map_err(io::Error::other)?;
    let near = near.downcast::<TokioIo<TcpStream>>();
    let near = near.map_err(|_other| io::Error::other("another connection was upgraded"))?;
    far.write_all(&near.read_buf).await?;
    carry(near.io.into_inner(), far).await
}

/// Carries what was passed on, for as long as it is polled.
async fn driving(mut new: mpsc::UnboundedReceiver<Driver>) -> Infallible {
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(driver) = new.recv() => running.push(driver),
            Some(()) = running.next(), if !running.is_empty() => {}
            else => std::future::pending().await,
        }
    }
}

impl Connection {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Unanswered> {
        let target = target(request.uri()).ok_or(Unanswered::Senseless)?;
        let answered = if request.method() == Method::CONNECT {
            self.join(request, &target).await
        } else {
            self.pass_on(request, &target).await
        };
        match &answered {
            Ok(_) => self.shared.failures.forget(&target),
            Err(Unanswered::Failed(failure)) => {
                tracing::debug!(%target, %failure, "no way out");
                self.shared.failures.enter(target, failure.clone());
            }
            Err(_) => {}
        }
        answered
    }

    async fn join(
        &self,
        request: Request<Incoming>,
        target: &Target,
    ) -> Result<Response<Body>, Unanswered> {
        let far = self.route.dial(target, Deadline::after(DIAL)).await?;
        *self.joined.lock() = Some((hyper::upgrade::on(request), far));
        let nothing = Empty::new().map_err(|never| match never {}).boxed();
        let mut joined = Response::new(nothing);
        *joined.status_mut() = StatusCode::OK;
        Ok(joined)
    }

    async fn pass_on(
        &self,
        mut request: Request<Incoming>,
        target: &Target,
    ) -> Result<Response<Body>, Unanswered> {
        let deadline = Deadline::after(DIAL);
        let (far, proxy) = self.route.dial_for_http(target, deadline).await?;
        let headers = request.headers_mut();
        // Of the connection with the browser; there is none that is upgraded.
        for own in [PROXY_CONNECTION, PROXY_AUTHORIZATION, UPGRADE] {
            headers.remove(own);
        }
        match proxy {
            Some(proxy) => {
                headers.extend(proxy.authorization().map(|who| (PROXY_AUTHORIZATION, who)))
            }
            None => {
                let path = request.uri().path_and_query().cloned();
                let path = path.ok_or(Unanswered::Senseless)?;
                *request.uri_mut() = Uri::from(path);
            }
        }
        let (mut requests, driver) = client::Builder::new()
            .preserve_header_case(true)
            .handshake(TokioIo::new(far))
            .await?;
        let driver: Driver = Box::pin(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a request that was passed on broke off");
            }
        });
        // It is taken as long as this connection is served.
        let _ = self.drivers.send(driver);
        Ok(requests
            .send_request(request)
            .await?
            .map(|body| body.boxed()))
    }
}

/// Where a request for `uri` goes.
fn target(uri: &Uri) -> Option<Target> {
    let host = Host::parse(uri.host()?).ok()?;
    Some(Target::owned(host, uri.port_u16().unwrap_or(80)))
}
