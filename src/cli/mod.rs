//! The command `berth`.
//!
//! `serve` runs the service; `fetch`, `lease`, `mcp`, `top` and `health` are clients of one, over gRPC alone;
//! `token` makes credentials for callers; `completions` and `man` are for shells and their users; `demo` runs both in one process and shows the main job; `soak` runs the service as a child for as
//! long as wanted and judges how it stands.

mod client;
mod demo;
mod demo_site;
mod exit;
mod fetch;
mod health;
mod lease;
mod mcp;
mod progress;
mod serve;
mod shell;
mod signals;
mod soak;
mod token;
mod top;

use std::process::ExitCode;

use clap::{Args, Command, FromArgMatches};

use self::{
    exit::Failure,
    fetch::FetchArgs,
    health::HealthArgs,
    lease::LeaseArgs,
    mcp::McpArgs,
    shell::{CompletionsArgs, ManArgs},
    soak::SoakArgs,
    token::TokenArgs,
    top::TopArgs,
};
use crate::config;

const ABOUT: &str = "A gRPC broker for headless browsers and web fetching";

const AFTER: &str = "\
Exit codes:
    0  it worked
    1  it failed
    2  the command line is wrong
    3  serve: the shutdown had to cut running work; soak: a second signal killed everything
   64  the configuration is wrong
   69  the broker cannot be reached, or has no browser to offer
   75  every browser is taken: try again
   77  the broker does not go there: --egress-allow of berth serve opens it
  124  the deadline passed
`berth lease` exits as its command does.";

/// The command line.
#[must_use]
pub fn command() -> Command {
    let client = |name: &'static str| Command::new(name).after_help(AFTER);
    Command::new("berth")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("serve")
                .about("Run the service until SIGTERM or SIGINT; a second signal exits at once")
                .args(config::args())
                .after_help(AFTER),
        )
        .subcommand(FetchArgs::augment_args(client("fetch")))
        .subcommand(LeaseArgs::augment_args(client("lease")))
        .subcommand(McpArgs::augment_args(client("mcp")))
        .subcommand(TopArgs::augment_args(client("top")))
        .subcommand(HealthArgs::augment_args(client("health")))
        .subcommand(TokenArgs::augment_args(Command::new("token")))
        .subcommand(SoakArgs::augment_args(Command::new("soak")))
        .subcommand(CompletionsArgs::augment_args(Command::new("completions")))
        .subcommand(ManArgs::augment_args(Command::new("man")))
        .subcommand(
            client("demo")
                .about("Show the main job: start a broker, lease a browser, fetch pages, leave nothing")
                .args(config::args().into_iter().map(|arg| arg.hide(true))),
        )
}

/// Runs the command that this process was called with.
#[must_use]
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    let ran = match matches.subcommand() {
        Some(("serve", matches)) => serve::run(matches),
        Some(("demo", matches)) => demo::run(matches),
        Some(("fetch", matches)) => FetchArgs::from_arg_matches(matches)
            .map_err(Failure::usage)
            .and_then(fetch::run),
        Some(("lease", matches)) => LeaseArgs::from_arg_matches(matches)
            .map_err(Failure::usage)
            .and_then(|args| lease::run(&args)),
        Some(("mcp", matches)) => McpArgs::from_arg_matches(matches)
            .map_err(Failure::usage)
            .and_then(mcp::run),
        Some(("top", matches)) => TopArgs::from_arg_matches(matches)
            .map_err(Failure::usage)
            .and_then(top::run),
        Some(("health", matches)) => HealthArgs::from_arg_matches(matches)
            .map_err(Failure::usage)
            .and_then(|args| health::run(&args)),
        Some(("completions", matches)) => CompletionsArgs::from_arg_matches(matches)
            .map_err(Failure::usage)
            .and_then(|args| shell::completions(&args)),
        Some(("man", matches)) => ManArgs::from_arg_matches(matches)
            .map_err(Failure::usage)
            .and_then(|args| shell::man(&args)),
        Some(("token", matches)) => TokenArgs::from_arg_matches(matches)
            .map_err(Failure::usage)
            .and_then(|args| token::run(&args)),
        Some(("soak", matches)) => SoakArgs::from_arg_matches(matches)
            .map_err(Failure::usage)
            .and_then(|args| soak::run(&args)),
        _ => Err(Failure::new(exit::USAGE, "no such command")),
    };
    ran.unwrap_or_else(Failure::report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        command().debug_assert();
    }

    #[test]
    fn the_flags_of_the_contract_are_there() {
        let command = command();
        for (name, flags) in [
            (
                "serve",
                &[
                    "listen",
                    "gateway-listen",
                    "ops-listen",
                    "browser",
                    "max-browsers",
                    "min-warm",
                    "seats-per-browser",
                    "queue",
                    "shutdown-timeout",
                    "run-dir",
                    "print-config",
                    "config",
                ][..],
            ),
            ("fetch", &["strategy", "format", "output", "endpoint"]),
            ("lease", &["ttl", "wait", "endpoint"]),
            (
                "mcp",
                &["endpoint", "embedded", "http", "tools", "idle-timeout"],
            ),
            ("top", &["endpoint", "interval", "once"]),
            ("health", &["endpoint"]),
            ("soak", &["duration", "report"]),
        ] {
            let sub = command.find_subcommand(name).unwrap();
            for flag in flags {
                let found = sub.get_arguments().any(|arg| arg.get_long() == Some(flag));
                assert!(found, "{name} --{flag}");
            }
        }
    }
}
