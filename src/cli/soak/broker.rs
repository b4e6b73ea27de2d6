//! The broker under test: `berth serve` of this very program as a child, or one that is there.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use procfs::process::{Process, all_processes};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStderr, Command},
    sync::oneshot,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    origin::Origin,
    record::{Shutdown, Started},
};
use crate::cli::exit::{self, Failure};

/// Longest that a broker may take to say where it listens.
const START: Duration = Duration::from_secs(60);
/// Longest that a broker is waited for after SIGTERM: three times what it may take.
const STOP: Duration = Duration::from_secs(30);
/// Longest that browsers may take to be gone once they are killed.
const SWEEP: Duration = Duration::from_secs(5);
/// Enough of a log to see what was wrong.
const LOG_BYTES: usize = 16 << 20;

/// The child.
#[derive(Debug)]
pub(super) struct Broker {
    child: Child,
    pub(super) pid: i32,
    pub(super) grpc: String,
    /// Host and port of health and metrics.
    pub(super) ops: String,
    /// Removed with this.
    run_dir: tempfile::TempDir,
}

/// A command of the program that this is, whatever has become of its file since.
pub(super) fn berth() -> io::Result<Command> {
    let mut command = if cfg!(target_os = "linux") {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("berth");
        command
    } else {
        Command::new(std::env::current_exe()?)
    };
    // A terminal's Ctrl-C is for the soak alone, which ends its children in order.
    command
        .process_group(0)
        .kill_on_drop(true)
        .stdin(Stdio::null());
    Ok(command)
}

impl Broker {
    /// Starts one on free ports, with `flags` added to its command line; what it logs from warnings
    /// on goes to `log`. Of this machine it may reach `origin` and no more, unless the flags say so.
    pub(super) async fn start(
        flags: &[OsString],
        origin: &Origin,
        log: &Path,
        tasks: &mut JoinSet<()>,
    ) -> Result<Self, Failure> {
        let run_dir = tempfile::Builder::new().prefix("berth-soak-").tempdir()?;
        let mut command = berth()?;
        command.arg("serve");
        for port in ["--listen", "--gateway-listen", "--ops-listen"] {
            command.args([port, "127.0.0.1:0"]);
        }
        command
            .args([
                "--log-format",
                "json",
                "--log-level",
                "warn,berth::server=info",
            ])
            // Low enough for the page that eats memory to meet it soon.
            .args(["--browser-memory-limit", "600MiB", "--run-dir"])
            .arg(run_dir.path())
            .env("BERTH_EGRESS_ALLOW", origin.addresses())
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let stderr = child
            .stderr
            .take()
            .ok_or_else(|| Failure::other("no log"))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        let mut broker = Self {
            child,
            pid: pid.unwrap_or_default(),
            grpc: String::new(),
            ops: String::new(),
            run_dir,
        };
        let (tell, told) = oneshot::channel();
        let file = File::options().create(true).append(true).open(log)?;
        tasks.spawn(follow(stderr, file, tell));
        let Ok(Ok((grpc, ops))) = timeout(START, told).await else {
            let log = fs::read_to_string(log).unwrap_or_default();
            let last: Vec<_> = log.lines().rev().take(5).collect();
            let last: Vec<_> = last.into_iter().rev().collect();
            let said = format!("the broker does not start: {}", last.join("\n"));
            return Err(Failure::new(exit::UNAVAILABLE, said));
        };
        (broker.grpc, broker.ops) = (grpc, ops);
        Ok(broker)
    }

    pub(super) fn started(&self) -> Started {
        Started {
            pid: self.pid,
            run_dir: self.run_dir.path().to_owned(),
        }
    }

    pub(super) fn run_dir(&self) -> &Path {
        self.run_dir.path()
    }

    /// Resolves when it ends by itself, with how.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn died(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Ends it as a service manager does, and looks at what it left.
    pub(super) async fn stop(mut self) -> Result<Shutdown, Failure> {
        let begun = Instant::now();
        // It may have died just now, as its exit status tells.
        let _ = kill(Pid::from_raw(self.pid), Signal::SIGTERM);
        let status: Option<ExitStatus> = match timeout(STOP, self.child.wait()).await {
            Ok(status) => Some(status?),
            Err(_late) => {
                self.child.kill().await?;
                None
            }
        };
        let seconds = begun.elapsed().as_secs_f64();
        let run_dir = self.run_dir.path();
        let shutdown = Shutdown {
            seconds,
            exit_code: status.and_then(|status| status.code()),
            processes: below(run_dir).len(),
            directories: directories(run_dir),
        };
        Ok(shutdown)
    }
}

impl Drop for Broker {
    /// Ends what still lives, however the soak came to its end: the directory that goes with this
    /// must be nobody's by then. After an end in order nothing is left to do.
    fn drop(&mut self) {
        // One that was waited for has no process any more.
        let _ = self.child.start_kill();
        let until = Instant::now() + SWEEP;
        loop {
            let left = below(self.run_dir.path());
            if left.is_empty() || Instant::now() >= until {
                return;
            }
            for pid in left {
                // Gone meanwhile is as good as killed.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            // They are not our children: the kernel offers no event to wait for.
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

/// Reads a log as it is written: a pipe that nobody reads would stop its writer. Tells the addresses
/// for gRPC and for operators once they are said.
async fn follow(stderr: ChildStderr, mut file: File, tell: oneshot::Sender<(String, String)>) {
    let mut lines = BufReader::new(stderr).lines();
    let mut tell = Some(tell);
    let mut room = LOG_BYTES;
    while let Ok(Some(line)) = lines.next_line().await {
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        if event["message"] == "server.started"
            && let Some(tell) = tell.take()
        {
            let at = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            // Whoever asked has given up.
            let _ = tell.send((format!("http://{}", at("grpc")), at("ops")));
        }
        if line.len() < room && writeln!(file, "{line}").is_ok() {
            room -= line.len();
        }
    }
}

/// The living processes that work below `dir`, as a browser and all of its helpers do.
fn below(dir: &Path) -> Vec<i32> {
    let alive = |process: &Process| process.stat().is_ok_and(|stat| stat.state != 'Z');
    let all = all_processes().into_iter().flatten().flatten();
    let there = all.filter(|process| process.cwd().is_ok_and(|cwd| cwd.starts_with(dir)));
    there.filter(alive).map(|process| process.pid).collect()
}

/// How many directories lie in `dir`.
pub(super) fn directories(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().is_dir()).count()
}

/// Ends a broker that outlived the soak that had started it, and removes what it left: its process
/// is known by its run directory, so that no other is hit when the number was given out again.
pub(super) async fn sweep(started: &Started) -> io::Result<()> {
    let run_dir = &started.run_dir;
    let ours = |process: &Process| {
        let words = process.cmdline().unwrap_or_default();
        words.iter().any(|word| Path::new(word) == run_dir)
    };
    if Process::new(started.pid).is_ok_and(|process| ours(&process)) {
        // Its browsers end with it, by their lifelines.
        let _ = kill(Pid::from_raw(started.pid), Signal::SIGKILL);
    }
    let until = Instant::now() + STOP;
    while !below(run_dir).is_empty() && Instant::now() < until {
        sleep(Duration::from_millis(50)).await;
    }
    // A directory of ours among the temporary files, and nothing else.
    let name = run_dir.file_name().unwrap_or_default().to_string_lossy();
    match name.starts_with("berth-soak-") && run_dir.exists() {
        true => fs::remove_dir_all(run_dir),
        false => Ok(()),
    }
}
