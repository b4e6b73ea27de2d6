//! A small origin with every kind of answer, good and bad.

use std::{io::Write, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Path,
    http::{HeaderMap, Method, StatusCode, header},
    response::{Html, IntoResponse, Redirect},
    routing::{any, get},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

pub struct Origin {
    pub addr: SocketAddr,
}

impl Origin {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes()).await });
        Self { addr }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }
}

pub fn article() -> String {
    let words = "Plain words that a reader sees without any script. ".repeat(10);
    format!(
        "<!doctype html><title>The article</title><h1>Head</h1><p>{words}</p>\
         <script>document.title = 'scripted'</script>"
    )
}

const SHELL: &str = "<!doctype html><title>shell</title><div id=root></div><script>\
    document.getElementById('root').innerHTML = '<p>Rendered by script</p>';\
    document.title = 'rendered'</script>";

fn typed(content_type: &'static str, body: impl Into<Body>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, content_type)], body.into())
}

fn bomb() -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        gzip.write_all(&[b'x'; 1 << 20]).unwrap();
    }
    gzip.finish().unwrap()
}

async fn echo(method: Method, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let body = String::from_utf8_lossy(&body).into_owned();
    format!("{method}\n{}\n\n{body}", lines.join("\n"))
}

async fn hop(Path(n): Path<u32>) -> Redirect {
    match n {
        0 => Redirect::to("/article"),
        n => Redirect::to(&format!("/hop/{}", n - 1)),
    }
}

async fn forever() -> &'static str {
    tokio::time::sleep(Duration::from_secs(600)).await;
    "late"
}

fn slow_body() -> Body {
    Body::from_stream(futures::stream::unfold(0, |n| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Some((Ok::<_, std::io::Error>("<p>drop</p>"), n + 1))
    }))
}

fn routes() -> Router {
    let page = |html: &'static str| get(move || async move { Html(html) });
    Router::new()
        .route("/article", get(|| async { Html(article()) }))
        .route(
            "/json",
            get(|| async { typed("application/json", "{\"a\":1}") }),
        )
        .route("/shell", page(SHELL))
        .route(
            "/404",
            get(|| async { (StatusCode::NOT_FOUND, Html("<p>not here</p>")) }),
        )
        .route(
            "/500",
            get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, Html("<p>broken</p>")) }),
        )
        .route("/empty404", get(|| async { StatusCode::NOT_FOUND }))
        .route("/204", get(|| async { StatusCode::NO_CONTENT }))
        .route("/hop/{n}", get(hop))
        .route("/loop", get(|| async { Redirect::to("/loop") }))
        .route(
            "/to-file",
            get(|| async { Redirect::to("file:///etc/passwd") }),
        )
        .route(
            "/bomb",
            get(|| async {
                let headers = [
                    (header::CONTENT_ENCODING, "gzip"),
                    (header::CONTENT_TYPE, "text/html"),
                ];
                (headers, bomb())
            }),
        )
        .route("/big", get(|| async { Html("<p>big</p>".repeat(200_000)) }))
        .route(
            "/latin",
            get(|| async {
                typed(
                    "text/html; charset=windows-1252",
                    &b"<p>gr\xfcn \x80</p>"[..],
                )
            }),
        )
        .route(
            "/sjis",
            get(|| async {
                typed(
                    "text/html",
                    &b"<meta charset=Shift_JIS><p>\x93\xfa\x96\x7b</p>"[..],
                )
            }),
        )
        .route("/hang", get(forever))
        .route("/slow", get(|| async { typed("text/html", slow_body()) }))
        .route(
            "/alert",
            page("<script>alert(1);document.write('after')</script>"),
        )
        .route(
            "/unload",
            page("<script>onbeforeunload=e=>e.preventDefault()</script><p>stay"),
        )
        .route("/spin", page("<p>before</p><script>for(;;){}</script>"))
        .route(
            "/spin-later",
            page("<p>x</p><script>onload=()=>setTimeout(()=>{for(;;){}},0)</script>"),
        )
        .route("/leaves", page("<script>location.href='/article'</script>"))
        .route(
            "/leaves-late",
            page("<script>onload=()=>{location.href='/article'}</script><p>first"),
        )
        .route(
            "/refresh",
            page("<meta http-equiv=refresh content='0;url=/article'><p>first"),
        )
        .route(
            "/reloads",
            page("<script>onload=()=>location.reload()</script><p>again"),
        )
        .route(
            "/hash",
            page("<script>onload=()=>{location.hash='x'}</script><p>here"),
        )
        .route(
            "/leave-to-204",
            page("<script>onload=()=>{location.href='/204'}</script><p>stayed"),
        )
        .route(
            "/popup",
            page("<script>open('/article');open('/shell')</script><p>opener"),
        )
        .route(
            "/closes",
            page("<script>onload=()=>close()</script><p>gone"),
        )
        .route(
            "/download",
            get(|| async { typed("application/octet-stream", "bytes") }),
        )
        .route("/paper", get(|| async { Html(paper()) }))
        .route(
            "/news",
            get(|| async { typed("application/rss+xml", NEWS) }),
        )
        .route(
            "/picture",
            get(|| async { typed("image/png", &b"\x89PNG\r\n\x1a\n"[..]) }),
        )
        .route("/deep", get(|| async { Html("<div>".repeat(100_000)) }))
        .route("/wide", get(|| async { Html("<i>x</i>".repeat(250_000)) }))
        .route("/echo", any(echo))
        .route("/post-redirect", any(|| async { Redirect::to("/echo") }))
}

fn paper() -> String {
    let words =
        "A lease is the right to use a thing until a deadline, and no longer than that. ".repeat(6);
    format!(
        "<!doctype html><html lang=en><head><title>On lending</title>\
         <meta name=description content='How to lend'><meta name=author content='A. Lender'></head>\
         <body><nav><a href=/>Home</a> <a href=/about>About</a></nav>\
         <article><h1>On lending</h1><p>{words}</p><h2>Why deadlines</h2>\
         <p>{words}See <a rel=nofollow href=/terms>the terms</a>.</p>\
         <pre><code class=language-rust>let lease = acquire().await;</code></pre><p>{words}</p>\
         </article><div id=cookie-banner>We use cookies. <button>Accept</button></div></body></html>"
    )
}

const NEWS: &str = "<?xml version='1.0'?><rss version='2.0'><channel><title>News</title>\
    <link>http://news.test/</link><description>All</description><item><title>First news</title>\
    <link>http://news.test/1</link></item></channel></rss>";

/// A server that says whatever `answer` is to each connection, then closes it.
pub async fn raw(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer).await;
        }
    });
    addr
}

/// An address where nobody listens.
pub async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
