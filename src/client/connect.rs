//! How to reach a broker, and how to show it who calls.

use std::{fmt, time::Duration};

use tokio::runtime::Handle;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use super::{Client, Error};
use crate::drain::Drain;

/// How long a connection may take to be there.
const CONNECT: Duration = Duration::from_secs(5);
/// A quiet connection is asked so often whether it still is one.
const PING: Duration = Duration::from_secs(20);
/// How long the answer may take.
const PONG: Duration = Duration::from_secs(10);

/// Adds the token to each call.
#[derive(Clone, Default)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.as_ref().map(|_| "redacted");
        f.debug_tuple("Bearer").field(&shown).finish()
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// What a connection is made with.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    endpoint: String,
    token: Option<Token>,
    tls: ClientTlsConfig,
    own_authorities: bool,
}

/// Never shown.
#[derive(Clone)]
struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redacted")
    }
}

impl Builder {
    pub(super) fn new(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            token: None,
            tls: ClientTlsConfig::new(),
            own_authorities: false,
        }
    }

    /// The token to call with, sent as `authorization: Bearer`. White space around it does not count, and
    /// an empty one is none.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Token(token.into()));
        self
    }

    /// The authorities that the broker's certificate may be of, as PEM, in place of the system's.
    pub fn ca(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.tls = self.tls.ca_certificate(Certificate::from_pem(pem));
        self.own_authorities = true;
        self
    }

    /// The certificate that shows the broker who calls, and its private key, as PEM.
    pub fn identity(mut self, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.tls = self.tls.identity(Identity::from_pem(certificate, key));
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// [`Error::Endpoint`] when the address, a certificate or a key is none, [`Error::Token`] when that is
    /// no token, [`Error::Unreachable`] when nobody answers within 5 s. Credentials are looked at when
    /// something is called.
    pub async fn connect(self) -> Result<Client, Error> {
        let (endpoint, bearer) = self.parts()?;
        let unreachable = |error| Error::Unreachable {
            endpoint: self.endpoint.clone(),
            why: root(&error),
        };
        let channel = endpoint.connect().await.map_err(unreachable)?;
        Ok(client(channel, bearer))
    }

    /// A client that connects when it is first used. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// As [`Builder::connect`], but for [`Error::Unreachable`], which the calls then have as a status of
    /// UNAVAILABLE.
    pub fn connect_lazy(self) -> Result<Client, Error> {
        let (endpoint, bearer) = self.parts()?;
        Ok(client(endpoint.connect_lazy(), bearer))
    }

    fn parts(&self) -> Result<(Endpoint, Bearer), Error> {
        let wrong = |error: tonic::transport::Error| Error::Endpoint {
            endpoint: self.endpoint.clone(),
            why: root(&error),
        };
        let bearer = self.bearer()?;
        let mut endpoint = Endpoint::from_shared(self.endpoint.clone()).map_err(wrong)?;
        if !matches!(endpoint.uri().scheme_str(), Some("http" | "https")) {
            return Err(Error::Endpoint {
                endpoint: self.endpoint.clone(),
                why: "it begins with neither http:// nor https://".into(),
            });
        }
        if endpoint.uri().scheme_str() == Some("https") {
            let tls = self.tls.clone();
            let tls = match self.own_authorities {
                true => tls,
                false => tls.with_native_roots(),
            };
            endpoint = endpoint.tls_config(tls).map_err(wrong)?;
        }
        let endpoint = endpoint
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PONG);
        Ok((endpoint, bearer))
    }

    fn bearer(&self) -> Result<Bearer, Error> {
        let token = self.token.as_ref().map(|token| token.0.trim());
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Ok(Bearer::default());
        };
        // The error would show it.
        let value = MetadataValue::try_from(format!("Bearer {token}"));
        let mut value = value.map_err(|_| Error::Token)?;
        value.set_sensitive(true);
        Ok(Bearer(Some(value)))
    }
}

fn client(channel: Channel, bearer: Bearer) -> Client {
    let connection = InterceptedService::new(channel, bearer);
    Client::over(connection, Drain::new(Handle::current()))
}

/// The last of the causes, which is the one that tells.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_wrong_is_said_before_anything_is_called() {
        for odd in ["no address", "127.0.0.1:50051", "ws://127.0.0.1:50051"] {
            let odd = Client::builder(odd).connect_lazy().unwrap_err();
            assert!(matches!(odd, Error::Endpoint { .. }), "{odd}");
            assert!(odd.to_string().contains("http://127.0.0.1:50051"), "{odd}");
        }
        let token = Client::builder("http://[::1]:1").token("a\nb");
        let odd = token.connect_lazy().unwrap_err();
        assert!(matches!(odd, Error::Token), "{odd}");
        let odd = Client::connect("http://127.0.0.1:1").await.unwrap_err();
        assert!(matches!(odd, Error::Unreachable { .. }), "{odd}");
        assert!(
            odd.to_string().contains("is `berth serve` running there?"),
            "{odd}"
        );
        let odd = Client::connect("https://127.0.0.1:1").await.unwrap_err();
        assert!(odd.to_string().contains("with TLS"), "{odd}");
    }

    #[tokio::test]
    async fn a_token_is_never_shown() {
        let builder = Client::builder("http://[::1]:1").token(" s3cret\n");
        assert!(!format!("{builder:?}").contains("s3cret"));
        assert_eq!(builder.bearer().unwrap().0.unwrap(), "Bearer s3cret");
        let client = builder.connect_lazy().unwrap();
        assert!(!format!("{client:?}").contains("s3cret"));
        assert!(
            Client::builder("http://[::1]:1")
                .token(" ")
                .bearer()
                .unwrap()
                .0
                .is_none()
        );
    }
}
