//! What may be asked of a page in a browser, and what pages do to those who ask.

use std::{sync::atomic::Ordering, time::Duration};

use berth::{
    browser::Viewport,
    fetch::{
        Area, Blocking, ColorScheme, Cookie, Error, Format, Media, Pdf, Proxy, Rect, Request,
        Resource, Response, Strategy, WaitUntil, Why,
    },
};
use chromiumoxide::cdp::browser_protocol::target::GetTargetsParams;
use tokio::time::Instant;

use super::{
    rig::{Rig, request, secs},
    yard::{self, Yard},
};

fn page(yard: &Yard, path: &str, formats: &[Format]) -> Request {
    request(&yard.url(path), Strategy::Browser, formats)
}

fn text(yard: &Yard, path: &str) -> Request {
    page(yard, path, &[Format::Text])
}

async fn fetched(rig: &Rig, request: Request) -> Response {
    rig.fetcher.fetch(request, secs(20)).await.unwrap()
}

fn warned(response: &Response) -> Vec<&'static str> {
    response.warnings.iter().map(|one| one.code).collect()
}

#[tokio::test]
async fn a_page_is_waited_for_as_asked() {
    let (rig, yard) = (Rig::start().await, Yard::start().await);
    let plain = fetched(&rig, text(&yard, "/late")).await;
    assert_eq!(plain.text.as_deref(), Some("early"));
    for path in ["/late", "/leaves-late"] {
        let mut element = text(&yard, path);
        element.page.wait_selector = Some("b#late".into());
        let got = fetched(&rig, element).await;
        assert!(got.text.unwrap().ends_with("late"), "{path}");
        assert_eq!(got.final_url, yard.url("/late"));
        let mut predicate = text(&yard, path);
        predicate.page.wait_predicate = Some("window.ready // a comment".into());
        assert!(
            fetched(&rig, predicate)
                .await
                .text
                .unwrap()
                .ends_with("late")
        );
    }
    let mut promise = text(&yard, "/late");
    promise.page.wait_predicate = Some("new Promise(r => setTimeout(r, 900, 1))".into());
    assert!(fetched(&rig, promise).await.text.unwrap().ends_with("late"));
    for path in ["/busy", "/framed", "/stream-page"] {
        let mut idle = text(&yard, path);
        idle.wait = WaitUntil::NetworkIdle;
        let got = fetched(&rig, idle).await.text.unwrap();
        if path == "/busy" {
            assert_eq!(got, "5", "it asked for more as long as it was busy");
        }
    }
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn a_wait_that_is_in_vain_says_for_what() {
    let (rig, yard) = (Rig::start().await, Yard::start().await);
    let short = || berth::deadline::Deadline::after(Duration::from_millis(2500));
    let in_vain = async |change: fn(&mut Request)| {
        let mut one = text(&yard, "/never-idle");
        change(&mut one);
        let began = Instant::now();
        let got = rig.fetcher.fetch(one, short()).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(4));
        got
    };
    let got = in_vain(|one| one.wait = WaitUntil::NetworkIdle).await;
    assert!(
        matches!(&got, Error::Unmet(what) if what.contains("idle")),
        "{got:?}"
    );
    let got = in_vain(|one| one.page.wait_selector = Some("#never".into())).await;
    assert!(
        matches!(&got, Error::Unmet(what) if what.contains("wait_selector")),
        "{got:?}"
    );
    let got = in_vain(|one| one.page.wait_predicate = Some("false".into())).await;
    assert!(
        matches!(&got, Error::Unmet(what) if what.contains("wait_predicate")),
        "{got:?}"
    );
    let got = in_vain(|one| one.page.wait_predicate = Some("new Promise(()=>{})".into())).await;
    assert!(matches!(got, Error::Unmet(_)), "{got:?}");
    let got = in_vain(|one| one.page.wait_predicate = Some("nobody.here".into())).await;
    assert!(
        matches!(&got, Error::Condition(what) if what.contains("nobody")),
        "{got:?}"
    );
    let asked = yard.asked().len();
    let got = in_vain(|one| one.page.wait_selector = Some("p[".into())).await;
    assert!(
        matches!(got, Error::BadRequest("wait_selector", _)),
        "{got:?}"
    );
    let got = in_vain(|one| one.page.wait_predicate = Some("1 +".into())).await;
    assert!(
        matches!(got, Error::BadRequest("wait_predicate", _)),
        "{got:?}"
    );
    assert!(
        yard.asked()[asked..].iter().all(|path| path == "/x"),
        "the origin was spared"
    );
    let mut http = text(&yard, "/late");
    http.strategy = Strategy::Http;
    http.page.wait_selector = Some("p".into());
    let got = rig.fetcher.fetch(http.clone(), short()).await;
    assert!(
        matches!(got, Err(Error::BadRequest("wait_selector", _))),
        "{got:?}"
    );
    http.strategy = Strategy::Auto;
    let got = rig.fetcher.fetch(http, secs(20)).await.unwrap();
    assert_eq!(got.why, Why::NeedsBrowser);
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn a_page_sees_the_visitor_that_was_asked_for() {
    let (rig, yard) = (Rig::start().await, Yard::start().await);
    let mut who = text(&yard, "/who");
    who.viewport = Some(Viewport {
        width: 333,
        height: 200,
        scale: 1.0,
    });
    who.page.locale = Some("de-CH".into());
    who.page.time_zone = Some("Asia/Tokyo".into());
    who.page.media = Media {
        print: true,
        color_scheme: Some(ColorScheme::Dark),
        reduced_motion: true,
    };
    let cookie = |name: &str, http_only| Cookie {
        name: name.into(),
        value: "1".into(),
        domain: String::new(),
        path: String::new(),
        secure: false,
        http_only,
    };
    who.cookies = vec![cookie("seen", false), cookie("unseen", true)];
    let got = fetched(&rig, who.clone()).await.text.unwrap();
    assert!(got.starts_with("de-CH,de;q=0.9|seen=1; unseen=1"), "{got}");
    assert!(got.contains("234.5|Asia/Tokyo|1|1|1|seen=1|333"), "{got}");
    let plain = fetched(&rig, text(&yard, "/who")).await.text.unwrap();
    assert!(plain.contains("|0|0|0||"), "nothing of it stays: {plain}");
    let wrong = async |field: &'static str, change: fn(&mut Request)| {
        let mut one = who.clone();
        change(&mut one);
        let got = rig.fetcher.fetch(one, secs(20)).await;
        assert!(
            matches!(&got, Err(Error::BadRequest(name, _)) if *name == field),
            "{got:?}"
        );
    };
    wrong("time_zone", |one| {
        one.page.time_zone = Some("Nowhere/No".into())
    })
    .await;
    wrong("locale", |one| one.page.locale = Some("-".into())).await;
    wrong("cookies", |one| one.cookies[0].name = "a;b".into()).await;
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn what_is_blocked_is_not_asked_for() {
    let (rig, yard) = (Rig::start().await, Yard::start().await);
    let asked = async |blocking: Blocking| {
        let before = yard.asked().len();
        let mut heavy = text(&yard, "/heavy");
        heavy.page.blocking = blocking;
        let got = fetched(&rig, heavy).await;
        assert_eq!((got.status, got.text.as_deref()), (200, Some("text")));
        let mut asked = yard.asked().split_off(before);
        asked.sort();
        asked
    };
    let all = [
        "/1.png",
        "/ads/2.png",
        "/f.woff",
        "/heavy",
        "/s.js",
        "/style.css",
    ];
    assert_eq!(asked(Blocking::default()).await, all);
    let kinds = |kinds: &[Resource]| Blocking {
        kinds: kinds.to_vec(),
        patterns: vec![],
    };
    let got = asked(kinds(&[Resource::Image, Resource::Font])).await;
    assert_eq!(got, ["/heavy", "/s.js", "/style.css"]);
    let got = asked(kinds(&[Resource::Script, Resource::Stylesheet])).await;
    assert_eq!(got, ["/1.png", "/ads/2.png", "/heavy"]);
    let patterns = |patterns: &[&str]| Blocking {
        kinds: vec![],
        patterns: patterns.iter().map(ToString::to_string).collect(),
    };
    let got = asked(patterns(&["*/ads/*", "*.js", "*?*"])).await;
    assert_eq!(got, ["/1.png", "/f.woff", "/heavy", "/style.css"]);
    assert_eq!(
        asked(patterns(&["*"])).await,
        ["/heavy"],
        "but never the document"
    );
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn a_proxy_is_told_who_asks() {
    let (rig, (proxy, refused)) = (Rig::start().await, yard::proxy().await);
    let yard = Yard::start().await;
    let mut one = text(&yard, "/late");
    let through = |who: &str| Some(Proxy::parse(&format!("http://{who}{proxy}")).unwrap());
    one.proxy = through("me:secret@");
    let got = fetched(&rig, one.clone()).await;
    let said = got.text.unwrap();
    assert!(said.starts_with("proxied GET http://127.0.0.1"), "{said}");
    let asked = refused.load(Ordering::Relaxed);
    assert_eq!(asked, 0, "it need not ask");
    for name in ["", "me:wrong@"] {
        one.proxy = through(name);
        let got = fetched(&rig, one.clone()).await;
        assert_eq!(got.status, 407, "{name}");
    }
    assert_eq!(yard.asked().len(), 0);
    let nobody = format!("http://{}", super::origin::nobody().await);
    one.proxy = Some(Proxy::parse(&nobody).unwrap());
    let got = rig.fetcher.fetch(one, secs(20)).await;
    assert!(matches!(got, Err(Error::Refused(_))), "{got:?}");
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn a_download_is_refused_or_captured() {
    let (rig, yard) = (Rig::start().await, Yard::start().await);
    let got = fetched(&rig, page(&yard, "/saved", &[Format::Raw, Format::Html])).await;
    assert_eq!(
        (got.status, got.raw.as_ref(), got.html.as_ref()),
        (200, None, None)
    );
    assert_eq!(warned(&got), ["download_refused"]);
    let mut saved = page(&yard, "/saved", &[Format::Raw]);
    saved.page.capture_download = true;
    for _ in 0..3 {
        let got = fetched(&rig, saved.clone()).await;
        assert_eq!(got.raw.unwrap(), vec![7_u8; 100_000]);
        assert_eq!(got.download_name.as_deref(), Some("_a b.bin"));
        assert_eq!(
            got.content_type.as_deref(),
            Some("application/octet-stream")
        );
        assert!(got.warnings.is_empty());
    }
    saved.max_bytes = 99_999;
    let got = rig.fetcher.fetch(saved.clone(), secs(20)).await;
    assert!(
        matches!(got, Err(Error::TooLarge { limit: 99_999 })),
        "{got:?}"
    );
    let mut endless = saved.clone();
    endless.url = Request::target(&yard.url("/saved-for-ever")).unwrap();
    let got = rig.fetcher.fetch(endless.clone(), secs(20)).await;
    assert!(matches!(got, Err(Error::TooLarge { .. })), "{got:?}");
    endless.max_bytes = 1 << 30;
    let soon = berth::deadline::Deadline::after(Duration::from_secs(1));
    let got = rig.fetcher.fetch(endless, soon).await;
    assert!(
        matches!(&got, Err(Error::Unmet(what)) if what.contains("download")),
        "{got:?}"
    );
    let mut saves = text(&yard, "/saves");
    saves.page.capture_download = true;
    let got = fetched(&rig, saves).await;
    assert_eq!((got.text.as_deref(), got.raw), (Some("page"), None));
    rig.nothing_held().await;
    rig.no_downloads().await;
    rig.end().await;
}

#[tokio::test]
async fn floods_are_cut_and_windows_closed() {
    let (rig, yard) = (Rig::start().await, Yard::start().await);
    for path in ["/alerts", "/alerts-late"] {
        let began = Instant::now();
        let got = fetched(&rig, text(&yard, path)).await;
        assert_eq!(got.text.as_deref(), Some("after"), "{path}");
        assert!(
            began.elapsed() < Duration::from_secs(8),
            "{path}: {:?}",
            began.elapsed()
        );
    }
    let open = async || {
        let (_, cdp) = rig.browser().await;
        let targets = cdp.call(None, GetTargetsParams::default(), secs(5)).await;
        let pages = targets.unwrap().target_infos;
        pages.iter().filter(|one| one.r#type == "page").count()
    };
    let began = Instant::now();
    let soon = berth::deadline::Deadline::after(Duration::from_millis(2500));
    let got = rig.fetcher.fetch(text(&yard, "/windows"), soon).await;
    assert!(matches!(got, Err(Error::Passed)), "{got:?}");
    assert!(began.elapsed() < Duration::from_secs(5));
    rig.nothing_held().await;
    // Only the browser's own first page stays, and now and then one that measures it.
    let mut looks = 0;
    while open().await > 1 {
        looks += 1;
        assert!(looks < 200, "windows are left");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The page itself tells: it is not done before its window is closed, and then it is still there.
    let mut window = text(&yard, "/window");
    window.page.wait_predicate = Some("window.opened.closed".into());
    let got = fetched(&rig, window).await;
    assert_eq!(got.text.as_deref(), Some("one"));
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn a_renderer_that_crashes_is_made_good_once() {
    let (rig, yard) = (Rig::start().await, Yard::start().await);
    let once = fetched(&rig, text(&yard, "/crashes-once"));
    let (got, ()) = tokio::join!(once, async {
        yard.asked_for("/hang").await;
        rig.kill_renderers();
    });
    assert_eq!(got.text.as_deref(), Some("second"));
    assert_eq!(warned(&got), ["retried"]);
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn pictures_are_of_what_was_asked_for() {
    let (rig, yard) = (Rig::start().await, Yard::start().await);
    let size = |png: &[u8]| {
        let at = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        (at(16), at(20))
    };
    let tall = page(&yard, "/tall", &[Format::Screenshot]);
    let of = async |area: Area| {
        let mut tall = tall.clone();
        tall.screenshot.area = area;
        let got = rig.fetcher.fetch(tall, secs(20)).await?;
        let clipped = warned(&got).contains(&"picture_clipped");
        Ok::<_, Error>((size(&got.screenshot.unwrap()), clipped))
    };
    assert_eq!(of(Area::View).await.unwrap(), ((800, 600), false));
    let got = of(Area::Element("#box".into())).await.unwrap();
    assert_eq!(got, ((50, 40), false));
    let clip = |width, height| {
        Area::Clip(Rect {
            x: 10.0,
            y: 5000.0,
            width,
            height,
        })
    };
    assert_eq!(of(clip(70.0, 20.0)).await.unwrap(), ((70, 20), false));
    let ((_, height), clipped) = of(Area::FullPage).await.unwrap();
    assert_eq!((height, clipped), (16384, true));
    for selector in ["#nobody", "#hidden"] {
        let got = of(Area::Element(selector.into())).await;
        assert!(matches!(got, Err(Error::Condition(_))), "{got:?}");
    }
    let got = of(Area::Element("p[".into())).await;
    assert!(
        matches!(got, Err(Error::BadRequest("screenshot.selector", _))),
        "{got:?}"
    );
    let mut small = tall.clone();
    small.max_bytes = 500;
    let got = rig.fetcher.fetch(small, secs(20)).await;
    assert!(
        matches!(got, Err(Error::TooLarge { limit: 500 })),
        "{got:?}"
    );
    rig.nothing_held().await;
    rig.end().await;
}

#[tokio::test]
async fn pages_are_printed() {
    let (rig, yard) = (Rig::start().await, Yard::start().await);
    let mut print = page(&yard, "/many-pages", &[Format::Pdf]);
    print.strategy = Strategy::Auto;
    let pages = |pdf: &[u8]| {
        let text = String::from_utf8_lossy(pdf).into_owned();
        text.matches("/Type /Page\n").count()
    };
    let got = fetched(&rig, print.clone()).await;
    assert_eq!(got.why, Why::NeedsBrowser);
    let pdf = got.pdf.unwrap();
    assert!(pdf.starts_with(b"%PDF"));
    assert_eq!(pages(&pdf), 2);
    let text = String::from_utf8_lossy(&pdf).into_owned();
    assert!(text.contains("/MediaBox [0 0 59"), "A4, upright");
    print.page.pdf = Pdf {
        paper: (5.0, 7.0),
        landscape: true,
        ranges: "2".into(),
        margins: [0.0; 4],
        ..Pdf::default()
    };
    let pdf = fetched(&rig, print.clone()).await.pdf.unwrap();
    assert_eq!(pages(&pdf), 1);
    let text = String::from_utf8_lossy(&pdf).into_owned();
    assert!(text.contains("/MediaBox [0 0 504 360]"));
    print.page.pdf.ranges = "7-8".into();
    let got = rig.fetcher.fetch(print.clone(), secs(20)).await;
    assert!(
        matches!(&got, Err(Error::Condition(why)) if why.contains("page")),
        "{got:?}"
    );
    print.page.pdf = Pdf::default();
    print.max_bytes = 1000;
    let got = rig.fetcher.fetch(print, secs(20)).await;
    assert!(
        matches!(got, Err(Error::TooLarge { limit: 1000 })),
        "{got:?}"
    );
    rig.nothing_held().await;
    rig.end().await;
}
