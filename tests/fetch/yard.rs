//! An origin whose pages ask much of a browser, with a list of what was asked of it.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

#[derive(Clone, Default)]
pub struct Yard {
    pub port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    visits: Arc<AtomicUsize>,
}

impl Yard {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let yard = Self {
            port,
            ..Self::default()
        };
        let routes = Router::new().fallback(answer).with_state(yard.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        yard
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The paths that were asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }

    /// Waits until `path` was asked for.
    pub async fn asked_for(&self, path: &str) {
        for _ in 0..1000 {
            if self.asked().iter().any(|one| one == path) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{path} was not asked for: {:?}", self.asked());
    }
}

async fn answer(State(yard): State<Yard>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    yard.asked.lock().push(path.clone());
    let language = request.headers().get(header::ACCEPT_LANGUAGE);
    let language = language.map_or("", |one| one.to_str().unwrap());
    let cookie = request.headers().get(header::COOKIE);
    let cookie = cookie.map_or("", |one| one.to_str().unwrap());
    let html = match path.as_str() {
        "/late" => LATE.to_owned(),
        "/leaves-late" => {
            "<p>first<script>setTimeout(()=>location='/late',300)</script>".to_owned()
        }
        "/busy" => BUSY.to_owned(),
        "/never-idle" => "<script>setInterval(()=>fetch('/x'),100)</script><p>busy".to_owned(),
        "/framed" => format!(
            "<iframe src='http://localhost:{}/busy'></iframe><p>outer",
            yard.port
        ),
        "/stream-page" => "<script>new EventSource('/stream')</script><p>streams".to_owned(),
        "/stream" => return stream("text/event-stream"),
        "/who" => format!("<pre id=sent>{language}|{cookie}</pre>{WHO}"),
        "/heavy" => HEAVY.to_owned(),
        "/style.css" => {
            return typed(
                "text/css",
                "@font-face{font-family:f;src:url(/f.woff)}p{font-family:f}",
            );
        }
        "/1.png" | "/ads/2.png" => return typed("image/png", "no picture"),
        "/f.woff" => return typed("font/woff", "no font"),
        "/s.js" => return typed("text/javascript", "document.title='scripted'"),
        "/tall" => "<body style='margin:0'><div id=box style='width:50px;height:40px;margin:30px;\
             background:red'></div><div style='height:20000px;width:10px'></div>\
             <p id=hidden hidden>x"
            .to_owned(),
        "/alerts" => "<script>for(;;)alert(1)</script><p>after".to_owned(),
        "/alerts-late" => "<p>after<script>setInterval(()=>alert(1),0)</script>".to_owned(),
        "/windows" => "<script>for(;;)open('about:blank')</script><p>after".to_owned(),
        "/window" => "<script>opened=open('/late')</script><p>one".to_owned(),
        "/crashes-once" if yard.visits.fetch_add(1, Ordering::Relaxed) == 0 => {
            "<img src=/hang><p>first".to_owned()
        }
        "/crashes-once" => "<p>second".to_owned(),
        "/hang" => std::future::pending().await,
        "/x" => String::new(),
        "/saved" => {
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (
                    header::CONTENT_DISPOSITION,
                    "attachment; filename=\"../a b.bin\"",
                ),
            ];
            return (headers, vec![7_u8; 100_000]).into_response();
        }
        "/saved-for-ever" => return stream("application/octet-stream"),
        "/saves" => "<p>page<script>onload=()=>location='/saved'</script>".to_owned(),
        "/big" => format!("<p>{}", "<b>big</b> ".repeat(20_000)),
        "/many-pages" => "<p style='break-after:page'>1<p>2".to_owned(),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    typed("text/html", html)
}

const LATE: &str = "<p>early<script>setTimeout(()=>{\
    document.body.insertAdjacentHTML('beforeend','<b id=late>late</b>');ready=true},700)</script>";

/// Asks for one thing after the other for a while, beginning after it is loaded.
const BUSY: &str = "<p id=n>0<script>onload=async()=>{for(let i=1;i<6;i++){\
    await fetch('/x');await new Promise(r=>setTimeout(r,200));n.textContent=i}}</script>\
    <img src='data:image/gif;base64,x'>";

const WHO: &str = "<pre id=is></pre><script>const like=q=>+matchMedia(q).matches;\
    document.getElementById('is').textContent=[navigator.languages,(1234.5).toLocaleString(),\
    Intl.DateTimeFormat().resolvedOptions().timeZone,like('print'),\
    like('(prefers-color-scheme: dark)'),like('(prefers-reduced-motion: reduce)'),\
    document.cookie,innerWidth].join('|')</script>";

const HEAVY: &str = "<link rel=stylesheet href=/style.css><img src=/1.png><img src=/ads/2.png>\
    <script src=/s.js></script><p>text";

fn typed(kind: &'static str, body: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, kind)], body.into()).into_response()
}

fn stream(kind: &'static str) -> Response {
    let body = futures::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Some((Ok::<_, Infallible>(vec![b'x'; 4096]), ()))
    });
    typed(kind, Body::from_stream(body))
}

/// A proxy that answers itself, but only who says `me:secret`. The second counts whom it sent away.
pub async fn proxy() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let refused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refused);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut request = vec![0; 8192];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let said = String::from_utf8_lossy(&request[..read]).into_owned();
                let line = said.lines().next().unwrap_or_default().to_owned();
                let known = said.contains("Basic bWU6c2VjcmV0");
                let (status, body) = if known {
                    ("200 OK", format!("<p>proxied {line}"))
                } else {
                    count.fetch_add(1, Ordering::Relaxed);
                    let ask = "407 Who\r\nproxy-authenticate: Basic realm=\"x\"";
                    (ask, String::from("<p>who?"))
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\
                     connection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (addr, refused)
}
