//! Proxies on the way out.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, Uri};
use hyper_util::{
    client::legacy::connect::proxy::{SocksV4, SocksV5, Tunnel},
    rt::TokioIo,
};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, crypto::aws_lc_rs, pki_types::ServerName},
};
use tower::Service;
use url::{Host, Url};

use super::{Rule, Target, proxy::Failure};

/// A connection, whatever it goes through.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}
pub(super) type Stream = Box<dyn Wire>;

/// The longest name or password, in bytes: what SOCKS5 can say (RFC 1929).
const LONGEST_WORD: usize = 255;

/// The operator's proxy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The file with name and password is of no use.
    #[error("egress_proxy_credentials: {}: {why}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A pattern of what goes around it cannot be read.
    #[error("egress_proxy_bypass: {0}")]
    Bypass(String),
}

/// A proxy on the way out: how it is spoken to, where it is, and who asks.
#[derive(Clone)]
pub struct Upstream {
    kind: Kind,
    target: Target,
    /// Name and password.
    credentials: Option<(String, String)>,
    /// Where its own connection is secured.
    tls: Option<Arc<ClientConfig>>,
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `CONNECT` (RFC 9110, 9.3.6).
    Http,
    /// The same over TLS.
    Https,
    /// An IPv4 address is handed over.
    Socks4,
    /// An address is handed over.
    Socks5,
    /// The name is handed over (RFC 1928).
    Socks5h,
}

