//! Seats: room for one isolated browser context each in browsers that only Berth drives.
//!
//! A fetch takes a free seat of a running shared browser, the fullest first, so that few browsers
//! serve many. When there is none it waits, while an *opener* stands in the pool's queue for another
//! browser; seats go round among the parties that wait. A shared browser leaves when it is due (age, uses, memory, a
//! failed check) or when somebody waits for a lease: it takes no new fetch then, and goes with the
//! last running one. The rule of who gets what is in `docs/architecture.md`.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::{
    Error,
    chrome::{Browser, BrowserId},
    guest::Guest,
    openers::Openers,
    pace::Drift,
    pool::{Pool, Taken},
    queue::{Purpose, Slot},
    registry::State as BrowserState,
};
use crate::{
    deadline::Deadline,
    fair::{Line, Number, Party, Refused},
    metrics::Retire,
};

/// The shared browsers of a pool and who waits for a seat in them.
#[derive(Debug)]
pub(super) struct Seats {
    pub(super) per_browser: usize,
    pub(super) state: Mutex<State>,
    /// Rung when a waiting caller gives up: an opener may have lost its last reason.
    pub(super) given_up: Notify,
}

#[derive(Debug, Default)]
pub(super) struct State {
    shared: Vec<Shared>,
    pub(super) waiting: Line<Give>,
    pub(super) openers: Openers,
}

/// How one that waits is given a seat.
type Give = oneshot::Sender<Result<Seat, Error>>;

#[derive(Debug)]
struct Shared {
    taken: Taken,
    slot: Slot,
    used: usize,
    /// Takes no new fetch, for this reason.
    closing: Option<Retire>,
}

/// Room for one browser context. Free again when dropped.
#[derive(Debug)]
pub struct Seat {
    pool: Pool,
    browser: Arc<Browser>,
    /// Beside the seats there are, when it is Berth's own.
    guest: Option<Guest>,
}

impl Seats {
    pub(super) fn new(per_browser: usize) -> Self {
        Self {
            per_browser,
            state: Mutex::default(),
            given_up: Notify::new(),
        }
    }

    /// How many callers wait for a seat.
    pub(super) fn waiting(&self) -> usize {
        self.state.lock().waiting.counted()
    }
}

impl State {
    /// Takes in a browser that has just been opened.
    pub(super) fn open(&mut self, taken: Taken, slot: Slot) {
        taken.0.state(BrowserState::Shared);
        taken.0.lodge().open();
        self.shared.push(Shared {
            taken,
            slot,
            used: 0,
            closing: None,
        });
    }

    /// The fullest browser that has a seat left, `avoid` only when there is no other.
    fn free(&mut self, per_browser: usize, avoid: Option<BrowserId>) -> Option<&mut Shared> {
        let open = self.shared.iter_mut().filter(|shared| {
            shared.closing.is_none()
                && shared.used < per_browser
                && shared.taken.0.condemned().is_none()
        });
        open.max_by_key(|shared| (Some(shared.taken.0.id()) != avoid, shared.used))
    }

    /// Takes out the browsers that are to leave and have no fetch running.
    fn departing(&mut self) -> Vec<Shared> {
        self.shared
            .extract_if(.., |shared| shared.used == 0 && shared.closing.is_some())
            .collect()
    }
}

impl Pool {
    /// Room for one browser context, in a browser that answered lately, for one of `party`.
    /// `deadline` bounds the wait.
    ///
    /// # Errors
    /// [`Error::QueueFull`], [`Error::OverShare`], [`Error::Exhausted`] at the deadline,
    /// [`Error::Unavailable`] when browsers cannot be launched, or could not at the deadline,
    /// [`Error::Draining`].
    ///
    /// # Cancel safety
    /// Yes: the place is given up; a seat given at that moment goes to the next.
    pub async fn seat(&self, party: &Party, deadline: Deadline) -> Result<Seat, Error> {
        self.seat_beside(None, party, deadline).await
    }

