//! The faults: each is injected on purpose, and what must follow is checked.

use std::{process::Stdio, time::Duration};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use procfs::process::Process;
use tokio::time::{Instant, sleep, timeout};
use tonic::Request;

use super::{
    broker::berth,
    work::{SOON, browser_of, request},
    world::{BOUND, Worker, Wrong},
};
use crate::{
    browser::census,
    proto::{
        BrowserState, BrowserStatus, EndReason, FetchStrategy, GetStatusRequest, Lease, LeaseState,
        ListRequest, admin_service_client::AdminServiceClient,
    },
};

/// How long a slow origin is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a page that hangs may spin: it takes a whole core.
const SPIN: Duration = Duration::from_secs(2);
/// Longest until a browser that takes too much memory is killed: a few checks of the broker.
const EATEN: Duration = Duration::from_secs(30);
/// Longest until a call is cancelled, in milliseconds.
const CANCEL_MS: u64 = 400;

/// What a fetch that must fail has failed with.
fn must_fail(result: Result<(), Wrong>, wanted: &[&str]) -> Result<(), Wrong> {
    match result {
        Err(wrong) if wanted.contains(&wrong.reason.as_str()) => Ok(()),
        Err(wrong) => Err(wrong),
        Ok(()) => Err(Wrong::new(format!("it succeeded, wanted {wanted:?}"))),
    }
}

/// A client and what it runs: killed together when this is dropped, as when a machine goes down.
struct Group(i32);

impl Drop for Group {
    fn drop(&mut self) {
        // One that has ended by itself is as good as killed.
        let _ = killpg(Pid::from_raw(self.0), Signal::SIGKILL);
    }
}

impl Worker {
    async fn try_fetch(
        &self,
        url: String,
        strategy: FetchStrategy,
        bound: Duration,
    ) -> Result<(), Wrong> {
        self.fetch(request(url, strategy), bound).await.map(drop)
    }

    pub(super) async fn cancel(&mut self) -> Result<(), Wrong> {
        let (which, after) = (self.any(5), self.moment(CANCEL_MS));
        let url = self.page(if which == 0 { "article" } else { "app" });
        let (own, cutting) = (&*self, sleep(after));
        let call = async {
            match which {
                0 => own.try_fetch(url, FetchStrategy::Http, BOUND).await,
                1 | 2 => own.try_fetch(url, FetchStrategy::Browser, BOUND).await,
                3 => {
                    let lease = own.acquire(BOUND).await?;
                    own.release(&lease).await
                }
                // Dropped with its stream, which ends the lease.
                _ => own.granted(own.leases()).await.map(drop),
            }
        };
        tokio::select! {
            result = call => result,
            () = cutting => Ok(()),
        }
    }

    pub(super) async fn slow_origin(&mut self) -> Result<(), Wrong> {
        let path = ["silent", "drip"][self.any(2) as usize];
        let url = format!("{}/{path}", self.world.origin.trap);
        let fetched = self.try_fetch(url, FetchStrategy::Http, PATIENCE).await;
        // The clock runs while it waits for its turn, too.
        must_fail(fetched, &["DEADLINE", "ORIGIN_TIMEOUT", "POOL_EXHAUSTED"])
    }

    pub(super) async fn broken_origin(&mut self) -> Result<(), Wrong> {
        let path = ["close", "garbage", "short", "chunk", "nobody"][self.any(5) as usize];
        let (base, wanted) = match path {
            "nobody" => (&self.world.origin.nobody, "ORIGIN_REFUSED"),
            _ => (&self.world.origin.trap, "ORIGIN_PROTOCOL"),
        };
        let url = format!("{base}/{path}");
        let fetched = self.try_fetch(url, FetchStrategy::Http, BOUND).await;
        must_fail(fetched, &[wanted])
    }

    pub(super) async fn hang(&mut self) -> Result<(), Wrong> {
        let url = format!("{}/spin", self.world.origin.site);
        let fetched = self.try_fetch(url, FetchStrategy::Browser, SPIN).await;
        // The clock runs while it waits for a seat, too.
        must_fail(fetched, &["DEADLINE", "ORIGIN_TIMEOUT", "POOL_EXHAUSTED"])
    }

    pub(super) async fn memory(&mut self) -> Result<(), Wrong> {
        let lease = self.acquire(BOUND * 2).await?;
        let url = format!("{}/memory", self.world.origin.site);
        // The browser may be killed before the page has loaded.
        let _ = self.drive(&lease, &url).await;
        let ended = self.must_end(&lease, EndReason::OomKilled, EATEN).await;
        if ended.is_err() {
            // It must not stay until its TTL.
            self.release(&lease).await?;
        }
        ended
    }

