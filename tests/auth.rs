//! Who may call: tokens, JSON Web Tokens, certificates, and what is refused before anybody is asked.

mod support;

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::Output,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_token_says_who_calls_and_all_else_is_refused_alike() {
    let tokens = Tokens::new();
    let broker = Broker::with(|config| config.auth.tokens = Some(tokens.path())).await;
    let channel = broker.connect().await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let lease = granted(&channel, &format!("{scheme} {}", tokens.user)).await;
        assert_eq!(lease.owner, "ci");
        give_back(&channel, &bearer(&tokens.user), &lease).await;
    }
    let wrong = format!("{}x", tokens.user);
    let mut said = Vec::new();
    for authorization in [
        "",
        "Bearer",
        "Bearer x",
        &tokens.user,
        &bearer(&wrong),
        "Digest x",
        "Basic eA==",
        "Bearer a.b.c",
    ] {
        let refused = list(&channel, authorization).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{authorization}");
        assert_eq!(reason(&refused), "AUTH_REQUIRED");
        said.push(refused.message().to_owned());
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
    // A stream is refused as a call is, before anything of it is done.
    let mut leases = LeaseServiceClient::new(channel.clone());
    let held = leases.hold(tokio_stream::pending()).await.unwrap_err();
    assert_eq!(reason(&held), "AUTH_REQUIRED");
    let metrics = ops(&broker, "/metrics", &[]).await.1;
    for counted in [
        "berth_auth_total{outcome=\"missing\"} 2",
        "berth_auth_total{outcome=\"unknown\"} 3",
        "berth_auth_total{outcome=\"malformed\"} 4",
    ] {
        assert!(metrics.contains(counted), "{counted}\n{metrics}");
    }
    broker.stop().await;
}

async fn checks(channel: &Channel) -> Result<(), Status> {
    let mut health = HealthClient::new(channel.clone());
    let asked = health.check(HealthCheckRequest::default());
    asked.await.map(|_| ())
}

async fn reflects(channel: &Channel) -> Result<(), Status> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel.clone());
    let asked = client.server_reflection_info(tokio_stream::once(request));
    asked.await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_reflection_have_switches_of_their_own() {
    let tokens = Tokens::new();
    let broker = Broker::cold(|config| config.auth.tokens = Some(tokens.path())).await;
    let channel = broker.connect().await;
    checks(&channel).await.unwrap();
    assert_eq!(
        reason(&reflects(&channel).await.unwrap_err()),
        "AUTH_REQUIRED"
    );
    broker.end().await;
    let broker = Broker::cold(|config| {
        config.auth.tokens = Some(tokens.path());
        config.auth.health_required = true;
        config.auth.reflection_open = true;
    })
    .await;
    let channel = broker.connect().await;
    assert_eq!(
        reason(&checks(&channel).await.unwrap_err()),
        "AUTH_REQUIRED"
    );
    reflects(&channel).await.unwrap();
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_change_under_way_and_a_broken_file_changes_nothing() {
    let tokens = Tokens::new();
    let broker = Broker::cold(|config| config.auth.tokens = Some(tokens.path())).await;
    let channel = broker.connect().await;
    let good = fs::read_to_string(tokens.path()).unwrap();
    let (second, entry) = new_token("new", false).unwrap();
    let (old, new) = (bearer(&tokens.user), bearer(&second));
    assert!(list(&channel, &new).await.is_err());
    // Its first entry is right, and must not count.
    fs::write(tokens.path(), format!("{entry}\n[[token]]\nowner = 1\n")).unwrap();
    until("the broken file is noticed", async || {
        let metrics = ops(&broker, "/metrics", &[]).await.1;
        metrics.contains("berth_auth_reloads_total{result=\"failed\"} 1")
    })
    .await;
    assert!(list(&channel, &new).await.is_err());
    list(&channel, &old).await.unwrap();
    fs::write(tokens.path(), format!("{good}{entry}")).unwrap();
    until("the new token is known", async || {
        list(&channel, &old).await.unwrap();
        list(&channel, &new).await.is_ok()
    })
    .await;
    fs::write(tokens.path(), entry).unwrap();
    until("the old token is forgotten", async || {
        list(&channel, &new).await.unwrap();
        list(&channel, &old).await.is_err()
    })
    .await;
    broker.end().await;
}

struct Signer {
    key: EncodingKey,
    jwk: Value,
}

impl Signer {
    fn new(kid: &str) -> Self {
        let pair = KeyPair::generate().unwrap();
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(kid.into());
        let jwk = serde_json::to_value(jwk).unwrap();
        Self { key, jwk }
    }

    fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = kid.map(str::to_owned);
        encode(&header, claims, &self.key).unwrap()
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// Claims that are right, but for `changes`.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://issuer.example", "aud": "berth", "sub": "job-7",
        "nbf": now() - 5, "exp": now() + 600,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
    }
    claims
}

