//! From an error to a status: the one place that makes a `tonic::Status`.

use std::{collections::HashMap, time::Duration};

use http::HeaderMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    broker::{Broker, Error, OverQuota, Violation},
    browser::{self, Demand},
    egress::Denied,
    fetch,
    lease::{self, EndReason},
    metrics::{QuotaKind, Wanted},
    page,
    proto::ErrorReason,
};

/// The domain of every error.
pub const DOMAIN: &str = "berth";

/// Which limit ended a wait, and its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) name: &'static str,
    pub(super) value: Duration,
}

/// What an error becomes.
#[derive(Debug)]
struct Answer {
    code: Code,
    reason: ErrorReason,
    message: String,
    metadata: HashMap<String, String>,
    retry: Option<Duration>,
    violations: Vec<Violation>,
    /// What there was too little of.
    quota: Option<&'static str>,
}

/// When a caller may try again whose browser died: another takes its place.
const AT_ONCE: Duration = Duration::from_millis(100);
/// When a caller may try again that came while something restarts.
const SOON: Duration = Duration::from_secs(1);

impl Answer {
    fn new(code: Code, reason: ErrorReason, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            metadata: HashMap::new(),
            retry: None,
            violations: Vec::new(),
            quota: None,
        }
    }

    fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.metadata.insert(key.into(), value.to_string());
        self
    }

    fn retry(mut self, after: Duration) -> Self {
        self.retry = Some(after);
        self
    }

    fn status(self) -> Status {
        let mut details = ErrorDetails::new();
        let name = self.reason.as_str_name();
        let reason = name.strip_prefix("ERROR_REASON_").unwrap_or(name);
        details.set_error_info(reason, DOMAIN, self.metadata);
        if self.retry.is_some() {
            details.set_retry_info(self.retry);
        }
        for wrong in self.violations {
            details.add_bad_request_violation(wrong.field, wrong.why);
        }
        if let Some(subject) = self.quota {
            details.add_quota_failure_violation(subject, self.message.clone());
        }
        Status::with_error_details(self.code, self.message, details)
    }
}

/// The request is not as it must be.
pub(super) fn invalid(violations: Vec<Violation>) -> Status {
    of_invalid(violations).status()
}

/// What the transport says of a message longer than `limit` bytes, with the reason that every error
/// has. `None` for any other answer.
pub(super) fn message_too_large(headers: &HeaderMap, limit: usize) -> Option<Status> {
    let code = headers.get(Status::GRPC_STATUS)?;
    // The codec alone answers with this code, and it knows of no details.
    let is_codecs = Code::from_bytes(code.as_bytes()) == Code::OutOfRange;
    if !is_codecs || headers.contains_key(Status::GRPC_STATUS_DETAILS) {
        return None;
    }
    let said = Status::from_header_map(headers)?.message().to_owned();
    let name = "max_message_size";
    let answer = Answer::new(Code::OutOfRange, ErrorReason::MessageTooLarge, said)
        .with("limit", name)
        .with(name, limit);
    Some(answer.status())
}

/// The caller did not say who it is, or nobody knows it. Which of them, it is not told.
pub(super) fn unauthenticated() -> Status {
    let message = "this broker asks who calls: send `authorization: Bearer <token>` with a token that \
                   is valid, or show a client certificate";
    Answer::new(Code::Unauthenticated, ErrorReason::AuthRequired, message).status()
}

/// The caller has not the role that this takes.
pub(super) fn role_required(role: &str) -> Status {
    let message = format!("only callers with the role `{role}` may do this");
    let answer = Answer::new(Code::PermissionDenied, ErrorReason::RoleRequired, message);
    answer.with("role", role).status()
}

/// This version does not have it.
pub(super) fn unimplemented(what: &str) -> Status {
    let message = format!("{what} is not in this version");
    Answer::new(Code::Unimplemented, ErrorReason::Unimplemented, message).status()
}

/// What `error` tells the caller. `limit` is the one that bounded the caller's wait.
pub(super) fn of(error: Error, broker: &Broker, limit: Option<Limit>) -> Status {
    let answer = match error {
        Error::Invalid(violations) => of_invalid(violations),
        Error::Lease(error) => of_lease(error),
        Error::Browser(error) => of_browser(error, broker, limit),
        Error::Fetch(error) => of_fetch(error, broker, limit),
        Error::Page(error) => of_page(error, broker, limit),
        Error::NotOwner => {
            let message = error.to_string();
            Answer::new(Code::PermissionDenied, ErrorReason::NotOwner, message)
        }
        Error::OverQuota(over) => over_quota(over),
        Error::Denied(denied) => of_denied(*denied),
        Error::Draining => draining(),
        Error::Passed => passed(limit),
    };
    if answer.code == Code::DeadlineExceeded {
        let (limit, value) = limit.map(|limit| (limit.name, limit.value)).unzip();
        let limit_millis = value.and_then(|value| u64::try_from(value.as_millis()).ok());
        tracing::info!(limit, limit_millis, "rpc.limit_passed");
    }
    answer.status()
}