    async fn browsers(&self) -> Result<Vec<BrowserStatus>, Wrong> {
        let mut request = Request::new(GetStatusRequest {});
        request.set_timeout(BOUND);
        let mut client = AdminServiceClient::new(self.channel.clone());
        let status = client.get_status(request).await?.into_inner().status;
        Ok(status.unwrap_or_default().browsers)
    }

    /// Kills a browser, when it is a child of the broker: a number alone may be somebody else's by
    /// now. `false` when it is gone already.
    fn kill(&self, browser: &BrowserStatus) -> Result<bool, Wrong> {
        let parent = Process::new(browser.pid).and_then(|process| process.stat());
        if browser.pid <= 0 || parent.ok().map(|stat| stat.ppid) != self.world.pid {
            return Ok(false);
        }
        self.world.kills(&browser.id);
        match kill(Pid::from_raw(browser.pid), Signal::SIGKILL) {
            Ok(()) => Ok(true),
            Err(Errno::ESRCH) => Ok(false),
            Err(error) => Err(Wrong::new(format!("cannot kill {}: {error}", browser.id))),
        }
    }

    pub(super) async fn kill_leased(&mut self) -> Result<(), Wrong> {
        let lease = self.acquire(BOUND * 2).await?;
        let browsers = self.browsers().await?;
        let id = browser_of(&lease);
        let browser = browsers.iter().find(|one| one.id == id);
        let browser =
            browser.ok_or_else(|| Wrong::new(format!("{id} is leased, but no browser")))?;
        self.kill(browser)?;
        self.must_end(&lease, EndReason::BrowserCrashed, SOON)
            .await?;
        // The next caller is served as if nothing had been.
        let next = self.acquire(BOUND).await?;
        self.release(&next).await
    }

    pub(super) async fn kill_other(&mut self) -> Result<(), Wrong> {
        let idle =
            |one: &BrowserStatus| matches!(one.state(), BrowserState::Idle | BrowserState::Shared);
        let browsers: Vec<_> = self.browsers().await?.into_iter().filter(idle).collect();
        let Some(victim) = browsers.get(self.any(64) as usize % browsers.len().max(1)) else {
            return Ok(());
        };
        self.kill(victim)?;
        // It must be known to be dead soon, and not be offered again.
        let until = Instant::now() + SOON;
        loop {
            let alive = self.browsers().await?;
            let usable = |one: &BrowserStatus| one.id == victim.id && idle(one);
            if !alive.iter().any(usable) {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(Wrong::new(format!(
                    "{} was killed and is still offered",
                    victim.id
                )));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) async fn kill_client(&mut self) -> Result<(), Wrong> {
        let name = uuid::Uuid::now_v7().to_string();
        let failed = |error: std::io::Error| Wrong::new(format!("berth lease: {error}"));
        let mut client = berth()
            .map_err(failed)?
            .args(["lease", "--ttl", "60s", "--wait", "30s", "--endpoint"])
            .arg(&self.world.target.endpoint)
            .envs(self.world.target.credentials.variables())
            .args(["--label", &format!("soak={name}"), "--", "sleep", "30"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let group = client.id().and_then(|id| i32::try_from(id).ok());
        let group = group.ok_or_else(|| Wrong::new("berth lease has no process"))?;
        let running = Group(group);
        let granted = self.labelled(&name).await;
        drop(running);
        let _ = timeout(SOON, client.wait()).await;
        // What it ran falls to this process, which reaps it.
        let until = Instant::now() + SOON;
        while !census::kill_group(group) && Instant::now() < until {
            sleep(Duration::from_millis(20)).await;
        }
        self.must_end(&granted?, EndReason::ClientGone, SOON).await
    }

    /// The live lease with our label, once it is granted.
    async fn labelled(&self, name: &str) -> Result<Lease, Wrong> {
        let until = Instant::now() + BOUND;
        loop {
            let mut request = Request::new(ListRequest {
                labels: [("soak".to_owned(), name.to_owned())].into(),
                ..ListRequest::default()
            });
            request.set_timeout(BOUND);
            let leases = self.leases().list(request).await?.into_inner().leases;
            let mut live = leases
                .into_iter()
                .filter(|one| one.state() == LeaseState::Active);
            if let Some(lease) = live.next() {
                return Ok(lease);
            }
            if Instant::now() >= until {
                return Err(Wrong::new("berth lease has got no lease"));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) async fn cut_stream(&mut self) -> Result<(), Wrong> {
        let after = self.moment(300);
        let own = self.world.target.connect().await;
        let own = own.map_err(|failure| Wrong::new(format!("{failure:?}")))?;
        let held = self.granted(own.leases()).await?;
        let lease = held.lease.clone();
        sleep(after).await;
        drop(held);
        self.must_end(&lease, EndReason::ClientGone, SOON).await
    }
}
