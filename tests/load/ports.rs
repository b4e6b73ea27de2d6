//! What every port bears: no descriptors, pings, long messages, silence.

use super::*;

/// The last answer of a kept connection to the ops port: one that needs no descriptor of the broker.
async fn ask(connection: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let whole = async {
        loop {
            connection.read_buf(&mut answer).await.unwrap();
            let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if body.len() >= length {
                return text.clone();
            }
        }
    };
    timeout(BOUND, whole).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_every_port_waits_quietly_and_serves_again() {
    /// More than there will be room for.
    const FLOOD: usize = 60;
    /// What begins a conversation in HTTP/2, and keeps it.
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let ground = Ground::new();
    let flags = ["--canary-interval", "0s", "--leak-interval", "0s"];
    let service = Service::start(ground.path(), &flags).await;
    let pid = service.pid();
    let mut kept = TcpStream::connect(&service.ops).await.unwrap();
    assert!(ask(&mut kept, "/health").await.contains("\"healthy\""));
    let mut known = AdminServiceClient::new(service.channel().await);
    let limit = |soft: usize| {
        let set = Command::new("prlimit")
            .args(["--pid", &pid.to_string(), &format!("--nofile={soft}:")])
            .status();
        assert!(set.unwrap().success());
    };
    let open = || {
        std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .count()
    };
    // Far fewer than the connections there may be: descriptors run out first.
    let most = open() + FLOOD / 2;
    limit(most);
    let grpc = service.grpc.strip_prefix("http://").unwrap().to_owned();
    let mut flood = Vec::new();
    for _ in 0..FLOOD {
        let mut one = TcpStream::connect(&grpc).await.unwrap();
        one.write_all(PREFACE).await.unwrap();
        flood.push(one);
    }
    until("every descriptor is taken", async || open() >= most).await;
    let waits = async |at: &str| {
        let mut one = TcpStream::connect(at).await.unwrap();
        let request = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        one.write_all(request).await.unwrap();
        let mut answer = String::new();
        let early = timeout(Duration::from_secs(1), one.read_to_string(&mut answer)).await;
        assert!(
            early.is_err(),
            "{at} answers without a descriptor: {answer}"
        );
        one
    };
    let mut waiting = [waits(&service.gateway).await, waits(&service.ops).await];

    let (begun, spent) = (Instant::now(), processor(pid));
    sleep(Duration::from_secs(3)).await;
    let share = (processor(pid) - spent) / begun.elapsed().as_secs_f64();
    println!("{share:.3} of a core while nothing can be accepted");
    assert!(share < 0.3, "it spins: {share} of a core");
    until("health says so", async || {
        let health = ask(&mut kept, "/health").await;
        health.starts_with("http/1.1 503") && health.contains("fds_exhausted")
    })
    .await;
    // Whoever is there already is served.
    known
        .get_status(bounded(GetStatusRequest {}))
        .await
        .unwrap();

    drop(flood);
    for one in &mut waiting {
        let mut answer = String::new();
        let answered = timeout(BOUND, one.read_to_string(&mut answer)).await;
        answered.expect("it is accepted now").unwrap();
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    }
    service.status().await;
    until("health is well", async || {
        let health = reqwest::get(format!("http://{}/health", service.ops)).await;
        health.is_ok_and(|answer| answer.status().is_success())
    })
    .await;
    lease_and_give_back(&service).await;
    drop((kept, known));
    service.signal(Signal::SIGTERM);
    let (code, log) = service.ended().await;
    assert_eq!(code, Some(0));
    for port in ["grpc", "gateway", "ops"] {
        for said in [
            "cannot accept a connection",
            "connections are accepted again",
        ] {
            let lines = log
                .iter()
                .filter(|line| line["port"] == port && line["message"] == said);
            let lines = lines.count();
            assert!((1..20).contains(&lines), "{port}: {said}: {lines} times");
        }
    }
    ground.assert_clean();
}

async fn pinging(endpoint: &str) -> Channel {
    let endpoint = Endpoint::from_shared(endpoint.to_owned()).unwrap();
    let endpoint = endpoint
        .http2_keep_alive_interval(Duration::from_secs(1))
        .keep_alive_while_idle(true)
        .keep_alive_timeout(Duration::from_secs(20));
    endpoint.connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_pings_each_second_is_not_cut() {
    let broker = Broker::start().await;
    let (say, said) = mpsc::channel(1);
    let request = Some(Ask::Acquire(AcquireRequest::default()));
    say.send(HoldRequest { request }).await.unwrap();
    let mut leases = LeaseServiceClient::new(pinging(&broker.endpoint()).await);
    let held = leases.hold(ReceiverStream::new(said)).await.unwrap();
    let mut events = held.into_inner();
    let granted = timeout(BOUND, events.message())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(matches!(granted.event, Some(Event::Granted(_))));
    // A server of the strict kind cuts after the third ping.
    let more = timeout(Duration::from_secs(6), events.message()).await;
    assert!(more.is_err(), "nothing happens: {more:?}");
    assert_eq!(broker.status().await.leases.len(), 1);
    drop((say, events, leases));
    until("the lease ended with its stream", async || {
        broker.status().await.leases.is_empty()
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_is_refused_clearly() {
    let broker = Broker::with(|config| config.max_message_size = 64 << 10).await;
    let request = AcquireRequest {
        labels: [("key".to_owned(), "x".repeat(128 << 10))].into(),
        ..AcquireRequest::default()
    };
    let refused = broker.leases().acquire(bounded(request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    assert!(refused.message().contains("65536"), "{}", refused.message());
    let too_large = |refused: &Status| {
        assert_eq!(reason(refused), "MESSAGE_TOO_LARGE");
        let details = refused.get_error_details();
        let metadata = details.error_info().unwrap().metadata.clone();
        assert_eq!(metadata["limit"], "max_message_size");
        assert_eq!(metadata["max_message_size"], "65536");
    };
    too_large(&refused);
    // A stream that has begun ends with the same.
    let request = FetchManyRequest {
        id: "x".repeat(128 << 10),
        ..FetchManyRequest::default()
    };
    let mut requests = Request::new(futures::stream::iter([request]));
    requests.set_timeout(BOUND);
    let mut results = broker.fetches().fetch_many(requests).await.unwrap();
    let refused = results.get_mut().message().await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    too_large(&refused);
    // And so does what is served beside the services of Berth.
    let long = HealthCheckRequest {
        service: "x".repeat(128 << 10),
    };
    too_large(&broker.health().check(long).await.unwrap_err());
    // Metadata beyond the limit of the connection: the call fails, the broker does not.
    let mut request = bounded(GetStatusRequest {});
    let long = "x".repeat(32 << 10).parse().unwrap();
    request.metadata_mut().insert("x-long", long);
    let refused = broker.admin().get_status(request).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(broker.status().await.leases.len(), 0);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_waits_and_a_silent_one_loses_its_place() {
    let broker = Broker::with(|config| config.max_connections = 3).await;
    let address = broker.endpoint();
    let address = address.strip_prefix("http://").unwrap();
    // The broker's own client has one place.
    broker.status().await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let other = broker.connect().await;
    let next = Channel::from_shared(broker.endpoint()).unwrap();
    let mut admin = AdminServiceClient::new(next.connect_lazy());
    let early = admin.get_status(GetStatusRequest {});
    let early = timeout(Duration::from_secs(1), early).await;
    assert!(early.is_err(), "it waits: {early:?}");
    // Within some seconds whoever says nothing is sent away, and the next has its place.
    let mut nothing = Vec::new();
    let closed = timeout(BOUND, silent.read_to_end(&mut nothing))
        .await
        .unwrap();
    assert!(closed.is_err() || nothing.len() < 1024);
    admin
        .get_status(bounded(GetStatusRequest {}))
        .await
        .unwrap();
    drop((silent, other, admin));
    broker.stop().await;
}
