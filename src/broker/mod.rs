//! The broker: the use cases, on top of leases, browsers and fetches.
//!
//! What clients ask for ends here, whatever the transport: [`Broker::acquire`] and its kin for
//! leases, [`Broker::attach`] for the gateway, [`Broker::fetch`], [`Broker::status`]. The rooms
//! below do not know one another; they meet here.

mod acquire;
mod attach;
mod denials;
mod error;
mod files;
mod guard;
mod health;
mod history;
mod idempotence;
mod pages;
mod quota;
mod refused;
mod spec;
mod status;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tracing::Instrument;

pub use acquire::{Held, Leased, Subject};
pub use attach::Attachment;
pub use denials::{MAX_DENIED, PolicyMode};
pub use error::Error;
pub use files::{LeaseFiles, MAX_FILES};
pub use guard::LeaseGuard;
pub use history::{STEP as HISTORY_STEP, Sample};
pub use pages::{Driven, Upload};
pub use quota::{OverQuota, Quota, Quotas};
pub use spec::{AcquireSpec, LeaseConfig, Violation};
pub use status::Status;

use self::{
    history::History,
    idempotence::Requests,
    quota::{Charge, Ledger, What},
};
use crate::{
    auth::Caller,
    browser::{self, BrowserId, LaunchWatch, Pool, StorageState},
    content,
    deadline::Deadline,
    drain::Drain,
    fetch::{self, Fetcher},
    health::Thresholds,
    lease::{self, EndReason, LeaseId, Lessor, Now, Record, Table},
    metrics::Metrics,
    telemetry::{SPANS, Seldom},
};

/// The use cases; clones share one broker.
#[derive(Clone, Debug)]
pub struct Broker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: LeaseConfig,
    pool: Pool,
    fetcher: Fetcher,
    lessor: Lessor<Held, Subject>,
    requests: Requests,
    ledger: Ledger,
    thresholds: Thresholds,
    /// Of refusals because everything is taken.
    refused: Seldom,
    /// Of refusals because their owner has as much as it may.
    over_quota: Seldom,
    history: History,
    drain: Drain,
    metrics: Metrics,
}

/// How long an ended lease stays visible with its reason.
const HISTORY: Duration = Duration::from_secs(300);

impl Broker {
    /// A broker over `pool` and `fetcher`, whose owners have `quotas` and whose health is judged by
    /// `thresholds`.
    #[must_use]
    pub fn start(
        config: LeaseConfig,
        quotas: Quotas,
        thresholds: Thresholds,
        pool: Pool,
        fetcher: Fetcher,
        drain: &Drain,
        metrics: &Metrics,
    ) -> Self {
        let lessor = Lessor::start(Table::new(HISTORY), drain, {
            let metrics = metrics.clone();
            move |record, held| finish(&metrics, &record, held)
        });
        let broker = Self(Arc::new(Inner {
            config,
            pool,
            fetcher,
            lessor,
            requests: Requests::default(),
            ledger: Ledger::new(quotas),
            thresholds,
            refused: Seldom::default(),
            over_quota: Seldom::default(),
            history: History::default(),
            drain: drain.clone(),
            metrics: metrics.clone(),
        }));
        let read = Arc::downgrade(&broker.0);
        metrics.observe(move || {
            let broker = read.upgrade().map(Self);
            broker.map(|broker| broker.snapshot()).unwrap_or_default()
        });
        broker.keep_history(drain);
        broker
    }

    /// Extends a lease to now plus its TTL, or plus `ttl`, which then stays.
    ///
    /// # Errors
    /// [`Error::Lease`] for one that is unknown or has ended; [`Error::Invalid`] for a TTL out of
    /// range.
    pub fn renew(&self, id: LeaseId, ttl: Option<Duration>) -> Result<Record<Subject>, Error> {
        let ttl = ttl.map(|ttl| self.0.config.check_ttl(ttl)).transpose()?;
        let renew = |table: &mut Table<_, _>| table.renew(id, ttl, Now::read());
        Ok(self.0.lessor.write(renew)?)
    }

