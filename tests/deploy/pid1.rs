//! Berth as PID 1, as it is in the image: nobody else reaps.

use std::{path::Path, process::Stdio};

use berth::proto::AcquireRequest;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use procfs::process::{Process, all_processes};
use tokio::process::Command;

use crate::support::{Ground, Service, acquire, left, serve, until};

/// How a PID namespace can be made here, if it can. As root, or as one's own root.
async fn namespace() -> Option<Vec<&'static str>> {
    let base = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    for more in [&[][..], &["--user", "--map-root-user"]] {
        let flags = [more, &base[..]].concat();
        let mut tried = Command::new("unshare");
        tried.args(&flags).arg("true").stderr(Stdio::null());
        if tried.status().await.is_ok_and(|status| status.success()) {
            return Some(flags);
        }
    }
    None
}

/// `berth serve` as PID 1 of a namespace of its own.
fn first(flags: &[&str], run_dir: &Path) -> Command {
    // A jail would take a browser's helpers along when it is killed.
    let plain = serve(run_dir, &["--jail", "none"]);
    let plain = plain.as_std();
    let mut command = Command::new("unshare");
    command
        .args(flags)
        .arg(plain.get_program())
        .args(plain.get_args())
        .env_remove("BERTH_ENDPOINT")
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// The children of `pid`, dead or alive.
fn children(pid: i32) -> Vec<(i32, char)> {
    let all = all_processes().unwrap().flatten();
    let stats = all.filter_map(|process| process.stat().ok());
    let mine = stats.filter(|stat| stat.ppid == pid);
    mine.map(|stat| (stat.pid, stat.state)).collect()
}

/// The number that a process has in its own namespace.
fn number_within(pid: i32) -> Option<i32> {
    let status = Process::new(pid).and_then(|process| process.status());
    status.ok()?.nspid?.last().copied()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_reaps_its_browsers_and_the_orphans_of_others() {
    let Some(flags) = namespace().await else {
        eprintln!("skipped: unshare may not make a PID namespace here");
        return;
    };
    let ground = Ground::new();
    let service = Service::cold(first(&flags, ground.path())).await;
    let [(berth, _)] = children(service.pid())[..] else {
        panic!("unshare has one child");
    };
    assert_eq!(number_within(berth), Some(1), "it is PID 1");

    // A browser is killed under its lease, the main process only.
    let mut leases = service.leases().await;
    let lease = acquire(&mut leases, AcquireRequest::default()).await;
    let id = lease.unwrap().browser.unwrap().id;
    let status = service.status().await;
    let told = status.browsers.iter().find(|one| one.id == id).unwrap().pid;
    let main = children(berth)
        .into_iter()
        .find(|(pid, _)| number_within(*pid) == Some(told));
    let (main, _) = main.expect("the browser is a child of the broker");
    let helpers = children(main);
    assert!(helpers.len() > 1, "it has helpers: {helpers:?}");
    kill(Pid::from_raw(main), Signal::SIGKILL).unwrap();
    let gone = async || {
        let left = |pid| Process::new(pid).is_ok();
        !left(main) && !helpers.iter().any(|(pid, _)| left(*pid))
    };
    until("nothing is left of it, not even dead", gone).await;

    // And somebody else's child, whose parent is gone: it falls to PID 1 and belongs to no browser.
    let berth_pid = berth.to_string();
    let enter = ["--target", &berth_pid, "--pid", "--mount"];
    let mut orphan = Command::new("nsenter");
    orphan.args(enter);
    if flags.contains(&"--user") {
        orphan.args(["--user", "--preserve-credentials"]);
    }
    // It ends when the pipe is closed, after its parent.
    orphan
        .args(["sh", "-c", "cat <&3 >/dev/null 2>&1 & echo $!", "sh"])
        .stdin(Stdio::null());
    let orphaned = left_alone(orphan).await;
    let fell = async || children(berth).iter().any(|(pid, _)| *pid == orphaned.pid);
    until("it falls to the broker", fell).await;
    drop(orphaned.end);
    until("it is reaped", async || Process::new(orphaned.pid).is_err()).await;

    let dead: Vec<_> = children(berth)
        .into_iter()
        .filter(|(_, state)| *state == 'Z')
        .collect();
    assert_eq!(dead, [], "zombies");

    // A signal whose default action PID 1 would not even feel.
    kill(Pid::from_raw(berth), Signal::SIGTERM).unwrap();
    let (code, log) = service.ended().await;
    assert_eq!(code, Some(0), "{log:#?}");
    assert_eq!(left::children(berth), Vec::<String>::new());
    ground.assert_clean();
}

/// A process that outlived its parent.
struct Orphan {
    /// Its number here.
    pid: i32,
    /// It lives as long as this.
    end: std::io::PipeWriter,
}

/// Runs `command`, which leaves a child that reads descriptor 3 until its end, and finds the child.
async fn left_alone(mut command: Command) -> Orphan {
    use command_fds::{CommandFdExt, FdMapping};
    let (reads, end) = std::io::pipe().unwrap();
    let mapping = FdMapping {
        parent_fd: reads.into(),
        child_fd: 3,
    };
    command.fd_mappings(vec![mapping]).unwrap();
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let within: i32 = String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    // The number it has in the namespace is told; ours is looked for.
    let all = all_processes().unwrap().flatten();
    let mut cats = all.filter(|process| {
        let is_cat = process.stat().is_ok_and(|stat| stat.comm == "cat");
        is_cat && number_within(process.pid) == Some(within)
    });
    let pid = cats.next().expect("the orphan is there").pid;
    Orphan { pid, end }
}
