//! Bodies in every coding, well and not.

use async_compression::{
    Level,
    tokio::bufread::{BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder},
};
use berth::fetch::{Config, Error, Format, Request, Strategy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    rig::{Rig, request, secs},
    wire::{self, head},
};

async fn coded(coding: &str, plain: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let level = Level::Fastest;
    match coding {
        "gzip" => {
            GzipEncoder::with_quality(plain, level)
                .read_to_end(&mut bytes)
                .await
        }
        "br" => {
            BrotliEncoder::with_quality(plain, level)
                .read_to_end(&mut bytes)
                .await
        }
        "zstd" => {
            ZstdEncoder::with_quality(plain, level)
                .read_to_end(&mut bytes)
                .await
        }
        "deflate" => {
            ZlibEncoder::with_quality(plain, level)
                .read_to_end(&mut bytes)
                .await
        }
        "raw" => {
            DeflateEncoder::with_quality(plain, level)
                .read_to_end(&mut bytes)
                .await
        }
        _ => unreachable!(),
    }
    .unwrap();
    bytes
}

/// A fetch of a body that says it is in `codings`.
async fn fetch(codings: &str, body: Vec<u8>, limit: u64) -> Request {
    let start = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-encoding: {codings}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let answer = [start.into_bytes(), body].concat();
    let (addr, _) = wire::origin(move |mut stream, _| {
        let answer = answer.clone();
        async move {
            while head(&mut stream).await.is_some() {
                let _ = stream.write_all(&answer).await;
            }
        }
    })
    .await;
    let url = format!("http://{addr}/");
    let mut request = request(&url, Strategy::Http, &[Format::Text, Format::Raw]);
    request.max_bytes = limit;
    request
}

#[tokio::test]
async fn every_coding_is_undone() {
    let rig = Rig::http(Config::default());
    let plain = "line of text that repeats itself\n".repeat(5000);
    for (name, way) in [
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("br", "br"),
        ("zstd", "zstd"),
        ("deflate", "deflate"),
        ("Deflate", "raw"),
        ("identity", ""),
        ("gzip, br", "gzip br"),
        ("deflate, gzip, zstd", "raw gzip zstd"),
    ] {
        let mut body = plain.clone().into_bytes();
        for coding in way.split_whitespace() {
            body = coded(coding, &body).await;
        }
        let request = fetch(name, body, 1 << 20).await;
        let got = rig.fetcher.fetch(request, secs(5)).await;
        let got = got.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(got.raw.as_deref(), Some(plain.as_bytes()), "{name}");
        let told = |name| got.headers.iter().any(|(told, _)| told == name);
        assert_eq!(told("content-encoding"), name == "identity");
    }
    // Two members one after the other are one body.
    let twice = [coded("gzip", b"one ").await, coded("gzip", b"two").await].concat();
    let got = rig
        .fetcher
        .fetch(fetch("gzip", twice, 99).await, secs(5))
        .await;
    assert_eq!(got.unwrap().text.as_deref(), Some("one two"));
    let got = rig
        .fetcher
        .fetch(fetch("br", vec![], 99).await, secs(5))
        .await;
    assert_eq!(got.unwrap().raw.as_deref(), Some(&b""[..]));
    rig.kept(11).await;
    rig.end().await;
}

#[tokio::test]
async fn bombs_stop_at_the_limit() {
    const LIMIT: u64 = 1 << 20;
    let rig = Rig::http(Config::default());
    let flood = vec![b'x'; 64 << 20];
    for way in ["gzip", "br", "zstd", "deflate", "gzip gzip", "br zstd"] {
        let mut body = flood.clone();
        for coding in way.split_whitespace() {
            body = coded(coding, &body).await;
        }
        assert!(body.len() < 1 << 20, "{way}: it is no bomb");
        let request = fetch(&way.replace(' ', ", "), body, LIMIT).await;
        let got = rig.fetcher.fetch(request, secs(5)).await;
        assert!(
            matches!(got, Err(Error::TooLarge { limit: LIMIT })),
            "{way}: {got:?}"
        );
    }
    let load = rig.fetcher.load();
    assert_eq!((load.active, load.connections.active), (0, 0));
    rig.end().await;
}

#[tokio::test]
async fn broken_codings_are_told() {
    let rig = Rig::http(Config::default());
    let whole = coded("gzip", &b"some text ".repeat(100)).await;
    let cut = whole[..whole.len() / 2].to_vec();
    for (name, body) in [
        ("gzip", cut),
        ("gzip", b"not at all".to_vec()),
        ("zstd", whole.clone()),
        ("br", b"\xff\xff\xff\xff\xff".to_vec()),
        ("deflate", vec![0x78]),
        ("gzip,gzip,gzip,gzip,gzip", whole.clone()),
    ] {
        let got = rig
            .fetcher
            .fetch(fetch(name, body, 1 << 20).await, secs(5))
            .await;
        assert!(matches!(got, Err(Error::Protocol(_))), "{name}: {got:?}");
    }
    let got = rig
        .fetcher
        .fetch(fetch("rot13", b"grkg".to_vec(), 99).await, secs(5))
        .await;
    let got = got.unwrap();
    assert_eq!(got.raw.as_deref(), Some(&b"grkg"[..]));
    assert_eq!(got.text, None);
    assert!(got.warnings.iter().any(|one| one.code == "unknown_coding"));
    rig.end().await;
}
