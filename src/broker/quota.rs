//! What each owner may have at once, and how often it may ask.
//!
//! What is had is charged, and a [`Charge`] gives it back when dropped. An owner without limits is
//! not counted at all, and one that has nothing and asks for nothing is forgotten.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{fair::Party, metrics::QuotaKind};

/// What one owner may have. 0 stands for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Leases at once, those that are waited for counted in.
    pub max_leases: u32,
    /// Fetches at once, those that wait counted in.
    pub max_fetches: u32,
    /// Requests at once that wait for the same: for browsers, for seats, for pages, for HTTP.
    pub max_waiting: u32,
    /// Leases and fetches asked for, a second.
    pub rate: u32,
    /// So many of these may come at once after a time without any; 0 for those of a second.
    pub burst: u32,
}

/// What all owners may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Whoever is not named.
    pub usual: Quota,
    /// By name.
    pub of: BTreeMap<String, Quota>,
}

impl Quotas {
    /// What `owner` may have.
    #[must_use]
    pub fn of(&self, owner: &str) -> Quota {
        self.of.get(owner).copied().unwrap_or(self.usual)
    }
}

/// An owner has as much as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct OverQuota {
    /// Of what.
    pub quota: QuotaKind,
    /// How much that is.
    pub limit: u64,
    /// When there is more, where that is known.
    pub retry: Option<Duration>,
}

impl fmt::Display for OverQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.limit;
        match self.quota {
            QuotaKind::Leases => write!(f, "the owner has or waits for {limit} leases")?,
            QuotaKind::Fetches => write!(f, "{limit} fetches of the owner run or wait")?,
            QuotaKind::Waiting => write!(f, "{limit} requests of the owner wait for the same")?,
            QuotaKind::Rate => write!(f, "the owner asks more than {limit} times a second")?,
        }
        write!(f, ": more it may not")
    }
}

impl OverQuota {
    /// So many of an owner may wait for the same, and do.
    #[must_use]
    pub const fn waiting(limit: usize) -> Self {
        Self {
            quota: QuotaKind::Waiting,
            limit: limit as u64,
            retry: None,
        }
    }
}

/// What is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Lease,
    Fetch,
}

/// Who has how much; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    quotas: Quotas,
    accounts: Mutex<Accounts>,
}

#[derive(Debug, Default)]
struct Accounts {
    of: HashMap<Arc<str>, Account>,
    /// When there are so many, those that have nothing are looked for.
    sweep_at: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    leases: u32,
    fetches: u32,
    /// When the next request would come if all came evenly; in the past when some are left over.
    due: Option<Instant>,
}

/// What one owner has, until it is dropped.
#[derive(Debug)]
pub(super) struct Charge(Option<(Ledger, Arc<str>, What)>);

impl Ledger {
    pub(super) fn new(quotas: Quotas) -> Self {
        Self(Arc::new(Inner {
            quotas,
            accounts: Mutex::default(),
        }))
    }

    /// As whom `owner` waits.
    pub(super) fn party(&self, owner: &str) -> Party {
        let most = match self.0.quotas.of(owner).max_waiting {
            0 => usize::MAX,
            most => most as usize,
        };
        Party::new(owner, most)
    }

    /// How many fetches of `owner` may run at once; `None` for no limit.
    pub(super) fn fetches(&self, owner: &str) -> Option<u32> {
        Some(self.0.quotas.of(owner).max_fetches).filter(|most| *most > 0)
    }

    /// Charges `owner` one `what`, and one request.
    pub(super) fn charge(
        &self,
        owner: &str,
        what: What,
        now: Instant,
    ) -> Result<Charge, OverQuota> {
        let quota = self.0.quotas.of(owner);
        let (limit, kind) = match what {
            What::Lease => (quota.max_leases, QuotaKind::Leases),
            What::Fetch => (quota.max_fetches, QuotaKind::Fetches),
        };
        if limit == 0 && quota.rate == 0 {
            return Ok(Charge(None));
        }
        let mut accounts = self.0.accounts.lock();
        let (owner, account) = accounts.of(owner, now);
        let had = *account.count(what);
        if limit > 0 && had >= limit {
            return Err(OverQuota {
                quota: kind,
                limit: limit.into(),
                retry: None,
            });
        }
        if quota.rate > 0 {
            account.due = Some(quota.next(account.due, now).map_err(|wait| OverQuota {
                quota: QuotaKind::Rate,
                limit: quota.rate.into(),
                retry: Some(wait),
            })?);
        }
        if limit == 0 {
            return Ok(Charge(None));
        }
        *account.count(what) += 1;
        Ok(Charge(Some((self.clone(), owner, what))))
    }
}

impl Quota {
    /// When the next request is due after one at `now`, or how long that one is too early.
    ///
    /// The generic cell rate algorithm as virtual scheduling (ITU-T I.371, annex A): a token bucket
    /// whose whole state is one moment.
    fn next(self, due: Option<Instant>, now: Instant) -> Result<Instant, Duration> {
        let each = Duration::from_secs(1) / self.rate.max(1);
        let burst = if self.burst == 0 {
            self.rate
        } else {
            self.burst
        };
        let ahead = each * burst.saturating_sub(1);
        let due = due.map_or(now, |due| due.max(now));
        match due.duration_since(now).checked_sub(ahead) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(due + each),
        }
    }
}

impl Accounts {
    fn of(&mut self, owner: &str, now: Instant) -> (Arc<str>, &mut Account) {
        const FEW: usize = 64;
        let name = match self.of.get_key_value(owner) {
            Some((name, _)) => Arc::clone(name),
            None => {
                if self.of.len() >= self.sweep_at {
                    self.of.retain(|_, account| !account.is_idle(now));
                    self.sweep_at = FEW.max(2 * self.of.len());
                }
                Arc::from(owner)
            }
        };
        let account = self.of.entry(Arc::clone(&name)).or_default();
        (name, account)
    }
}

impl Account {
    const fn count(&mut self, what: What) -> &mut u32 {
        match what {
            What::Lease => &mut self.leases,
            What::Fetch => &mut self.fetches,
        }
    }

    /// Whether a new one is the same.
    fn is_idle(&self, now: Instant) -> bool {
        self.leases == 0 && self.fetches == 0 && self.due.is_none_or(|due| due <= now)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let Some((ledger, owner, what)) = self.0.take() else {
            return;
        };
        let mut accounts = ledger.0.accounts.lock();
        if let Some(account) = accounts.of.get_mut(&owner) {
            let count = account.count(what);
            *count = count.saturating_sub(1);
            if account.is_idle(Instant::now()) {
                accounts.of.remove(&owner);
            }
        }
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