    /// Ends a lease for `reason`. One that has ended already is returned as it ended.
    ///
    /// # Errors
    /// [`Error::Lease`] for an unknown one.
    pub fn end(&self, id: LeaseId, reason: EndReason) -> Result<Record<Subject>, Error> {
        let ended = self
            .0
            .lessor
            .write(|table| table.end(id, reason, Now::read()));
        match ended {
            Ok((record, held)) => {
                finish(&self.0.metrics, &record, held);
                Ok(record)
            }
            Err(_before) => self.get(id),
        }
    }

    /// What is known of a lease, live or recently ended.
    ///
    /// # Errors
    /// [`Error::Lease`] for an unknown one.
    pub fn get(&self, id: LeaseId) -> Result<Record<Subject>, Error> {
        Ok(self.0.lessor.read(|table| table.get(id).cloned())?)
    }

    /// Whether `caller` may see and end the lease `id`: it is its own, or the caller an admin.
    ///
    /// # Errors
    /// [`Error::Lease`] for an unknown one, [`Error::NotOwner`] for somebody else's.
    pub fn check_owner(&self, caller: &Caller, id: LeaseId) -> Result<(), Error> {
        let may = |table: &Table<Held, Subject>| {
            let record = table.get(id)?;
            Ok::<_, lease::Error>(caller.may_touch(&record.owner))
        };
        if self.0.lessor.read(may)? {
            Ok(())
        } else {
            Err(Error::NotOwner)
        }
    }

    /// The leases after `after`, at most `size`, in the order of their grant, that `wanted` lets
    /// through. The second value is where the next page begins, when there is one.
    #[must_use]
    pub fn list(
        &self,
        after: Option<LeaseId>,
        size: usize,
        ended: bool,
        wanted: impl Fn(&Record<Subject>) -> bool,
    ) -> (Vec<Record<Subject>>, Option<LeaseId>) {
        self.0.lessor.read(|table| {
            let mut found = table.list(after, ended).filter(|record| wanted(record));
            let page: Vec<_> = found.by_ref().take(size).cloned().collect();
            let more = found.next().is_some();
            let next = page.last().map(|record| record.id).filter(|_| more);
            (page, next)
        })
    }

    /// Follows the end of a live lease.
    ///
    /// # Errors
    /// [`Error::Lease`] when it does not live.
    pub fn watch_end(&self, id: LeaseId) -> Result<watch::Receiver<Option<EndReason>>, Error> {
        let watch = self.0.lessor.read(|table| {
            let held = table.resource(id);
            held.map(Held::watch_end).ok_or(lease::Error::Unknown)
        });
        Ok(watch?)
    }

    /// The storage state of a live lease's browser.
    ///
    /// # Errors
    /// [`Error::Lease`] when it does not live.
    ///
    /// # Cancel safety
    /// Yes: it only looks.
    pub async fn storage_state(
        &self,
        id: LeaseId,
        deadline: Deadline,
    ) -> Result<StorageState, Error> {
        let cdp = self.0.lessor.read(|table| {
            let held = table.resource(id);
            held.map(Held::cdp).ok_or(lease::Error::Unknown)
        });
        Ok(StorageState::read(&cdp?, deadline).await)
    }

    /// Fetches a page for `owner`. One that comes sooner than its owner may ask again waits, when it is
    /// `patient`, and is refused else.
    ///
    /// # Errors
    /// [`Error::Draining`], [`Error::OverQuota`], [`Error::Passed`] when it waited in vain; else
    /// [`Error::Fetch`].
    ///
    /// # Cancel safety
    /// Yes: what the fetch used is given back.
    pub async fn fetch(
        &self,
        owner: &str,
        mut request: fetch::Request,
        deadline: Deadline,
        patient: bool,
    ) -> Result<fetch::Response, Error> {
        let _running = self.0.drain.admit()?;
        let cut = self.0.drain.cut_token();
        let charge = self.charge_fetch(owner, deadline, patient);
        let charge = cut.run_until_cancelled(charge).await;
        let _charge = charge.ok_or(Error::Draining)??;
        request.party = self.0.ledger.party(owner);
        let span = tracing::info_span!(target: SPANS, "fetch");
        let begun = Instant::now();
        let fetch = self.0.fetcher.fetch(request, deadline).instrument(span);
        let fetched = cut.run_until_cancelled(fetch).await;
        if let Some(Err(error)) = &fetched {
            self.fetch_failed(owner, error, begun.elapsed());
        }
        Ok(fetched.ok_or(Error::Draining)??)
    }

