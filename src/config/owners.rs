//! What a file says of single owners: `[owners.NAME]`, with the keys of the settings that begin with
//! `owner_`, without that. What it leaves out is as for every owner.

use std::{collections::BTreeMap, ops::Range};

use toml::{Spanned, de::DeValue};

use super::{
    file::{Said, text_of},
    problem::{Problem, Source},
    settings::closest,
    table::{self, Setting},
    values::Config,
};

/// The section, and what the keys of its settings begin with elsewhere.
pub(super) const SECTION: &str = "owners";
const PREFIX: &str = "owner_";

/// The longest name of an owner, in bytes.
const LONGEST_NAME: usize = 128;

/// What is said of one owner under one key.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) owner: String,
    pub(super) key: String,
    pub(super) text: String,
    pub(super) source: Source,
}

/// The key of a setting in the section of an owner; `None` when it is not about owners.
fn key_of(setting: &Setting) -> Option<String> {
    setting.key().strip_prefix(PREFIX).map(str::to_owned)
}

/// Reads the section into `said`, each entry by its whole path.
pub(super) fn read(
    section: &Spanned<DeValue<'_>>,
    at: &impl Fn(Option<Range<usize>>) -> Source,
    said: &mut Said,
    problems: &mut Vec<Problem>,
) {
    let mut problem = |setting: String, span, why: String| {
        let source = at(Some(span));
        problems.push(Problem {
            setting,
            source,
            why,
        });
    };
    let DeValue::Table(owners) = section.get_ref() else {
        let why = "must be sections such as [owners.somebody]";
        return problem(SECTION.into(), section.span(), why.into());
    };
    let mut owners: Vec<_> = owners.iter().collect();
    owners.sort_by_key(|(name, _)| name.span().start);
    for (name, own) in owners {
        let path = format!("{SECTION}.{}", name.get_ref());
        let printable = name.get_ref().bytes().all(|byte| byte.is_ascii_graphic());
        if !printable || !(1..=LONGEST_NAME).contains(&name.get_ref().len()) {
            let why = format!("must be 1 to {LONGEST_NAME} printable characters without blanks");
            problem(path, name.span(), why);
            continue;
        }
        let DeValue::Table(own) = own.get_ref() else {
            let why = format!("must be a section: [{path}]");
            problem(path, name.span(), why);
            continue;
        };
        let mut own: Vec<_> = own.iter().collect();
        own.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in own {
            let keys = || table::settings().filter_map(key_of);
            let read = if keys().any(|known| known == **key.get_ref()) {
                text_of(value.get_ref())
            } else {
                Err(match closest(key.get_ref(), keys()) {
                    Some(near) => format!("is no setting of an owner; did you mean {near}?"),
                    None => "is no setting of an owner".into(),
                })
            };
            let path = format!("{path}.{}", key.get_ref());
            match read {
                Ok(text) => {
                    said.insert(path, (text, at(Some(key.span()))));
                }
                Err(why) => problem(path, key.span(), why),
            }
        }
    }
}

/// Applies what is left in `said` to `config`, which has what holds for every owner.
pub(super) fn apply(config: &mut Config, said: Said, problems: &mut Vec<Problem>) -> Vec<Own> {
    let mut all = Vec::new();
    let mut quotas = BTreeMap::new();
    for (path, (text, source)) in said {
        let own = path
            .strip_prefix(SECTION)
            .and_then(|path| path.strip_prefix('.'));
        let Some((owner, key)) = own.and_then(|own| own.rsplit_once('.')) else {
            continue;
        };
        let known = |setting: &&Setting| key_of(setting).as_deref() == Some(key);
        let Some(setting) = table::settings().find(known) else {
            continue;
        };
        let usual = config.owner_quota;
        let quota = quotas.entry(owner.to_owned()).or_insert(usual);
        // The setting knows its range, and where it goes.
        let mut scratch = config.clone();
        scratch.owner_quota = *quota;
        match setting.kind.apply(&mut scratch, &text) {
            Ok(()) => *quota = scratch.owner_quota,
            Err(why) => problems.push(Problem {
                setting: path.clone(),
                source: source.clone(),
                why,
            }),
        }
        all.push(Own {
            owner: owner.to_owned(),
            key: key.to_owned(),
            text,
            source,
        });
    }
    config.owner_quotas = quotas;
    all
}

/// The sections as a file has them.
pub(super) fn print(all: &[Own]) -> String {
    let mut text = String::new();
    let mut last = None;
    for own in all {
        if last != Some(&own.owner) {
            let name = toml::Value::String(own.owner.clone());
            text += &format!("\n[{SECTION}.{name}]\n");
            last = Some(&own.owner);
        }
        let value = own.text.trim_start_matches('+');
        text += &format!("\n# From: {}\n{} = {value}\n", own.source, own.key);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{Problems, Settings, args, load};
    use crate::broker::Quota;

    fn try_load(text: &str) -> Result<Settings, Problems> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.toml");
        fs::write(&path, text).unwrap();
        let words = ["serve", "--owner-max-leases", "5", "--config"];
        let words = words.into_iter().chain([path.to_str().unwrap()]);
        let command = clap::Command::new("serve").args(args());
        load(&command.get_matches_from(words), [].into_iter())
    }

    #[test]
    fn an_owner_has_its_own_and_the_rest_as_all_have_it() {
        let settings = try_load(
            "owner_rate = 7\n[owners.crawler]\nmax_leases = 1\nburst = 0\n\
             [owners.'a.b']\nmax_fetches = 9\n[owners.free]\nmax_leases = 0\nrate = 0\n",
        );
        let settings = settings.unwrap();
        let quotas = settings.config().quotas();
        let usual = Quota {
            max_leases: 5,
            rate: 7,
            ..Quota::default()
        };
        assert_eq!(quotas.of("anybody"), usual);
        let crawler = Quota {
            max_leases: 1,
            ..usual
        };
        assert_eq!(quotas.of("crawler"), crawler);
        let dotted = Quota {
            max_fetches: 9,
            ..usual
        };
        assert_eq!(quotas.of("a.b"), dotted);
        assert_eq!(quotas.of("free"), Quota::default());
        let printed = settings.print();
        assert!(
            printed.contains("[owners.\"crawler\"]\n\n# From: "),
            "{printed}"
        );
        let again = try_load(&printed).unwrap();
        assert_eq!(again.config(), settings.config(), "{printed}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let problems = try_load("owners = 3\n");
        let problems = problems.unwrap_err().to_string();
        assert!(
            problems.contains("b.toml:1): must be sections"),
            "{problems}"
        );
        let problems = try_load(
            "[owners]\nsomebody = 3\n[owners.a]\nmax_lease = 3\nqueue = 4\nrate = 'much'\n\
             [owners.'a b']\nrate = 1\n",
        );
        let problems = problems.unwrap_err().to_string();
        for part in [
            "owners.somebody (",
            "b.toml:2): must be a section: [owners.somebody]",
            "owners.a.max_lease (",
            "b.toml:4): is no setting of an owner; did you mean max_leases?",
            "b.toml:5): is no setting of an owner",
            "owners.a.rate (",
            "b.toml:6): must be 0 to 1000000, not \"much\"",
            "owners.a b (",
        ] {
            assert!(problems.contains(part), "{part}: {problems}");
        }
        assert_eq!(problems.lines().count(), 5, "{problems}");
    }
}
