//! What fuzzing asks of this room; see `crate::fuzzing`.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::Url;

pub(crate) use super::cache::fuzz::stored;
use super::{
    charset::decode, classify::classify, cookies::Jar, html as document, proxy::Proxy,
    redirect::Hop, request::Request, retry_after::retry_after,
};
use crate::content;

/// A URL, a `Location` and a proxy's URL: what is a target is one for good, a redirect leads to
/// targets only, and a proxy's address tells no name and no password.
pub(crate) fn urls(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let sound = |url: &Url| {
        assert!(matches!(url.scheme(), "http" | "https"), "{url}");
        assert!(url.host_str().is_some_and(|host| !host.is_empty()), "{url}");
    };
    if let Ok(url) = Request::target(&text) {
        sound(&url);
        // What is not ASCII grows when it is written out, and may be too long then.
        if url.as_str().len() <= text.len() {
            assert_eq!(Request::target(url.as_str()), Ok(url));
        }
    }
    if let (Ok(location), Ok(url)) = (HeaderValue::from_bytes(data), Url::parse("http://a.test/b"))
    {
        let secret = (header::AUTHORIZATION, HeaderValue::from_static("x"));
        let hop = Hop {
            url,
            method: Method::POST,
            headers: vec![secret],
            body: Bytes::from_static(b"x"),
        };
        for status in [StatusCode::FOUND, StatusCode::TEMPORARY_REDIRECT] {
            if let Ok(Some(next)) = hop.next(status, Some(&location)) {
                sound(&next.url);
                let same = next.url.origin() == hop.url.origin();
                assert!(same || next.headers.is_empty(), "{}", next.url);
            }
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::DATE, location.clone());
        headers.insert(header::RETRY_AFTER, location);
        let _ = retry_after(&headers, std::time::UNIX_EPOCH);
    }
    if let Ok(proxy) = Proxy::parse(&text) {
        assert!(!proxy.address().contains('@'), "{}", proxy.address());
    }
}

/// An HTML document: what a reader sees of it is no more than it has, and the rules decide.
pub(crate) fn html(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let found = document::read(&text);
    // An entity of a few letters may be two characters.
    assert!(
        found.text.len() <= 2 * text.len(),
        "{} bytes",
        found.text.len()
    );
    let _ = classify(&found.seen);
    content::fuzz::html(&text);
}

/// Bytes of an encoding that is declared (up to the first line feed) or not: they become text that
/// is not much longer.
pub(crate) fn charset(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n');
    let (declared, body) = data.split_at(end.unwrap_or_default());
    let declared = String::from_utf8_lossy(declared);
    for (media, host) in [(None, None), (Some(&*declared), Some(&*declared))] {
        let (text, name) = decode(body, media, host);
        assert!(text.len() <= 3 * body.len() + 3, "{name}");
        assert!(encoding_rs::Encoding::for_label(name.as_bytes()).is_some());
    }
}

/// Lines of `Set-Cookie` of one host: none goes to another host, and what goes is bounded.
pub(crate) fn cookies(data: &[u8]) {
    let Ok(home) = Url::parse("https://w.a.test/b/c") else {
        return;
    };
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(header::SET_COOKIE, value);
        }
    }
    let mut jar = Jar::default();
    for _ in 0..3 {
        jar.keep(&headers, &home);
    }
    let sent = |url: &str| jar.header(&Url::parse(url).ok()?, None);
    for other in [
        "https://b.test/b/c",
        "https://test/b/c",
        "http://127.0.0.1/b/c",
    ] {
        assert_eq!(sent(other), None, "{other}");
    }
    if let Some(value) = sent(home.as_str()) {
        assert!(value.len() <= 180 * (4096 + 3), "{} bytes", value.len());
        assert!(value.is_sensitive());
    }
    // The same as a caller may give them.
    let text = String::from_utf8_lossy(data);
    let (name, value) = text.split_once('=').unwrap_or((&text, ""));
    let given = super::Cookie {
        name: name.into(),
        value: value.into(),
        domain: String::new(),
        path: String::new(),
        secure: false,
        http_only: false,
    };
    let jar = Jar::new(&[given], &home).ok();
    if let Some(sent) = jar.and_then(|jar| jar.header(&home, None)) {
        assert_eq!(sent.as_bytes(), format!("{name}={value}").as_bytes());
    }
}