/// So much is said of what is wrong with a request, in bytes. It is said twice, in the message and in
/// the details, and some clients take no more than 8 KiB of headers.
const MOST_SAID: usize = 2048;

fn of_invalid(mut violations: Vec<Violation>) -> Answer {
    let mut message = String::new();
    let mut told = 0;
    for wrong in &violations {
        let line = wrong.to_string();
        if told > 0 && message.len() + line.len() > MOST_SAID {
            break;
        }
        if told > 0 {
            message += "; ";
        }
        message += &line;
        told += 1;
    }
    match violations.len() - told {
        0 => {}
        left => message += &format!("; and {left} more"),
    }
    violations.truncate(told);
    let mut answer = Answer::new(Code::InvalidArgument, ErrorReason::BadRequest, message);
    answer.violations = violations;
    answer
}

fn of_lease(error: lease::Error) -> Answer {
    let answer = Answer::new(
        Code::NotFound,
        ErrorReason::LeaseNotFound,
        error.to_string(),
    );
    match error {
        lease::Error::Unknown => answer,
        lease::Error::Ended(reason) => answer.with("end_reason", upper(reason)),
    }
}

fn of_denied(denied: Denied) -> Answer {
    let (code, reason) = (Code::PermissionDenied, ErrorReason::EgressDenied);
    Answer::new(code, reason, denied.to_string())
        .with("rule", denied.rule.as_str())
        .with("target", denied.target)
}

fn upper(reason: EndReason) -> String {
    reason.as_str().to_ascii_uppercase()
}

fn of_browser(error: browser::Error, broker: &Broker, limit: Option<Limit>) -> Answer {
    let message = error.to_string();
    let unavailable = |reason| Answer::new(Code::Unavailable, reason, message.clone());
    match error {
        browser::Error::QueueFull(demand) => exhausted(message, demand)
            .with("limit", "queue")
            .retry(broker.retry_after()),
        browser::Error::OverShare(most) => over_quota(OverQuota::waiting(most)),
        browser::Error::Exhausted(demand) => {
            let answer = exhausted(message, demand).retry(broker.retry_after());
            in_vain(answer, limit)
        }
        browser::Error::Unavailable(_) => unavailable(ErrorReason::BrowserUnavailable).retry(SOON),
        browser::Error::Draining => draining(),
        browser::Error::Passed => passed(limit),
        browser::Error::Unknown(_) => {
            Answer::new(Code::NotFound, ErrorReason::BrowserNotFound, message)
        }
        browser::Error::Leased(_) => Answer::new(
            Code::FailedPrecondition,
            ErrorReason::BrowserLeased,
            message,
        ),
    }
}

/// Its owner has as much as it may.
fn over_quota(over: OverQuota) -> Answer {
    let message = over.to_string();
    let mut answer = Answer::new(Code::ResourceExhausted, ErrorReason::QuotaExceeded, message)
        .with("quota", over.quota.as_str())
        .with("limit", over.limit);
    answer.quota = Some(match over.quota {
        QuotaKind::Leases => "berth:owner/leases",
        QuotaKind::Fetches => "berth:owner/fetches",
        QuotaKind::Waiting => "berth:owner/waiting",
        QuotaKind::Rate => "berth:owner/rate",
    });
    answer.retry = over.retry.or(match over.quota {
        // Its end is the owner's own to bring about.
        QuotaKind::Leases => None,
        QuotaKind::Fetches | QuotaKind::Waiting | QuotaKind::Rate => Some(SOON),
    });
    answer
}

/// There was no room, as `subject` of the quota tells where.
fn no_room(message: String, subject: &'static str) -> Answer {
    let mut answer = Answer::new(Code::ResourceExhausted, ErrorReason::PoolExhausted, message);
    answer.quota = Some(subject);
    answer
}

fn exhausted(message: String, demand: Demand) -> Answer {
    no_room(message, "berth:browsers")
        .with("max_browsers", demand.max)
        .with("leased", demand.leased)
        .with("shared", demand.shared)
        .with("starting", demand.starting)
        .with("retiring", demand.retiring)
        .with("waiting", demand.waiting)
        .with("queue", demand.queue)
}

/// Somebody waited until `limit` for what `answer` says there is no room for.
fn in_vain(mut answer: Answer, limit: Option<Limit>) -> Answer {
    let Some(Limit { name, value }) = limit else {
        return answer;
    };
    let value = humantime::format_duration(value);
    answer.message = format!("{}; the limit was the {name} of {value}", answer.message);
    answer.with("limit", name).with("wait", value)
}

/// The subject of the quota of what a fetch wanted.
const fn subject(wanted: Wanted) -> &'static str {
    match wanted {
        Wanted::Lease | Wanted::Seat => "berth:browsers",
        Wanted::Page => "berth:pages",
        Wanted::Http => "berth:http",
    }
}

