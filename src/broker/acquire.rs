//! From a request to a lease.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use tracing::Instrument;

use super::{
    AcquireSpec, Broker, Error, LeaseGuard, OverQuota,
    denials::Denials,
    idempotence::Name,
    millis,
    quota::{Charge, What},
    refused::Refusal,
};
use crate::{
    browser::{
        self, Browser, BrowserId, Endpoint, Exit, Files, Kill, LeasedBrowser, Product, cdp::Cdp,
    },
    deadline::Deadline,
    drain::Admission,
    lease::{EndReason, Grant, LeaseId, Limits, Now, Record, Spec, Table},
    metrics::{AcquireOutcome, Wanted},
    page::Driver,
    telemetry::SPANS,
};

/// What is shown of a leased browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its name.
    pub browser: BrowserId,
    /// What it says it is.
    pub product: Product,
    /// How long the caller would have waited for it.
    pub wait: Duration,
}

/// What a lease holds: the browser, and the proof that it was admitted.
#[derive(Debug)]
pub struct Held {
    browser: LeasedBrowser,
    files: Files,
    denials: Arc<Denials>,
    /// Who drives its pages, once somebody does.
    driver: Arc<tokio::sync::Mutex<Option<Arc<Driver>>>>,
    ended: watch::Sender<Option<EndReason>>,
    _running: Admission,
    _charge: Charge,
    _name: Option<Name>,
}

impl Held {
    pub(super) fn endpoint(&self) -> &Endpoint {
        self.browser.browser().endpoint()
    }

    pub(super) const fn browser(&self) -> &Arc<Browser> {
        self.browser.browser()
    }

    pub(super) const fn files(&self) -> &Files {
        &self.files
    }

    pub(super) const fn denials(&self) -> &Arc<Denials> {
        &self.denials
    }

    pub(super) const fn driver(&self) -> &Arc<tokio::sync::Mutex<Option<Arc<Driver>>>> {
        &self.driver
    }

    pub(super) fn cdp(&self) -> Cdp {
        self.browser.browser().cdp().clone()
    }

    pub(super) fn watch_end(&self) -> watch::Receiver<Option<EndReason>> {
        self.ended.subscribe()
    }

    /// Tells whoever uses the lease, then lets everything go.
    pub(super) fn end(self, reason: EndReason) {
        self.ended.send_replace(Some(reason));
    }
}

/// A lease just granted, or granted before to the same request.
#[derive(Debug)]
pub struct Leased {
    /// The lease and its secret.
    pub grant: Grant<Subject>,
    /// Ends the lease unless the client gets it; `None` when it was granted before.
    pub guard: Option<LeaseGuard>,
}

/// Counts how a request for a lease went, also when its caller vanished.
struct Count<'a> {
    broker: &'a Broker,
    begun: Instant,
    outcome: AcquireOutcome,
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        let metrics = &self.broker.0.metrics;
        metrics.acquired(self.outcome, self.begun.elapsed());
        if matches!(
            self.outcome,
            AcquireOutcome::Exhausted | AcquireOutcome::QueueFull
        ) {
            metrics.pool_exhausted(Wanted::Lease);
        }
    }
}

impl Broker {
    /// Waits for a browser and leases it. `held` when a `Hold` stream will keep the lease;
    /// `queued` hears the place in the queue whenever it changes.
    ///
    /// # Errors
    /// See [`Error`]; [`browser::Error::Exhausted`] when no browser was there within the wait.
    ///
    /// # Cancel safety
    /// Yes: the place in the queue is given up, a browser taken goes back unused, and a lease
    /// granted at that instant is ended by its guard.
    pub async fn acquire(
        &self,
        spec: AcquireSpec,
        deadline: Deadline,
        held: bool,
        queued: impl FnMut(usize),
    ) -> Result<Leased, Error> {
        let mut count = Count {
            broker: self,
            begun: Instant::now(),
            outcome: AcquireOutcome::Cancelled,
        };
        let owner = spec.owner.clone();
        let span = tracing::info_span!(target: SPANS, "acquire");
        let acquired = self.acquire_uncounted(spec, deadline, held, queued);
        let acquired = acquired.instrument(span).await;
        count.outcome = match &acquired {
            Ok(_) => AcquireOutcome::Granted,
            Err(error) => outcome(error),
        };
        if let Err(Error::Browser(
            browser::Error::QueueFull(demand) | browser::Error::Exhausted(demand),
        )) = &acquired
        {
            let refusal = Refusal::of_browser(Wanted::Lease, *demand, count.outcome.as_str());
            self.tell_refusal(&refusal, count.begun.elapsed());
        }
        match &acquired {
            Err(Error::OverQuota(over)) => self.tell_over_quota(&owner, *over),
            Err(Error::Browser(browser::Error::OverShare(most))) => {
                self.tell_over_quota(&owner, OverQuota::waiting(*most));
            }
            _ => {}
        }
        acquired
    }