#[tokio::test(flavor = "multi_thread")]
async fn json_web_tokens_are_taken_when_all_of_them_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwks.json");
    let (one, two, foreign) = (Signer::new("one"), Signer::new("two"), Signer::new("one"));
    fs::write(&path, json!({"keys": [one.jwk, two.jwk]}).to_string()).unwrap();
    let broker = Broker::with(|config| {
        config.auth.jwks = Some(path.clone());
        config.auth.jwt_issuer = "https://issuer.example".into();
        config.auth.jwt_audience = "berth".into();
        config.auth.jwt_admin = Some(("roles".into(), "berth-admin".into()));
        config.auth.ops = OpsAuth::On;
    })
    .await;
    let channel = broker.connect().await;
    let right = bearer(&one.sign(Some("one"), &claims(&json!({}))));
    let lease = granted(&channel, &right).await;
    assert_eq!(lease.owner, "job-7");
    give_back(&channel, &right, &lease).await;
    for (signer, kid, changes) in [
        (&two, "two", json!({})),
        (&one, "one", json!({"aud": ["other", "berth"]})),
        (&one, "one", json!({"nbf": null})),
        // Within the leeway of both clocks.
        (&one, "one", json!({"exp": now() - 10})),
        (&one, "one", json!({"nbf": now() + 10})),
    ] {
        let token = bearer(&signer.sign(Some(kid), &claims(&changes)));
        list(&channel, &token)
            .await
            .unwrap_or_else(|status| panic!("{changes}: {status}"));
    }
    let valid = one.sign(Some("one"), &claims(&json!({})));
    let parts: Vec<_> = valid.split('.').collect();
    let url = |text: &str| {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        URL_SAFE_NO_PAD.encode(text)
    };
    // The public key taken for a shared secret.
    let mut shared = Header::new(Algorithm::HS256);
    shared.kid = Some("one".into());
    let public = EncodingKey::from_secret(one.jwk.to_string().as_bytes());
    let table = [
        (
            "expired",
            one.sign(Some("one"), &claims(&json!({"exp": now() - 60}))),
        ),
        (
            "not yet",
            one.sign(Some("one"), &claims(&json!({"nbf": now() + 60}))),
        ),
        (
            "no expiry",
            one.sign(Some("one"), &claims(&json!({"exp": null}))),
        ),
        (
            "audience",
            one.sign(Some("one"), &claims(&json!({"aud": "other"}))),
        ),
        (
            "no audience",
            one.sign(Some("one"), &claims(&json!({"aud": null}))),
        ),
        (
            "issuer",
            one.sign(
                Some("one"),
                &claims(&json!({"iss": "https://evil.example"})),
            ),
        ),
        (
            "no issuer",
            one.sign(Some("one"), &claims(&json!({"iss": null}))),
        ),
        (
            "no owner",
            one.sign(Some("one"), &claims(&json!({"sub": null}))),
        ),
        (
            "bad owner",
            one.sign(Some("one"), &claims(&json!({"sub": "a\nb"}))),
        ),
        (
            "owner of all",
            one.sign(Some("one"), &claims(&json!({"sub": "anonymous"}))),
        ),
        ("unknown kid", one.sign(Some("three"), &claims(&json!({})))),
        ("no kid of two", one.sign(None, &claims(&json!({})))),
        (
            "the other's kid",
            one.sign(Some("two"), &claims(&json!({}))),
        ),
        (
            "foreign key",
            foreign.sign(Some("one"), &claims(&json!({}))),
        ),
        (
            "shared secret",
            encode(&shared, &claims(&json!({})), &public).unwrap(),
        ),
        (
            "none",
            format!("{}.{}.", url(r#"{"alg":"none","kid":"one"}"#), parts[1]),
        ),
        ("stripped", format!("{}.{}.", parts[0], parts[1])),
        ("cut", valid[..valid.len() - 4].to_owned()),
        ("long", format!("{valid}{}", "A".repeat(8 << 10))),
    ];
    for (what, token) in &table {
        let refused = list(&channel, &bearer(token)).await.expect_err(what);
        assert_eq!(reason(&refused), "AUTH_REQUIRED", "{what}");
    }
    // The role of an admin, as a list and as words.
    for (roles, code) in [
        (json!(["x", "berth-admin"]), 200),
        (json!("x berth-admin"), 200),
        (json!("berth-administrator"), 403),
    ] {
        let token = bearer(&one.sign(Some("one"), &claims(&json!({"roles": roles}))));
        let answer = ops(&broker, "/status", &[("authorization", &token)]).await;
        assert_eq!(answer.0, code, "{roles}");
    }
    fs::write(&path, json!({"keys": [two.jwk]}).to_string()).unwrap();
    until("the key is gone", async || {
        list(&channel, &right).await.is_err()
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_tls_a_lease_is_reached_by_tls_and_plain_clients_are_not_heard() {
    let (pki, tokens) = (Pki::new(), Tokens::new());
    let broker = Broker::with(|config| {
        pki.set(config);
        config.auth.tokens = Some(tokens.path());
    })
    .await;
    let at = broker.server.addresses();
    let channel = pki.channel(at.grpc, None).await.unwrap();
    let user = bearer(&tokens.user);
    let lease = granted(&channel, &user).await;
    assert!(lease.cdp_url.starts_with("wss://"), "a secure address");
    assert!(lease.cdp_http_url.starts_with("https://"));
    // The address is the permission: no token is shown here.
    let stream = pki.dial(at.gateway, b"http/1.1").await;
    let opened = tokio_tungstenite::client_async(&lease.cdp_url, stream);
    let (mut socket, _) = timeout(BOUND, opened).await.unwrap().unwrap();
    use futures::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;
    let ask = json!({"id": 1, "method": "Browser.getVersion"}).to_string();
    socket.send(Message::text(ask)).await.unwrap();
    let answer = timeout(BOUND, socket.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(
        answer.to_text().unwrap().contains("protocolVersion"),
        "{answer}"
    );
    drop(socket);
    let answer = pki.metrics(at.ops).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    give_back(&channel, &user, &lease).await;
    // Plain HTTP/2 and garbage are not answered, and a silent client keeps nobody waiting.
    let silent = TcpStream::connect(at.grpc).await.unwrap();
    for garbage in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &[0x16, 3, 1, 0xff, 0xff],
    ] {
        let mut client = TcpStream::connect(at.grpc).await.unwrap();
        client.write_all(garbage).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // A reset is an answer as good as an alert.
        let _ = timeout(BOUND, client.read_to_end(&mut answer))
            .await
            .unwrap();
        assert!(
            answer.len() < 64 && answer.first() != Some(&0),
            "{answer:?}"
        );
        let next = pki.channel(at.grpc, None).await.unwrap();
        list(&next, &user).await.unwrap();
    }
    drop((channel, silent));
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_to_new_connections_and_half_a_pair_to_none() {
    let (pki, tokens) = (Pki::new(), Tokens::new());
    let broker = Broker::cold(|config| {
        pki.set(config);
        config.auth.tokens = Some(tokens.path());
    })
    .await;
    let at = broker.server.addresses().grpc;
    let user = bearer(&tokens.user);
    let old = pki.channel(at, None).await.unwrap();
    let shown = async || certificate_of(&pki.dial(at, b"h2").await);
    let before = shown().await;
    let (cert, key) = pki.server_pair();
    fs::write(pki.path("cert.pem"), &cert).unwrap();
    let ops = broker.server.addresses().ops;
    until("half a pair is noticed", async || {
        let metrics = pki.metrics(ops).await;
        metrics.contains("berth_auth_reloads_total{result=\"failed\"} 1")
    })
    .await;
    assert_eq!(shown().await, before, "half a pair changes nothing");
    fs::write(pki.path("key.pem"), &key).unwrap();
    let wanted = CertificateDer::from_pem_slice(cert.as_bytes())
        .unwrap()
        .to_vec();
    until("the new certificate is shown", async || {
        list(&old, &user).await.unwrap();
        shown().await == wanted
    })
    .await;
    list(&old, &user).await.unwrap();
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_says_who_calls_and_a_token_says_it_louder() {
    let (pki, tokens) = (Pki::new(), Tokens::new());
    let broker = Broker::with(|config| {
        pki.set(config);
        config.auth.tls_client_ca = Some(pki.path("ca.pem"));
        config.auth.tls_client_auth = ClientAuth::Require;
        config.auth.tls_admin = vec!["*.ops.example".into()];
        config.auth.tokens = Some(tokens.path());
    })
    .await;
    let at = broker.server.addresses();
    let uri = SanType::URI("spiffe://example/job".try_into().unwrap());
    let dns = SanType::DnsName("a.ops.example".try_into().unwrap());
    for (alternative, owner) in [
        (vec![dns.clone(), uri], "spiffe://example/job"),
        (vec![dns], "a.ops.example"),
        (vec![], "common"),
    ] {
        let identity = pki.client("common", alternative);
        let channel = pki.channel(at.grpc, Some(identity)).await.unwrap();
        let lease = granted(&channel, "").await;
        assert_eq!(lease.owner, owner);
        give_back(&channel, "", &lease).await;
        let user = bearer(&tokens.user);
        let lease = granted(&channel, &user).await;
        assert_eq!(lease.owner, "ci");
        give_back(&channel, &user, &lease).await;
        let wrong = list(&channel, "Bearer wrong").await.unwrap_err();
        assert_eq!(reason(&wrong), "AUTH_REQUIRED");
    }
    // No certificate, or one of somebody else's authority: no connection, token or not.
    let other = Pki::new();
    for identity in [None, Some(other.client("common", vec![]))] {
        let refused = match pki.channel(at.grpc, identity).await {
            Ok(channel) => list(&channel, &bearer(&tokens.admin)).await.is_err(),
            Err(_) => true,
        };
        assert!(refused);
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_may_be_asked_for_and_not_be_needed_and_may_make_an_admin() {
    let (pki, tokens) = (Pki::new(), Tokens::new());
    let broker = Broker::cold(|config| {
        pki.set(config);
        config.auth.tls_client_ca = Some(pki.path("ca.pem"));
        config.auth.tls_client_auth = ClientAuth::Request;
        config.auth.tls_admin = vec!["*.ops.example".into()];
        config.auth.tokens = Some(tokens.path());
    })
    .await;
    let at = broker.server.addresses().grpc;
    // Who says nothing is let go in its time, whatever others do meanwhile.
    let mut silent = TcpStream::connect(at).await.unwrap();
    let status = async |channel: &Channel, authorization: &str| {
        let mut admin = AdminServiceClient::new(channel.clone());
        let asked = admin.get_status(with(GetStatusRequest::default(), authorization));
        asked.await.map(|_| ()).map_err(|refused| reason(&refused))
    };
    let without = pki.channel(at, None).await.unwrap();
    assert_eq!(
        reason(&list(&without, "").await.unwrap_err()),
        "AUTH_REQUIRED"
    );
    list(&without, &bearer(&tokens.user)).await.unwrap();
    for (name, may) in [("a.ops.example", true), ("ops.example", false)] {
        let dns = SanType::DnsName(name.try_into().unwrap());
        let identity = pki.client("common", vec![dns]);
        let channel = pki.channel(at, Some(identity)).await.unwrap();
        list(&channel, "").await.unwrap();
        let told = status(&channel, "").await;
        assert_eq!(told.is_ok(), may, "{name}: {told:?}");
        assert!(may || told == Err("ROLE_REQUIRED".into()), "{told:?}");
        // A token says who calls in its place, and takes the role along.
        let told = status(&channel, &bearer(&tokens.user)).await;
        assert_eq!(told, Err("ROLE_REQUIRED".into()));
    }
    let old = pki.dial_by(&[&rustls::version::TLS12], at, b"h2").await;
    let spoken = old.get_ref().1.protocol_version();
    assert_eq!(spoken, Some(rustls::ProtocolVersion::TLSv1_2));
    let ended = timeout(BOUND, silent.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    drop((without, old, silent));
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_at_the_start_is_named_with_its_reason() {
    let (pki, tokens) = (Pki::new(), Tokens::new());
    let (_, other_key) = pki.server_pair();
    fs::write(pki.path("other.pem"), other_key).unwrap();
    fs::write(pki.path("empty.pem"), "").unwrap();
    fs::write(
        pki.path("oct.json"),
        r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#,
    )
    .unwrap();
    fs::write(pki.path("none.json"), r#"{"keys":[]}"#).unwrap();
    let path = |name: &str| Some(pki.path(name));
    type Change<'a> = Box<dyn Fn(&mut Config) + 'a>;
    let table: Vec<(&str, &str, Change<'_>)> = vec![
        (
            "auth_tokens",
            "cannot be read",
            Box::new(|c| c.auth.tokens = path("no.toml")),
        ),
        (
            "auth_tokens",
            "has no [[token]]",
            Box::new(|c| c.auth.tokens = path("empty.pem")),
        ),
        (
            "auth_jwks",
            "is no JWK set",
            Box::new(|c| c.auth.jwks = path("cert.pem")),
        ),
        (
            "auth_jwks",
            "shared secret",
            Box::new(|c| c.auth.jwks = path("oct.json")),
        ),
        (
            "auth_jwks",
            "has no key",
            Box::new(|c| c.auth.jwks = path("none.json")),
        ),
        (
            "tls_cert",
            "no certificate",
            Box::new(|c| {
                pki.set(c);
                c.auth.tls_cert = path("empty.pem");
            }),
        ),
        (
            "tls_key",
            "no private key",
            Box::new(|c| {
                pki.set(c);
                c.auth.tls_key = path("empty.pem");
            }),
        ),
        (
            "tls_key",
            "does not fit",
            Box::new(|c| {
                pki.set(c);
                c.auth.tls_key = path("other.pem");
            }),
        ),
        (
            "tls_client_ca",
            "no certificate",
            Box::new(|c| {
                pki.set(c);
                c.auth.tls_client_ca = path("key.pem");
            }),
        ),
    ];
    let run_dir = tempfile::tempdir().unwrap();
    for (setting, why, change) in table {
        let anywhere = ([127, 0, 0, 1], 0).into();
        let mut config = Config {
            listen: anywhere,
            gateway_listen: anywhere,
            ops_listen: anywhere,
            run_dir: run_dir.path().join("run"),
            ..Config::default()
        };
        change(&mut config);
        let error = Server::start(&config).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{setting}: /")), "{error}");
        assert!(error.contains(why), "{error}");
    }
    drop(tokens);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ops_port_asks_who_reads_but_not_who_probes() {
    let tokens = Tokens::new();
    let broker = Broker::cold(|config| {
        config.auth.tokens = Some(tokens.path());
        config.auth.ops = OpsAuth::On;
    })
    .await;
    let (user, admin) = (bearer(&tokens.user), bearer(&tokens.admin));
    let basic = {
        use base64::{Engine, engine::general_purpose::STANDARD};
        format!("Basic {}", STANDARD.encode(format!("me:{}", tokens.admin)))
    };
    for (path, nobody, by_user, by_admin) in [
        ("/livez", 200, 200, 200),
        ("/metrics", 401, 200, 200),
        ("/status", 401, 403, 200),
        ("/", 401, 403, 200),
        ("/no/such", 401, 403, 404),
    ] {
        assert_eq!(ops(&broker, path, &[]).await.0, nobody, "{path}");
        for (value, code) in [(&user, by_user), (&admin, by_admin), (&basic, by_admin)] {
            let found = ops(&broker, path, &[("authorization", value)]).await.0;
            assert_eq!(found, code, "{path}");
        }
        let wrong = ops(&broker, path, &[("authorization", "Bearer wrong")])
            .await
            .0;
        assert_eq!(wrong, nobody, "{path}");
    }
    for path in ["/health", "/readyz"] {
        assert_ne!(ops(&broker, path, &[]).await.0, 401, "{path}");
    }
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_can_read_and_do_nothing() {
    let broker = Broker::cold(|config| config.auth.ops_hosts = vec!["berth.internal".into()]).await;
    for path in ["/metrics", "/status", "/"] {
        assert_eq!(ops(&broker, path, &[]).await.0, 200, "{path}");
        let rebound = ops(&broker, path, &[("host", "evil.example")]).await;
        assert_eq!(rebound.0, 421, "{path}");
        let ours = ops(&broker, path, &[("host", "berth.internal:9464")]).await;
        assert_eq!(ours.0, 200, "{path}");
        for origin in ["http://evil.example", "null", "http://127.0.0.1"] {
            let crossed = ops(&broker, path, &[("origin", origin)]).await;
            assert_eq!(crossed.0, 403, "{path}");
        }
    }
    // A page speaks HTTP/1.1 to a port without TLS, and that is not spoken here.
    let before = broker.status().await.leases.len();
    let mut page = TcpStream::connect(broker.server.addresses().grpc)
        .await
        .unwrap();
    let post = b"POST /berth.v1.LeaseService/Acquire HTTP/1.1\r\nhost: evil.example\r\n\
        origin: http://evil.example\r\ncontent-type: application/grpc-web\r\n\
        content-length: 5\r\n\r\n\0\0\0\0\0";
    page.write_all(post).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(BOUND, page.read_to_end(&mut answer)).await.unwrap();
    assert!(
        !answer.windows(5).any(|bytes| bytes == b"HTTP/"),
        "{answer:?}"
    );
    assert_eq!(broker.status().await.leases.len(), before);
    drop(page);
    broker.end().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_show_who_calls_and_pass_it_on_to_nobody() {
    let (pki, tokens) = (Pki::new(), Tokens::new());
    let broker = Broker::with(|config| {
        pki.set(config);
        config.auth.tokens = Some(tokens.path());
    })
    .await;
    let token_file = pki.path("token");
    fs::write(&token_file, format!("{}\n", tokens.admin)).unwrap();
    let at = format!("https://{}", broker.server.addresses().grpc);
    let command = |words: &[&str]| {
        let mut command = berth();
        let ca = pki.path("ca.pem");
        command
            .args(words)
            .env("BERTH_ENDPOINT", &at)
            .env("BERTH_CA_FILE", ca);
        command
    };
    let health = run(command(&["health"])).await;
    assert_eq!(health.status.code(), Some(0), "{}", text(&health.stderr));
    let refused = run(command(&["top", "--once"])).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("AUTH_REQUIRED"),
        "{}",
        text(&refused.stderr)
    );
    let mut top = command(&["top", "--once", "--token-file"]);
    top.arg(&token_file);
    let top = run(top).await;
    assert_eq!(top.status.code(), Some(0), "{}", text(&top.stderr));
    let mut lease = command(&["lease", "--", "env"]);
    lease.env("BERTH_TOKEN", &tokens.user);
    let lease = run(lease).await;
    assert_eq!(lease.status.code(), Some(0), "{}", text(&lease.stderr));
    let seen = text(&lease.stdout);
    assert!(seen.contains("BERTH_CDP_URL=wss://"), "{seen}");
    assert!(!seen.contains(&tokens.user), "the command has the token");
    // The system's authorities do not know this one.
    let mut unknown = berth();
    unknown.args(["health", "--endpoint", &at]);
    assert_eq!(run(unknown).await.status.code(), Some(69));

    let mut new = berth();
    new.args(["token", "new", "--owner", "later", "--admin"]);
    let new = text(&run(new).await.stdout);
    let (token, entry) = new.split_once("\n\n").unwrap();
    let known = fs::read_to_string(tokens.path()).unwrap();
    fs::write(tokens.path(), known + entry).unwrap();
    fs::write(&token_file, token).unwrap();
    until("the new token is taken", async || {
        let mut top = command(&["top", "--once", "--token-file"]);
        top.arg(&token_file);
        run(top).await.status.success()
    })
    .await;
    until("no lease is left", async || {
        let mut admin = AdminServiceClient::new(
            pki.channel(broker.server.addresses().grpc, None)
                .await
                .unwrap(),
        );
        let status = admin
            .get_status(with(GetStatusRequest {}, &bearer(token)))
            .await;
        status
            .unwrap()
            .into_inner()
            .status
            .unwrap()
            .leases
            .is_empty()
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_keys_are_in_nothing_that_is_shown() {
    let (ground, pki, tokens) = (Ground::new(), Pki::new(), Tokens::new());
    let tokens_path = tokens.path();
    let files = ["cert.pem", "key.pem"].map(|name| pki.path(name).to_str().unwrap().to_owned());
    let mut command = serve(
        ground.path(),
        &[
            "--log-level",
            "trace",
            "--tls-cert",
            &files[0],
            "--tls-key",
            &files[1],
        ],
    );
    command.arg("--auth-tokens").arg(&tokens_path);
    let service = Service::cold(command).await;
    let at: SocketAddr = service
        .grpc
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap();
    let channel = pki.channel(at, None).await.unwrap();
    let (wrong, _) = new_token("nobody", false).unwrap();
    list(&channel, &bearer(&tokens.user)).await.unwrap();
    list(&channel, &bearer(&wrong)).await.unwrap_err();
    let answer = list(&channel, &bearer(&wrong)).await.unwrap_err();
    fs::write(&tokens_path, format!("token = \"{wrong}\"")).unwrap();
    let ops = service.ops.parse().unwrap();
    until("the broken file is noticed", async || {
        let metrics = pki.metrics(ops).await;
        metrics.contains("berth_auth_reloads_total{result=\"failed\"} 1")
    })
    .await;
    let command_line = fs::read(format!("/proc/{}/cmdline", service.pid())).unwrap();
    let metrics = pki.metrics(ops).await;
    assert!(
        metrics.contains("berth_auth_total{outcome=\"unknown\"} 2"),
        "{metrics}"
    );
    drop(channel);
    service.signal(nix::sys::signal::Signal::SIGTERM);
    let (code, log) = service.ended().await;
    assert_eq!(code, Some(0));
    let shown = format!("{log:?}{}{metrics}{answer:?}", text(&command_line));
    for event in ["auth.refused", "auth.reload_failed", "rpc.ended"] {
        assert!(shown.contains(event), "{event} is in the log");
    }
    let key = fs::read_to_string(&files[1]).unwrap();
    let key = key.lines().nth(1).unwrap();
    for secret in [&tokens.user, &wrong, key] {
        assert!(!shown.contains(secret), "a secret is shown");
    }
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_port_is_refused_at_the_start() {
    let ground = Ground::new();
    let mut command = berth();
    command
        .args(["serve", "--listen", "0.0.0.0:0", "--run-dir"])
        .arg(ground.path());
    let refused = run(command).await;
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(64), "{said}");
    assert!(
        said.contains("listen (--listen): others reach 0.0.0.0:0"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_with_tls_and_call_credentials_is_known() {
    let (pki, tokens) = (Pki::new(), Tokens::new());
    let broker = Broker::with(|config| {
        pki.set(config);
        config.auth.tokens = Some(tokens.path());
    })
    .await;
    let at = broker.server.addresses().grpc.to_string();
    let python = |token: &str| {
        let mut command = Command::new(installed("target/clients/python/bin/python"));
        command
            .arg(installed("tests/clients/python/secure.py"))
            .arg(&at)
            .arg(pki.path("ca.pem"))
            .env("BERTH_TOKEN", token)
            .kill_on_drop(true);
        command
    };
    let known = run(python(&tokens.user)).await;
    let said = text(&known.stdout);
    assert_eq!(said, "SERVING\nci\n", "{}", text(&known.stderr));
    let unknown = run(python("wrong")).await;
    let said = text(&unknown.stdout);
    assert_eq!(
        said,
        "SERVING\nUNAUTHENTICATED AUTH_REQUIRED\n",
        "{}",
        text(&unknown.stderr)
    );
    broker.stop().await;
}
