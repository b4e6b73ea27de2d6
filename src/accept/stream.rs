//! A connection as a port sees it: plain, or within TLS.
//!
//! The handshake is part of the first read or write, in the connection's own task: whoever is slow with
//! it keeps nobody waiting but itself, and not for long.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};
use tokio_rustls::{Accept, TlsAcceptor, server::TlsStream};

use crate::auth::tls::Names;

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The names in the certificate that the other side showed: none before the handshake is over, and none
/// when it showed none.
#[derive(Clone, Debug, Default)]
pub struct Certificate(Arc<OnceLock<Names>>);

impl Certificate {
    /// The names, when there are any.
    #[must_use]
    pub fn names(&self) -> Option<&Names> {
        self.0.get()
    }
}

/// A connection that came in.
pub struct Stream {
    inner: Inner,
    certificate: Certificate,
}

enum Inner {
    Plain(TcpStream),
    Shaking(Box<Accept<TcpStream>>, Pin<Box<Sleep>>),
    Secure(Box<TlsStream<TcpStream>>),
    Failed,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.inner {
            Inner::Plain(_) => "plain",
            Inner::Shaking(..) => "shaking",
            Inner::Secure(_) => "secure",
            Inner::Failed => "failed",
        };
        f.debug_tuple("Stream").field(&kind).finish()
    }
}

impl Stream {
    /// Without TLS.
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self {
            inner: Inner::Plain(stream),
            certificate: Certificate::default(),
        }
    }

    /// With TLS, as `config` has it.
    pub(super) fn secure(stream: TcpStream, config: Arc<ServerConfig>) -> Self {
        let accept = TlsAcceptor::from(config).accept(stream);
        Self {
            inner: Inner::Shaking(Box::new(accept), Box::pin(sleep(HANDSHAKE_TIMEOUT))),
            certificate: Certificate::default(),
        }
    }

    /// What the other side shows, once it has.
    #[must_use]
    pub fn certificate(&self) -> Certificate {
        self.certificate.clone()
    }

    /// The socket itself.
    ///
    /// # Errors
    /// The stream as it was, when it has TLS.
    pub fn into_plain(self) -> Result<TcpStream, Self> {
        match self.inner {
            Inner::Plain(stream) => Ok(stream),
            inner => Err(Self {
                inner,
                certificate: self.certificate,
            }),
        }
    }

    /// What is read and written, once there is a handshake if there must be.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Pin<&mut dyn Duplex>>> {
        if let Inner::Shaking(accept, timer) = &mut self.inner {
            let shaken = match Pin::new(accept).poll(context) {
                Poll::Ready(shaken) => shaken,
                Poll::Pending => {
                    ready!(timer.as_mut().poll(context));
                    Err(io::ErrorKind::TimedOut.into())
                }
            };
            match shaken {
                Ok(stream) => {
                    let shown = stream.get_ref().1.peer_certificates();
                    if let Some(first) = shown.and_then(<[_]>::first) {
                        // Only one handshake ends.
                        let _ = self.certificate.0.set(Names::of(first));
                    }
                    self.inner = Inner::Secure(Box::new(stream));
                }
                Err(error) => {
                    self.inner = Inner::Failed;
                    tracing::debug!(%error, "a TLS handshake failed");
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(match &mut self.inner {
            Inner::Plain(stream) => Ok(Pin::new(stream)),
            Inner::Secure(stream) => Ok(Pin::new(stream.as_mut())),
            Inner::Shaking(..) | Inner::Failed => Err(io::ErrorKind::NotConnected.into()),
        })
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.get_mut().poll_ready(context))?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().poll_ready(context))?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().poll_ready(context))?.poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.inner {
            Inner::Plain(stream) => stream.is_write_vectored(),
            // What rustls does, before there is a stream to ask.
            _ => true,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &this.inner {
            // There is nothing to flush, and who flushes does not wait for a client to speak.
            Inner::Shaking(..) => Poll::Ready(Ok(())),
            _ => ready!(this.poll_ready(context))?.poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &this.inner {
            Inner::Shaking(..) | Inner::Failed => Poll::Ready(Ok(())),
            _ => ready!(this.poll_ready(context))?.poll_shutdown(context),
        }
    }
}
