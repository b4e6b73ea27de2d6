//! One running browser.

use std::{
    fmt,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chromiumoxide::cdp::{
    browser_protocol::{browser::GetVersionParams, target::TargetId},
    js_protocol::runtime::EvaluateParams,
};
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    cdp::{self, Cdp},
    files::{FOLDER, Files, Quota, save_downloads},
    guest::Lodge,
    launch::Parts,
    pace::{Drift, Pace},
    process::{Exit, Kill, Process},
    registry::{Entry, State},
};
use crate::{
    deadline::Deadline,
    egress::{EgressProxy, OwnPort},
    metrics::Retire,
};

/// The name of a browser: unique in the life of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrowserId(pub(super) u64);

impl BrowserId {
    /// Reads a name from its text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.strip_prefix("browser-")?.parse().ok().map(Self)
    }
}

impl fmt::Display for BrowserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "browser-{}", self.0)
    }
}

/// Where a browser speaks DevTools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its port on the loopback interface.
    pub addr: SocketAddr,
    /// The path of its browser target.
    pub path: String,
}

/// What a browser says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Product {
    /// Name and version.
    pub name: String,
    /// The DevTools protocol's version.
    pub protocol: String,
    /// Its `User-Agent`.
    pub user_agent: String,
}

/// One running browser: its processes, its DevTools connection and its first page. Killed when
/// dropped; [`Browser::gone`] tells when nothing is left of it.
#[derive(Debug)]
pub struct Browser {
    id: BrowserId,
    process: Process,
    /// Its only way to a network.
    egress: EgressProxy,
    cdp: Cdp,
    endpoint: Endpoint,
    /// Its debugging port is closed to all that goes out of here.
    _debugging: OwnPort,
    product: Product,
    page: TargetId,
    /// Berth's own view of the first page, given up when the browser is leased.
    session: Mutex<Option<Arc<cdp::Session>>>,
    launched: Instant,
    uses: AtomicU64,
    pace: Mutex<Pace>,
    idle_since: Mutex<Instant>,
    condemned: Mutex<Option<Retire>>,
    lodge: Lodge,
    entry: Entry,
}

impl Browser {
    pub(super) fn new(
        id: BrowserId,
        process: Process,
        egress: EgressProxy,
        parts: Parts,
        entry: Entry,
    ) -> Self {
        let now = Instant::now();
        entry.state(State::Idle);
        Self {
            id,
            process,
            egress,
            cdp: parts.cdp,
            endpoint: parts.endpoint,
            _debugging: parts.debugging,
            product: parts.product,
            page: parts.page,
            session: Mutex::new(Some(Arc::new(parts.session))),
            launched: now,
            uses: AtomicU64::new(0),
            pace: Mutex::default(),
            idle_since: Mutex::new(now),
            condemned: Mutex::new(None),
            lodge: Lodge::default(),
            entry,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> BrowserId {
        self.id
    }

    /// Where it speaks DevTools.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What it says it is.
    #[must_use]
    pub const fn product(&self) -> &Product {
        &self.product
    }

    /// Its DevTools connection.
    #[must_use]
    pub const fn cdp(&self) -> &Cdp {
        &self.cdp
    }

    /// Its only way to a network.
    #[must_use]
    pub const fn egress(&self) -> &EgressProxy {
        &self.egress
    }

    /// Its process group.
    #[must_use]
    pub const fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// The directory that is its own and goes with it.
    pub(super) fn dir(&self) -> &Path {
        self.process.dir()
    }

    /// The files of its pages, of which there may be as many as `quota` says.
    #[must_use]
    pub fn files(&self, quota: Quota) -> Files {
        Files::new(self.dir().join(FOLDER), quota)
    }

    /// Lets pages outside of contexts of their own save downloads among its files.
    ///
    /// # Errors
    /// What the DevTools connection says.
    ///
    /// # Cancel safety
    /// It may have been told all the same.
    pub async fn allow_downloads(&self, deadline: Deadline) -> Result<(), cdp::Error> {
        save_downloads(&self.cdp, &self.dir().join(FOLDER), deadline).await
    }

    /// Whether the browser itself and its first page answer within `deadline`. A browser that
    /// answers while its page hangs would hang whoever attaches to it.
    ///
    /// # Errors
    /// What the DevTools connection says.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn answers(&self, deadline: Deadline) -> Result<(), cdp::Error> {
        let browser = self.cdp.call(None, GetVersionParams::default(), deadline);
        let page = async {
            let session = self.session.lock().clone();
            match session {
                Some(page) => page
                    .call(EvaluateParams::new("1"), deadline)
                    .await
                    .map(drop),
                None => Ok(()),
            }
        };
        let (browser, page) = tokio::join!(browser, page);
        browser.map(drop).and(page)
    }

    /// Whether the browser process itself answers, whatever its pages do.
    ///
    /// # Errors
    /// What the DevTools connection says.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn pulse(&self, deadline: Deadline) -> Result<(), cdp::Error> {
        let version = self.cdp.call(None, GetVersionParams::default(), deadline);
        version.await.map(drop)
    }

