//! Memory of a broker under load and of an idle lease.

use std::{process::Stdio, time::Duration};

use berth::{
    browser::census,
    proto::{
        AcquireRequest, FetchRequest, FetchStrategy, GetStatusRequest,
        admin_service_client::AdminServiceClient, fetch_service_client::FetchServiceClient,
        lease_service_client::LeaseServiceClient,
    },
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::{Instant, sleep},
};
use tonic::transport::Channel;

use crate::{Row, site::Site, stand::Cdp};

const LOAD: Duration = Duration::from_secs(8);
const MEBI: f64 = (1 << 20) as f64;

pub async fn measure() -> Vec<Row> {
    let run_dir = tempfile::tempdir().unwrap();
    let site = Site::start().await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_berth"))
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--gateway-listen",
            "127.0.0.1:0",
        ])
        .args([
            "--ops-listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
            "--run-dir",
        ])
        .arg(run_dir.path())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let grpc = loop {
        let line = log.next_line().await.unwrap().unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["message"] == "server.started" {
            break format!("http://{}", event["grpc"].as_str().unwrap());
        }
    };
    let mut draining = tokio::task::JoinSet::new();
    draining.spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    let channel = Channel::from_shared(grpc).unwrap().connect().await.unwrap();
    let idle = idle_lease(&channel).await;
    let resident = under_load(&channel, &site).await;
    child.kill().await.unwrap();
    site.stop().await;
    vec![
        Row::at_most(
            "RSS of the broker, 3 browsers under load",
            resident / MEBI,
            50.0,
            " MiB",
        ),
        Row::at_most(
            "PSS of an idle leased browser, tree and all",
            idle / MEBI,
            100.0,
            " MiB",
        ),
    ]
}

async fn status(channel: &Channel) -> berth::proto::Status {
    let mut admin = AdminServiceClient::new(channel.clone());
    let status = admin.get_status(GetStatusRequest {}).await.unwrap();
    status.into_inner().status.unwrap()
}

async fn idle_lease(channel: &Channel) -> f64 {
    let mut leases = LeaseServiceClient::new(channel.clone());
    let lease = leases
        .acquire(AcquireRequest::default())
        .await
        .unwrap()
        .into_inner()
        .lease
        .unwrap();
    sleep(Duration::from_secs(3)).await;
    let browsers = status(channel).await.browsers;
    let browser = lease.browser.unwrap().id;
    let pid = browsers.iter().find(|one| one.id == browser).unwrap().pid;
    let census = tokio::task::spawn_blocking(move || census::take(&[pid]))
        .await
        .unwrap();
    let lease_id = lease.id;
    leases
        .release(berth::proto::ReleaseRequest { lease_id })
        .await
        .unwrap();
    census.trees[&pid].memory as f64
}

/// The largest resident set seen while two leases are driven and fetches run.
async fn under_load(channel: &Channel, site: &Site) -> f64 {
    let until = Instant::now() + LOAD;
    let drive = async |_| {
        let mut leases = LeaseServiceClient::new(channel.clone());
        while Instant::now() < until {
            let granted = leases.acquire(AcquireRequest::default()).await.unwrap();
            let lease = granted.into_inner().lease.unwrap();
            let mut client = Cdp::connect(&lease.cdp_url).await;
            let page = client.page(None).await;
            client.read(&page, &site.url("/site/tall.html")).await;
            client
                .call(Some(&page), "Page.captureScreenshot", json!({}))
                .await;
            drop(client);
            let lease_id = lease.id;
            leases
                .release(berth::proto::ReleaseRequest { lease_id })
                .await
                .unwrap();
        }
    };
    let fetch = async |_| {
        let mut fetches = FetchServiceClient::new(channel.clone());
        while Instant::now() < until {
            let request = FetchRequest {
                url: site.url("/"),
                strategy: FetchStrategy::Browser.into(),
                ..FetchRequest::default()
            };
            fetches.fetch(request).await.unwrap();
        }
    };
    let watch = async {
        let mut most = 0;
        while Instant::now() < until {
            most = most.max(status(channel).await.resident_bytes);
            sleep(Duration::from_millis(100)).await;
        }
        most
    };
    let (_, _, most) = tokio::join!(
        futures::future::join_all((0..2).map(drive)),
        futures::future::join_all((0..4).map(fetch)),
        watch,
    );
    most as f64
}
