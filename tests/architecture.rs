//! The fences of the house: who may import whom, where each foreign crate lives, how large a file
//! may grow.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Every Rust file below `root`, with its path there.
fn files(root: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path: PathBuf = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                found.push((name.to_owned(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 40, "the files are found");
    found
}

/// Every source file with its path below `src`, without its tests.
fn sources() -> Vec<(String, String)> {
    let source = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let untested = source.into_iter().map(|(name, text)| {
        let text = text.split("#[cfg(test)]\nmod tests {").next();
        (name, text.unwrap().to_owned())
    });
    untested.collect()
}

/// The room a file belongs to: its folder or its own name.
fn room(file: &str) -> &str {
    let first = file.split('/').next().unwrap();
    first.strip_suffix(".rs").unwrap_or(first)
}

fn is_test(file: &str) -> bool {
    file.ends_with("tests.rs")
}

#[test]
fn imports_point_down_only() {
    // What each room may know beside itself. The leaves may be known by all and know little.
    let leaves = [
        "auth",
        "content",
        "deadline",
        "drain",
        "egress",
        "fair",
        "health",
        "metrics",
        "telemetry",
    ];
    let allowed: &[(&str, &[&str])] = &[
        ("main", &["cli"]),
        (
            "cli",
            &[
                "server",
                "config",
                "proto",
                "http_server",
                "browser",
                "mcp",
                "client",
            ],
        ),
        (
            "server",
            &[
                "rpc",
                "gateway",
                "ops",
                "http_server",
                "accept",
                "broker",
                "browser",
                "fetch",
                "lease",
                "config",
            ],
        ),
        (
            "rpc",
            &[
                "accept", "broker", "browser", "fetch", "lease", "page", "proto",
            ],
        ),
        (
            "gateway",
            &["accept", "broker", "browser", "lease", "http_server"],
        ),
        (
            "ops",
            &["accept", "broker", "browser", "lease", "http_server"],
        ),
        ("http_server", &["accept"]),
        ("accept", &[]),
        ("config", &["broker", "browser", "fetch"]),
        ("broker", &["browser", "fetch", "lease", "page"]),
        ("fetch", &["browser"]),
        ("lease", &[]),
        ("mcp", &["proto", "client"]),
        ("client", &["proto"]),
        ("page", &["browser"]),
        ("browser", &[]),
        ("proto", &[]),
        ("auth", &[]),
        ("content", &[]),
        ("deadline", &[]),
        ("drain", &[]),
        ("egress", &["accept"]),
        ("fair", &[]),
        ("health", &[]),
        ("metrics", &[]),
        ("telemetry", &[]),
        ("fuzzing", &["rpc", "gateway", "config", "fetch"]),
        ("lib", &[]),
    ];
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let room = room(&file);
        let (_, may) = allowed
            .iter()
            .find(|(name, _)| *name == room)
            .unwrap_or_else(|| panic!("src/{file} is in no room: add it to this list"));
        for (other, _) in allowed {
            let known = *other == room || leaves.contains(other) || may.contains(other);
            if !known && names(&text, other) && !is_test(&file) {
                wrong.push(format!("src/{file} must not know {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether `text` imports the room `other`, alone or in a list.
fn names(text: &str, other: &str) -> bool {
    if text.contains(&format!("crate::{other}::")) || text.contains(&format!("crate::{other};")) {
        return true;
    }
    // `use crate::{a, b::c, …};`
    text.split("use crate::{").skip(1).any(|list| {
        let mut depth = 0;
        let mut names = vec![String::new()];
        for char in list.chars() {
            match char {
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => names.push(String::new()),
                char => names.last_mut().unwrap().push(char),
            }
        }
        names
            .iter()
            .any(|name| name.trim().split("::").next() == Some(other))
    })
}

#[test]
fn each_foreign_crate_has_its_home() {
    let homes: &[(&str, &[&str])] = &[
        ("tonic::", &["rpc", "proto", "cli", "client", "mcp"]),
        ("prost::", &["rpc", "proto", "cli"]),
        ("axum::", &["ops", "gateway", "http_server", "cli", "mcp"]),
        ("rmcp::", &["mcp"]),
        ("schemars::", &["mcp"]),
        ("similar::", &["page"]),
        ("chromiumoxide::", &["browser", "page"]),
        ("bb8::", &["browser"]),
        ("ipnet::", &["egress"]),
        ("hickory_resolver::", &["egress"]),
        ("procfs::", &["browser", "cli", "fetch"]),
        ("libm::", &["cli"]),
        ("hyper_util::client", &["egress", "fetch"]),
        ("rustls::", &["accept", "auth", "egress", "fetch"]),
        ("rustls_platform_verifier::", &["egress"]),
        ("tokio_rustls::", &["accept", "egress"]),
        ("jsonwebtoken::", &["auth"]),
        ("x509_parser::", &["auth"]),
        ("http_cache_semantics::", &["fetch"]),
        ("reqwest::", &["fetch"]),
        ("dom_query::", &["content", "fetch"]),
        ("dom_smoothie::", &["content"]),
        ("html_to_markdown_rs::", &["content"]),
        ("feed_rs::", &["content"]),
        ("pdf_extract::", &["content"]),
        ("opentelemetry", &["metrics", "telemetry"]),
        ("prometheus::", &["metrics"]),
        ("tracing_subscriber::", &["telemetry"]),
        ("tracing_appender::", &["telemetry"]),
        ("hdrhistogram::", &["fetch"]),
        ("ratatui::", &["cli"]),
        ("crossterm::", &["cli"]),
        ("clap::", &["cli", "config"]),
        ("indicatif::", &["cli"]),
    ];
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        for (foreign, rooms) in homes {
            let used = text.lines().any(|line| {
                let code = line.trim_start();
                !code.starts_with("//") && code.contains(foreign) && !code.contains("\"")
            });
            // The composition root names the error of the transport it starts.
            if used && !rooms.contains(&room(&file)) {
                wrong.push(format!(
                    "src/{file} uses {foreign}, whose home is {rooms:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_one_file_makes_a_status() {
    for (file, text) in sources() {
        if file != "rpc/status.rs" && file.starts_with("rpc/") {
            for made in [
                "Status::new",
                "Status::with_error_details",
                "Status::invalid_argument",
            ] {
                assert!(!text.contains(made), "src/{file} makes a status of its own");
            }
        }
    }
}

#[test]
fn files_are_small() {
    for (file, text) in sources() {
        let lines = text.lines().count();
        assert!(
            is_test(&file) || lines <= 400,
            "src/{file} has {lines} lines"
        );
    }
    // A test tells a story from end to end: longer, but one file is one idea there, too.
    for (file, text) in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")) {
        let lines = text.lines().count();
        assert!(lines <= 600, "tests/{file} has {lines} lines");
    }
}

#[test]
fn nothing_is_put_off() {
    let marks = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["X", "XX"].concat(),
    ];
    for (file, text) in sources() {
        for mark in &marks {
            assert!(!text.contains(mark.as_str()), "src/{file} has a {mark}");
        }
    }
}

#[test]
fn metrics_and_reasons_are_documented() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/HEALTH_MONITORING.md");
    let docs = fs::read_to_string(docs).unwrap();
    for def in berth::metrics::TABLE {
        assert!(
            docs.contains(&format!("`{}`", def.name)),
            "{} is not in docs/HEALTH_MONITORING.md",
            def.name
        );
    }
}
