//! What probes, dashboards and explorers see.

mod support;

use berth::proto::{AcquireRequest, DrainRequest, FetchRequest, GetStatusRequest};
use support::{Broker, acquire, until};
use tokio_stream::StreamExt;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

const NAMES: [&str; 10] = [
    "",
    "berth.v1.AdminService",
    "berth.v1.FetchService",
    "berth.v1.LeaseService",
    "berth.v1.PageService",
    "browser-pool",
    "cache",
    "egress",
    "http-client",
    "resources",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_name_is_known_and_follows_a_drain() {
    let broker = Broker::start().await;
    let check = async |name: &str| {
        let service = name.to_owned();
        let answer = broker.health().check(HealthCheckRequest { service }).await;
        answer.map(|answer| answer.into_inner().status())
    };
    until("it serves", async || {
        check("").await.unwrap() == ServingStatus::Serving
    })
    .await;
    for name in NAMES {
        assert_eq!(check(name).await.unwrap(), ServingStatus::Serving, "{name}");
    }
    assert_eq!(check("tea").await.unwrap_err().code(), Code::NotFound);
    broker
        .admin()
        .drain(DrainRequest { shutdown: false })
        .await
        .unwrap();
    until("it no longer serves", async || {
        check("").await.unwrap() == ServingStatus::NotServing
    })
    .await;
    assert_eq!(
        check("browser-pool").await.unwrap(),
        ServingStatus::NotServing
    );
    assert_eq!(
        check("berth.v1.AdminService").await.unwrap(),
        ServingStatus::Serving
    );
    assert_eq!(broker.ops("/readyz").await.0, 503);
    assert_eq!(broker.ops("/health").await.0, 200, "draining is not broken");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_serves_before_the_first_browser_is_up() {
    let broker = Broker::cold(|config| config.browser = Some("/nowhere".into())).await;
    let check = async |name: &str| {
        let service = name.to_owned();
        let answer = broker.health().check(HealthCheckRequest { service }).await;
        answer.unwrap().into_inner().status()
    };
    assert_eq!(check("").await, ServingStatus::NotServing);
    assert_eq!(check("browser-pool").await, ServingStatus::NotServing);
    until("what needs no browser serves", async || {
        check("http-client").await == ServingStatus::Serving
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_pool_is_healthy() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let (code, body) = broker.ops("/health").await;
    assert_eq!(code, 200);
    let health: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(health["status"], "healthy");
    let pool = &health["checks"]["browser_pool"];
    assert_eq!(
        (&pool["available"], &pool["leased"], &pool["max"]),
        (&0.into(), &1.into(), &1.into())
    );
    assert!(health["checks"]["resources"]["open_fds"].as_u64().unwrap() > 5);
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_the_values_of_what_happened() {
    let broker = Broker::start().await;
    broker
        .admin()
        .get_status(GetStatusRequest {})
        .await
        .unwrap();
    // A histogram shows with its first value.
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    broker.release(&lease).await;
    let fetch = FetchRequest {
        url: broker.site.url("/"),
        ..FetchRequest::default()
    };
    broker.fetches().fetch(fetch).await.unwrap();
    until("a spare stands by", async || broker.idle() > 0).await;
    let (code, text) = broker.ops("/metrics").await;
    assert_eq!(code, 200);
    for series in [
        "berth_browsers{state=\"idle\"} 1",
        "berth_browser_launches_total{result=\"ok\"}",
        "rpc_server_duration_seconds_count{code=\"OK\",method=\"berth.v1.AdminService/GetStatus\"}",
        "process_open_fds ",
    ] {
        assert!(text.contains(series), "{series}\n{text}");
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_found_by_reflection() {
    let broker = Broker::start().await;
    let mut client = ServerReflectionClient::new(broker.connect().await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap();
    let answer = answers.into_inner().next().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("a list");
    };
    let names: Vec<_> = list.service.into_iter().map(|one| one.name).collect();
    for name in [
        "berth.v1.LeaseService",
        "berth.v1.FetchService",
        "grpc.health.v1.Health",
    ] {
        assert!(names.iter().any(|one| one == name), "{name}: {names:?}");
    }
    drop(client);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_comes_back() {
    let broker = Broker::start().await;
    let mut request = tonic::Request::new(GetStatusRequest {});
    request
        .metadata_mut()
        .insert("x-request-id", "job-17".parse().unwrap());
    let answer = broker.admin().get_status(request).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), "job-17");
    let answer = broker
        .admin()
        .get_status(GetStatusRequest {})
        .await
        .unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap().len(), 32);
    broker.stop().await;
}
