//! The proxy of a fetch.

use std::fmt;

use http::{HeaderValue, Uri};
use url::Url;

use crate::egress::{Detour, Target, Upstream};

/// A proxy: where it is, and what it wants to know.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proxy {
    kind: Kind,
    /// Its scheme, host and port.
    address: String,
    target: Target,
    name: String,
    password: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Http,
    Https,
    Socks5,
}

impl Proxy {
    /// Reads a proxy's URL: `http:`, `https:` or `socks5:`, with name and password where it asks
    /// for them.
    ///
    /// # Errors
    /// What is wrong with it, without repeating what may be secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("not an absolute URL: {error}"))?;
        let (kind, port) = match url.scheme() {
            "http" => (Kind::Http, 80),
            "https" => (Kind::Https, 443),
            "socks5" => (Kind::Socks5, 1080),
            other => return Err(format!("`{other}:` is none of http:, https:, socks5:")),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or("the URL has no host")?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("a proxy's URL has no path, query or fragment".into());
        }
        let plain = |text: &str| {
            let bytes = percent_decoded(text);
            String::from_utf8(bytes).map_err(|_| "name and password must be UTF-8".to_owned())
        };
        let (name, password) = (
            plain(url.username())?,
            plain(url.password().unwrap_or_default())?,
        );
        // What SOCKS5 can say (RFC 1929).
        if name.len() > 255 || password.len() > 255 {
            return Err("name and password have at most 255 bytes".into());
        }
        let port = url.port().unwrap_or(port);
        let known = url.host().map(|host| Target::new(host, port));
        let target = known.ok_or("the URL has no host")?;
        let address = format!("{}://{host}:{port}", url.scheme());
        if address.parse::<Uri>().is_err() {
            return Err("the URL's host cannot be reached".into());
        }
        Ok(Self {
            kind,
            address,
            target,
            name,
            password,
        })
    }

    /// Its URL without name and password.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it is.
    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    /// Its name and password, when it has them.
    #[must_use]
    pub fn credentials(&self) -> Option<(&str, &str)> {
        let some = !self.name.is_empty() || !self.password.is_empty();
        some.then_some((self.name.as_str(), self.password.as_str()))
    }

    /// The same for a browser's egress proxy: everything goes through it.
    pub(super) fn detour(&self) -> Result<Detour, String> {
        // Over HTTP, too, SOCKS is told names.
        let mut upstream = Upstream::parse(&self.address)?.told_names();
        if let Some((name, password)) = self.credentials() {
            upstream = upstream.with_credentials(name.to_owned(), password.to_owned());
        }
        Detour::new(upstream, &[] as &[&str])
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Proxy");
        shown.field("address", &self.address);
        shown.field("credentials", &self.credentials().is_some());
        shown.finish_non_exhaustive()
    }
}

/// Basic authentication (RFC 7617).
pub(super) fn basic(name: &str, password: &str) -> Option<HeaderValue> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let value = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The bytes that a percent-encoded part of a URL stands for.
pub(super) fn percent_decoded(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_with_its_credentials() {
        let proxy = Proxy::parse("http://me:se%40cret@proxy.test:8080/").unwrap();
        assert_eq!(proxy.address(), "http://proxy.test:8080");
        assert_eq!(proxy.credentials(), Some(("me", "se@cret")));
        assert!(!format!("{proxy:?}").contains("cret"), "it is no secret");
        let socks = Proxy::parse("socks5://[::1]").unwrap();
        assert_eq!(
            (socks.kind(), socks.address()),
            (Kind::Socks5, "socks5://[::1]:1080")
        );
        assert_eq!(socks.credentials(), None);
        assert_eq!(basic("a", "b").unwrap(), "Basic YTpi");
    }

    #[test]
    fn what_is_no_proxy_is_told() {
        for wrong in [
            "proxy:8080",
            "ftp://proxy",
            "socks4://proxy",
            "http://proxy/path",
            "http://proxy?a",
            "socks5://",
            "",
        ] {
            assert!(Proxy::parse(wrong).is_err(), "{wrong}");
        }
    }
}
