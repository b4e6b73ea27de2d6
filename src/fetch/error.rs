//! Why there is no answer to a fetch.

use std::io::ErrorKind;

use super::connector::TooSlow;
use crate::{
    browser::{self, page},
    egress::{Denied, LookupError},
    metrics::Wanted,
};

/// Why there is no answer to a fetch. What an origin answers is data, whatever its status.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no browser for it.
    #[error(transparent)]
    Browser(#[from] browser::Error),
    /// Too many fetches wait already for the same.
    #[error("the queue is full: {waiting} fetches wait for their {}", turn(*.wanted))]
    QueueFull {
        /// What for.
        wanted: Wanted,
        /// How many.
        waiting: u64,
        /// How many may.
        queue: u64,
    },
    /// As many fetches of this one's party wait already for the same as may.
    #[error("{most} fetches of the same party wait for their {}, as many as may", turn(*.wanted))]
    OverShare {
        /// What for.
        wanted: Wanted,
        /// How many may.
        most: usize,
    },
    /// It was not this fetch's turn before its deadline.
    #[error("no turn came in time: {waiting} fetches wait for their {}", turn(*.wanted))]
    Exhausted {
        /// What for.
        wanted: Wanted,
        /// How many wait.
        waiting: u64,
        /// How many may.
        queue: u64,
    },
    /// The browser died under it.
    #[error("the browser was lost during the fetch: {0}")]
    Lost(String),
    /// The target, or the proxy to it, is one that is not reached.
    #[error(transparent)]
    Denied(Box<Denied>),
    /// The host's name could not be resolved.
    #[error("the origin's name could not be resolved: {0}")]
    Dns(String),
    /// Nobody accepted the connection.
    #[error("the origin refused the connection: {0}")]
    Refused(String),
    /// The connection could not be secured.
    #[error("the connection to the origin could not be secured: {0}")]
    Tls(String),
    /// The origin took too long.
    #[error("the origin took too long: {what}")]
    Timeout {
        /// What was waited for.
        what: String,
    },
    /// The origin broke the protocol, or what came is no page.
    #[error("the origin's answer is unusable: {0}")]
    Protocol(String),
    /// The document is more than can be read for its content.
    #[error("{0}")]
    TooComplex(String),
    /// The answer is larger than the caller takes.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// In bytes, decompressed.
        limit: u64,
    },
    /// The origin redirects more often than the caller follows.
    #[error("more than {limit} redirects")]
    TooManyRedirects {
        /// How many are followed.
        limit: u32,
    },
    /// The caller's deadline passed, for no reason of the origin's.
    #[error("the deadline passed")]
    Passed,
    /// The caller's deadline passed while the page was not as it was to be.
    #[error("the deadline passed while waiting for {0}")]
    Unmet(String),
    /// The page came, but what was asked of it does not hold.
    #[error("{0}")]
    Condition(String),
    /// The request makes no sense.
    #[error("{0}: {1}")]
    BadRequest(&'static str, String),
}

impl Error {
    /// The stable word of metrics: one of [`crate::metrics::FETCH_OUTCOMES`].
    #[must_use]
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::QueueFull { .. }
            | Self::Exhausted { .. }
            | Self::Browser(browser::Error::QueueFull(_) | browser::Error::Exhausted(_)) => {
                "pool_exhausted"
            }
            Self::OverShare { .. } | Self::Browser(browser::Error::OverShare(_)) => {
                "quota_exceeded"
            }
            Self::Browser(browser::Error::Draining) => "draining",
            Self::Browser(browser::Error::Passed) | Self::Passed | Self::Unmet(_) => "deadline",
            Self::Condition(_) => "page_condition",
            Self::Browser(
                browser::Error::Unavailable(_)
                | browser::Error::Unknown(_)
                | browser::Error::Leased(_),
            ) => "browser_unavailable",
            Self::Lost(_) => "browser_lost",
            Self::Denied(_) => "egress_denied",
            Self::Dns(_) => "origin_dns",
            Self::Refused(_) => "origin_refused",
            Self::Tls(_) => "origin_tls",
            Self::Timeout { .. } => "origin_timeout",
            Self::Protocol(_) | Self::TooManyRedirects { .. } => "origin_protocol",
            Self::TooLarge { .. } | Self::TooComplex(_) => "too_large",
            Self::BadRequest(..) => "bad_request",
        }
    }

    /// What there was no room for, when that is why.
    #[must_use]
    pub const fn refused(&self) -> Option<Wanted> {
        match self {
            Self::QueueFull { wanted, .. } | Self::Exhausted { wanted, .. } => Some(*wanted),
            Self::Browser(browser::Error::QueueFull(_) | browser::Error::Exhausted(_)) => {
                Some(Wanted::Seat)
            }
            _ => None,
        }
    }

    /// What a failed request of the HTTP client means.
    pub(super) fn of_http(error: &(dyn std::error::Error + 'static)) -> Self {
        let chain = Chain(error);
        if let Some(slow) = chain.find::<TooSlow>() {
            return Self::Timeout {
                what: slow.to_string(),
            };
        }
        if let Some(failed) = chain.find::<LookupError>() {
            return failed.clone().into();
        }
        let words = chain.words();
        if chain.any(|one| one == "dns error") {
            return Self::Dns(words);
        }
        if chain.tls() {
            return Self::Tls(words);
        }
        match chain.io() {
            Some(ErrorKind::TimedOut) => Self::Timeout { what: words },
            Some(
                ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::AddrNotAvailable,
            ) => Self::Refused(words),
            _ => Self::Protocol(words),
        }
    }

    /// What a failed page means to a fetch that takes `limit` bytes and follows `redirects`.
    pub(crate) fn of_page(error: page::Error, redirects: u32) -> Self {
        match error {
            page::Error::Lost(why) => Self::Lost(why.into()),
            page::Error::Passed => Self::Passed,
            page::Error::Denied(denied) => Self::Denied(denied),
            page::Error::Dns(what) => Self::Dns(what),
            page::Error::Refused(what) => Self::Refused(what),
            page::Error::Tls(what) => Self::Tls(what),
            page::Error::Timeout(what) => Self::Timeout { what },
            page::Error::Redirects => Self::TooManyRedirects { limit: redirects },
            page::Error::TooLarge { limit } => Self::TooLarge { limit },
            page::Error::Unmet(what) => Self::Unmet(what),
            page::Error::Condition(what) => Self::Condition(what),
            page::Error::Option { option, message } => Self::BadRequest(option, message),
            error @ (page::Error::Aborted
            | page::Error::Net(_)
            | page::Error::NoProxy(_)
            | page::Error::Cdp(_)) => Self::Protocol(error.to_string()),
        }
    }
}

