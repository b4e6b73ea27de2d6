//! The hostile origin's sockets: plain, and behind TLS in several bad ways.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, date_time_ymd};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};
use tokio_util::sync::CancellationToken;

use crate::{answers, pages};

/// The origin, up until dropped.
pub struct Origin {
    pub plain: SocketAddr,
    pub self_signed: SocketAddr,
    pub expired: SocketAddr,
    /// Speaks HTTP/2, with a certificate of [`Origin::authority`].
    pub h2: SocketAddr,
    /// Whom to trust, as PEM.
    pub authority: String,
    stop: CancellationToken,
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Origin {
    pub async fn start() -> Self {
        for coding in answers::CODINGS {
            answers::bomb(coding);
        }
        let stop = CancellationToken::new();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, key).unwrap();
        let certificate = |expired: bool, signed: bool| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
            if expired {
                params.not_before = date_time_ymd(2020, 1, 1);
                params.not_after = date_time_ymd(2021, 1, 1);
            }
            let certificate = if signed {
                params.signed_by(&key, &authority).unwrap()
            } else {
                params.self_signed(&key).unwrap()
            };
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
            let config = ServerConfig::builder().with_no_client_auth();
            config
                .with_single_cert(vec![certificate.der().clone()], key)
                .unwrap()
        };
        let mut h2 = certificate(false, true);
        h2.alpn_protocols = vec![b"h2".to_vec()];
        let tls = async |config: ServerConfig, two: bool| {
            let acceptor = TlsAcceptor::from(Arc::new(config));
            listen(&stop, move |stream| {
                let acceptor = acceptor.clone();
                async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return Ok(());
                    };
                    if two {
                        answers::reset_streams(stream).await;
                        return Ok(());
                    }
                    talk(stream).await
                }
            })
            .await
        };
        Self {
            self_signed: tls(certificate(false, false), false).await,
            expired: tls(certificate(true, true), false).await,
            h2: tls(h2, true).await,
            plain: listen(&stop, talk).await,
            authority: authority.pem(),
            stop,
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the test's own task")]
async fn listen<F>(
    stop: &CancellationToken,
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = stop.clone();
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = listener.accept() => {
                    connections.spawn(serve(stream));
                }
                Some(_ended) = connections.join_next() => {}
            }
        }
    }));
    address
}

/// One request, one answer, and no longer than any test lasts.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
        // Somebody who wants TLS is answered in plain words.
        if !head[0].is_ascii_uppercase() {
            return answers::answer("/status/503", &mut stream).await;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
    let path = path.split('?').next().unwrap_or("/");
    let answering = async {
        match pages::page(path) {
            Some(page) => answers::html(&mut stream, page.as_bytes()).await,
            None => answers::answer(path, &mut stream).await,
        }
    };
    // A client that leaves is what is wanted of most.
    let _ = timeout(Duration::from_secs(30), answering).await;
    Ok(())
}
