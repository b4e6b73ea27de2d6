//! Fetches through proxies of every kind.

use std::net::SocketAddr;

use axum::{Router, routing::get};
use berth::fetch::{Config, Error, Format, Proxy, Request, Strategy};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
};

use super::{
    origin::Origin,
    rig::{Rig, request, secs},
    wire::{self, Authority, head, hung_up},
};

/// "me:secret".
const ALLOWED: &str = "proxy-authorization: Basic bWU6c2VjcmV0";

/// A proxy by HTTP that wants to be told who asks, and joins what may pass.
async fn talk_http(mut stream: TcpStream, origin: SocketAddr) {
    while let Some(asked) = head(&mut stream).await {
        if !asked
            .to_ascii_lowercase()
            .contains(&ALLOWED.to_ascii_lowercase())
        {
            let refused = "HTTP/1.1 407 Who?\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(refused.as_bytes()).await.unwrap();
            continue;
        }
        let mut other = TcpStream::connect(origin).await.unwrap();
        if asked.starts_with("CONNECT ") {
            stream
                .write_all(b"HTTP/1.1 200 Joined\r\n\r\n")
                .await
                .unwrap();
        } else {
            assert!(asked.starts_with("GET http://origin.test/"), "{asked}");
            let plain = "GET /article HTTP/1.1\r\nhost: x\r\n\r\n";
            other.write_all(plain.as_bytes()).await.unwrap();
        }
        let _ = copy_bidirectional(&mut stream, &mut other).await;
        return;
    }
}

/// A proxy by SOCKS5 (RFC 1928, RFC 1929).
async fn talk_socks(mut stream: TcpStream, origin: SocketAddr) {
    let mut start = [0; 2];
    stream.read_exact(&mut start).await.unwrap();
    let mut methods = vec![0; start[1].into()];
    stream.read_exact(&mut methods).await.unwrap();
    if !methods.contains(&2) {
        stream.write_all(&[5, 0xff]).await.unwrap();
        return hung_up(&mut stream).await;
    }
    stream.write_all(&[5, 2]).await.unwrap();
    let mut said = [0; 11];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"\x01\x02me\x06secret");
    stream.write_all(&[1, 0]).await.unwrap();
    let mut asked = [0; 5];
    stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(asked[3], 3, "the name is the proxy's to resolve");
    let mut rest = vec![0; usize::from(asked[4]) + 2];
    stream.read_exact(&mut rest).await.unwrap();
    assert!(rest.starts_with(b"origin.test"));
    stream
        .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    let mut other = TcpStream::connect(origin).await.unwrap();
    let _ = copy_bidirectional(&mut stream, &mut other).await;
}

fn through(url: &str, proxy: &str) -> Request {
    let mut request = request(url, Strategy::Http, &[Format::Text]);
    request.proxy = Some(Proxy::parse(proxy).unwrap());
    request
}

#[tokio::test]
async fn a_request_goes_through_its_proxy() {
    let origin = Origin::start().await;
    let addr = origin.addr;
    let (http, seen) = wire::origin(move |stream, _| talk_http(stream, addr)).await;
    let (socks, _) = wire::origin(move |stream, _| talk_socks(stream, addr)).await;
    let rig = Rig::http(Config::default());
    for proxy in [
        format!("http://me:secret@{http}"),
        format!("socks5://me:secret@{socks}"),
    ] {
        for _ in 0..2 {
            let fetch = through("http://origin.test/article", &proxy);
            let got = rig.fetcher.fetch(fetch, secs(5)).await;
            let got = got.unwrap_or_else(|error| panic!("{proxy}: {error:?}"));
            assert!(got.text.unwrap().starts_with("Head"), "{proxy}");
        }
    }
    assert!(seen.accepted() <= 2);
    let got = rig.fetcher.fetch(
        through("http://origin.test/", &format!("http://{http}")),
        secs(5),
    );
    assert_eq!(
        got.await.unwrap().status,
        407,
        "the proxy's own answer to a plain request"
    );
    let refused = through("http://origin.test/", &format!("socks5://{socks}"));
    let got = rig.fetcher.fetch(refused, secs(5)).await;
    assert!(matches!(got, Err(Error::Protocol(_))), "{got:?}");
    let nobody = through("http://origin.test/", "http://127.0.0.1:1");
    let got = rig.fetcher.fetch(nobody, secs(5)).await;
    assert!(matches!(got, Err(Error::Refused(_))), "{got:?}");
    rig.end().await;
}

#[tokio::test]
async fn a_secured_request_goes_through_a_tunnel() {
    let authority = Authority::new();
    let router = Router::new().route("/", get(async || "well"));
    let (addr, _) = authority.serve(router).await;
    let (proxy, _) = wire::origin(move |stream, _| talk_http(stream, addr)).await;
    let rig = Rig::http(Config {
        extra_roots: Some(authority.file.path().to_owned()),
        ..Config::default()
    });
    let url = format!("https://localhost:{}/", addr.port());
    let got = rig
        .fetcher
        .fetch(through(&url, &format!("http://me:secret@{proxy}")), secs(5));
    let got = got.await.unwrap();
    assert_eq!(got.text.as_deref(), Some("well"));
    assert_eq!(
        got.protocol.as_deref(),
        Some("HTTP/2"),
        "chosen with the origin, not the proxy"
    );
    let got = rig
        .fetcher
        .fetch(through(&url, &format!("http://me:wrong@{proxy}")), secs(5))
        .await;
    let Err(Error::Protocol(why)) = got else {
        panic!("{got:?}");
    };
    assert!(why.contains("proxy") && !why.contains("wrong"), "{why}");
    rig.end().await;
}
