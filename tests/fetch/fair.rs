//! Leases and fetches share one budget of browsers, and neither starves the other.

use std::time::Duration;

use berth::{
    browser::{LeasedBrowser, Profile},
    fair::Party,
    fetch::{Config, Format, Strategy},
};
use futures::future::join_all;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    rig::{Rig, request, secs},
    yard::Yard,
};

async fn lease(rig: &Rig) -> LeasedBrowser {
    let place = rig.pool.queue(&Party::default()).unwrap();
    let plain = Profile::default();
    let leased = place.browser(&plain, secs(20), secs(20)).await;
    leased.expect("a lease comes")
}

/// Has `many` at a time do `work` over and over, until `stop`.
async fn stream(stop: &CancellationToken, many: usize, work: impl AsyncFn()) -> usize {
    let loops = (0..many).map(|_| async {
        let mut done = 0;
        while !stop.is_cancelled() {
            work().await;
            done += 1;
        }
        done
    });
    join_all(loops).await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_do_not_starve_fetches() {
    for browsers in [1, 3] {
        let rig = Rig::sized(Config::default(), browsers).await;
        let (yard, stop) = (Yard::start().await, CancellationToken::new());
        let held = async || {
            let leased = lease(&rig).await;
            // What a client does with it takes its time.
            tokio::time::sleep(Duration::from_millis(30)).await;
            drop(leased);
        };
        let fetches = async {
            for _ in 0..3 {
                let many = (0..4).map(|_| {
                    let page = request(&yard.url("/late"), Strategy::Browser, &[Format::Text]);
                    rig.fetcher.fetch(page, secs(20))
                });
                for got in join_all(many).await {
                    assert_eq!(got.expect("a fetch comes").status, 200);
                }
            }
            stop.cancel();
        };
        let (leases, ()) = tokio::join!(stream(&stop, browsers + 3, held), fetches);
        assert!(leases > browsers, "{leases} leases beside 12 fetches");
        rig.nothing_held().await;
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetches_do_not_starve_leases() {
    for browsers in [1, 3] {
        let rig = Rig::sized(Config::default(), browsers).await;
        let (yard, stop) = (Yard::start().await, CancellationToken::new());
        let fetch = async || {
            let page = request(&yard.url("/late"), Strategy::Browser, &[Format::Text]);
            let got = rig.fetcher.fetch(page, secs(30)).await;
            assert_eq!(got.expect("a fetch comes").status, 200);
        };
        let leases = async {
            yard.asked_for("/late").await;
            let began = Instant::now();
            // As many as there are browsers, all at once, and none is given back before all came.
            let held = join_all((0..browsers).map(|_| lease(&rig))).await;
            let took = began.elapsed();
            drop(held);
            drop(lease(&rig).await);
            stop.cancel();
            took
        };
        let (fetches, took) = tokio::join!(stream(&stop, 12, fetch), leases);
        assert!(took < Duration::from_secs(15), "{took:?}");
        assert!(fetches >= 12);
        rig.nothing_held().await;
        rig.end().await;
    }
}
