//! What the commands that talk to a broker share.

use std::{env, fmt, fs, path::PathBuf, time::Duration};

use clap::Args;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use super::exit::{self, Failure};

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

/// A connection that shows who calls.
pub(super) type Connection = InterceptedService<Channel, Bearer>;

/// Adds the token to each call.
#[derive(Clone)]
pub(super) struct Bearer(Option<MetadataValue<Ascii>>);

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.as_ref().map(|_| "redacted");
        f.debug_tuple("Bearer").field(&shown).finish()
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl Credentials {
    /// Reads the token anew each time: it may be replaced while the command runs.
    fn bearer(&self) -> Result<Bearer, Failure> {
        let token = match &self.token_file {
            Some(path) => Some(String::from_utf8_lossy(&read(path)?).into_owned()),
            None => env::var(TOKEN).ok(),
        };
        let token = token.as_deref().map(str::trim);
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Ok(Bearer(None));
        };
        let value = MetadataValue::try_from(format!("Bearer {token}"));
        // The error would show it.
        let mut value = value
            .map_err(|_| Failure::new(exit::USAGE, "the token has characters no token has"))?;
        value.set_sensitive(true);
        Ok(Bearer(Some(value)))
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

    fn tls(&self) -> Result<ClientTlsConfig, Failure> {
        let mut tls = ClientTlsConfig::new();
        tls = match &self.ca_file {
            Some(path) => tls.ca_certificate(Certificate::from_pem(read(path)?)),
            None => tls.with_native_roots(),
        };
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        Ok(tls)
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

    /// How to connect, and what to show to a broker that asks who calls.
    pub(super) fn parts(&self) -> Result<(Endpoint, Option<MetadataValue<Ascii>>), Failure> {
        let usage = |error: &dyn std::error::Error| {
            let wanted = "wanted such as http://127.0.0.1:50051";
            Failure::new(
                exit::USAGE,
                format!("--endpoint {:?}: {}; {wanted}", self.endpoint, root(error)),
            )
        };
        let bearer = self.credentials.bearer()?;
        let endpoint =
            Endpoint::from_shared(self.endpoint.clone()).map_err(|error| usage(&error))?;
        let endpoint = if endpoint.uri().scheme_str() == Some("https") {
            let tls = endpoint.tls_config(self.credentials.tls()?);
            tls.map_err(|error| usage(&error))?
        } else {
            endpoint
        };
        let endpoint = endpoint
            .connect_timeout(Duration::from_secs(5))
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10));
        Ok((endpoint, bearer.0))
    }

    /// A connection that is there.
    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let (endpoint, authorization) = self.parts()?;
        let channel = endpoint.connect().await.map_err(|error| {
            let why = root(&error);
            let remedy = "is `berth serve` running there?";
            let at = &self.endpoint;
            Failure::new(
                exit::UNAVAILABLE,
                format!("no broker at {at}: {why}; {remedy}"),
            )
        })?;
        Ok(InterceptedService::new(channel, Bearer(authorization)))
    }
}

/// The last of the causes, which is the one that tells.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
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
