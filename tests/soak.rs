//! `berth soak` as a whole: it judges a real run, goes on after an interruption, and finds a leak.

mod support;

use std::{fmt::Write, fs, path::Path, process::Output, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use support::{Ground, Service, berth, until};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Child,
    time::timeout,
};

/// Longer than any of these runs may take on a busy machine.
const LONG: Duration = Duration::from_secs(180);

fn soak(dir: &Path, temporary: &Path, flags: &[&str]) -> tokio::process::Command {
    let mut command = berth();
    command
        .args(["soak", "--sample", "1s", "--concurrency", "3", "--dir"])
        .arg(dir)
        .args(flags)
        // So that what is left behind is seen.
        .env("TMPDIR", temporary)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    command
}

async fn ended(child: Child) -> Output {
    timeout(LONG, child.wait_with_output())
        .await
        .expect("it ends")
        .unwrap()
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}

fn rows(dir: &Path) -> usize {
    let text = fs::read_to_string(dir.join("samples.csv")).unwrap_or_default();
    text.lines().count().saturating_sub(1)
}

/// Fails the test when anything lies, or works, where browsers have their place.
fn assert_nothing_left(temporary: &Path) {
    assert_eq!(support::left::browsers(temporary), Vec::<String>::new());
    let left: Vec<_> = fs::read_dir(temporary).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_run_is_judged_and_leaves_nothing() {
    let (ground, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (dir, report) = (ground.path().join("state"), ground.path().join("it.html"));
    let flags = [
        "--duration",
        "20s",
        "--seed",
        "5",
        "--report",
        report.to_str().unwrap(),
    ];
    let output = ended(soak(&dir, temporary.path(), &flags).spawn().unwrap()).await;
    let text = said(&output);
    let errors = fs::read_to_string(dir.join("errors.jsonl")).unwrap_or_default();
    assert_eq!(output.status.code(), Some(0), "{text}\n{errors}");
    for line in [
        "pass          the broker does not crash",
        "pass          nothing is left",
        "left; ",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(rows(&dir) >= 10, "{}", rows(&dir));
    let html = fs::read_to_string(report).unwrap();
    assert!(html.contains("Criteria") && html.contains("<svg"));
    assert_nothing_left(temporary.path());

    // It is done: neither repeated nor thrown away by accident.
    let again = ended(
        soak(&dir, temporary.path(), &["--duration", "20s"])
            .spawn()
            .unwrap(),
    )
    .await;
    assert_eq!(again.status.code(), Some(2), "{}", said(&again));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_goes_on() {
    let (ground, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dir = ground.path();
    let flags = ["--duration", "16s", "--seed", "9"];
    let child = soak(dir, temporary.path(), &flags).spawn().unwrap();
    let pid = pid(&child);
    until("there are samples", async || rows(dir) >= 4).await;
    kill(pid, Signal::SIGINT).unwrap();
    let output = ended(child).await;
    assert_eq!(output.status.code(), Some(75), "{}", said(&output));
    assert!(said(&output).contains("--resume"), "{}", said(&output));
    assert!(dir.join("report.html").exists());
    assert_nothing_left(temporary.path());

    let before = rows(dir);
    let output = ended(soak(dir, temporary.path(), &["--resume"]).spawn().unwrap()).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(rows(dir) > before + 3, "{before} rows, then {}", rows(dir));
    let html = fs::read_to_string(dir.join("report.html")).unwrap();
    assert!(html.contains("was ended by SIGINT") && html.contains("the run was interrupted"));
    assert_nothing_left(temporary.path());
}

/// The processes below `temporary`, and the brokers that have their run directory there.
fn alive(temporary: &Path) -> Vec<String> {
    let brokers = procfs::process::all_processes().unwrap().flatten();
    let brokers = brokers.filter(|one| {
        let words = one.cmdline().unwrap_or_default();
        words
            .iter()
            .any(|word| Path::new(word).starts_with(temporary))
    });
    let brokers = brokers.map(|one| format!("{} with its run directory there", one.pid));
    let mut all = support::left::browsers(temporary);
    all.extend(brokers);
    all
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_killed_goes_on_and_nothing_of_it_is_left() {
    let (ground, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dir = ground.path();
    let flags = ["--duration", "12s", "--seed", "7"];
    let child = soak(dir, temporary.path(), &flags).spawn().unwrap();
    until("there are samples", async || rows(dir) >= 4).await;
    kill(pid(&child), Signal::SIGKILL).unwrap();
    assert_eq!(ended(child).await.status.code(), None, "it was killed");
    let before = rows(dir);
    let left: Vec<_> = fs::read_dir(temporary.path())
        .unwrap()
        .map(|one| one.unwrap().path())
        .collect();
    assert_eq!(left.len(), 1, "what the next has to sweep: {left:?}");

    let output = ended(soak(dir, temporary.path(), &["--resume"]).spawn().unwrap()).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(rows(dir) > before + 3, "{before} rows, then {}", rows(dir));
    let table = fs::read_to_string(dir.join("samples.csv")).unwrap();
    let parts: Vec<_> = table
        .lines()
        .skip(1)
        .map(|row| row.split(',').next().unwrap())
        .collect();
    assert!(parts.is_sorted() && parts.contains(&"1") && parts.contains(&"2"));
    let html = fs::read_to_string(dir.join("report.html")).unwrap();
    assert_eq!(html.matches("the run was interrupted").count(), 1);
    assert_nothing_left(temporary.path());
    assert_eq!(alive(temporary.path()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once_and_kills_everything() {
    for (first, second) in [
        (Signal::SIGINT, Signal::SIGTERM),
        (Signal::SIGTERM, Signal::SIGTERM),
    ] {
        let (ground, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dir = ground.path();
        // A broker that would take long to end: its leases have ten seconds for it.
        let flags = ["--duration", "60s", "--seed", "3"];
        let mut child = soak(dir, temporary.path(), &flags).spawn().unwrap();
        let mut talk = BufReader::new(child.stderr.take().unwrap()).lines();
        until("there are samples", async || rows(dir) >= 2).await;
        let pid = pid(&child);
        assert!(!alive(temporary.path()).is_empty());
        kill(pid, first).unwrap();
        let asked = async {
            while let Some(line) = talk.next_line().await.unwrap() {
                if line.contains("asked to stop") {
                    return;
                }
            }
            panic!("it never said that it was asked");
        };
        timeout(LONG, asked).await.unwrap();
        kill(pid, second).unwrap();
        let begun = tokio::time::Instant::now();
        let output = ended(child).await;
        let took = begun.elapsed();
        println!("a second signal takes {took:?}");
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        assert!(
            said(&output).contains("a second signal"),
            "{}",
            said(&output)
        );
        assert!(took < Duration::from_secs(8), "{took:?}");
        assert_nothing_left(temporary.path());
        assert_eq!(alive(temporary.path()), Vec::<String>::new());
        assert!(rows(dir) >= 2, "what was sampled stays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_runs_already_is_called_and_let_live() {
    let (ground, temporary) = (Ground::new(), tempfile::tempdir().unwrap());
    let state = tempfile::tempdir().unwrap();
    let dir = state.path();
    let service = Service::start(ground.path(), &[]).await;
    let flags = [
        "--duration",
        "8s",
        "--seed",
        "4",
        "--endpoint",
        &service.grpc,
        "--ops",
        &service.ops,
    ];
    let output = ended(soak(dir, temporary.path(), &flags).spawn().unwrap()).await;
    let text = said(&output);
    let errors = fs::read_to_string(dir.join("errors.jsonl")).unwrap_or_default();
    assert_eq!(output.status.code(), Some(0), "{text}\n{errors}");
    assert!(text.contains("the broker is not ours"), "{text}");
    let table = fs::read_to_string(dir.join("samples.csv")).unwrap();
    let mut lines = table.lines();
    let names: Vec<_> = lines.next().unwrap().split(',').collect();
    let last: Vec<_> = lines.last().unwrap().split(',').collect();
    let value = |name: &str| {
        let at = names.iter().position(|one| *one == name);
        last[at.unwrap_or_else(|| panic!("no {name} in {names:?}"))]
    };
    // Of its status, and of its metrics.
    assert!(value("fds").parse::<f64>().unwrap() > 5.0, "{last:?}");
    assert!(
        value("cpu_percent").parse::<f64>().unwrap() > 0.0,
        "{last:?}"
    );
    assert!(
        fs::read_to_string(dir.join("report.html"))
            .unwrap()
            .contains("<svg")
    );
    // It took the calls, and nothing of them is left.
    let status = service.status().await;
    assert!(
        status.leases.is_empty() && status.running == 0,
        "{status:?}"
    );
    assert!(status.launches > 1, "leases were taken");
    assert_nothing_left(temporary.path());
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended().await.0, Some(0));
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leak_in_the_samples_fails() {
    let ground = tempfile::tempdir().unwrap();
    let judge = async |leak: bool| {
        let mut table = String::from("part,unix_ms,elapsed_s,fds,rss_bytes,work,errors\n");
        for nr in 1..=720_u64 {
            let (ms, s, noise) = (nr * 5000, nr * 5, nr * 7 % 5);
            let fds = 40 + noise + if leak { nr / 20 } else { 0 };
            writeln!(
                table,
                "1,{ms},{s},{fds},{},20,0",
                40_000_000 + noise * 10_000
            )
            .unwrap();
        }
        fs::write(ground.path().join("samples.csv"), table).unwrap();
        let mut command = berth();
        command.args(["soak", "--report-only"]).arg(ground.path());
        timeout(LONG, command.output()).await.unwrap().unwrap()
    };
    let good = judge(false).await;
    assert_eq!(good.status.code(), Some(0), "{}", said(&good));
    let leaking = judge(true).await;
    assert_eq!(leaking.status.code(), Some(1), "{}", said(&leaking));
    let line = "fail          file descriptors";
    assert!(said(&leaking).contains(line), "{}", said(&leaking));
    assert!(ground.path().join("report.html").exists());
}
