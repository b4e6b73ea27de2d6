//! A proxy that joins everybody with the same address.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A proxy that wants `me:secret`, by SOCKS5 or HTTP as it is spoken to, and joins whoever asks with
/// `to`. It notes where those it joined wanted to go.
pub struct Through {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Through {
    #[allow(clippy::disallowed_methods, reason = "the test's own tasks")]
    pub async fn to(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let notes = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let notes = Arc::clone(&notes);
                tokio::spawn(async move {
                    let mut first = [0];
                    let heard = match stream.peek(&mut first).await {
                        Ok(1) if first == [5] => socks(&mut stream).await,
                        _ => http(&mut stream).await,
                    };
                    let Some((target, said)) = heard else {
                        return;
                    };
                    notes.lock().push(target);
                    let mut far = TcpStream::connect(to).await.unwrap();
                    far.write_all(&said).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut far).await;
                });
            }
        });
        Self {
            address,
            asked,
            serving,
        }
    }

    pub fn joined(&self) -> usize {
        self.asked.lock().len()
    }

    /// Where those it joined wanted to go.
    pub fn asked(&self) -> BTreeSet<String> {
        self.asked.lock().iter().cloned().collect()
    }
}

impl Drop for Through {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// RFC 1928 and RFC 1929.
async fn socks(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
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
    let known = &who == b"\x01\x02me\x06secret";
    stream.write_all(&[1, (!known).into()]).await.ok()?;
    if !known {
        return None;
    }
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
    let port = u16::from_be_bytes([rest[host], rest[host + 1]]);
    let host = match asked[3] {
        1 => Ipv4Addr::new(asked[4], rest[0], rest[1], rest[2]).to_string(),
        _ => String::from_utf8(rest[..host].to_vec()).unwrap(),
    };
    stream
        .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        .await
        .ok()?;
    Some((format!("{host}:{port}"), Vec::new()))
}

/// `CONNECT`, and plain requests.
async fn http(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
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
    let asked: http::Uri = text.split(' ').nth(1)?.parse().unwrap();
    let (host, port) = (asked.host().unwrap(), asked.port_u16().unwrap_or(80));
    let target = format!("{host}:{port}");
    if text.starts_with("CONNECT ") {
        stream
            .write_all(b"HTTP/1.1 200 Joined\r\n\r\n")
            .await
            .ok()?;
        return Some((target, Vec::new()));
    }
    assert!(text.starts_with("GET http://"), "{text}");
    let plain = b"GET /blank HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    Some((target, plain.to_vec()))
}