    async fn acquire_uncounted(
        &self,
        spec: AcquireSpec,
        deadline: Deadline,
        held: bool,
        queued: impl FnMut(usize),
    ) -> Result<Leased, Error> {
        let limits = self.0.config.limits(&spec, held)?;
        self.0.pool.check(&spec.profile)?;
        let Some(request) = spec.request_id.as_deref().filter(|id| !id.is_empty()) else {
            return self
                .acquire_new(spec, limits, deadline, held, None, queued)
                .await;
        };
        // This hold outlives what it opens, so that a failed request leaves no name behind; the
        // other one goes with the lease.
        let name = self.0.requests.name(&spec.owner, request);
        let kept = self.0.requests.name(&spec.owner, request);
        let opened = deadline
            .bound(name.open())
            .await
            .map_err(|_| Error::Passed)?;
        let mut lease = opened.ok_or(Error::Draining)?;
        if let Some(grant) = &*lease
            && let Some(record) = self.living(grant.record.id)
        {
            let token = grant.token.clone();
            let grant = Grant { record, token };
            return Ok(Leased { grant, guard: None });
        }
        let leased = self
            .acquire_new(spec, limits, deadline, held, Some(kept), queued)
            .await?;
        *lease = Some(leased.grant.clone());
        Ok(leased)
    }

    fn living(&self, id: LeaseId) -> Option<Record<Subject>> {
        self.get(id).ok().filter(|record| record.ended.is_none())
    }

    async fn acquire_new(
        &self,
        spec: AcquireSpec,
        limits: Limits,
        deadline: Deadline,
        held: bool,
        name: Option<Name>,
        queued: impl FnMut(usize),
    ) -> Result<Leased, Error> {
        let running = self.0.drain.admit()?;
        let charge = self
            .0
            .ledger
            .charge(&spec.owner, What::Lease, Instant::now())?;
        let begun = Instant::now();
        let config = &self.0.config;
        let wait = spec.wait.unwrap_or(config.max_wait).min(config.max_wait);
        let wait = wait.min(deadline.remaining());
        let until = deadline.within(wait);
        let browser = tokio::select! {
            browser = self.wait_for_browser(&spec, until, deadline, queued) => browser?,
            // Those who wait are told at once; what is granted may go on.
            () = self.0.drain.begun() => return Err(Error::Draining),
        };
        let (ended, watched) = watch::channel(None);
        let files = browser.browser().files(self.quota());
        let subject = Subject {
            browser: browser.browser().id(),
            product: browser.browser().product().clone(),
            wait,
        };
        let exit = browser.watch_exit();
        let resource = Held {
            browser,
            files: files.clone(),
            denials: Arc::default(),
            driver: Arc::default(),
            ended,
            _running: running,
            _charge: charge,
            _name: name,
        };
        let spec = Spec {
            owner: spec.owner,
            labels: spec.labels,
            subject,
            limits,
            held,
            queue_time: begun.elapsed(),
        };
        let grant = |table: &mut Table<_, _>| table.grant(spec, resource, Now::read());
        let grant = self.0.lessor.write(grant);
        let guard = LeaseGuard::new(self, grant.record.id);
        self.watch_browser(grant.record.id, exit);
        self.watch_files(grant.record.id, files, watched);
        tracing::info!(
            lease = %grant.record.id, browser = %grant.record.subject.browser,
            owner = grant.record.owner, held,
            waited_millis = millis(grant.record.queue_time), "lease.granted"
        );
        Ok(Leased {
            grant,
            guard: Some(guard),
        })
    }

    async fn wait_for_browser(
        &self,
        spec: &AcquireSpec,
        until: Deadline,
        deadline: Deadline,
        mut queued: impl FnMut(usize),
    ) -> Result<LeasedBrowser, browser::Error> {
        let place = self.0.pool.queue(&self.0.ledger.party(&spec.owner))?;
        let position = place.position();
        let browser = place.browser(&spec.profile, until, deadline);
        let Some(mut position) = position else {
            return browser.await;
        };
        tokio::pin!(browser);
        let mut last = 0;
        loop {
            let now = position.now();
            if now != last && now > 0 {
                queued(now);
                last = now;
            }
            tokio::select! {
                biased;
                browser = &mut browser => return browser,
                () = position.moved() => {}
            }
        }
    }

    /// Ends the lease when its browser does.
    fn watch_browser(&self, id: LeaseId, mut exit: watch::Receiver<Option<Exit>>) {
        let broker = self.clone();
        self.0.drain.spawn(async move {
            // Every lease's end kills its browser, so this task ends with the lease.
            let exit = exit
                .wait_for(Option::is_some)
                .await
                .ok()
                .and_then(|exit| *exit);
            let reason = match exit {
                Some(Exit::Killed(Kill::Memory)) => EndReason::OomKilled,
                Some(Exit::Killed(Kill::Hung)) => EndReason::HungKilled,
                Some(Exit::Killed(Kill::Policy)) => EndReason::Policy,
                Some(Exit::Killed(Kill::Done) | Exit::Unasked(_)) | None => {
                    EndReason::BrowserCrashed
                }
            };
            // Nothing to end when the lease's end was what killed the browser.
            let _ = broker.end(id, reason);
        });
    }
}

const fn outcome(error: &Error) -> AcquireOutcome {
    match error {
        Error::Browser(browser::Error::QueueFull(_)) => AcquireOutcome::QueueFull,
        Error::Browser(browser::Error::OverShare(_)) | Error::OverQuota(_) => AcquireOutcome::Quota,
        Error::Browser(browser::Error::Exhausted(_)) => AcquireOutcome::Exhausted,
        Error::Browser(browser::Error::Unavailable(_)) => AcquireOutcome::Unavailable,
        Error::Browser(browser::Error::Draining) | Error::Draining => AcquireOutcome::Draining,
        Error::Browser(browser::Error::Passed) | Error::Passed => AcquireOutcome::Deadline,
        _ => AcquireOutcome::Invalid,
    }
}
