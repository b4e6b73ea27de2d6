//! The settings of who may call, and how that is found out.

use super::{
    Kind,
    Preset::{Nothing, Text},
    Setting, setting,
};
use crate::auth::{OpsAuth, tls::ClientAuth};

pub(super) const AUTH: &[Setting] = &[
    setting(
        "auth-tokens",
        Nothing("none"),
        Kind::File(|c| &mut c.auth.tokens),
        "A TOML file of who may call with which token, as `berth token new` prints it; read again when \
         it changes",
    ),
    setting(
        "auth-jwks",
        Nothing("none"),
        Kind::File(|c| &mut c.auth.jwks),
        "A JWK set: the public keys of JSON Web Tokens that callers may send; read again when it changes",
    ),
    setting(
        "auth-jwt-issuer",
        Nothing("none; wanted with auth_jwks"),
        Kind::Text(|c| &mut c.auth.jwt_issuer),
        "The issuer (`iss`) that a JSON Web Token must have",
    ),
    setting(
        "auth-jwt-audience",
        Nothing("none; wanted with auth_jwks"),
        Kind::Text(|c| &mut c.auth.jwt_audience),
        "The audience (`aud`) that a JSON Web Token must have",
    ),
    setting(
        "auth-jwt-owner-claim",
        Text("sub"),
        Kind::Text(|c| &mut c.auth.jwt_owner_claim),
        "The claim of a JSON Web Token that names the owner",
    ),
    setting(
        "auth-jwt-admin",
        Nothing("none: no such token makes an admin"),
        Kind::Claim(|c| &mut c.auth.jwt_admin),
        "The claim, and the value it must be or contain, that makes an admin of a caller with a JSON Web \
         Token",
    ),
    setting(
        "auth-health",
        Text("open"),
        Kind::Word(OPEN, |c, word| c.auth.health_required = word == "required"),
        "Whether health checks over gRPC need credentials where calls do",
    ),
    setting(
        "auth-reflection",
        Text("required"),
        Kind::Word(OPEN, |c, word| c.auth.reflection_open = word == "open"),
        "Whether reflection needs credentials where calls do",
    ),
    setting(
        "tls-cert",
        Nothing("none: connections are not encrypted"),
        Kind::File(|c| &mut c.auth.tls_cert),
        "The certificate of all ports and those above it, as PEM; read again when it changes",
    ),
    setting(
        "tls-key",
        Nothing("none"),
        Kind::File(|c| &mut c.auth.tls_key),
        "The private key of tls_cert, as PEM; read again when it changes",
    ),
    setting(
        "tls-client-ca",
        Nothing("none: no certificates of callers are looked at"),
        Kind::File(|c| &mut c.auth.tls_client_ca),
        "The authorities whose certificates callers may show, as PEM; read again when it changes",
    ),
    setting(
        "tls-client-auth",
        Text("require"),
        Kind::Word(&["require", "request"], |c, word| {
            c.auth.tls_client_auth = match word {
                "request" => ClientAuth::Request,
                _ => ClientAuth::Require,
            }
        }),
        "Whether callers must show a certificate of tls_client_ca, at all ports, or may",
    ),
    setting(
        "tls-admin",
        Nothing("none: no certificate makes an admin"),
        Kind::Names(|c| &mut c.auth.tls_admin),
        "Names in certificates that make an admin of a caller; a * at either end stands for anything",
    ),
    setting(
        "ops-auth",
        Text("auto"),
        Kind::Word(&["auto", "on", "off"], |c, word| {
            c.auth.ops = match word {
                "on" => OpsAuth::On,
                "off" => OpsAuth::Off,
                _ => OpsAuth::Auto,
            }
        }),
        "Whether the ops port asks who calls, but for its probes; auto is off on loopback",
    ),
    setting(
        "ops-hosts",
        Nothing("none"),
        Kind::Names(|c| &mut c.auth.ops_hosts),
        "Names by which the ops port may be called, beside addresses, localhost and the node's own",
    ),
    setting(
        "insecure-no-auth",
        Text("false"),
        Kind::Switch(|c| &mut c.auth.insecure),
        "Listen where others reach it without asking who they are",
    ),
];

const OPEN: &[&str] = &["open", "required"];
