//! `berth lease -- COMMAND`: a browser for as long as a command runs.

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
    time::Duration,
};

use clap::Args;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::{
    client::{TOKEN, Target, parse_duration, runtime},
    exit::{self, Failure},
    progress::Progress,
    signals::Signals,
};
use crate::{
    client::{End, Lease},
    proto::EndReason,
};

/// Lease a browser, run a command with BERTH_CDP_URL in its environment, give the browser back
///
/// The browser is the command's alone and is given back whatever happens: when the command ends,
/// when it is killed, and when this process is. The command also gets BERTH_CDP_HTTP_URL and
/// BERTH_LEASE_ID. When the lease ends first, the command gets SIGTERM, and SIGKILL after 5 s.
#[derive(Args, Clone, Debug)]
pub(super) struct LeaseArgs {
    #[command(flatten)]
    target: Target,
    /// How long the command may have the browser at most [default: the server's, 1h]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    ttl: Option<Duration>,
    /// How long to wait for a browser, 0s not to wait [default: the server's, 5m]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    wait: Option<Duration>,
    /// A label that operators see; may be repeated
    #[arg(long = "label", value_parser = parse_label, value_name = "KEY=VALUE")]
    labels: Vec<(String, String)>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// How long a command may take to end after SIGTERM.
const TERM_GRACE: Duration = Duration::from_secs(5);

fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("wanted KEY=VALUE".into()),
    }
}

pub(super) fn run(args: &LeaseArgs) -> Result<ExitCode, Failure> {
    runtime()?.block_on(async {
        let mut signals = Signals::listen()?;
        let leased = tokio::select! {
            leased = acquire(args) => leased?,
            signal = signals.next() => return Err(Failure::other(format!("{signal} while waiting"))),
        };
        with(leased, &args.command, &mut signals).await
    })
}

async fn acquire(args: &LeaseArgs) -> Result<Lease, Failure> {
    let progress = Progress::start("connecting to the broker");
    let client = args.target.connect().await?;
    progress.say("waiting for a browser".into());
    // Its line goes when nothing is asked for any more.
    let mut asked = client.lease().on_queued(move |position| {
        progress.say(format!(
            "waiting for a browser, number {position} in the queue"
        ));
    });
    if let Some(ttl) = args.ttl {
        asked = asked.max_lifetime(ttl);
    }
    if let Some(wait) = args.wait {
        asked = asked.wait(wait);
    }
    for (key, value) in &args.labels {
        asked = asked.label(key, value);
    }
    Ok(asked.await?)
}

/// Runs `command` with the browser.
async fn with(
    lease: Lease,
    command: &[OsString],
    signals: &mut Signals,
) -> Result<ExitCode, Failure> {
    let [program, arguments @ ..] = command else {
        return Err(Failure::new(exit::USAGE, "no command"));
    };
    let spawned = Command::new(program)
        .args(arguments)
        // The browser is lent, not the right to lease more.
        .env_remove(TOKEN)
        .env("BERTH_CDP_URL", lease.cdp_url())
        .env("BERTH_CDP_HTTP_URL", lease.cdp_http_url())
        .env("BERTH_LEASE_ID", lease.id())
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            give_back(lease).await;
            let program = program.to_string_lossy();
            return Err(Failure::new(127, format!("cannot run {program}: {error}")));
        }
    };
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status?;
                give_back(lease).await;
                return Ok(code(status));
            }
            ended = lease.ended() => {
                end(&mut child).await?;
                return Err(lost(ended));
            }
            // A terminal's Ctrl-C reaches the command by itself; its end is ours.
            signal = signals.next() => if signal == "SIGTERM" {
                pass_on(&child, Signal::SIGTERM);
            },
        }
    }
}

/// Should the broker not confirm it, the end of the connection, which follows, gives the browser back.
async fn give_back(lease: Lease) {
    let _ = lease.release().await;
}

/// Why the command had to end.
fn lost(end: End) -> Failure {
    let ended = match end {
        Ok(ended) => ended,
        Err(error) => return error.into(),
    };
    let code = match ended.reason() {
        EndReason::Expired => exit::DEADLINE,
        EndReason::Drained => exit::UNAVAILABLE,
        _ => 1,
    };
    let word = ended.reason().word();
    Failure::new(code, format!("the lease ended before the command: {word}"))
}

async fn end(child: &mut Child) -> Result<(), Failure> {
    pass_on(child, Signal::SIGTERM);
    if timeout(TERM_GRACE, child.wait()).await.is_err() {
        child.kill().await?;
    }
    Ok(())
}

fn pass_on(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = pid {
        // It may have ended just now.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// The command's exit code, as shells tell it.
fn code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
