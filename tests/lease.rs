//! `LeaseService` over gRPC, on real browsers.

mod support;

use std::{collections::HashMap, time::Duration};

use berth::{
    browser::{self, visit},
    deadline::Deadline,
    drain::Drain,
    proto::{
        AcquireRequest, BrowserOptions, EndReason, GetRequest, HoldRelease, HoldRequest,
        HoldResponse, LeaseState, ListRequest, OnDisconnect, ReleaseRequest, RenewRequest,
        Viewport, hold_request::Request as Ask, hold_response::Event,
    },
};
use support::{BOUND, Broker, acquire, broker::fields, proto, reason, retry, secs, until};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

/// A Hold stream and the way to speak on it.
struct Hold {
    say: mpsc::Sender<HoldRequest>,
    events: Streaming<HoldResponse>,
}

impl Hold {
    async fn open(broker: &Broker, request: AcquireRequest) -> Self {
        let (say, said) = mpsc::channel(4);
        let request = Some(Ask::Acquire(request));
        say.send(HoldRequest { request }).await.unwrap();
        let held = broker
            .leases()
            .hold(ReceiverStream::new(said))
            .await
            .unwrap();
        let events = held.into_inner();
        Self { say, events }
    }

    async fn next(&mut self) -> Option<Event> {
        let message = timeout(BOUND, self.events.message())
            .await
            .unwrap()
            .unwrap();
        message.map(|message| message.event.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_echoes_every_limit_as_it_was_decided() {
    let broker = Broker::start().await;
    // Without a deadline of the call, which would shorten the wait.
    let granted = broker.leases().acquire(AcquireRequest::default()).await;
    let lease = granted.unwrap().into_inner().lease.unwrap();
    assert_eq!(lease.state(), LeaseState::Active);
    assert_eq!((lease.wait, lease.ttl), (secs(300), secs(60)));
    assert_eq!((lease.max_lifetime, lease.idle_timeout), (secs(3600), None));
    assert_eq!(lease.on_disconnect(), OnDisconnect::Release);
    assert_eq!(lease.detach_grace, secs(10));
    assert_eq!(lease.owner, "anonymous");
    assert!(
        lease.cdp_url.starts_with("ws://127.0.0.1:"),
        "{}",
        lease.cdp_url
    );
    assert_eq!(lease.cdp_http_url, lease.cdp_url.replacen("ws", "http", 1));
    assert!(lease.browser.clone().unwrap().product.contains("Chrome/"));
    let (expire, now) = (lease.expire_time.unwrap(), lease.now.unwrap());
    assert!(
        (58..=60).contains(&(expire.seconds - now.seconds)),
        "{expire:?} {now:?}"
    );

    let asked = AcquireRequest {
        ttl: secs(5),
        wait: secs(7),
        idle_timeout: secs(9),
        max_lifetime: secs(1_000_000),
        on_disconnect: OnDisconnect::Keep.into(),
        detach_grace: secs(3),
        labels: HashMap::from([("job".into(), "17".into())]),
        ..AcquireRequest::default()
    };
    let lease = acquire(&mut broker.leases(), asked).await.unwrap();
    assert_eq!(
        (lease.ttl, lease.wait, lease.idle_timeout),
        (secs(5), secs(7), secs(9))
    );
    assert_eq!(
        lease.max_lifetime,
        secs(24 * 3600),
        "lowered to the server's maximum"
    );
    assert_eq!(lease.on_disconnect(), OnDisconnect::Keep);
    assert_eq!(lease.labels["job"], "17");

    let seen = broker.get(&lease.id).await;
    assert!(
        seen.cdp_url.is_empty() && seen.cdp_http_url.is_empty(),
        "the secret is shown once"
    );
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_names_every_field_and_disturbs_nothing() {
    let broker = Broker::start().await;
    let good = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let bad = AcquireRequest {
        ttl: secs(100_000),
        max_lifetime: secs(0),
        request_id: "x".repeat(200),
        labels: HashMap::from([(String::new(), "x".into())]),
        ..AcquireRequest::default()
    };
    let error = acquire(&mut broker.leases(), bad).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert_eq!(reason(&error), "BAD_REQUEST");
    let named = fields(&error);
    for field in ["ttl", "max_lifetime", "request_id", "labels"] {
        assert!(
            named.iter().any(|one| one.starts_with(field)),
            "{field}: {named:?}"
        );
    }
    let bad = AcquireRequest {
        wait: secs(-1),
        browser: Some(BrowserOptions {
            viewport: Some(Viewport::default()),
            egress_allow: vec!["10.0.0.1/8".into()],
            ..BrowserOptions::default()
        }),
        on_disconnect: 44,
        ..AcquireRequest::default()
    };
    let error = acquire(&mut broker.leases(), bad).await.unwrap_err();
    let named = fields(&error);
    for field in [
        "wait",
        "browser.viewport.width",
        "browser.egress_allow[0]",
        "on_disconnect",
    ] {
        assert!(named.iter().any(|one| one == field), "{field}: {named:?}");
    }
    for id in ["", "lease-1", "../../etc/passwd"] {
        let request = GetRequest {
            lease_id: id.into(),
        };
        let error = broker.leases().get(request).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert_eq!(fields(&error), ["lease_id"], "{id}");
    }
    let request = ListRequest {
        page_size: 1001,
        page_token: "x".into(),
        ..ListRequest::default()
    };
    let error = broker.leases().list(request).await.unwrap_err();
    assert_eq!(fields(&error), ["page_size", "page_token"]);
    let mut request = tonic::Request::new(GetRequest::default());
    request
        .metadata_mut()
        .insert("grpc-timeout", "soon".parse().unwrap());
    assert!(broker.leases().get(request).await.is_err());
    assert_eq!(broker.get(&good.id).await.state(), LeaseState::Active);
    broker.release(&good).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renewing_extends_up_to_the_lifetime_and_never_resurrects() {
    let broker = Broker::start().await;
    let asked = AcquireRequest {
        ttl: secs(5),
        max_lifetime: secs(20),
        ..AcquireRequest::default()
    };
    let lease = acquire(&mut broker.leases(), asked).await.unwrap();
    let renew = async |ttl| {
        let lease_id = lease.id.clone();
        let renewed = broker.leases().renew(RenewRequest { lease_id, ttl }).await;
        renewed.map(|renewed| renewed.into_inner().lease.unwrap())
    };
    let renewed = renew(secs(10)).await.unwrap();
    assert_eq!(renewed.ttl, secs(10));
    assert!(renewed.expire_time.unwrap().seconds > lease.expire_time.unwrap().seconds);
    let renewed = renew(secs(60)).await.unwrap();
    assert_eq!(renewed.expire_time, renewed.max_expire_time, "capped");
    assert_eq!(fields(&renew(secs(0)).await.unwrap_err()), ["ttl"]);

    let released = broker.release(&lease).await;
    assert_eq!(released.end_reason(), EndReason::Released);
    assert_eq!(
        broker.release(&lease).await.end_time,
        released.end_time,
        "idempotent"
    );
    let error = renew(None).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::NotFound, "LEASE_NOT_FOUND")
    );
    assert!(format!("{error:?}").contains("RELEASED") || error.message().contains("released"));
    let unknown = ReleaseRequest {
        lease_id: "lease-0198f2c1000070008000000000000000".into(),
    };
    let error = broker.leases().release(unknown).await.unwrap_err();
    assert_eq!(reason(&error), "LEASE_NOT_FOUND");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_ends_at_its_ttl_whether_or_not_anybody_looks() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let asked = AcquireRequest {
        ttl: secs(1),
        ..AcquireRequest::default()
    };
    let first = acquire(&mut broker.leases(), asked.clone()).await.unwrap();
    // Nobody polls: the second caller gets the browser because the first lease ended by itself.
    let second = acquire(&mut broker.leases(), asked).await.unwrap();
    let ended = broker.get(&first.id).await;
    assert_eq!(
        (ended.state(), ended.end_reason()),
        (LeaseState::Ended, EndReason::Expired)
    );
    assert_ne!(
        first.browser.unwrap().id,
        second.browser.clone().unwrap().id
    );
    broker.release(&second).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_id_is_the_same_lease_while_it_lives() {
    let broker = Broker::start().await;
    let asked = AcquireRequest {
        request_id: "job-17".into(),
        ..AcquireRequest::default()
    };
    let (mut one, mut two) = (broker.leases(), broker.leases());
    let (first, again) = tokio::join!(
        acquire(&mut one, asked.clone()),
        acquire(&mut two, asked.clone())
    );
    let (first, again) = (first.unwrap(), again.unwrap());
    assert_eq!(first.id, again.id);
    assert_eq!(first.cdp_url, again.cdp_url);
    broker.release(&first).await;
    let next = acquire(&mut broker.leases(), asked).await.unwrap();
    assert_ne!(next.id, first.id);
    broker.release(&next).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_listed_in_pages_and_by_label() {
    let broker = Broker::start().await;
    let mut leases = Vec::new();
    for job in ["a", "b", "b"] {
        let asked = AcquireRequest {
            labels: HashMap::from([("job".into(), job.into())]),
            ..AcquireRequest::default()
        };
        leases.push(acquire(&mut broker.leases(), asked).await.unwrap());
    }
    let list = async |request| broker.leases().list(request).await.unwrap().into_inner();
    let first = list(ListRequest {
        page_size: 2,
        ..ListRequest::default()
    })
    .await;
    assert_eq!(first.leases.len(), 2);
    let rest = list(ListRequest {
        page_size: 2,
        page_token: first.next_page_token.clone(),
        ..ListRequest::default()
    })
    .await;
    let ids: Vec<_> = first
        .leases
        .iter()
        .chain(&rest.leases)
        .map(|one| &one.id)
        .collect();
    assert_eq!(ids, leases.iter().map(|one| &one.id).collect::<Vec<_>>());
    assert!(rest.next_page_token.is_empty());
    let labels = HashMap::from([("job".to_owned(), "b".to_owned())]);
    let by_label = ListRequest {
        labels,
        ..ListRequest::default()
    };
    assert_eq!(list(by_label.clone()).await.leases.len(), 2);
    for lease in &leases {
        broker.release(lease).await;
    }
    assert!(list(by_label.clone()).await.leases.is_empty());
    let with_ended = ListRequest {
        include_ended: true,
        ..by_label
    };
    assert_eq!(list(with_ended).await.leases.len(), 2);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_tells_of_the_queue_the_grant_and_the_end() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let taken = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let mut hold = Hold::open(&broker, AcquireRequest::default()).await;
    let Some(Event::Queued(queued)) = hold.next().await else {
        panic!("first the place in the queue");
    };
    assert_eq!(queued.position, 1);
    broker.release(&taken).await;
    let Some(Event::Granted(granted)) = hold.next().await else {
        panic!("then the grant");
    };
    let lease = granted.lease.unwrap();
    assert!(lease.held && lease.on_disconnect() == OnDisconnect::Keep);
    let request = Some(Ask::Release(HoldRelease {}));
    hold.say.send(HoldRequest { request }).await.unwrap();
    let Some(Event::Ended(ended)) = hold.next().await else {
        panic!("then the end");
    };
    assert_eq!(ended.reason(), EndReason::Released);
    assert!(hold.next().await.is_none(), "and the stream's");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_lease_outlives_its_ttl_and_ends_with_its_stream() {
    let broker = Broker::start().await;
    let asked = AcquireRequest {
        ttl: secs(1),
        ..AcquireRequest::default()
    };
    let mut hold = Hold::open(&broker, asked).await;
    let Some(Event::Granted(granted)) = hold.next().await else {
        panic!("a grant");
    };
    let id = granted.lease.unwrap().id;
    // Half-closed: nothing more will be said, but somebody still listens.
    let Hold { say, events } = hold;
    drop(say);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(broker.get(&id).await.state(), LeaseState::Active);
    drop(events);
    let took = until("the lease ended", async || {
        broker.get(&id).await.state() == LeaseState::Ended
    })
    .await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(broker.get(&id).await.end_reason(), EndReason::ClientGone);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_lease_is_announced_to_end() {
    let broker = Broker::start().await;
    let asked = AcquireRequest {
        max_lifetime: secs(2),
        ..AcquireRequest::default()
    };
    let mut hold = Hold::open(&broker, asked).await;
    assert!(matches!(hold.next().await, Some(Event::Granted(_))));
    let Some(Event::Expiring(expiring)) = hold.next().await else {
        panic!("an announcement");
    };
    assert!(expiring.remaining.unwrap().seconds < 2);
    let Some(Event::Ended(ended)) = hold.next().await else {
        panic!("the end");
    };
    assert_eq!(ended.reason(), EndReason::Expired);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_takes_one_acquire_and_nothing_else() {
    let broker = Broker::start().await;
    let (say, said) = mpsc::channel(4);
    let request = Some(Ask::Release(HoldRelease {}));
    say.send(HoldRequest { request }).await.unwrap();
    let mut events = broker
        .leases()
        .hold(ReceiverStream::new(said))
        .await
        .unwrap()
        .into_inner();
    let error = events.message().await.unwrap_err();
    assert_eq!(
        (error.code(), fields(&error)),
        (Code::InvalidArgument, vec!["request".into()])
    );

    let mut hold = Hold::open(&broker, AcquireRequest::default()).await;
    assert!(matches!(hold.next().await, Some(Event::Granted(_))));
    let request = Some(Ask::Acquire(AcquireRequest::default()));
    hold.say.send(HoldRequest { request }).await.unwrap();
    let error = hold.events.message().await.unwrap_err();
    assert_eq!(fields(&error), ["request"]);
    until("its lease ended", async || {
        broker.status().await.leases.is_empty()
    })
    .await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_of_zero_takes_what_is_ready_or_nothing() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let asked = AcquireRequest {
        wait: proto(Duration::ZERO),
        ..AcquireRequest::default()
    };
    let lease = acquire(&mut broker.leases(), asked.clone()).await.unwrap();
    let error = acquire(&mut broker.leases(), asked).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::ResourceExhausted, "POOL_EXHAUSTED")
    );
    assert!(retry(&error).is_some());
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_started_as_the_client_wants_it() {
    let broker = Broker::start().await;
    let asked = AcquireRequest {
        browser: Some(BrowserOptions {
            user_agent: "Mozilla/5.0 (Berth test)".into(),
            locale: "de-CH".into(),
            time_zone: "Asia/Tokyo".into(),
            viewport: Some(Viewport {
                width: 700,
                height: 500,
                device_scale_factor: 2.0,
            }),
            ..BrowserOptions::default()
        }),
        ..AcquireRequest::default()
    };
    let lease = acquire(&mut broker.leases(), asked).await.unwrap();
    let own = Drain::new(tokio::runtime::Handle::current());
    let seen: browser::Visit = visit(
        &lease.cdp_url,
        &broker.site.url("/self"),
        Deadline::after(BOUND),
        &own,
    )
    .await
    .unwrap();
    assert_eq!(
        seen.text, "Mozilla/5.0 (Berth test)|de-CH|Asia/Tokyo|700|2",
        "what the page sees of it"
    );
    own.closed().await;
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversize_message_is_refused_and_nothing_else_is_disturbed() {
    let broker = Broker::with(|config| config.max_message_size = 64 << 10).await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let large = AcquireRequest {
        request_id: "x".repeat(1 << 20),
        ..AcquireRequest::default()
    };
    let error = acquire(&mut broker.leases(), large).await.unwrap_err();
    assert_eq!(error.code(), Code::OutOfRange);
    assert!(error.message().contains("65536"), "{}", error.message());
    assert_eq!(broker.get(&lease.id).await.state(), LeaseState::Active);
    broker.release(&lease).await;
    broker.stop().await;
}
