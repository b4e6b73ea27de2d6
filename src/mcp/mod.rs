//! The MCP shim: tool calls of an agent's host in, gRPC out.
//!
//! It knows the broker as any client does. Each MCP session has at most one lease, held by a
//! `Hold` stream from the first browser tool on: however the session ends, the browser is back at once.
//! Protocol: Model Context Protocol, revisions 2024-11-05 to 2026-07-28.

mod answer;
mod args;
mod browse;
mod budget;
mod catalog;
mod elements;
mod failure;
mod fetch;
mod form;
mod lease;
mod look;
mod look_args;
mod parent;
mod resources;
mod server;
mod session;
mod store;
mod tabs;

use std::{net::SocketAddr, time::Duration};

use rmcp::{
    ServiceExt,
    service::ServerInitializeError,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService, stdio,
        streamable_http_server::session::local::{LocalSessionManager, SessionConfig},
    },
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::catalog::Tools;
use self::{server::Shim, session::Session};
use crate::client::Client;

/// How the shim behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which tools it offers.
    pub tools: Tools,
    /// After so long without a tool call a session's browser is given back; also how long a session
    /// over HTTP lives without a request.
    pub idle_timeout: Duration,
    /// How long a tool may wait for an element, in the page, before it says what is in the way.
    pub action_timeout: Duration,
    /// Whether the connection itself is the session, so that a revision without sessions may be spoken.
    pub(crate) sessions: bool,
}

impl Options {
    /// With the usual times.
    #[must_use]
    pub const fn new(tools: Tools, idle_timeout: Duration) -> Self {
        Self {
            tools,
            idle_timeout,
            action_timeout: Duration::from_secs(8),
            sessions: true,
        }
    }
}

/// Why the shim ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The transport failed.
    #[error("the MCP transport failed: {0}")]
    Transport(String),
    /// The port cannot be listened on.
    #[error("cannot listen: {0}")]
    Listen(#[from] std::io::Error),
}

/// Serves one session on standard input and output, until its input ends, the host is gone or `stop`.
/// The session's browser is given back before this returns.
///
/// # Errors
/// [`Error::Transport`].
///
/// # Cancel safety
/// Yes: the session ends.
pub async fn serve_stdio(
    broker: Client,
    options: Options,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let session = Session::new(broker.clone(), options);
    let host_gone = parent::gone();
    let serve = async {
        let running = match Shim::new(session).serve(stdio()).await {
            Ok(running) => running,
            // The host left before it said anything.
            Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
            Err(error) => return Err(Error::Transport(error.to_string())),
        };
        let ended = running.waiting().await;
        ended.map_err(|error| Error::Transport(error.to_string()))?;
        Ok(())
    };
    let served = tokio::select! {
        served = serve => served,
        () = host_gone => Ok(()),
        () = stop => Ok(()),
    };
    broker.close().await;
    served
}

/// Serves sessions over streamable HTTP at `/mcp` of `listener`, until `stop`. Each has a browser of its
/// own, given back when the session is deleted or has been idle.
///
/// Hosts of requests must be loopback's, and pages of other origins are refused: a page that a browser on
/// this machine shows must not drive another browser.
///
/// # Errors
/// [`Error::Listen`], [`Error::Transport`].
///
/// # Cancel safety
/// Yes: all sessions end.
pub async fn serve_http(
    listener: TcpListener,
    broker: Client,
    options: Options,
    stop: CancellationToken,
) -> Result<(), Error> {
    let address: SocketAddr = listener.local_addr()?;
    let mut sessions = LocalSessionManager::default();
    sessions.session_config = {
        let mut config = SessionConfig::default();
        config.keep_alive = Some(options.idle_timeout);
        config
    };
    let origins =
        ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("http://{host}:{}", address.port()));
    let config = StreamableHttpServerConfig::default()
        .with_allowed_origins(origins)
        .with_cancellation_token(stop.child_token());
    let options = Options {
        sessions: false,
        ..options
    };
    let shared = broker.clone();
    let service = StreamableHttpService::new(
        move || Ok(Shim::new(Session::new(shared.clone(), options.clone()))),
        sessions.into(),
        config,
    );
    let router = axum::Router::new().nest_service("/mcp", service);
    let serve = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    let served = serve.await.map_err(Error::Listen);
    broker.close().await;
    served
}
