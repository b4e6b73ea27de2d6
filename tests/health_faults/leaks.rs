//! What nobody owns is found, told and put right.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_owns_is_reported_and_put_right() {
    let broker = Broker::with(|config| config.leak_interval = Duration::from_millis(500)).await;
    let dir = instance(broker.run_dir()).join("browser-999");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("file"), "left").unwrap();
    let mut stray = Command::new("sleep")
        .arg("1000")
        .current_dir(&dir)
        .process_group(0)
        .spawn()
        .unwrap();
    let open = fs::File::open(dir.join("file")).unwrap();
    let leaks = async || health(&broker).await["checks"]["resources"]["leaks"].clone();
    until("they are seen", async || {
        let leaks = leaks().await;
        leaks["process"] == 1 && leaks["directory"] == 1 && leaks["descriptor"] == 1
    })
    .await;
    let (status, reasons) = check(&broker, "resources").await;
    assert_eq!(
        (status.as_str(), reasons),
        ("degraded", vec!["leaks".into()])
    );
    until("the process is gone", async || {
        // It may have been reaped by the watch itself.
        !matches!(stray.try_wait(), Ok(None))
    })
    .await;
    until("the directory is gone", async || !dir.exists()).await;
    // Only its owner can close a descriptor: it stays, and is told, until then.
    assert_eq!(leaks().await["descriptor"], 1);
    drop(open);
    resources_are_well(&broker).await;
    for kind in ["process", "directory", "descriptor"] {
        for what in ["found", "repaired"] {
            let series = format!("berth_leaks_{what}_total{{kind=\"{kind}\"}}");
            let count = metric(&broker, &series).await;
            assert!((count - 1.0).abs() < 0.5, "{series} {count}");
        }
    }
    // What is in use was let alone.
    assert_eq!(broker.idle(), 1);
    broker.stop().await;
}