impl Upstream {
    /// Reads a proxy's URL: `http`, `https`, `socks4`, `socks5` or `socks5h`, host and port, and name
    /// and password where it asks for them. A socks5 proxy is told addresses, a socks5h proxy names.
    ///
    /// # Errors
    /// What is wrong with it, without repeating what may be secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
        let (kind, port) = match url.scheme() {
            "http" => (Kind::Http, 80),
            "https" => (Kind::Https, 443),
            "socks4" => (Kind::Socks4, 1080),
            "socks5" => (Kind::Socks5, 1080),
            "socks5h" => (Kind::Socks5h, 1080),
            _ => return Err("the scheme must be http, https, socks4, socks5 or socks5h".into()),
        };
        let port = url.port().unwrap_or(port);
        let host = match url.host() {
            // Of schemes that are not the web's, the host is left as it was written.
            Some(Host::Domain(name)) if !name.is_empty() => {
                Host::parse(name).map_err(|error| format!("the host cannot be read: {error}"))?
            }
            Some(Host::Domain(_)) | None => return Err("the host is missing".into()),
            Some(host) => host.to_owned(),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("must be scheme://host:port without a path".into());
        }
        let plain = |text: &str| {
            let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
            let decoded = decoded.map_err(|_| "name and password must be UTF-8".to_owned())?;
            if decoded.len() > LONGEST_WORD {
                return Err(format!(
                    "name and password have at most {LONGEST_WORD} bytes"
                ));
            }
            Ok(decoded.into_owned())
        };
        let name = plain(url.username())?;
        let password = plain(url.password().unwrap_or_default())?;
        let told = !name.is_empty() || !password.is_empty();
        if told && kind == Kind::Socks4 {
            return Err("a socks4 proxy is told no name and no password".into());
        }
        Ok(Self {
            kind,
            target: Target::owned(host, port),
            credentials: told.then_some((name, password)),
            tls: (kind == Kind::Https).then(tls).transpose()?,
        })
    }

    /// Where it is.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The same, told names instead of addresses where it understands them.
    #[must_use]
    pub fn told_names(mut self) -> Self {
        if self.kind == Kind::Socks5 {
            self.kind = Kind::Socks5h;
        }
        self
    }

    /// The same, told who asks: a name and a password of at most 255 bytes each.
    #[must_use]
    pub fn with_credentials(mut self, name: String, password: String) -> Self {
        self.credentials = Some((name, password));
        self
    }

    /// The same, told who asks by the first line of the file `path`: `NAME:PASSWORD`.
    ///
    /// # Errors
    /// See [`ProxyError`].
    pub fn with_credentials_of(self, path: &Path) -> Result<Self, ProxyError> {
        let failed = |why: String| ProxyError::Credentials {
            path: path.to_owned(),
            why,
        };
        let read = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let line = read.lines().next().unwrap_or_default();
        let Some((name, password)) = line.split_once(':') else {
            return Err(failed("its first line must be NAME:PASSWORD".into()));
        };
        if name.is_empty() || name.len() > LONGEST_WORD || password.len() > LONGEST_WORD {
            let why =
                format!("name and password have at most {LONGEST_WORD} bytes, and the name one");
            return Err(failed(why));
        }
        if self.kind == Kind::Socks4 {
            return Err(failed(
                "a socks4 proxy is told no name and no password".into(),
            ));
        }
        Ok(self.with_credentials(name.to_owned(), password.to_owned()))
    }

    /// Whether it is told who asks.
    #[must_use]
    pub const fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// Whether it takes plain HTTP requests as they are.
    #[must_use]
    pub const fn is_http(&self) -> bool {
        matches!(self.kind, Kind::Http | Kind::Https)
    }

    /// What an HTTP proxy is told of who asks (RFC 7617).
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let (name, password) = self.credentials.as_ref()?;
        let value = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Whether it looks names up itself.
    pub(super) const fn looks_up(&self) -> bool {
        matches!(self.kind, Kind::Http | Kind::Https | Kind::Socks5h)
    }

    /// Whether it takes no IPv6 address.
    pub(super) const fn is_v4_only(&self) -> bool {
        matches!(self.kind, Kind::Socks4)
    }

    /// Has it connect `stream`, which leads to it, on to `target`. What it says before the other end
    /// of the tunnel does is lost with HTTP proxies, as none may say anything then.
    ///
    /// # Errors
    /// [`Failure::Proxy`].
    pub(super) async fn join(&self, stream: Stream, target: &Target) -> Result<Stream, Failure> {
        let failed = |why: &dyn fmt::Display| {
            Failure::Proxy(format!("the proxy {} to {target}: {why}", self.target))
        };
        let stream = self.secured(stream).await?;
        // Only host and port are read of both.
        let uri = |target: &Target| {
            let uri = Uri::builder().scheme("http").path_and_query("/");
            let uri = uri.authority(target.to_string()).build();
            uri.map_err(|error| failed(&error))
        };
        let (own, uri) = (uri(&self.target)?, uri(target)?);
        let mut stream = Some(TokioIo::new(stream));
        let here = tower::service_fn(move |_: Uri| {
            let stream = stream.take().ok_or(io::ErrorKind::NotConnected);
            std::future::ready(stream.map_err(io::Error::from))
        });
        let joined = match (self.kind, &self.credentials) {
            (Kind::Http | Kind::Https, _) => {
                let mut tunnel = Tunnel::new(own, here);
                if let Some(who) = self.authorization() {
                    tunnel = tunnel.with_auth(who);
                }
                tunnel.call(uri).await.map_err(|error| failed(&error))?
            }
            (Kind::Socks4, _) => {
                let joining = SocksV4::new(own, here).call(uri);
                joining.await.map_err(|error| failed(&error))?
            }
            (Kind::Socks5 | Kind::Socks5h, who) => {
                let mut socks = SocksV5::new(own, here);
                if let Some((name, password)) = who.clone() {
                    socks = socks.with_auth(name, password);
                }
                socks.call(uri).await.map_err(|error| failed(&error))?
            }
        };
        Ok(joined.into_inner())
    }

    /// `stream`, which leads to it, as it is spoken to.
    ///
    /// # Errors
    /// [`Failure::Proxy`].
    pub(super) async fn secured(&self, stream: Stream) -> Result<Stream, Failure> {
        let Some(tls) = &self.tls else {
            return Ok(stream);
        };
        let secured = self.secure(tls, stream).await;
        secured.map_err(|error| Failure::Proxy(format!("the proxy {}: {error}", self.target)))
    }

    async fn secure(&self, tls: &Arc<ClientConfig>, stream: Stream) -> io::Result<Stream> {
        let name = match self.target.host() {
            Host::Domain(name) => ServerName::try_from(name.clone()).map_err(io::Error::other)?,
            Host::Ipv4(address) => ServerName::from(std::net::IpAddr::V4(*address)),
            Host::Ipv6(address) => ServerName::from(std::net::IpAddr::V6(*address)),
        };
        let connector = TlsConnector::from(Arc::clone(tls));
        Ok(Box::new(connector.connect(name, stream).await?))
    }
}

/// Trusts whom the system does.
fn tls() -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_platform_verifier());
    let config = config.map_err(|error| format!("TLS cannot be set up: {error}"))?;
    Ok(Arc::new(config.with_no_client_auth()))
}

impl PartialEq for Upstream {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.target, &self.credentials)
            == (other.kind, &other.target, &other.credentials)
    }
}

impl Eq for Upstream {}

impl fmt::Debug for Upstream {
    /// Without name and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upstream({:?} {})", self.kind, self.target)
    }
}

/// A proxy, and what is reached without it.
#[derive(Clone, Debug, PartialEq)]
pub struct Detour {
    upstream: Arc<Upstream>,
    bypass: Arc<[Bypass]>,
}

/// What goes around a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Bypass {
    /// Names without a dot.
    Local,
    Rule(Rule),
}

impl Bypass {
    /// `None` for Chromium's word for that nothing goes around a proxy by itself: nothing does here.
    fn read(pattern: &str) -> Result<Option<Self>, String> {
        let rule = match (pattern.trim(), pattern.trim().strip_prefix('.')) {
            ("<local>", _) => return Ok(Some(Self::Local)),
            ("<-loopback>", _) => return Ok(None),
            (_, Some(name)) => format!("*.{name}").parse(),
            (pattern, None) => pattern.parse(),
        };
        let rule = rule.map_err(|error: super::ParseError| error.to_string());
        rule.map(|rule| Some(Self::Rule(rule)))
    }
}

