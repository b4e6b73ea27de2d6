//! Fetches in a browser against the bare commands they cannot do without.

use std::time::Duration;

use berth::{
    browser::cdp::Cdp,
    proto::{FetchFormat, FetchRequest, FetchStrategy, fetch_service_client::FetchServiceClient},
};
use chromiumoxide::cdp::{
    browser_protocol::{page, target},
    js_protocol::runtime::EvaluateParams,
};
use procfs::process::{Process, all_processes};
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::{
    Row, rounds,
    site::Site,
    stand::{Stand, soon},
};

const AT_ONCE: usize = 4;
const EACH: usize = 4;

pub async fn measure() -> Vec<Row> {
    let stand = Stand::start(|_| {}).await;
    let site = Site::start().await;
    let url = site.url("/");
    let endpoint = format!("http://{}", stand.server.addresses().grpc);
    let client = FetchServiceClient::connect(endpoint).await.unwrap();
    fetch(client.clone(), &url).await;
    let cdp = stand
        .server
        .pool()
        .seat(&berth::fair::Party::default(), soon())
        .await
        .unwrap()
        .browser()
        .cdp()
        .clone();
    let mut spent = [(Duration::ZERO, 0.0); 2];
    // By turns, so that what else the machine does falls on both.
    for turn in 0..rounds() * 2 {
        let (begun, used) = (Instant::now(), cpu(&stand));
        let worker = async |_| {
            for _ in 0..EACH {
                if turn % 2 == 0 {
                    bare(&cdp, &url).await;
                } else {
                    fetch(client.clone(), &url).await;
                }
            }
        };
        futures::future::join_all((0..AT_ONCE).map(worker)).await;
        let (wall, burnt) = &mut spent[turn % 2];
        *wall += begun.elapsed();
        *burnt += cpu(&stand) - used;
    }
    let [(bare, bare_cpu), (ours, our_cpu)] = spent;
    drop((client, cdp));
    stand.stop().await;
    site.stop().await;
    let rate = bare.as_secs_f64() / ours.as_secs_f64();
    vec![
        Row::at_least(
            "Fetch BROWSER, 4 at once: rate / bare commands",
            rate,
            0.90,
            "",
        ),
        Row::at_most(
            "the same: CPU time of client, broker and browser / bare commands",
            our_cpu / bare_cpu,
            1.10,
            "",
        ),
    ]
}

async fn fetch(mut client: FetchServiceClient<Channel>, url: &str) {
    let request = FetchRequest {
        url: url.to_owned(),
        strategy: FetchStrategy::Browser.into(),
        formats: vec![FetchFormat::Html.into()],
        ..FetchRequest::default()
    };
    client.fetch(request).await.unwrap();
}

async fn bare(cdp: &Cdp, url: &str) {
    let create = target::CreateBrowserContextParams::default();
    let context = cdp
        .call(None, create, soon())
        .await
        .unwrap()
        .browser_context_id;
    let mut create = target::CreateTargetParams::new("about:blank");
    create.browser_context_id = Some(context.clone());
    let target = cdp.call(None, create, soon()).await.unwrap().target_id;
    let mut attach = target::AttachToTargetParams::new(target);
    attach.flatten = Some(true);
    let id = cdp.call(None, attach, soon()).await.unwrap().session_id;
    let mut session = cdp.session(id, &["Page.loadEventFired"]).unwrap();
    session
        .call(page::EnableParams::default(), soon())
        .await
        .unwrap();
    session
        .call(page::NavigateParams::new(url), soon())
        .await
        .unwrap();
    session.event().await.unwrap();
    let html = EvaluateParams::new("document.documentElement.outerHTML");
    session.call(html, soon()).await.unwrap();
    let dispose = target::DisposeBrowserContextParams::new(context);
    cdp.call(None, dispose, soon()).await.unwrap();
}

/// Seconds of CPU of this process and of every browser, ended helpers included.
fn cpu(stand: &Stand) -> f64 {
    let groups: Vec<_> = stand
        .server
        .pool()
        .seen()
        .iter()
        .filter_map(|one| one.pid)
        .collect();
    let stats = all_processes()
        .unwrap()
        .filter_map(|process| process.ok()?.stat().ok());
    let browsers = stats
        .filter(|stat| groups.contains(&stat.pgrp))
        .map(|stat| {
            let ended = u64::try_from(stat.cutime + stat.cstime).unwrap_or_default();
            stat.utime + stat.stime + ended
        });
    let own = Process::myself().unwrap().stat().unwrap();
    let ticks = browsers.sum::<u64>() + own.utime + own.stime;
    ticks as f64 / procfs::ticks_per_second() as f64
}
