//! `berth top` on a terminal of its own, against a real broker.

mod support;

use std::{num::NonZeroU16, os::fd::AsFd, process::Stdio, time::Duration};

use berth::proto::{AcquireRequest, DrainRequest, EndReason, FetchRequest, HealthStatus};
use nix::sys::termios::{LocalFlags, tcgetattr};
use support::{BOUND, Broker, acquire, berth, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Child,
    time::{Instant, timeout},
};

/// `berth top` and the terminal that it runs on.
struct Top {
    pty: pty_process::Pty,
    child: Child,
    screen: vt100::Parser,
}

impl Top {
    fn start(endpoint: &str, flags: &[&str]) -> Self {
        let (pty, pts) = pty_process::open().unwrap();
        pty.resize(pty_process::Size::new(24, 100)).unwrap();
        let child = pty_process::Command::new(env!("CARGO_BIN_EXE_berth"))
            .args(["top", "--interval", "100ms", "--endpoint", endpoint])
            .args(flags)
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .kill_on_drop(true)
            .spawn(pts)
            .unwrap();
        Self {
            pty,
            child,
            screen: vt100::Parser::new(size(24), size(100), 0),
        }
    }

    fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Reads what it draws until the screen is as wanted.
    async fn shows(&mut self, what: &str, is: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !is(&self.text()) {
            assert!(
                begun.elapsed() < BOUND,
                "not shown: {what}\n{}",
                self.text()
            );
            self.read(Duration::from_millis(50)).await;
        }
    }

    /// Takes in what comes within `bound`; `false` once nothing can come any more.
    async fn read(&mut self, bound: Duration) -> bool {
        let mut bytes = [0; 8192];
        match timeout(bound, self.pty.read(&mut bytes)).await {
            Ok(Ok(count)) if count > 0 => self.screen.process(&bytes[..count]),
            Ok(_) => return false,
            Err(_quiet) => {}
        }
        true
    }

    async fn press(&mut self, keys: &str) {
        self.pty.write_all(keys.as_bytes()).await.unwrap();
    }

    /// Whether the terminal echoes and edits lines, as a shell leaves it.
    fn is_cooked(&self) -> bool {
        let flags = tcgetattr(self.pty.as_fd()).unwrap().local_flags;
        flags.contains(LocalFlags::ECHO | LocalFlags::ICANON)
    }

    /// Waits for its end, and fails the test unless the terminal is as it was.
    async fn ended(mut self) -> Option<i32> {
        let status = timeout(BOUND, self.child.wait()).await;
        let status = status.expect("it ends").unwrap();
        while self.read(Duration::from_millis(100)).await && self.screen.screen().alternate_screen()
        {
        }
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen(), "the second screen is left");
        assert!(!screen.hide_cursor(), "the cursor is back");
        status.code()
    }
}

fn size(cells: u16) -> NonZeroU16 {
    NonZeroU16::new(cells).unwrap()
}

