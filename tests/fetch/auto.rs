//! `AUTO` on its way from HTTP to a browser: what the origin is asked, and what the browser is told.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, Uri, header},
    response::{Html, IntoResponse, Response},
};
use berth::fetch::{Error, Format, Redirect, Strategy, Verdict, Via, Why};

use parking_lot::Mutex;

use super::rig::{Rig, request, secs};

const BOTH: [Format; 2] = [Format::Html, Format::Text];

/// How often each path was asked for.
type Asked = Arc<Mutex<HashMap<String, u32>>>;

struct Site {
    addr: SocketAddr,
    asked: Asked,
}

impl Site {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = Asked::default();
        let routes = Router::new().fallback(answer).with_state(asked.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { addr, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    fn asked(&self, path: &str) -> u32 {
        self.asked.lock().get(path).copied().unwrap_or(0)
    }
}

const SHELL: &str = "<!doctype html><meta charset=utf-8><title>gr\u{fc}n</title><div id=root></div>\
    <script src=/app.js></script>";

const APP: &str = "const say = text => { document.getElementById('root').innerHTML += `<p>${text}</p>` };\
    say('Rendered by script at ' + location.pathname + location.hash);\
    say('Cookie: ' + document.cookie);\
    try { eval('say(\"Evaluated\")') } catch { say('Not evaluated') }";

async fn answer(State(asked): State<Asked>, uri: Uri, headers: HeaderMap) -> Response {
    *asked.lock().entry(uri.to_string()).or_default() += 1;
    let shell = |name: &'static str, value: &'static str| ([(name, value)], Html(SHELL));
    let moved = |to: &'static str| (axum::http::StatusCode::FOUND, [(header::LOCATION, to)]);
    match uri.path() {
        "/app.js" => ([(header::CONTENT_TYPE, "text/javascript")], APP).into_response(),
        "/shell" => shell("x-of-origin", "yes").into_response(),
        "/csp" => shell("content-security-policy", "script-src 'self'").into_response(),
        "/cookie" => shell("set-cookie", "a=b").into_response(),
        "/no-store" => shell("cache-control", "private, no-store").into_response(),
        "/varies" => shell("vary", "Accept-Encoding, User-Agent").into_response(),
        "/varies-little" => shell("vary", "Accept-Encoding, Cookie").into_response(),
        "/moved" => moved("/shell").into_response(),
        "/moved-with-cookie" => ([("set-cookie", "way=1")], moved("/shell")).into_response(),
        "/latin" => (
            [(header::CONTENT_TYPE, "text/html; charset=windows-1252")],
            &b"<title>gr\xfcn</title><div id=root></div><script src=/app.js></script>"[..],
        )
            .into_response(),
        "/again" => Html(
            "<div id=root></div><script>if (location.search) \
             root.innerHTML = 'Second time'; else location.search = '?2'</script>",
        )
        .into_response(),
        "/reload" => Html(
            "<div id=root></div><script>if (sessionStorage.x) root.innerHTML = 'Once more'; \
             else { sessionStorage.x = 1; location.reload() }</script>",
        )
        .into_response(),
        "/challenge" if headers.contains_key(header::COOKIE) => {
            Html("<p>Passed the test.</p>").into_response()
        }
        "/challenge" => Html(
            "<title>One second</title><script>document.cookie='t=1';location.reload()</script>",
        )
        .into_response(),
        "/refresh" => {
            Html("<meta http-equiv=refresh content='3; url=/article'><p>Moving").into_response()
        }
        "/refresh-with-cookie" => (
            [("set-cookie", "t=1")],
            Html("<meta http-equiv=refresh content='0; url=/who'>"),
        )
            .into_response(),
        "/who" => Html(match headers.get(header::COOKIE) {
            Some(_) => "<p>Somebody with a cookie</p>",
            None => "<p>Nobody</p>",
        })
        .into_response(),
        "/refresh-loop" => {
            Html("<meta http-equiv=refresh content='0; url=/refresh-loop?'>").into_response()
        }
        "/ticker" => {
            Html("<meta http-equiv=refresh content='0; url=/ticker#top'><p>12:00").into_response()
        }
        "/to-file" => {
            Html("<meta http-equiv=refresh content='0; url=file:///etc/passwd'>").into_response()
        }
        "/framed" => Html("<frameset rows='*'><frame src=/article></frameset>").into_response(),
        "/article" => Html("<title>There</title><h1>There</h1><p>The article.").into_response(),
        _ => axum::http::StatusCode::NOT_FOUND.into_response(),
    }
}

#[tokio::test]
async fn the_origin_is_asked_once_for_a_document() {
    let (rig, site) = (Rig::start().await, Site::start().await);
    let formats = [Format::Raw, Format::Html, Format::Text];
    for (path, times) in [
        ("/shell", 1),
        ("/csp", 1),
        ("/varies-little", 1),
        ("/latin", 1),
        ("/shell?a=*b?c", 1),
        // What the browser may be given otherwise, it asks for itself.
        ("/cookie", 2),
        ("/no-store", 2),
        ("/varies", 2),
    ] {
        let got = rig.get(&site.url(path), Strategy::Auto, &formats).await;
        let got = got.unwrap();
        assert_eq!(
            (got.via, got.why),
            (Via::Browser, Why::ScriptShell),
            "{path}"
        );
        assert_eq!(site.asked(path), times, "{path}");
        let text = got.text.unwrap();
        let bare = path.split('?').next().unwrap();
        assert!(
            text.contains(&format!("Rendered by script at {bare}")),
            "{path}: {text}"
        );
        assert_eq!(
            text.contains("Not evaluated"),
            path == "/csp",
            "{path}: {text}"
        );
        assert_eq!(
            text.contains("Cookie: a=b"),
            path == "/cookie",
            "{path}: {text}"
        );
        assert_eq!(got.title.as_deref(), Some("gr\u{fc}n"), "{path}");
        assert_eq!(got.verdict, Some(Verdict::Content), "{path}");
        let has = |name: &str| {
            got.headers
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name))
        };
        assert!(
            has("content-length") && has("date"),
            "{path}: {:?}",
            got.headers
        );
        assert!(!has("berth-first"), "{path}");
        assert_eq!(has("x-of-origin"), bare == "/shell");
        assert_eq!((got.status, &*got.final_url), (200, &*site.url(path)));
        let raw = got.raw.unwrap();
        let as_it_came = if path == "/latin" {
            &b"gr\xfcn"[..]
        } else {
            "gr\u{fc}n".as_bytes()
        };
        let found = raw.windows(as_it_came.len()).any(|part| part == as_it_came);
        assert!(found, "{path}: {raw:?}");
    }
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn the_way_stays_right_whoever_went_it() {
    let (rig, site) = (Rig::start().await, Site::start().await);
    for (path, times) in [("/moved", 1), ("/moved-with-cookie", 2)] {
        let got = rig
            .get(&site.url(path), Strategy::Auto, &BOTH)
            .await
            .unwrap();
        let way = Redirect {
            url: site.url(path),
            status: 302,
        };
        assert_eq!(got.redirects, [way], "{path}");
        assert_eq!(got.final_url, site.url("/shell"), "{path}");
        assert_eq!(site.asked(path), times, "{path}");
        let with_cookie = got.text.unwrap().contains("Cookie: way=1");
        assert_eq!(with_cookie, path == "/moved-with-cookie");
    }
    assert_eq!(site.asked("/shell"), 3, "once, and once by each");
    // Fragments are the browser's.
    let url = site.url("/shell#part");
    let got = rig.get(&url, Strategy::Auto, &BOTH).await.unwrap();
    assert!(got.text.unwrap().contains("/shell#part"));
    // A page that asks again gets what the origin says then.
    for (path, text) in [("/again", "Second time"), ("/reload", "Once more")] {
        let got = rig
            .get(&site.url(path), Strategy::Auto, &BOTH)
            .await
            .unwrap();
        assert_eq!(got.text.as_deref(), Some(text), "{path}");
    }
    assert_eq!((site.asked("/again"), site.asked("/again?2")), (1, 1));
    assert_eq!(site.asked("/reload"), 2);
    let mut few = request(&site.url("/moved"), Strategy::Auto, &BOTH);
    few.max_redirects = 0;
    let refused = rig.fetcher.fetch(few, secs(20)).await;
    assert!(matches!(refused, Err(Error::TooManyRedirects { limit: 0 })));
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn a_document_that_sends_on_is_followed() {
    let (rig, site) = (Rig::start().await, Site::start().await);
    for path in ["/refresh", "/framed"] {
        let got = rig
            .get(&site.url(path), Strategy::Auto, &BOTH)
            .await
            .unwrap();
        let way = Redirect {
            url: site.url(path),
            status: 200,
        };
        assert_eq!((got.via, got.why), (Via::Http, Why::NoScript), "{path}");
        assert_eq!(got.redirects, [way], "{path}");
        assert_eq!(got.final_url, site.url("/article"));
        assert_eq!(got.text.as_deref(), Some("There\nThe article."));
        // Who asks for HTTP gets what is there.
        let got = rig
            .get(&site.url(path), Strategy::Http, &BOTH)
            .await
            .unwrap();
        assert_eq!(got.final_url, site.url(path));
    }
    let got = rig
        .get(&site.url("/refresh-with-cookie"), Strategy::Auto, &BOTH)
        .await;
    let got = got.unwrap();
    assert_eq!((got.via, got.why), (Via::Browser, Why::Refresh));
    assert_eq!(got.text.as_deref(), Some("Somebody with a cookie"));
    let got = rig
        .get(&site.url("/ticker"), Strategy::Auto, &BOTH)
        .await
        .unwrap();
    assert_eq!(got.text.as_deref(), Some("12:00"), "it is about itself");
    let got = rig
        .get(&site.url("/to-file"), Strategy::Auto, &BOTH)
        .await
        .unwrap();
    assert_eq!(got.verdict, Some(Verdict::Empty), "{}", got.verdict_detail);
    assert_eq!(got.final_url, site.url("/to-file"));
    let got = rig
        .get(&site.url("/refresh-loop"), Strategy::Auto, &BOTH)
        .await;
    let got = got.unwrap();
    assert_eq!(got.redirects.len(), 1, "and then it is about itself");
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn a_test_for_browsers_is_passed_by_one() {
    let (rig, site) = (Rig::start().await, Site::start().await);
    let url = site.url("/challenge");
    let got = rig.get(&url, Strategy::Auto, &BOTH).await.unwrap();
    assert_eq!((got.via, got.why), (Via::Browser, Why::Challenge));
    assert_eq!(got.text.as_deref(), Some("Passed the test."));
    assert_eq!(got.verdict, Some(Verdict::Content));
    let got = rig.get(&url, Strategy::Http, &BOTH).await.unwrap();
    assert_eq!(got.verdict, Some(Verdict::Blocked));
    assert_eq!(got.warnings[0].code, "blocked");
    rig.nothing_held().await;
    rig.end().await;
}
