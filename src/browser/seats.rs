//! Seats: room for one isolated browser context each in browsers that only Berth drives.
//!
//! A fetch takes a free seat of a running shared browser, the fullest first, so that few browsers
//! serve many. When there is none it waits, in order of arrival, while an *opener* stands in the
//! pool's queue for another browser. A shared browser leaves when it is due (age, uses, memory, a
//! failed check) or when somebody waits for a lease: it takes no new fetch then, and goes with the
//! last running one. The rule of who gets what is in `docs/architecture.md`.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::{
    Error,
    chrome::{Browser, BrowserId},
    guest::Guest,
    pace::Drift,
    pool::{Pool, Taken},
    queue::{Purpose, Slot},
    registry::State as BrowserState,
};
use crate::{deadline::Deadline, metrics::Retire};

/// The shared browsers of a pool and who waits for a seat in them.
#[derive(Debug)]
pub(super) struct Seats {
    per_browser: usize,
    state: Mutex<State>,
    /// Rung when a waiting caller gives up: an opener may have lost its last reason.
    given_up: Notify,
}

#[derive(Debug, Default)]
struct State {
    shared: Vec<Shared>,
    waiting: VecDeque<oneshot::Sender<Result<Seat, Error>>>,
    openers: usize,
}

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
        self.state.lock().waiting_now()
    }
}

impl State {
    fn waiting_now(&self) -> usize {
        self.waiting.iter().filter(|one| !one.is_closed()).count()
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
    /// Room for one browser context, in a browser that answered lately. `deadline` bounds the wait.
    ///
    /// # Errors
    /// [`Error::QueueFull`], [`Error::Exhausted`] at the deadline, [`Error::Unavailable`] when
    /// browsers cannot be launched, or could not at the deadline, [`Error::Draining`].
    ///
    /// # Cancel safety
    /// Yes: the place is given up; a seat given at that moment goes to the next.
    pub async fn seat(&self, deadline: Deadline) -> Result<Seat, Error> {
        self.seat_beside(None, deadline).await
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
        deadline: Deadline,
    ) -> Result<Seat, Error> {
        let seats = &self.0.seats;
        let waiting = {
            let mut state = seats.state.lock();
            if state.waiting_now() == 0
                && let Some(seat) = self.take_free(&mut state, avoid)
            {
                return Ok(seat);
            }
            if state.waiting_now() >= self.0.queue.limit() && self.0.queue.is_exhausted() {
                drop(state);
                return Err(self.full(Purpose::Seats));
            }
            let (give, seat) = oneshot::channel();
            state.waiting.push_back(give);
            self.want_openers(&mut state, deadline);
            seat
        };
        let give_up = GiveUp(self);
        let seat = deadline.bound(waiting).await;
        drop(give_up);
        match seat {
            Ok(Ok(seat)) => seat,
            Ok(Err(_pool_gone)) => Err(Error::Draining),
            Err(_passed) => Err(self.in_vain(Purpose::Seats)),
        }
    }

    /// Has as many openers stand in the queue as those who wait have need of.
    fn want_openers(&self, state: &mut State, deadline: Deadline) {
        while state.openers * self.0.seats.per_browser < state.waiting_now() {
            state.openers += 1;
            let opener = self.clone();
            self.0
                .drain
                .spawn(async move { opener.open(deadline).await });
        }
    }

    /// Stands in the pool's queue for one more shared browser, while anybody waits for a seat.
    async fn open(&self, deadline: Deadline) {
        let cut = self.0.drain.cut_token();
        let opened = tokio::select! {
            opened = self.open_one(deadline) => Some(opened),
            () = self.nobody_waits() => None,
            () = cut.cancelled() => Some(Err(Error::Draining)),
        };
        let seats = &self.0.seats;
        let mut state = seats.state.lock();
        state.openers -= 1;
        match opened {
            None => {}
            Some(Ok((taken, slot))) => {
                taken.0.state(BrowserState::Shared);
                taken.0.lodge().open();
                state.shared.push(Shared {
                    taken,
                    slot,
                    used: 0,
                    closing: None,
                });
            }
            Some(Err(error)) if state.openers == 0 => {
                for waiting in state.waiting.drain(..) {
                    // One that has given up needs no answer.
                    let _ = waiting.send(Err(error.clone()));
                }
            }
            // Another opener may still succeed.
            Some(Err(_)) => {}
        }
        let unsent = self.serve(&mut state);
        drop(state);
        drop(unsent);
        self.settle();
    }

    async fn open_one(&self, deadline: Deadline) -> Result<(Taken, Slot), Error> {
        let slot = match self.0.queue.slot_now() {
            Some(slot) => slot,
            None => {
                let ticket = self.0.queue.join(Purpose::Seats);
                let ticket = ticket.map_err(|_full| self.full(Purpose::Seats))?;
                ticket.turn().await.ok_or(Error::Draining)?
            }
        };
        // Whoever made this opener may leave while others wait: a launch has its own bound.
        let bound = Deadline::after(self.0.config.launch.timeout * 2).max(deadline);
        Ok((self.take(Purpose::Seats, bound, bound).await?, slot))
    }

    async fn nobody_waits(&self) {
        let seats = &self.0.seats;
        loop {
            let given_up = seats.given_up.notified();
            tokio::pin!(given_up);
            given_up.as_mut().enable();
            if seats.waiting() == 0 {
                return;
            }
            given_up.await;
        }
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

    /// Gives free seats to those who wait, in order. What nobody took any more is returned, to be
    /// dropped once the lock is gone.
    fn serve(&self, state: &mut State) -> Vec<Seat> {
        let mut unsent = Vec::new();
        while let Some(next) = state.waiting.pop_front() {
            if next.is_closed() {
                continue;
            }
            let Some(seat) = self.take_free(state, None) else {
                state.waiting.push_front(next);
                break;
            };
            if let Err(Ok(seat)) = next.send(Ok(seat)) {
                unsent.push(seat);
            }
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
        let nobody_waits = state.waiting_now() == 0;
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
        for waiting in state.waiting.drain(..) {
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

/// Rings when whoever waited for a seat no longer does.
struct GiveUp<'a>(&'a Pool);

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        self.0.0.seats.given_up.notify_waiters();
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
