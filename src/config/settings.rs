//! From flags, environment and file to one configuration, or to all that is wrong with it.

use std::{collections::BTreeMap, env, path::PathBuf};

use clap::{ArgMatches, parser::ValueSource};

use super::{
    check, file,
    owners::{self, Own},
    problem::{Problem, Problems, Source},
    table::{self, Setting},
    values::Config,
};

/// The variable that names the file.
const FILE: &str = "BERTH_CONFIG";

/// What clients of Berth are told by their environment, which may be that of the broker too.
const CLIENTS: [&str; 9] = [
    FILE,
    "BERTH_ENDPOINT",
    "BERTH_TOKEN",
    "BERTH_TOKEN_FILE",
    "BERTH_CA_FILE",
    "BERTH_CERT",
    "BERTH_KEY",
    "BERTH_CDP_URL",
    "BERTH_LEASE_ID",
];

/// What others call their variables: loggers, and Kubernetes for a service that is named berth.
const FOREIGN: [&str; 3] = ["BERTH_LOG_", "BERTH_SERVICE_", "BERTH_PORT"];

/// How alike two names must be for one to be a slip of the other.
const ALIKE: f64 = 0.85;

/// A configuration that holds together, and where each value of it came from.
#[derive(Clone, Debug)]
pub struct Settings {
    config: Config,
    warnings: Vec<String>,
    pub(super) chosen: Vec<Chosen>,
    pub(super) owners: Vec<Own>,
}

/// The value of one setting, and who said so.
#[derive(Clone)]
pub(super) struct Chosen {
    pub(super) setting: &'static Setting,
    pub(super) text: String,
    pub(super) source: Source,
}

impl std::fmt::Debug for Chosen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={:?} ({})", self.setting.flag, self.text, self.source)
    }
}

impl Chosen {
    pub(super) fn problem(&self, why: String) -> Problem {
        Problem {
            setting: self.setting.key(),
            source: self.source.clone(),
            why,
        }
    }
}

/// The configuration that `matches` of [`args`](super::args), `env` and the file they name make
/// together: flags over environment over file over defaults.
///
/// Only the value that holds is judged. Empty environment variables count as unset; empty flags
/// and keys take back an optional setting.
///
/// # Errors
/// [`Problems`]: everything that is wrong.
pub fn load(
    matches: &ArgMatches,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Settings, Problems> {
    let env: BTreeMap<String, String> = env
        .filter(|(name, value)| name.starts_with("BERTH_") && !value.is_empty())
        .collect();
    let mut problems = Vec::new();
    let path = matches
        .try_get_one::<PathBuf>("config")
        .ok()
        .flatten()
        .cloned()
        .or_else(|| env.get(FILE).map(PathBuf::from));
    let mut said = path.map_or_else(BTreeMap::new, |path| file::read(&path, &mut problems));

    let mut config = Config::unset();
    let mut chosen = Vec::new();
    for setting in table::settings() {
        let choice = choose(setting, matches, &env, &mut said);
        match setting.kind.apply(&mut config, &choice.text) {
            Ok(()) => chosen.push(choice),
            Err(why) => problems.push(choice.problem(why)),
        }
    }
    let owners = owners::apply(&mut config, said, &mut problems);
    problems.extend(check::together(&config, &chosen));
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let mut warnings = unknown(&env);
    warnings.extend(check::exposed(&config));
    warnings.extend(check::around(&config));
    Ok(Settings {
        config,
        warnings,
        chosen,
        owners,
    })
}

/// The environment of this process as [`load`] takes it. What is not Unicode is replaced, so that
/// a setting that is not is reported rather than passed over.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    env::vars_os().map(|(name, value)| {
        let text = |os: &std::ffi::OsStr| os.to_string_lossy().into_owned();
        (text(&name), text(&value))
    })
}

fn choose(
    setting: &'static Setting,
    matches: &ArgMatches,
    env: &BTreeMap<String, String>,
    said: &mut file::Said,
) -> Chosen {
    let variable = setting.variable();
    let (text, source) = if let Some(text) = flag(matches, setting.flag) {
        (text, Source::Flag(format!("--{}", setting.flag)))
    } else if let Some(text) = env.get(&variable) {
        (text.clone(), Source::Variable(variable))
    } else if let Some(found) = said.remove(&setting.key()) {
        found
    } else {
        (setting.default.text(), Source::Default)
    };
    Chosen {
        setting,
        text,
        source,
    }
}

/// Commands that embed a broker may offer fewer flags than there are settings, or defaults of
/// their own that are no flag of anybody.
fn flag(matches: &ArgMatches, name: &str) -> Option<String> {
    let text = matches.try_get_one::<String>(name).ok().flatten()?;
    (matches.value_source(name) == Some(ValueSource::CommandLine)).then(|| text.clone())
}

fn unknown(env: &BTreeMap<String, String>) -> Vec<String> {
    let known: Vec<_> = table::settings()
        .map(|setting| setting.variable())
        .collect();
    env.keys()
        .filter(|name| !known.contains(name) && !CLIENTS.contains(&name.as_str()))
        .filter(|name| !FOREIGN.iter().any(|prefix| name.starts_with(prefix)))
        .map(|name| match closest(name, known.iter().cloned()) {
            Some(near) => format!("{name} is no setting; did you mean {near}?"),
            None => format!("{name} is no setting"),
        })
        .collect()
}

/// The one of `names` that whoever wrote `name` may have meant.
pub(super) fn closest(name: &str, names: impl Iterator<Item = String>) -> Option<String> {
    names
        .map(|candidate| (strsim::jaro(name, &candidate), candidate))
        .filter(|(alike, _)| *alike > ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

impl Settings {
    /// The configuration.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    /// What is allowed but worth a word to the operator.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Where the value of the setting with `key` came from; `None` when there is no such setting.
    #[must_use]
    pub fn source(&self, key: &str) -> Option<&Source> {
        self.chosen
            .iter()
            .find(|chosen| chosen.setting.key() == key)
            .map(|chosen| &chosen.source)
    }
}
