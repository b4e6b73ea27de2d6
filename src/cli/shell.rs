//! `berth completions` and `berth man`: what shells and man(1) take, made of the commands themselves.

use std::{
    io::{Write, stdout},
    process::ExitCode,
};

use clap::{Args, Command};
use clap_complete::Shell;

use super::exit::{self, Failure};

/// Print what completes commands and flags in a shell
///
/// For bash, to try it: source <(berth completions bash). To keep it, write it to where the shell looks:
/// ~/.local/share/bash-completion/completions/berth, a file _berth in zsh's $fpath, or
/// ~/.config/fish/completions/berth.fish.
#[derive(Args, Clone, Debug)]
pub(super) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

/// Print the man page of berth or of one of its commands
///
/// berth man | man -l - shows it; berth man lease > berth-lease.1 keeps one.
#[derive(Args, Clone, Debug)]
pub(super) struct ManArgs {
    /// The command; none for berth itself
    command: Option<String>,
}

pub(super) fn completions(args: &CompletionsArgs) -> Result<ExitCode, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "berth", &mut text);
    print(&text)
}

pub(super) fn man(args: &ManArgs) -> Result<ExitCode, Failure> {
    let mut command = super::command();
    command.build();
    let command = match &args.command {
        None => command,
        Some(name) => {
            let known: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
            let known = known.join(", ");
            let found = command.find_subcommand(name).cloned();
            found.ok_or_else(|| {
                let why = format!("there is no command {name:?}: wanted one of {known}");
                Failure::new(exit::USAGE, why)
            })?
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text)?;
    print(&text)
}

fn print(text: &[u8]) -> Result<ExitCode, Failure> {
    stdout().write_all(text)?;
    Ok(ExitCode::SUCCESS)
}