fn of_fetch(error: fetch::Error, broker: &Broker, limit: Option<Limit>) -> Answer {
    let message = error.to_string();
    let origin = |reason| Answer::new(Code::Unavailable, reason, message.clone());
    match error {
        fetch::Error::Browser(error) => of_browser(error, broker, limit),
        fetch::Error::QueueFull {
            wanted,
            waiting,
            queue,
        } => no_room(message, subject(wanted))
            .with("limit", "queue")
            .with("waiting", waiting)
            .with("queue", queue)
            .retry(SOON),
        fetch::Error::OverShare { most, .. } => over_quota(OverQuota::waiting(most)),
        fetch::Error::Exhausted {
            wanted,
            waiting,
            queue,
        } => {
            let answer = no_room(message, subject(wanted))
                .with("waiting", waiting)
                .with("queue", queue)
                .retry(SOON);
            in_vain(answer, limit)
        }
        fetch::Error::Lost(_) => {
            Answer::new(Code::Aborted, ErrorReason::BrowserLost, message).retry(AT_ONCE)
        }
        fetch::Error::Denied(denied) => of_denied(*denied),
        fetch::Error::Dns(_) => origin(ErrorReason::OriginDns),
        fetch::Error::Refused(_) => origin(ErrorReason::OriginRefused),
        fetch::Error::Tls(_) => origin(ErrorReason::OriginTls),
        fetch::Error::Timeout { .. } => origin(ErrorReason::OriginTimeout),
        fetch::Error::Protocol(_) | fetch::Error::TooManyRedirects { .. } => {
            origin(ErrorReason::OriginProtocol)
        }
        fetch::Error::TooComplex(_) => {
            Answer::new(Code::FailedPrecondition, ErrorReason::TooLarge, message)
        }
        fetch::Error::TooLarge { limit } => {
            Answer::new(Code::FailedPrecondition, ErrorReason::TooLarge, message)
                .with("max_bytes", limit)
        }
        fetch::Error::Passed => passed(limit),
        fetch::Error::Unmet(what) => {
            let mut answer = passed(limit);
            answer.message = format!("{} while waiting for {what}", answer.message);
            answer.with("unmet", what)
        }
        fetch::Error::Condition(_) => Answer::new(
            Code::FailedPrecondition,
            ErrorReason::PageCondition,
            message,
        ),
        fetch::Error::BadRequest(field, why) => of_invalid(vec![Violation::new(field, why)]),
    }
}

fn of_page(error: page::Error, broker: &Broker, limit: Option<Limit>) -> Answer {
    let message = error.to_string();
    let failed = |reason| Answer::new(Code::FailedPrecondition, reason, message.clone());
    match error {
        page::Error::Page(error) => {
            // The browser counts redirects itself.
            const REDIRECTS: u32 = 20;
            of_fetch(fetch::Error::of_page(error, REDIRECTS), broker, limit)
        }
        page::Error::NoPage(id) => {
            Answer::new(Code::NotFound, ErrorReason::PageNotFound, message).with("page_id", id)
        }
        page::Error::NoElement(_) => {
            Answer::new(Code::NotFound, ErrorReason::ElementNotFound, message)
        }
        page::Error::Ambiguous { count, .. } => {
            failed(ErrorReason::ElementAmbiguous).with("count", count)
        }
        page::Error::NotActionable { why, .. } => {
            failed(ErrorReason::NotActionable).with("why", why.as_str())
        }
        page::Error::Script { stack, .. } => failed(ErrorReason::ScriptError).with("stack", stack),
        page::Error::Invalid(field, why) => of_invalid(vec![Violation::new(field, why)]),
    }
}

fn draining() -> Answer {
    let message = "the broker is shutting down and takes no new work";
    Answer::new(Code::Unavailable, ErrorReason::Draining, message).retry(SOON)
}

fn passed(limit: Option<Limit>) -> Answer {
    let (code, reason) = (Code::DeadlineExceeded, ErrorReason::Deadline);
    match limit {
        Some(Limit { name, value }) => {
            let value = humantime::format_duration(value);
            Answer::new(code, reason, format!("the {name} of {value} passed")).with(name, value)
        }
        None => Answer::new(code, reason, "the deadline passed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_fits_the_headers_of_every_client() {
        let violation = |n| Violation::new(format!("formats[{n}]"), "there is no value 77");
        let status = invalid((0..1000).map(violation).collect());
        let details = status.get_error_details();
        let named = details.bad_request().unwrap().field_violations.len();
        assert!((10..1000).contains(&named), "{named}");
        let left = format!("; and {} more", 1000 - named);
        assert!(status.message().ends_with(&left), "{}", status.message());
        assert!(status.message().len() + status.details().len() * 4 / 3 < 8 << 10);
        let one = invalid(vec![Violation::new("é".repeat(999), "é".repeat(999))]);
        assert!(!one.message().contains("more"), "{}", one.message());
    }
}