    /// As [`Pool::seat`], in another browser than `avoid` when one has a seat free at once.
    ///
    /// # Errors
    /// As [`Pool::seat`].
    ///
    /// # Cancel safety
    /// As [`Pool::seat`].
    pub async fn seat_beside(
        &self,
        avoid: Option<BrowserId>,
        party: &Party,
        deadline: Deadline,
    ) -> Result<Seat, Error> {
        let refused = |refused| self.refused(Purpose::Seats, refused);
        let (out, waiting, number) = {
            let mut state = self.0.seats.state.lock();
            if state.waiting.is_empty()
                && let Some(seat) = self.take_free(&mut state, avoid)
            {
                return Ok(seat);
            }
            let room = self.room_to_wait(&mut state, party);
            let out = match room {
                Ok(out) => out,
                Err(why) => {
                    drop(state);
                    return Err(refused(why));
                }
            };
            let (give, seat) = oneshot::channel();
            let number = state.waiting.push(party, true, give);
            self.want_openers(&mut state, deadline);
            (out, seat, number)
        };
        let give_up = GiveUp {
            pool: self,
            party,
            number,
        };
        if let Some(out) = out {
            // One that is just leaving needs no word.
            let _ = out.send(Err(refused(Refused::Full)));
        }
        let seat = deadline.bound(waiting).await;
        drop(give_up);
        match seat {
            Ok(Ok(seat)) => seat,
            Ok(Err(_pool_gone)) => Err(Error::Draining),
            Err(_passed) => Err(self.in_vain(Purpose::Seats)),
        }
    }

    /// Whether one more of `party` may wait, and who gives way to it.
    fn room_to_wait(&self, state: &mut State, party: &Party) -> Result<Option<Give>, Refused> {
        // Where a slot is free, they wait for a launch only.
        if !self.0.queue.is_exhausted() {
            return Ok(None);
        }
        if state.waiting.waiting_of(party) >= party.most() {
            return Err(Refused::Share(party.most()));
        }
        if state.waiting.counted() < self.0.queue.limit() {
            return Ok(None);
        }
        state
            .waiting
            .crowd_out(party)
            .map(Some)
            .ok_or(Refused::Full)
    }

    fn take_free(&self, state: &mut State, avoid: Option<BrowserId>) -> Option<Seat> {
        let shared = state.free(self.0.seats.per_browser, avoid)?;
        shared.used += 1;
        let browser = Arc::clone(&shared.taken.0);
        browser.used();
        browser.seats(|seats| seats + 1);
        Some(Seat {
            pool: self.clone(),
            browser,
            guest: None,
        })
    }

    /// Gives free seats to those who wait, in turns. What nobody took any more is returned, to be
    /// dropped once the lock is gone.
    pub(super) fn serve(&self, state: &mut State) -> Vec<Seat> {
        let mut unsent = Vec::new();
        while !state.waiting.is_empty()
            && let Some(seat) = self.take_free(state, None)
        {
            let sent = match state.waiting.pop() {
                Some(next) => next.send(Ok(seat)),
                None => Err(Ok(seat)),
            };
            unsent.extend(sent.err().and_then(Result::ok));
        }
        unsent
    }

    fn free_seat(&self, browser: &Browser) {
        browser.seats(|seats| seats.saturating_sub(1));
        let mut state = self.0.seats.state.lock();
        if let Some(shared) = find(&mut state, browser.id()) {
            shared.used = shared.used.saturating_sub(1);
            if shared.used == 0 {
                browser.state(BrowserState::Shared);
            }
        }
        drop(state);
        self.settle();
    }

