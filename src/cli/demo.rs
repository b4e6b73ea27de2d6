//! `berth demo`: the main job from end to end, in one process, told as it happens.

use std::{
    io::{Write, stdout},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use clap::ArgMatches;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    client::{Target, duration},
    demo_site,
    exit::{self, Failure},
    progress::Progress,
};
use crate::{
    auth,
    browser::{census, visit},
    client::Client,
    config::{self, Config},
    deadline::Deadline,
    drain::Drain,
    egress::Rule,
    proto::{
        BrowserState, FetchFormat, FetchRequest, FetchStrategy, GetStatusRequest,
        WatchStatusRequest,
    },
    server::{self, Ended, Server},
    telemetry,
};

/// Every step is bounded: a demonstration that hangs demonstrates nothing.
const BOUND: Duration = Duration::from_secs(60);

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let settings = config::load(matches, config::environment()).map_err(|problems| {
        Failure::new(
            exit::CONFIG,
            format!("the configuration is wrong\n{problems}"),
        )
    })?;
    let _logging =
        telemetry::init("error", telemetry::Format::Pretty, None).map_err(Failure::other)?;
    server::adopt_orphans();
    let scratch = tempfile::Builder::new().prefix("berth-demo-").tempdir()?;
    let anywhere = ([127, 0, 0, 1], 0).into();
    let config = Config {
        listen: anywhere,
        gateway_listen: anywhere,
        ops_listen: anywhere,
        gateway_public_url: None,
        auth: auth::Config::default(),
        run_dir: scratch.path().to_owned(),
        ..settings.config()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let before = census::own().unwrap_or_default().open_fds;
    let shown = runtime.block_on(show(config));
    runtime.shutdown_timeout(Duration::from_secs(1));
    let left = Left::count(scratch.path());
    shown?;
    say(format_args!(
        "\nleft behind: {} processes, {} zombies, {} browser directories; file descriptors {} before, {} now",
        left.processes,
        left.zombies,
        left.directories,
        before,
        census::own().unwrap_or_default().open_fds,
    ))?;
    if left.nothing() {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Failure::other("something was left behind"))
    }
}

/// What a broker left behind, as the kernel shows it.
#[derive(Debug)]
struct Left {
    processes: usize,
    zombies: usize,
    directories: usize,
}

impl Left {
    fn count(run_dir: &Path) -> Self {
        let directories = std::fs::read_dir(run_dir).map_or(0, |entries| {
            entries
                .flatten()
                .filter(|entry| entry.path().is_dir())
                .count()
        });
        let zombies = census::take(&[]).zombies.len();
        Self {
            processes: census::children(),
            zombies,
            directories,
        }
    }

    const fn nothing(&self) -> bool {
        self.processes == 0 && self.zombies == 0 && self.directories == 0
    }
}

fn say(what: std::fmt::Arguments<'_>) -> Result<(), Failure> {
    Ok(writeln!(stdout(), "{what}")?)
}

fn step(name: &str, took: Duration, what: std::fmt::Arguments<'_>) -> Result<(), Failure> {
    let millis = took.as_secs_f64() * 1000.0;
    say(format_args!("{name:<11}{millis:>8.1} ms   {what}"))
}

async fn show(mut config: Config) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let (site, serving) = demo_site::start(stop.clone().cancelled_owned()).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(serving);
    // The demonstration's own site, and nothing else of this machine.
    config.egress_allow.push(Rule::at(site));

    let begun = Instant::now();
    let server = Server::start(&config).await.map_err(Failure::other)?;
    let told = tell(&server, &format!("http://{site}"), begun).await;
    let begun = Instant::now();
    let ended = server.shut_down().await;
    stop.cancel();
    while tasks.join_next().await.is_some() {}
    told?;
    let how = match ended {
        Ended::Clean => "cleanly",
        Ended::Forced => "by force",
    };
    step("shut down", begun.elapsed(), format_args!("{how}"))
}

