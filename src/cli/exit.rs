//! How the command ends: exit codes and what is said with them.

use std::{fmt::Display, io::Write, process::ExitCode};

use tonic::{Code, Status};

use crate::client;

/// The command line is wrong, as clap has it.
pub(super) const USAGE: u8 = 2;
/// A shutdown had to cut running work.
pub(super) const FORCED: u8 = 3;
/// The configuration is wrong.
pub(super) const CONFIG: u8 = 64;
/// The broker cannot be reached or has nothing to offer (`EX_UNAVAILABLE` of sysexits.h).
pub(super) const UNAVAILABLE: u8 = 69;
/// Try again (`EX_TEMPFAIL` of sysexits.h).
pub(super) const RETRY: u8 = 75;
/// The target is one that the broker does not reach (`EX_NOPERM` of sysexits.h).
pub(super) const DENIED: u8 = 77;
/// The deadline passed, as timeout(1) has it.
pub(super) const DEADLINE: u8 = 124;

/// Why the command failed, for people and for scripts.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    pub(super) fn new(code: u8, message: impl Display) -> Self {
        Self {
            code,
            message: message.to_string(),
        }
    }

    pub(super) fn other(message: impl Display) -> Self {
        Self::new(1, message)
    }

    pub(super) fn usage(error: clap::Error) -> Self {
        Self::new(USAGE, error)
    }

    /// Whether the command line is what is wrong.
    pub(super) const fn is_usage(&self) -> bool {
        self.code == USAGE
    }

    /// What went wrong.
    pub(super) fn message(&self) -> &str {
        self.message.trim_end()
    }

    /// The same, and what had happened before.
    pub(super) fn after(mut self, before: &str) -> Self {
        self.message += &format!("; before that: {before}");
        self
    }

    /// Says it on standard error and turns into the exit code.
    pub(super) fn report(self) -> ExitCode {
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(std::io::stderr(), "berth: {}", self.message.trim_end());
        ExitCode::from(self.code)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::other(error)
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        let code = match &error {
            client::Error::Endpoint { .. } => {
                return Self::new(USAGE, format!("--endpoint {error}"));
            }
            client::Error::Token => USAGE,
            client::Error::Unreachable { .. } => UNAVAILABLE,
            client::Error::Refused(status) => match status.code() {
                Code::Unavailable => UNAVAILABLE,
                Code::ResourceExhausted => RETRY,
                Code::PermissionDenied => DENIED,
                Code::DeadlineExceeded | Code::Cancelled => DEADLINE,
                Code::Unauthenticated => {
                    let how = "BERTH_TOKEN or --token-file, or --cert with --key";
                    return Self::other(format!("{error}; here by {how}"));
                }
                _ => 1,
            },
        };
        Self::new(code, error)
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        client::Error::from(status).into()
    }
}
