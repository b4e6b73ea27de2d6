//! Accepting connections, whatever goes over them: the one way in of every port.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// How long to wait after a failed accept: out of file descriptors is not over at once.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts the connections of one port. What hinders it is said once when it begins, and once when it
/// is over: what an accept takes may be gone for hours.
#[derive(Debug)]
pub struct Acceptor {
    port: &'static str,
    listener: TcpListener,
    failing: bool,
}

impl Acceptor {
    /// For `listener`; `port` is its name in logs.
    #[must_use]
    pub const fn new(port: &'static str, listener: TcpListener) -> Self {
        Self {
            port,
            listener,
            failing: false,
        }
    }

    /// The next connection, and who made it.
    ///
    /// # Cancel safety
    /// Yes: no connection is lost.
    pub async fn next(&mut self) -> (TcpStream, SocketAddr) {
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
