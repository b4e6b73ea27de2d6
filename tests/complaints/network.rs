//! Proxies in between, ways inside, routes without a token.

use super::*;

/// The proxy delays each byte by up to a second each way, the idle timeout is four seconds, and the
/// broker asks a quiet connection after ten, with five to answer.
#[tokio::test(flavor = "multi_thread")]
async fn c17_a_buffering_proxy_ends_no_healthy_session() {
    let broker = Broker::start().await;
    let batch = Duration::from_secs(1);
    let grpc = broker.server.addresses().grpc.to_string();
    let gateway = broker.server.addresses().gateway.to_string();
    let (grpc, _grpc) = proxy::buffering(grpc, batch).await;
    let (cdp, _cdp) = proxy::buffering(gateway.clone(), batch).await;
    let channel = tonic::transport::Channel::from_shared(format!("http://{grpc}")).unwrap();
    let mut leases = LeaseServiceClient::new(channel.connect().await.unwrap());
    let (say, said) = mpsc::channel(1);
    let acquire = AcquireRequest {
        idle_timeout: secs(4),
        ..AcquireRequest::default()
    };
    let request = Some(Ask::Acquire(acquire));
    say.send(HoldRequest { request }).await.unwrap();
    let held = leases.hold(ReceiverStream::new(said)).await.unwrap();
    let mut events = held.into_inner();
    let lease = loop {
        let event = timeout(BOUND, events.message()).await.unwrap().unwrap();
        if let Some(Event::Granted(granted)) = event.unwrap().event {
            break granted.lease.unwrap();
        }
    };
    let mut client = Cdp::connect(&lease.cdp_url.replace(&gateway, &cdp)).await;
    let page = client.page().await;
    let begun = Instant::now();
    let mut answers = 0;
    while begun.elapsed() < Duration::from_secs(17) {
        assert_eq!(client.evaluate(&page, "6 * 7").await, 42);
        answers += 1;
    }
    assert!(answers >= 5, "{answers}");
    assert_eq!(broker.get(&lease.id).await.state(), LeaseState::Active);
    // Only silence of the client is idleness, and the stream is there to say so.
    let event = timeout(BOUND, events.message()).await.unwrap().unwrap();
    let Some(Event::Ended(ended)) = event.unwrap().event else {
        panic!("the end");
    };
    assert_eq!(ended.reason(), EndReason::Idle);
    drop((client, events, leases, _grpc, _cdp));
    broker.stop().await;
}

/// An answer takes seven seconds: too long for the five that a client has unless it is said
/// otherwise, and not for the twenty of the setting.
#[tokio::test(flavor = "multi_thread")]
async fn c17_a_proxy_that_is_late_keeps_a_hold_when_it_may_be() {
    let held = async |patience: Option<&str>| {
        let ground = Ground::new();
        let mut flags = vec!["--grpc-keepalive-interval", "1s"];
        flags.extend(
            patience
                .iter()
                .flat_map(|it| ["--grpc-keepalive-timeout", it]),
        );
        let service = Service::start(ground.path(), &flags).await;
        let grpc = service.grpc.strip_prefix("http://").unwrap().to_owned();
        let (grpc, proxying) = proxy::late(grpc, Duration::from_millis(3500)).await;
        let channel = tonic::transport::Channel::from_shared(format!("http://{grpc}")).unwrap();
        let mut leases = LeaseServiceClient::new(channel.connect().await.unwrap());
        let (say, said) = mpsc::channel(1);
        let request = Some(Ask::Acquire(AcquireRequest::default()));
        say.send(HoldRequest { request }).await.unwrap();
        let mut hold = std::pin::pin!(leases.hold(ReceiverStream::new(said)));
        let granted = async || service.status().await.leases.first().cloned();
        let lease = tokio::select! {
            lease = async {
                until("it is granted", async || granted().await.is_some()).await;
                granted().await.unwrap()
            } => lease,
            answer = &mut hold => panic!("the grant comes first: {answer:?}"),
        };
        // Time for several answers that come late.
        let followed = timeout(Duration::from_secs(18), async {
            let mut events = hold.await.unwrap().into_inner();
            while let Ok(Some(_)) = events.message().await {}
        });
        let lived = followed.await.is_err();
        let now = async || {
            let lease_id = lease.id.clone();
            let got = service.leases().await.get(GetRequest { lease_id }).await;
            got.unwrap().into_inner().lease.unwrap()
        };
        let found = now().await;
        drop((say, proxying));
        until("it is over", async || {
            now().await.state() == LeaseState::Ended
        })
        .await;
        service.signal(Signal::SIGTERM);
        assert_eq!(service.ended().await.0, Some(0));
        ground.assert_clean();
        (lived, found.state(), found.end_reason())
    };
    let (patient, usual) = tokio::join!(held(Some("20s")), held(None));
    assert_eq!(
        patient,
        (true, LeaseState::Active, EndReason::Unspecified),
        "its client lives"
    );
    assert_eq!(
        usual,
        (false, LeaseState::Ended, EndReason::ClientGone),
        "what the setting is for"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "the test's own listener")]
