//! The table of settings as flags, as an effective configuration and as documentation.

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::{
    owners,
    settings::{Chosen, Settings},
    table::{self, Preset, Setting},
};

const PRINT: &str = "print-config";

/// Every setting as a flag. Values are judged by [`load`](super::load), not here, so that all that
/// is wrong is told at once.
#[must_use]
pub fn args() -> Vec<Arg> {
    let file = Arg::new("config")
        .long("config")
        .value_name("PATH")
        .value_parser(value_parser!(PathBuf))
        .help("A TOML file of settings")
        .long_help("A TOML file of settings [env: BERTH_CONFIG]");
    let print = Arg::new(PRINT)
        .long(PRINT)
        .action(ArgAction::SetTrue)
        .help("Print the effective configuration as TOML, with the source of each value, and exit");
    let mut args = vec![file, print];
    for group in table::GROUPS {
        args.extend(
            group
                .settings
                .iter()
                .map(|s| arg(s).help_heading(group.heading)),
        );
    }
    args
}

/// Whether `--print-config` was given.
#[must_use]
pub fn print_wanted(matches: &ArgMatches) -> bool {
    matches
        .try_get_one::<bool>(PRINT)
        .ok()
        .flatten()
        .is_some_and(|wanted| *wanted)
}

fn arg(setting: &'static Setting) -> Arg {
    let default = plain_default(setting);
    let arg = Arg::new(setting.flag);
    let arg = if setting.kind.is_switch() {
        arg.num_args(0..=1).default_missing_value("true")
    } else {
        arg
    };
    arg.long(setting.flag)
        .value_name(setting.kind.placeholder())
        .allow_hyphen_values(setting.kind.takes_flags())
        .allow_negative_numbers(true)
        .help(format!("{} [default: {default}]", setting.help))
        .long_help(format!(
            "{}: {} [default: {default}] [env: {}]",
            setting.help,
            setting.kind.values(),
            setting.variable()
        ))
}

fn plain_default(setting: &Setting) -> String {
    match &setting.default {
        Preset::Text(text) | Preset::Nothing(text) => (*text).to_owned(),
        Preset::Found(_, text) => text.replace('`', ""),
    }
}

impl Settings {
    /// The effective configuration as a file for `--config`, with the source of each value.
    #[must_use]
    pub fn print(&self) -> String {
        let chosen: BTreeMap<_, _> = self.chosen.iter().map(|c| (c.setting.flag, c)).collect();
        let mut text = format!(
            "# The effective configuration of berth {}.\n",
            env!("CARGO_PKG_VERSION")
        );
        for group in table::GROUPS {
            text += &format!("\n## {}\n", group.heading);
            for chosen in group.settings.iter().filter_map(|s| chosen.get(s.flag)) {
                text += &entry(chosen);
            }
        }
        text + &owners::print(&self.owners)
    }
}

pub(super) fn entry(chosen: &Chosen) -> String {
    let setting = chosen.setting;
    let value = if setting.kind.is_number() {
        chosen.text.trim_start_matches('+').to_owned()
    } else {
        toml::Value::String(chosen.text.clone()).to_string()
    };
    format!(
        "\n# {}: {}.\n# From: {}\n{} = {value}\n",
        setting.help,
        setting.kind.values(),
        chosen.source,
        setting.key()
    )
}

/// All settings as the Markdown page that is kept as `docs/configuration.md`.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(INTRODUCTION);
    for group in table::GROUPS {
        text += &format!(
            "\n## {}\n\n| Flag | Key | Environment | Default | Values | Meaning |\n\
             |---|---|---|---|---|---|\n",
            group.heading
        );
        for setting in group.settings {
            let default = match &setting.default {
                Preset::Text(text) => format!("`{text}`"),
                Preset::Nothing(text) | Preset::Found(_, text) => (*text).to_owned(),
            };
            text += &format!(
                "| `--{}` | `{}` | `{}` | {default} | {} | {} |\n",
                setting.flag,
                setting.key(),
                setting.variable(),
                setting.kind.values(),
                setting.help
            );
        }
    }
    text
}

const INTRODUCTION: &str = "\
<!-- Generated from src/config/table.rs: BERTH_UPDATE_DOCS=1 cargo test --lib config::show -->

# Configuration

`berth serve` takes every setting as a flag, as an environment variable and as a key of a TOML
file. A flag wins over the environment, the environment over the file, the file over the default.

* No file is read unless `--config PATH` or `BERTH_CONFIG` names one. Values are strings or whole
  numbers. A file has no sections but `[owners.NAME]`, for what one owner may have that is not what
  all may: the keys are those of the owners below without `owner_`, such as `max_leases = 2`. What
  such a section leaves out is as for every owner. Flags and environment cannot say it.
* Durations have a unit: `500ms`, `30s`, `5m`, `1h`, `1h 30m`. Sizes may have one: `512MiB`,
  `2GiB`, or plain bytes.
* An empty environment variable counts as unset. An empty flag or key takes back an optional
  setting that a lower source has set.
* Everything that is wrong is reported at once, with the flag, the variable or the line of the
  file it comes from, and the broker does not start. An unknown key in the file is wrong; an
  unknown `BERTH_*` variable is a warning.
* `berth serve --print-config` prints the effective configuration with the source of each value,
  as a file that `--config` takes.

An address other than loopback is refused unless callers have to say who they are: see
[OPERATIONS.md](OPERATIONS.md#who-may-call).
";

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use clap::Command;

    use super::*;

    #[test]
    fn flags_are_a_command_that_clap_takes() {
        Command::new("serve").args(args()).debug_assert();
    }

    #[test]
    fn every_setting_has_flag_key_and_variable() {
        let flags: Vec<_> = args().iter().map(|arg| arg.get_id().to_string()).collect();
        let page = reference();
        for setting in table::settings() {
            assert!(
                flags.iter().any(|flag| flag == setting.flag),
                "{}",
                setting.flag
            );
            let (key, variable) = (setting.key(), setting.variable());
            let names = format!("| `--{}` | `{key}` | `{variable}` |", setting.flag);
            assert!(page.contains(&names), "{names}");
        }
        assert_eq!(flags.len(), table::settings().count() + 2);
    }

    #[test]
    fn help_tells_range_default_and_variable() {
        let help = Command::new("serve")
            .args(args())
            .term_width(0)
            .render_long_help()
            .to_string();
        assert!(help.contains("Leases:\n"), "{help}");
        let line = "1 to 1000 [default: 3] [env: BERTH_MAX_BROWSERS]";
        assert!(help.contains(line), "{help}");
    }

    #[test]
    fn the_page_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
        if env::var_os("BERTH_UPDATE_DOCS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, reference()).unwrap();
        }
        let page = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            page == reference(),
            "docs/configuration.md is not what the table says; update it with \
             BERTH_UPDATE_DOCS=1 cargo test --lib config::show"
        );
    }
}
