//! How it is found out who calls, as an operator says it.

use std::path::PathBuf;

use super::tls::ClientAuth;

/// What is asked of callers. By default nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// A file of hashes of bearer tokens.
    pub tokens: Option<PathBuf>,
    /// A file of the public keys that JSON Web Tokens are signed with.
    pub jwks: Option<PathBuf>,
    /// The issuer such tokens must have.
    pub jwt_issuer: String,
    /// The audience such tokens must have.
    pub jwt_audience: String,
    /// The claim of such tokens that names the owner.
    pub jwt_owner_claim: String,
    /// The claim and the value that make an admin of a caller.
    pub jwt_admin: Option<(String, String)>,
    /// The server's certificate and those above it, as PEM.
    pub tls_cert: Option<PathBuf>,
    /// Its private key, as PEM.
    pub tls_key: Option<PathBuf>,
    /// Whose certificates callers may show, as PEM.
    pub tls_client_ca: Option<PathBuf>,
    /// Whether callers must show one.
    pub tls_client_auth: ClientAuth,
    /// Names in certificates that make an admin of a caller; a `*` at either end stands for anything.
    pub tls_admin: Vec<String>,
    /// Whether health checks over gRPC need credentials too.
    pub health_required: bool,
    /// Whether reflection needs no credentials.
    pub reflection_open: bool,
    /// Whether the ops port asks who calls.
    pub ops: OpsAuth,
    /// Names by which the ops port may be called, beside addresses and this node's own.
    pub ops_hosts: Vec<String>,
    /// Whether everybody who reaches a port may use it, wherever it listens.
    pub insecure: bool,
}

/// Whether the ops port asks who calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpsAuth {
    /// When it is reached from elsewhere.
    #[default]
    Auto,
    /// Yes.
    On,
    /// No.
    Off,
}

impl Config {
    /// Whether callers have to say who they are.
    #[must_use]
    pub const fn is_asking(&self) -> bool {
        self.tokens.is_some() || self.jwks.is_some() || self.tls_client_ca.is_some()
    }

    /// Whether the ports speak TLS.
    #[must_use]
    pub const fn has_tls(&self) -> bool {
        self.tls_cert.is_some()
    }

    /// Whether the ops port, which is `open` to others than this machine or not, asks who calls.
    #[must_use]
    pub const fn asks_at_ops(&self, open: bool) -> bool {
        match self.ops {
            OpsAuth::On => true,
            OpsAuth::Off => false,
            OpsAuth::Auto => open && self.is_asking(),
        }
    }
}
