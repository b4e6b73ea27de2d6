//! One browser's process tree, from the fork to the last member's end.
//!
//! A *keeper* task owns the child, its process group and its directory. There is one way out and
//! the keeper walks it whatever the cause, be it a crash or a call to [`Process::kill`]: kill the
//! group → reap the leader → reap and verify that no member is left → remove the directory, or have
//! the run directory try again until it can be. Only then is [`Process::gone`] signalled, and only then may anybody count the browser as no longer
//! there.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use command_fds::{CommandFdExt, FdMapping};
use tokio::{
    process::{Child, ChildStderr, Command},
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    census, cgroup::Cgroup, environment, isolation::Start, jail::Invocation, rundir::RunDir,
};
use crate::drain::Drain;

/// How a browser's main process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, or killed by somebody else.
    Unasked(ExitStatus),
    /// Because Berth killed it.
    Killed(Kill),
}

/// Why Berth killed a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// Its use has ended.
    Done,
    /// It took more memory than it may.
    Memory,
    /// It no longer answered.
    Hung,
    /// It took more processes or processor time than it may.
    Policy,
}

/// A browser's process tree. Killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    pid: i32,
    dir: PathBuf,
    kill: Arc<watch::Sender<Option<Kill>>>,
    exit: watch::Receiver<Option<Exit>>,
    gone: CancellationToken,
}

impl Process {
    /// Starts a browser in a process group and directory of its own and hands out its standard
    /// error. `on_gone` runs once nothing of it is left.
    ///
    /// # Errors
    /// When the program cannot be started; the directory is removed then.
    pub(super) fn spawn(
        Start { invocation, cgroup }: Start,
        envs: &[(&str, String)],
        (dir, run_dir): (PathBuf, &Arc<RunDir>),
        drain: &Drain,
        on_gone: impl FnOnce() + Send + 'static,
    ) -> io::Result<(Self, ChildStderr)> {
        let started = start(&invocation, envs, &dir);
        let (mut child, lifeline) = match started {
            Ok(started) => started,
            Err(error) => {
                run_dir.discard(&dir);
                return Err(error);
            }
        };
        let (Some(pid), Some(stderr)) = (child.id(), child.stderr.take()) else {
            return Err(io::Error::other("the child has no pid or no stderr"));
        };
        let pid = i32::try_from(pid).map_err(io::Error::other)?;
        let limited = cgroup.as_ref().map_or(Ok(()), |cgroup| cgroup.take_in(pid));
        let (kill, killed) = watch::channel(None);
        let (exited, exit) = watch::channel(None);
        let gone = CancellationToken::new();
        let keeper = Keeper {
            pid,
            child,
            dir: dir.clone(),
            run_dir: Arc::clone(run_dir),
            cgroup: cgroup.map(Arc::new),
            killed,
            exited,
            _lifeline: lifeline,
        };
        drain.spawn({
            let gone = gone.clone().drop_guard();
            async move {
                keeper.run().await;
                on_gone();
                drop(gone);
            }
        });
        let process = Self {
            pid,
            dir,
            kill: Arc::new(kill),
            exit,
            gone,
        };
        if let Err(error) = limited {
            tracing::error!(pid, %error, "a browser cannot be given its limits");
            process.kill(Kill::Policy);
        }
        Ok((process, stderr))
    }

    /// The main process, which is also the process group.
    #[must_use]
    pub(super) const fn pid(&self) -> i32 {
        self.pid
    }

    /// The directory that is removed with it.
    #[must_use]
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Kills the whole tree. The first reason stands.
    pub(super) fn kill(&self, reason: Kill) {
        self.kill.send_if_modified(|kill| {
            let first = kill.is_none();
            if first {
                *kill = Some(reason);
            }
            first
        });
    }

    /// How the main process ended, when it has.
    #[must_use]
    pub(super) fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Follows the end of the main process.
    #[must_use]
    pub(super) fn watch_exit(&self) -> watch::Receiver<Option<Exit>> {
        self.exit.clone()
    }

    /// Cancelled when no process of the tree is left and its directory is removed, or known as one
    /// that is still to be.
    #[must_use]
    pub(super) const fn gone(&self) -> &CancellationToken {
        &self.gone
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill(Kill::Done);
    }
}

/// The ends of the pipe on which Chromium listens (`--remote-debugging-pipe`). Nothing is said on
/// it: when the broker dies, even by `kill -9`, the kernel closes it and Chromium exits.
#[derive(Debug)]
struct Lifeline {
    _to_browser: OwnedFd,
    _from_browser: OwnedFd,
}

