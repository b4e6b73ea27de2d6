//! The gate: from what a caller shows to who it is.

use std::{
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::time::{Instant, sleep};

use super::{
    Caller, Config, Error, Refusal,
    jwt::{Claims, Keys},
    tls::{self, Names},
    tokens::Tokens,
    watched::Watched,
};
use crate::{
    metrics::{AuthOutcome, Metrics},
    telemetry::Seldom,
};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Finds out who calls. Clones share one gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    asks: bool,
    tokens: Option<Watched<Tokens>>,
    keys: Option<(Watched<Keys>, Claims)>,
    tls: Option<Watched<tls::Server>>,
    /// Names in certificates that are an admin's.
    admins: Vec<String>,
    metrics: Metrics,
    refused: Seldom,
}

/// What a caller shows.
#[derive(Clone, Copy, Default)]
pub struct Shown<'a> {
    /// The value of `authorization`.
    pub authorization: Option<&'a [u8]>,
    /// The names of the certificate its connection was made with.
    pub certificate: Option<&'a Names>,
    /// From where.
    pub peer: Option<SocketAddr>,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown")
            .field("authorization", &self.authorization.map(|_| "redacted"))
            .field("certificate", &self.certificate)
            .field("peer", &self.peer)
            .finish()
    }
}

/// The caller is not let in. Why, it is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl Gate {
    /// Reads the files that `config` names.
    ///
    /// # Errors
    /// [`Error`] for the first file that cannot be used.
    pub async fn open(config: &Config, metrics: &Metrics) -> Result<Self, Error> {
        let tokens = match &config.tokens {
            Some(path) => {
                let files = vec![("auth_tokens", path.clone())];
                Some(Watched::read(files, Tokens::parse).await?)
            }
            None => None,
        };
        let keys = match &config.jwks {
            Some(path) => {
                let files = vec![("auth_jwks", path.clone())];
                let claims = Claims {
                    issuer: config.jwt_issuer.clone(),
                    audience: config.jwt_audience.clone(),
                    owner: config.jwt_owner_claim.clone(),
                    admin: config.jwt_admin.clone(),
                };
                Some((Watched::read(files, Keys::parse).await?, claims))
            }
            None => None,
        };
        let tls = match (&config.tls_cert, &config.tls_key) {
            (Some(cert), Some(key)) => {
                let mut files = vec![("tls_cert", cert.clone()), ("tls_key", key.clone())];
                let ca = config.tls_client_ca.clone();
                files.extend(ca.map(|path| ("tls_client_ca", path)));
                let client = config.tls_client_auth;
                let parse = move |contents: &[Vec<u8>]| tls::Server::parse(contents, client);
                Some(Watched::read(files, parse).await?)
            }
            _ => None,
        };
        Ok(Self(Arc::new(Inner {
            asks: config.is_asking(),
            tokens,
            keys,
            tls,
            admins: config.tls_admin.clone(),
            metrics: metrics.clone(),
            refused: Seldom::default(),
        })))
    }

    /// Looks at the files again and again. What is wrong with them is logged, and what they said
    /// before goes on to hold.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn watch(&self) {
        loop {
            sleep(LOOK).await;
            if let Some(tokens) = &self.0.tokens {
                tokens.refresh(&self.0.metrics).await;
            }
            if let Some((keys, _)) = &self.0.keys {
                keys.refresh(&self.0.metrics).await;
            }
            if let Some(tls) = &self.0.tls {
                tls.refresh(&self.0.metrics).await;
            }
        }
    }

    /// Whether callers have to say who they are.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.0.asks
    }

    /// With what a TLS connection is to be made now; `None` when connections are plain.
    #[must_use]
    pub fn tls(&self) -> Option<Arc<tls::Server>> {
        self.0.tls.as_ref().map(Watched::get)
    }

    /// Who shows this. A token decides when there is a certificate too: a proxy has one certificate
    /// for all the callers behind it.
    ///
    /// # Errors
    /// [`Refused`], counted, and logged at most once a second.
    pub fn admit(&self, shown: Shown<'_>) -> Result<Caller, Refused> {
        let found = match (shown.authorization, shown.certificate) {
            (Some(value), _) => self.by_token(value),
            (None, Some(names)) => self.by_certificate(names),
            (None, None) => Err(Refusal::Missing),
        };
        let outcome = match &found {
            Ok((_, outcome)) => *outcome,
            Err(Refusal::Missing) => AuthOutcome::Missing,
            Err(Refusal::Malformed) => AuthOutcome::Malformed,
            Err(Refusal::Unknown) => AuthOutcome::Unknown,
            Err(Refusal::Expired) => AuthOutcome::Expired,
            Err(Refusal::Invalid) => AuthOutcome::Invalid,
        };
        self.0.metrics.authenticated(outcome);
        found.map(|(caller, _)| caller).map_err(|_| {
            if let Some(unsaid) = self.0.refused.now(Instant::now()) {
                let outcome = outcome.as_str();
                let peer = shown.peer.map(|peer| peer.ip().to_string());
                tracing::warn!(outcome, peer, unsaid, "auth.refused");
            }
            Refused
        })
    }

    fn by_token(&self, value: &[u8]) -> Result<(Caller, AuthOutcome), Refusal> {
        let token = token_of(value).ok_or(Refusal::Malformed)?;
        let text = std::str::from_utf8(&token).map_err(|_| Refusal::Malformed)?;
        if let Some((keys, claims)) = &self.0.keys
            && text.split('.').count() == 3
        {
            let caller = keys.get().find(text, claims)?;
            return Ok((caller, AuthOutcome::Jwt));
        }
        let tokens = self.0.tokens.as_ref().ok_or(Refusal::Unknown)?;
        let caller = tokens.get().find(&token, SystemTime::now())?;
        Ok((caller, AuthOutcome::Token))
    }

    fn by_certificate(&self, names: &Names) -> Result<(Caller, AuthOutcome), Refusal> {
        let owner = names.owner().ok_or(Refusal::Invalid)?;
        let admin = names.any(|name| self.0.admins.iter().any(|admin| matches(admin, name)));
        Ok((Caller::new(owner, admin), AuthOutcome::Certificate))
    }
}

