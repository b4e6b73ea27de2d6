//! The pure state machine of leases.
//!
//! A lease is *live* or *ended*. Only [`Table::grant`] makes one live; `end` and `expire` move it
//! to ended and hand its resource out; nothing brings it back. Ended leases stay visible for a
//! while, bounded in time and number.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    time::Duration,
};

use tokio::time::Instant;

use super::{Activity, EndReason, LeaseId, Limits, Now, OnDisconnect, Record, Token};

/// How many ended leases are remembered at most, whatever their age.
const HISTORY_LIMIT: usize = 10_000;

/// The leases of one broker. `R` is what is leased, `S` what is shown of it.
#[derive(Debug)]
pub struct Table<R, S> {
    live: BTreeMap<LeaseId, Live<R, S>>,
    ended: BTreeMap<LeaseId, (Record<S>, Token)>,
    /// The ended ones in the order of their end, with when each is forgotten.
    forget: VecDeque<(Instant, LeaseId)>,
    history: Duration,
}

#[derive(Debug)]
struct Live<R, S> {
    record: Record<S>,
    resource: R,
    token: Token,
    granted: Instant,
    expires: Instant,
    activity: Activity,
    /// When the last CDP client left; `None` while one is attached and before the first.
    detached: Option<Instant>,
}

/// What a lease is granted with.
#[derive(Clone, Debug)]
pub struct Spec<S> {
    /// Who it is for.
    pub owner: String,
    /// The client's own labels.
    pub labels: BTreeMap<String, String>,
    /// What is shown of the leased thing.
    pub subject: S,
    /// Its limits.
    pub limits: Limits,
    /// Whether a `Hold` stream keeps it.
    pub held: bool,
    /// How long the caller waited.
    pub queue_time: Duration,
}

/// A granted lease and the secret that opens it.
#[derive(Clone, Debug)]
pub struct Grant<S> {
    /// The lease.
    pub record: Record<S>,
    /// Its bearer secret.
    pub token: Token,
}

/// Why a lease cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such lease, or it ended too long ago to be remembered.
    #[error("no such lease")]
    Unknown,
    /// It has ended.
    #[error("the lease has ended: {}", .0.as_str())]
    Ended(EndReason),
}

impl<R, S: Clone> Table<R, S> {
    /// An empty table that remembers an ended lease for `history`.
    #[must_use]
    pub const fn new(history: Duration) -> Self {
        Self {
            live: BTreeMap::new(),
            ended: BTreeMap::new(),
            forget: VecDeque::new(),
            history,
        }
    }

    /// Makes `resource` a live lease.
    pub fn grant(&mut self, spec: Spec<S>, resource: R, now: Now) -> Grant<S> {
        let id = LeaseId::generate();
        let token = Token::generate(id);
        let limits = spec.limits;
        let record = Record {
            id,
            owner: spec.owner,
            labels: spec.labels,
            subject: spec.subject,
            limits,
            held: spec.held,
            queue_time: spec.queue_time,
            created: now.wall,
            expires: now.wall + limits.effective_ttl(spec.held),
            max_expires: now.wall + limits.max_lifetime,
            attached: 0,
            ended: None,
        };
        let live = Live {
            record: record.clone(),
            resource,
            token: token.clone(),
            granted: now.instant,
            expires: now.instant + limits.effective_ttl(spec.held),
            activity: Activity::new(now.instant),
            detached: None,
        };
        self.live.insert(id, live);
        Grant { record, token }
    }

    /// Extends a live lease to `now` plus its TTL (`ttl` when given, which then stays), never past
    /// its absolute lifetime. Counts as client traffic.
    ///
    /// # Errors
    /// An ended lease is never resurrected, nor is one whose end is due but not yet carried out.
    pub fn renew(
        &mut self,
        id: LeaseId,
        ttl: Option<Duration>,
        now: Now,
    ) -> Result<Record<S>, Error> {
        let live = self.live_mut(id, now.instant)?;
        if let Some(ttl) = ttl {
            live.record.limits.ttl = ttl;
        }
        if !live.record.held {
            let last = live.granted + live.record.limits.max_lifetime;
            live.expires = last.min(now.instant + live.record.limits.ttl);
            live.record.expires = live.record.created + (live.expires - live.granted);
        }
        live.activity.touch(now.instant);
        Ok(live.record.clone())
    }

