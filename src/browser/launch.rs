//! From a program on disk to a browser with one page that has just answered.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    Profile,
    cdp::{self, Cdp},
    chrome::{Browser, BrowserId, Endpoint, Product},
    executable::{self, Executable},
    files::{FOLDER, save_downloads},
    isolation::{Isolation, NO_SANDBOX},
    process::{Exit, Kill, Process},
    registry::Registry,
    rundir::RunDir,
    said::{endpoint, last_words, listen},
};
use crate::{
    deadline::Deadline,
    drain::Drain,
    egress::{EgressProxy, OwnPort, OwnPorts, Route},
};
use chromiumoxide::cdp::{
    browser_protocol::{
        browser::GetVersionParams,
        target::{AttachToTargetParams, CreateTargetParams, GetTargetsParams, TargetId},
    },
    js_protocol::runtime::EvaluateParams,
};

/// Starts browsers.
#[derive(Debug)]
pub struct Launcher {
    executable: Option<PathBuf>,
    extra_args: Vec<String>,
    timeout: Duration,
    isolation: Isolation,
    route: Route,
    run_dir: Arc<RunDir>,
    registry: Registry,
    drain: Drain,
    next: AtomicU64,
}

/// Why a browser could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error(transparent)]
    Executable(#[from] executable::Error),
    /// The operating system refused.
    #[error("cannot start {}: {source}", path.display())]
    Spawn {
        /// The program.
        path: PathBuf,
        /// The refusal.
        source: std::io::Error,
    },
    /// It ended before it could be used.
    #[error("{} ended at its start ({exit}){}", path.display(), quote(words))]
    Exited {
        /// The program.
        path: PathBuf,
        /// How.
        exit: String,
        /// The last it said.
        words: String,
    },
    /// It did not become ready in time.
    #[error("{} was not ready within {}{}", path.display(), humantime::format_duration(*limit), quote(words))]
    Timeout {
        /// The program.
        path: PathBuf,
        /// How long it had.
        limit: Duration,
        /// The last it said.
        words: String,
    },
    /// It started but could not be driven.
    #[error("{} cannot be driven: {source}", path.display())]
    Cdp {
        /// The program.
        path: PathBuf,
        /// Why.
        source: cdp::Error,
    },
    /// The broker is shutting down.
    #[error("the broker is shutting down")]
    Draining,
    /// The launch itself panicked: a defect of the broker.
    #[error("the launch panicked")]
    Panicked,
}

fn quote(words: &str) -> String {
    if words.is_empty() {
        String::new()
    } else {
        format!("; it said: {words}")
    }
}

/// What a launcher needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program; `None` to search for one at each launch.
    pub executable: Option<PathBuf>,
    /// Flags added to every browser's command line.
    pub extra_args: Vec<String>,
    /// How long a launch may take.
    pub timeout: Duration,
}

impl Launcher {
    /// A launcher that puts profiles below `run_dir` and enters what it starts into `registry`. The
    /// connections of its browsers go by `route`.
    #[must_use]
    pub fn new(
        options: Options,
        isolation: Isolation,
        route: Route,
        run_dir: Arc<RunDir>,
        registry: Registry,
        drain: Drain,
    ) -> Self {
        Self {
            executable: options.executable,
            extra_args: options.extra_args,
            timeout: options.timeout,
            isolation,
            route,
            run_dir,
            registry,
            drain,
            next: AtomicU64::new(1),
        }
    }

    /// The way of its browsers' connections.
    pub(super) const fn route(&self) -> &Route {
        &self.route
    }

    /// Starts a browser and waits until its page answers. One that is not ready after a third of
    /// the time is more likely stuck than slow: it is killed, and another has the rest of the time.
    ///
    /// # Errors
    /// See [`Error`]; nothing is left of a browser that failed to start.
    ///
    /// # Cancel safety
    /// Yes: a browser half started is killed.
    pub async fn launch(&self, profile: &Profile) -> Result<Browser, Error> {
        let cut = self.drain.cut_token();
        // A handshake is large, and everything that waits for a browser would carry it.
        let started = cut.run_until_cancelled(Box::pin(self.start(profile))).await;
        started.ok_or(Error::Draining)?
    }

    async fn start(&self, profile: &Profile) -> Result<Browser, Error> {
        let deadline = Deadline::after(self.timeout);
        let patience = self.timeout / 3;
        match self.attempt(profile, deadline.within(patience)).await {
            Err(error @ Error::Timeout { .. }) => {
                tracing::warn!(%error, after = ?patience, "browser.launch_stuck");
                self.attempt(profile, deadline).await
            }
            started => started,
        }
    }

