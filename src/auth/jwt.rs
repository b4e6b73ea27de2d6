//! JSON Web Tokens (RFC 7519), signed by somebody who is trusted to say who calls.
//!
//! What the token says of itself decides nothing but which key is tried: the algorithms are the key's
//! own, so that neither `none` nor a public key taken for a shared secret gets anywhere (RFC 8725,
//! sections 2.1 and 3.1). Issuer and audience must be the configured ones: the same issuer signs tokens
//! for others too.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    errors::ErrorKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};
use serde_json::{Map, Value};

use super::{Caller, Refusal, is_owner, watched::Wrong};

/// By how many seconds the clocks of the issuer and of this machine may differ.
const LEEWAY: u64 = 30;
/// The longest token that is looked at, in bytes.
const LONGEST: usize = 8 << 10;

/// What a token must say beside its signature, and what that means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) issuer: String,
    pub(super) audience: String,
    /// The claim that names the owner.
    pub(super) owner: String,
    /// The claim that makes an admin, and the value that it must have or contain.
    pub(super) admin: Option<(String, String)>,
}

/// The keys of an issuer.
#[derive(Debug)]
pub(super) struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    key: DecodingKey,
    algorithms: Vec<Algorithm>,
}

impl Keys {
    /// Reads the one file: a JWK set (RFC 7517, section 5). Keys that are not for signatures, or of a
    /// kind that is not known, are passed over, as that section wants it.
    pub(super) fn parse(contents: &[Vec<u8>]) -> Result<Self, Wrong> {
        let wrong = |why: &str| (0, why.to_owned());
        let text = contents.first().map_or(&[][..], Vec::as_slice);
        let set: JwkSet = serde_json::from_slice(text)
            .map_err(|error| (0, format!("is no JWK set: line {}", error.line())))?;
        let mut keys = Vec::new();
        for jwk in &set.keys {
            if matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_)) {
                // Whoever can check such a token can make it.
                return Err(wrong(
                    "has a shared secret (kty oct): only public keys are taken",
                ));
            }
            let algorithms = algorithms(jwk);
            if algorithms.is_empty() {
                continue;
            }
            let key = DecodingKey::from_jwk(jwk).map_err(|_| wrong("has a key that is broken"))?;
            let id = jwk.common.key_id.clone();
            if keys
                .iter()
                .any(|known: &Key| id.is_some() && known.id == id)
            {
                return Err(wrong("has two keys with the same kid"));
            }
            keys.push(Key {
                id,
                key,
                algorithms,
            });
        }
        if keys.is_empty() {
            return Err(wrong("has no key that signatures can be checked with"));
        }
        Ok(Self(keys))
    }

    /// Whom `token` stands for now.
    pub(super) fn find(&self, token: &str, wanted: &Claims) -> Result<Caller, Refusal> {
        if token.len() > LONGEST {
            return Err(Refusal::Malformed);
        }
        let header = decode_header(token).map_err(|_| Refusal::Malformed)?;
        let key = match (&header.kid, &self.0[..]) {
            (Some(id), keys) => keys.iter().find(|key| key.id.as_ref() == Some(id)),
            // Nothing to choose from.
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let key = key.ok_or(Refusal::Unknown)?;
        let mut validation = Validation::default();
        validation.algorithms.clone_from(&key.algorithms);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&wanted.issuer]);
        validation.set_audience(&[&wanted.audience]);
        let claims = decode::<Map<String, Value>>(token, &key.key, &validation);
        let claims = claims.map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => Refusal::Expired,
            _ => Refusal::Invalid,
        })?;
        let claims = claims.claims;
        let owner = claims.get(&wanted.owner).and_then(Value::as_str);
        let owner = owner
            .filter(|owner| is_owner(owner))
            .ok_or(Refusal::Invalid)?;
        let admin = wanted
            .admin
            .as_ref()
            .is_some_and(|(claim, value)| claims.get(claim).is_some_and(|claim| has(claim, value)));
        Ok(Caller::new(owner, admin))
    }
}

/// Whether a claim is `value`, or has it in its list: an array, or words as in `scope` (RFC 8693,
/// section 4.2).
fn has(claim: &Value, value: &str) -> bool {
    match claim {
        Value::String(text) => text == value || text.split(' ').any(|word| word == value),
        Value::Array(all) => all.iter().any(|one| one.as_str() == Some(value)),
        Value::Bool(true) => value == "true",
        _ => false,
    }
}

/// With what `jwk` may have signed; nothing when it is not for signatures.
fn algorithms(jwk: &Jwk) -> Vec<Algorithm> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    if !matches!(
        jwk.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    ) {
        return Vec::new();
    }
    let of_kind: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &[RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(params) => match params.curve {
            EllipticCurve::P256 => &[ES256],
            EllipticCurve::P384 => &[ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(params) if params.curve == EllipticCurve::Ed25519 => {
            &[EdDSA]
        }
        _ => &[],
    };
    let own = match jwk.common.key_algorithm {
        None => return of_kind.to_vec(),
        Some(KeyAlgorithm::RS256) => RS256,
        Some(KeyAlgorithm::RS384) => RS384,
        Some(KeyAlgorithm::RS512) => RS512,
        Some(KeyAlgorithm::PS256) => PS256,
        Some(KeyAlgorithm::PS384) => PS384,
        Some(KeyAlgorithm::PS512) => PS512,
        Some(KeyAlgorithm::ES256) => ES256,
        Some(KeyAlgorithm::ES384) => ES384,
        Some(KeyAlgorithm::EdDSA) => EdDSA,
        Some(_) => return Vec::new(),
    };
    of_kind
        .iter()
        .copied()
        .filter(|kind| *kind == own)
        .collect()
}