fn start(
    Invocation { program, args }: &Invocation,
    envs: &[(&str, String)],
    dir: &Path,
) -> io::Result<(Child, Lifeline)> {
    let (browser_reads, to_browser) = io::pipe()?;
    let (from_browser, browser_writes) = io::pipe()?;
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(environment::passed())
        .env("TMPDIR", dir.join("tmp"))
        .env("HOME", dir)
        .envs(envs.iter().map(|(name, value)| (name, value)))
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mapping = |parent_fd: OwnedFd, child_fd| FdMapping {
        parent_fd,
        child_fd,
    };
    // Chromium reads commands on descriptor 3 and answers on descriptor 4.
    command
        .fd_mappings(vec![
            mapping(browser_reads.into(), 3),
            mapping(browser_writes.into(), 4),
        ])
        .map_err(io::Error::other)?;
    let lifeline = Lifeline {
        _to_browser: to_browser.into(),
        _from_browser: from_browser.into(),
    };
    Ok((command.spawn()?, lifeline))
}

/// Owns what must not be left behind.
struct Keeper {
    pid: i32,
    child: Child,
    dir: PathBuf,
    run_dir: Arc<RunDir>,
    cgroup: Option<Arc<Cgroup>>,
    killed: watch::Receiver<Option<Kill>>,
    exited: watch::Sender<Option<Exit>>,
    _lifeline: Lifeline,
}

impl Keeper {
    async fn run(mut self) {
        let mut killed = self.killed.clone();
        self.gather().await;
        let asked = tokio::select! {
            status = self.child.wait() => Err(status),
            // The handle kills when dropped, so this ends one way or the other.
            reason = killed.wait_for(Option::is_some) => {
                Ok(reason.ok().and_then(|reason| *reason).unwrap_or(Kill::Done))
            }
        };
        let exit = match asked {
            Ok(reason) => Exit::Killed(reason),
            Err(Ok(_)) if self.ran_out_of_memory() => Exit::Killed(Kill::Memory),
            Err(Ok(status)) => Exit::Unasked(status),
            Err(Err(error)) => {
                tracing::error!(pid = self.pid, %error, "cannot wait for a browser");
                Exit::Killed(Kill::Done)
            }
        };
        self.exited.send_replace(Some(exit));
        self.end_group().await;
        drop(self.cgroup.take());
        self.remove_dir().await;
    }

    /// Takes into the control group what the browser started before it was in there itself.
    async fn gather(&self) {
        let (Some(cgroup), pid) = (self.cgroup.clone(), self.pid) else {
            return;
        };
        let gathered = tokio::task::spawn_blocking(move || cgroup.gather(pid)).await;
        if let Ok(Err(error)) = gathered {
            tracing::warn!(pid, %error, "a part of a browser has no limits");
        }
    }

    fn ran_out_of_memory(&self) -> bool {
        let cgroup = self.cgroup.as_ref();
        cgroup.is_some_and(|cgroup| cgroup.ran_out_of_memory())
    }

    /// Kills whatever is left anywhere. `true` once that is nothing.
    fn end_all(&self) -> bool {
        let group = census::kill_group(self.pid);
        let cgroup = self.cgroup.as_ref().is_none_or(|cgroup| {
            let empty = cgroup.is_empty();
            if !empty {
                cgroup.kill();
            }
            empty
        });
        group && cgroup
    }

    /// Kills and reaps until no member of the group is left. Gives up never: the place of a
    /// browser that cannot be killed is not free.
    async fn end_group(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(10);
        let begun = Instant::now();
        let mut pause = Duration::from_millis(1);
        let mut warned = false;
        // The leader first: reaping the group while tokio still waits for the leader would steal
        // its status.
        let _ = nix::sys::signal::killpg(
            nix::unistd::Pid::from_raw(self.pid),
            nix::sys::signal::Signal::SIGKILL,
        );
        // One that has left its group is still the leader: it would be waited for without end.
        let _ = self.child.start_kill();
        if let Err(error) = self.child.wait().await {
            tracing::error!(pid = self.pid, %error, "cannot reap a browser");
        }
        while !self.end_all() {
            if !warned && begun.elapsed() > PATIENCE {
                warned = true;
                tracing::error!(pid = self.pid, "browser.unkillable");
            }
            // The end of a process that is not our child is no event the kernel would tell.
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    async fn remove_dir(&self) {
        let (run_dir, dir) = (Arc::clone(&self.run_dir), self.dir.clone());
        // It panics never; a runtime that ends takes the whole run directory with it.
        let _ = tokio::task::spawn_blocking(move || run_dir.discard(&dir)).await;
    }
}