    async fn attempt(&self, profile: &Profile, deadline: Deadline) -> Result<Browser, Error> {
        let executable = Executable::find(self.executable.as_deref())?;
        let id = BrowserId(self.next.fetch_add(1, Ordering::Relaxed));
        let spawn_error = |source| Error::Spawn {
            path: executable.path.clone(),
            source,
        };
        let route = profile.route(&self.route);
        let route = route.unwrap_or_else(|| self.route.clone());
        let egress = EgressProxy::open(route, &self.drain);
        let egress = egress.map_err(spawn_error)?;
        let dir = self.run_dir.browser(&id.to_string()).map_err(spawn_error)?;
        let files = dir.join(FOLDER);
        let mut args = profile.args(&egress.url());
        args.push(format!("--user-data-dir={}", dir.join("profile").display()));
        if !self.isolation.allows_sandbox() {
            args.push(NO_SANDBOX.into());
        }
        // A jail has its own.
        if !self.isolation.is_jailed() && small_shared_memory() {
            args.push("--disable-dev-shm-usage".into());
        }
        args.extend(self.extra_args.iter().cloned());
        let (name, program) = (id.to_string(), &executable.path);
        let start = self
            .isolation
            .prepare(&name, program, args, &dir, &self.run_dir);
        let start = start.map_err(|error| {
            self.run_dir.discard(&dir);
            spawn_error(error)
        })?;
        let entry = self.registry.enter(id);
        let (process, stderr) =
            Process::spawn(start, &profile.envs(), (dir, &self.run_dir), &self.drain, {
                let entry = entry.clone();
                move || entry.leave()
            })
            .map_err(|source| {
                entry.leave();
                spawn_error(source)
            })?;
        entry.started(process.pid());
        let said = listen(stderr, &self.drain);
        let words = said.clone();
        let ready = async {
            let url = endpoint(said).await;
            let url = url.ok_or_else(|| cdp::Error::Closed)?;
            let own = self.route.egress().policy().own_ports();
            let parts = attach(&url, deadline, &self.drain, own).await?;
            save_downloads(&parts.cdp, &files, deadline).await?;
            Ok(parts)
        };
        let mut exit = process.watch_exit();
        let outcome = tokio::select! {
            biased;
            ready = deadline.bound(ready) => ready,
            _ = exit.wait_for(Option::is_some) => Ok(Err(cdp::Error::Closed)),
        };
        let path = executable.path;
        let error = match outcome {
            Ok(Ok(parts)) => return Ok(Browser::new(id, process, egress, parts, entry)),
            Ok(Err(cdp::Error::Closed)) => Error::Exited {
                path,
                exit: describe(deadline, &process).await,
                words: last_words(words, deadline).await,
            },
            Ok(Err(cdp::Error::Timeout(_))) | Err(_) => Error::Timeout {
                path,
                limit: self.timeout,
                words: words.borrow().join(),
            },
            Ok(Err(source)) => Error::Cdp { path, source },
        };
        // Its place is not free, and no other may be started in it, before nothing of it is left.
        process.kill(Kill::Hung);
        process.gone().cancelled().await;
        Err(error)
    }
}

/// A browser that closes its standard error is about to end: how it did is known a moment later.
async fn describe(deadline: Deadline, process: &Process) -> String {
    let mut exit = process.watch_exit();
    let exit = deadline
        .within(Duration::from_secs(1))
        .bound(exit.wait_for(Option::is_some))
        .await;
    match exit.ok().and_then(Result::ok).and_then(|exit| *exit) {
        Some(Exit::Unasked(status)) => status.to_string(),
        Some(Exit::Killed(_)) | None => "it closed its output".into(),
    }
}

/// What of a launched browser is known once it can be driven.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) cdp: Cdp,
    pub(super) endpoint: Endpoint,
    pub(super) debugging: OwnPort,
    pub(super) product: Product,
    pub(super) page: TargetId,
    pub(super) session: cdp::Session,
}

/// The page's process is started, and has laid out a line of text: what fonts and layout need at
/// their first use is loaded before anybody waits for it. Nothing of it stays in the page.
const WARM_UP: &str = "(() => {
  const line = document.createElement('p');
  line.textContent = 'warm';
  document.body.append(line);
  const height = line.offsetHeight;
  line.remove();
  return height;
})()";

async fn attach(
    url: &str,
    deadline: Deadline,
    drain: &Drain,
    own: &OwnPorts,
) -> Result<Parts, cdp::Error> {
    let endpoint = Endpoint::parse(url).ok_or(cdp::Error::Closed)?;
    let debugging = own.add(endpoint.addr.port());
    let cdp = Cdp::connect(url, deadline, drain).await?;
    let version = cdp
        .call(None, GetVersionParams::default(), deadline)
        .await?;
    let targets = cdp
        .call(None, GetTargetsParams::default(), deadline)
        .await?;
    let page = targets
        .target_infos
        .into_iter()
        .find(|target| target.r#type == "page")
        .map(|target| target.target_id);
    let page = match page {
        Some(page) => page,
        None => {
            let create = CreateTargetParams::new("about:blank");
            cdp.call(None, create, deadline).await?.target_id
        }
    };
    let attach = AttachToTargetParams::builder()
        .target_id(page.clone())
        .flatten(true)
        .build()
        .map_err(|_field| cdp::Error::Closed)?;
    let attached = cdp.call(None, attach, deadline).await?;
    let session = cdp.session(attached.session_id, &[])?;
    let warm = EvaluateParams::new(WARM_UP);
    session.call(warm, deadline).await?;
    Ok(Parts {
        endpoint,
        debugging,
        product: Product {
            name: version.product,
            protocol: version.protocol_version,
            user_agent: version.user_agent,
        },
        page,
        session,
        cdp,
    })
}

impl Endpoint {
    pub(super) fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("ws://")?;
        let slash = rest.find('/')?;
        let addr: SocketAddr = rest.get(..slash)?.parse().ok()?;
        Some(Self {
            addr,
            path: rest.get(slash..)?.to_owned(),
        })
    }
}

/// Whether `/dev/shm` is too small for renderers, as in containers with the usual 64 MB.
fn small_shared_memory() -> bool {
    const ENOUGH: u64 = 512 << 20;
    nix::sys::statvfs::statvfs("/dev/shm")
        .map_or(true, |shm| shm.blocks() * shm.fragment_size() < ENOUGH)
}
