//! Who may call: tokens, JSON Web Tokens, certificates, and what is refused before anybody is asked.

mod jwt;
mod shown;
mod start;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod tokens;

use berth::{
    auth::{OpsAuth, new_token, tls::ClientAuth},
    config::Config,
    proto::{
        AcquireRequest, GetStatusRequest, Lease, ListRequest, ReleaseRequest,
        admin_service_client::AdminServiceClient, lease_service_client::LeaseServiceClient,
    },
    server::Server,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::Output,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use support::{BOUND, Broker, Ground, Service, berth, installed, reason, serve, until};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    Code, Request, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Identity},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

/// `message` with a token, or any other value, as its authorization.
fn with<T>(message: T, authorization: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(BOUND);
    if !authorization.is_empty() {
        let value = authorization.parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    request
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// What a call that needs a name says to this authorization.
async fn list(channel: &Channel, authorization: &str) -> Result<(), Status> {
    let mut leases = LeaseServiceClient::new(channel.clone());
    let listed = leases.list(with(ListRequest::default(), authorization));
    listed.await.map(|_| ())
}

async fn granted(channel: &Channel, authorization: &str) -> Lease {
    let mut leases = LeaseServiceClient::new(channel.clone());
    let acquired = leases.acquire(with(AcquireRequest::default(), authorization));
    acquired.await.unwrap().into_inner().lease.unwrap()
}

async fn give_back(channel: &Channel, authorization: &str, lease: &Lease) {
    let mut leases = LeaseServiceClient::new(channel.clone());
    let lease_id = lease.id.clone();
    let released = leases.release(with(ReleaseRequest { lease_id }, authorization));
    released.await.unwrap();
}

/// A file of tokens, and the tokens: a user's and an admin's.
struct Tokens {
    dir: TempDir,
    user: String,
    admin: String,
}

impl Tokens {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (user, first) = new_token("ci", false).unwrap();
        let (admin, second) = new_token("ops", true).unwrap();
        fs::write(dir.path().join("tokens.toml"), first + &second).unwrap();
        Self { dir, user, admin }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("tokens.toml")
    }
}

/// An authority, and what it signs, as files.
struct Pki {
    authority: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

impl Pki {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let pki = Self {
            authority,
            dir: tempfile::tempdir().unwrap(),
        };
        fs::write(pki.path("ca.pem"), pki.authority.pem()).unwrap();
        pki.server();
        pki
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A certificate and its key.
    fn signed(&self, name: &str, alternative: Vec<SanType>) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = alternative;
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn server_pair(&self) -> (String, String) {
        let address = SanType::IpAddress([127, 0, 0, 1].into());
        self.signed("berth", vec![address])
    }

    /// Writes a new certificate of the server.
    fn server(&self) {
        let (cert, key) = self.server_pair();
        fs::write(self.path("cert.pem"), cert).unwrap();
        fs::write(self.path("key.pem"), key).unwrap();
    }

    fn client(&self, name: &str, alternative: Vec<SanType>) -> Identity {
        let (cert, key) = self.signed(name, alternative);
        Identity::from_pem(cert, key)
    }

    fn set(&self, config: &mut Config) {
        config.auth.tls_cert = Some(self.path("cert.pem"));
        config.auth.tls_key = Some(self.path("key.pem"));
    }

    async fn channel(
        &self,
        at: SocketAddr,
        identity: Option<Identity>,
    ) -> Result<Channel, tonic::transport::Error> {
        let authority = Certificate::from_pem(self.authority.pem());
        let mut tls = ClientTlsConfig::new().ca_certificate(authority);
        if let Some(identity) = identity {
            tls = tls.identity(identity);
        }
        let endpoint = Channel::from_shared(format!("https://{at}")).unwrap();
        endpoint.tls_config(tls)?.connect().await
    }

    /// A bare TLS connection that speaks `protocol`.
    async fn dial(&self, at: SocketAddr, protocol: &[u8]) -> TlsStream<TcpStream> {
        self.dial_by(rustls::ALL_VERSIONS, at, protocol).await
    }

    async fn dial_by(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        at: SocketAddr,
        protocol: &[u8],
    ) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap();
        roots.add(authority).unwrap();
        let mut config = ClientConfig::builder_with_protocol_versions(versions)
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(at).await.unwrap();
        let name = ServerName::from(at.ip());
        let connected = TlsConnector::from(Arc::new(config)).connect(name, stream);
        timeout(BOUND, connected).await.unwrap().unwrap()
    }
}

impl Pki {
    /// The answer of an ops port that speaks TLS.
    async fn metrics(&self, at: SocketAddr) -> String {
        let mut stream = self.dial(at, b"http/1.1").await;
        let ask = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(ask).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

fn certificate_of(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    shown[0].to_vec()
}

/// A request of the ops port, with headers.
async fn ops(broker: &Broker, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let url = format!("http://{}{path}", broker.server.addresses().ops);
    let mut request = reqwest::Client::new().get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn run(mut command: Command) -> Output {
    timeout(BOUND, command.output())
        .await
        .expect("it ends")
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
