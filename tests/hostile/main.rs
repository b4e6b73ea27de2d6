//! An origin that does everything wrong: each trap has its documented outcome, in time, in bounded
//! memory, and nothing is left of it.

mod answers;
mod cases;
mod origin;
mod pages;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use berth::proto::{
    FetchFormat, FetchRequest, FetchResponse, FetchStrategy, Status as BrokerStatus,
    fetch_service_client::FetchServiceClient,
};
use cases::CASES;
use futures::{StreamExt, stream};
use nix::sys::signal::Signal;
use origin::Origin;
use procfs::process::Process;
use support::{BOUND, Ground, Service, proto, reason, until};
use tokio::time::Instant;
use tonic::{Request, Status, transport::Channel};

/// What a caller gives a fetch that is to end because its time is over.
const SHORT: Duration = Duration::from_secs(4);
/// What it gives one that is to end by itself, however busy the machine is.
const LONG: Duration = Duration::from_secs(30);
/// How much later than that an answer may be on a busy machine.
const SLACK: Duration = Duration::from_secs(10);
const MOST_BYTES: u64 = 2 << 20;

struct Rig {
    service: Service,
    ground: Ground,
    origin: Origin,
    client: FetchServiceClient<Channel>,
}

impl Rig {
    async fn start() -> Self {
        let origin = Origin::start().await;
        let ground = Ground::new();
        let trust = ground.path().join("trust.pem");
        std::fs::write(&trust, &origin.authority).unwrap();
        let run = ground.path().join("run");
        let flags = ["--browser-memory-limit", "1GiB"];
        let mut command = support::serve(&run, &flags);
        command.env("SSL_CERT_FILE", trust);
        // What is measured is what the broker keeps, not what its allocator does: with these it
        // gives back at once what is large, and has one heap.
        command.env("MALLOC_ARENA_MAX", "1");
        command.env("MALLOC_MMAP_THRESHOLD_", "65536");
        command.env("MALLOC_TRIM_THRESHOLD_", "65536");
        let service = Service::cold(command).await;
        let client = service.fetches().await.max_decoding_message_size(8 << 20);
        Self {
            service,
            ground,
            origin,
            client,
        }
    }

    async fn fetch(
        &self,
        url: String,
        strategy: FetchStrategy,
        patience: Duration,
    ) -> Result<FetchResponse, Status> {
        let format = match strategy {
            FetchStrategy::Http => FetchFormat::Raw,
            _ => FetchFormat::Html,
        };
        let mut request = Request::new(FetchRequest {
            url,
            strategy: strategy.into(),
            formats: vec![format.into(), FetchFormat::Text.into()],
            max_bytes: MOST_BYTES,
            timeout: proto(patience),
            ..FetchRequest::default()
        });
        // Later, so that it is always the broker that says what became of it.
        request.set_timeout(patience + SLACK);
        let fetched = self.client.clone().fetch(request).await;
        fetched.map(tonic::Response::into_inner)
    }

    /// The outcome, and what is wrong with it.
    async fn outcome(
        &self,
        url: String,
        strategy: FetchStrategy,
        wanted: &[&str],
    ) -> Result<(), String> {
        let late = |outcome: &&str| ["DEADLINE", "ORIGIN_TIMEOUT"].contains(outcome);
        let patience = if wanted.iter().any(late) { SHORT } else { LONG };
        let begun = Instant::now();
        let fetched = self.fetch(url.clone(), strategy, patience).await;
        let took = begun.elapsed();
        let (outcome, said) = match &fetched {
            Ok(response) => (
                response.status.to_string(),
                format!("{:?}", response.warnings),
            ),
            Err(error) => (reason(error), error.message().to_owned()),
        };
        if !wanted.contains(&outcome.as_str()) {
            return Err(format!(
                "{url} {strategy:?}: {outcome}, not {wanted:?}: {said}"
            ));
        }
        if took > patience + SLACK {
            return Err(format!("{url} {strategy:?}: {outcome} after {took:?}"));
        }
        Ok(())
    }

    fn memory(&self) -> u64 {
        let process = Process::new(self.service.pid()).unwrap();
        process.status().unwrap().vmrss.unwrap() * 1024
    }

    /// The most memory that the broker ever had.
    fn peak(&self) -> u64 {
        let process = Process::new(self.service.pid()).unwrap();
        process.status().unwrap().vmhwm.unwrap() * 1024
    }

    fn descriptors(&self) -> usize {
        Process::new(self.service.pid())
            .unwrap()
            .fd_count()
            .unwrap()
    }

    async fn rested(&self) -> BrokerStatus {
        until("nothing runs and nothing is open", async || {
            let status = self.service.status().await;
            let seats: u32 = status.browsers.iter().map(|one| one.contexts).sum();
            status.running == 0 && seats == 0 && status.waiting == 0
        })
        .await;
        self.service.status().await
    }

    async fn stop(self) {
        self.service.signal(Signal::SIGTERM);
        assert_eq!(self.service.ended().await.0, Some(0));
        self.ground.deserted().await;
    }
}

