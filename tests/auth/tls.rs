//! TLS, and client certificates.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn with_tls_a_lease_is_reached_by_tls_and_plain_clients_are_not_heard() {
    let (pki, tokens) = (Pki::new(), Tokens::new());
    let broker = Broker::with(|config| {
        pki.set(config);
        config.auth.tokens = Some(tokens.path());
    })
    .await;
    let at = broker.server.addresses();
    let channel = pki.channel(at.grpc, None).await.unwrap();
    let user = bearer(&tokens.user);
    let lease = granted(&channel, &user).await;
    assert!(lease.cdp_url.starts_with("wss://"), "a secure address");
    assert!(lease.cdp_http_url.starts_with("https://"));
    // The address is the permission: no token is shown here.
    let stream = pki.dial(at.gateway, b"http/1.1").await;
    let opened = tokio_tungstenite::client_async(&lease.cdp_url, stream);
    let (mut socket, _) = timeout(BOUND, opened).await.unwrap().unwrap();
    use futures::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;
    let ask = json!({"id": 1, "method": "Browser.getVersion"}).to_string();
    socket.send(Message::text(ask)).await.unwrap();
    let answer = timeout(BOUND, socket.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(
        answer.to_text().unwrap().contains("protocolVersion"),
        "{answer}"
    );
    drop(socket);
    let answer = pki.metrics(at.ops).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    give_back(&channel, &user, &lease).await;
    // Plain HTTP/2 and garbage are not answered, and a silent client keeps nobody waiting.
    let silent = TcpStream::connect(at.grpc).await.unwrap();
    for garbage in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &[0x16, 3, 1, 0xff, 0xff],
    ] {
        let mut client = TcpStream::connect(at.grpc).await.unwrap();
        client.write_all(garbage).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // A reset is an answer as good as an alert.
        let _ = timeout(BOUND, client.read_to_end(&mut answer))
            .await
            .unwrap();
        assert!(
            answer.len() < 64 && answer.first() != Some(&0),
            "{answer:?}"
        );
        let next = pki.channel(at.grpc, None).await.unwrap();
        list(&next, &user).await.unwrap();
    }
    drop((channel, silent));
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_to_new_connections_and_half_a_pair_to_none() {
    let (pki, tokens) = (Pki::new(), Tokens::new());
    let broker = Broker::cold(|config| {
        pki.set(config);
        config.auth.tokens = Some(tokens.path());
    })
    .await;
    let at = broker.server.addresses().grpc;
    let user = bearer(&tokens.user);
    let old = pki.channel(at, None).await.unwrap();
    let shown = async || certificate_of(&pki.dial(at, b"h2").await);
    let before = shown().await;
    let (cert, key) = pki.server_pair();
    fs::write(pki.path("cert.pem"), &cert).unwrap();
    let ops = broker.server.addresses().ops;
    until("half a pair is noticed", async || {
        let metrics = pki.metrics(ops).await;
        metrics.contains("berth_auth_reloads_total{result=\"failed\"} 1")
    })
    .await;
    assert_eq!(shown().await, before, "half a pair changes nothing");
    fs::write(pki.path("key.pem"), &key).unwrap();
    let wanted = CertificateDer::from_pem_slice(cert.as_bytes())
        .unwrap()
        .to_vec();
    until("the new certificate is shown", async || {
        list(&old, &user).await.unwrap();
        shown().await == wanted
    })
    .await;
    list(&old, &user).await.unwrap();
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_says_who_calls_and_a_token_says_it_louder() {
    let (pki, tokens) = (Pki::new(), Tokens::new());
    let broker = Broker::with(|config| {
        pki.set(config);
        config.auth.tls_client_ca = Some(pki.path("ca.pem"));
        config.auth.tls_client_auth = ClientAuth::Require;
        config.auth.tls_admin = vec!["*.ops.example".into()];
        config.auth.tokens = Some(tokens.path());
    })
    .await;
    let at = broker.server.addresses();
    let uri = SanType::URI("spiffe://example/job".try_into().unwrap());
    let dns = SanType::DnsName("a.ops.example".try_into().unwrap());
    for (alternative, owner) in [
        (vec![dns.clone(), uri], "spiffe://example/job"),
        (vec![dns], "a.ops.example"),
        (vec![], "common"),
    ] {
        let identity = pki.client("common", alternative);
        let channel = pki.channel(at.grpc, Some(identity)).await.unwrap();
        let lease = granted(&channel, "").await;
        assert_eq!(lease.owner, owner);
        give_back(&channel, "", &lease).await;
        let user = bearer(&tokens.user);
        let lease = granted(&channel, &user).await;
        assert_eq!(lease.owner, "ci");
        give_back(&channel, &user, &lease).await;
        let wrong = list(&channel, "Bearer wrong").await.unwrap_err();
        assert_eq!(reason(&wrong), "AUTH_REQUIRED");
    }
    // No certificate, or one of somebody else's authority: no connection, token or not.
    let other = Pki::new();
    for identity in [None, Some(other.client("common", vec![]))] {
        let refused = match pki.channel(at.grpc, identity).await {
            Ok(channel) => list(&channel, &bearer(&tokens.admin)).await.is_err(),
            Err(_) => true,
        };
        assert!(refused);
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_may_be_asked_for_and_not_be_needed_and_may_make_an_admin() {
    let (pki, tokens) = (Pki::new(), Tokens::new());
    let broker = Broker::cold(|config| {
        pki.set(config);
        config.auth.tls_client_ca = Some(pki.path("ca.pem"));
        config.auth.tls_client_auth = ClientAuth::Request;
        config.auth.tls_admin = vec!["*.ops.example".into()];
        config.auth.tokens = Some(tokens.path());
    })
    .await;
    let at = broker.server.addresses().grpc;
    // Who says nothing is let go in its time, whatever others do meanwhile.
    let mut silent = TcpStream::connect(at).await.unwrap();
    let status = async |channel: &Channel, authorization: &str| {
        let mut admin = AdminServiceClient::new(channel.clone());
        let asked = admin.get_status(with(GetStatusRequest::default(), authorization));
        asked.await.map(|_| ()).map_err(|refused| reason(&refused))
    };
    let without = pki.channel(at, None).await.unwrap();
    assert_eq!(
        reason(&list(&without, "").await.unwrap_err()),
        "AUTH_REQUIRED"
    );
    list(&without, &bearer(&tokens.user)).await.unwrap();
    for (name, may) in [("a.ops.example", true), ("ops.example", false)] {
        let dns = SanType::DnsName(name.try_into().unwrap());
        let identity = pki.client("common", vec![dns]);
        let channel = pki.channel(at, Some(identity)).await.unwrap();
        list(&channel, "").await.unwrap();
        let told = status(&channel, "").await;
        assert_eq!(told.is_ok(), may, "{name}: {told:?}");
        assert!(may || told == Err("ROLE_REQUIRED".into()), "{told:?}");
        // A token says who calls in its place, and takes the role along.
        let told = status(&channel, &bearer(&tokens.user)).await;
        assert_eq!(told, Err("ROLE_REQUIRED".into()));
    }
    let old = pki.dial_by(&[&rustls::version::TLS12], at, b"h2").await;
    let spoken = old.get_ref().1.protocol_version();
    assert_eq!(spoken, Some(rustls::ProtocolVersion::TLSv1_2));
    let ended = timeout(BOUND, silent.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    drop((without, old, silent));
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_with_tls_and_call_credentials_is_known() {
    let (pki, tokens) = (Pki::new(), Tokens::new());
    let broker = Broker::with(|config| {
        pki.set(config);
        config.auth.tokens = Some(tokens.path());
    })
    .await;
    let at = broker.server.addresses().grpc.to_string();
    let python = |token: &str| {
        let mut command = Command::new(installed("target/clients/python/bin/python"));
        command
            .arg(installed("tests/clients/python/secure.py"))
            .arg(&at)
            .arg(pki.path("ca.pem"))
            .env("BERTH_TOKEN", token)
            .kill_on_drop(true);
        command
    };
    let known = run(python(&tokens.user)).await;
    let said = text(&known.stdout);
    assert_eq!(said, "SERVING\nci\n", "{}", text(&known.stderr));
    let unknown = run(python("wrong")).await;
    let said = text(&unknown.stdout);
    assert_eq!(
        said,
        "SERVING\nUNAUTHENTICATED AUTH_REQUIRED\n",
        "{}",
        text(&unknown.stderr)
    );
    broker.stop().await;
}
