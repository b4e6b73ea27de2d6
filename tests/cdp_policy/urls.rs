//! URLs that are not opened, however they are spelled.

use super::*;

/// URLs that lead out of the web, as somebody may spell them who wants in.
fn forbidden_urls() -> Vec<String> {
    let mut urls: Vec<String> = [
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "FiLe:///etc/passwd",
        "file:/etc/passwd",
        "file:etc/passwd",
        "file://localhost/etc/passwd",
        "file://127.0.0.1/etc/passwd",
        "file:\\\\\\etc\\passwd",
        "file:///etc/./passwd",
        "file:////etc/passwd",
        "file:///%65tc/passwd",
        "file:///etc/passwd#x",
        "file:///etc/passwd?x",
        "file:",
        "file://",
        " file:///etc/passwd",
        "\tfile:///etc/passwd",
        "\nfile:///etc/passwd",
        "\r\n file:///etc/passwd \r\n",
        "\u{0}file:///etc/passwd",
        "\u{1f}\u{1}file:///etc/passwd",
        "fi\tle:///etc/passwd",
        "fi\nle:///etc/passwd",
        "f\ri\nl\te\n:///etc/passwd",
        "file\n:///etc/passwd",
        "file:\n///etc/passwd",
        "file:/\t/\n/etc/passwd",
        "view-source:file:///etc/passwd",
        "VIEW-SOURCE:FILE:///etc/passwd",
        "view-source:view-source:file:///etc/passwd",
        "view-source:http://a.example/",
        "view-\nsource:file:///etc/passwd",
        "view-source: file:///etc/passwd",
        "filesystem:file:///temporary/x",
        "filesystem:http://a.example/temporary/x",
        "blob:file:///7f2c",
        "blob:chrome://version/7f2c",
        "blob:",
        "blob:7f2c",
        "chrome://version",
        "chrome://settings",
        "Chrome://gpu",
        "chrome:version",
        "chrome://crash",
        "chrome-untrusted://x/",
        "chrome-error://chromewebdata/",
        "chrome-search://x/",
        "chrome-native://x/",
        "chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/x.html",
        "devtools://devtools/bundled/inspector.html",
        "chrome-devtools://devtools/x",
        "isolated-app://x/",
        "about:version",
        "about:gpu",
        "about:BLANK",
        "about:",
        "about:blank/../x",
        "ftp://a.example/x",
        "mailto:a@a.example",
        "tel:1",
        "intent://x#Intent;end",
        "content://x",
        "ws://a.example/",
        "wss://a.example/",
        "x:y",
        "c:\\windows\\win.ini",
        "c:/x",
        "/etc/passwd",
        "//etc/passwd",
        "\\\\host\\share",
        "etc/passwd",
        "../x",
        "passwd",
        "?x",
        "#x",
        ":file:///etc/passwd",
        "-file:///etc/passwd",
        "ﬁle:///etc/passwd",
        "file：///etc/passwd",
        "\u{200b}file:///etc/passwd",
        "http://",
        "http://[x",
        "https://a b/",
        "jar:file:///x!/y",
        "cid:x",
        "externalfile:x",
        "googlechrome://x",
        "search:x",
    ]
    .map(str::to_owned)
    .to_vec();
    urls.push(format!("{}file:///etc/passwd", " ".repeat(5000)));
    urls
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_forbidden_url_is_opened() {
    let broker = Broker::start().await;
    let lease = lease(&broker).await;
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    let urls = forbidden_urls();
    assert!(urls.len() >= 40);
    for url in &urls {
        let params = json!({"url": url});
        let answer = client
            .call(Some(&page), "Page.navigate", params.clone())
            .await;
        assert_eq!(
            denied(&answer).as_deref(),
            Some("scheme"),
            "{url:?}: {answer}"
        );
        let answer = client.call(None, "Target.createTarget", params).await;
        assert_eq!(
            denied(&answer).as_deref(),
            Some("scheme"),
            "{url:?}: {answer}"
        );
    }
    assert_eq!(
        client.evaluate(&page, "String(location)").await,
        "about:blank"
    );
    let targets = client.call(None, "Target.getTargets", json!({})).await;
    let targets = targets["result"]["targetInfos"].as_array().unwrap().len();
    assert_eq!(targets, 1, "nothing was opened");
    for url in [
        broker.site.url("/"),
        "data:text/html,<p>x".into(),
        "about:blank".into(),
    ] {
        let answer = client
            .call(Some(&page), "Page.navigate", json!({"url": url}))
            .await;
        assert!(
            answer["result"]["errorText"].is_null() && answer["error"].is_null(),
            "{answer}"
        );
        let answer = client
            .call(None, "Target.createTarget", json!({"url": url}))
            .await;
        assert!(answer["result"]["targetId"].is_string(), "{answer}");
    }
    broker.release(&lease).await;
    drop(client);
    broker.stop().await;
}
