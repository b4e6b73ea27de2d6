//! What the commands that talk to a broker share.

use std::time::Duration;

use clap::Args;
use tonic::transport::{Channel, Endpoint};

use super::exit::{self, Failure};

/// Where the broker is.
#[derive(Args, Clone, Debug)]
pub(super) struct Target {
    /// The broker's gRPC address
    #[arg(
        long,
        env = "BERTH_ENDPOINT",
        default_value = "http://127.0.0.1:50051",
        value_name = "URL"
    )]
    pub(super) endpoint: String,
}

impl Target {
    /// A connection that is there.
    pub(super) async fn connect(&self) -> Result<Channel, Failure> {
        let endpoint = Endpoint::from_shared(self.endpoint.clone()).map_err(|error| {
            let wanted = "wanted such as http://127.0.0.1:50051";
            Failure::new(
                exit::USAGE,
                format!("--endpoint {:?}: {error}; {wanted}", self.endpoint),
            )
        })?;
        endpoint
            .connect_timeout(Duration::from_secs(5))
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .connect()
            .await
            .map_err(|error| {
                let why = root(&error);
                let remedy = "is `berth serve` running there?";
                let at = &self.endpoint;
                Failure::new(
                    exit::UNAVAILABLE,
                    format!("no broker at {at}: {why}; {remedy}"),
                )
            })
    }
}

/// The last of the causes, which is the one that tells.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// A runtime for a command, which needs little of one.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// A duration for a message.
pub(super) fn duration(duration: Duration) -> Option<prost_types::Duration> {
    duration.try_into().ok()
}

/// Reads a duration such as `90s` or `1m 30s`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; wanted such as 500ms, 30s or 5m"))
}
