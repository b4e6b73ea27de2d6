//! What stops a broker that would be open, or cannot be closed, from starting.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_at_the_start_is_named_with_its_reason() {
    let (pki, tokens) = (Pki::new(), Tokens::new());
    let (_, other_key) = pki.server_pair();
    fs::write(pki.path("other.pem"), other_key).unwrap();
    fs::write(pki.path("empty.pem"), "").unwrap();
    fs::write(
        pki.path("oct.json"),
        r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#,
    )
    .unwrap();
    fs::write(pki.path("none.json"), r#"{"keys":[]}"#).unwrap();
    let path = |name: &str| Some(pki.path(name));
    type Change<'a> = Box<dyn Fn(&mut Config) + 'a>;
    let table: Vec<(&str, &str, Change<'_>)> = vec![
        (
            "auth_tokens",
            "cannot be read",
            Box::new(|c| c.auth.tokens = path("no.toml")),
        ),
        (
            "auth_tokens",
            "has no [[token]]",
            Box::new(|c| c.auth.tokens = path("empty.pem")),
        ),
        (
            "auth_jwks",
            "is no JWK set",
            Box::new(|c| c.auth.jwks = path("cert.pem")),
        ),
        (
            "auth_jwks",
            "shared secret",
            Box::new(|c| c.auth.jwks = path("oct.json")),
        ),
        (
            "auth_jwks",
            "has no key",
            Box::new(|c| c.auth.jwks = path("none.json")),
        ),
        (
            "tls_cert",
            "no certificate",
            Box::new(|c| {
                pki.set(c);
                c.auth.tls_cert = path("empty.pem");
            }),
        ),
        (
            "tls_key",
            "no private key",
            Box::new(|c| {
                pki.set(c);
                c.auth.tls_key = path("empty.pem");
            }),
        ),
        (
            "tls_key",
            "does not fit",
            Box::new(|c| {
                pki.set(c);
                c.auth.tls_key = path("other.pem");
            }),
        ),
        (
            "tls_client_ca",
            "no certificate",
            Box::new(|c| {
                pki.set(c);
                c.auth.tls_client_ca = path("key.pem");
            }),
        ),
    ];
    let run_dir = tempfile::tempdir().unwrap();
    for (setting, why, change) in table {
        let anywhere = ([127, 0, 0, 1], 0).into();
        let mut config = Config {
            listen: anywhere,
            gateway_listen: anywhere,
            ops_listen: anywhere,
            run_dir: run_dir.path().join("run"),
            ..Config::default()
        };
        change(&mut config);
        let error = Server::start(&config).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{setting}: /")), "{error}");
        assert!(error.contains(why), "{error}");
    }
    drop(tokens);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_port_is_refused_at_the_start() {
    let ground = Ground::new();
    let mut command = berth();
    command
        .args(["serve", "--listen", "0.0.0.0:0", "--run-dir"])
        .arg(ground.path());
    let refused = run(command).await;
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(64), "{said}");
    assert!(
        said.contains("listen (--listen): others reach 0.0.0.0:0"),
        "{said}"
    );
}