impl Detour {
    /// Through `upstream`, but not to what one of `bypass` names: a rule such as `*.example.org`,
    /// `10.0.0.0/8` or `example.org:8080`, `.example.org` for `*.example.org`, `<local>` for names
    /// without a dot. Addresses are compared with those that were asked for, not with those of names.
    ///
    /// # Errors
    /// What is wrong with the first pattern that is.
    pub fn new(upstream: Upstream, bypass: &[impl AsRef<str>]) -> Result<Self, String> {
        let bypass = bypass.iter().map(|pattern| Bypass::read(pattern.as_ref()));
        let bypass: Result<Vec<_>, String> = bypass.filter_map(Result::transpose).collect();
        Ok(Self {
            upstream: Arc::new(upstream),
            bypass: bypass?.into(),
        })
    }

    /// Whether `pattern` is one of those that [`Detour::new`] takes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(pattern: &str) -> Result<(), String> {
        Bypass::read(pattern).map(drop)
    }

    /// The proxy.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// How many patterns name what goes around it.
    #[must_use]
    pub fn bypasses(&self) -> usize {
        self.bypass.len()
    }

    /// Whether `target` is reached through it.
    pub(super) fn is_for(&self, target: &Target) -> bool {
        !self.bypass.iter().any(|bypass| match bypass {
            Bypass::Local => target.name().is_some_and(|name| !name.contains('.')),
            Bypass::Rule(rule) => {
                let port = target.port();
                target.name().is_some_and(|name| rule.names(name, port))
                    || target
                        .address()
                        .is_some_and(|address| rule.covers(address, port))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_with_their_credentials() {
        let read = |text: &str| Upstream::parse(text).unwrap();
        let http = read("http://me:se%40cret@Proxy.test/");
        assert_eq!(http.target().to_string(), "proxy.test:80");
        assert_eq!(http.credentials, Some(("me".into(), "se@cret".into())));
        assert!(http.looks_up() && !format!("{http:?}").contains("cret"));
        let socks = read("socks5://127.1:1081");
        assert_eq!(socks.target().to_string(), "127.0.0.1:1081");
        assert!(!socks.looks_up() && socks.clone().told_names().looks_up());
        assert!(read("socks5h://[::1]").looks_up());
        assert_eq!(read("socks4://proxy").target().port(), 1080);
        assert_eq!(read("https://proxy").target().port(), 443);
        for wrong in [
            "proxy:8080",
            "ftp://proxy",
            "http://proxy/path",
            "http://proxy?a",
            "socks5://",
            "socks5://a b",
            "socks4://me@proxy",
            "",
        ] {
            assert!(Upstream::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn name_and_password_may_come_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |scheme: &str, text: &str| {
            fs::write(file.path(), text).unwrap();
            let proxy = Upstream::parse(&format!("{scheme}://proxy.test")).unwrap();
            proxy.with_credentials_of(file.path())
        };
        let read_well = read("http", "me:se:cret\nmore\n").unwrap();
        assert_eq!(read_well.credentials, Some(("me".into(), "se:cret".into())));
        assert!(read("socks5h", "me:").is_ok());
        let long = format!("me:{}", "x".repeat(256));
        for (scheme, text) in [
            ("http", ""),
            ("http", "secret"),
            ("http", ":secret"),
            ("http", &long),
            ("socks4", "me:secret"),
        ] {
            let refused = read(scheme, text).unwrap_err().to_string();
            assert!(
                refused.starts_with("egress_proxy_credentials: "),
                "{refused}"
            );
            assert!(!refused.contains("secret"), "{refused}");
        }
        let proxy = Upstream::parse("http://proxy.test").unwrap();
        let missing = proxy.with_credentials_of(Path::new("/nowhere/at/all"));
        assert!(missing.unwrap_err().to_string().contains("/nowhere/at/all"));
    }

    #[test]
    fn what_is_named_goes_around() {
        let upstream = || Upstream::parse("http://proxy.test:3128").unwrap();
        let patterns = [
            "*.internal",
            ".corp.test",
            "10.0.0.0/8",
            "plain.test:8080",
            "<local>",
            "<-loopback>",
        ];
        let detour = Detour::new(upstream(), &patterns).unwrap();
        let around = |host: &str, port| {
            let host = Host::parse(host).unwrap();
            !detour.is_for(&Target::owned(host, port))
        };
        assert!(around("db.internal", 80) && around("a.corp.test", 80));
        assert!(around("10.1.2.3", 80) && around("plain.test", 8080));
        assert!(around("printer", 80) && around("localhost", 80));
        assert!(!around("internal.test", 80) && !around("plain.test", 80));
        assert!(!around("127.0.0.1", 80) && !around("11.1.2.3", 80));
        for wrong in ["http://a.test", "a*b", "10.0.0.1/8", ""] {
            assert!(Detour::new(upstream(), &[wrong]).is_err(), "{wrong}");
        }
    }
}