async fn tell(server: &Server, site: &str, begun: Instant) -> Result<(), Failure> {
    let addresses = server.addresses();
    let target = Target::open(format!("http://{}", addresses.grpc));
    let progress = Progress::start("starting a broker and its first browser");
    let client = target.connect().await?;
    say(format_args!(
        "a broker on {}, its CDP gateway on {}, a small site on {site}\n",
        addresses.grpc, addresses.gateway
    ))?;

    let lease = client.lease().wait(BOUND).await?;
    let browser = lease.granted().browser.clone().unwrap_or_default();
    drop(progress);
    let what = format_args!("started, and leased {} ({})", browser.id, browser.product);
    step("start", begun.elapsed(), what)?;

    let begun = Instant::now();
    // A client of its own, that knows nothing but the URL it was given.
    let own = Drain::new(tokio::runtime::Handle::current());
    let url = format!("{site}/app");
    let seen = visit(lease.cdp_url(), &url, Deadline::after(BOUND), &own).await;
    let seen = seen.map_err(Failure::other)?;
    let what = format_args!(
        "drove it over CDP: {:?} says {:?}",
        seen.title,
        first_line(&seen.text)
    );
    step("drive", begun.elapsed(), what)?;
    expect(seen.text.contains("One lantern"), "the page's script ran")?;
    timeout(BOUND, own.closed()).await.map_err(Failure::other)?;

    spare(&client).await?;
    let begun = Instant::now();
    let warm = client.lease().wait(BOUND).await?;
    step(
        "acquire",
        begun.elapsed(),
        format_args!("a second browser, which was warm"),
    )?;
    for lease in [lease, warm] {
        let begun = Instant::now();
        let ended = lease.release().await?.reason().word();
        step(
            "release",
            begun.elapsed(),
            format_args!("the lease ended: {ended}"),
        )?;
    }

    for (page, strategy) in [
        ("article", FetchStrategy::Auto),
        ("app", FetchStrategy::Http),
        ("app", FetchStrategy::Browser),
        ("app", FetchStrategy::Auto),
    ] {
        fetch(&client, &format!("{site}/{page}"), strategy).await?;
    }
    status(&client).await?;
    client.close().await;
    Ok(())
}

/// Waits until a spare browser stands by, as the broker's status tells.
async fn spare(client: &Client) -> Result<(), Failure> {
    let request = WatchStatusRequest {
        interval: duration(Duration::from_millis(100)),
    };
    let watching = client.admin().watch_status(request).await;
    let mut statuses = watching?.into_inner();
    let idle = async {
        while let Some(message) = statuses.message().await? {
            let browsers = message.status.unwrap_or_default().browsers;
            if browsers.iter().any(|one| one.state() == BrowserState::Idle) {
                return Ok(());
            }
        }
        Err(Failure::other("the broker's status ended"))
    };
    timeout(BOUND, idle).await.map_err(Failure::other)?
}

async fn fetch(client: &Client, url: &str, strategy: FetchStrategy) -> Result<(), Failure> {
    let begun = Instant::now();
    let request = FetchRequest {
        url: url.to_owned(),
        strategy: strategy.into(),
        formats: vec![FetchFormat::Text.into()],
        timeout: duration(BOUND),
        ..FetchRequest::default()
    };
    let response = client.fetch(request).await?;
    let asked = strategy.as_str_name().trim_start_matches("FETCH_STRATEGY_");
    let text = response
        .contents
        .clone()
        .unwrap_or_default()
        .text
        .unwrap_or_default();
    let via = response
        .via()
        .as_str_name()
        .trim_start_matches("FETCH_STRATEGY_");
    let page = url.rsplit('/').next().unwrap_or_default();
    let what = format_args!(
        "/{page} by {asked}: {} over {via} ({}): {:?}",
        response.status,
        response.via_reason,
        first_line(&text)
    );
    step("fetch", begun.elapsed(), what)
}

async fn status(client: &Client) -> Result<(), Failure> {
    let status = client.admin().get_status(GetStatusRequest {}).await?;
    let status = status.into_inner().status.unwrap_or_default();
    let fetches = status.fetches.unwrap_or_default();
    say(format_args!(
        "\nthe broker: {} launches, {} failed; {} fetches, {} failed; {} MiB resident",
        status.launches,
        status.launch_failures,
        fetches.total,
        fetches.failed,
        status.resident_bytes >> 20
    ))
}

fn expect(good: bool, what: &str) -> Result<(), Failure> {
    if good {
        Ok(())
    } else {
        Err(Failure::other(format!("not so: {what}")))
    }
}

fn first_line(text: &str) -> String {
    const WIDTH: usize = 48;
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    if line.chars().count() > WIDTH {
        line.chars().take(WIDTH).chain("…".chars()).collect()
    } else {
        line.to_owned()
    }
}