/// A browser for the broker to start, which does `first` before it is one, and only as long as the
/// file `once` in `home` is there.
fn wrapper(home: &Path, first: &str) -> PathBuf {
    let found = berth::browser::executable::Executable::find(None).unwrap();
    let program = home.join("browser");
    let script = format!(
        "#!/bin/sh\nbrowser={browser}\nif rm {once} 2>/dev/null; then\n{first}\nfi\n\
         exec \"$browser\" \"$@\"\n",
        browser = found.path.display(),
        once = home.join("once").display(),
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(home.join("once"), "").unwrap();
    program
}

/// `berth serve` with that browser, up.
async fn wrapped(ground: &Ground, program: &Path) -> Service {
    // The program writes to what is beside it, which a jail forbids.
    let flags = ["--canary-interval", "0s", "--jail", "none"];
    let mut command = support::serve(ground.path(), &flags);
    command.args(["--leak-interval", "1s", "--max-browsers", "2", "--browser"]);
    command.arg(program);
    let service = Service::cold(command).await;
    until("a browser is up", async || {
        !service.status().await.browsers.is_empty()
    })
    .await;
    service
}

/// Status and reasons of the resources of a broker in its own process, and what its metrics are.
async fn resources(service: &Service) -> (Value, Vec<Value>, String) {
    let ask = async |path| {
        let answer = reqwest::get(format!("http://{}{path}", service.ops)).await;
        answer.unwrap().text().await.unwrap()
    };
    let health: Value = serde_json::from_str(&ask("/health").await).unwrap();
    let check = &health["checks"]["resources"];
    let reasons = check["reasons"].as_array().unwrap().clone();
    (check["status"].clone(), reasons, ask("/metrics").await)
}

/// The next leak of this kind is found, shown for `reason`, repaired, and over.
async fn found_and_repaired(service: &mut Service, kind: &str, reason: &str) {
    let told = service.event("leak.found").await;
    assert_eq!(told["kind"], kind, "{told}");
    until("it shows", async || {
        let (status, reasons, metrics) = resources(service).await;
        let shown = format!("berth_leaks{{kind=\"{kind}\"}} 1");
        let found = format!("berth_leaks_found_total{{kind=\"{kind}\"}} 1");
        status == "degraded"
            && reasons == [reason]
            && metrics.contains(&shown)
            && metrics.contains(&found)
    })
    .await;
    let over = service.event("leak.repaired").await;
    assert_eq!(
        (&over["kind"], &over["what"]),
        (&told["kind"], &told["what"])
    );
    until("it is well", async || {
        let (status, reasons, metrics) = resources(service).await;
        let gone = format!("berth_leaks{{kind=\"{kind}\"}} 0");
        let repaired = format!("berth_leaks_repaired_total{{kind=\"{kind}\"}} 1");
        status == "healthy"
            && reasons.is_empty()
            && metrics.contains(&gone)
            && metrics.contains(&repaired)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_without_its_processes_is_found_and_replaced() {
    let (ground, home) = (Ground::new(), tempfile::tempdir().unwrap());
    // It joins the broker's group, so that nothing is left in that of the browser.
    let leave = "exec perl -e 'setpgrp(0, getpgrp(getppid())); exec @ARGV' \"$browser\" \"$@\"";
    let program = wrapper(home.path(), leave);
    let mut service = wrapped(&ground, &program).await;
    let lost = service.status().await.browsers.remove(0);
    found_and_repaired(&mut service, "browser", "leaks").await;
    until("another stands by", async || {
        let browsers = service.status().await.browsers;
        browsers.len() == 1 && browsers[0].id != lost.id
    })
    .await;
    let lease = acquire(&mut service.leases().await, AcquireRequest::default()).await;
    assert_ne!(lease.unwrap().browser.unwrap().id, lost.id);
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended().await.0, Some(3), "its lease was cut");
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_that_falls_to_the_broker_is_found_and_reaped() {
    let (ground, home) = (Ground::new(), tempfile::tempdir().unwrap());
    // A child in a session of its own, of a browser that does not know of it: dead, it stays until
    // the browser dies, and then falls to the broker, whose keeper looks at the group only.
    let program = wrapper(home.path(), "setsid true &");
    let mut service = wrapped(&ground, &program).await;
    let mut leases = service.leases().await;
    let lease = acquire(&mut leases, AcquireRequest::default()).await;
    let lease_id = lease.unwrap().id;
    let release = berth::proto::ReleaseRequest { lease_id };
    leases.release(release).await.unwrap();
    let zombies = || {
        let all = support::left::children(service.pid());
        all.into_iter().filter(|one| one.ends_with(" Z")).count()
    };
    until("it has fallen to the broker", async || zombies() == 1).await;
    found_and_repaired(&mut service, "zombie", "zombies").await;
    let all = support::left::children(service.pid());
    assert!(all.iter().all(|one| !one.ends_with(" Z")), "{all:?}");
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended().await.0, Some(0));
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_nobody_closes_is_told() {
    let broker = Broker::with(|config| config.leak_interval = Duration::from_millis(500)).await;
    // One in use is none, nor is one that still has something to be read.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let pair = || {
        let near = std::net::TcpStream::connect(address).unwrap();
        (near, listener.accept().unwrap().0)
    };
    let used = pair();
    let (unread, mut writer) = pair();
    std::io::Write::write_all(&mut writer, b"a last word").unwrap();
    drop(writer);
    let (forgotten, gone) = pair();
    drop(gone);
    let count = async || health(&broker).await["checks"]["resources"]["leaks"]["socket"].clone();
    until("it is seen", async || count().await == 1).await;
    assert_eq!(
        check(&broker, "resources").await,
        ("degraded".into(), vec!["leaks".into()])
    );
    let found = "berth_leaks_found_total{kind=\"socket\"}";
    assert!((metric(&broker, found).await - 1.0).abs() < 0.5);
    drop((forgotten, unread, used));
    resources_are_well(&broker).await;
    let repaired = "berth_leaks_repaired_total{kind=\"socket\"}";
    assert!((metric(&broker, repaired).await - 1.0).abs() < 0.5);
    drop(listener);
    broker.stop().await;
}
