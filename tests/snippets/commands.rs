//! Commands in running text.

use crate::page::Page;

/// What stands for something else.
fn is_placeholder(word: &str) -> bool {
    let named = word.len() > 1
        && word
            .chars()
            .all(|one| one.is_ascii_uppercase() || one == '_');
    named || word == "…" || word == "..."
}

#[test]
fn commands_in_running_text_are_commands() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in Page::all() {
        let prose = page.prose();
        let quoted = prose.split('`').skip(1).step_by(2);
        for command in quoted.filter(|text| text.starts_with("berth ")) {
            let command = command.replace('\n', " ");
            let command = command.split('|').next().unwrap();
            let words: Vec<_> = command
                .split_whitespace()
                .filter(|word| *word != "…")
                .map(|word| word.trim_matches(['[', ']', '\'']))
                .map(|word| if is_placeholder(word) { "5" } else { word })
                .collect();
            let parsed = berth::cli::command().try_get_matches_from(&words);
            count += 1;
            use clap::error::ErrorKind::{
                DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion,
                MissingRequiredArgument, MissingSubcommand,
            };
            if let Err(error) = parsed {
                // A command may be named without what it wants.
                let named = matches!(
                    error.kind(),
                    DisplayHelp
                        | DisplayHelpOnMissingArgumentOrSubcommand
                        | DisplayVersion
                        | MissingRequiredArgument
                        | MissingSubcommand
                );
                if !named {
                    let why = error.to_string();
                    let why = why.lines().next().unwrap_or_default().to_owned();
                    wrong.push(format!("{}: {command}: {why}", page.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 30, "{count} commands are found");
}
