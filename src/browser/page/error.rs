//! Why a page could not do what it was asked.

use crate::{
    browser::cdp,
    egress::{Denied, Failure},
};

/// Why a page could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The browser or the page's renderer is gone, and everything in the page with it.
    #[error("the browser was lost: {0}")]
    Lost(&'static str),
    /// The caller's deadline passed.
    #[error("the deadline passed")]
    Passed,
    /// The policy forbids where it wanted to go.
    #[error(transparent)]
    Denied(Box<Denied>),
    /// It has no way to a network.
    #[error("its proxy cannot be opened: {0}")]
    NoProxy(#[source] std::io::Error),
    /// The host's name could not be resolved.
    #[error("the name could not be resolved ({0})")]
    Dns(String),
    /// Nobody accepted the connection.
    #[error("the connection was refused ({0})")]
    Refused(String),
    /// The connection could not be secured.
    #[error("the connection could not be secured ({0})")]
    Tls(String),
    /// The origin did not answer in time.
    #[error("the origin did not answer in time ({0})")]
    Timeout(String),
    /// The origin redirects for ever.
    #[error("too many redirects")]
    Redirects,
    /// What came is not a page: a download, or nothing at all.
    #[error("the response is not a page: a download, or no content")]
    Aborted,
    /// Any other failure of the network.
    #[error("the navigation failed ({0})")]
    Net(String),
    /// The page's content is larger than the caller takes.
    #[error("the content is larger than {limit} bytes")]
    TooLarge {
        /// In bytes.
        limit: u64,
    },
    /// The deadline passed while the page was not as it was to be.
    #[error("the deadline passed while waiting for {0}")]
    Unmet(String),
    /// The page came, but what was asked of it does not hold.
    #[error("{0}")]
    Condition(String),
    /// The browser takes an option of the page for senseless.
    #[error("{option}: {message}")]
    Option {
        /// Its name in [`PageOptions`](super::PageOptions).
        option: &'static str,
        /// The browser's words.
        message: String,
    },
    /// The browser refused a command.
    #[error(transparent)]
    Cdp(cdp::Error),
}

impl From<cdp::Error> for Error {
    fn from(error: cdp::Error) -> Self {
        match error {
            cdp::Error::Closed | cdp::Error::Connect(_) => Self::Lost("its connection is closed"),
            cdp::Error::Timeout(_) => Self::Passed,
            error => Self::Cdp(error),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Denied(denied) => Self::Denied(Box::new(denied)),
            Failure::Dns(why) => Self::Dns(why),
            Failure::Refused(why) => Self::Refused(why),
            Failure::Timeout(why) => Self::Timeout(why),
            Failure::Proxy(why) => Self::Net(why),
        }
    }
}

impl Error {
    /// What the browser's word for a failed navigation (`net::ERR_…`) means.
    pub(crate) fn of_navigation(text: &str) -> Self {
        let word = text.strip_prefix("net::ERR_").unwrap_or(text);
        let text = text.to_owned();
        let starts = |with: &[&str]| with.iter().any(|with| word.starts_with(with));
        if starts(&["NAME_", "DNS_", "ICANN_NAME_COLLISION"]) {
            Self::Dns(text)
        } else if starts(&[
            "CONNECTION_REFUSED",
            "ADDRESS_",
            "CONNECTION_FAILED",
            "INTERNET_DISCONNECTED",
            "NETWORK_ACCESS_DENIED",
            "PROXY_CONNECTION_FAILED",
        ]) {
            Self::Refused(text)
        } else if starts(&["CERT_", "SSL_", "BAD_SSL_", "CERTIFICATE_", "ECH_"]) {
            Self::Tls(text)
        } else if starts(&["TIMED_OUT", "CONNECTION_TIMED_OUT"]) {
            Self::Timeout(text)
        } else if word == "TOO_MANY_REDIRECTS" {
            Self::Redirects
        } else if word == "ABORTED" {
            Self::Aborted
        } else {
            Self::Net(text)
        }
    }

    /// Whether the page went elsewhere under the command, so that it may be tried again.
    pub(super) fn is_moved(&self) -> bool {
        let Self::Cdp(cdp::Error::Refused { message, .. }) = self else {
            return false;
        };
        const WORDS: [&str; 5] = [
            "Inspected target navigated",
            "Execution context was destroyed",
            "Cannot find default execution context",
            "Execution was terminated",
            "Promise was collected",
        ];
        WORDS.iter().any(|word| message.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browsers_words_are_understood() {
        let of = Error::of_navigation;
        assert!(matches!(of("net::ERR_NAME_NOT_RESOLVED"), Error::Dns(_)));
        assert!(matches!(
            of("net::ERR_CONNECTION_REFUSED"),
            Error::Refused(_)
        ));
        assert!(matches!(
            of("net::ERR_CERT_AUTHORITY_INVALID"),
            Error::Tls(_)
        ));
        assert!(matches!(
            of("net::ERR_CONNECTION_TIMED_OUT"),
            Error::Timeout(_)
        ));
        assert!(matches!(
            of("net::ERR_TOO_MANY_REDIRECTS"),
            Error::Redirects
        ));
        assert!(matches!(of("net::ERR_ABORTED"), Error::Aborted));
        assert!(matches!(of("net::ERR_EMPTY_RESPONSE"), Error::Net(_)));
    }
}
