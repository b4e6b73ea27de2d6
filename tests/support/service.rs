//! `berth serve` as a process of its own.

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};

use berth::proto::{
    GetStatusRequest, Status as BrokerStatus, admin_service_client::AdminServiceClient,
    fetch_service_client::FetchServiceClient, lease_service_client::LeaseServiceClient,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStderr, Command},
    sync::mpsc,
    time::timeout,
};
use tonic::transport::Channel;

use super::{BOUND, left, until};

/// A running service, killed with the test.
pub struct Service {
    pub child: Child,
    pub grpc: String,
    pub gateway: String,
    pub ops: String,
    log: mpsc::UnboundedReceiver<String>,
}

/// A command of the installed program, with nothing of this process's environment that configures.
pub fn berth() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_berth"));
    command
        .env_remove("BERTH_ENDPOINT")
        .kill_on_drop(true)
        .stdin(Stdio::null());
    command
}

/// The arguments of a service on free ports; the run directory is to follow.
#[rustfmt::skip]
pub const SERVE: [&str; 10] = [
    "serve", "--listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0",
    "--log-format", "json", "--run-dir",
];

/// `berth serve` on free ports.
pub fn serve(run_dir: &Path, flags: &[&str]) -> Command {
    let mut command = berth();
    command
        .args(SERVE)
        .arg(run_dir)
        .args(flags)
        // What a test says of it by a flag wins.
        .env("BERTH_EGRESS_ALLOW", super::LOOPBACK)
        .stderr(Stdio::piped());
    command
}

impl Service {
    /// A service whose first browser is up.
    pub async fn start(run_dir: &Path, flags: &[&str]) -> Self {
        let service = Self::cold(serve(run_dir, flags)).await;
        let ready = async || {
            let url = format!("http://{}/readyz", service.ops);
            reqwest::get(url)
                .await
                .is_ok_and(|answer| answer.status().is_success())
        };
        until("it is ready", ready).await;
        service
    }

    /// A service that has said where it listens.
    pub async fn cold(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut log = follow(child.stderr.take().unwrap());
        let started = event(&mut log, "server.started").await;
        let at = |name: &str| started[name].as_str().unwrap().to_owned();
        Self {
            grpc: format!("http://{}", at("grpc")),
            gateway: at("gateway"),
            ops: at("ops"),
            child,
            log,
        }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id().unwrap()).unwrap()
    }

    pub async fn channel(&self) -> Channel {
        Channel::from_shared(self.grpc.clone())
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    pub async fn leases(&self) -> LeaseServiceClient<Channel> {
        LeaseServiceClient::new(self.channel().await)
    }

    pub async fn fetches(&self) -> FetchServiceClient<Channel> {
        FetchServiceClient::new(self.channel().await)
    }

    pub async fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel().await)
    }

    pub async fn status(&self) -> BrokerStatus {
        let status = self
            .admin()
            .await
            .get_status(GetStatusRequest {})
            .await
            .unwrap();
        status.into_inner().status.unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Waits for a log event.
    pub async fn event(&mut self, name: &str) -> Value {
        event(&mut self.log, name).await
    }

    /// What it has logged since this, or an event, was last asked for.
    pub fn said(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.log.try_recv().ok()).collect()
    }

    /// Waits for its end and returns its exit code and the rest of its log.
    pub async fn ended(mut self) -> (Option<i32>, Vec<Value>) {
        let mut lines = Vec::new();
        let all = async {
            while let Some(line) = self.log.recv().await {
                lines.push(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
            self.child.wait().await.unwrap()
        };
        let status = timeout(BOUND, all).await.expect("it ends");
        (status.code(), lines)
    }
}

/// Reads a log as it is written: a pipe that nobody reads would stop its writer.
#[allow(clippy::disallowed_methods, reason = "the test's own task")]
fn follow(stderr: ChildStderr) -> mpsc::UnboundedReceiver<String> {
    let (lines, log) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut stderr = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = stderr.next_line().await {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    log
}

async fn event(log: &mut mpsc::UnboundedReceiver<String>, name: &str) -> Value {
    let find = async {
        let mut seen = Vec::new();
        while let Some(line) = log.recv().await {
            let event: BTreeMap<String, Value> = serde_json::from_str(&line).unwrap_or_default();
            if event.get("message").is_some_and(|message| message == name) {
                return serde_json::to_value(event).unwrap();
            }
            seen.push(line);
        }
        panic!("the log ended without {name}: {seen:#?}");
    };
    timeout(BOUND, find)
        .await
        .unwrap_or_else(|_| panic!("no {name} in the log"))
}

/// A run directory, and the proof at the end that nothing lives or lies in it.
pub struct Ground {
    dir: TempDir,
}

impl Ground {
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The browsers' processes that live.
    pub fn browsers(&self) -> Vec<String> {
        left::browsers(self.dir.path())
    }

    /// What lies in the run directory.
    pub fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.dir.path()).unwrap().flatten();
        let names = names.map(|one| one.file_name().into_string().unwrap());
        names.filter(|name| name != "lock").collect()
    }

    /// Fails the test unless nothing is left.
    pub fn assert_clean(&self) {
        assert_eq!(self.browsers(), Vec::<String>::new());
        assert_eq!(self.files(), Vec::<String>::new());
    }

    /// Waits until no browser lives.
    pub async fn deserted(&self) -> Duration {
        until("no browser is left", async || self.browsers().is_empty()).await
    }
}
