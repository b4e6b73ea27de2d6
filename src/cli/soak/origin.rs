//! The origin that a soak fetches from: a well-behaved site, and a trap beside it.

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::Path,
    http::{StatusCode, header::CACHE_CONTROL},
    response::{Html, IntoResponse},
    routing::get,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::http_server;

/// Where both are; both end when the last task of [`start`] does.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// `http://host:port` of the site.
    pub(super) site: String,
    /// `http://host:port` of the trap.
    pub(super) trap: String,
    /// A port that takes no connection.
    pub(super) nobody: String,
}

/// A word that every page of the site has.
pub(super) const WORD: &str = "lantern";
/// More than the broker and all browsers open to one host.
const CONNECTIONS: usize = 256;
/// Longest that the trap keeps anybody.
const PATIENCE: Duration = Duration::from_secs(20);

impl Origin {
    /// Where all of it is, as rules of an egress list.
    pub(super) fn addresses(&self) -> String {
        let urls = [&self.site, &self.trap, &self.nobody];
        urls.map(|url| url.trim_start_matches("http://")).join(",")
    }
}

/// Binds both to free ports and serves them in `tasks` until `stop`.
pub(super) async fn start(tasks: &mut JoinSet<()>, stop: &CancellationToken) -> io::Result<Origin> {
    let loopback = ("127.0.0.1", 0);
    let site = TcpListener::bind(loopback).await?;
    let trap = TcpListener::bind(loopback).await?;
    // Nobody listens where a listener was.
    let nobody = TcpListener::bind(loopback).await?.local_addr()?;
    let at = |address: SocketAddr| format!("http://{address}");
    let origin = Origin {
        site: at(site.local_addr()?),
        trap: at(trap.local_addr()?),
        nobody: at(nobody),
    };
    let stopped = stop.clone().cancelled_owned();
    tasks.spawn(http_server::serve(
        "soak site",
        CONNECTIONS,
        site,
        router(),
        stopped,
    ));
    let stop = stop.clone();
    tasks.spawn(async move {
        stop.run_until_cancelled(ensnare(trap)).await;
    });
    Ok(origin)
}

fn router() -> Router {
    Router::new()
        // A bounded number of these is asked for, so that the broker's cache comes to rest.
        .route(
            "/kept/{n}",
            get(async |Path(n): Path<u32>| ([(CACHE_CONTROL, "max-age=30")], article(n))),
        )
        .route(
            "/article/{n}",
            get(async |Path(n): Path<u32>| ([(CACHE_CONTROL, "no-store")], article(n))),
        )
        .route("/app/{n}", get(async |Path(n): Path<u32>| app(n)))
        .route(
            "/missing",
            get(async || (StatusCode::NOT_FOUND, article(0)).into_response()),
        )
        .route("/spin", get(async || Html(SPIN)))
        .route("/memory", get(async || Html(MEMORY)))
}

/// A page whose text is in the document: about 12 KiB.
fn article(n: u32) -> Html<String> {
    let paragraph = "<p>Who lends a thing without a day of return has given it away. A library that \
        writes down the day, and sends for the book when the day has passed, can lend to strangers.</p>\n";
    Html(format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>Article {n}</title></head>\
         <body><main><h1>The {WORD} number {n}</h1>\n{}</main></body></html>",
        paragraph.repeat(60)
    ))
}

/// A page whose text only its script writes.
fn app(n: u32) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>App {n}</title></head><body>\
         <div id=root></div><script>
         const rows = Array.from({{length: 200}}, (_, at) => `<li>One {WORD}, number ${{at}} of {n}</li>`);
         document.getElementById('root').innerHTML = '<h1>Shop</h1><ul>' + rows.join('') + '</ul>';
         </script></body></html>"
    ))
}

/// A page that never yields.
const SPIN: &str =
    "<!doctype html><title>spin</title><p>Here is text.</p><script>for (;;);</script>";

/// A page that takes 8 MiB each 15 ms, and stops at 1200 MiB by itself, so that a broker that does
/// not kill it costs no more.
const MEMORY: &str = "<!doctype html><title>memory</title><p>Here is text.</p><script>
const all = [];
const timer = setInterval(() => {
  const block = new Uint8Array(8 << 20);
  for (let at = 0; at < block.length; at += 4096) block[at] = at >> 12;
  all.push(block);
  if (all.length >= 150) clearInterval(timer);
}, 15);
</script>";

/// Takes connections and treats each badly.
async fn ensnare(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _peer)) => {
                    connections.spawn(async move {
                        // Whoever leaves early is what is wanted of most.
                        let _ = timeout(PATIENCE, mistreat(stream)).await;
                    });
                }
                // Out of descriptors, for a moment.
                Err(_) => sleep(Duration::from_millis(100)).await,
            },
        }
    }
}

async fn mistreat(mut stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > 64 << 10 || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let ok = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n";
    match path {
        "/garbage" => {
            stream
                .write_all(b"\x16\x03\x01 not HTTP at all\r\n\r\n")
                .await
        }
        "/short" => {
            let answer = format!("{ok}content-length: 5000\r\n\r\n<p>and then nothing");
            stream.write_all(answer.as_bytes()).await
        }
        "/chunk" => {
            let answer = format!("{ok}transfer-encoding: chunked\r\n\r\nzz\r\nno number\r\n");
            stream.write_all(answer.as_bytes()).await
        }
        "/drip" => {
            let answer = format!("{ok}content-length: 5000\r\n\r\n");
            stream.write_all(answer.as_bytes()).await?;
            loop {
                stream.write_all(b"x").await?;
                sleep(Duration::from_millis(100)).await;
            }
        }
        "/silent" => std::future::pending().await,
        // `/close`, and whatever else: the connection ends without an answer.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(base: &str, path: &str) -> String {
        let address = base.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(Duration::from_secs(1), stream.read_to_end(&mut answer)).await;
        let ended = if read.is_ok() { "" } else { " and hangs" };
        String::from_utf8_lossy(&answer).into_owned() + ended
    }

    #[tokio::test]
    async fn the_site_answers_and_the_trap_does_not() {
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        let origin = start(&mut tasks, &stop).await.unwrap();
        for path in ["/article/7", "/kept/7", "/app/7"] {
            let answer = ask(&origin.site, path).await;
            assert!(
                answer.starts_with("HTTP/1.1 200") && answer.contains(WORD),
                "{answer}"
            );
        }
        assert!(
            ask(&origin.site, "/missing")
                .await
                .starts_with("HTTP/1.1 404")
        );
        assert_eq!(ask(&origin.trap, "/close").await, "");
        assert_eq!(ask(&origin.trap, "/silent").await, " and hangs");
        assert!(ask(&origin.trap, "/drip").await.ends_with(" and hangs"));
        assert!(ask(&origin.trap, "/short").await.contains("5000"));
        let nobody = origin.nobody.trim_start_matches("http://");
        assert!(TcpStream::connect(nobody).await.is_err());
        stop.cancel();
        while tasks.join_next().await.is_some() {}
    }
}
