//! The egress proxy of a browser: its only way to a network.
//!
//! It speaks SOCKS 5 on a port of its own on loopback, and carries bytes: nothing between a browser
//! and an origin is read or written anew. Only where an HTTP proxy comes after, it speaks HTTP. Names
//! are looked up here, checked, and dialled as checked.
//!
//! Where the operator has a proxy, the HTTP client goes by one of these as well: there is one way to it.

mod failures;
mod http;
mod socks;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::failures::Failure;
use self::{failures::Failures, socks::Reply};
use super::{OwnPort, Route, Target, upstream::Stream};
use crate::{accept::Acceptor, deadline::Deadline, drain::Drain};

/// Connections at the same time; further ones wait to be taken. Chromium makes at most 32 through one
/// proxy for each browser context, and as many for websockets: this is enough for eight contexts.
const MOST_CONNECTIONS: usize = 512;
/// A browser says at once where it wants to go.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may take to come up, names and proxies included.
const DIAL: Duration = Duration::from_secs(30);
/// How long one end may go on once the other has ended. Browsers close both ways at once, and origins
/// that have answered want no more, so this is for what is on its way to arrive.
const LINGER: Duration = Duration::from_secs(5);

/// The egress proxy of one browser, of one of its contexts, or of an HTTP client. Dropped, or when the
/// drain cuts, it closes, and cuts what it carries.
#[derive(Debug)]
pub struct EgressProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _open: DropGuard,
}

#[derive(Debug)]
struct Shared {
    current: Mutex<Current>,
    failures: Failures,
}

/// The way that connections go now, and the end of those that go it.
#[derive(Clone, Debug)]
struct Current {
    route: Route,
    end: CancellationToken,
}

impl EgressProxy {
    /// A proxy whose connections go by `route`, on a free port.
    ///
    /// # Errors
    /// When there is no port to be had.
    pub fn open(route: Route, drain: &Drain) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let own = route.egress().policy().own_ports().add(address.port());
        // Whoever holds it may live longer than what is cut.
        let closed = drain.cut_token().child_token();
        let end = closed.child_token();
        let shared = Arc::new(Shared {
            current: Mutex::new(Current { route, end }),
            failures: Failures::default(),
        });
        let serving = serve(listener, Arc::clone(&shared), own);
        let until = closed.clone();
        drain.spawn(async move { until.run_until_cancelled(serving).await });
        Ok(Self {
            address,
            shared,
            _open: closed.drop_guard(),
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How a browser is told of it, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.route().is_http() {
            "http"
        } else {
            "socks5"
        };
        format!("{scheme}://{}", self.address)
    }

    /// The way that its connections go.
    #[must_use]
    pub fn route(&self) -> Route {
        self.shared.current.lock().route.clone()
    }

    /// Has connections go by `route` from now on; those there are are cut.
    pub fn reroute(&self, route: Route) {
        let mut current = self.shared.current.lock();
        current.end.cancel();
        let end = self._open.token().child_token();
        *current = Current { route, end };
    }

    /// Cuts what it carries, and everything that is still asked of it.
    pub fn cut(&self) {
        self._open.token().cancel();
    }

    /// Why the last connection to `target` was not made, when that was at or after `since`.
    #[must_use]
    pub fn why(&self, target: &Target, since: Instant) -> Option<Failure> {
        self.shared.failures.since(target, since)
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, own: OwnPort) {
    let mut acceptor = Acceptor::new("egress proxy", listener, None);
    // The port is this broker's as long as it listens there.
    let _own = own;
    let mut connections = JoinSet::new();
    loop {
        let room = connections.len() < MOST_CONNECTIONS;
        tokio::select! {
            Some(_ended) = connections.join_next() => {}
            (stream, _peer) = acceptor.next_plain(), if room => {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let Current { route, end } = shared.current.lock().clone();
                    let conversing = converse(stream, route, shared);
                    let ended = end.run_until_cancelled(Box::pin(conversing)).await;
                    if let Some(Err(error)) = ended {
                        tracing::debug!(%error, "a connection broke off");
                    }
                });
            }
        }
    }
}

/// Brings one connection where it wants to go, and carries it until it ends.
async fn converse(mut stream: TcpStream, route: Route, shared: Arc<Shared>) -> io::Result<()> {
    let handshake = Deadline::after(HANDSHAKE);
    let asked = async {
        // A browser is told once which of them it speaks, and its route may change later.
        let mut first = [socks::VERSION];
        stream.peek(&mut first).await?;
        if first != [socks::VERSION] {
            return Ok(Asked::Http);
        }
        socks::request(&mut stream).await.map(Asked::Socks)
    };
    let asked = handshake.bound(asked).await.map_err(io::Error::other)?;
    let target = match asked? {
        Asked::Http => return http::converse(stream, route, shared).await,
        Asked::Socks(Some(target)) => target,
        Asked::Socks(None) => return Ok(()),
    };
    let dialled = tokio::select! {
        biased;
        dialled = route.dial(&target, Deadline::after(DIAL)) => dialled,
        () = hung_up(&stream) => return Ok(()),
    };
    match dialled {
        Ok(far) => {
            shared.failures.forget(&target);
            socks::answer(&mut stream, Reply::Succeeded).await?;
            carry(stream, far).await
        }
        Err(failure) => {
            let reply = failure.reply();
            tracing::debug!(%target, %failure, "no way out");
            // Before the browser knows: whoever it tells asks here.
            shared.failures.enter(target, failure);
            socks::answer(&mut stream, reply).await
        }
    }
}

/// What a browser begins with.
enum Asked {
    Http,
    /// `None` for what is not to be had, as it was told.
    Socks(Option<Target>),
}

/// Resolves when whoever waits for an answer no longer does.
async fn hung_up(stream: &TcpStream) {
    if let Ok(1..) = stream.peek(&mut [0]).await {
        // It talks before its turn; what it says is not lost.
        std::future::pending().await
    }
}

/// Carries bytes both ways until one end has ended, and what is then on its way the other way. A
/// connection may be silent for as long as it likes: websockets are.
async fn carry(mut near: TcpStream, far: Stream) -> io::Result<()> {
    let (mut near_in, mut near_out) = near.split();
    let (mut far_in, mut far_out) = tokio::io::split(far);
    let up = async {
        copy(&mut near_in, &mut far_out).await?;
        far_out.shutdown().await
    };
    let down = async {
        let carried = copy(&mut far_in, &mut near_out).await;
        if carried.is_err() {
            // An answer that was cut must not look like one that has ended. A socket that refuses
            // is already gone.
            let _ = near_out.as_ref().set_zero_linger();
        }
        carried?;
        near_out.shutdown().await
    };
    tokio::pin!(up, down);
    tokio::select! {
        ended = &mut up => {
            // Also after an end that took no more: it may have answered first.
            let answered = Deadline::after(LINGER).bound(down).await;
            ended.and(answered.unwrap_or(Ok(())))
        }
        ended = &mut down => {
            ended?;
            Deadline::after(LINGER).bound(up).await.unwrap_or(Ok(()))
        }
    }
}
