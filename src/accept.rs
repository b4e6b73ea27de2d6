//! Accepting connections, whatever goes over them: the one way in of every port.

mod stream;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

pub use self::stream::{Certificate, Stream};
use crate::auth::{Gate, tls::Server};

/// How long to wait after a failed accept: out of file descriptors is not over at once.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts the connections of one port. What hinders it is said once when it begins, and once when it
/// is over: what an accept takes may be gone for hours.
#[derive(Debug)]
pub struct Acceptor {
    port: &'static str,
    listener: TcpListener,
    failing: bool,
    secure: Option<Secure>,
}

/// How connections get TLS: with what the gate has at that moment, if it has any.
#[derive(Clone, Debug)]
pub struct Secure {
    gate: Gate,
    of: fn(&Server) -> &Arc<ServerConfig>,
}

impl Secure {
    /// For connections that carry gRPC.
    #[must_use]
    pub const fn grpc(gate: Gate) -> Self {
        Self {
            gate,
            of: |server| &server.grpc,
        }
    }

    /// For connections that carry HTTP/1.1.
    #[must_use]
    pub const fn http(gate: Gate) -> Self {
        Self {
            gate,
            of: |server| &server.http,
        }
    }

    /// Whether connections come with TLS.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.gate.tls().is_some()
    }

    fn config(&self) -> Option<Arc<ServerConfig>> {
        self.gate.tls().map(|server| Arc::clone((self.of)(&server)))
    }
}

impl Acceptor {
    /// For `listener`; `port` is its name in logs. Connections are plain without `secure`.
    #[must_use]
    pub const fn new(port: &'static str, listener: TcpListener, secure: Option<Secure>) -> Self {
        Self {
            port,
            listener,
            failing: false,
            secure,
        }
    }

    /// The next connection, and who made it.
    ///
    /// # Cancel safety
    /// Yes: no connection is lost.
    pub async fn next(&mut self) -> (Stream, SocketAddr) {
        let (stream, peer) = self.next_plain().await;
        let config = self.secure.as_ref().and_then(Secure::config);
        let stream = match config {
            Some(config) => Stream::secure(stream, config),
            None => Stream::plain(stream),
        };
        (stream, peer)
    }

    /// The next connection as it comes, and who made it.
    ///
    /// # Cancel safety
    /// Yes: no connection is lost.
    pub async fn next_plain(&mut self) -> (TcpStream, SocketAddr) {
        let port = self.port;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    if std::mem::take(&mut self.failing) {
                        tracing::info!(port, "connections are accepted again");
                    }
                    // Small frames that wait for one another's acknowledgement cost 40 ms each. A
                    // socket that refuses the option is already gone, as the next read tells.
                    let _ = stream.set_nodelay(true);
                    return (stream, peer);
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::warn!(port, %error, "cannot accept a connection");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }
}
