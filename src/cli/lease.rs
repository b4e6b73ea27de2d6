//! `berth lease -- COMMAND`: a browser for as long as a command runs.

use std::{
    collections::HashMap,
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
    sync::mpsc,
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::{
    client::{TOKEN, Target, duration, parse_duration, runtime},
    exit::{self, Failure},
    progress::Progress,
    signals::Signals,
};
use crate::proto::{
    self, AcquireRequest, Ended, HoldRelease, HoldRequest, HoldResponse, Lease,
    hold_request::Request, hold_response::Event, lease_service_client::LeaseServiceClient,
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
/// How long to wait for the broker to confirm the release.
const RELEASE_BOUND: Duration = Duration::from_secs(5);

fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("wanted KEY=VALUE".into()),
    }
}

pub(super) fn run(args: &LeaseArgs) -> Result<ExitCode, Failure> {
    runtime()?.block_on(async {
        let mut signals = Signals::listen()?;
        let held = tokio::select! {
            held = Held::acquire(args) => held?,
            signal = signals.next() => return Err(Failure::other(format!("{signal} while waiting"))),
        };
        held.run(&args.command, &mut signals).await
    })
}

/// A lease and the stream that keeps it.
#[derive(Debug)]
struct Held {
    lease: Lease,
    requests: mpsc::Sender<HoldRequest>,
    events: Streaming<HoldResponse>,
}

impl Held {
    async fn acquire(args: &LeaseArgs) -> Result<Self, Failure> {
        let progress = Progress::start("connecting to the broker");
        let mut client = LeaseServiceClient::new(args.target.connect().await?);
        progress.say("waiting for a browser".into());
        let (requests, outgoing) = mpsc::channel(2);
        let acquire = AcquireRequest {
            wait: args.wait.and_then(duration),
            max_lifetime: args.ttl.and_then(duration),
            labels: args.labels.iter().cloned().collect::<HashMap<_, _>>(),
            ..AcquireRequest::default()
        };
        let request = Some(Request::Acquire(acquire));
        // The receiver is right here.
        let _ = requests.send(HoldRequest { request }).await;
        let mut events = client
            .hold(ReceiverStream::new(outgoing))
            .await?
            .into_inner();
        loop {
            match events.message().await?.and_then(|message| message.event) {
                Some(Event::Granted(proto::Granted { lease: Some(lease) })) => {
                    return Ok(Self {
                        lease,
                        requests,
                        events,
                    });
                }
                Some(Event::Queued(queued)) => {
                    let position = queued.position;
                    progress.say(format!(
                        "waiting for a browser, number {position} in the queue"
                    ));
                }
                Some(_) => {}
                None => return Err(Failure::other("the broker ended the call without a lease")),
            }
        }
    }

    async fn run(
        mut self,
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
            .env("BERTH_CDP_URL", &self.lease.cdp_url)
            .env("BERTH_CDP_HTTP_URL", &self.lease.cdp_http_url)
            .env("BERTH_LEASE_ID", &self.lease.id)
            .kill_on_drop(true)
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => {
                self.release().await;
                let program = program.to_string_lossy();
                return Err(Failure::new(127, format!("cannot run {program}: {error}")));
            }
        };
        loop {
            tokio::select! {
                status = child.wait() => {
                    let status = status?;
                    self.release().await;
                    return Ok(code(status));
                }
                event = self.events.message() => if let Some(failure) = lost(event) {
                    end(&mut child).await?;
                    return Err(failure);
                },
                // A terminal's Ctrl-C reaches the command by itself; its end is ours.
                signal = signals.next() => if signal == "SIGTERM" {
                    pass_on(&child, Signal::SIGTERM);
                },
            }
        }
    }

    /// Gives the browser back and waits for the broker to say so; should that fail, the end of
    /// the stream does it.
    async fn release(&mut self) {
        let request = Some(Request::Release(HoldRelease {}));
        let ended = async {
            if self.requests.send(HoldRequest { request }).await.is_err() {
                return;
            }
            while let Ok(Some(message)) = self.events.message().await {
                if matches!(message.event, Some(Event::Ended(_))) {
                    return;
                }
            }
        };
        let _ = timeout(RELEASE_BOUND, ended).await;
    }
}

/// Why the command has to end, when it has to.
fn lost(event: Result<Option<HoldResponse>, tonic::Status>) -> Option<Failure> {
    match event {
        Ok(Some(HoldResponse {
            event: Some(Event::Ended(ended)),
        })) => Some(told(&ended)),
        Ok(Some(_)) => None,
        Ok(None) => Some(Failure::other("the broker ended the call")),
        Err(status) => Some(status.into()),
    }
}

fn told(ended: &Ended) -> Failure {
    let reason = ended.reason();
    let word = reason.as_str_name().trim_start_matches("END_REASON_");
    let code = match reason {
        proto::EndReason::Expired => exit::DEADLINE,
        proto::EndReason::Drained => exit::UNAVAILABLE,
        _ => 1,
    };
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
