//! What the protos generate: messages, clients and servers of `berth.v1`.
//!
//! The comments in `proto/berth/v1/*.proto` are the API reference; they are copied here.

#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    missing_debug_implementations,
    unreachable_pub
)]
mod generated {
    tonic::include_proto!("berth.v1");
}

pub use generated::*;

/// The descriptors of every message and service, for reflection.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("berth_descriptor");

impl From<&str> for FetchRequest {
    /// A request for `url` with every default.
    fn from(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ..Self::default()
        }
    }
}

impl EndReason {
    /// The word that stands in messages, logs and metrics, such as `RELEASED`.
    #[must_use]
    pub fn word(self) -> &'static str {
        let name = self.as_str_name();
        name.strip_prefix("END_REASON_").unwrap_or(name)
    }
}
