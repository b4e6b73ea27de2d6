//! The HTTP path: its connections, its times, its cookies.

use std::time::Duration;

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header},
    response::{AppendHeaders, IntoResponse},
    routing::get,
};
use berth::fetch::{Config, Cookie, Error, Format, Request, Strategy};
use tokio::{io::AsyncWriteExt, net::TcpListener};

use super::{
    origin::Origin,
    rig::{Rig, request, secs},
    wire::{self, Authority, head, hung_up},
};

fn http(url: &str) -> Request {
    request(url, Strategy::Http, &[Format::Text, Format::Raw])
}

/// Answers every request of a connection with `answer`.
async fn keep_answering(mut stream: tokio::net::TcpStream, answer: &'static str) {
    while head(&mut stream).await.is_some() {
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn connections_are_counted_by_what_they_do() {
    let rig = Rig::http(Config::default());
    let (addr, seen) = wire::origin(|stream, _| keep_answering(stream, OK)).await;
    let url = format!("http://{addr}/");
    for round in 0..5 {
        let got = rig.fetcher.fetch(http(&url), secs(5)).await.unwrap();
        assert_eq!(got.protocol.as_deref(), Some("HTTP/1.1"));
        assert_eq!(got.timings.connect.is_zero(), round > 0);
    }
    rig.kept(1).await;
    let counts = rig.fetcher.load().connections;
    assert_eq!((counts.opened, counts.reused), (1, 4));
    let origin = Origin::start().await;
    // Equal requests would be one.
    let urls: Vec<_> = (0..3)
        .map(|number| origin.url(&format!("/hang?{number}")))
        .collect();
    let hanging = urls.iter().map(|url| rig.fetcher.fetch(http(url), secs(5)));
    let hanging = futures::future::join_all(hanging);
    tokio::select! {
        _ = hanging => panic!("it hangs"),
        () = async {
            while rig.fetcher.load().connections.active < 3 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        } => {}
    }
    rig.kept(1).await;
    let text = rig.metrics.encode().unwrap();
    assert!(
        text.contains("berth_http_connections_opened_total 4"),
        "{text}"
    );
    assert_eq!(rig.fetcher.load().requests, 8);
    assert_eq!(seen.accepted(), 1);
    rig.end().await;
}

#[tokio::test]
async fn http_2_shares_one_connection() {
    let authority = Authority::new();
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let (leave, left) = tokio::sync::watch::channel(false);
    let wait = move || {
        let (arrived, mut left) = (arrived.clone(), left.clone());
        async move {
            arrived.send(()).unwrap();
            left.wait_for(|left| *left).await.unwrap();
            "together"
        }
    };
    let router = Router::new()
        .route("/", get(async || "first"))
        .route("/wait", get(wait));
    let (addr, seen) = authority.serve(router).await;
    let config = Config {
        extra_roots: Some(authority.file.path().to_owned()),
        ..Config::default()
    };
    let rig = Rig::http(config);
    let url = format!("https://localhost:{}", addr.port());
    let first = rig.fetcher.fetch(http(&format!("{url}/")), secs(5)).await;
    let first = first.unwrap();
    assert_eq!(first.protocol.as_deref(), Some("HTTP/2"));
    assert!(!first.timings.connect.is_zero());
    // Equal requests would be one.
    let waiting: Vec<_> = (0..10)
        .map(|number| format!("{url}/wait?{number}"))
        .collect();
    let many = waiting
        .iter()
        .map(|url| rig.fetcher.fetch(http(url), secs(5)));
    let look = async {
        for _ in 0..10 {
            arrivals.recv().await.unwrap();
        }
        let load = rig.fetcher.load();
        assert_eq!(
            (load.active, load.connections.active, load.connections.idle),
            (10, 1, 0)
        );
        leave.send_replace(true);
    };
    let (many, ()) = tokio::join!(futures::future::join_all(many), look);
    for got in many {
        assert_eq!(got.unwrap().text.as_deref(), Some("together"));
    }
    rig.kept(1).await;
    let counts = rig.fetcher.load().connections;
    assert_eq!((counts.opened, counts.reused, seen.accepted()), (1, 10, 1));
    rig.end().await;
    let stranger = Rig::http(Config::default());
    let got = stranger.fetcher.fetch(http(&url), secs(5)).await;
    assert!(matches!(got, Err(Error::Tls(_))), "{got:?}");
    stranger.end().await;
}

#[tokio::test]
async fn every_timeout_is_named() {
    let soon = Duration::from_millis(200);
    let rig = Rig::http(Config {
        connect_timeout: soon,
        first_byte_timeout: soon,
        read_timeout: soon,
        ..Config::default()
    });
    let (deaf, seen) =
        wire::origin(|mut stream, _| async move { hung_up(&mut stream).await }).await;
    let (stalls, _) = wire::origin(|mut stream, _| async move {
        head(&mut stream).await;
        let start = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsome";
        stream.write_all(start).await.unwrap();
        hung_up(&mut stream).await;
    })
    .await;
    let origin = Origin::start().await;
    for (url, secs_left, said) in [
        (format!("https://{deaf}/"), 5, "no connection within 200ms"),
        (
            format!("http://{deaf}/"),
            5,
            "no answer within 200ms to connect and 200ms to answer",
        ),
        (
            format!("http://{stalls}/"),
            5,
            "silent for 200ms within the body",
        ),
        (
            origin.url("/slow"),
            1,
            "the body did not end before the deadline",
        ),
    ] {
        let got = rig.fetcher.fetch(http(&url), secs(secs_left)).await;
        let Err(Error::Timeout { what }) = got else {
            panic!("{url}: {got:?}");
        };
        assert_eq!(what, said, "{url}");
    }
    for url in [format!("https://{deaf}/"), format!("http://{deaf}/")] {
        let deadline = berth::deadline::Deadline::after(Duration::from_millis(50));
        let got = rig.fetcher.fetch(http(&url), deadline).await;
        let Err(Error::Timeout { what }) = got else {
            panic!("{url}: {got:?}");
        };
        assert_eq!(what, "no answer before the deadline", "{url}");
    }
    rig.kept(0).await;
    seen.all_closed().await;
    rig.end().await;
}

#[tokio::test]
async fn cancelled_at_any_point_the_connection_is_closed() {
    let rig = Rig::http(Config::default());
    let authority = Authority::new();
    // Before TLS is up, before the head, within the head, within the body.
    let (mute, muted) =
        wire::origin(|mut stream, _| async move { hung_up(&mut stream).await }).await;
    let say = |said: &'static [u8]| {
        wire::origin(move |mut stream, _| async move {
            head(&mut stream).await;
            stream.write_all(said).await.unwrap();
            hung_up(&mut stream).await;
        })
    };
    let (headless, one) = say(b"HTTP/1.1 200 OK\r\ncontent-le").await;
    let (half, two) = say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    let coded = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 9\r\n\r\n\x1f\x8b";
    let (coded, three) = say(coded).await;
    for url in [
        format!("https://{mute}/"),
        format!("http://{mute}/"),
        format!("http://{headless}/"),
        format!("http://{half}/"),
        format!("http://{coded}/"),
    ] {
        for millis in [0, 1, 5, 30] {
            let fetch = rig.fetcher.fetch(http(&url), secs(20));
            let cut = tokio::time::timeout(Duration::from_millis(millis), fetch).await;
            assert!(cut.is_err(), "{url}: {cut:?}");
        }
    }
    rig.kept(0).await;
    for seen in [muted, one, two, three] {
        seen.all_closed().await;
    }
    assert_eq!(rig.counted("http", "cancelled"), 20);
    // Over HTTP/2 the stream is reset and the connection stays.
    let router = Router::new()
        .route("/hang", get(std::future::pending::<()>))
        .route("/", get(async || "well"));
    let (addr, seen) = authority.serve(router).await;
    let rig_2 = Rig::http(Config {
        extra_roots: Some(authority.file.path().to_owned()),
        ..Config::default()
    });
    let url = format!("https://localhost:{}", addr.port());
    rig_2.fetcher.fetch(http(&url), secs(5)).await.unwrap();
    let hang = rig_2.fetcher.fetch(http(&format!("{url}/hang")), secs(20));
    let cut = tokio::time::timeout(Duration::from_millis(50), hang).await;
    assert!(cut.is_err());
    rig_2.kept(1).await;
    rig_2.fetcher.fetch(http(&url), secs(5)).await.unwrap();
    assert_eq!(seen.accepted(), 1);
    rig.end().await;
    rig_2.end().await;
    seen.all_closed().await;
}

#[tokio::test]
async fn a_kept_connection_that_is_gone_is_no_failure() {
    let rig = Rig::http(Config::default());
    // Each connection answers once, and hangs up on the next request.
    let (addr, seen) = wire::origin(|mut stream, _| async move {
        head(&mut stream).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
        head(&mut stream).await;
    })
    .await;
    let url = format!("http://{addr}/");
    for _ in 0..5 {
        let got = rig.fetcher.fetch(http(&url), secs(5)).await.unwrap();
        assert_eq!(got.text.as_deref(), Some("ok"));
    }
    assert_eq!(seen.accepted(), 5);
    let mut post = http(&url);
    post.method = http::Method::POST;
    post.body = "once only".into();
    let got = rig.fetcher.fetch(post, secs(5)).await;
    assert!(matches!(got, Err(Error::Protocol(_))), "{got:?}");
    rig.end().await;
}

#[tokio::test]
async fn idle_connections_are_bounded_over_all_hosts() {
    let rig = Rig::http(Config {
        max_connections: 3,
        ..Config::default()
    });
    let mut all = Vec::new();
    for _ in 0..6 {
        let (addr, seen) = wire::origin(|stream, _| keep_answering(stream, OK)).await;
        let url = format!("http://{addr}/");
        rig.fetcher.fetch(http(&url), secs(5)).await.unwrap();
        all.push(seen);
    }
    // Once there are more than may be kept, each goes with its answer.
    for closed in &all[4..] {
        closed.all_closed().await;
    }
    rig.kept(4).await;
    rig.end().await;
}

#[tokio::test]
async fn cookies_belong_to_one_fetch() {
    let set = async || {
        let cookies = AppendHeaders([
            (header::SET_COOKIE, "way=2; Path=/"),
            (header::SET_COOKIE, "far=3; Domain=elsewhere.test"),
            (header::LOCATION, "/show"),
        ]);
        (StatusCode::FOUND, cookies).into_response()
    };
    let show = async |headers: HeaderMap| {
        let sent = headers
            .get(header::COOKIE)
            .map(|value| value.to_str().unwrap().to_owned());
        sent.unwrap_or_default()
    };
    let router = Router::new()
        .route("/set", get(set))
        .route("/show", get(show));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let rig = Rig::http(Config::default());
    let mut with = http(&format!("{url}/set"));
    with.cookies = ["mine", "deep"]
        .map(|name| Cookie {
            name: name.into(),
            value: "1".into(),
            domain: String::new(),
            path: if name == "deep" { "/set" } else { "" }.into(),
            secure: false,
            http_only: true,
        })
        .into();
    let got = rig.fetcher.fetch(with.clone(), secs(5)).await.unwrap();
    let text = got.text.unwrap();
    let mut sent: Vec<_> = text.split("; ").collect();
    sent.sort_unstable();
    assert_eq!(sent, ["mine=1", "way=2"]);
    let without = rig
        .fetcher
        .fetch(http(&format!("{url}/show")), secs(5))
        .await;
    assert_eq!(without.unwrap().text.as_deref(), Some(""));
    with.cookies[1].name = "a;b".into();
    let refused = rig.fetcher.fetch(with, secs(5)).await;
    assert!(
        matches!(refused, Err(Error::BadRequest("cookies", _))),
        "{refused:?}"
    );
    rig.end().await;
}

#[tokio::test]
async fn the_origin_says_when_to_come_again() {
    let rig = Rig::http(Config::default());
    let busy = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
    let (addr, _) = wire::origin(move |stream, _| keep_answering(stream, busy)).await;
    let got = rig
        .fetcher
        .fetch(http(&format!("http://{addr}/")), secs(5))
        .await;
    let got = got.unwrap();
    assert_eq!(
        (got.status, got.retry_after),
        (429, Some(Duration::from_secs(7)))
    );
    rig.end().await;
}
