//! Settings from a TOML file.

use std::{
    collections::BTreeMap,
    fs::File as Opened,
    io::{self, Read},
    ops::Range,
    path::Path,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    owners,
    problem::{Problem, Source},
    settings::closest,
    table,
};

/// What a file says, by key.
pub(super) type Said = BTreeMap<String, (String, Source)>;

/// Reads the file at `path`, adding what is wrong with it to `problems`.
pub(super) fn read(path: &Path, problems: &mut Vec<Problem>) -> Said {
    let file = File {
        // It ends up in the comments of a printed configuration.
        path: path.to_string_lossy().replace(char::is_control, "?"),
        text: match text(path) {
            Ok(text) => text,
            Err(error) => {
                problems.push(Problem {
                    setting: "config".into(),
                    source: Source::File {
                        path: path.to_string_lossy().into_owned(),
                        line: None,
                    },
                    why: format!("cannot be read: {error}"),
                });
                return Said::new();
            }
        },
    };
    file.parse(problems)
}

/// What `text` says as a file, and what is wrong with it.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn of_text(text: &str) -> (Said, Vec<Problem>) {
    let file = File {
        path: "b.toml".into(),
        text: text.into(),
    };
    let mut problems = Vec::new();
    let said = file.parse(&mut problems);
    (said, problems)
}

/// The longest file, in bytes: every setting with all it may say takes a tenth of that.
const LONGEST: u64 = 1 << 20;

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    // What has no end, as a device, is read no further either.
    let mut file = Opened::open(path)?.take(LONGEST + 1);
    file.read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("longer than {LONGEST} bytes")));
    }
    Ok(text)
}

struct File {
    path: String,
    text: String,
}

impl File {
    fn parse(&self, problems: &mut Vec<Problem>) -> Said {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        if !errors.is_empty() {
            // What the rest means is a guess, and guesses would bury what is wrong.
            problems.extend(errors.into_iter().map(|error| Problem {
                setting: "config".into(),
                source: self.at(error.span()),
                why: format!("is not TOML: {}", error.message()),
            }));
            return Said::new();
        }
        let mut entries: Vec<_> = table.into_inner().into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut said = Said::new();
        for (key, value) in entries {
            let source = self.at(Some(key.span()));
            let key = key.into_inner().into_owned();
            if key == owners::SECTION {
                owners::read(&value, &|span| self.at(span), &mut said, problems);
                continue;
            }
            let read = if table::settings().any(|setting| setting.key() == key) {
                text_of(value.get_ref())
            } else {
                Err(unknown(&key, &value))
            };
            match read {
                Ok(text) => {
                    said.insert(key, (text, source));
                }
                Err(why) => problems.push(Problem {
                    setting: key,
                    source,
                    why,
                }),
            }
        }
        said
    }

    fn at(&self, span: Option<Range<usize>>) -> Source {
        let before = span.and_then(|span| self.text.as_bytes().get(..span.start));
        Source::File {
            path: self.path.clone(),
            line: before.map(|text| 1 + text.iter().filter(|byte| **byte == b'\n').count()),
        }
    }
}

pub(super) fn text_of(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Integer(_) => Err("must be a decimal number".into()),
        DeValue::Boolean(switch) => Ok(switch.to_string()),
        _ => Err("must be a string, a whole number, true or false".into()),
    }
}

fn unknown(key: &str, value: &Spanned<DeValue<'_>>) -> String {
    if matches!(value.get_ref(), DeValue::Table(_)) {
        return "is no setting: a file has keys such as lease_ttl, and no sections but owners"
            .into();
    }
    let keys = table::settings().map(|setting| setting.key());
    match closest(key, keys) {
        Some(near) => format!("is no setting; did you mean {near}?"),
        None => "is no setting".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Said, Vec<String>) {
        let (said, problems) = of_text(text);
        (said, problems.iter().map(Problem::to_string).collect())
    }

    #[test]
    fn strings_and_numbers_are_taken_with_their_lines() {
        let (said, problems) = parse("# mine\nmax_browsers = 1_000\n\nlease_ttl = '5m'\n");
        assert!(problems.is_empty(), "{problems:?}");
        let line = |line| Source::File {
            path: "b.toml".into(),
            line: Some(line),
        };
        assert_eq!(said["max_browsers"], ("1000".into(), line(2)));
        assert_eq!(said["lease_ttl"], ("5m".into(), line(4)));
    }

    #[test]
    fn unknown_keys_and_types_are_named_in_their_order() {
        let (said, problems) = parse(
            "max-browsers = 2\nlease_tll = '5m'\nbrowser_args = ['--x']\nzzz = 1\nqueue = 0x10\n\
             [lease]\nttl = '5m'\n",
        );
        assert!(said.is_empty());
        assert_eq!(
            problems,
            [
                "max-browsers (b.toml:1): is no setting; did you mean max_browsers?",
                "lease_tll (b.toml:2): is no setting; did you mean lease_ttl?",
                "browser_args (b.toml:3): must be a string, a whole number, true or false",
                "zzz (b.toml:4): is no setting",
                "queue (b.toml:5): must be a decimal number",
                "lease (b.toml:6): is no setting: a file has keys such as lease_ttl, and no \
                 sections but owners",
            ]
        );
    }

    #[test]
    fn what_is_not_toml_is_named_with_its_line() {
        let (said, problems) = parse("queue = 1\nqueue = 2\nmax_browsers =\n");
        assert!(said.is_empty());
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("config (b.toml:"), "{problems:?}");
        assert!(problems[1].contains("is not TOML"), "{problems:?}");
    }

    #[test]
    fn a_file_has_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.toml");
        let length = usize::try_from(LONGEST).unwrap();
        std::fs::write(&path, "#".repeat(length)).unwrap();
        let mut problems = Vec::new();
        assert!(super::read(&path, &mut problems).is_empty());
        assert!(problems.is_empty(), "{problems:?}");
        std::fs::write(&path, "#".repeat(length + 1)).unwrap();
        for endless in [&path, Path::new("/dev/zero")] {
            super::read(endless, &mut problems);
            let problem = problems.pop().unwrap().to_string();
            assert!(problem.contains("longer than 1048576 bytes"), "{problem}");
        }
    }
}
