//! Openers: who stand in the pool's queue for another shared browser, on behalf of those who wait
//! for a seat.

use std::collections::HashMap;

use super::{
    Error,
    pool::{Pool, Taken},
    queue::{Purpose, Slot},
    seats::State,
};
use crate::{
    deadline::Deadline,
    fair::{Entry, Party},
};

/// How many stand for whom.
#[derive(Debug, Default)]
pub(super) struct Openers {
    /// None of them is zero.
    of: HashMap<Party, usize>,
    total: usize,
}

impl Openers {
    fn of(&self, party: &Party) -> usize {
        self.of.get(party).copied().unwrap_or_default()
    }

    fn add(&mut self, party: &Party) {
        *self.of.entry(party.clone()).or_default() += 1;
        self.total += 1;
    }

    fn remove(&mut self, party: &Party) {
        if let Some(count) = self.of.get_mut(party) {
            *count -= 1;
            self.total -= 1;
            if *count == 0 {
                self.of.remove(party);
            }
        }
    }
}

impl State {
    /// The party that most wait of for whom no opener stands.
    fn least_served(&self, per_browser: usize) -> Option<Party> {
        let unserved = |party: &&Party| {
            let served = self.openers.of(party) * per_browser;
            self.waiting.waiting_of(party).saturating_sub(served)
        };
        self.waiting.parties().max_by_key(unserved).cloned()
    }

    /// Whether an opener of `party` still has a reason to stand in the queue.
    fn has_need(&self, party: &Party, per_browser: usize) -> bool {
        let waiting = self.waiting.counted();
        let others = self.openers.total.saturating_sub(1) * per_browser;
        waiting > 0 && (self.waiting.waiting_of(party) > 0 || others < waiting)
    }
}

impl Pool {
    /// Has as many openers stand in the queue as those who wait have need of. Where slots go round,
    /// each party that waits has one: what others stand for comes in the others' turns.
    pub(super) fn want_openers(&self, state: &mut State, deadline: Deadline) {
        let per_browser = self.0.seats.per_browser;
        while state.openers.total * per_browser < state.waiting.counted()
            && let Some(party) = state.least_served(per_browser)
        {
            self.start_opener(state, party, deadline);
        }
        if self.0.queue.is_exhausted() {
            let parties = state.waiting.parties();
            let alone = parties.filter(|party| state.openers.of(party) == 0);
            for party in alone.cloned().collect::<Vec<_>>() {
                self.start_opener(state, party, deadline);
            }
        }
    }

    fn start_opener(&self, state: &mut State, party: Party, deadline: Deadline) {
        state.openers.add(&party);
        let opener = self.clone();
        let open = async move { opener.open(&party, deadline).await };
        self.0.drain.spawn(open);
    }

    /// Stands in the pool's queue for one more shared browser, while there is need of it.
    async fn open(&self, party: &Party, deadline: Deadline) {
        let cut = self.0.drain.cut_token();
        let opened = tokio::select! {
            opened = self.open_one(party, deadline) => Some(opened),
            () = self.no_need(party) => None,
            () = cut.cancelled() => Some(Err(Error::Draining)),
        };
        let mut state = self.0.seats.state.lock();
        state.openers.remove(party);
        match opened {
            None => {}
            Some(Ok((taken, slot))) => state.open(taken, slot),
            Some(Err(error)) if state.openers.total == 0 => {
                for waiting in state.waiting.take_all() {
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

    async fn open_one(&self, party: &Party, deadline: Deadline) -> Result<(Taken, Slot), Error> {
        let refused = |refused| self.refused(Purpose::Seats, refused);
        let slot = match self.0.queue.join(party, Purpose::Seats).map_err(refused)? {
            Entry::In(slot) => slot,
            Entry::Waits(mut ticket) => ticket.turn().await.map_err(refused)?,
        };
        // Whoever made this opener may leave while others wait: a launch has its own bound.
        let bound = Deadline::after(self.0.config.launch.timeout * 2).max(deadline);
        Ok((self.take(Purpose::Seats, bound, bound).await?, slot))
    }

    async fn no_need(&self, party: &Party) {
        let seats = &self.0.seats;
        loop {
            let given_up = seats.given_up.notified();
            tokio::pin!(given_up);
            given_up.as_mut().enable();
            if !seats.state.lock().has_need(party, seats.per_browser) {
                return;
            }
            given_up.await;
        }
    }
}
