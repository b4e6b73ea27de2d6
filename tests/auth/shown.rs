//! The ops port, the commands, and what may never be shown.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_ops_port_asks_who_reads_but_not_who_probes() {
    let tokens = Tokens::new();
    let broker = Broker::cold(|config| {
        config.auth.tokens = Some(tokens.path());
        config.auth.ops = OpsAuth::On;
    })
    .await;
    let (user, admin) = (bearer(&tokens.user), bearer(&tokens.admin));
    let basic = {
        use base64::{Engine, engine::general_purpose::STANDARD};
        format!("Basic {}", STANDARD.encode(format!("me:{}", tokens.admin)))
    };
    for (path, nobody, by_user, by_admin) in [
        ("/livez", 200, 200, 200),
        ("/metrics", 401, 200, 200),
        ("/status", 401, 403, 200),
        ("/", 401, 403, 200),
        ("/no/such", 401, 403, 404),
    ] {
        assert_eq!(ops(&broker, path, &[]).await.0, nobody, "{path}");
        for (value, code) in [(&user, by_user), (&admin, by_admin), (&basic, by_admin)] {
            let found = ops(&broker, path, &[("authorization", value)]).await.0;
            assert_eq!(found, code, "{path}");
        }
        let wrong = ops(&broker, path, &[("authorization", "Bearer wrong")])
            .await
            .0;
        assert_eq!(wrong, nobody, "{path}");
    }
    for path in ["/health", "/readyz"] {
        assert_ne!(ops(&broker, path, &[]).await.0, 401, "{path}");
    }
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_can_read_and_do_nothing() {
    let broker = Broker::cold(|config| config.auth.ops_hosts = vec!["berth.internal".into()]).await;
    for path in ["/metrics", "/status", "/"] {
        assert_eq!(ops(&broker, path, &[]).await.0, 200, "{path}");
        let rebound = ops(&broker, path, &[("host", "evil.example")]).await;
        assert_eq!(rebound.0, 421, "{path}");
        let ours = ops(&broker, path, &[("host", "berth.internal:9464")]).await;
        assert_eq!(ours.0, 200, "{path}");
        for origin in ["http://evil.example", "null", "http://127.0.0.1"] {
            let crossed = ops(&broker, path, &[("origin", origin)]).await;
            assert_eq!(crossed.0, 403, "{path}");
        }
    }
    // A page speaks HTTP/1.1 to a port without TLS, and that is not spoken here.
    let before = broker.status().await.leases.len();
    let mut page = TcpStream::connect(broker.server.addresses().grpc)
        .await
        .unwrap();
    let post = b"POST /berth.v1.LeaseService/Acquire HTTP/1.1\r\nhost: evil.example\r\n\
        origin: http://evil.example\r\ncontent-type: application/grpc-web\r\n\
        content-length: 5\r\n\r\n\0\0\0\0\0";
    page.write_all(post).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(BOUND, page.read_to_end(&mut answer)).await.unwrap();
    assert!(
        !answer.windows(5).any(|bytes| bytes == b"HTTP/"),
        "{answer:?}"
    );
    assert_eq!(broker.status().await.leases.len(), before);
    drop(page);
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_show_who_calls_and_pass_it_on_to_nobody() {
    let (pki, tokens) = (Pki::new(), Tokens::new());
    let broker = Broker::with(|config| {
        pki.set(config);
        config.auth.tokens = Some(tokens.path());
    })
    .await;
    let token_file = pki.path("token");
    fs::write(&token_file, format!("{}\n", tokens.admin)).unwrap();
    let at = format!("https://{}", broker.server.addresses().grpc);
    let command = |words: &[&str]| {
        let mut command = berth();
        let ca = pki.path("ca.pem");
        command
            .args(words)
            .env("BERTH_ENDPOINT", &at)
            .env("BERTH_CA_FILE", ca);
        command
    };
    let health = run(command(&["health"])).await;
    assert_eq!(health.status.code(), Some(0), "{}", text(&health.stderr));
    let refused = run(command(&["top", "--once"])).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("AUTH_REQUIRED"),
        "{}",
        text(&refused.stderr)
    );
    let mut top = command(&["top", "--once", "--token-file"]);
    top.arg(&token_file);
    let top = run(top).await;
    assert_eq!(top.status.code(), Some(0), "{}", text(&top.stderr));
    let mut lease = command(&["lease", "--", "env"]);
    lease.env("BERTH_TOKEN", &tokens.user);
    let lease = run(lease).await;
    assert_eq!(lease.status.code(), Some(0), "{}", text(&lease.stderr));
    let seen = text(&lease.stdout);
    assert!(seen.contains("BERTH_CDP_URL=wss://"), "{seen}");
    assert!(!seen.contains(&tokens.user), "the command has the token");
    // The system's authorities do not know this one.
    let mut unknown = berth();
    unknown.args(["health", "--endpoint", &at]);
    assert_eq!(run(unknown).await.status.code(), Some(69));

    let mut new = berth();
    new.args(["token", "new", "--owner", "later", "--admin"]);
    let new = text(&run(new).await.stdout);
    let (token, entry) = new.split_once("\n\n").unwrap();
    let known = fs::read_to_string(tokens.path()).unwrap();
    fs::write(tokens.path(), known + entry).unwrap();
    fs::write(&token_file, token).unwrap();
    until("the new token is taken", async || {
        let mut top = command(&["top", "--once", "--token-file"]);
        top.arg(&token_file);
        run(top).await.status.success()
    })
    .await;
    until("no lease is left", async || {
        let mut admin = AdminServiceClient::new(
            pki.channel(broker.server.addresses().grpc, None)
                .await
                .unwrap(),
        );
        let status = admin
            .get_status(with(GetStatusRequest {}, &bearer(token)))
            .await;
        status
            .unwrap()
            .into_inner()
            .status
            .unwrap()
            .leases
            .is_empty()
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_keys_are_in_nothing_that_is_shown() {
    let (ground, pki, tokens) = (Ground::new(), Pki::new(), Tokens::new());
    let tokens_path = tokens.path();
    let files = ["cert.pem", "key.pem"].map(|name| pki.path(name).to_str().unwrap().to_owned());
    let mut command = serve(
        ground.path(),
        &[
            "--log-level",
            "trace",
            "--tls-cert",
            &files[0],
            "--tls-key",
            &files[1],
        ],
    );
    command.arg("--auth-tokens").arg(&tokens_path);
    let service = Service::cold(command).await;
    let at: SocketAddr = service
        .grpc
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap();
    let channel = pki.channel(at, None).await.unwrap();
    let (wrong, _) = new_token("nobody", false).unwrap();
    list(&channel, &bearer(&tokens.user)).await.unwrap();
    list(&channel, &bearer(&wrong)).await.unwrap_err();
    let answer = list(&channel, &bearer(&wrong)).await.unwrap_err();
    fs::write(&tokens_path, format!("token = \"{wrong}\"")).unwrap();
    let ops = service.ops.parse().unwrap();
    until("the broken file is noticed", async || {
        let metrics = pki.metrics(ops).await;
        metrics.contains("berth_auth_reloads_total{result=\"failed\"} 1")
    })
    .await;
    let command_line = fs::read(format!("/proc/{}/cmdline", service.pid())).unwrap();
    let metrics = pki.metrics(ops).await;
    assert!(
        metrics.contains("berth_auth_total{outcome=\"unknown\"} 2"),
        "{metrics}"
    );
    drop(channel);
    service.signal(nix::sys::signal::Signal::SIGTERM);
    let (code, log) = service.ended().await;
    assert_eq!(code, Some(0));
    let shown = format!("{log:?}{}{metrics}{answer:?}", text(&command_line));
    for event in ["auth.refused", "auth.reload_failed", "rpc.ended"] {
        assert!(shown.contains(event), "{event} is in the log");
    }
    let key = fs::read_to_string(&files[1]).unwrap();
    let key = key.lines().nth(1).unwrap();
    for secret in [&tokens.user, &wrong, key] {
        assert!(!shown.contains(secret), "a secret is shown");
    }
    ground.assert_clean();
}
