//! `berth token`: credentials for callers.

use std::{io::Write, process::ExitCode};

use clap::{Args, Subcommand};

use super::exit::{self, Failure};
use crate::auth;

/// Make tokens to call a broker with
#[derive(Args, Clone, Debug)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Print a new token, and below it the entry for the file of --auth-tokens
    ///
    /// The token is on the first line and is shown this once: the entry has only its hash. A running
    /// broker takes the entry as soon as it is in the file.
    New {
        /// Whose leases are made with it
        #[arg(long, value_name = "NAME")]
        owner: String,
        /// Let it do what operators do
        #[arg(long)]
        admin: bool,
    },
}

pub(super) fn run(args: &TokenArgs) -> Result<ExitCode, Failure> {
    let What::New { owner, admin } = &args.what;
    let made = auth::new_token(owner, *admin);
    let (token, entry) = made.map_err(|why| Failure::new(exit::USAGE, why))?;
    write!(std::io::stdout(), "{token}\n\n{entry}")?;
    Ok(ExitCode::SUCCESS)
}
