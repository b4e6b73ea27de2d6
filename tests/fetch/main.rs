//! Fetches of a real origin, by the HTTP client and by real browsers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub
)]

mod auto;
mod cache;
mod codings;
mod content;
mod fair;
mod http_path;
mod origin;
mod pages;
mod proxies;
mod rig;
mod wire;
mod yard;

use std::time::Duration;

use berth::{
    browser::{
        Page, PageOptions, Viewport,
        page::{self, Want},
    },
    deadline::Deadline,
    fetch::{
        Area, Config, Error, Fetcher, Format, Formats, Picture, Redirect, Request, Screenshot,
        Strategy, Via, WaitUntil, Why,
    },
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};

use self::{
    origin::{Origin, nobody, raw},
    rig::{Rig, request, secs},
};

const ALL: [Format; 3] = [Format::Raw, Format::Html, Format::Text];

type Answer = Result<berth::fetch::Response, Error>;

async fn timed(fetcher: &Fetcher, request: Request, millis: u64) -> Answer {
    let deadline = Deadline::after(Duration::from_millis(millis));
    fetcher.fetch(request, deadline).await
}

#[tokio::test]
async fn an_article_comes_either_way() {
    let (rig, origin) = (Rig::start().await, Origin::start().await);
    let url = origin.url("/article");
    for (strategy, via, title) in [
        (Strategy::Http, Via::Http, "The article"),
        (Strategy::Browser, Via::Browser, "scripted"),
    ] {
        let got = rig.get(&url, strategy, &ALL).await.unwrap();
        assert_eq!((got.status, got.via, got.why), (200, via, Why::Requested));
        assert_eq!(got.final_url, url);
        assert_eq!(got.title.as_deref(), Some(title));
        assert!(got.text.unwrap().starts_with("Head\n"));
        assert!(got.html.unwrap().contains("<h1>Head</h1>"));
        assert_eq!(got.raw.unwrap(), origin::article());
        assert_eq!(
            got.content_type.as_deref(),
            Some("text/html; charset=utf-8")
        );
        assert_eq!(got.charset.unwrap().to_ascii_lowercase(), "utf-8");
        assert!(
            got.headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        );
        assert!(got.timings.total >= got.timings.first_byte);
        assert_eq!(rig.counted(via.as_str(), "ok"), 1);
    }
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn auto_takes_what_is_enough_and_says_why() {
    let (rig, origin) = (Rig::start().await, Origin::start().await);
    for (path, via, why) in [
        ("/article", Via::Http, Why::EnoughText),
        ("/json", Via::Http, Why::NotHtml),
        ("/download", Via::Http, Why::NotHtml),
        ("/404", Via::Http, Why::NoScript),
        ("/500", Via::Http, Why::NoScript),
        ("/shell", Via::Browser, Why::ScriptShell),
    ] {
        let got = rig
            .get(&origin.url(path), Strategy::Auto, &ALL)
            .await
            .unwrap();
        assert_eq!((got.via, got.why), (via, why), "{path}: {}", got.why_detail);
        assert!(!got.why_detail.is_empty());
        match path {
            "/404" => assert_eq!(got.status, 404),
            "/500" => assert_eq!(got.status, 500),
            "/shell" => {
                assert_eq!(got.text.as_deref(), Some("Rendered by script"));
                assert_eq!(got.title.as_deref(), Some("rendered"));
            }
            "/download" => assert_eq!(got.warnings[0].code, "not_text"),
            _ => {}
        }
    }
    let url = origin.url("/article");
    let got = rig.get(&url, Strategy::Auto, &[Format::Screenshot]);
    assert_eq!(got.await.unwrap().why, Why::ScreenshotNeedsBrowser);
    let mut post = request(&origin.url("/shell"), Strategy::Auto, &ALL);
    let secret = HeaderValue::from_static("a=b");
    post.headers = vec![(header::COOKIE, secret)];
    let got = rig.fetcher.fetch(post, secs(20)).await.unwrap();
    assert_eq!((got.via, got.why), (Via::Http, Why::RequestNeedsHttp));
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn redirects_are_followed_and_bounded() {
    let (rig, origin) = (Rig::start().await, Origin::start().await);
    for strategy in [Strategy::Http, Strategy::Browser] {
        let got = rig
            .get(&origin.url("/hop/2"), strategy, &ALL)
            .await
            .unwrap();
        let hop = |n| Redirect {
            url: origin.url(&format!("/hop/{n}")),
            status: 303,
        };
        assert_eq!(got.redirects, [hop(2), hop(1), hop(0)], "{strategy:?}");
        assert_eq!(got.final_url, origin.url("/article"));
        let mut few = request(&origin.url("/hop/2"), strategy, &ALL);
        few.max_redirects = 2;
        let refused = rig.fetcher.fetch(few, secs(20)).await;
        assert!(
            matches!(refused, Err(Error::TooManyRedirects { limit: 2 })),
            "{refused:?}"
        );
        let circle = rig.get(&origin.url("/loop"), strategy, &ALL).await;
        assert!(
            matches!(circle, Err(Error::TooManyRedirects { .. })),
            "{circle:?}"
        );
        let file = rig.get(&origin.url("/to-file"), strategy, &ALL).await;
        assert!(matches!(file, Err(Error::Protocol(_))), "{file:?}");
    }
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn failures_of_the_origin_are_told_apart() {
    let (rig, origin) = (Rig::start().await, Origin::start().await);
    let refused = format!("http://{}/", nobody().await);
    let unsecured = format!("https://{}/", origin.addr);
    let garbage = format!("http://{}/", raw(b"no http at all\n\n\n").await);
    let silent = format!("http://{}/", raw(b"").await);
    for strategy in [Strategy::Http, Strategy::Browser] {
        let dns = rig
            .get("http://no-such-host.invalid/", strategy, &ALL)
            .await;
        assert!(matches!(dns, Err(Error::Dns(_))), "{dns:?}");
        let got = rig.get(&refused, strategy, &ALL).await;
        assert!(matches!(got, Err(Error::Refused(_))), "{got:?}");
        let got = rig.get(&unsecured, strategy, &ALL).await;
        assert!(matches!(got, Err(Error::Tls(_))), "{got:?}");
        let got = rig.get(&silent, strategy, &ALL).await;
        assert!(matches!(got, Err(Error::Protocol(_))), "{got:?}");
        let hang = request(&origin.url("/hang"), strategy, &ALL);
        let got = timed(&rig.fetcher, hang, 1500).await;
        assert!(matches!(got, Err(Error::Timeout { .. })), "{got:?}");
    }
    let got = rig.get(&garbage, Strategy::Http, &ALL).await;
    assert!(matches!(got, Err(Error::Protocol(_))), "{got:?}");
    let cut = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort").await;
    let got = rig
        .get(&format!("http://{cut}/"), Strategy::Http, &ALL)
        .await;
    assert!(matches!(got, Err(Error::Protocol(_))), "{got:?}");
    let slow = request(&origin.url("/slow"), Strategy::Http, &ALL);
    let got = timed(&rig.fetcher, slow, 500).await;
    assert!(matches!(got, Err(Error::Timeout { .. })), "{got:?}");
    assert_eq!(rig.counted("http", "origin_dns"), 1);
    assert_eq!(rig.counted("browser", "origin_tls"), 1);
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn size_is_bounded_after_decompression() {
    let (rig, origin) = (Rig::start().await, Origin::start().await);
    for (strategy, path) in [(Strategy::Http, "/bomb"), (Strategy::Browser, "/big")] {
        let mut bomb = request(&origin.url(path), strategy, &ALL);
        bomb.max_bytes = 1 << 20;
        let got = rig.fetcher.fetch(bomb, secs(20)).await;
        assert!(
            matches!(got, Err(Error::TooLarge { limit: 1048576 })),
            "{got:?}"
        );
    }
    let mut endless = request(&origin.url("/slow"), Strategy::Http, &ALL);
    endless.max_bytes = 30;
    let got = rig.fetcher.fetch(endless, secs(20)).await;
    assert!(matches!(got, Err(Error::TooLarge { .. })), "{got:?}");
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn text_is_decoded_as_declared() {
    let (rig, origin) = (Rig::start().await, Origin::start().await);
    for strategy in [Strategy::Http, Strategy::Browser] {
        let got = rig
            .get(&origin.url("/latin"), strategy, &ALL)
            .await
            .unwrap();
        assert_eq!(got.text.as_deref(), Some("grün €"));
        let got = rig.get(&origin.url("/sjis"), strategy, &ALL).await.unwrap();
        assert_eq!(got.text.as_deref(), Some("日本"));
        let decoded = strategy == Strategy::Browser;
        assert_eq!(got.warnings.len(), usize::from(decoded));
        if decoded {
            assert_eq!(got.warnings[0].code, "raw_is_decoded");
            continue;
        }
        assert_eq!(
            got.raw.unwrap(),
            &b"<meta charset=Shift_JIS><p>\x93\xfa\x96\x7b</p>"[..]
        );
    }
    rig.end().await;
}

#[tokio::test]
async fn requests_are_sent_as_asked() {
    let (rig, origin) = (Rig::start().await, Origin::start().await);
    let mut post = request(&origin.url("/echo"), Strategy::Auto, &[Format::Text]);
    post.url.set_username("me").unwrap();
    post.url.set_password(Some("secret")).unwrap();
    post.method = Method::POST;
    post.body = Bytes::from_static(b"the body");
    post.user_agent = Some("tester".into());
    post.headers = vec![
        (
            HeaderName::from_static("x-twice"),
            HeaderValue::from_static("1"),
        ),
        (
            HeaderName::from_static("x-twice"),
            HeaderValue::from_static("2"),
        ),
    ];
    let got = rig.fetcher.fetch(post.clone(), secs(20)).await.unwrap();
    let said = got.text.unwrap();
    assert!(
        said.starts_with("POST\n") && said.ends_with("\n\nthe body"),
        "{said}"
    );
    for line in [
        "authorization: Basic bWU6c2VjcmV0",
        "user-agent: tester",
        "x-twice: 1",
        "x-twice: 2",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert_eq!(got.final_url, origin.url("/echo"), "without the password");
    post.url.set_path("/post-redirect");
    let got = rig.fetcher.fetch(post, secs(20)).await.unwrap();
    assert!(got.text.unwrap().starts_with("GET\n"));
    let mut page = request(&origin.url("/echo"), Strategy::Browser, &[Format::Text]);
    page.user_agent = Some("tester".into());
    page.headers = vec![(
        HeaderName::from_static("x-one"),
        HeaderValue::from_static("1"),
    )];
    let said = rig
        .fetcher
        .fetch(page, secs(20))
        .await
        .unwrap()
        .text
        .unwrap();
    assert!(
        said.to_ascii_lowercase().contains("x-one: 1") && said.contains("tester"),
        "{said}"
    );
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn senseless_requests_are_refused() {
    let (rig, origin) = (Rig::start().await, Origin::start().await);
    let picture = request(&origin.url("/"), Strategy::Http, &[Format::Screenshot]);
    let got = rig.fetcher.fetch(picture, secs(1)).await;
    assert!(
        matches!(got, Err(Error::BadRequest("strategy", _))),
        "{got:?}"
    );
    let mut post = request(&origin.url("/"), Strategy::Browser, &ALL);
    post.method = Method::POST;
    let got = rig.fetcher.fetch(post, secs(1)).await;
    assert!(
        matches!(got, Err(Error::BadRequest("method", _))),
        "{got:?}"
    );
    assert_eq!(rig.counted("browser", "bad_request"), 1);
    assert_eq!(rig.fetcher.load().failed, 2);
    rig.end().await;
}

#[tokio::test]
async fn pages_are_pictured() {
    let (rig, origin) = (Rig::start().await, Origin::start().await);
    let size = |png: &[u8]| {
        let at = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        (at(16), at(20))
    };
    let mut page = request(
        &origin.url("/article"),
        Strategy::Browser,
        &[Format::Screenshot],
    );
    page.viewport = Some(Viewport {
        width: 320,
        height: 100,
        scale: 1.0,
    });
    let got = rig.fetcher.fetch(page.clone(), secs(20)).await.unwrap();
    assert_eq!(size(&got.screenshot.unwrap()), (320, 100));
    page.screenshot.area = Area::FullPage;
    let got = rig.fetcher.fetch(page.clone(), secs(20)).await.unwrap();
    let (_, height) = size(&got.screenshot.unwrap());
    assert!(height > 200, "{height}");
    for (kind, magic) in [(Picture::Jpeg, &b"\xff\xd8"[..]), (Picture::Webp, b"RIFF")] {
        page.screenshot = Screenshot {
            kind,
            quality: Some(50),
            area: Area::View,
        };
        let got = rig.fetcher.fetch(page.clone(), secs(20)).await.unwrap();
        assert!(got.screenshot.unwrap().starts_with(magic));
    }
    let many = (0..6).map(|_| rig.fetcher.fetch(page.clone(), secs(20)));
    for got in futures::future::join_all(many).await {
        assert!(got.unwrap().screenshot.is_some());
    }
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn a_page_cannot_hold_its_visitor() {
    let (rig, origin) = (Rig::start().await, Origin::start().await);
    for (path, text) in [
        ("/alert", "after"),
        ("/unload", "stay"),
        ("/leaves", "Head"),
        ("/leaves-late", "Head"),
        ("/refresh", "Head"),
        ("/reloads", "again"),
        ("/hash", "here"),
        ("/leave-to-204", "stayed"),
        ("/popup", "opener"),
    ] {
        let began = tokio::time::Instant::now();
        let got = rig
            .get(&origin.url(path), Strategy::Browser, &[Format::Text])
            .await;
        let got = got.unwrap_or_else(|error| panic!("{path}: {error:?}"));
        let said = got.text.unwrap();
        assert!(said.starts_with(text), "{path}: {said}");
        assert_eq!(got.status, 200);
        assert!(
            began.elapsed() < Duration::from_secs(8),
            "{path}: {:?}",
            began.elapsed()
        );
    }
    let got = rig
        .get(&origin.url("/empty404"), Strategy::Browser, &ALL)
        .await
        .unwrap();
    assert_eq!((got.status, got.text.as_deref()), (404, Some("")));
    let url = origin.url("/download");
    let got = rig.get(&url, Strategy::Browser, &ALL).await.unwrap();
    assert_eq!((got.status, got.raw), (200, None));
    assert_eq!(got.warnings[0].code, "download_refused");
    let url = origin.url("/204");
    let got = rig.get(&url, Strategy::Browser, &ALL).await.unwrap();
    assert_eq!((got.status, got.text.as_deref()), (204, Some("")));
    for path in ["/spin", "/slow"] {
        let began = tokio::time::Instant::now();
        let page = request(&origin.url(path), Strategy::Browser, &ALL);
        let got = timed(&rig.fetcher, page, 2000).await;
        assert!(matches!(got, Err(Error::Passed)), "{path}: {got:?}");
        assert!(began.elapsed() < Duration::from_secs(3));
        rig.nothing_held().await;
    }
    let pid = rig.browser().await.0.pid();
    let mut idle = false;
    for _ in 0..20 {
        let before = cpu_of_group(pid);
        tokio::time::sleep(Duration::from_millis(500)).await;
        idle = cpu_of_group(pid) - before < 0.2;
        if idle {
            break;
        }
    }
    assert!(idle, "the endless script runs on");
    let closes = rig
        .get(&origin.url("/closes"), Strategy::Browser, &ALL)
        .await;
    assert!(matches!(closes, Ok(_) | Err(Error::Lost(_))), "{closes:?}");
    let mut parsed = request(&origin.url("/spin-later"), Strategy::Browser, &ALL);
    parsed.wait = WaitUntil::DomContentLoaded;
    let got = timed(&rig.fetcher, parsed, 2000).await;
    assert!(matches!(got, Ok(_) | Err(Error::Passed)), "{got:?}");
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_is_dropped_leaves_nothing() {
    let (rig, origin) = (Rig::start().await, Origin::start().await);
    rig.get(&origin.url("/shell"), Strategy::Auto, &ALL)
        .await
        .unwrap();
    for path in ["/shell", "/hang", "/spin", "/slow", "/alert"] {
        for micros in [
            0, 200, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 200_000,
        ] {
            let page = request(&origin.url(path), Strategy::Browser, &ALL);
            let fetch = rig.fetcher.fetch(page, secs(20));
            // Dropped midway: that is the test.
            let _ = tokio::time::timeout(Duration::from_micros(micros), fetch).await;
        }
        rig.nothing_held().await;
    }
    for micros in [0, 500, 5000, 50_000] {
        let slow = request(&origin.url("/slow"), Strategy::Http, &ALL);
        let fetch = rig.fetcher.fetch(slow, secs(20));
        let _ = tokio::time::timeout(Duration::from_micros(micros), fetch).await;
    }
    rig.nothing_held().await;
    assert!(rig.counted("browser", "cancelled") > 10);
    assert!(rig.counted("http", "cancelled") >= 3);
    rig.end().await;
}

#[tokio::test]
async fn a_browser_that_dies_is_told_and_replaced() {
    let (rig, origin) = (Rig::start().await, Origin::start().await);
    rig.get(&origin.url("/shell"), Strategy::Auto, &ALL)
        .await
        .unwrap();
    for path in ["/hang", "/spin"] {
        let began = tokio::time::Instant::now();
        let url = origin.url(path);
        let fetch = rig.get(&url, Strategy::Browser, &ALL);
        // The first death is made good, the second is told.
        let (got, ()) = tokio::join!(fetch, async {
            let first = rig.kill_busy(None).await;
            rig.kill_busy(Some(first)).await;
        });
        assert!(matches!(got, Err(Error::Lost(_))), "{path}: {got:?}");
        assert!(began.elapsed() < Duration::from_secs(8));
        let got = rig.get(&origin.url("/shell"), Strategy::Auto, &ALL).await;
        assert_eq!(got.unwrap().text.as_deref(), Some("Rendered by script"));
    }
    assert_eq!(rig.counted("browser", "browser_lost"), 2);
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn a_renderer_that_crashes_ends_its_page_at_once() {
    let (rig, origin) = (Rig::start().await, Origin::start().await);
    let seat = rig
        .pool
        .seat(&berth::fair::Party::default(), secs(20))
        .await
        .unwrap();
    let mut page = Page::open(seat, &PageOptions::default(), secs(20))
        .await
        .unwrap();
    page.goto(&origin.url("/article"), WaitUntil::Load, secs(20))
        .await
        .unwrap();
    let began = tokio::time::Instant::now();
    // The navigation's own answer may come before the crash.
    let _ = page.goto("chrome://crash", WaitUntil::Load, secs(20)).await;
    let after = page.contents(Want::default(), 1, secs(20)).await;
    assert!(matches!(after, Err(page::Error::Lost(_))), "{after:?}");
    assert!(began.elapsed() < Duration::from_secs(3));
    drop(page);
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn more_pages_than_there_may_be_wait_their_turn() {
    let config = Config {
        browser_concurrency: 2,
        max_connections: 2,
        ..Config::default()
    };
    let (rig, origin) = (Rig::with(config).await, Origin::start().await);
    let many = (0..20).map(|n| {
        let strategy = [Strategy::Http, Strategy::Browser][n % 2];
        // Equal requests would be one.
        let page = request(&origin.url(&format!("/article?{n}")), strategy, &ALL);
        rig.fetcher.fetch(page, secs(30))
    });
    for got in futures::future::join_all(many).await {
        assert_eq!(got.unwrap().status, 200);
    }
    assert_eq!(rig.total("berth_http_requests_total"), 10);
    let opened = rig.total("berth_http_connections_opened_total");
    assert!((1..=2).contains(&opened), "connections are kept: {opened}");
    let hang = |n, millis| {
        let url = origin.url(&format!("/hang?{n}"));
        timed(&rig.fetcher, request(&url, Strategy::Http, &ALL), millis)
    };
    let look = async {
        // Until then, or the test ends with what the third is told.
        loop {
            let load = rig.fetcher.load();
            if (load.active, load.waiting, load.limit) == (2, 1, 2) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (_, _, late, looked) = tokio::join!(
        hang(0, 4000),
        hang(1, 4000),
        hang(2, 2000),
        tokio::time::timeout(Duration::from_secs(2), look),
    );
    assert_eq!(looked, Ok(true), "two run and one waits");
    assert!(matches!(late, Err(Error::Exhausted { .. })), "{late:?}");
    assert_eq!(rig.fetcher.load().total, 23);
    rig.nothing_held().await;
    rig.end().await;
}

#[test]
fn formats_are_a_set() {
    let formats = Formats::of(&[Format::Raw, Format::Text]);
    assert!(formats.has(Format::Raw) && formats.has(Format::Text));
    assert!(!formats.has(Format::Html) && !formats.has(Format::Screenshot));
}

/// Seconds of CPU that the browser and its children have used, ended ones included.
fn cpu_of_group(leader: i32) -> f64 {
    let all = procfs::process::all_processes().unwrap();
    let stats = all.filter_map(|process| process.ok()?.stat().ok());
    let ticks = stats.filter(|stat| stat.pgrp == leader).map(|stat| {
        let dead = (stat.cutime + stat.cstime).max(0) as u64;
        stat.utime + stat.stime + dead
    });
    ticks.sum::<u64>() as f64 / procfs::ticks_per_second() as f64
}