    /// Reads what is wanted of a document that a browser of `owner` has at `url`.
    ///
    /// # Errors
    /// [`Error::Fetch`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn read(
        &self,
        owner: &str,
        html: String,
        url: &str,
        want: content::Want,
        deadline: Deadline,
    ) -> Result<content::Content, Error> {
        let party = self.0.ledger.party(owner);
        let read = (self.0.fetcher).read_document(html, url, want, &party, deadline);
        Ok(read.await?)
    }

    async fn charge_fetch(
        &self,
        owner: &str,
        deadline: Deadline,
        patient: bool,
    ) -> Result<Charge, Error> {
        loop {
            let charge = self.0.ledger.charge(owner, What::Fetch, Instant::now());
            match charge {
                Ok(charge) => return Ok(charge),
                Err(OverQuota {
                    retry: Some(wait), ..
                }) if patient => {
                    let waited = deadline.bound(sleep(wait)).await;
                    waited.map_err(|_passed| Error::Passed)?;
                }
                Err(over) => {
                    self.tell_over_quota(owner, over);
                    return Err(over.into());
                }
            }
        }
    }

    /// How many fetches of `owner` may run at once; `None` for no limit.
    #[must_use]
    pub fn most_fetches(&self, owner: &str) -> Option<u32> {
        self.0.ledger.fetches(owner)
    }

    /// How long fetches took in the last minute.
    #[must_use]
    pub fn latency(&self) -> fetch::Latency {
        self.0.fetcher.latency()
    }

    /// Retires an idle or shared browser.
    ///
    /// # Errors
    /// [`Error::Browser`] when there is none of that name or it is leased.
    pub fn retire(&self, id: BrowserId) -> Result<(), Error> {
        Ok(self.0.pool.retire(id)?)
    }

    /// Admission, and the way to a drain.
    #[must_use]
    pub fn drain(&self) -> &Drain {
        &self.0.drain
    }

    /// Follows how launches go, as far as health is concerned.
    #[must_use]
    pub fn launches(&self) -> LaunchWatch {
        self.0.pool.launches().follow()
    }

    /// The bounds and defaults of leases.
    #[must_use]
    pub fn lease_config(&self) -> &LeaseConfig {
        &self.0.config
    }

    /// The bounds of the pool.
    #[must_use]
    pub fn pool_config(&self) -> &browser::Config {
        self.0.pool.config()
    }

    /// Ends every lease with `reason`: the second phase of a drain.
    pub fn end_all(&self, reason: EndReason) {
        let (leases, _) = self.list(None, usize::MAX, false, |_| true);
        for record in leases {
            // One that ended meanwhile is what we want.
            let _ = self.end(record.id, reason);
        }
    }

    /// When a caller that was refused may try again: when enough leases will have ended for those
    /// that wait and for it, as far as is known.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        const SOONEST: Duration = Duration::from_millis(100);
        const LATEST: Duration = Duration::from_secs(60);
        let ends = self.0.lessor.read(Table::known_ends);
        let ahead = self.0.pool.waiting().min(ends.len().saturating_sub(1));
        let end = ends
            .get(ahead)
            .map(|end| end.saturating_duration_since(Instant::now()));
        end.unwrap_or(SOONEST).clamp(SOONEST, LATEST)
    }
}

/// What happens once a lease has ended, whatever the reason: those who use it are told, and what
/// it held goes the one way out.
fn finish(metrics: &Metrics, record: &Record<Subject>, held: Held) {
    let Some((reason, at)) = record.ended else {
        return;
    };
    let lived = at.duration_since(record.created).unwrap_or_default();
    metrics.lease_ended(reason.as_str(), lived);
    let (limit, value) = record.limit_reached().unzip();
    tracing::info!(
        lease = %record.id, browser = %record.subject.browser, reason = reason.as_str(),
        millis = millis(lived), limit, limit_millis = value.map(millis), "lease.ended"
    );
    held.end(reason);
}

/// A duration as logs have it.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