    /// Whether Berth may visit it beside its users.
    pub(super) const fn lodge(&self) -> &Lodge {
        &self.lodge
    }

    /// Gives up Berth's own view of the first page: from now on it is the client's alone.
    pub(super) fn hand_over(&self) {
        drop(self.session.lock().take());
    }

    /// The page that a fresh browser has.
    #[must_use]
    pub const fn first_page(&self) -> &TargetId {
        &self.page
    }

    /// Whether its main process has ended or its connection has.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.process.exit().is_some() || self.cdp.closed().is_cancelled()
    }

    /// How its main process ended, when it has.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        self.process.exit()
    }

    /// Follows the end of its main process.
    #[must_use]
    pub fn watch_exit(&self) -> watch::Receiver<Option<Exit>> {
        self.process.watch_exit()
    }

    /// Kills it. What it was still saying to the network ends at once.
    pub fn kill(&self, why: Kill) {
        self.egress.cut();
        self.process.kill(why);
    }

    /// Cancelled when nothing of it is left.
    #[must_use]
    pub const fn gone(&self) -> &CancellationToken {
        self.process.gone()
    }

    /// How long it has lived.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.launched.elapsed()
    }

    /// How often it was used.
    #[must_use]
    pub fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    /// Counts one use more.
    pub(super) fn used(&self) {
        let uses = self.uses.fetch_add(1, Ordering::Relaxed) + 1;
        self.entry.uses(uses);
    }

    /// Enters that a page in a context of its own took `took` to be opened.
    pub(super) fn opened_a_page(&self, took: Duration) {
        self.pace.lock().opened(took);
    }

    /// Whether it opens pages over `limit` times as slowly as when it was fresh.
    pub(super) fn drift(&self, limit: u32) -> Option<Drift> {
        self.pace.lock().drift(limit)
    }

    /// Enters how many contexts are open in it.
    pub(super) fn seats(&self, change: impl FnOnce(usize) -> usize) {
        self.entry.seats(change);
    }

    /// How long nobody has used it.
    pub(super) fn idle_for(&self) -> Duration {
        self.idle_since.lock().elapsed()
    }

    /// Enters what it does now where the live picture is drawn from.
    pub(super) fn state(&self, state: State) {
        if matches!(state, State::Idle | State::Shared) {
            *self.idle_since.lock() = Instant::now();
        }
        self.entry.state(state);
    }

    /// Marks it as not to be used again. The first reason stands.
    pub(super) fn condemn(&self, reason: Retire) {
        self.condemned.lock().get_or_insert(reason);
    }

    /// Why it is not to be used again, when it is not.
    pub(super) fn condemned(&self) -> Option<Retire> {
        let condemned = *self.condemned.lock();
        condemned.or_else(|| match self.exit() {
            // The kernel was faster than the supervisor.
            Some(Exit::Killed(Kill::Memory)) => Some(Retire::Memory),
            _ => self.is_dead().then_some(Retire::Crashed),
        })
    }
}
