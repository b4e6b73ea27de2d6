//! Who may ask at all: the defence of people who run a broker next to their web browser.
//!
//! A page in that browser can reach the loopback interface too. It cannot know a token, but it
//! must not get to try: its requests carry an `Origin`, and those of a name that was rebound to
//! 127.0.0.1 carry that name as `Host`.

use std::net::IpAddr;

use axum::http::{
    HeaderMap, Uri,
    header::{HOST, ORIGIN},
    uri::Authority,
};
use url::{Host, Url};

/// Why a request is refused, whatever it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("requests of web pages are refused: this one has an Origin header")]
    Origin,
    #[error("the request must have one Host header")]
    NoHost,
    #[error(
        "this Host is not served: use an IP address, localhost, or the public URL the broker is \
         configured with"
    )]
    Host,
}

/// The `Host` that a request was let in with.
#[derive(Clone, Debug)]
pub(super) struct Admitted {
    /// Host and port as the client wrote them.
    host: Authority,
    secure: bool,
}

impl Admitted {
    /// Lets a request in by its head. `tls` tells whether it came with it.
    pub(super) fn new(
        uri: &Uri,
        headers: &HeaderMap,
        public: Option<&Url>,
        tls: bool,
    ) -> Result<Self, Refusal> {
        if headers
            .get_all(ORIGIN)
            .iter()
            .any(|origin| is_web(origin.as_bytes()))
        {
            return Err(Refusal::Origin);
        }
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Refusal::NoHost);
        };
        let host = Authority::try_from(host.as_bytes()).map_err(|_| Refusal::Host)?;
        // A request line with a whole URL in it overrides the header (RFC 9112, section 3.2.2).
        for authority in uri.authority().into_iter().chain([&host]) {
            if !is_served(authority, public) {
                return Err(Refusal::Host);
            }
        }
        let behind = public.is_some_and(|url| {
            matches!(url.scheme(), "https" | "wss") && same_host(host.host(), url)
        });
        let secure = tls || behind;
        Ok(Self { host, secure })
    }

    /// The websocket URL that leads the same way as the request came.
    pub(super) fn websocket(&self, path: &str) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        format!("{scheme}://{}{path}", self.host)
    }
}

/// Whether an origin is one that web pages have; a sandboxed one shows as `null`. Extensions and
/// developer tools have schemes of their own.
fn is_web(origin: &[u8]) -> bool {
    let starts = |prefix: &[u8]| {
        let start = origin.get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    starts(b"http:") || starts(b"https:") || origin.trim_ascii().eq_ignore_ascii_case(b"null")
}

fn is_served(authority: &Authority, public: Option<&Url>) -> bool {
    // A name never points elsewhere when it is an address itself, or this machine's own.
    let host = authority.host();
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    // Userinfo has no business here, and would make its way into the answers.
    !authority.as_str().contains('@')
        && (bare.parse::<IpAddr>().is_ok()
            || host.eq_ignore_ascii_case("localhost")
            || public.is_some_and(|url| same_host(host, url)))
}

fn same_host(host: &str, url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain.eq_ignore_ascii_case(host),
        // Addresses are let in anyway; what is asked here is whether they are behind TLS.
        Some(address) => address.to_string() == host,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn admit(host: &str, origin: Option<&str>) -> Result<Admitted, Refusal> {
        let public = Url::parse("wss://berth.example:8443").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        Admitted::new(&Uri::from_static("/x"), &headers, Some(&public), false)
    }

    #[test]
    fn hosts_that_cannot_be_rebound_are_served() {
        for (host, url) in [
            ("127.0.0.1:50052", "ws://127.0.0.1:50052/x"),
            ("10.1.2.3", "ws://10.1.2.3/x"),
            ("[::1]:50052", "ws://[::1]:50052/x"),
            ("localhost:1", "ws://localhost:1/x"),
            ("LOCALHOST", "ws://LOCALHOST/x"),
            ("berth.example:8443", "wss://berth.example:8443/x"),
            ("Berth.Example", "wss://Berth.Example/x"),
        ] {
            assert_eq!(admit(host, None).unwrap().websocket("/x"), url);
        }
    }

    #[test]
    fn other_hosts_are_refused() {
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "berth.example.evil.example",
            "evil.example@127.0.0.1",
            "",
            "a b",
        ] {
            assert_eq!(admit(host, None).unwrap_err(), Refusal::Host, "{host}");
        }
        let mut headers = HeaderMap::new();
        let uri = Uri::from_static("/x");
        let none = Admitted::new(&uri, &headers, None, false);
        assert_eq!(none.unwrap_err(), Refusal::NoHost);
        headers.append(HOST, HeaderValue::from_static("127.0.0.1"));
        let uri = Uri::from_static("http://evil.example/x");
        let target = Admitted::new(&uri, &headers, None, false);
        assert_eq!(target.unwrap_err(), Refusal::Host);
        headers.append(HOST, HeaderValue::from_static("evil.example"));
        let two = Admitted::new(&Uri::from_static("/x"), &headers, None, false);
        assert_eq!(two.unwrap_err(), Refusal::NoHost);
    }

    #[test]
    fn web_pages_are_refused_and_tools_are_not() {
        for origin in [
            "http://127.0.0.1",
            "https://evil.example",
            "HTTP://x",
            "null",
        ] {
            let refusal = admit("127.0.0.1", Some(origin)).unwrap_err();
            assert_eq!(refusal, Refusal::Origin, "{origin}");
        }
        for origin in ["devtools://devtools", "chrome-extension://abc"] {
            assert!(admit("127.0.0.1", Some(origin)).is_ok(), "{origin}");
        }
    }
}
