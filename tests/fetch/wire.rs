//! Origins that are spoken for byte by byte, with what they saw of their connections.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// What an origin saw of its connections.
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<(AtomicU64, AtomicU64)>);

impl Seen {
    pub fn accepted(&self) -> u64 {
        self.0.0.load(Ordering::SeqCst)
    }

    /// Waits until every accepted connection is gone.
    pub async fn all_closed(&self) {
        self.closed(self.accepted()).await;
    }

    /// Waits until so many are gone.
    pub async fn closed(&self, count: u64) {
        for _ in 0..500 {
            if self.0.1.load(Ordering::SeqCst) >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("connections are open: {self:?}");
    }
}

struct Open(Seen);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.1.fetch_add(1, Ordering::SeqCst);
    }
}

/// Serves each connection by `talk`, which has it until it returns.
pub async fn origin<F>(
    talk: impl Fn(TcpStream, u64) -> F + Send + Sync + 'static,
) -> (SocketAddr, Seen)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let seen = Seen::default();
    let all = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let number = all.0.0.fetch_add(1, Ordering::SeqCst);
            let open = Open(all.clone());
            let talking = talk(stream, number);
            tokio::spawn(async move {
                let _open = open;
                talking.await;
            });
        }
    });
    (addr, seen)
}

/// Reads one request's head.
pub async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// Waits until the other side closes.
pub async fn hung_up(stream: &mut TcpStream) {
    let mut rest = [0; 1024];
    while !matches!(stream.read(&mut rest).await, Ok(0) | Err(_)) {}
}

/// An authority of its own, and a certificate of it for this machine.
pub struct Authority {
    pub file: NamedTempFile,
    server: Arc<ServerConfig>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let own = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).unwrap();
        let leaf = params.signed_by(&own, &issuer).unwrap();
        let chain: Vec<CertificateDer<'static>> = vec![leaf.der().clone()];
        let key = PrivateKeyDer::Pkcs8(own.serialize_der().into());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), root.pem()).unwrap();
        Self {
            file,
            server: Arc::new(server),
        }
    }

    /// Serves `router` over TLS, by HTTP/2 where the client wants it.
    pub async fn serve(&self, router: Router) -> (SocketAddr, Seen) {
        let acceptor = TlsAcceptor::from(self.server.clone());
        origin(move |stream, _| {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = TowerToHyperService::new(router);
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        })
        .await
    }
}