fn has(text: &'static str) -> impl Fn(&str) -> bool {
    move |screen| screen.contains(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_shows_a_lease_ends_it_drains_resumes_and_gives_the_terminal_back() {
    let broker = Broker::with(|config| config.max_browsers = 2).await;
    let mut request = AcquireRequest::default();
    request.labels.insert("job".into(), "night\u{1b}[2J".into());
    let lease = acquire(&mut broker.leases(), request).await.unwrap();
    let mut top = Top::start(&broker.endpoint(), &[]);
    top.shows("the lease", |screen| {
        screen.contains(&lease.id)
            && screen.contains("Leases 1")
            && screen.contains("ready healthy")
    })
    .await;
    assert!(top.screen.screen().alternate_screen());
    assert!(!top.is_cooked(), "keys come one by one");
    assert!(top.text().contains("leased"), "{}", top.text());

    top.press("e").await;
    top.shows("the question", has("y/n: end lease-")).await;
    top.press("n").await;
    top.shows("that nothing was done", has("nothing was done"))
        .await;
    assert_eq!(
        broker.get(&lease.id).await.end_reason(),
        EndReason::Unspecified
    );
    top.press("ey").await;
    top.shows("that it ended", has("ended: REVOKED")).await;
    top.shows("no lease", has("no browser is leased")).await;
    assert_eq!(broker.get(&lease.id).await.end_reason(), EndReason::Revoked);

    top.press("dy").await;
    top.shows("the drain", has("draining")).await;
    assert!(broker.server.broker().drain().is_draining());
    top.press("uy").await;
    top.shows("that it takes work", has("ready healthy")).await;
    assert!(!broker.server.broker().drain().is_draining());

    top.press("q").await;
    assert_eq!(top.ended().await, Some(0));
    until("a spare stands by", async || broker.idle() > 0).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_refuses_is_told_with_its_reason() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let lease = acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap();
    let mut top = Top::start(&broker.endpoint(), &[]);
    top.shows("the lease", has("Leases 1")).await;
    top.press("\try").await;
    top.shows("the reason", has("BROWSER_LEASED")).await;
    assert!(top.text().contains("not done: "), "{}", top.text());
    // Ctrl-C
    top.press("\u{3}").await;
    assert_eq!(top.ended().await, Some(0));
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_retires_the_selected_browser() {
    let broker = Broker::with(|config| config.max_browsers = 2).await;
    let mut top = Top::start(&broker.endpoint(), &[]);
    top.shows("the spare", has("browser-1")).await;
    top.press("\try").await;
    top.shows("its end", has("browser-1 is retired")).await;
    top.shows("its successor", has("> browser-2")).await;
    top.press("q").await;
    assert_eq!(top.ended().await, Some(0));
    until("a spare stands by", async || broker.idle() > 0).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_gives_the_terminal_back_too() {
    let broker = Broker::start().await;
    for signal in [
        nix::sys::signal::Signal::SIGTERM,
        nix::sys::signal::Signal::SIGINT,
        nix::sys::signal::Signal::SIGHUP,
    ] {
        let mut top = Top::start(&broker.endpoint(), &[]);
        top.shows("the broker", has("ready healthy")).await;
        let pid = i32::try_from(top.child.id().unwrap()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
        assert_eq!(top.ended().await, Some(0), "{signal}");
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_broker_is_said_and_found_again() {
    let ground = support::Ground::new();
    // A port that is free now, and that the second broker takes again.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let mut top = Top::start(&format!("http://{address}"), &[]);
    top.shows("that nobody is there", has("connection lost"))
        .await;
    assert!(
        top.text().contains("waiting for the broker"),
        "{}",
        top.text()
    );
    let start = async || {
        let mut command = berth();
        let anywhere = "127.0.0.1:0";
        command
            .args([
                "serve",
                "--log-format",
                "json",
                "--listen",
                &address.to_string(),
            ])
            .args(["--gateway-listen", anywhere, "--ops-listen", anywhere])
            .arg("--run-dir")
            .arg(ground.path())
            .stderr(Stdio::piped());
        support::Service::cold(command).await
    };
    for _ in 0..2 {
        let service = start().await;
        top.shows("the broker", |screen| {
            screen.contains("ready healthy") && !screen.contains("connection lost")
        })
        .await;
        service.signal(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(service.ended().await.0, Some(0));
        top.shows("the loss", has("connection lost")).await;
    }
    top.press("q").await;
    assert_eq!(top.ended().await, Some(0));
    ground.deserted().await;
    ground.assert_clean();
}

/// What it prints without a terminal, and its exit code.
async fn piped(endpoint: &str, flags: &[&str]) -> (Option<i32>, String, String) {
    let mut command = berth();
    command.args(["top", "--endpoint", endpoint]).args(flags);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = timeout(BOUND, output.output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_it_prints_one_picture() {
    let broker = Broker::start().await;
    let mut request = AcquireRequest::default();
    request.labels.insert("job".into(), "a\u{1b}[31mb".into());
    let lease = acquire(&mut broker.leases(), request).await.unwrap();
    broker
        .admin()
        .drain(DrainRequest { shutdown: false })
        .await
        .unwrap();
    for flags in [&[][..], &["--once"]] {
        let (code, out, err) = piped(&broker.endpoint(), flags).await;
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
        assert!(out.starts_with("berth 0.1.0 on "), "{out}");
        assert!(out.lines().next().unwrap().ends_with(": draining, healthy"));
        let line = out.lines().find(|line| line.starts_with(&lease.id));
        let line = line.unwrap_or_else(|| panic!("the whole name: {out}"));
        assert!(line.contains("anonymous"), "{line}");
        assert!(!out.contains('\u{1b}') && !out.contains("/lease/"), "{out}");
    }
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_or_with_wrong_flags_it_exits_as_documented() {
    let (code, out, err) = piped("http://127.0.0.1:1", &["--once"]).await;
    assert_eq!((code, out.as_str()), (Some(69), ""));
    assert!(err.contains("no broker at http://127.0.0.1:1"), "{err}");
    let (code, _, err) = piped("http://127.0.0.1:1", &["--interval", "1ms"]).await;
    assert_eq!(code, Some(2));
    assert!(err.contains("wanted 100ms to 1m"), "{err}");
    let (code, _, err) = piped("no endpoint", &[]).await;
    assert_eq!(code, Some(2), "{err}");
    let top = Top::start("no endpoint", &[]);
    assert_eq!(top.ended().await, Some(2), "on a terminal, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_tells_health_by_parts_and_the_latency_of_the_last_minute() {
    let broker = Broker::start().await;
    let fresh = broker.status().await;
    assert!(fresh.ready && fresh.max_fds > 0);
    assert_eq!(fresh.health(), HealthStatus::Healthy);
    let parts: Vec<_> = fresh.checks.iter().map(|one| one.name.as_str()).collect();
    for part in [
        "browser_pool",
        "http_client",
        "cache",
        "egress",
        "resources",
    ] {
        assert!(parts.contains(&part), "{part} in {parts:?}");
    }
    let fetches = fresh.fetches.unwrap();
    assert_eq!((fetches.recent, fetches.latency_p50), (0, None));
    for _ in 0..3 {
        let fetch = FetchRequest {
            url: broker.site.url("/"),
            ..FetchRequest::default()
        };
        broker.fetches().fetch(fetch).await.unwrap();
    }
    let fetches = broker.status().await.fetches.unwrap();
    let took = |duration: Option<prost_types::Duration>| {
        Duration::try_from(duration.expect("there were some")).unwrap()
    };
    let (p50, p95) = (took(fetches.latency_p50), took(fetches.latency_p95));
    assert_eq!(fetches.recent, 3);
    assert!(
        p50 > Duration::ZERO && p50 <= p95 && p95 < BOUND,
        "{fetches:?}"
    );
    broker.stop().await;
}
