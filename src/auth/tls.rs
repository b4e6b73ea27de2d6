//! TLS of the ports: the server's certificate, and the names in those that callers show.
//!
//! TLS 1.2 and 1.3, with the suites of rustls. Parsing a caller's certificate comes after rustls has
//! verified it, so its names are what the authority signed.

use std::{fmt, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

use super::{is_owner, watched::Wrong};

/// Whether callers must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// Without one there is no connection.
    #[default]
    Require,
    /// They may; who does not needs a token.
    Request,
}

/// With what connections are made.
#[derive(Clone)]
pub struct Server {
    /// For gRPC: HTTP/2 alone.
    pub grpc: Arc<ServerConfig>,
    /// For the gateway and the operators' port: HTTP/1.1.
    pub http: Arc<ServerConfig>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    /// Of the certificate, its key and, when there is a third, the authorities of callers.
    pub(super) fn parse(contents: &[Vec<u8>], client: ClientAuth) -> Result<Self, Wrong> {
        let [cert, key, rest @ ..] = contents else {
            return Err((0, "is missing".into()));
        };
        let certs = certificates(cert).map_err(|why| (0, why))?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| (1, "has no private key in PEM".to_owned()))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| (0, error.to_string()))?;
        let builder = match rest.first() {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(authorities).map_err(|why| (2, why))? {
                    roots
                        .add(authority)
                        .map_err(|error| (2, error.to_string()))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match client {
                    ClientAuth::Require => verifier,
                    ClientAuth::Request => verifier.allow_unauthenticated(),
                };
                let verifier = verifier.build().map_err(|error| (2, error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        // Refuses a key that is not the certificate's.
        let mut grpc = builder
            .with_single_cert(certs, key)
            .map_err(|error| (1, format!("does not fit the certificate: {error}")))?;
        let mut http = grpc.clone();
        grpc.alpn_protocols = vec![b"h2".to_vec()];
        http.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            grpc: Arc::new(grpc),
            http: Arc::new(http),
        })
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err("has no certificate in PEM".into()),
        Err(error) => Err(format!("is no PEM: {error}")),
    }
}

/// The names in a certificate that was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    uris: Vec<String>,
    dns: Vec<String>,
    common: Option<String>,
}

impl Names {
    /// Of a certificate in DER; none when it cannot be read.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        let mut names = Self::default();
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
            return names;
        };
        if let Ok(Some(extension)) = certificate.subject_alternative_name() {
            for name in &extension.value.general_names {
                match name {
                    GeneralName::URI(uri) => names.uris.push((*uri).to_owned()),
                    GeneralName::DNSName(name) => names.dns.push((*name).to_owned()),
                    _ => {}
                }
            }
        }
        let mut common = certificate.subject().iter_common_name();
        let common = common.next().and_then(|name| name.as_str().ok());
        names.common = common.map(str::to_owned);
        names
    }

    /// Whose it is: its first URI, else its first DNS name, else its common name.
    pub(super) fn owner(&self) -> Option<&str> {
        let alternative = self.uris.iter().chain(&self.dns).map(String::as_str);
        let mut all = alternative.chain(self.common.as_deref());
        all.next().filter(|owner| is_owner(owner))
    }

    /// Whether one of its names is such. The common name counts only where there is no other.
    pub(super) fn any(&self, such: impl Fn(&str) -> bool) -> bool {
        let mut alternative = self.uris.iter().chain(&self.dns).peekable();
        if alternative.peek().is_some() {
            return alternative.any(|name| such(name));
        }
        self.common.as_deref().is_some_and(such)
    }
}
