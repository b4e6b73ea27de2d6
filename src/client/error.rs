//! Why something did not work.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::proto::ErrorReason;

/// Why something did not work.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// What was given as the broker's address is none, or its certificates are none.
    #[error("{endpoint:?}: {why}; wanted such as http://127.0.0.1:50051")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        why: String,
    },
    /// The token has characters that no token has.
    #[error("the token has characters no token has")]
    Token,
    /// Nobody answers there.
    #[error("no broker at {endpoint}: {why}; is `berth serve` running there{}?", with_tls(.endpoint))]
    Unreachable {
        /// Where it was looked for.
        endpoint: String,
        /// What happened.
        why: String,
    },
    /// The broker said no, or the connection broke under the call.
    #[error("{}", tell(.0))]
    Refused(#[from] Status),
}

impl Error {
    /// The stable reason that the broker gave, as `google.rpc.ErrorInfo` has it.
    #[must_use]
    pub fn reason(&self) -> Option<ErrorReason> {
        let details = self.status()?.get_error_details();
        let name = &details.error_info()?.reason;
        ErrorReason::from_str_name(&format!("ERROR_REASON_{name}"))
    }

    /// What the broker said about the reason: each reason's comment lists its keys.
    #[must_use]
    pub fn metadata(&self) -> HashMap<String, String> {
        let details = self.status().map(Status::get_error_details);
        let info = details.as_ref().and_then(|details| details.error_info());
        info.map(|info| info.metadata.clone()).unwrap_or_default()
    }

    /// After how long it may be tried again; `None` where that does not help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let details = self.status()?.get_error_details();
        details.retry_info().and_then(|retry| retry.retry_delay)
    }

    /// The gRPC code; UNAVAILABLE when nobody answers, INVALID_ARGUMENT when the address or the token is none.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Endpoint { .. } | Self::Token => Code::InvalidArgument,
            Self::Unreachable { .. } => Code::Unavailable,
            Self::Refused(status) => status.code(),
        }
    }

    /// The whole status, when the broker said no.
    #[must_use]
    pub const fn status(&self) -> Option<&Status> {
        match self {
            Self::Refused(status) => Some(status),
            _ => None,
        }
    }
}

/// What else a broker has to have that is called so.
fn with_tls(endpoint: &str) -> &'static str {
    if endpoint.starts_with("https:") {
        ", with TLS"
    } else {
        ""
    }
}

/// The message, the reason and when to come back.
fn tell(status: &Status) -> String {
    let details = status.get_error_details();
    let mut told = status.message().to_owned();
    match details.error_info() {
        Some(info) => told += &format!(" ({})", info.reason),
        // What the transport says, of something that answers otherwise than a broker.
        None if std::error::Error::source(status).is_some() => {
            told += "; is that the gRPC port of a broker?";
        }
        None => {}
    }
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        told += &format!("; try again in {}", humantime::format_duration(delay));
    }
    told
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn a_refusal_is_read_by_people_and_by_programs() {
        let mut details = ErrorDetails::new();
        let leased = HashMap::from([("leased".to_owned(), "8".to_owned())]);
        details.set_error_info("POOL_EXHAUSTED", "berth", leased);
        details.set_retry_info(Some(Duration::from_millis(1500)));
        let status = Status::with_error_details(Code::ResourceExhausted, "none is free", details);
        let error = Error::from(status);
        assert_eq!(error.reason(), Some(ErrorReason::PoolExhausted));
        assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
        assert_eq!(error.metadata()["leased"], "8");
        let told = "none is free (POOL_EXHAUSTED); try again in 1s 500ms";
        assert_eq!(error.to_string(), told);
        let plain = Error::from(Status::unavailable("gone"));
        assert_eq!((plain.reason(), plain.retry_after()), (None, None));
        assert_eq!(plain.to_string(), "gone");
    }
}