async fn c23_no_fetch_leads_inside() {
    let inside = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = inside.local_addr().unwrap().port();
    let (count, mut reached) = mpsc::unbounded_channel();
    let accepting = tokio::spawn(async move {
        while let Ok((stream, from)) = inside.accept().await {
            drop(stream);
            count.send(from).unwrap();
        }
    });
    // Nothing of loopback is open.
    let broker = Broker::with(|config| config.egress_allow.clear()).await;
    let fetch = async |url: String, strategy: FetchStrategy| {
        let request = FetchRequest {
            url,
            strategy: strategy.into(),
            ..FetchRequest::default()
        };
        broker.fetches().fetch(request).await
    };
    for host in [
        "127.0.0.1",
        "localhost",
        "0x7f.1",
        "①②⑦.⓪.⓪.①",
        "[::ffff:127.0.0.1]",
    ] {
        for strategy in [
            FetchStrategy::Http,
            FetchStrategy::Auto,
            FetchStrategy::Browser,
        ] {
            let denied = fetch(format!("http://{host}:{port}/"), strategy).await;
            let denied = denied.expect_err("it leads inside");
            assert_eq!(denied.code(), Code::PermissionDenied, "{host}: {denied:?}");
            assert_eq!(reason(&denied), "EGRESS_DENIED");
        }
    }
    assert!(reached.try_recv().is_err(), "somebody got through");
    drop(
        tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .unwrap(),
    );
    assert!(
        reached.recv().await.is_some(),
        "the listener would have seen it"
    );
    accepting.abort();
    assert!(accepting.await.is_err_and(|ended| ended.is_cancelled()));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c24_no_route_opens_without_the_token() {
    let broker = Broker::start().await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let other = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let gateway = format!("http://{}", broker.server.addresses().gateway);
    let token = lease.cdp_url.rsplit('/').next().unwrap().to_owned();
    let secret_of_other = other.cdp_url.rsplit('.').next().unwrap();
    let swapped = format!("{}.{secret_of_other}", token.split('.').next().unwrap());
    let http = reqwest::Client::new();
    let routes = [
        "",
        "/",
        "/json",
        "/json/",
        "/json/version",
        "/json/version/",
        "/json/list",
        "/json/protocol",
        "/json/new",
        "/devtools/browser/x",
        "/devtools/page/x",
        "/files",
        "/files/x",
    ];
    let ask = async |token: &str, route: &str| {
        let url = format!("{gateway}/lease/{token}{route}");
        let answer = http.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for route in routes {
        for wrong in [
            "",
            "x",
            &lease.id,
            &swapped,
            &token[..token.len() - 1],
            &format!("{token}A"),
        ] {
            let (code, body) = ask(wrong, route).await;
            assert_eq!(code, 404, "{route} with {wrong:?}: {body}");
            assert!(!body.contains(&token), "no answer tells the secret");
        }
    }
    for route in ["/json/version", "/json/list", "/devtools/browser/x", "/"] {
        let answer = http.get(format!("{gateway}{route}")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 404, "{route} without a token");
    }
    assert_eq!(
        ask(&token, "/json/version").await.0,
        200,
        "the right one opens"
    );
    broker.release(&lease).await;
    for route in routes {
        let (code, body) = ask(&token, route).await;
        assert_eq!(code, 410, "{route} after the end");
        assert!(body.contains("released"), "{body}");
    }
    broker.release(&other).await;
    drop(http);
    broker.stop().await;
}
