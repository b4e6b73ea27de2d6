//! Berth: a gRPC broker for headless browsers and web fetching.
//!
//! Programs in any language check out a browser *lease* with a deadline over gRPC and attach a CDP
//! client to it, or ask for a *fetch*. Berth owns every process, browser context, socket and file
//! descriptor, and gives each back on every path: success, error, cancel, crash and shutdown.
//!
//! Data flows one way. From the top floor down:
//!
//! * [`server`] puts everything together and knows the order of a shutdown.
//! * [`rpc`] (gRPC), [`gateway`] (CDP websockets) and [`ops`] (health and metrics over HTTP) are
//!   the transports: they translate and delegate.
//! * [`broker`] holds the use cases; the rooms below do not know one another and meet there.
//! * [`lease`] is the pure state machine of leases, [`fetch`] gets pages, [`page`] drives those of a
//!   lease, [`browser`] owns processes.
//! * [`content`] makes Markdown, links and metadata of documents, and knows none of the others.
//!
//! [`client`] is for Rust programs that use a broker; [`cli`] and [`mcp`] are two of them, which know a broker
//! by that alone.
//!
//! [`accept`], [`auth`], [`drain`], [`deadline`], [`egress`], [`fair`], [`health`], [`metrics`],
//! [`telemetry`] and [`config`] know none of them. `docs/architecture.md` has the map.

#![warn(missing_debug_implementations, missing_docs, unreachable_pub)]
#![warn(
    clippy::expect_used,
    clippy::large_futures,
    clippy::must_use_candidate,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

pub mod accept;
pub mod auth;
pub mod broker;
pub mod browser;
pub mod cli;
pub mod client;
pub mod config;
pub mod content;
pub mod deadline;
pub mod drain;
pub mod egress;
pub mod fair;
pub mod fetch;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod gateway;
pub mod health;
pub mod http_server;
pub mod lease;
pub mod mcp;
pub mod metrics;
pub mod ops;
pub mod page;
pub mod proto;
pub mod rpc;
pub mod server;
pub mod telemetry;