/// The token of an `authorization` header: `Bearer` (RFC 6750, section 2.1), or the password of
/// `Basic` (RFC 7617), which is what a browser can send. The scheme is case-insensitive (RFC 9110,
/// section 11.1).
fn token_of(value: &[u8]) -> Option<Vec<u8>> {
    let at = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = (value.get(..at)?, value.get(at..)?.trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(rest.to_vec());
    }
    if scheme.eq_ignore_ascii_case(b"basic") {
        let pair = STANDARD.decode(rest).ok()?;
        let at = pair.iter().position(|byte| *byte == b':')?;
        return pair.get(at + 1..).map(<[u8]>::to_vec);
    }
    None
}

/// Whether `name` is what `pattern` means.
fn matches(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), None) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        // One star is both.
        (Some(_), Some(_)) => {
            let middle = pattern.trim_start_matches('*').trim_end_matches('*');
            name.contains(middle)
        }
        (None, None) => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_may_be_written_as_anybody_likes() {
        for value in [
            "Bearer x",
            "bearer x",
            "BEARER   x ",
            "Basic dTp4",
            "basic dTp4",
        ] {
            assert_eq!(token_of(value.as_bytes()).unwrap(), b"x", "{value}");
        }
        for value in ["", "x", "Bearer", "Digest x", "Basic !", "Basic eA=="] {
            assert_eq!(token_of(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn patterns_have_stars_at_their_ends() {
        assert!(matches("ops.example", "ops.example"));
        assert!(!matches("ops.example", "x.ops.example"));
        assert!(matches("*.ops.example", "x.ops.example"));
        assert!(!matches("*.ops.example", "ops.example"));
        assert!(matches("spiffe://a/ops/*", "spiffe://a/ops/b"));
        assert!(!matches("spiffe://a/ops/*", "spiffe://b/ops/b"));
        assert!(matches("*ops*", "x/ops/y"));
    }
}