    /// Finds the live lease that `token` opens, and what it leases.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a wrong secret too, so that a name alone tells nothing;
    /// [`Error::Ended`] only when the secret was right.
    pub fn open(&self, token: &Token, now: Instant) -> Result<(&Record<S>, &R, &Activity), Error> {
        let Some(live) = self.live.get(&token.id()) else {
            return match self.ended.get(&token.id()) {
                Some((_, own)) if own.matches(token) => Err(self.absence(token.id())),
                _ => Err(Error::Unknown),
            };
        };
        if !live.token.matches(token) {
            return Err(Error::Unknown);
        }
        match live.due(now) {
            Some(reason) => Err(Error::Ended(reason)),
            None => Ok((&live.record, &live.resource, &live.activity)),
        }
    }

    /// Counts one more attached CDP client.
    ///
    /// # Errors
    /// As [`Table::get`]; an ended lease takes no client.
    pub fn attach(&mut self, id: LeaseId, now: Instant) -> Result<(), Error> {
        let live = self.live_mut(id, now)?;
        live.record.attached += 1;
        live.detached = None;
        live.activity.touch(now);
        Ok(())
    }

    /// Counts one attached CDP client less. Nothing happens once the lease has ended.
    pub fn detach(&mut self, id: LeaseId, now: Instant) {
        if let Some(live) = self.live.get_mut(&id) {
            live.record.attached = live.record.attached.saturating_sub(1);
            if live.record.attached == 0 {
                live.detached = Some(now);
            }
            live.activity.touch(now);
        }
    }

    /// Ends a lease for `reason` and hands out what it leased. The reason stands even when a limit
    /// was due at the same moment.
    ///
    /// # Errors
    /// [`Error::Ended`] with the first reason when it has ended before.
    pub fn end(
        &mut self,
        id: LeaseId,
        reason: EndReason,
        now: Now,
    ) -> Result<(Record<S>, R), Error> {
        let Some(live) = self.live.remove(&id) else {
            return Err(self.absence(id));
        };
        Ok(self.bury(live, reason, now))
    }

    /// Ends every lease that reached a limit and hands out what they leased; forgets old history.
    pub fn expire(&mut self, now: Now) -> Vec<(Record<S>, R)> {
        let due: Vec<_> = self
            .live
            .iter()
            .filter_map(|(id, live)| Some((*id, live.due(now.instant)?)))
            .collect();
        let ended = due
            .into_iter()
            .filter_map(|(id, reason)| self.end(id, reason, now).ok())
            .collect();
        while self.forget.len() > HISTORY_LIMIT
            || self
                .forget
                .front()
                .is_some_and(|(at, _)| *at <= now.instant)
        {
            if let Some((_, id)) = self.forget.pop_front() {
                self.ended.remove(&id);
            }
        }
        ended
    }

    /// The next moment at which [`Table::expire`] may have something to do.
    #[must_use]
    pub fn next_limit(&self) -> Option<Instant> {
        let limits = self.live.values().map(|live| live.next_limit().0);
        let forget = self.forget.front().map(|(at, _)| *at);
        limits.chain(forget).min()
    }

