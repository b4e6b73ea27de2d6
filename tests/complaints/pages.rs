//! Pages that hang, and pages that are empty.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn c05_a_page_that_never_yields_does_not_pin_its_slot() {
    let broker = Broker::start().await;
    let mut request = Request::new(FetchRequest {
        url: broker.site.url("/loop"),
        strategy: FetchStrategy::Browser.into(),
        ..FetchRequest::default()
    });
    request.set_timeout(Duration::from_secs(2));
    let begun = Instant::now();
    let error = broker.fetches().fetch(request).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::DeadlineExceeded, "DEADLINE")
    );
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    until("its seat is free", async || {
        broker
            .status()
            .await
            .browsers
            .iter()
            .all(|one| one.contexts == 0)
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c20_a_stuck_page_is_not_handed_over() {
    let broker = Broker::with(|config| {
        config.max_browsers = 1;
        config.health_check_timeout = Duration::from_secs(3);
        // The check at the hand-over must see it, not the one that comes by.
        config.health_check_interval = Duration::from_secs(60);
    })
    .await;
    let spare = broker.status().await.browsers.remove(0);
    // A renderer is a fork of the zygote that renames itself.
    let renderers = async || !of_type(spare.pid, "renderer").is_empty();
    until("its page has a process", renderers).await;
    for renderer in of_type(spare.pid, "renderer") {
        kill(Pid::from_raw(renderer), Signal::SIGSTOP).unwrap();
    }
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    assert_ne!(lease.browser.clone().unwrap().id, spare.id);
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    assert_eq!(client.evaluate(&page, "6 * 7").await, 42);
    drop(client);
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "the test's own origin")]
async fn c25_an_empty_success_says_what_it_is() {
    let broker = Broker::start().await;
    let words = "A plain sentence that somebody wrote for somebody to read. ".repeat(20);
    let article = format!(
        "<title>Ferries</title><header><a href=/login>Log in</a></header><h1>Ferries</h1><p>{words}"
    );
    let login = "<title>Sign in</title><h1>Sign in</h1><form><input name=user>\
        <input type=password><button>Sign in</button></form>";
    let shell = "<title>App</title><noscript>You need to enable JavaScript.</noscript>\
        <div id=root></div><script>if (!window) render()</script>";
    let pages = [
        (
            "",
            "<title>nothing</title><body></body>",
            Verdict::Empty,
            Verdict::Empty,
        ),
        ("", &article, Verdict::Content, Verdict::Content),
        ("", login, Verdict::LoginWall, Verdict::LoginWall),
        (
            "401 Unauthorized",
            "<p>no",
            Verdict::LoginWall,
            Verdict::LoginWall,
        ),
        (
            "",
            "<h1>Are you a robot?</h1><div class=h-captcha></div>",
            Verdict::Blocked,
            Verdict::Blocked,
        ),
        (
            "429 Too Many Requests",
            "<p>slow down",
            Verdict::Blocked,
            Verdict::Blocked,
        ),
        (
            "404 Not Found",
            &article,
            Verdict::ErrorPage,
            Verdict::ErrorPage,
        ),
        (
            "",
            "<title>Page not found</title><h1>Sorry</h1>",
            Verdict::ErrorPage,
            Verdict::ErrorPage,
        ),
        ("", shell, Verdict::Unrendered, Verdict::Unrendered),
    ];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = listener.local_addr().unwrap();
    let answers: Vec<_> = pages
        .iter()
        .map(|(status, body, ..)| {
            let status = if status.is_empty() { "200 OK" } else { status };
            format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                body.len()
            )
        })
        .collect();
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let page = request
                .split(['/', ' '])
                .nth(2)
                .and_then(|page| page.parse().ok());
            let answer = page.and_then(|page: usize| answers.get(page));
            let _ = stream
                .write_all(answer.map_or("", String::as_str).as_bytes())
                .await;
        }
    });
    for (at, (_, body, by_http, by_browser)) in pages.into_iter().enumerate() {
        for (strategy, verdict) in [
            (FetchStrategy::Http, by_http),
            (FetchStrategy::Browser, by_browser),
        ] {
            let request = FetchRequest {
                url: format!("http://{origin}/{at}"),
                strategy: strategy.into(),
                ..FetchRequest::default()
            };
            let got = broker.fetches().fetch(request).await.unwrap().into_inner();
            assert_eq!(
                got.verdict(),
                verdict,
                "{strategy:?} {body}: {}",
                got.verdict_detail
            );
            assert!(!got.verdict_detail.is_empty());
            let code = verdict.as_str_name().trim_start_matches("CONTENT_VERDICT_");
            let warned = got
                .warnings
                .iter()
                .any(|one| one.code.eq_ignore_ascii_case(code));
            assert_eq!(warned, verdict != Verdict::Content, "{:?}", got.warnings);
        }
    }
    serving.abort();
    let _ = serving.await;
    broker.stop().await;
}
