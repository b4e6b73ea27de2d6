//! Tokens, and who may ask without one.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_says_who_calls_and_all_else_is_refused_alike() {
    let tokens = Tokens::new();
    let broker = Broker::with(|config| config.auth.tokens = Some(tokens.path())).await;
    let channel = broker.connect().await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let lease = granted(&channel, &format!("{scheme} {}", tokens.user)).await;
        assert_eq!(lease.owner, "ci");
        give_back(&channel, &bearer(&tokens.user), &lease).await;
    }
    let wrong = format!("{}x", tokens.user);
    let mut said = Vec::new();
    for authorization in [
        "",
        "Bearer",
        "Bearer x",
        &tokens.user,
        &bearer(&wrong),
        "Digest x",
        "Basic eA==",
        "Bearer a.b.c",
    ] {
        let refused = list(&channel, authorization).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{authorization}");
        assert_eq!(reason(&refused), "AUTH_REQUIRED");
        said.push(refused.message().to_owned());
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
    // A stream is refused as a call is, before anything of it is done.
    let mut leases = LeaseServiceClient::new(channel.clone());
    let held = leases.hold(tokio_stream::pending()).await.unwrap_err();
    assert_eq!(reason(&held), "AUTH_REQUIRED");
    let metrics = ops(&broker, "/metrics", &[]).await.1;
    for counted in [
        "berth_auth_total{outcome=\"missing\"} 2",
        "berth_auth_total{outcome=\"unknown\"} 3",
        "berth_auth_total{outcome=\"malformed\"} 4",
    ] {
        assert!(metrics.contains(counted), "{counted}\n{metrics}");
    }
    broker.stop().await;
}

async fn checks(channel: &Channel) -> Result<(), Status> {
    let mut health = HealthClient::new(channel.clone());
    let asked = health.check(HealthCheckRequest::default());
    asked.await.map(|_| ())
}

async fn reflects(channel: &Channel) -> Result<(), Status> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel.clone());
    let asked = client.server_reflection_info(tokio_stream::once(request));
    asked.await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_reflection_have_switches_of_their_own() {
    let tokens = Tokens::new();
    let broker = Broker::cold(|config| config.auth.tokens = Some(tokens.path())).await;
    let channel = broker.connect().await;
    checks(&channel).await.unwrap();
    assert_eq!(
        reason(&reflects(&channel).await.unwrap_err()),
        "AUTH_REQUIRED"
    );
    broker.end().await;
    let broker = Broker::cold(|config| {
        config.auth.tokens = Some(tokens.path());
        config.auth.health_required = true;
        config.auth.reflection_open = true;
    })
    .await;
    let channel = broker.connect().await;
    assert_eq!(
        reason(&checks(&channel).await.unwrap_err()),
        "AUTH_REQUIRED"
    );
    reflects(&channel).await.unwrap();
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_change_under_way_and_a_broken_file_changes_nothing() {
    let tokens = Tokens::new();
    let broker = Broker::cold(|config| config.auth.tokens = Some(tokens.path())).await;
    let channel = broker.connect().await;
    let good = fs::read_to_string(tokens.path()).unwrap();
    let (second, entry) = new_token("new", false).unwrap();
    let (old, new) = (bearer(&tokens.user), bearer(&second));
    assert!(list(&channel, &new).await.is_err());
    // Its first entry is right, and must not count.
    fs::write(tokens.path(), format!("{entry}\n[[token]]\nowner = 1\n")).unwrap();
    until("the broken file is noticed", async || {
        let metrics = ops(&broker, "/metrics", &[]).await.1;
        metrics.contains("berth_auth_reloads_total{result=\"failed\"} 1")
    })
    .await;
    assert!(list(&channel, &new).await.is_err());
    list(&channel, &old).await.unwrap();
    fs::write(tokens.path(), format!("{good}{entry}")).unwrap();
    until("the new token is known", async || {
        list(&channel, &old).await.unwrap();
        list(&channel, &new).await.is_ok()
    })
    .await;
    fs::write(tokens.path(), entry).unwrap();
    until("the old token is forgotten", async || {
        list(&channel, &new).await.unwrap();
        list(&channel, &old).await.is_err()
    })
    .await;
    broker.end().await;
}