/// Every trap of one way, some at a time, and what went otherwise than documented. Those that a
/// browser may be lost by come last and alone: what shares a browser with them is lost, too.
async fn all(rig: &Rig, strategy: FetchStrategy, at_once: usize) -> Vec<String> {
    let cases = CASES.iter().map(|case| {
        let wanted = match strategy {
            FetchStrategy::Http => case.http,
            _ => case.browser,
        };
        (case.path, wanted)
    });
    let cases = cases.filter(|(_, wanted)| !wanted.is_empty());
    let (alone, together): (Vec<_>, Vec<_>) =
        cases.partition(|(_, wanted)| wanted.contains(&"BROWSER_LOST"));
    let mut wrong = Vec::new();
    for (cases, at_once) in [(together, at_once), (alone, 1)] {
        let runs = cases.into_iter().map(|(path, wanted)| {
            let url = format!("http://{}{path}", rig.origin.plain);
            rig.outcome(url, strategy, wanted)
        });
        let outcomes: Vec<_> = stream::iter(runs).buffer_unordered(at_once).collect().await;
        wrong.extend(outcomes.into_iter().filter_map(Result::err));
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn every_trap_over_http_has_its_outcome() {
    let rig = Rig::start().await;
    assert_eq!(
        all(&rig, FetchStrategy::Http, 8).await,
        Vec::<String>::new()
    );
    rig.rested().await;
    let descriptors = rig.descriptors();
    assert_eq!(
        all(&rig, FetchStrategy::Http, 8).await,
        Vec::<String>::new()
    );
    rig.rested().await;
    let (now, peak) = (rig.descriptors(), rig.peak() >> 20);
    assert!(
        now <= descriptors + 4,
        "{now} descriptors after {descriptors}"
    );
    // Eight at once of at most 2 MiB, in their several forms, and the broker itself.
    assert!(peak < 150, "{peak} MiB at the most");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_trap_in_a_browser_has_its_outcome() {
    let mut rig = Rig::start().await;
    let wrong = all(&rig, FetchStrategy::Browser, 2).await;
    assert!(wrong.is_empty(), "{wrong:#?}\n{:#?}", rig.service.said());
    let status = rig.rested().await;
    assert!(status.browsers.len() <= 3, "{status:?}");
    let peak = rig.peak() >> 20;
    assert!(peak < 150, "{peak} MiB at the most");
    let good = format!("http://{}/ok", rig.origin.plain);
    rig.outcome(good, FetchStrategy::Browser, &["200"])
        .await
        .unwrap();
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_certificates_and_reset_streams_are_told() {
    let rig = Rig::start().await;
    let Origin {
        self_signed,
        expired,
        h2,
        ..
    } = &rig.origin;
    for strategy in [FetchStrategy::Http, FetchStrategy::Browser] {
        for address in [self_signed, expired] {
            let url = format!("https://{address}/ok");
            rig.outcome(url, strategy, &["ORIGIN_TLS"]).await.unwrap();
        }
        let plain = format!("https://{}/ok", rig.origin.plain);
        rig.outcome(plain, strategy, &["ORIGIN_TLS"]).await.unwrap();
    }
    for path in ["reset", "reset-body"] {
        let url = format!("https://{h2}/{path}");
        let wanted = ["ORIGIN_PROTOCOL"];
        rig.outcome(url, FetchStrategy::Http, &wanted)
            .await
            .unwrap();
    }
    rig.rested().await;
    rig.stop().await;
}

/// What a mixed load has of everything: a third of it fails or is left by its caller.
const MIXED: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_mixed_requests_leave_nothing() {
    let rig = Rig::start().await;
    // What is opened once and kept, is there before the count.
    mixed(&rig, MIXED / 2).await;
    rig.rested().await;
    let (memory, descriptors) = (rig.memory(), rig.descriptors());
    mixed(&rig, MIXED).await;
    let status = rig.rested().await;
    until("descriptors are back", async || {
        rig.descriptors() <= descriptors + 2
    })
    .await;
    assert!(status.browsers.len() <= 3, "{status:?}");
    let now = rig.memory();
    assert!(
        now * 100 <= memory * 105,
        "{} KiB now, {} KiB before",
        now >> 10,
        memory >> 10
    );
    rig.stop().await;
}

async fn mixed(rig: &Rig, requests: usize) {
    const BAD: [&str; 6] = [
        "/close",
        "/bomb/gzip",
        "/to/file",
        "/broken-gzip",
        "/loop",
        "/garbage",
    ];
    let plain = rig.origin.plain;
    let runs = (0..requests).map(|number| async move {
        let url = |path: &str| format!("http://{plain}{path}");
        let http = FetchStrategy::Http;
        match number % 12 {
            // Half of the failures are the origin's, half their caller's.
            0 | 1 => {
                let path = BAD[number / 12 % BAD.len()];
                let failed = rig.fetch(url(path), http, SHORT).await;
                assert!(failed.is_err(), "{path}");
            }
            2 | 3 => {
                let patience = Duration::from_micros(number as u64 * 397 % 20_000);
                let fetch = rig.fetch(url("/hang"), http, SHORT);
                let _left = tokio::time::timeout(patience, fetch).await;
            }
            4 if number % 240 == 4 => {
                let page = rig.fetch(url("/ok"), FetchStrategy::Browser, LONG).await;
                assert_eq!(page.unwrap().status, 200);
            }
            5 if number % 240 == 5 => {
                let patience = Duration::from_millis(number as u64 * 7 % 150);
                let page = rig.fetch(url("/ok"), FetchStrategy::Browser, LONG);
                let _left = tokio::time::timeout(patience, page).await;
            }
            _ => assert_eq!(rig.fetch(url("/ok"), http, LONG).await.unwrap().status, 200),
        }
    });
    let all = stream::iter(runs).buffer_unordered(16).count();
    tokio::time::timeout(BOUND * 6, all)
        .await
        .expect("in bounded time");
}