const fn turn(wanted: Wanted) -> &'static str {
    match wanted {
        Wanted::Http => "HTTP requests",
        Wanted::Page | Wanted::Seat | Wanted::Lease => "pages",
    }
}

/// An error and everything below it.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl Chain<'_> {
    fn each(&self) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
        std::iter::successors(Some(self.0), |error| error.source())
    }

    fn any(&self, is: impl Fn(&str) -> bool) -> bool {
        self.each().any(|error| is(&error.to_string()))
    }

    fn find<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.each().find_map(|error| error.downcast_ref())
    }

    /// Whether it is the TLS layer's. Its errors are wrapped as those of the operating system, and
    /// so are an origin's that does not speak TLS.
    fn tls(&self) -> bool {
        let mut wrapped = self
            .each()
            .filter_map(<dyn std::error::Error>::downcast_ref);
        wrapped.any(|mut error: &std::io::Error| {
            loop {
                match error.get_ref() {
                    Some(inner) if inner.is::<rustls::Error>() => return true,
                    Some(inner) => match inner.downcast_ref() {
                        Some(inner) => error = inner,
                        None => return false,
                    },
                    None => return false,
                }
            }
        })
    }

    /// The kind of the innermost error of the operating system or the TLS layer.
    fn io(&self) -> Option<ErrorKind> {
        let errors = self
            .each()
            .filter_map(<dyn std::error::Error>::downcast_ref);
        let mut innermost: &std::io::Error = errors.last()?;
        // One that wraps another does not name it as its source.
        while let Some(inner) = innermost.get_ref().and_then(|inner| inner.downcast_ref()) {
            innermost = inner;
        }
        Some(innermost.kind())
    }

    /// From the second error on: the first only says that it went wrong.
    fn words(&self) -> String {
        let mut words: Vec<_> = self.each().skip(1).map(ToString::to_string).collect();
        words.dedup();
        if words.is_empty() {
            "the request failed".into()
        } else {
            words.join(": ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        egress::Target,
        metrics::{EgressRule, FETCH_OUTCOMES},
    };

    #[test]
    fn outcomes_are_words_of_the_metrics() {
        let errors = [
            Error::Browser(browser::Error::Draining),
            Error::Browser(browser::Error::Passed),
            Error::QueueFull {
                wanted: Wanted::Http,
                waiting: 1,
                queue: 1,
            },
            Error::OverShare {
                wanted: Wanted::Http,
                most: 1,
            },
            Error::Exhausted {
                wanted: Wanted::Page,
                waiting: 1,
                queue: 1,
            },
            Error::Lost(String::new()),
            Error::Dns(String::new()),
            Error::Refused(String::new()),
            Error::Tls(String::new()),
            Error::Timeout {
                what: String::new(),
            },
            Error::Protocol(String::new()),
            Error::TooLarge { limit: 1 },
            Error::TooComplex(String::new()),
            Error::TooManyRedirects { limit: 1 },
            Error::Passed,
            Error::Unmet(String::new()),
            Error::Condition(String::new()),
            Error::BadRequest("url", String::new()),
            Error::from(Denied {
                rule: EgressRule::Loopback,
                target: Target::of(([127, 0, 0, 1], 80).into()),
            }),
        ];
        for error in errors {
            assert!(FETCH_OUTCOMES.contains(&error.outcome()), "{error:?}");
        }
    }
}
