//! The jail: what a browser in it can and cannot see, and that nothing gets out of it alive. The
//! browser is asked directly, at its own port: what the gateway lets through is another matter.

mod support;

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use berth::{
    browser::{census, executable::Executable, jail::Choice},
    config::Config,
    proto::{
        AcquireRequest, EndReason, FetchFormat, FetchRequest, FetchStrategy, Lease, LeaseState,
    },
};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use procfs::process::{Process, all_processes};
use serde_json::json;
use support::{Broker, Cdp, Ground, Service, acquire, serve, until};

const NOBODY: u32 = 65534;

/// Whether there is a jail to test; says so when there is none.
fn installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|dir| dir.join("bwrap").is_file());
    if !there {
        eprintln!(
            "skipped: bubblewrap is not installed (make chromium, or apt-get install bubblewrap)"
        );
    }
    there
}

/// A broker whose browsers are in a jail; `None` where there is none.
async fn jailed(change: impl FnOnce(&mut Config)) -> Option<Broker> {
    if !installed() {
        return None;
    }
    let broker = Broker::with(|config| {
        config.jail = Choice::Bwrap;
        change(config);
    })
    .await;
    Some(broker)
}

async fn lease(broker: &Broker) -> Lease {
    acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap()
}

/// The directory of a lease's browser.
fn home(broker: &Broker, lease: &Lease) -> PathBuf {
    let run = broker.run_dir().join("run").canonicalize().unwrap();
    let instances = fs::read_dir(run).unwrap().flatten();
    let name = lease.browser.clone().unwrap().id;
    let mut homes = instances.map(|one| one.path().join(&name));
    homes.find(|home| home.is_dir()).unwrap()
}

/// A client at the browser's own port.
async fn direct(home: &Path) -> Cdp {
    let port = fs::read_to_string(home.join("profile/DevToolsActivePort")).unwrap();
    let (port, path) = port.trim().split_once('\n').unwrap();
    Cdp::connect(&format!("ws://127.0.0.1:{port}{path}")).await
}

/// The living processes in the tree of `group`, the outermost aside, which is outside of the jail.
fn inside(group: i32) -> Vec<Process> {
    let members = census::members(group).into_iter();
    let members = members.filter(|pid| *pid != group);
    members.filter_map(|pid| Process::new(pid).ok()).collect()
}

fn command(process: &Process) -> String {
    process.cmdline().unwrap_or_default().join(" ")
}

/// Chromium's main process in the tree of `group`.
fn chromium(group: i32) -> Process {
    let mut all = inside(group).into_iter();
    let main = |one: &Process| {
        let command = command(one);
        command.contains("--remote-debugging-pipe")
            && !command.contains("--type=")
            && !command.contains("--die-with-parent")
    };
    all.find(main).unwrap()
}

