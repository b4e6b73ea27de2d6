//! Errors say what stands in the way, nothing outlives its call, and the end of a lease ends everything.

use std::time::Duration;

use berth::proto::{
    ClickRequest, EndReason, NavigateRequest, PageRef, SnapshotRequest, WaitForRequest,
    page_service_client::PageServiceClient, wait_for_request::Condition,
};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    client::{Agent, by_ref, by_selector, by_text, reference},
    support::{Broker, acquire, reason, secs, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_is_named() {
    let broker = Broker::start().await;
    let mut agent = Agent::of(&broker).await;
    agent.go("/").await;
    let covered = agent.try_click(by_text("Covered"), None).await.unwrap_err();
    assert_eq!(reason(&covered), "NOT_ACTIONABLE");
    let info = covered.get_details_error_info().unwrap();
    assert_eq!(info.metadata["why"], "covered");
    assert!(covered.message().contains("cover"), "{}", covered.message());
    let hidden = by_selector("button[style*=none]");
    let hidden = agent.try_click(hidden, None).await.unwrap_err();
    assert_eq!(
        hidden.get_details_error_info().unwrap().metadata["why"],
        "hidden"
    );
    let many = agent
        .try_click(by_selector("button"), None)
        .await
        .unwrap_err();
    assert_eq!(reason(&many), "ELEMENT_AMBIGUOUS");
    assert!(many.message().contains("[ref=e"), "{}", many.message());
    let none = agent
        .try_click(by_text("Nobody says this"), None)
        .await
        .unwrap_err();
    assert_eq!(
        (none.code(), reason(&none).as_str()),
        (Code::NotFound, "ELEMENT_NOT_FOUND")
    );
    let wrong = agent.try_fill(by_text("Count"), "x").await.unwrap_err();
    assert_eq!(
        wrong.get_details_error_info().unwrap().metadata["why"],
        "wrong_kind"
    );
    let bad = agent.try_click(by_selector("]["), None).await.unwrap_err();
    assert_eq!(reason(&bad), "BAD_REQUEST");
    let key = agent.press(None, "Return").await.unwrap_err();
    assert!(
        key.message().contains("\"Return\" is no key"),
        "{}",
        key.message()
    );
    let list = agent.go("/good/1").await;
    assert_eq!(list.status, 200);
    let option = agent.select(by_text("Size"), &["Huge"]).await.unwrap_err();
    assert_eq!(reason(&option), "ELEMENT_NOT_FOUND");
    assert!(option.message().contains("Large"), "{}", option.message());
    agent.leave(&broker).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_means_its_element_or_nothing() {
    let broker = Broker::start().await;
    let mut agent = Agent::of(&broker).await;
    agent.go("/").await;
    let count = reference(&agent.snapshot().await, &["button \"Count\""]);
    agent.click(by_ref(&count)).await;
    agent.go("/terms").await;
    let gone = agent.try_click(by_ref(&count), None).await.unwrap_err();
    assert_eq!(reason(&gone), "ELEMENT_NOT_FOUND");
    assert!(
        gone.message().contains("new snapshot"),
        "{}",
        gone.message()
    );
    agent.go("/").await;
    let count = reference(&agent.snapshot().await, &["button \"Count\""]);
    agent
        .evaluate_with("(one) => one.remove()", by_ref(&count))
        .await
        .unwrap();
    let gone = agent.try_click(by_ref(&count), None).await.unwrap_err();
    assert_eq!(reason(&gone), "ELEMENT_NOT_FOUND");
    agent.leave(&broker).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_throw_with_their_stack() {
    let broker = Broker::start().await;
    let mut agent = Agent::of(&broker).await;
    agent.go("/").await;
    for (script, json) in [
        ("1 + 1", "2"),
        ("({ a: [1, 'x', null] })", "{\"a\":[1,\"x\",null]}"),
        ("undefined", "null"),
        ("await Promise.resolve('x')", "\"x\""),
        ("() => document.title", "\"The Test Shop\""),
        ("async () => 7", "7"),
    ] {
        assert_eq!(agent.evaluate(script).await.unwrap(), json, "{script}");
    }
    let thrown = agent
        .evaluate("(function deep() { throw new TypeError('no') })()")
        .await
        .unwrap_err();
    assert_eq!(reason(&thrown), "SCRIPT_ERROR");
    assert_eq!(thrown.message(), "TypeError: no");
    let stack = &thrown.get_details_error_info().unwrap().metadata["stack"];
    assert!(stack.contains("at deep"), "{stack}");
    let syntax = agent.evaluate("1 +").await.unwrap_err();
    assert!(
        syntax.message().starts_with("SyntaxError"),
        "{}",
        syntax.message()
    );
    let rejected = agent.evaluate("Promise.reject('x')").await.unwrap_err();
    assert_eq!(
        (reason(&rejected).as_str(), rejected.message()),
        ("SCRIPT_ERROR", "x")
    );
    agent.leave(&broker).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_page_goes() {
    let broker =
        Broker::with(|config| config.egress_allow = crate::support::rules("127.0.0.1/32")).await;
    let mut agent = Agent::of(&broker).await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    for (url, expected) in [
        ("file:///etc/passwd", "BAD_REQUEST"),
        ("chrome://gpu", "BAD_REQUEST"),
        ("shop", "BAD_REQUEST"),
        ("http://10.0.0.1/", "EGRESS_DENIED"),
        ("http://169.254.169.254/latest", "EGRESS_DENIED"),
        ("http://nobody.invalid/", "ORIGIN_DNS"),
        (closed.as_str(), "ORIGIN_REFUSED"),
    ] {
        let refused = agent.try_url(url).await.unwrap_err();
        assert_eq!(reason(&refused), expected, "{url}: {}", refused.message());
    }
    assert_eq!(agent.go("/missing").await.status, 404, "data");
    let unknown = PageRef {
        lease_id: agent.lease.id.clone(),
        page_id: "none".into(),
    };
    agent.page = Some(unknown);
    let request = SnapshotRequest::default();
    let refused = agent.snapshot_as(request).await.unwrap_err();
    assert_eq!(reason(&refused), "PAGE_NOT_FOUND");
    agent.leave(&broker).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_end_in_time_and_when_cancelled() {
    let broker = Broker::start().await;
    let mut agent = Agent::of(&broker).await;
    agent.go("/").await;
    for condition in [
        Condition::Selector("#news".into()),
        Condition::Text("WE SELL nothing".into()),
        Condition::TextGone("somebody".into()),
        Condition::SelectorGone("button[style*=none]".into()),
        Condition::Url("*/".into()),
        Condition::LoadState(2),
        Condition::Predicate("document.title.length".into()),
        Condition::Predicate("Promise.resolve(1)".into()),
    ] {
        agent.wait(condition, 5000).await.unwrap();
    }
    let unmet = agent
        .wait(Condition::Text("never".into()), 600)
        .await
        .unwrap_err();
    assert_eq!(unmet.code(), Code::DeadlineExceeded);
    let info = unmet.get_details_error_info().unwrap();
    assert_eq!(info.metadata["unmet"], "the text \"never\"");
    let slow = NavigateRequest {
        page: agent.page.clone(),
        url: agent.shop.url("/hang"),
        ..NavigateRequest::default()
    };
    let mut slow = tonic::Request::new(slow);
    slow.set_timeout(Duration::from_millis(600));
    let late = agent.pages.navigate(slow).await.unwrap_err();
    assert!(
        ["ORIGIN_TIMEOUT", "DEADLINE"].contains(&reason(&late).as_str()),
        "{late:?}"
    );
    // Cancelled in the middle, and the next call is undisturbed.
    agent.go("/").await;
    let click = ClickRequest {
        page: agent.page.clone(),
        element: by_text("Covered"),
        ..ClickRequest::default()
    };
    let mut pages = agent.pages.clone();
    let cancelled = tokio::time::timeout(Duration::from_millis(300), pages.click(click)).await;
    assert!(cancelled.is_err());
    agent.click(by_text("Count")).await;
    agent.leave(&broker).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_lease_ends_its_calls() {
    let broker = Broker::start().await;
    for kill in [false, true] {
        let mut agent = Agent::of(&broker).await;
        agent.go("/").await;
        let wait = WaitForRequest {
            page: agent.page.clone(),
            condition: Some(Condition::Predicate("(window.asked = true, false)".into())),
            ..WaitForRequest::default()
        };
        let mut pages = agent.pages.clone();
        let end = async {
            // The call is under way.
            let asked = Condition::Predicate("window.asked".into());
            agent.wait(asked, 20_000).await.unwrap();
            if kill {
                let pid = broker.pid(&agent.lease).await;
                killpg(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            } else {
                broker.release(&agent.lease).await;
            }
        };
        let (waited, ()) = tokio::join!(pages.wait_for(wait), end);
        let expected = if kill {
            "BROWSER_LOST"
        } else {
            "LEASE_NOT_FOUND"
        };
        assert_eq!(reason(&waited.unwrap_err()), expected);
        let after = agent
            .snapshot_as(SnapshotRequest::default())
            .await
            .unwrap_err();
        until("the lease has ended", async || {
            broker.get(&agent.lease.id).await.end_reason != i32::from(EndReason::Unspecified)
        })
        .await;
        assert!(["LEASE_NOT_FOUND", "BROWSER_LOST"].contains(&reason(&after).as_str()));
        agent.shop.close().await;
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_under_way_is_no_idleness() {
    let broker = Broker::start().await;
    let request = berth::proto::AcquireRequest {
        idle_timeout: secs(2),
        ..Default::default()
    };
    let lease = acquire(&mut broker.leases(), request).await.unwrap();
    let mut pages = PageServiceClient::new(broker.connect().await);
    let mut wait = tonic::Request::new(WaitForRequest {
        page: Some(PageRef {
            lease_id: lease.id.clone(),
            page_id: String::new(),
        }),
        condition: Some(Condition::Text("never".into())),
        ..WaitForRequest::default()
    });
    wait.set_timeout(Duration::from_secs(4));
    let waited = pages.wait_for(wait).await.unwrap_err();
    assert_eq!(reason(&waited), "DEADLINE", "the lease lives");
    until("it idles out", async || {
        broker.get(&lease.id).await.end_reason == i32::from(EndReason::Idle)
    })
    .await;
    broker.stop().await;
}
