//! The gRPC transport: it translates and delegates.
//!
//! Each service file turns messages into calls of the broker and back; `status` is the only
//! place that makes a `tonic::Status`. A layer around all of them counts every call, gives it a
//! request id, and takes a lease back whose grant did not reach its client.

mod access;
mod admin;
mod admin_health;
mod authenticate;
mod browser_options;
mod call;
mod convert;
mod fetch;
mod fetch_content;
mod fetch_http;
mod fetch_many;
mod fetch_messages;
mod fetch_page;
mod fetch_picture;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod health;
mod hold;
mod incoming;
mod lease;
mod observe;
mod page;
mod page_acts;
mod page_answers;
mod page_calls;
mod page_messages;
mod status;

use std::{net::SocketAddr, time::Duration};

use tokio::net::TcpListener;
use tonic::{service::Routes, transport::Server};

use self::{
    access::Guard,
    admin::Admin,
    authenticate::{Authenticate, Open},
    convert::Place,
    fetch::Fetches,
    lease::Leases,
    observe::Observe,
    page::Pages,
};
pub use self::{health::Reporter, status::DOMAIN};
use crate::{
    accept::Secure,
    auth::Gate,
    broker::Broker,
    metrics::Metrics,
    proto::{
        self, admin_service_server::AdminServiceServer, fetch_service_server::FetchServiceServer,
        lease_service_server::LeaseServiceServer, page_service_server::PageServiceServer,
    },
};

/// What the transport has to know beside the broker.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which broker this is, as leases show it.
    pub node: String,
    /// Where the gateway listens.
    pub gateway: SocketAddr,
    /// Where clients reach the gateway, as `host[:port]` with the scheme's security, when that is
    /// not where it listens.
    pub gateway_public_url: Option<url::Url>,
    /// Who may call.
    pub gate: Gate,
    /// Whether health checks need no credentials where calls do.
    pub health_open: bool,
    /// Whether reflection needs none.
    pub reflection_open: bool,
    /// Connections at the same time.
    pub max_connections: usize,
    /// How often a quiet client is asked whether it is still there, so that a cut cable ends a
    /// `Hold`.
    pub keepalive_interval: Duration,
    /// How long a quiet client may take to say so.
    pub keepalive_timeout: Duration,
    /// The largest message taken or sent, in bytes.
    pub max_message_size: usize,
    /// How long a fetch may take when the caller sets no deadline.
    pub fetch_timeout: Duration,
    /// How long a fetch may take at most.
    pub fetch_max_timeout: Duration,
    /// The log level, when it is this broker's to change.
    pub log_level: Option<crate::telemetry::Level>,
}

/// Calls at once on one connection; more wait at the client.
const STREAMS: u32 = 1024;
/// The longest metadata of a call, in bytes as RFC 9113, section 10.5.1 counts them.
const METADATA: u32 = 16 << 10;

/// The shutdown of the whole process, to be asked for by an operator.
pub type Shutdown = tokio_util::sync::CancellationToken;

/// Serves `broker` on `listener` until `stop`. `shutdown` is cancelled when an operator asks for
/// the end of the process.
///
/// # Errors
/// When the transport fails as a whole.
///
/// # Cancel safety
/// Yes: dropped, it cuts every connection. After `stop` it waits for open streams without limit,
/// so the caller bounds it.
pub async fn serve(
    listener: TcpListener,
    broker: Broker,
    options: Options,
    metrics: Metrics,
    health: &Reporter,
    shutdown: Shutdown,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), tonic::transport::Error> {
    let limit = options.max_message_size;
    let secure = Secure::grpc(options.gate.clone());
    let open = Open {
        health: options.health_open,
        reflection: options.reflection_open,
    };
    let place = Place::new(&options, broker.drain().clone());
    let leases = LeaseServiceServer::new(Leases::new(broker.clone(), place.clone()));
    let fetches = FetchServiceServer::new(Fetches::new(broker.clone(), &options));
    let pages = PageServiceServer::new(Pages::new(broker.clone()));
    let admin = AdminServiceServer::new(Admin::new(broker, place, shutdown, options.log_level));
    let mut routes = Routes::builder();
    routes
        .add_service(leases.max_decoding_message_size(limit))
        // An answer's size is the caller's choice: `max_bytes`.
        .add_service(fetches.max_decoding_message_size(limit))
        .add_service(admin.max_decoding_message_size(limit))
        .add_service(pages.max_decoding_message_size(limit))
        .add_service(health.service().max_decoding_message_size(limit));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => {
            routes
                .add_service(v1.max_decoding_message_size(limit))
                .add_service(v1alpha.max_decoding_message_size(limit));
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "reflection is off: its descriptors cannot be read");
        }
    }
    Server::builder()
        .http2_keepalive_interval(Some(options.keepalive_interval))
        .http2_keepalive_timeout(Some(options.keepalive_timeout))
        .max_concurrent_streams(STREAMS)
        .http2_max_header_list_size(METADATA)
        // A burst of cancelled calls must not cost a client its connection, and so its held leases.
        .http2_max_pending_accept_reset_streams(Some(STREAMS as usize))
        .layer(Observe::new(metrics, limit))
        .layer(Authenticate::new(options.gate.clone(), open))
        // Within whatever finds out who calls.
        .layer(Guard)
        .add_routes(routes.routes())
        .serve_with_incoming_shutdown(
            incoming::connections(listener, secure, options.max_connections),
            stop,
        )
        .await
}
