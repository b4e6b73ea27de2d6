//! A proxy that joins everybody with the same address.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A proxy that wants `me:secret`, by SOCKS5 or HTTP as it is spoken to, and joins whoever asks with
/// `to`. It counts those it joined.
pub struct Through {
    pub address: SocketAddr,
    joined: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Through {
    #[allow(clippy::disallowed_methods, reason = "the test's own tasks")]
    pub async fn to(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let joined = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&joined);
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let count = Arc::clone(&count);
                tokio::spawn(async move {
                    let mut first = [0];
                    let asked = match stream.peek(&mut first).await {
                        Ok(1) if first == [5] => socks(&mut stream).await,
                        _ => http(&mut stream).await,
                    };
                    let Some(said) = asked else { return };
                    count.fetch_add(1, Ordering::Relaxed);
                    let mut far = TcpStream::connect(to).await.unwrap();
                    far.write_all(&said).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut far).await;
                });
            }
        });
        Self {
            address,
            joined,
            serving,
        }
    }

    pub fn joined(&self) -> usize {
        self.joined.load(Ordering::Relaxed)
    }
}

impl Drop for Through {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// RFC 1928 and RFC 1929.
async fn socks(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut start = [0; 2];
    stream.read_exact(&mut start).await.ok()?;
    let mut methods = vec![0; start[1].into()];
    stream.read_exact(&mut methods).await.ok()?;
    stream
        .write_all(&[5, if methods.contains(&2) { 2 } else { 0xff }])
        .await
        .ok()?;
    let mut who = [0; 11];
    stream.read_exact(&mut who).await.ok()?;
    assert_eq!(&who, b"\x01\x02me\x06secret");
    stream.write_all(&[1, 0]).await.ok()?;
    let mut asked = [0; 5];
    stream.read_exact(&mut asked).await.ok()?;
    // A name is the proxy's to look up; an address has four bytes.
    let host = match asked[3] {
        1 => 3,
        3 => usize::from(asked[4]),
        other => panic!("an address of type {other}"),
    };
    let mut rest = vec![0; host + 2];
    stream.read_exact(&mut rest).await.ok()?;
    stream
        .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        .await
        .ok()?;
    Some(Vec::new())
}

/// `CONNECT`, and plain requests.
async fn http(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(head).unwrap();
    if !text
        .to_ascii_lowercase()
        .contains("proxy-authorization: basic bwu6c2vjcmv0")
    {
        let who =
            b"HTTP/1.1 407 Who\r\ncontent-length: 0\r\nproxy-authenticate: Basic realm=x\r\n\r\n";
        stream.write_all(who).await.ok()?;
        return None;
    }
    if text.starts_with("CONNECT ") {
        stream
            .write_all(b"HTTP/1.1 200 Joined\r\n\r\n")
            .await
            .ok()?;
        return Some(Vec::new());
    }
    assert!(text.starts_with("GET http://"), "{text}");
    Some(b"GET /blank HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec())
}
