//! What fuzzing asks of this room; see `crate::fuzzing`.

use url::Url;

use super::{Error, Kind, Limits, Want, convert, kind, read_html};

/// The types that a first byte stands for.
const TYPES: [&str; 6] = [
    "application/json",
    "application/rss+xml",
    "application/atom+xml",
    "application/feed+json",
    "application/xml",
    "text/plain",
];

/// A document that is no HTML, of the type that the first byte stands for, or of none: what is made of
/// it is bounded.
pub(crate) fn any(data: &[u8]) {
    let Some((first, body)) = data.split_first() else {
        return;
    };
    let media = TYPES.get(usize::from(*first)).copied();
    if matches!(kind(body, media), None | Some(Kind::Pdf | Kind::Html)) {
        return;
    }
    let (limits, url) = (Limits::default(), Url::parse("http://a.test/b/c").ok());
    match convert(body, media, url.as_ref(), &limits, &|| false) {
        Ok(made) => assert!(made.markdown.text.len() <= limits.max_output),
        Err(Error::Stopped) => panic!("nobody stopped it"),
        Err(_) => {}
    }
}

/// An HTML document: what is read of it is bounded, and links are absolute.
pub(crate) fn html(html: &str) {
    let (limits, url) = (Limits::default(), Url::parse("http://a.test/b/c").ok());
    let content = match read_html(html, url.as_ref(), Want::ALL, &limits, &|| false) {
        Ok(content) => content,
        Err(Error::Stopped) => panic!("nobody stopped it"),
        Err(_) => return,
    };
    let texts = content.markdown.into_iter().chain(content.text);
    for text in texts {
        assert!(text.text.len() <= limits.max_output);
    }
    let links = content.links.unwrap_or_default();
    assert!(links.links.len() <= limits.max_links);
    for link in links.links {
        assert!(Url::parse(&link.url).is_ok(), "{}", link.url);
    }
}
