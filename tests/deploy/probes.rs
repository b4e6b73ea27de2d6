//! The probes, tried on brokers that run.

use std::process::Stdio;

use serde_json::json;
use tonic::{Code, Request};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    cluster::{container, port, settings},
    files::{str, yaml},
    image,
    support::{Ground, Service, berth, serve, until},
};

/// The answer to the readiness probe.
async fn ready(service: &Service) -> Result<ServingStatus, Code> {
    let probe = container()["readinessProbe"]["grpc"].clone();
    assert_eq!(port(&probe["port"]), settings().port("listen"));
    ask(service, str(&probe["service"])).await
}

async fn ask(service: &Service, name: &str) -> Result<ServingStatus, Code> {
    let mut client = HealthClient::new(service.channel().await);
    let service = name.to_owned();
    let answer = client.check(Request::new(HealthCheckRequest { service }));
    let answer = answer.await.map_err(|status| status.code())?;
    Ok(answer.into_inner().status())
}

/// The answer to the liveness probe.
async fn alive(service: &Service) -> u16 {
    let probe = container()["livenessProbe"]["httpGet"].clone();
    assert_eq!(port(&probe["port"]), settings().port("ops_listen"));
    get(service, str(&probe["path"])).await
}

async fn get(service: &Service, path: &str) -> u16 {
    let url = format!("http://{}{path}", service.ops);
    reqwest::get(url).await.unwrap().status().as_u16()
}

/// The exit code of the image's own check.
async fn checked(service: &Service) -> Option<i32> {
    let check = image::one("HEALTHCHECK");
    let (_, words) = check.split_once("CMD ").unwrap();
    let words: Vec<String> = serde_json::from_str(words).unwrap();
    assert_eq!(words[0], "berth");
    let mut command = berth();
    command
        .args(&words[1..])
        .env("BERTH_ENDPOINT", &service.grpc)
        .stdout(Stdio::null());
    command.status().await.unwrap().code()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_works_passes_each() {
    let ground = Ground::new();
    let service = Service::start(ground.path(), &[]).await;
    let serving = async || ready(&service).await == Ok(ServingStatus::Serving);
    until("it is ready", serving).await;
    assert_eq!(alive(&service).await, 200);
    assert_eq!(checked(&service).await, Some(0));
    let scraped = &container_annotations()["prometheus.io/path"];
    assert_eq!(get(&service, str(scraped)).await, 200);
    let monitor = yaml("deploy/prometheus/podmonitor.yaml");
    let scraped = &monitor["spec"]["podMetricsEndpoints"][0]["path"];
    assert_eq!(get(&service, str(scraped)).await, 200);
    // A name that is not there is told from one that does not serve.
    assert_eq!(ask(&service, "berth").await, Err(Code::NotFound));
}

fn container_annotations() -> serde_json::Value {
    crate::cluster::pod()["metadata"]["annotations"].clone()
}

/// A broker with no browser must not be killed again and again: its leases and its log would go, and no
/// browser would come of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_without_a_browser_is_alive_and_not_ready() {
    let ground = Ground::new();
    let mut service = Service::cold(serve(ground.path(), &["--browser", "/no/browser"])).await;
    service.event("browser.launch_failed").await;
    assert_eq!(ready(&service).await, Ok(ServingStatus::NotServing));
    assert_eq!(alive(&service).await, 200);
    assert_eq!(checked(&service).await, Some(1));
    assert!(
        container()["startupProbe"].is_null(),
        "it would kill as well"
    );
    assert_ne!(
        json!(null),
        container()["livenessProbe"]["failureThreshold"]
    );
}
