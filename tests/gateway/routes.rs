//! Routes and their token, and what clients are told at the end.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_route_asks_for_the_token_first() {
    let rig = Rig::start().await;
    let lease = rig.lease().await;
    let ended = rig.lease().await;
    rig.end(&ended, EndReason::Revoked);
    let (name, secret) = lease.path.split_at(lease.path.rfind('.').unwrap());
    let other = ended.path.split_at(ended.path.rfind('.').unwrap()).1;
    let wrong = [
        format!("{name}{other}"),
        format!("/lease/lease-{:032x}{secret}", 1),
        "/lease/x".to_owned(),
        "/lease/%ff".to_owned(),
        "/lease/".to_owned(),
        name.to_owned(),
    ];
    let routes = [
        "",
        "/",
        "/json",
        "/json/",
        "/json/version",
        "/json/version/",
        "/json/list",
        "/json/protocol",
        "/json/new",
        "/json/close/A",
        "/devtools/page/A",
        "/devtools/browser/A",
        "/files",
        "/files/",
        "/files/x",
        "/files/..%2fprofile",
        "/nonsense",
    ];
    for route in routes {
        for (method, head) in [("GET", ""), ("GET", UPGRADE), ("PUT", ""), ("POST", "")] {
            for wrong in &wrong {
                let (status, answer) = rig.ask(method, &format!("{wrong}{route}"), head).await;
                assert_eq!(status, 404, "{method} {wrong}{route}: {answer}");
                assert!(answer.ends_with("\r\n\r\nno such lease\n"), "{answer}");
            }
            let gone = format!("{}{route}", ended.path);
            let (status, answer) = rig.ask(method, &gone, head).await;
            assert_eq!(status, 410, "{method} {route}: {answer}");
            let body = answer.split_once("\r\n\r\n").unwrap().1;
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["reason"], "revoked");

            let path = format!("{}{route}", lease.path);
            for (more, refused) in [
                (format!("{head}Origin: http://127.0.0.1\r\n"), "Origin"),
                (format!("{head}Host: evil.example\r\n"), "Host"),
            ] {
                let (status, answer) = rig.ask(method, &path, &more).await;
                assert_eq!(status, 403, "{more}");
                assert!(answer.contains(refused), "{answer}");
                assert!(!answer.contains(secret), "{answer}");
            }
        }
    }
    for (method, route, status, word) in [
        ("GET", "", 426, "connectOverCDP"),
        ("GET", "/devtools/page/A", 426, "connectOverCDP"),
        ("PUT", "/json/new", 405, "GET"),
        ("GET", "/json/new", 404, "Target.createTarget"),
        ("GET", "/nonsense", 404, "/json/version"),
        ("GET", "/files/..", 400, "not a name"),
        ("GET", "/files/%2e%2e", 400, "not a name"),
        ("DELETE", "/files/%2E", 400, "not a name"),
        ("GET", "/files/../json/version", 404, "/json/version"),
        ("POST", "/files/x", 405, "GET, PUT, DELETE"),
        ("PUT", "/files", 405, "GET"),
    ] {
        let (found, answer) = rig.ask(method, &format!("{}{route}", lease.path), "").await;
        assert_eq!(found, status, "{answer}");
        assert!(answer.contains(word), "{answer}");
        assert!(!answer.contains(secret), "{answer}");
    }
    let (status, _) = rig.ask("GET", "/json/version", "").await;
    assert_eq!(status, 404);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_told_how_the_lease_ended() {
    let rig = Rig::start().await;
    let released = rig.lease().await;
    let mut client = rig.connect(&released.path).await;
    client.call("Browser.getVersion", json!({})).await;
    rig.end(&released, EndReason::Released);
    assert_eq!(client.closed().await, told(EndReason::Released));
    assert!(client.next().await.is_none());

    let killed = rig.lease().await;
    let mut client = rig.connect(&killed.path).await;
    client.call("Browser.getVersion", json!({})).await;
    kill(Pid::from_raw(killed.pid), Signal::SIGKILL).unwrap();
    assert_eq!(client.closed().await, told(EndReason::BrowserCrashed));

    let spec = AcquireSpec {
        ttl: Some(Duration::from_secs(1)),
        ..AcquireSpec::default()
    };
    let expired = rig.lease_for(spec).await;
    let ends = rig.broker.get(expired.id).unwrap().expires;
    let mut client = rig.connect(&expired.path).await;
    // Traffic does not renew.
    client.call("Browser.getVersion", json!({})).await;
    assert_eq!(client.closed().await, told(EndReason::Expired));
    let late = SystemTime::now().duration_since(ends).unwrap();
    assert!(late < Duration::from_millis(500), "{late:?}");

    let drained = rig.lease().await;
    let mut client = rig.connect(&drained.path).await;
    let (code, ()) = tokio::join!(client.closed(), rig.stop());
    assert_eq!(code, told(EndReason::Drained));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_does_not_answer_keeps_nobody_waiting() {
    let rig = Rig::start().await;
    let lease = rig.lease().await;
    kill(Pid::from_raw(lease.pid), Signal::SIGSTOP).unwrap();
    let begun = Instant::now();
    let version = format!("{}/json/version", lease.path);
    let ((socket, why), (page, _)) = tokio::join!(
        rig.ask("GET", &lease.path, UPGRADE),
        rig.ask("GET", &version, ""),
    );
    assert_eq!((socket, page), (502, 502), "{why}");
    assert!(why.contains("did not answer in time"), "{why}");
    assert!(begun.elapsed() < Duration::from_secs(7));
    rig.attached(&lease, 0).await;

    let path = lease.path.clone();
    let (asked, ()) = tokio::join!(rig.ask("GET", &path, UPGRADE), async {
        sleep(Duration::from_millis(100)).await;
        rig.end(&lease, EndReason::HungKilled);
    });
    assert_eq!(asked.0, 410, "{}", asked.1);
    assert!(asked.1.contains("hung_killed"), "{}", asked.1);
    rig.stop().await;
}
