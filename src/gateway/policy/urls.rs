//! Which URLs a client may send its browser to.

use url::Url;

/// The longest scheme that an answer repeats, in bytes.
const MAX_SCHEME: usize = 32;

/// Whether `text` may be opened; else what it is instead, in words that follow the command.
///
/// It is read as Chromium reads it (WHATWG URL Standard, "basic URL parser"): blanks and control
/// characters around it, tabs and line breaks in it and the case of its scheme mean nothing. What
/// is not absolute is denied: some of Chromium's ways in would complete it.
pub(super) fn check(text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|_| " to what is not an absolute URL".to_owned())?;
    let open = match url.scheme() {
        // Of the scripts of a page, which could do all of it themselves.
        "http" | "https" | "data" | "javascript" => true,
        "about" => matches!(url.path(), "blank" | "srcdoc"),
        // It belongs to an origin, and opens what that could open.
        "blob" => {
            let origin = url.path();
            ["http:", "https:", "null/"]
                .iter()
                .any(|start| origin.starts_with(start))
        }
        _ => false,
    };
    if open {
        return Ok(());
    }
    let scheme = url.scheme();
    // A scheme is ASCII, so that any cut is between characters.
    Err(format!(" to {}:", &scheme[..scheme.len().min(MAX_SCHEME)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_web_is_open() {
        for url in [
            "http://a.example/",
            "HTTPS://A.example:8443/x?y#z",
            " \t\nhttp://a.example",
            "ht\ntp://a.example",
            "http:a.example",
            "http:\\\\a.example\\b",
            "about:blank",
            "about:srcdoc",
            "ABOUT:blank#x",
            "data:text/html,<p>",
            "javascript:1",
            "blob:http://a.example/7f2c",
            "blob:null/7f2c",
        ] {
            assert_eq!(check(url), Ok(()), "{url:?}");
        }
    }

    #[test]
    fn what_is_denied_is_named() {
        for (url, what) in [
            ("file:///etc/passwd", " to file:"),
            ("FILE:/x", " to file:"),
            ("view-source:http://a.example", " to view-source:"),
            ("blob:file:///x", " to blob:"),
            ("about:version", " to about:"),
            ("/etc/passwd", " to what is not an absolute URL"),
            ("", " to what is not an absolute URL"),
        ] {
            assert_eq!(check(url), Err(what.to_owned()), "{url:?}");
        }
        let long = check(&format!("{}:x", "s".repeat(1000))).unwrap_err();
        assert_eq!(long.len(), 4 + MAX_SCHEME + 1);
    }
}
