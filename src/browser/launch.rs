//! From a program on disk to a browser with one page that has just answered.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chromiumoxide::cdp::{
    browser_protocol::{
        browser::GetVersionParams,
        target::{AttachToTargetParams, CreateTargetParams, GetTargetsParams, TargetId},
    },
    js_protocol::runtime::EvaluateParams,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::ChildStderr,
    sync::watch,
};

use super::{
    Profile,
    cdp::{self, Cdp},
    chrome::{Browser, BrowserId, Endpoint, Product},
    executable::{self, Executable},
    process::{Exit, Process},
    registry::Registry,
    rundir::RunDir,
};
use crate::{deadline::Deadline, drain::Drain};

/// How much of the browser's last words is kept, in lines.
const LAST_WORDS: usize = 20;

/// Starts browsers.
#[derive(Debug)]
pub struct Launcher {
    executable: Option<PathBuf>,
    extra_args: Vec<String>,
    timeout: Duration,
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
    /// A launcher that puts profiles below `run_dir` and enters what it starts into `registry`.
    #[must_use]
    pub fn new(options: Options, run_dir: Arc<RunDir>, registry: Registry, drain: Drain) -> Self {
        Self {
            executable: options.executable,
            extra_args: options.extra_args,
            timeout: options.timeout,
            run_dir,
            registry,
            drain,
            next: AtomicU64::new(1),
        }
    }

    /// Starts a browser and waits until its page answers.
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
        let executable = Executable::find(self.executable.as_deref())?;
        let id = BrowserId(self.next.fetch_add(1, Ordering::Relaxed));
        let spawn_error = |source| Error::Spawn {
            path: executable.path.clone(),
            source,
        };
        let dir = self.run_dir.browser(&id.to_string()).map_err(spawn_error)?;
        let mut args = profile.args();
        args.push(format!("--user-data-dir={}", dir.join("profile").display()));
        if nix::unistd::geteuid().is_root() {
            // Chromium refuses to run its own sandbox as root.
            args.push("--no-sandbox".into());
        }
        if small_shared_memory() {
            args.push("--disable-dev-shm-usage".into());
        }
        args.extend(self.extra_args.iter().cloned());
        let entry = self.registry.enter(id);
        let (process, stderr) = Process::spawn(
            &executable.path,
            &args,
            &profile.envs(),
            dir,
            &self.drain,
            {
                let entry = entry.clone();
                move || entry.leave()
            },
        )
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
            attach(&url, deadline, &self.drain).await
        };
        let mut exit = process.watch_exit();
        let outcome = tokio::select! {
            biased;
            ready = deadline.bound(ready) => ready,
            _ = exit.wait_for(Option::is_some) => Ok(Err(cdp::Error::Closed)),
        };
        let path = executable.path;
        match outcome {
            Ok(Ok(parts)) => Ok(Browser::new(id, process, parts, entry)),
            Ok(Err(cdp::Error::Closed)) => Err(Error::Exited {
                path,
                exit: describe(deadline, &process).await,
                words: last_words(words, deadline).await,
            }),
            Ok(Err(cdp::Error::Timeout(_))) | Err(_) => Err(Error::Timeout {
                path,
                limit: self.timeout,
                words: words.borrow().join(),
            }),
            Ok(Err(source)) => Err(Error::Cdp { path, source }),
        }
    }
}

/// All that a browser said which has ended: some of it may still be on its way. A descendant that
/// lives on may keep the way open, so it is not waited for long.
async fn last_words(mut said: watch::Receiver<Said>, deadline: Deadline) -> String {
    let all = async { while said.changed().await.is_ok() {} };
    // What came until then is what there is.
    let _ = deadline.within(Duration::from_millis(250)).bound(all).await;
    said.borrow().join()
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

async fn attach(url: &str, deadline: Deadline, drain: &Drain) -> Result<Parts, cdp::Error> {
    let endpoint = Endpoint::parse(url).ok_or(cdp::Error::Closed)?;
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

/// What a browser said on its standard error: where it listens, and its last words.
#[derive(Clone, Debug, Default)]
struct Said {
    endpoint: Option<String>,
    last: VecDeque<String>,
}

impl Said {
    fn hear(&mut self, line: String) {
        if let Some(url) = line.strip_prefix("DevTools listening on ") {
            self.endpoint = Some(url.trim().to_owned());
        }
        if self.last.len() == LAST_WORDS {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    fn join(&self) -> String {
        let lines: Vec<_> = self.last.iter().map(String::as_str).collect();
        lines.join(" | ")
    }
}

/// Reads a browser's standard error until it ends: a full pipe would block the browser.
fn listen(stderr: ChildStderr, drain: &Drain) -> watch::Receiver<Said> {
    /// A line longer than this is cut: no browser may fill our memory with words.
    const LONGEST: u64 = 4096;
    let (said, hear) = watch::channel(Said::default());
    drain.spawn(async move {
        let mut stderr = BufReader::new(stderr);
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut limited = tokio::io::AsyncReadExt::take(&mut stderr, LONGEST);
            match limited.read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                    tracing::trace!(line = text, "browser said");
                    said.send_modify(|said| said.hear(text));
                }
            }
        }
    });
    hear
}

/// Where the browser listens; `None` when it fell silent without saying so.
async fn endpoint(mut said: watch::Receiver<Said>) -> Option<String> {
    let said = said.wait_for(|said| said.endpoint.is_some()).await.ok()?;
    said.endpoint.clone()
}

impl Endpoint {
    fn parse(url: &str) -> Option<Self> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_read_from_what_the_browser_says() {
        let mut said = Said::default();
        for n in 0..30 {
            said.hear(format!("noise {n}"));
        }
        assert_eq!(said.last.len(), LAST_WORDS);
        said.hear("DevTools listening on ws://127.0.0.1:4242/devtools/browser/x-y".into());
        let endpoint = Endpoint::parse(said.endpoint.as_deref().unwrap()).unwrap();
        assert_eq!(endpoint.addr, "127.0.0.1:4242".parse().unwrap());
        assert_eq!(endpoint.path, "/devtools/browser/x-y");
        assert!(said.join().ends_with("x-y"));
    }
}
