//! JSON Web Tokens.

use super::*;

struct Signer {
    key: EncodingKey,
    jwk: Value,
}

impl Signer {
    fn new(kid: &str) -> Self {
        let pair = KeyPair::generate().unwrap();
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(kid.into());
        let jwk = serde_json::to_value(jwk).unwrap();
        Self { key, jwk }
    }

    fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = kid.map(str::to_owned);
        encode(&header, claims, &self.key).unwrap()
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// Claims that are right, but for `changes`.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://issuer.example", "aud": "berth", "sub": "job-7",
        "nbf": now() - 5, "exp": now() + 600,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
    }
    claims
}

#[tokio::test(flavor = "multi_thread")]
async fn json_web_tokens_are_taken_when_all_of_them_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwks.json");
    let (one, two, foreign) = (Signer::new("one"), Signer::new("two"), Signer::new("one"));
    fs::write(&path, json!({"keys": [one.jwk, two.jwk]}).to_string()).unwrap();
    let broker = Broker::with(|config| {
        config.auth.jwks = Some(path.clone());
        config.auth.jwt_issuer = "https://issuer.example".into();
        config.auth.jwt_audience = "berth".into();
        config.auth.jwt_admin = Some(("roles".into(), "berth-admin".into()));
        config.auth.ops = OpsAuth::On;
    })
    .await;
    let channel = broker.connect().await;
    let right = bearer(&one.sign(Some("one"), &claims(&json!({}))));
    let lease = granted(&channel, &right).await;
    assert_eq!(lease.owner, "job-7");
    give_back(&channel, &right, &lease).await;
    for (signer, kid, changes) in [
        (&two, "two", json!({})),
        (&one, "one", json!({"aud": ["other", "berth"]})),
        (&one, "one", json!({"nbf": null})),
        // Within the leeway of both clocks.
        (&one, "one", json!({"exp": now() - 10})),
        (&one, "one", json!({"nbf": now() + 10})),
    ] {
        let token = bearer(&signer.sign(Some(kid), &claims(&changes)));
        list(&channel, &token)
            .await
            .unwrap_or_else(|status| panic!("{changes}: {status}"));
    }
    let valid = one.sign(Some("one"), &claims(&json!({})));
    let parts: Vec<_> = valid.split('.').collect();
    let url = |text: &str| {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        URL_SAFE_NO_PAD.encode(text)
    };
    // The public key taken for a shared secret.
    let mut shared = Header::new(Algorithm::HS256);
    shared.kid = Some("one".into());
    let public = EncodingKey::from_secret(one.jwk.to_string().as_bytes());
    let table = [
        (
            "expired",
            one.sign(Some("one"), &claims(&json!({"exp": now() - 60}))),
        ),
        (
            "not yet",
            one.sign(Some("one"), &claims(&json!({"nbf": now() + 60}))),
        ),
        (
            "no expiry",
            one.sign(Some("one"), &claims(&json!({"exp": null}))),
        ),
        (
            "audience",
            one.sign(Some("one"), &claims(&json!({"aud": "other"}))),
        ),
        (
            "no audience",
            one.sign(Some("one"), &claims(&json!({"aud": null}))),
        ),
        (
            "issuer",
            one.sign(
                Some("one"),
                &claims(&json!({"iss": "https://evil.example"})),
            ),
        ),
        (
            "no issuer",
            one.sign(Some("one"), &claims(&json!({"iss": null}))),
        ),
        (
            "no owner",
            one.sign(Some("one"), &claims(&json!({"sub": null}))),
        ),
        (
            "bad owner",
            one.sign(Some("one"), &claims(&json!({"sub": "a\nb"}))),
        ),
        (
            "owner of all",
            one.sign(Some("one"), &claims(&json!({"sub": "anonymous"}))),
        ),
        ("unknown kid", one.sign(Some("three"), &claims(&json!({})))),
        ("no kid of two", one.sign(None, &claims(&json!({})))),
        (
            "the other's kid",
            one.sign(Some("two"), &claims(&json!({}))),
        ),
        (
            "foreign key",
            foreign.sign(Some("one"), &claims(&json!({}))),
        ),
        (
            "shared secret",
            encode(&shared, &claims(&json!({})), &public).unwrap(),
        ),
        (
            "none",
            format!("{}.{}.", url(r#"{"alg":"none","kid":"one"}"#), parts[1]),
        ),
        ("stripped", format!("{}.{}.", parts[0], parts[1])),
        ("cut", valid[..valid.len() - 4].to_owned()),
        ("long", format!("{valid}{}", "A".repeat(8 << 10))),
    ];
    for (what, token) in &table {
        let refused = list(&channel, &bearer(token)).await.expect_err(what);
        assert_eq!(reason(&refused), "AUTH_REQUIRED", "{what}");
    }
    // The role of an admin, as a list and as words.
    for (roles, code) in [
        (json!(["x", "berth-admin"]), 200),
        (json!("x berth-admin"), 200),
        (json!("berth-administrator"), 403),
    ] {
        let token = bearer(&one.sign(Some("one"), &claims(&json!({"roles": roles}))));
        let answer = ops(&broker, "/status", &[("authorization", &token)]).await;
        assert_eq!(answer.0, code, "{roles}");
    }
    fs::write(&path, json!({"keys": [two.jwk]}).to_string()).unwrap();
    until("the key is gone", async || {
        list(&channel, &right).await.is_err()
    })
    .await;
    broker.stop().await;
}