    /// What is known of a lease, live or recently ended.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn get(&self, id: LeaseId) -> Result<&Record<S>, Error> {
        let live = self.live.get(&id).map(|live| &live.record);
        live.or_else(|| self.ended.get(&id).map(|(record, _)| record))
            .ok_or(Error::Unknown)
    }

    /// What a live lease leases.
    #[must_use]
    pub fn resource(&self, id: LeaseId) -> Option<&R> {
        self.live.get(&id).map(|live| &live.resource)
    }

    /// What a live lease leases, for a call that uses it: it counts as client traffic.
    ///
    /// # Errors
    /// As [`Table::get`]; an ended lease is not used any more.
    pub fn borrow(&self, id: LeaseId, now: Instant) -> Result<(&R, &Activity), Error> {
        let live = self.live.get(&id).ok_or_else(|| self.absence(id))?;
        if let Some(reason) = live.due(now) {
            return Err(Error::Ended(reason));
        }
        live.activity.touch(now);
        Ok((&live.resource, &live.activity))
    }

    /// The leases after `after` in the order of their grant; ended ones only when asked for.
    pub fn list(&self, after: Option<LeaseId>, ended: bool) -> impl Iterator<Item = &Record<S>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = (from, Bound::Unbounded);
        let live = self.live.range(range).map(|(_, live)| &live.record);
        let past = self.ended.range(range).map(|(_, (record, _))| record);
        let mut live = live.peekable();
        let mut past = past.filter(move |_| ended).peekable();
        std::iter::from_fn(move || match (live.peek(), past.peek()) {
            (Some(one), Some(other)) if one.id > other.id => past.next(),
            (None, Some(_)) => past.next(),
            _ => live.next(),
        })
    }

    /// How many leases live.
    #[must_use]
    pub fn active(&self) -> usize {
        self.live.len()
    }

    /// When each live lease ends at the latest unless it is renewed, earliest first: what a
    /// waiting caller can hope for.
    #[must_use]
    pub fn known_ends(&self) -> Vec<Instant> {
        let mut ends: Vec<_> = self.live.values().map(|live| live.next_limit().0).collect();
        ends.sort_unstable();
        ends
    }

    fn live_mut(&mut self, id: LeaseId, now: Instant) -> Result<&mut Live<R, S>, Error> {
        if !self.live.contains_key(&id) {
            return Err(self.absence(id));
        }
        let live = self.live.get_mut(&id).ok_or(Error::Unknown)?;
        match live.due(now) {
            Some(reason) => Err(Error::Ended(reason)),
            None => Ok(live),
        }
    }

    fn absence(&self, id: LeaseId) -> Error {
        let ended = self.ended.get(&id).and_then(|(record, _)| record.ended);
        ended.map_or(Error::Unknown, |(reason, _)| Error::Ended(reason))
    }

    fn bury(&mut self, live: Live<R, S>, reason: EndReason, now: Now) -> (Record<S>, R) {
        let mut record = live.record;
        record.attached = 0;
        record.ended = Some((reason, now.wall));
        self.ended.insert(record.id, (record.clone(), live.token));
        self.forget
            .push_back((now.instant + self.history, record.id));
        (record, live.resource)
    }
}

impl<R, S> Live<R, S> {
    /// The limit that comes first, and what it means.
    fn next_limit(&self) -> (Instant, EndReason) {
        let limits = &self.record.limits;
        let mut next = (self.expires, EndReason::Expired);
        if let Some(idle) = limits.idle_timeout {
            next = sooner(next, (self.activity.last() + idle, EndReason::Idle));
        }
        if let (Some(left), OnDisconnect::Release) = (self.detached, limits.on_disconnect) {
            next = sooner(next, (left + limits.detach_grace, EndReason::Detached));
        }
        next
    }

    fn due(&self, now: Instant) -> Option<EndReason> {
        let (at, reason) = self.next_limit();
        (at <= now).then_some(reason)
    }
}

fn sooner(one: (Instant, EndReason), other: (Instant, EndReason)) -> (Instant, EndReason) {
    if other.0 < one.0 { other } else { one }
}

impl Limits {
    /// How long the lease lives untouched: a held one until its absolute end.
    fn effective_ttl(&self, held: bool) -> Duration {
        if held {
            self.max_lifetime
        } else {
            self.ttl.min(self.max_lifetime)
        }
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
