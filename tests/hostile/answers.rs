//! Answers that are wrong, slow, endless or too large, byte by byte.

use std::{collections::BTreeMap, io, io::Write as _, time::Duration};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::sleep,
};

const TEXT: &str = "text/plain; charset=utf-8";

fn head(status: &str, headers: &[(&str, &str)]) -> String {
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n")
}

async fn full<S: AsyncWrite + Unpin>(
    stream: &mut S,
    status: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<()> {
    let length = body.len().to_string();
    let headers = [headers, &[("Content-Length", &length)]].concat();
    stream.write_all(head(status, &headers).as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}

pub async fn html<S: AsyncWrite + Unpin>(stream: &mut S, body: &[u8]) -> io::Result<()> {
    full(stream, "200 OK", &[("Content-Type", "text/html")], body).await
}

/// The same byte over and over, so many MiB of it.
const BOMB: usize = 64;

/// The bomb in `coding`, made once: to make one takes a while.
pub fn bomb(coding: &'static str) -> &'static [u8] {
    static BOMBS: Mutex<BTreeMap<&str, &[u8]>> = Mutex::new(BTreeMap::new());
    let mut bombs = BOMBS.lock();
    bombs
        .entry(coding)
        .or_insert_with(|| make_bomb(coding).leak())
}

/// The codings that there are bombs in.
pub const CODINGS: [&str; 5] = ["gzip", "deflate", "br", "zstd", "gzip, gzip"];

fn make_bomb(coding: &str) -> Vec<u8> {
    let mebibyte = vec![b'x'; 1 << 20];
    let fill = |writer: &mut dyn io::Write| {
        for _ in 0..BOMB {
            writer.write_all(&mebibyte).unwrap();
        }
    };
    match coding {
        "gzip" => {
            let mut coder = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
            fill(&mut coder);
            coder.finish().unwrap()
        }
        "deflate" => {
            let mut coder = flate2::write::ZlibEncoder::new(vec![], flate2::Compression::best());
            fill(&mut coder);
            coder.finish().unwrap()
        }
        "br" => {
            let mut coder = brotli::CompressorWriter::new(vec![], 1 << 16, 5, 22);
            fill(&mut coder);
            coder.into_inner()
        }
        "zstd" => {
            let mut coder = zstd::Encoder::new(vec![], 3).unwrap();
            fill(&mut coder);
            coder.finish().unwrap()
        }
        "gzip, gzip" => {
            let mut outer = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
            outer.write_all(&make_bomb("gzip")).unwrap();
            outer.finish().unwrap()
        }
        other => panic!("no coding {other}"),
    }
}

pub async fn answer<S: AsyncWrite + Unpin>(path: &str, stream: &mut S) -> io::Result<()> {
    let html_type = ("Content-Type", "text/html");
    let text_type = ("Content-Type", TEXT);
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["hang"] => sleep(Duration::MAX).await,
        ["hang-body"] => {
            let start = head("200 OK", &[html_type, ("Content-Length", "1000")]);
            stream.write_all(start.as_bytes()).await?;
            stream.write_all(b"<p>the beginning").await?;
            sleep(Duration::MAX).await;
        }
        ["drip-head"] => loop {
            for byte in "HTTP/1.1 200 OK\r\n"
                .bytes()
                .chain("X: y\r\n".repeat(10_000).bytes())
            {
                stream.write_all(&[byte]).await?;
                sleep(Duration::from_millis(50)).await;
            }
        },
        ["drip-body"] => {
            stream
                .write_all(head("200 OK", &[html_type]).as_bytes())
                .await?;
            loop {
                stream.write_all(b"x").await?;
                sleep(Duration::from_millis(50)).await;
            }
        }
        ["endless"] => {
            stream
                .write_all(head("200 OK", &[html_type]).as_bytes())
                .await?;
            // Fast enough to be too large soon, slow enough that no browser is killed for the memory
            // that the text takes: that is what /memory is for.
            loop {
                stream.write_all(&[b'x'; 1 << 16]).await?;
                sleep(Duration::from_millis(50)).await;
            }
        }
        ["bomb", name] => {
            let named = |coding: &&&str| coding.replace(", ", "-") == *name;
            let coding = CODINGS.iter().find(named).expect("a coding");
            let headers = [html_type, ("Content-Encoding", coding)];
            full(stream, "200 OK", &headers, bomb(coding)).await?;
        }
        ["broken-gzip"] => {
            let coding = ("Content-Encoding", "gzip");
            full(stream, "200 OK", &[html_type, coding], b"this is no gzip").await?;
        }
        ["cut-gzip"] => {
            let body = bomb("gzip");
            let coding = ("Content-Encoding", "gzip");
            let half = &body[..body.len() / 200];
            full(stream, "200 OK", &[html_type, coding], half).await?;
        }
        ["unknown-coding"] => {
            let coding = ("Content-Encoding", "x-rot13");
            full(stream, "200 OK", &[text_type, coding], b"uryyb").await?;
        }
        ["bad-chunk"] => {
            let start = head("200 OK", &[html_type, ("Transfer-Encoding", "chunked")]);
            stream.write_all(start.as_bytes()).await?;
            stream.write_all(b"5\r\nhello\r\nnonsense\r\nworld").await?;
        }
        ["cut-chunk"] => {
            let start = head("200 OK", &[html_type, ("Transfer-Encoding", "chunked")]);
            stream.write_all(start.as_bytes()).await?;
            stream.write_all(b"ff\r\nhello").await?;
        }
        ["short-body"] => {
            let start = head("200 OK", &[html_type, ("Content-Length", "1000")]);
            stream.write_all(start.as_bytes()).await?;
            stream.write_all(b"<p>less than it said").await?;
        }
        ["long-body"] => {
            let start = head("200 OK", &[text_type, ("Content-Length", "5")]);
            stream.write_all(start.as_bytes()).await?;
            stream.write_all(b"hello and more than it said").await?;
        }
        ["two-lengths"] => {
            let lengths = [text_type, ("Content-Length", "5"), ("Content-Length", "7")];
            stream
                .write_all(head("200 OK", &lengths).as_bytes())
                .await?;
            stream.write_all(b"hello!!").await?;
        }
        ["huge-header"] => {
            let value = "x".repeat(2 << 20);
            full(stream, "200 OK", &[text_type, ("X-Huge", &value)], b"ok").await?;
        }
        ["many-headers"] => {
            let names: Vec<_> = (0..10_000).map(|number| format!("X-{number}")).collect();
            let mut headers: Vec<_> = names.iter().map(|name| (name.as_str(), "y")).collect();
            headers.push(text_type);
            full(stream, "200 OK", &headers, b"ok").await?;
        }
        ["redirects", left] => {
            let left: u32 = left.parse().unwrap_or(0);
            let next = format!("/redirects/{}", left.saturating_sub(1));
            full(stream, "302 Found", &[("Location", &next)], b"").await?;
        }
        ["loop"] => full(stream, "302 Found", &[("Location", "/loop")], b"").await?,
        ["to", scheme] => {
            let target = match *scheme {
                "file" => "file:///etc/passwd",
                "javascript" => "javascript:alert(1)",
                "data" => "data:text/html,<p>data",
                "ftp" => "ftp://127.0.0.1/",
                "about" => "about:blank",
                "chrome" => "chrome://version/",
                "view-source" => "view-source:http://127.0.0.1/",
                "blob" => "blob:http://127.0.0.1/x",
                "nonsense" => "http://[::nonsense",
                other => panic!("no target {other}"),
            };
            full(stream, "302 Found", &[("Location", target)], b"").await?;
        }
        ["charset", "invalid"] => {
            let kind = ("Content-Type", "text/html; charset=utf-8");
            let body = b"<title>t</title><p>before \xff\xfe\xc0\x80 after";
            full(stream, "200 OK", &[kind], body).await?;
        }
        ["charset", "mislabelled"] => {
            let kind = ("Content-Type", "text/html; charset=no-such-charset");
            let body = "<meta charset=neither><title>t</title><p>schön".as_bytes();
            full(stream, "200 OK", &[kind], body).await?;
        }
        ["charset", "utf-16"] => {
            let kind = ("Content-Type", "text/html; charset=utf-16le");
            let body: Vec<_> = "<p>wide"
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect();
            // An odd byte at the end.
            full(stream, "200 OK", &[kind], &[&body[..], b"x"].concat()).await?;
        }
        ["nulls"] => full(stream, "200 OK", &[html_type], &[0; 100_000]).await?,
        ["status", "204"] => {
            stream
                .write_all(head("204 No Content", &[]).as_bytes())
                .await?
        }
        ["status", "205"] => {
            let length = ("Content-Length", "0");
            stream
                .write_all(head("205 Reset", &[length]).as_bytes())
                .await?;
        }
        ["status", "304"] => {
            stream
                .write_all(head("304 Not Modified", &[]).as_bytes())
                .await?
        }
        ["status", "401"] => {
            let ask = ("WWW-Authenticate", "Basic realm=\"x\"");
            full(stream, "401 Unauthorized", &[html_type, ask], b"<p>who?").await?;
        }
        ["status", "407"] => {
            let ask = ("Proxy-Authenticate", "Basic realm=\"x\"");
            full(stream, "407 Proxy", &[html_type, ask], b"<p>who?").await?;
        }
        ["status", "429"] => {
            let later = ("Retry-After", "120");
            full(stream, "429 Too Many", &[html_type, later], b"<p>later").await?;
        }
        ["status", "503"] => full(stream, "503 Unavailable", &[html_type], b"<p>no").await?,
        ["status", "999"] => full(stream, "999 What", &[html_type], b"<p>what").await?,
        ["continues"] => loop {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            sleep(Duration::from_millis(1)).await;
        },
        ["garbage"] => {
            stream
                .write_all(&[0x16, 0x03, 0x01, 0xff, 0x00, 0x80])
                .await?;
            stream.write_all(&[0xa5; 4096]).await?;
        }
        ["close"] => {}
        ["empty"] => full(stream, "200 OK", &[html_type], b"").await?,
        ["media"] => {
            let kind = ("Content-Type", "video/mp4");
            full(stream, "200 OK", &[kind], &[7; 100_000]).await?;
        }
        ["pdf"] => {
            let kind = ("Content-Type", "application/pdf");
            full(stream, "200 OK", &[kind], b"%PDF-1.4\n%%EOF\n").await?;
        }
        ["download"] => {
            let save = (
                "Content-Disposition",
                "attachment; filename=\"../../evil.exe\"",
            );
            let kind = ("Content-Type", "application/octet-stream");
            full(stream, "200 OK", &[kind, save], &[1; 10_000]).await?;
        }
        ["image"] => {
            let kind = ("Content-Type", "image/png");
            full(stream, "200 OK", &[kind], &vec![9; 50 << 20]).await?;
        }
        ["deep"] => {
            let body = format!("{}deep", "<div>".repeat(100_000));
            full(stream, "200 OK", &[html_type], body.as_bytes()).await?;
        }
        ["wide"] => {
            let body = "<i>x</i>".repeat(500_000);
            full(stream, "200 OK", &[html_type], body.as_bytes()).await?;
        }
        ["worker.js"] => {
            let kind = ("Content-Type", "text/javascript");
            let body = b"addEventListener('fetch', e => e.respondWith(new Promise(() => {})))";
            full(stream, "200 OK", &[kind], body).await?;
        }
        _ => full(stream, "404 Not Found", &[text_type], b"no such trap").await?,
    }
    Ok(())
}

/// Speaks HTTP/2 and resets every stream: some at once, some in the middle of the body.
pub async fn reset_streams<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        if request.uri().path() == "/reset-body" {
            let response = http::Response::builder().status(200).body(()).unwrap();
            if let Ok(mut body) = respond.send_response(response, false) {
                let _ = body.send_data(bytes::Bytes::from_static(b"some"), false);
                body.send_reset(h2::Reason::INTERNAL_ERROR);
            }
        } else {
            respond.send_reset(h2::Reason::REFUSED_STREAM);
        }
    }
}
