//! What can be asked for below a lease.

/// What a path below `/lease/<token>` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// A websocket to the browser target.
    Browser,
    /// A websocket to the target at this path of the browser's own port.
    Target(&'a str),
    /// One of the browser's discovery pages, with websocket URLs in it.
    Discovery(&'static str),
    /// The lease's files; one of them, by its name as it stands in the path.
    Files(Option<&'a str>),
    /// The description of the protocol, passed on as it is.
    Protocol,
    /// The browser has it, but not for clients of a lease.
    Withheld,
    /// Nothing.
    Unknown,
}

/// Splits the path of a request into a token and what is asked for; `None` when it is not below a
/// lease. The token may be anything.
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/lease/")?;
    let end = rest.find('/').unwrap_or(rest.len());
    Some(rest.split_at(end))
}

impl<'a> Route<'a> {
    /// Reads the path below a lease: empty, or with a leading slash.
    pub(super) fn parse(path: &'a str) -> Self {
        // Playwright asks for `json/version/`.
        let path = path.strip_suffix('/').unwrap_or(path);
        match path {
            "" => return Self::Browser,
            "/json/version" => return Self::Discovery("/json/version"),
            "/json" | "/json/list" => return Self::Discovery("/json/list"),
            "/json/protocol" => return Self::Protocol,
            "/files" => return Self::Files(None),
            _ => {}
        }
        if let Some(name) = path
            .strip_prefix("/files/")
            .filter(|name| !name.contains('/'))
        {
            return Self::Files(Some(name));
        }
        let target = ["/devtools/page/", "/devtools/browser/"]
            .iter()
            .find_map(|prefix| path.strip_prefix(prefix));
        match target {
            Some(id) if is_id(id) => Self::Target(path),
            _ if path.starts_with("/json/") => Self::Withheld,
            _ => Self::Unknown,
        }
    }
}

/// Whether `text` may go into a path as it is.
fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_what_clients_expect() {
        for (path, route) in [
            ("", Route::Browser),
            ("/", Route::Browser),
            ("/json", Route::Discovery("/json/list")),
            ("/json/", Route::Discovery("/json/list")),
            ("/json/list/", Route::Discovery("/json/list")),
            ("/json/version", Route::Discovery("/json/version")),
            ("/json/version/", Route::Discovery("/json/version")),
            ("/json/protocol", Route::Protocol),
            ("/devtools/page/A-1", Route::Target("/devtools/page/A-1")),
            ("/devtools/browser/b", Route::Target("/devtools/browser/b")),
            ("/devtools/page/", Route::Unknown),
            ("/devtools/page/A/../B", Route::Unknown),
            ("/devtools/page/A%20B", Route::Unknown),
            ("/devtools/inspector.html", Route::Unknown),
            ("/files", Route::Files(None)),
            ("/files/", Route::Files(None)),
            ("/files/a%20b.txt", Route::Files(Some("a%20b.txt"))),
            ("/files/..", Route::Files(Some(".."))),
            ("/files/a/b", Route::Unknown),
            ("/files//", Route::Files(Some(""))),
            ("/filesystem", Route::Unknown),
            ("/json/new", Route::Withheld),
            ("/json/close/A", Route::Withheld),
            ("/json/activate/A", Route::Withheld),
        ] {
            assert_eq!(Route::parse(path), route, "{path}");
        }
    }

    #[test]
    fn a_token_ends_at_the_next_slash() {
        assert_eq!(split("/lease/t"), Some(("t", "")));
        assert_eq!(split("/lease/t/json/"), Some(("t", "/json/")));
        assert_eq!(split("/lease/"), Some(("", "")));
        assert_eq!(split("/lease"), None);
        assert_eq!(split("/"), None);
    }
}
