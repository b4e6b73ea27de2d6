//! The way to the browser's own DevTools port.

use std::{convert::Infallible, io, net::SocketAddr};

use axum::body::{Body, Bytes, to_bytes};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    client::conn::http1,
    header::{
        CONNECTION, HOST, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_VERSION, UPGRADE,
    },
    upgrade::Upgraded,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::{
    accept::Stream,
    browser::{Endpoint, cdp},
    deadline::Deadline,
};

/// The longest answer that is read, in bytes; the protocol's own description has 1.5 MB.
const MAX_ANSWER: usize = 16 << 20;

/// Why the browser's port gave nothing useful.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the browser's DevTools port cannot be reached: {0}")]
    Connect(#[source] io::Error),
    #[error("the browser's DevTools port did not answer in time")]
    Timeout,
    #[error("the browser's DevTools port broke off: {0}")]
    Http(#[from] hyper::Error),
    #[error("the browser's DevTools port sent an answer that cannot be read")]
    Unreadable,
    #[error("the browser's DevTools port answered {0}")]
    Refused(StatusCode),
    #[error("the leased browser has no such target")]
    NoTarget,
    #[error("the leased browser cannot be told where to save: {0}")]
    Cdp(#[from] cdp::Error),
}

/// A stream that speaks websocket frames from now on, and what was read of them already.
#[derive(Debug)]
pub(super) struct Raw<S> {
    pub(super) stream: S,
    pub(super) early: Bytes,
}

/// That of a client.
pub(super) type Client = Raw<Stream>;
/// That of a browser.
pub(super) type Browser = Raw<TcpStream>;

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Raw<S> {
    /// Takes the stream out of hyper's hands; `None` when it is not one of ours.
    pub(super) fn unwrap(upgraded: Upgraded) -> Option<Self> {
        let parts = upgraded.downcast::<TokioIo<S>>().ok()?;
        Some(Self {
            stream: parts.io.into_inner(),
            early: parts.read_buf,
        })
    }
}

/// Fetches one of the browser's discovery pages.
///
/// # Cancel safety
/// Yes: the connection is dropped.
pub(super) async fn get(
    endpoint: &Endpoint,
    path: &str,
    deadline: Deadline,
) -> Result<Bytes, Error> {
    let request = request(endpoint.addr, path)?;
    let read = async |response: Response<Incoming>| {
        if response.status() != StatusCode::OK {
            return Err(Error::Refused(response.status()));
        }
        let body = to_bytes(Body::new(response.into_body()), MAX_ANSWER).await;
        body.map_err(|_| Error::Unreadable)
    };
    let answer = exchange(endpoint.addr, request, read);
    deadline.bound(answer).await.map_err(|_| Error::Timeout)?
}

/// Opens a websocket to a target with the client's own key, and returns the matching accept key.
/// No extension is offered, so that frames mean the same on both sides.
///
/// # Cancel safety
/// Yes: the connection is dropped.
pub(super) async fn websocket(
    addr: SocketAddr,
    path: &str,
    key: HeaderValue,
    deadline: Deadline,
) -> Result<(Browser, HeaderValue), Error> {
    let mut request = request(addr, path)?;
    let headers = request.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, key);
    let upgrade = async |mut response: Response<Incoming>| {
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => {}
            // What Chromium says of an unknown target depends on its version.
            StatusCode::NOT_FOUND | StatusCode::INTERNAL_SERVER_ERROR => {
                return Err(Error::NoTarget);
            }
            other => return Err(Error::Refused(other)),
        }
        let accept = response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
        let accept = accept.ok_or(Error::Unreadable)?;
        let upgraded = hyper::upgrade::on(response).await?;
        let raw = Browser::unwrap(upgraded).ok_or(Error::Unreadable)?;
        Ok((raw, accept))
    };
    let answer = exchange(addr, request, upgrade);
    deadline.bound(answer).await.map_err(|_| Error::Timeout)?
}

/// A request with nothing of the client's in it: no `Origin`, and a `Host` the browser accepts.
fn request(addr: SocketAddr, path: &str) -> Result<Request<Body>, Error> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = Uri::try_from(path).map_err(|_| Error::NoTarget)?;
    let host = HeaderValue::try_from(addr.to_string()).map_err(|_| Error::NoTarget)?;
    request.headers_mut().insert(HOST, host);
    Ok(request)
}

async fn exchange<T>(
    addr: SocketAddr,
    request: Request<Body>,
    read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, Error>,
) -> Result<T, Error> {
    let stream = TcpStream::connect(addr).await.map_err(Error::Connect)?;
    stream.set_nodelay(true).map_err(Error::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async { read(sender.send_request(request).await?).await };
    let drive = async {
        // However it ends, the request under way is told.
        let _ended = connection.with_upgrades().await;
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        answer = answer => answer,
        never = drive => match never {},
    }
}