/// A program in `dir` that does `first` before it is a browser.
fn program(dir: &Path, first: &str) -> PathBuf {
    // It may be another user than the test.
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    let real = Executable::find(None).unwrap().path;
    let path = dir.join("browser");
    let script = format!("#!/bin/sh\n{first}\nexec {} \"$@\"\n", real.display());
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The processes whose command line has `part`.
fn running(part: &str) -> Vec<Process> {
    let all = all_processes().unwrap().flatten();
    let alive = |one: &Process| one.stat().is_ok_and(|stat| stat.state != 'Z');
    all.filter(|one| command(one).contains(part) && alive(one))
        .collect()
}

/// What a page shows of `url`: its text, or the browser's error.
async fn shown(client: &mut Cdp, page: &str, url: &str) -> Result<String, String> {
    let params = json!({ "url": url });
    let answer = client.call(Some(page), "Page.navigate", params).await;
    if let Some(error) = answer["result"]["errorText"].as_str() {
        return Err(error.to_owned());
    }
    // A directory's rows are written by scripts, for which the headless shell has no table.
    let loaded = "new Promise(done => { const look = () => \
        document.readyState === 'complete' && location.href !== 'about:blank' \
        ? done([document.body, ...document.scripts].map(one => one.textContent).join('\\n')) \
        : setTimeout(look, 5); look() })";
    let text = client.evaluate(page, loaded).await;
    Ok(text.as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_in_a_jail_does_its_work() {
    let Some(broker) = jailed(|_| {}).await else {
        return;
    };
    let fetch = FetchRequest {
        url: broker.site.url("/shell"),
        strategy: FetchStrategy::Browser.into(),
        formats: vec![FetchFormat::Text.into(), FetchFormat::Screenshot.into()],
        ..FetchRequest::default()
    };
    let fetched = broker.fetches().fetch(fetch).await.unwrap().into_inner();
    let contents = fetched.contents.unwrap();
    assert_eq!(contents.text.unwrap(), "filled by a script");
    assert!(contents.screenshot.unwrap().len() > 500, "a picture");

    let lease = lease(&broker).await;
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    // Without fonts every letter is as wide as any other, or nothing at all.
    let width = "(() => { const width = (font, text) => { const span = document.createElement('span'); \
        span.style.font = '40px ' + font; span.textContent = text; document.body.append(span); \
        const wide = span.getBoundingClientRect().width; span.remove(); return wide }; \
        return width('sans-serif', 'WWWW') > width('sans-serif', 'iiii') && width('serif', 'i') > 0 })()";
    assert_eq!(client.evaluate(&page, width).await, true, "fonts");

    // What it downloads lies in its own directory, and goes with it.
    let click = "(() => { const a = document.createElement('a'); a.download = 'told.txt'; \
        a.href = URL.createObjectURL(new Blob(['so it is'])); a.click() })()";
    client.evaluate(&page, click).await;
    let file = home(&broker, &lease).join("files/told.txt");
    until("the download is there", async || {
        fs::read_to_string(&file).is_ok_and(|text| text == "so it is")
    })
    .await;
    // What is brought for it to upload, it can read.
    let brought = file.with_file_name("brought.txt");
    let url = format!("{}/files/brought.txt", lease.cdp_http_url);
    let put = reqwest::Client::new().put(url).body("mine");
    assert!(put.send().await.unwrap().status().is_success());
    client
        .evaluate(&page, "document.body.innerHTML = '<input type=file>'")
        .await;
    let root = client.call(Some(&page), "DOM.getDocument", json!({})).await;
    let find = json!({"nodeId": root["result"]["root"]["nodeId"], "selector": "input"});
    let input = client.call(Some(&page), "DOM.querySelector", find).await;
    let give = json!({"nodeId": input["result"]["nodeId"], "files": [brought]});
    client
        .call(Some(&page), "DOM.setFileInputFiles", give)
        .await;
    let read = "document.querySelector('input').files[0].text()";
    assert_eq!(client.evaluate(&page, read).await, "mine");
    drop(client);
    broker.release(&lease).await;
    broker.stop().await;
    assert!(!file.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_host_are_not_there() {
    let Some(broker) = jailed(|config| config.max_browsers = 2).await else {
        return;
    };
    let (one, other) = (lease(&broker).await, lease(&broker).await);
    let (own, others) = (home(&broker, &one), home(&broker, &other));
    let mut client = direct(&own).await;
    let page = client.page().await;
    let hosts = shown(&mut client, &page, "file:///etc/hosts").await;
    assert!(!hosts.unwrap().is_empty(), "files can be shown");

    let secret = tempfile::NamedTempFile::new().unwrap();
    let user = std::env::home_dir().unwrap();
    let url = |path: &Path| format!("file://{}", path.display());
    let hidden = [
        "file:///etc/shadow".to_owned(),
        "file:///etc/passwd".to_owned(),
        "file:///root/".to_owned(),
        "file:///home/".to_owned(),
        "file:///sys/".to_owned(),
        url(&user),
        url(secret.path()),
        url(Path::new(env!("CARGO_MANIFEST_DIR"))),
        url(&others),
        url(&others.join("profile")),
    ];
    for url in hidden {
        let shown = shown(&mut client, &page, &url).await;
        assert_eq!(shown, Err("net::ERR_FILE_NOT_FOUND".into()), "{url}");
    }
    // Around its own directory there is nothing: neither lock nor browser nor broker.
    let instance = own.parent().unwrap();
    let listed = shown(&mut client, &page, &url(instance)).await.unwrap();
    assert!(listed.contains("browser-"), "{listed}");
    assert!(!listed.contains("lock"), "{listed}");
    assert!(
        !listed.contains(&other.browser.clone().unwrap().id),
        "{listed}"
    );

    drop((client, secret));
    broker.release(&one).await;
    broker.release(&other).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_own_processes_are_there_and_nothing_can_be_written_but_its_directory() {
    let Some(broker) = jailed(|_| {}).await else {
        return;
    };
    let lease = lease(&broker).await;
    let group = broker.pid(&lease).await;
    let own = home(&broker, &lease);
    let mut client = direct(&own).await;
    let page = client.page().await;
    // The numbers that the processes of the tree have in the jail; the outermost is not in it.
    let known = || -> HashSet<i32> {
        let status = inside(group)
            .into_iter()
            .filter_map(|one| one.status().ok());
        status
            .filter_map(|one| one.nspid?.get(1).copied())
            .collect()
    };
    let listing = "file:///proc/";
    let mut before = known();
    let listed = shown(&mut client, &page, listing).await.unwrap();
    before.extend(known());
    let listed: HashSet<i32> = listed
        .lines()
        .filter_map(|line| {
            line.strip_prefix("addRow(\"")?
                .split('"')
                .next()?
                .parse()
                .ok()
        })
        .collect();
    assert!(listed.contains(&1), "{listed:?}");
    assert!(listed.is_subset(&before), "{listed:?} of {before:?}");

    let writable = ["/tmp", "/proc", "/dev/shm", "/dev/pts"].map(PathBuf::from);
    let main = chromium(group).pid;
    for process in inside(group) {
        let Ok(mounts) = process.mountinfo() else {
            continue;
        };
        let mut seen = 0;
        for mount in mounts {
            let at = &mount.mount_point;
            seen += u32::from(at == Path::new("/usr") || *at == own);
            // Device nodes are written to, and nothing is kept there.
            let may = *at == own || writable.contains(at) || mount.fs_type == "devtmpfs";
            let read_only = mount.mount_options.contains_key("ro");
            assert!(read_only || may, "{at:?} can be written to");
        }
        // Those that Chromium's own sandbox holds see no directory at all.
        let main = process.pid == main;
        assert!(seen == 2 || (seen == 0 && !main), "{seen} of two");
    }
    drop(client);
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_nobody_and_chromiums_own_sandbox_is_on() {
    let Some(broker) = jailed(|_| {}).await else {
        return;
    };
    let lease = lease(&broker).await;
    let group = broker.pid(&lease).await;
    let root = nix::unistd::geteuid().is_root();
    let main = chromium(group);
    assert!(!command(&main).contains("--no-sandbox"));
    let status = main.status().unwrap();
    assert_eq!(status.capeff, 0);
    assert_eq!(status.nonewprivs, Some(1));
    let own = nix::unistd::getuid().as_raw();
    // Root's browsers are really nobody; mapped to root they could write to /proc/sys.
    assert_eq!(status.euid, if root { NOBODY } else { own });
    let mut renderers = 0;
    for process in inside(group) {
        if command(&process).contains("--type=renderer") {
            renderers += 1;
            assert_eq!(process.status().unwrap().seccomp, Some(2));
        }
    }
    assert!(renderers > 0);
    drop(main);
    broker.release(&lease).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_of_the_broker_stays_with_the_broker() {
    for jail in ["auto", "none"] {
        let ground = Ground::new();
        let mut command = serve(ground.path(), &["--jail", jail]);
        command
            .env("A_SECRET_OF_THE_BROKER", "xyzzy")
            .env("BERTH_NODE", "xyzzy")
            .env("LC_TIME", "C.UTF-8");
        let service = Service::cold(command).await;
        until("a browser is up", async || {
            let browsers = service.status().await.browsers;
            browsers.iter().any(|one| one.processes > 0)
        })
        .await;
        let group = service.status().await.browsers[0].pid;
        let mut kept = 0;
        for pid in census::members(group) {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let environ = String::from_utf8_lossy(&environ).into_owned();
            assert!(!environ.contains("xyzzy"), "{environ}");
            kept += u32::from(environ.contains("LC_TIME=C.UTF-8"));
        }
        assert!(kept > 0, "what a browser needs goes along");
        service.signal(Signal::SIGTERM);
        assert_eq!(service.ended().await.0, Some(0));
        ground.assert_clean();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_takes_even_stopped_browsers_along() {
    if !installed() {
        return;
    }
    let ground = Ground::new();
    let mut service = Service::start(ground.path(), &["--jail", "bwrap"]).await;
    let group = service.status().await.browsers[0].pid;
    // It cannot notice that its lifeline closes.
    killpg(Pid::from_raw(group), Signal::SIGSTOP).unwrap();
    service.signal(Signal::SIGKILL);
    service.child.wait().await.unwrap();
    let took = until("the tree is gone", async || {
        census::members(group).is_empty()
    })
    .await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(ground.browsers(), Vec::<String>::new());
    let next = Service::cold(serve(ground.path(), &[])).await;
    assert_eq!(ground.files().len(), 1, "the ruin is swept");
    next.signal(Signal::SIGTERM);
    assert_eq!(next.ended().await.0, Some(0));
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jail_that_is_killed_is_a_crash_of_its_browser() {
    let Some(broker) = jailed(|_| {}).await else {
        return;
    };
    // The outermost process, then the first one inside.
    for which in 0..2 {
        let lease = lease(&broker).await;
        let group = broker.pid(&lease).await;
        let first = inside(group).into_iter().find(|one| {
            let status = one.status().ok();
            status.and_then(|one| one.nspid?.get(1).copied()) == Some(1)
        });
        let victim = [group, first.unwrap().pid][which];
        kill(Pid::from_raw(victim), Signal::SIGKILL).unwrap();
        until("the lease has ended", async || {
            broker.get(&lease.id).await.state() == LeaseState::Ended
        })
        .await;
        let ended = broker.get(&lease.id).await;
        assert_eq!(ended.end_reason(), EndReason::BrowserCrashed);
        until("nothing of it is left", async || {
            census::members(group).is_empty()
        })
        .await;
        until("another stands by", async || broker.idle() > 0).await;
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_its_group_and_its_session_is_counted_and_dies_with_the_browser() {
    let dir = tempfile::tempdir().unwrap();
    // Twice forked, in a session of its own, with nothing of its browser's but its jail.
    let mark = format!("9{:08}", std::process::id());
    let escape = format!("(cd /; env -i setsid sleep {mark} >/dev/null 2>&1 &)");
    let browser = program(dir.path(), &escape);
    let Some(broker) = jailed(|config| config.browser = Some(browser)).await else {
        return;
    };
    let lease = lease(&broker).await;
    let group = broker.pid(&lease).await;
    let mark = format!("sleep {mark}");
    let fled = || {
        let all = running(&mark).into_iter();
        let fled = all.filter(|one| command(one).starts_with("sleep"));
        fled.collect::<Vec<_>>()
    };
    // The warm one and the one that stands by have one each.
    until("it has fled", async || !fled().is_empty()).await;
    let stats: Vec<_> = fled().iter().filter_map(|one| one.stat().ok()).collect();
    assert!(stats.iter().all(|stat| stat.pgrp == stat.pid), "{stats:?}");
    let counted = census::take(&[group]).trees[&group].processes;
    let members = census::members(group).len() as u64;
    assert!(counted > members, "{counted} with it, {members} without");

    broker.release(&lease).await;
    broker.stop().await;
    assert!(fled().is_empty(), "{:?}", fled());
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_processes_end_the_browser_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let flag = dir.path().join("now");
    // A browser that is well until it is told to multiply.
    let many = format!(
        "(while [ ! -e {} ]; do sleep 0.05; done; n=0; while [ $n -lt 60 ]; do sleep 1000 & \
         n=$((n+1)); done; wait) >/dev/null 2>&1 &",
        flag.display()
    );
    let browser = program(dir.path(), &many);
    for jail in [Choice::Auto, Choice::None] {
        let browser = browser.clone();
        let broker = Broker::with(|config| {
            config.browser = Some(browser);
            config.jail = jail;
            config.max_browsers = 1;
            config.browser_process_limit = 40;
        })
        .await;
        let lease = lease(&broker).await;
        fs::write(&flag, "").unwrap();
        until("the lease has ended", async || {
            broker.get(&lease.id).await.state() == LeaseState::Ended
        })
        .await;
        assert_eq!(broker.get(&lease.id).await.end_reason(), EndReason::Policy);
        fs::remove_file(&flag).unwrap();
        let ended = "berth_leases_ended_total{reason=\"policy\"}";
        until("it is counted", async || {
            let (_, metrics) = broker.ops("/metrics").await;
            metrics.contains(&format!("{ended} 1"))
        })
        .await;
        broker.stop().await;
    }
}

/// A `PATH` without bubblewrap.
fn poor() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jail_that_is_wanted_and_not_there_stops_the_start_and_says_what_to_do() {
    let (ground, path) = (Ground::new(), poor());
    let mut command = serve(ground.path(), &["--jail", "bwrap"]);
    let ended = command.env("PATH", path.path()).output().await.unwrap();
    assert!(!ended.status.success());
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("apt-get install bubblewrap"), "{said}");
    assert!(said.contains("--jail auto"), "{said}");
    ground.assert_clean();

    // One that is there, and says no.
    let bwrap = path.path().join("bwrap");
    fs::write(
        &bwrap,
        "#!/bin/sh\necho 'bwrap: no permissions' >&2\nexit 1\n",
    )
    .unwrap();
    fs::set_permissions(&bwrap, fs::Permissions::from_mode(0o755)).unwrap();
    let mut paths = vec![path.path().to_owned()];
    let usual = std::env::var_os("PATH").unwrap_or_default();
    paths.extend(std::env::split_paths(&usual));
    let paths = std::env::join_paths(paths).unwrap();
    let mut command = serve(ground.path(), &["--jail", "bwrap"]);
    let ended = command.env("PATH", paths).output().await.unwrap();
    assert!(!ended.status.success());
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("no permissions"), "{said}");
    ground.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_does_without_and_says_so() {
    let (ground, path) = (Ground::new(), poor());
    let mut command = serve(ground.path(), &[]);
    command.env("PATH", path.path());
    let mut child = command.spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(stderr));
    let mut said = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        let done = line.contains("server.started");
        said.push(serde_json::from_str::<serde_json::Value>(&line).unwrap());
        if done {
            break;
        }
    }
    let of = said
        .iter()
        .find(|one| one["message"] == "browser.isolation");
    let of = of.unwrap_or_else(|| panic!("{said:?}"));
    assert_eq!(of["jail"], "none");
    let why = of["no_jail"].as_str().unwrap();
    assert!(why.contains("bubblewrap"), "{why}");
    let root = nix::unistd::geteuid().is_root();
    assert_eq!(of["sandbox"], !root);
    let warned = said.iter().filter(|one| one["level"] == "WARN");
    let warned = warned.filter(|one| one["message"].as_str().unwrap().contains("running as root"));
    assert_eq!(warned.count(), usize::from(root), "{said:?}");
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    let log = async { while let Ok(Some(_)) = lines.next_line().await {} };
    let (status, ()) = tokio::join!(child.wait(), log);
    assert!(status.unwrap().success());
    ground.assert_clean();
}
