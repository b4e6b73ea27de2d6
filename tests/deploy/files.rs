//! Files of the repository and how they are read.

use std::{fs, path::PathBuf, time::Duration};

use serde_json::Value;

/// A path below the root of the repository.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The one document of a YAML file. A key that is there twice is an error.
pub fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The names of the files in a folder, without the folders in it.
pub fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(path(folder)).unwrap().flatten();
    let files = entries.filter(|entry| entry.path().is_file());
    let mut names: Vec<_> = files
        .map(|file| file.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The value of the one pair that has this key.
pub fn only(pairs: Vec<(String, String)>, key: &str) -> String {
    let mut all: Vec<_> = pairs.into_iter().filter(|(is, _)| is == key).collect();
    assert_eq!(all.len(), 1, "{key}: {all:?}");
    all.remove(0).1
}

/// A list that must be there.
pub fn list(value: &Value) -> &Vec<Value> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("no list: {value}"))
}

/// A text that must be there.
pub fn str(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

pub fn seconds(value: &Value) -> Duration {
    Duration::from_secs(
        value
            .as_u64()
            .unwrap_or_else(|| panic!("no number: {value}")),
    )
}

/// A size as Kubernetes and systemd write it: powers of 1024.
pub fn size(text: &str) -> u64 {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match &text[digits.len()..] {
        "Ki" | "K" => 10,
        "Mi" | "M" => 20,
        "Gi" | "G" => 30,
        unit => panic!("{text}: what is {unit:?}?"),
    };
    digits.parse::<u64>().unwrap() << shift
}
