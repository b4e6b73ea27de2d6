//! The systemd unit.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    effective::{self, Effective},
    files,
    support::berth,
};

const UNIT: &str = "deploy/systemd/berth.service";
const PROGRAM: &str = "/usr/local/bin/berth";

/// The assignments of the unit's service section, in order.
fn service() -> Vec<(String, String)> {
    let text = files::text(UNIT);
    let (_, section) = text.split_once("\n[Service]\n").unwrap();
    let section = section.split("\n[").next().unwrap();
    let lines = section.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The one value of a key.
fn one(key: &str) -> String {
    files::only(service(), key)
}

fn settings() -> Effective {
    let command = one("ExecStart");
    let mut words = command.split_whitespace().map(str::to_owned);
    assert_eq!(words.next().as_deref(), Some(PROGRAM));
    let env: Vec<_> = service()
        .into_iter()
        .filter(|(key, _)| key == "Environment")
        .map(|(_, value)| {
            let (name, value) = value.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        })
        .collect();
    effective::settings(&words.collect::<Vec<_>>(), &env)
}

#[test]
fn its_settings_exist_and_its_directories_are_those_that_systemd_makes() {
    let settings = settings();
    let run = format!("/run/{}", one("RuntimeDirectory"));
    assert_eq!(settings.text("run_dir"), run);
    let cache = format!("/var/cache/{}", one("CacheDirectory"));
    assert_eq!(settings.text("cache_dir"), cache);
    // Browsers and, beside them, 1 GiB for the broker.
    let memory = files::size(&one("MemoryMax"));
    assert!(
        memory >= settings.browsers_memory() + (1 << 30),
        "{memory} bytes"
    );
}

#[test]
fn it_is_left_the_time_to_drain() {
    let stop = humantime::parse_duration(&one("TimeoutStopSec")).unwrap();
    let drain = settings().time("shutdown_timeout");
    assert!(
        stop >= drain + Duration::from_secs(3),
        "{stop:?} for {drain:?}"
    );
    // With the default, browsers would be told to stop with the broker.
    assert_eq!(one("KillMode"), "mixed");
    assert_eq!(one("KillSignal"), "SIGTERM");
}

/// The exit codes that a restart cannot repair, as the program has them.
#[tokio::test]
async fn what_a_restart_cannot_repair_is_not_tried_again() {
    let final_codes = one("RestartPreventExitStatus");
    let wrong: [&[&str]; 2] = [&["--no-such-flag"], &["--max-browsers", "none"]];
    for flags in wrong {
        let mut command = berth();
        command
            .arg("serve")
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let code = command.status().await.unwrap().code().unwrap().to_string();
        let listed = final_codes.split_whitespace().any(|one| one == code);
        assert!(listed, "{flags:?} exits {code}, not in {final_codes}");
    }
    // That of a forced drain: tests/shutdown.rs.
    assert_eq!(one("SuccessExitStatus"), "3");
    assert_eq!(one("Restart"), "always");
}

#[test]
fn systemd_takes_it() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("skipped: there is no systemd-analyze here");
        return;
    }
    let verify = |unit: &str| {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("berth.service");
        fs::write(&at, unit).unwrap();
        let output = Command::new("systemd-analyze")
            .args(["verify", "--recursive-errors=yes"])
            .arg(&at)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    };
    // The program is not installed here.
    let program = Path::new(env!("CARGO_BIN_EXE_berth"));
    let unit = files::text(UNIT).replace(PROGRAM, program.to_str().unwrap());
    // Other units of this machine are none of ours.
    let about_it = |said: &str| {
        let lines = said.lines().filter(|line| line.contains("berth.service"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let (taken, said) = verify(&unit);
    assert!(taken && about_it(&said).is_empty(), "{said}");
    // And it would notice.
    let (_, said) = verify(&unit.replace("KillMode=mixed", "KillMode=gently"));
    assert!(!about_it(&said).is_empty(), "{said}");
}
