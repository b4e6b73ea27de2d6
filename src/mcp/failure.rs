//! A failure, told to a model: what happened, and what to do next.

use rmcp::model::{CallToolResult, ContentBlock};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::client;

/// Why a tool did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    what: String,
    next: String,
}

impl Failure {
    pub(super) fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            next: next.into(),
        }
    }

    pub(super) fn result(self) -> CallToolResult {
        CallToolResult::error(vec![ContentBlock::text(self.to_string())])
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Error: {}", self.what)?;
        if self.next.is_empty() {
            return Ok(());
        }
        write!(f, "\nNext: {}", self.next)
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        match error.status() {
            Some(status) => status.clone().into(),
            None => Self::new(error.to_string(), ""),
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let reason = info.map_or("", |info| info.reason.as_str());
        let metadata = |key: &str| info.and_then(|info| info.metadata.get(key).cloned());
        let mut what = match reason {
            "" => format!("{}: {}", words(status.code()), status.message()),
            reason => format!("{} [{reason}]", status.message()),
        };
        if let Some(stack) = metadata("stack") {
            what += &format!("\n{stack}");
        }
        let next = match reason {
            "ELEMENT_NOT_FOUND" => "Take a browser_snapshot and use a ref that is in it.",
            "ELEMENT_AMBIGUOUS" => "Use one of the refs above.",
            "NOT_ACTIONABLE" => match metadata("why").as_deref() {
                Some("covered") => {
                    "Close or move what covers it (a dialog, a cookie banner), then try again."
                }
                Some("disabled") => "Fill in what the page needs first, then try again.",
                Some("wrong_kind") => "Use the tool for that kind of element.",
                _ => {
                    "Take a browser_snapshot to see the page as it is now; wait with browser_wait_for if it is still changing."
                }
            },
            "PAGE_NOT_FOUND" => {
                "The tab is closed. See what is open with browser_tabs (action: list)."
            }
            "LEASE_NOT_FOUND" | "BROWSER_LOST" => {
                "The browser is gone, with its pages and logins. Begin again with browser_navigate: it opens a new one."
            }
            "DEADLINE" if metadata("unmet").is_some() => {
                "It did not come. Take a browser_snapshot to see what the page shows instead."
            }
            "DEADLINE" => "Try again, or take a browser_snapshot to see how far the page is.",
            "EGRESS_DENIED" => {
                "This address is closed to you by the operator. Do not try other spellings of it."
            }
            "ORIGIN_DNS" => "Check the spelling of the host.",
            "ORIGIN_REFUSED" | "ORIGIN_TLS" | "ORIGIN_PROTOCOL" => {
                "The site is down or broken. Try another page, or later."
            }
            "ORIGIN_TIMEOUT" => "The site is slow. Try again once, then another page.",
            "POOL_EXHAUSTED" | "QUOTA_EXCEEDED" | "DRAINING" | "BROWSER_UNAVAILABLE" => {
                "Wait a little, then try again."
            }
            "TOO_LARGE" => {
                "Ask for less: another format, a part of the page, or a smaller picture."
            }
            "SCRIPT_ERROR" => "Mend the script.",
            "BAD_REQUEST" => "Mend the arguments.",
            "PAGE_CONDITION" => "",
            "AUTH_REQUIRED" | "ROLE_REQUIRED" | "NOT_OWNER" => {
                "The shim's credentials are not accepted: tell the user to check BERTH_TOKEN or BERTH_TOKEN_FILE."
            }
            _ if status.code() == Code::Unavailable => {
                "The broker cannot be reached: tell the user to start it (berth serve) or to check BERTH_ENDPOINT."
            }
            _ => "",
        };
        let mut next = next.to_owned();
        if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
            let seconds = delay.as_secs_f64();
            if seconds > 0.0 {
                next += &format!(" Retry after {seconds:.1} s.");
            }
        }
        Self { what, next }
    }
}

fn words(code: Code) -> &'static str {
    match code {
        Code::Unavailable => "the broker cannot be reached",
        Code::DeadlineExceeded => "the time was not enough",
        Code::Cancelled => "cancelled",
        _ => "the broker failed",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn a_model_is_told_what_to_do_next() {
        let mut details = ErrorDetails::new();
        let why = HashMap::from([("why".to_owned(), "covered".to_owned())]);
        details.set_error_info("NOT_ACTIONABLE", "berth", why);
        let code = Code::FailedPrecondition;
        let status = Status::with_error_details(code, "e5 is covered by dialog", details);
        let told = Failure::from(status).to_string();
        assert!(
            told.starts_with("Error: e5 is covered by dialog [NOT_ACTIONABLE]"),
            "{told}"
        );
        assert!(told.contains("Next: Close or move"), "{told}");
        let gone = Failure::from(Status::unavailable("refused")).to_string();
        assert!(gone.contains("berth serve"), "{gone}");
    }
}
