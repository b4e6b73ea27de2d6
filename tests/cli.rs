//! The command line, as a newcomer and a script meet it.

mod support;

use std::{process::Output, time::Duration};

use nix::sys::signal::Signal;
use support::{Broker, Ground, Service, acquire, berth, until};
use tokio::{process::Command, time::timeout};

/// Runs `berth` and waits for it.
async fn run(arguments: &[&str]) -> Output {
    let output = berth().args(arguments).output();
    timeout(support::BOUND, output)
        .await
        .expect("it ends")
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn help_and_mistakes_are_clear() {
    let help = run(&["--help"]).await;
    assert_eq!(code(&help), 0);
    for word in ["serve", "fetch", "lease", "health", "demo", "Exit codes"] {
        assert!(out(&help).contains(word), "{word}");
    }
    let unknown = run(&["serve", "--max-browser", "3"]).await;
    assert_eq!(code(&unknown), 2);
    assert!(
        err(&unknown).contains("--max-browsers"),
        "suggests: {}",
        err(&unknown)
    );
    let nothing = run(&["lease"]).await;
    assert_eq!(code(&nothing), 2);
    assert!(err(&nothing).contains("COMMAND"), "{}", err(&nothing));
    assert_eq!(
        code(&run(&["fetch", "http://a/", "--format", "poem"]).await),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_of_the_configuration_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("berth.toml");
    std::fs::write(&file, "max_browsers = 0\nlease_tll = \"5s\"\n").unwrap();
    let output = berth()
        .args(["serve", "--config"])
        .arg(&file)
        .args(["--queue", "many"])
        .env("BERTH_LEASE_TTL", "soon")
        .output()
        .await
        .unwrap();
    assert_eq!(code(&output), 64);
    let said = err(&output);
    for word in [
        "max_browsers",
        "lease_tll",
        "lease_ttl",
        "queue",
        "--queue",
        "BERTH_LEASE_TTL",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_effective_configuration_is_printed_with_its_sources() {
    let output = berth()
        .args(["serve", "--max-browsers", "7", "--print-config"])
        .env("BERTH_QUEUE", "9")
        .output()
        .await
        .unwrap();
    assert_eq!(code(&output), 0);
    let text = out(&output);
    assert!(
        text.contains("max_browsers = 7") && text.contains("queue = 9"),
        "{text}"
    );
    assert!(
        text.contains("--max-browsers") && text.contains("BERTH_QUEUE"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named() {
    let ground = Ground::new();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run_dir = ground.path().to_str().unwrap().to_owned();
    let output = run(&["serve", "--listen", &address, "--run-dir", &run_dir]).await;
    assert_eq!(code(&output), 1);
    assert!(
        err(&output).contains(&address) && err(&output).contains("set another with --listen"),
        "{}",
        err(&output)
    );
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_directory_that_cannot_be_is_told_with_its_remedy() {
    // Nobody makes directories there, root neither.
    let output = run(&["serve", "--run-dir", "/sys/berth"]).await;
    assert_eq!(code(&output), 1);
    let said = err(&output);
    assert!(
        said.contains("/sys/berth") && said.contains("with --run-dir"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_address_is_told_from_a_wrong_port_and_a_wrong_protocol() {
    let ground = Ground::new();
    let service = Service::start(ground.path(), &[]).await;
    let bare = service.grpc.trim_start_matches("http://").to_owned();
    let ops = format!("http://{}", service.ops);
    let tls = format!("https://{bare}");
    for (endpoint, exit, said) in [
        (&bare, 2, "neither http:// nor https://"),
        (&ops, 1, "is that the gRPC port of a broker?"),
        (&tls, 69, "running there, with TLS?"),
    ] {
        let output = run(&["lease", "--endpoint", endpoint, "--", "true"]).await;
        assert!(err(&output).contains(said), "{endpoint}: {}", err(&output));
        assert_eq!(code(&output), exit, "{}", err(&output));
    }
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended().await.0, Some(0));
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn shells_and_man_take_what_is_printed_for_them() {
    for shell in ["bash", "zsh", "fish"] {
        let completions = out(&run(&["completions", shell]).await);
        assert!(completions.contains("max-browsers"), "{shell}");
    }
    let sourced = "source <(\"$0\" completions bash) && complete -p berth";
    let registered = Command::new("bash")
        .args(["-c", sourced, env!("CARGO_BIN_EXE_berth")])
        .output()
        .await
        .unwrap();
    assert!(out(&registered).contains("_berth"), "{registered:?}");
    let page = out(&run(&["man"]).await);
    for command in [
        "serve", "fetch", "lease", "mcp", "top", "health", "token", "soak",
    ] {
        assert!(page.contains(&format!("berth\\-{command}(1)")), "{page}");
        let own = out(&run(&["man", command]).await);
        assert!(
            own.contains(".SH OPTIONS") && own.contains("berth"),
            "{own}"
        );
    }
    let wrong = run(&["man", "tea"]).await;
    assert_eq!(code(&wrong), 2);
    assert!(
        err(&wrong).contains("serve, fetch, lease"),
        "{}",
        err(&wrong)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_the_remedy_is_told() {
    for arguments in [
        &["health"][..],
        &["fetch", "http://a/"],
        &["lease", "--", "true"],
    ] {
        let output = berth()
            .args(arguments)
            .env("BERTH_ENDPOINT", "http://127.0.0.1:1")
            .output()
            .await
            .unwrap();
        assert_eq!(code(&output), 69, "{arguments:?}: {}", err(&output));
        assert!(err(&output).contains("berth serve"), "{}", err(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_by_its_exit_code() {
    let ground = Ground::new();
    let service = Service::start(ground.path(), &[]).await;
    until("it is serving", async || {
        code(&run(&["health", "--endpoint", &service.grpc]).await) == 0
    })
    .await;
    for name in [
        "browser-pool",
        "http-client",
        "cache",
        "egress",
        "berth.v1.LeaseService",
    ] {
        let output = run(&["health", "--endpoint", &service.grpc, "--service", name]).await;
        assert_eq!(
            (code(&output), out(&output).trim()),
            (0, "SERVING"),
            "{name}"
        );
    }
    let output = run(&["health", "--endpoint", &service.grpc, "--service", "tea"]).await;
    assert_eq!(code(&output), 1, "{}", err(&output));
    service.signal(Signal::SIGTERM);
    assert_eq!(service.ended().await.0, Some(0));
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn fetch_writes_what_came() {
    let broker = Broker::start().await;
    let endpoint = broker.endpoint();
    let fetch = async |path: &str, more: &[&str]| {
        let url = broker.site.url(path);
        run(&[&["fetch", "--endpoint", &endpoint, &url], more].concat()).await
    };
    let output = fetch("/", &["--format", "text"]).await;
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert!(out(&output).contains("An article"));
    assert!(
        err(&output).contains("200") && err(&output).contains("HTTP"),
        "{}",
        err(&output)
    );
    let output = fetch("/shell", &["--format", "text"]).await;
    assert_eq!(out(&output).trim(), "filled by a script");
    assert!(err(&output).contains("a browser"), "{}", err(&output));
    let output = fetch("/status/404", &["--format", "raw", "--strategy", "http"]).await;
    assert_eq!((code(&output), out(&output).as_str()), (0, "status 404"));
    let dir = tempfile::tempdir().unwrap();
    let picture = dir.path().join("page.png");
    let output = fetch(
        "/",
        &["--format", "screenshot", "-o", picture.to_str().unwrap()],
    )
    .await;
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert!(std::fs::read(picture).unwrap().starts_with(b"\x89PNG"));
    for (url, word) in [
        ("file:///etc/passwd", "file:"),
        ("javascript:alert(1)", "javascript:"),
        ("data:text/html,x", "data:"),
        ("no url", "url"),
    ] {
        let output = run(&["fetch", "--endpoint", &endpoint, url]).await;
        assert_eq!(code(&output), 1, "{url}");
        assert!(
            err(&output).contains(word) && err(&output).contains("BAD_REQUEST"),
            "{}",
            err(&output)
        );
    }
    let output = fetch("/hang", &["--timeout", "500ms"]).await;
    assert!(
        [69, 124].contains(&code(&output)),
        "{} {}",
        code(&output),
        err(&output)
    );
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fetch_takes_many_and_says_of_each_how_it_went() {
    let broker = Broker::start().await;
    let endpoint = broker.endpoint();
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list");
    let (page, shell) = (broker.site.url("/"), broker.site.url("/shell"));
    let gone = broker.site.url("/status/404");
    let lines =
        format!("# a comment\n\n  {shell}  \nhttp://127.0.0.1:9/\nfile:///etc/passwd\n{gone}\n");
    std::fs::write(&list, lines).unwrap();
    let fixed = ["fetch", "--endpoint", &endpoint, "--format", "text,html"];
    let output = run(&[&fixed[..], &[&page, "--file", list.to_str().unwrap()]].concat()).await;
    assert_eq!(code(&output), 1, "two failed: {}", err(&output));
    assert!(
        err(&output).contains("5 answered, 2 of them failed"),
        "{}",
        err(&output)
    );
    let lines: Vec<serde_json::Value> = out(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 5);
    let of = |url: &str| lines.iter().find(|line| line["url"] == url).unwrap();
    assert!(
        of(&page)["contents"]["text"]
            .as_str()
            .unwrap()
            .contains("An article")
    );
    assert_eq!(of(&page)["via"], "http");
    assert_eq!(of(&shell)["contents"]["text"], "filled by a script");
    assert!(
        of(&shell)["contents"]["html"]
            .as_str()
            .unwrap()
            .contains("<div")
    );
    assert_eq!(of(&shell)["via"], "browser");
    assert_eq!(of(&gone)["status"], 404);
    assert_eq!(
        of("http://127.0.0.1:9/")["error"]["reason"],
        "ORIGIN_REFUSED"
    );
    assert_eq!(of("file:///etc/passwd")["error"]["reason"], "BAD_REQUEST");

    let into = dir.path().join("made/for/it");
    let into = into.to_str().unwrap();
    let wanted = [
        "fetch",
        "--endpoint",
        &endpoint,
        "--format",
        "screenshot,text",
        "-o",
        into,
    ];
    let output = run(&[&wanted[..], &[&page, &shell]].concat()).await;
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert_eq!(out(&output).lines().count(), 2);
    let mut names: Vec<_> = std::fs::read_dir(into)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(
        names[0].starts_with("00001-") && names[0].ends_with(".png"),
        "{names:?}"
    );
    assert!(
        names[3].starts_with("00002-") && names[3].ends_with("-shell.txt"),
        "{names:?}"
    );
    let text = std::fs::read_to_string(format!("{into}/{}", names[3])).unwrap();
    assert_eq!(text, "filled by a script");

    let output = run(&["fetch", "--endpoint", &endpoint, "--file", "/nowhere"]).await;
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("/nowhere"), "{}", err(&output));
    let output = run(&["fetch", "--endpoint", &endpoint]).await;
    assert_eq!(code(&output), 2, "neither URL nor file: {}", err(&output));
    let output = run(&["fetch", "--endpoint", "http://127.0.0.1:9", &page, &shell]).await;
    assert_eq!(code(&output), 69, "{}", err(&output));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lease_runs_a_command_and_gives_the_browser_back() {
    let broker = Broker::with(|config| config.max_browsers = 1).await;
    let endpoint = broker.endpoint();
    let shell = async |script: &str, more: &[&str]| {
        let fixed = ["lease", "--endpoint", &endpoint];
        run(&[&fixed, more, &["--", "sh", "-c", script]].concat()).await
    };
    let output = shell(
        "echo $BERTH_CDP_URL $BERTH_CDP_HTTP_URL $BERTH_LEASE_ID; exit 7",
        &[],
    )
    .await;
    assert_eq!(code(&output), 7, "{}", err(&output));
    let said = out(&output);
    assert!(
        said.starts_with("ws://127.0.0.1:") && said.contains(" lease-"),
        "{said}"
    );
    assert!(
        broker.status().await.leases.is_empty(),
        "given back at once"
    );
    assert_eq!(code(&shell("kill -9 $$", &[]).await), 137);
    let output = run(&["lease", "--endpoint", &endpoint, "--", "/no/such/program"]).await;
    assert_eq!(code(&output), 127);

    let output = shell("exec sleep 60", &["--ttl", "1s"]).await;
    assert_eq!(code(&output), 124, "{}", err(&output));
    assert!(err(&output).contains("EXPIRED"), "{}", err(&output));

    let taken = acquire(
        &mut broker.leases(),
        berth::proto::AcquireRequest::default(),
    )
    .await
    .unwrap();
    let output = shell("true", &["--wait", "300ms"]).await;
    assert_eq!(code(&output), 75, "{}", err(&output));
    assert!(err(&output).contains("try again in"), "{}", err(&output));
    broker.release(&taken).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demonstration_demonstrates_and_leaves_nothing() {
    let output = timeout(Duration::from_secs(120), berth().arg("demo").output()).await;
    let output = output.expect("it ends").unwrap();
    let said = out(&output);
    assert_eq!(code(&output), 0, "{said}{}", err(&output));
    for word in [
        "drove it over CDP",
        "over BROWSER (script_shell)",
        "left behind: 0 processes",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
}
