//! A bounded HTTP/1 server: the one accept loop of the operators' port and of the gateway.
//!
//! Whoever connects must not cost much: connections are counted, a request's head has to come
//! soon, and a stop waits for nobody long. No connection has a task of its own outside of the
//! server's set, not even one that was upgraded: dropped with the server, the set ends them all.

use std::{fmt, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::accept::{Acceptor, Secure, Stream};

/// How long a client may take for the head of a request, and stay silent between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest head of a request, in bytes; a longer one is answered with 431 (RFC 6585, section 5).
/// The longest one that is of use is a token in a path.
const MAX_HEAD: usize = 16 << 10;
/// The most headers of a request; more are answered with 431, too.
const MAX_HEADERS: usize = 100;
/// How long answers under way, and upgraded connections, may take once stopped.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What follows the answer of a connection that is upgraded: an extension of every request.
///
/// The work runs in the connection's own task, so that it counts as a connection and ends with the
/// server.
#[derive(Clone, Default)]
pub struct AfterUpgrade(Arc<Mutex<Option<Work>>>);

impl AfterUpgrade {
    /// Does `work` once the answer to this request has been sent. `work` may wait for
    /// [`hyper::upgrade::OnUpgrade`], which resolves by then.
    pub fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        *self.0.lock() = Some(Box::pin(work));
    }

    fn take(&self) -> Option<Work> {
        self.0.lock().take()
    }
}

impl fmt::Debug for AfterUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AfterUpgrade").finish()
    }
}

/// Serves `router` on `listener` until `stop`, then lets what is under way end for a second and
/// cuts the rest. At most `max_connections` are open at once; further ones wait to be accepted.
/// `name` is the port's name in logs.
///
/// # Cancel safety
/// Yes: the connections end with the future.
pub async fn serve(
    name: &'static str,
    max_connections: usize,
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send,
) {
    let acceptor = Acceptor::new(name, listener, None);
    serve_accepted(name, max_connections, acceptor, router, stop).await;
}

/// As [`serve`], with TLS when `secure` has it. Each request has as extensions its
/// [`Certificate`](crate::accept::Certificate) and its peer's [`SocketAddr`].
///
/// # Cancel safety
/// Yes: the connections end with the future.
pub async fn serve_secure(
    name: &'static str,
    max_connections: usize,
    listener: TcpListener,
    secure: Option<Secure>,
    router: Router,
    stop: impl Future<Output = ()> + Send,
) {
    let acceptor = Acceptor::new(name, listener, secure);
    serve_accepted(name, max_connections, acceptor, router, stop).await;
}

async fn serve_accepted(
    name: &'static str,
    max_connections: usize,
    mut acceptor: Acceptor,
    router: Router,
    stop: impl Future<Output = ()> + Send,
) {
    let mut connections = JoinSet::new();
    let stopped = CancellationToken::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let room = connections.len() < max_connections;
        tokio::select! {
            () = &mut stop => break,
            Some(_ended) = connections.join_next() => {}
            (stream, peer) = acceptor.next(), if room => {
                connections.spawn(converse(name, stream, peer, router.clone(), stopped.clone()));
            }
        }
    }
    drop(acceptor);
    stopped.cancel();
    let drained = async { while connections.join_next().await.is_some() {} };
    // Whoever is still talking after that is cut with the set.
    let _late = timeout(STOP_TIMEOUT, drained).await;
}

async fn converse(
    name: &'static str,
    stream: Stream,
    peer: SocketAddr,
    router: Router,
    stopped: CancellationToken,
) {
    let after = AfterUpgrade::default();
    let certificate = stream.certificate();
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let mut router = router.clone();
        let mut request = request.map(Body::new);
        let extensions = request.extensions_mut();
        extensions.insert(after.clone());
        extensions.insert(certificate.clone());
        extensions.insert(peer);
        async move { Service::call(&mut router, request).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // Boxed: what follows would otherwise carry hyper's state along for hours.
    let mut connection = Box::pin(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = stopped.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    drop(connection);
    match result {
        Ok(()) => {
            if let Some(work) = after.take() {
                work.await;
            }
        }
        Err(error) => tracing::debug!(port = name, %error, "a connection failed"),
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        time::sleep,
    };

    use super::*;

    #[tokio::test]
    async fn serves_and_stops_in_spite_of_a_silent_client() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve("test", 4, listener, router, stopped));

        let _silent = TcpStream::connect(address).await.unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        client.write_all(request).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

        stop.cancel();
        let ended = timeout(STOP_TIMEOUT * 3, tasks.join_next()).await;
        assert!(ended.unwrap().unwrap().is_ok());
    }

    #[tokio::test]
    async fn one_too_many_waits_until_another_has_left() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve("test", 1, listener, router, std::future::pending()));

        let first = TcpStream::connect(address).await.unwrap();
        // The kernel takes the second connection, so only its answer tells.
        sleep(Duration::from_millis(50)).await;
        let mut second = TcpStream::connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        second.write_all(request).await.unwrap();
        let mut answer = String::new();
        let early = timeout(
            Duration::from_millis(200),
            second.read_to_string(&mut answer),
        );
        assert!(early.await.is_err(), "{answer}");
        drop(first);
        second.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn a_head_without_end_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(async || "here");
        let mut tasks = JoinSet::new();
        tasks.spawn(serve("test", 4, listener, router, std::future::pending()));
        let ask = async |head: String| {
            let mut client = TcpStream::connect(address).await.unwrap();
            let request = format!("{head}connection: close\r\n\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            // What is left unread when it closes may cut the answer's end.
            let _ = client.read_to_end(&mut answer).await;
            String::from_utf8(answer).unwrap()
        };
        let path = |length| format!("GET /{} HTTP/1.1\r\nhost: x\r\n", "p".repeat(length));
        let headers = |count| format!("{}{}", path(1), "a: b\r\n".repeat(count));
        for (head, code) in [
            (path(MAX_HEAD / 2), "200"),
            (headers(MAX_HEADERS - 2), "200"),
            (path(MAX_HEAD), "431"),
            (headers(MAX_HEADERS), "431"),
        ] {
            let answer = ask(head).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{answer}");
        }
    }
}
