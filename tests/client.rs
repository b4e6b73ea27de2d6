//! `berth::client`, the library's own client.

mod support;

use std::{
    sync::{Arc, atomic::AtomicU32, atomic::Ordering},
    time::Duration,
};

use berth::{
    client::{Client, Error, Lease},
    proto::{
        AcquireRequest, BrowserOptions, EndLeaseRequest, EndReason, ErrorReason, GetRequest,
        hold_response::Event,
    },
};
use support::{BOUND, Broker, acquire, secs, until};
use tokio::time::timeout;
use tonic::Code;

async fn one() -> (Broker, Client) {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let client = Client::connect(&broker.endpoint()).await.unwrap();
    (broker, client)
}

async fn reason(broker: &Broker, lease_id: String) -> EndReason {
    let got = broker.leases().get(GetRequest { lease_id }).await.unwrap();
    got.into_inner().lease.unwrap().end_reason()
}

async fn over(broker: &Broker) {
    until("the lease is over", async || {
        broker.status().await.leases.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_released_by_word_by_drop_and_by_close() {
    let (broker, client) = one().await;
    let lease = client.lease().label("job", "42").await.unwrap();
    assert_eq!(lease.granted().labels["job"], "42");
    assert!(lease.cdp_url().starts_with("ws://") && lease.end().is_none());
    let ended = lease.release().await.unwrap();
    assert_eq!(ended.reason(), EndReason::Released);

    let dropped = client.lease().await.unwrap();
    let id = dropped.id().to_owned();
    drop(dropped);
    over(&broker).await;
    assert_eq!(reason(&broker, id).await, EndReason::Released);

    let left = client.lease().await.unwrap();
    let id = left.id().to_owned();
    let clone = client.clone();
    client.close().await;
    let closed = clone.lease().await.unwrap_err();
    assert_eq!(closed.code(), Code::Cancelled, "{closed}");
    assert_eq!(reason(&broker, id).await, EndReason::Released);
    assert_eq!(left.end().unwrap().unwrap().reason(), EndReason::Released);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_obeyed_within_the_wait() {
    let broker = Broker::with(|config| {
        config.max_browsers = 1;
        config.queue = 0;
    })
    .await;
    let client = Client::connect(&broker.endpoint()).await.unwrap();
    let short = AcquireRequest {
        ttl: secs(1),
        ..AcquireRequest::default()
    };
    acquire(&mut broker.leases(), short).await.unwrap();
    let now = client.lease().wait(Duration::ZERO).await.unwrap_err();
    assert_eq!(now.reason(), Some(ErrorReason::PoolExhausted), "{now}");
    assert_eq!(now.code(), Code::ResourceExhausted);
    assert!(now.retry_after().is_some(), "{now}");
    let lease = client.lease().wait(BOUND).await.unwrap();
    lease.release().await.unwrap();
    client.close().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_matter_of_patience_is_refused_at_once() {
    let (broker, client) = one().await;
    let odd = BrowserOptions {
        user_agent: "over\ntwo lines".into(),
        ..BrowserOptions::default()
    };
    let refused = client.lease().browser(odd).await.unwrap_err();
    assert_eq!(refused.reason(), Some(ErrorReason::BadRequest), "{refused}");
    let refused = client.fetch("file:///etc/passwd").await.unwrap_err();
    assert_eq!(refused.reason(), Some(ErrorReason::BadRequest), "{refused}");
    let fetched = client.fetch(broker.site.url("/").as_str()).await.unwrap();
    assert_eq!(fetched.status, 200);
    client.close().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_in_the_queue_is_told_and_given_up() {
    let (broker, client) = one().await;
    let held = client.lease().await.unwrap();
    let place = Arc::new(AtomicU32::new(0));
    let told = Arc::clone(&place);
    let asked = client
        .lease()
        .on_queued(move |position| told.store(position, Ordering::Relaxed));
    let waits = async {
        until("it waits", async || broker.status().await.waiting == 1).await;
        until("its place is told", async || {
            place.load(Ordering::Relaxed) == 1
        })
        .await;
    };
    tokio::select! {
        granted = asked => panic!("{granted:?}"),
        () = waits => {}
    }
    until("nobody waits", async || broker.status().await.waiting == 0).await;
    drop(held);
    client.close().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_lease_ends_is_heard() {
    let broker = Broker::with(|config| {
        config.max_browsers = 1;
        config.shutdown_timeout = Duration::from_secs(1);
    })
    .await;
    let client = Client::connect(&broker.endpoint()).await.unwrap();
    let mut lease: Lease = client.lease().await.unwrap();
    let lease_id = lease.id().to_owned();
    let request = EndLeaseRequest { lease_id };
    client.admin().end_lease(request).await.unwrap();
    let ended = timeout(BOUND, lease.ended()).await.unwrap().unwrap();
    assert_eq!(ended.reason(), EndReason::Revoked);
    assert!(matches!(lease.event().await, Some(Event::Ended(_))));
    assert!(lease.event().await.is_none());
    let again = lease.release().await.unwrap();
    assert_eq!(again.reason(), EndReason::Revoked);

    let lease = client.lease().await.unwrap();
    let shown = format!("{lease:?}");
    assert!(
        shown.contains(lease.id()) && !shown.contains("ws://"),
        "{shown}"
    );
    let end = broker.end();
    let (_forced, ended) = tokio::join!(end, timeout(BOUND, lease.ended()));
    assert_eq!(ended.unwrap().unwrap().reason(), EndReason::Drained);
    let gone = client.lease().await.unwrap_err();
    assert!(matches!(gone, Error::Refused(_)), "{gone}");
    assert_eq!(gone.code(), Code::Unavailable);
    client.close().await;
}
