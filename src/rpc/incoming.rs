//! The connections of the gRPC port, counted.
//!
//! One too many waits in the kernel's backlog until another has left. Who connects and says nothing
//! costs its place for a short while only.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tonic::transport::server::Connected;

use crate::accept::{Acceptor, Certificate, Secure, Stream as Socket};

/// How long a client may take to begin to speak HTTP/2.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);
/// The length of HTTP/2's connection preface, in bytes (RFC 9113, section 3.4).
const PREFACE: usize = 24;

/// Who made a connection, as an extension of its requests.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) certificate: Certificate,
}

/// One connection, and its place among those there may be.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Socket,
    peer: SocketAddr,
    /// Bytes of the preface that are still to come, and by when.
    awaited: Option<(usize, Pin<Box<Sleep>>)>,
    _place: OwnedSemaphorePermit,
}

/// The connections of `listener`, of which at most `most` are open at once, with TLS when `secure` has
/// it.
pub(super) fn connections(
    listener: TcpListener,
    secure: Secure,
    most: usize,
) -> impl Stream<Item = io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(most));
    let acceptor = Acceptor::new("grpc", listener, Some(secure));
    stream::unfold((acceptor, places), async |(mut acceptor, places)| {
        // The semaphore is never closed.
        let place = Arc::clone(&places).acquire_owned().await.ok()?;
        let (stream, peer) = acceptor.next().await;
        let connection = Connection {
            stream,
            peer,
            awaited: Some((PREFACE, Box::pin(sleep(PREFACE_TIMEOUT)))),
            _place: place,
        };
        Some((Ok(connection), (acceptor, places)))
    })
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        Peer {
            address: self.peer,
            certificate: self.stream.certificate(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if let Some((left, timer)) = &mut this.awaited {
            if read.is_pending() && timer.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            *left = left.saturating_sub(buffer.filled().len() - before);
            if *left == 0 {
                this.awaited = None;
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
