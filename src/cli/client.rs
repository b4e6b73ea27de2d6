//! What the commands that talk to a broker share.

use std::{env, fs, path::PathBuf, time::Duration};

use clap::Args;

use super::exit::{self, Failure};
use crate::client::{Builder, Client};

/// The variable that has the token itself. There is no flag for it: everybody on a machine reads the
/// flags of its processes.
pub(super) const TOKEN: &str = "BERTH_TOKEN";

/// Where the broker is, and how to show it who calls. The token itself is in BERTH_TOKEN or in a file,
/// never on the command line.
#[derive(Args, Clone, Debug)]
pub(super) struct Target {
    /// The broker's gRPC address; https:// for TLS
    #[arg(
        long,
        env = "BERTH_ENDPOINT",
        default_value = "http://127.0.0.1:50051",
        value_name = "URL"
    )]
    pub(super) endpoint: String,
    #[command(flatten)]
    pub(super) credentials: Credentials,
}

/// How to show a broker who calls.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Credentials {
    /// A file with the token to call with, in place of one in BERTH_TOKEN
    #[arg(long, env = "BERTH_TOKEN_FILE", value_name = "PATH")]
    token_file: Option<PathBuf>,
    /// The authorities that the broker's certificate may be of, as PEM [default: the system's]
    #[arg(long, env = "BERTH_CA_FILE", value_name = "PATH")]
    ca_file: Option<PathBuf>,
    /// A certificate to show to the broker, as PEM
    #[arg(long, env = "BERTH_CERT", value_name = "PATH", requires = "key")]
    cert: Option<PathBuf>,
    /// The private key of --cert, as PEM
    #[arg(long, env = "BERTH_KEY", value_name = "PATH", requires = "cert")]
    key: Option<PathBuf>,
}

impl Credentials {
    /// Puts them to what a connection is made with. Files are read anew each time: they may be replaced
    /// while the command runs.
    fn add_to(&self, mut builder: Builder) -> Result<Builder, Failure> {
        let token = match &self.token_file {
            Some(path) => Some(String::from_utf8_lossy(&read(path)?).into_owned()),
            None => env::var(TOKEN).ok(),
        };
        if let Some(token) = token {
            builder = builder.token(token);
        }
        if let Some(path) = &self.ca_file {
            builder = builder.ca(read(path)?);
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            builder = builder.identity(read(cert)?, read(key)?);
        }
        Ok(builder)
    }

    /// The same for a command of ours that is started, as variables.
    pub(super) fn variables(&self) -> Vec<(&'static str, &PathBuf)> {
        let all = [
            ("BERTH_TOKEN_FILE", &self.token_file),
            ("BERTH_CA_FILE", &self.ca_file),
            ("BERTH_CERT", &self.cert),
            ("BERTH_KEY", &self.key),
        ];
        let given = all.into_iter();
        given
            .filter_map(|(name, path)| Some((name, path.as_ref()?)))
            .collect()
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, Failure> {
    fs::read(path)
        .map_err(|error| Failure::new(exit::USAGE, format!("{}: {error}", path.display())))
}

impl Target {
    /// A broker that asks nobody who they are.
    pub(super) fn open(endpoint: String) -> Self {
        Self {
            endpoint,
            credentials: Credentials::default(),
        }
    }

    /// What a connection is made with.
    pub(super) fn builder(&self) -> Result<Builder, Failure> {
        self.credentials.add_to(Client::builder(&self.endpoint))
    }

    /// A connection that is there.
    pub(super) async fn connect(&self) -> Result<Client, Failure> {
        Ok(self.builder()?.connect().await?)
    }
}

/// A runtime for a command, which needs little of one.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// A duration for a message.
pub(super) fn duration(duration: Duration) -> Option<prost_types::Duration> {
    duration.try_into().ok()
}

/// Reads a duration such as `90s` or `1m 30s`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; wanted such as 500ms, 30s or 5m"))
}
