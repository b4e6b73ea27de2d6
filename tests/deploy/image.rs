//! The image.

use std::time::Duration;

use serde_json::Value;

use crate::{
    effective::{self, Effective},
    files,
};

const DOCKERFILE: &str = "deploy/docker/Dockerfile";

/// The instructions in order, continued lines joined.
fn instructions() -> Vec<(String, String)> {
    let text = files::text(DOCKERFILE);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.is_empty());
    let pairs = lines.map(|line| line.split_once(' ').unwrap());
    pairs
        .map(|(word, rest)| (word.to_owned(), rest.trim().to_owned()))
        .collect()
}

/// Those of the last stage.
fn last_stage() -> Vec<(String, String)> {
    let all = instructions();
    let from = all.iter().rposition(|(word, _)| word == "FROM").unwrap();
    all[from..].to_vec()
}

/// The one instruction of its kind in the last stage.
pub fn one(word: &str) -> String {
    files::only(last_stage(), word)
}

/// What is run, word by word.
pub fn command() -> Vec<String> {
    let words = |json: &str| serde_json::from_str::<Vec<String>>(json).unwrap();
    let mut command = words(&one("ENTRYPOINT"));
    command.extend(words(&one("CMD")));
    command
}

/// The user and the group.
pub fn user() -> (u64, u64) {
    let user = one("USER");
    let (user, group) = user.split_once(':').unwrap();
    (user.parse().unwrap(), group.parse().unwrap())
}

/// Where the image has its settings.
pub fn config() -> String {
    let env = one("ENV");
    env.strip_prefix("BERTH_CONFIG=").unwrap().to_owned()
}

/// What a broker in the image runs with when `config`, a file of the repository, is its file.
pub fn settings(config: &str, env: &[(String, String)]) -> Effective {
    let command = command();
    assert_eq!(command[0], "berth");
    let file = files::path(config);
    let mut env = env.to_vec();
    env.push(("BERTH_CONFIG".into(), file.to_str().unwrap().into()));
    let settings = effective::settings(&command[1..], &env);
    assert!(settings.is_from(&file), "{config} is read");
    settings
}

/// The file that is copied to where the settings are looked for.
fn own_config() -> String {
    let target = format!(" {}", config());
    let copies = last_stage().into_iter().filter(|(word, _)| word == "COPY");
    let mut sources = copies.filter_map(|(_, rest)| Some(rest.strip_suffix(&target)?.to_owned()));
    sources.next().expect("the settings are in the image")
}

#[test]
fn its_settings_exist_and_its_ports_are_open() {
    let settings = settings(&own_config(), &[]);
    assert!(settings.is_open(), "a container's loopback is its own");
    assert!(
        !settings.text("auth_tokens").is_empty(),
        "callers are asked"
    );
    let exposed: Vec<u64> = one("EXPOSE")
        .split(' ')
        .map(|port| port.parse().unwrap())
        .collect();
    assert_eq!(exposed, settings.ports());
    // What clients and `berth health` look for unless told.
    let defaults = berth::config::Config::default();
    let defaults = [
        defaults.listen,
        defaults.gateway_listen,
        defaults.ops_listen,
    ];
    assert_eq!(exposed, defaults.map(|address| u64::from(address.port())));
}

#[test]
fn it_ends_before_docker_kills_it() {
    // What `docker stop` waits unless told.
    const PATIENCE: Duration = Duration::from_secs(10);
    let drain = settings(&own_config(), &[]).time("shutdown_timeout");
    assert!(drain + Duration::from_secs(1) < PATIENCE, "{drain:?}");
    assert_eq!(one("STOPSIGNAL"), "SIGTERM");
}

#[test]
fn it_runs_as_one_user_that_is_not_root() {
    let (user, group) = user();
    assert!(user >= 1000 && group >= 1000, "{user}:{group}");
    let made = last_stage();
    let made: Vec<_> = made.iter().filter(|(word, _)| word == "RUN").collect();
    let run_dir = settings(&own_config(), &[]);
    let run_dir = run_dir.text("run_dir");
    for wanted in [
        format!("useradd --uid {user} --gid {group} "),
        format!("groupadd --gid {group} "),
        format!("install -d -o {user} -g {group} -m 0700 {run_dir}"),
    ] {
        let found = made.iter().any(|(_, run)| run.contains(&wanted));
        assert!(found, "{wanted}");
    }
}

/// The patterns of the ignore file that let something in.
fn let_in() -> Vec<String> {
    let text = files::text("deploy/docker/Dockerfile.dockerignore");
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines[0], "*", "nothing comes in unless it is named");
    let names = lines[1..]
        .iter()
        .map(|line| line.strip_prefix('!').unwrap());
    names.map(str::to_owned).collect()
}

#[test]
fn what_the_build_needs_comes_in() {
    let let_in = let_in();
    for name in &let_in {
        assert!(files::path(name).exists(), "there is no {name}");
    }
    let manifest: toml::Table = files::text("Cargo.toml").parse().unwrap();
    let manifest = serde_json::to_value(manifest).unwrap();
    let mut needed = vec![
        "Cargo.toml".to_owned(),
        "Cargo.lock".into(),
        "build.rs".into(),
    ];
    // What the build script compiles, and what the manifest names.
    needed.push("proto/berth/v1/lease.proto".into());
    for target in [&manifest["lib"], &manifest["bin"][0]] {
        needed.push(files::str(&target["path"]).into());
    }
    for bench in files::list(&manifest["bench"]) {
        needed.push(files::str(&bench["path"]).into());
    }
    needed.push(own_config());
    for path in needed {
        let inside = |root: &String| path == *root || path.starts_with(&format!("{root}/"));
        assert!(let_in.iter().any(inside), "{path} does not come in");
    }
}

#[test]
fn its_compiler_is_the_one_that_the_manifest_wants() {
    let (_, from) = &instructions()[0];
    let manifest: toml::Table = files::text("Cargo.toml").parse().unwrap();
    let wanted = manifest["package"]["rust-version"].as_str().unwrap();
    assert!(from.starts_with(&format!("rust:{wanted}-")), "{from}");
}

#[test]
fn the_seccomp_profile_lets_the_sandbox_be_made() {
    let profile: Value = serde_json::from_str(&files::text("deploy/docker/seccomp.json")).unwrap();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ALLOW");
    let rules = files::list(&profile["syscalls"]);
    let refused: Vec<_> = rules
        .iter()
        .inspect(|rule| assert_eq!(rule["action"], "SCMP_ACT_ERRNO"))
        .flat_map(|rule| files::list(&rule["names"]))
        .map(files::str)
        .collect();
    for needed in ["clone", "clone3", "unshare", "chroot", "seccomp"] {
        assert!(!refused.contains(&needed), "{needed}");
    }
    for never in ["mount", "bpf", "init_module", "ptrace", "setns", "keyctl"] {
        assert!(refused.contains(&never), "{never}");
    }
}
