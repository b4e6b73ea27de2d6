//! Where the token of a lease may show: in its grant, and nowhere else.

use std::{collections::BTreeSet, fs, path::Path};

use berth::proto::{
    AcquireRequest, EndLeaseRequest, GetRequest, GetStatusRequest, ListRequest, ReleaseRequest,
    RenewRequest,
};
use nix::sys::signal::Signal;
use procfs::process::{Process, all_processes};
use serde_json::json;

use super::support::{Broker, Cdp, Ground, Service, acquire};

/// The part of a `cdp_url` that is secret.
fn secret(cdp_url: &str) -> &str {
    let (_, secret) = cdp_url.rsplit_once('.').unwrap();
    assert_eq!(secret.len(), 43, "256 bits as base64");
    secret
}

/// A process and all below it.
fn descendants(root: i32) -> Vec<Process> {
    let all: Vec<_> = all_processes().unwrap().flatten().collect();
    let mut pids = BTreeSet::from([root]);
    loop {
        let found = all
            .iter()
            .filter(|one| one.stat().is_ok_and(|stat| pids.contains(&stat.ppid)));
        let more: BTreeSet<_> = found.map(|one| one.pid).collect();
        if more.is_subset(&pids) {
            break;
        }
        pids.extend(more);
    }
    all.into_iter()
        .filter(|one| pids.contains(&one.pid))
        .collect()
}

/// The files below a folder that hold `text`.
fn holding(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let content = fs::read(entry.path()).unwrap_or_default();
                if content
                    .windows(text.len())
                    .any(|piece| piece == text.as_bytes())
                {
                    found.push(entry.path().display().to_string());
                }
            }
        }
    }
    found
}

/// Every route of the ops port, and some that are none.
const OPS: [&str; 14] = [
    "/",
    "/status",
    "/status?since=0",
    "/health",
    "/livez",
    "/readyz",
    "/metrics",
    "/dashboard.css",
    "/dashboard.js",
    "/chart.js",
    "/words.js",
    "/icon.svg",
    "/lease",
    "/json/list",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_token_shows_in_its_grant_only() {
    let ground = Ground::new();
    let service = Service::start(ground.path(), &["--log-level", "trace"]).await;
    let mut leases = service.leases().await;
    let lease = acquire(&mut leases, AcquireRequest::default())
        .await
        .unwrap();
    let token = lease.cdp_url.rsplit('/').next().unwrap().to_owned();
    let secret = secret(&lease.cdp_url).to_owned();

    // Traffic, on every kind of route.
    let mut cdp = Cdp::connect(&lease.cdp_url).await;
    let page = cdp.page().await;
    assert_eq!(cdp.evaluate(&page, "6 * 7").await, 42);
    let version = reqwest::get(format!("{}/json/version", lease.cdp_http_url))
        .await
        .unwrap();
    let version = version.text().await.unwrap();
    assert!(
        version.contains(&secret),
        "this is how it would show: {version}"
    );

    // What the gateway says to who asks wrongly.
    for route in ["/nonsense", "/json/new", "/devtools/page/none", ""] {
        let answer = reqwest::get(format!("{}{route}", lease.cdp_http_url))
            .await
            .unwrap();
        assert!(
            !format!("{:?}", answer.headers()).contains(&secret),
            "{route}"
        );
        let body = answer.text().await.unwrap();
        assert!(!body.contains(&secret), "{route}: {body}");
    }
    // What operators see.
    let http = reqwest::Client::new();
    for route in OPS {
        let url = format!("http://{}{route}", service.ops);
        for method in [reqwest::Method::GET, reqwest::Method::POST] {
            let answer = http.request(method.clone(), &url).send().await.unwrap();
            let (code, body) = (answer.status(), answer.text().await.unwrap());
            assert!(!body.contains(&secret), "{route}: {body}");
            let changes = method != reqwest::Method::GET;
            assert!(
                !changes || code.is_client_error(),
                "{method} {route}: {code}"
            );
        }
    }
    // What the other calls answer, and what those are told that send the token where it has no place.
    let id = |lease_id: &str| lease_id.to_owned();
    let mut admin = service.admin().await;
    let mut said = vec![
        format!(
            "{:?}",
            leases
                .get(GetRequest {
                    lease_id: id(&lease.id)
                })
                .await
        ),
        format!("{:?}", leases.list(ListRequest::default()).await),
        format!("{:?}", admin.get_status(GetStatusRequest {}).await),
        format!(
            "{:?}",
            leases
                .renew(RenewRequest {
                    lease_id: id(&lease.id),
                    ttl: None
                })
                .await
        ),
    ];
    assert!(
        said.iter().all(|said| said.contains(&lease.id)),
        "{said:#?}"
    );
    said.extend([
        format!(
            "{:?}",
            leases
                .get(GetRequest {
                    lease_id: id(&token)
                })
                .await
        ),
        format!(
            "{:?}",
            leases
                .release(ReleaseRequest {
                    lease_id: id(&token)
                })
                .await
        ),
        format!(
            "{:?}",
            admin
                .end_lease(EndLeaseRequest {
                    lease_id: id(&token)
                })
                .await
        ),
    ]);
    for said in &said {
        assert!(!said.contains(&secret), "{said}");
    }
    // What other users of the machine see, and what lies on the disk.
    let processes = descendants(service.pid());
    assert!(processes.len() > 3, "the browsers are among them");
    for process in &processes {
        let line = process.cmdline().unwrap_or_default().join(" ");
        assert!(!line.contains(&secret), "{line}");
        let environment = process.environ().unwrap_or_default();
        assert!(!format!("{environment:?}").contains(&secret), "{line}");
    }
    assert_eq!(holding(ground.path(), &secret), Vec::<String>::new());

    let lease_id = lease.id.clone();
    let released = leases.release(ReleaseRequest { lease_id }).await.unwrap();
    assert!(!format!("{released:?}").contains(&secret));
    assert_eq!(cdp.closed().await.unwrap().0, 4000);
    let gone = reqwest::get(&lease.cdp_http_url).await.unwrap();
    assert_eq!(gone.status(), 410);
    assert!(!gone.text().await.unwrap().contains(&secret));

    service.signal(Signal::SIGTERM);
    let (code, log) = service.ended().await;
    assert_eq!(code, Some(0));
    let log = json!(log).to_string();
    assert!(
        log.contains(&lease.id),
        "the lease is in the log by its name"
    );
    assert!(!log.contains(&secret), "{log}");
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_printed_tells_no_token() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let printed = format!("{:?}", broker.server.broker());
    assert!(
        printed.contains("redacted"),
        "the lease is in there: {printed}"
    );
    assert!(!printed.contains(secret(&lease.cdp_url)));
    broker.release(&lease).await;
    broker.stop().await;
}