    /// Brings the shared browsers in order: closes what is due, lets go what is empty and to
    /// leave, serves who waits.
    pub(super) fn settle(&self) {
        let config = &self.0.config;
        let mut state = self.0.seats.state.lock();
        let nobody_waits = state.waiting.is_empty();
        for shared in &mut state.shared {
            if shared.closing.is_some() {
                continue;
            }
            let browser = &shared.taken.0;
            let idle_for = browser.idle_for();
            shared.closing = browser.condemned().or_else(|| {
                let idle = shared.used == 0 && nobody_waits;
                if browser.age() >= config.max_age {
                    Some(Retire::Age)
                } else if browser.uses() >= config.max_uses {
                    Some(Retire::Uses)
                } else if let Some(drift) = browser.drift(config.max_drift) {
                    let (id, Drift { fresh, recent }) = (browser.id(), drift);
                    tracing::warn!(browser = %id, ?fresh, ?recent, "browser.drifted");
                    Some(Retire::Drift)
                } else if idle && idle_for >= config.idle_timeout {
                    Some(Retire::Idle)
                } else {
                    None
                }
            });
        }
        self.give_way(&mut state);
        let unsent = self.serve(&mut state);
        // What they waited for may have been given up, or be closed again.
        let launch = Deadline::after(self.0.config.launch.timeout * 2);
        self.want_openers(&mut state, launch);
        let departing = state.departing();
        drop(state);
        drop(unsent);
        for shared in departing {
            let reason = shared.closing.unwrap_or(Retire::Idle);
            self.destroy(shared.taken, Some(shared.slot), reason);
        }
    }

    /// As many shared browsers as leases wait for take no new fetch, the emptiest first; those
    /// that leave already count. Their places go to whoever came first, be it a lease or an opener:
    /// fetches that find no seat stand in the same queue.
    fn give_way(&self, state: &mut State) {
        let leaving = state.shared.iter().filter(|one| one.closing.is_some());
        let freed = leaving.count() + self.0.registry.count(BrowserState::Retiring);
        let wanted = self.0.queue.leases_waiting().saturating_sub(freed);
        let open = state.shared.iter_mut().filter(|one| one.closing.is_none());
        let mut open: Vec<_> = open.collect();
        open.sort_by_key(|shared| shared.used);
        for shared in open.into_iter().take(wanted) {
            shared.closing = Some(Retire::Idle);
        }
    }

    /// Closes every shared browser; those who wait for a seat are told.
    pub(super) fn close_all_seats(&self) {
        let mut state = self.0.seats.state.lock();
        for shared in &mut state.shared {
            shared.closing = Some(Retire::Drain);
        }
        for waiting in state.waiting.take_all() {
            // One that has given up needs no answer.
            let _ = waiting.send(Err(Error::Draining));
        }
        drop(state);
        self.settle();
    }

    /// How many seats the shared browsers have, and how many are taken.
    #[must_use]
    pub fn seats(&self) -> (usize, usize) {
        let state = self.0.seats.state.lock();
        let used = state.shared.iter().map(|shared| shared.used).sum();
        (state.shared.len() * self.0.seats.per_browser, used)
    }
}

fn find(state: &mut State, id: BrowserId) -> Option<&mut Shared> {
    let mut shared = state.shared.iter_mut();
    shared.find(|shared| shared.taken.0.id() == id)
}

/// Takes whoever waited for a seat out of the line, and rings.
struct GiveUp<'a> {
    pool: &'a Pool,
    party: &'a Party,
    number: Number,
}

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        let seats = &self.pool.0.seats;
        let left = seats.state.lock().waiting.remove(self.party, self.number);
        drop(left);
        seats.given_up.notify_waiters();
    }
}

impl Seat {
    /// Room for Berth's own visit, which takes no seat from anybody.
    pub(super) const fn beside(pool: Pool, browser: Arc<Browser>, guest: Guest) -> Self {
        Self {
            pool,
            browser,
            guest: Some(guest),
        }
    }

    /// The browser it is in.
    #[must_use]
    pub const fn browser(&self) -> &Arc<Browser> {
        &self.browser
    }

    /// Something is wrong with the browser: no new fetch goes there, and it is killed when the
    /// running ones have ended.
    pub fn condemn(&self) {
        self.browser.condemn(Retire::Unhealthy);
    }

    /// Where tasks that clean up after the seat are tracked.
    #[must_use]
    pub fn drain(&self) -> &crate::drain::Drain {
        &self.pool.0.drain
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.guest.is_none() {
            self.pool.free_seat(&self.browser);
        }
    }
}
