//! The order of those who wait.
//!
//! Each party has a turn, and turns only ever go up: the lowest is next, and whoever was served and
//! still waits gets a new one behind all others (round robin; J. Nagle, RFC 970, section 8). So a
//! party is never served twice while another waits, however many of either there are.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::Party;

/// Which of those that ever stood in one line.
pub type Number = u64;

/// Those who wait, in the order in which they are served.
#[derive(Debug)]
pub struct Line<T> {
    /// By turn; none of them is empty.
    shares: BTreeMap<u64, Share<T>>,
    turns: HashMap<Party, u64>,
    next_turn: u64,
    next_number: Number,
    waiting: usize,
    counted: usize,
}

/// Those of one party, in the order of arrival.
#[derive(Debug)]
struct Share<T> {
    party: Party,
    waiting: VecDeque<One<T>>,
    counted: usize,
}

#[derive(Debug)]
struct One<T> {
    number: Number,
    counted: bool,
    what: T,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            shares: BTreeMap::new(),
            turns: HashMap::new(),
            next_turn: 0,
            next_number: 0,
            waiting: 0,
            counted: 0,
        }
    }
}

impl<T> Line<T> {
    /// Puts `what` behind the others of `party`. One that is not `counted` stands for somebody that
    /// is counted elsewhere: it takes its turn, and no bound is about it.
    pub fn push(&mut self, party: &Party, counted: bool, what: T) -> Number {
        let number = self.next_number;
        self.next_number += 1;
        let turn = self.turns.get(party).copied().unwrap_or_else(|| {
            let turn = self.next_turn;
            self.next_turn += 1;
            self.turns.insert(party.clone(), turn);
            turn
        });
        let share = self.shares.entry(turn).or_insert_with(|| Share {
            party: party.clone(),
            waiting: VecDeque::new(),
            counted: 0,
        });
        share.waiting.push_back(One {
            number,
            counted,
            what,
        });
        share.counted += usize::from(counted);
        self.waiting += 1;
        self.counted += usize::from(counted);
        number
    }

    /// Takes out whoever is next.
    pub fn pop(&mut self) -> Option<T> {
        let turn = *self.shares.first_key_value()?.0;
        let what = self.take(turn, 0)?;
        if let Some(share) = self.shares.remove(&turn) {
            self.turns.insert(share.party.clone(), self.next_turn);
            self.shares.insert(self.next_turn, share);
            self.next_turn += 1;
        }
        Some(what)
    }

    /// Takes out one that waits no longer; `None` when it was taken out before.
    pub fn remove(&mut self, party: &Party, number: Number) -> Option<T> {
        let turn = *self.turns.get(party)?;
        let at = self.shares.get(&turn)?.find(number)?;
        self.take(turn, at)
    }

    /// How many are served before this one, and it; 0 when it is not there.
    #[must_use]
    pub fn position(&self, party: &Party, number: Number) -> usize {
        let found = self.turns.get(party).and_then(|turn| {
            let at = self.shares.get(turn)?.find(number)?;
            Some((*turn, at))
        });
        let Some((own, at)) = found else { return 0 };
        // Whoever's turn is before the own one is served once more until then.
        let before = self.shares.iter().map(|(turn, share)| match turn {
            turn if *turn == own => at,
            turn if *turn < own => share.waiting.len().min(at + 1),
            _ => share.waiting.len().min(at),
        });
        before.sum::<usize>() + 1
    }

    /// Makes room for one of `party`: takes out the newest one of the party that has most in the
    /// line, where that leaves it no fewer than `party` then has.
    pub fn crowd_out(&mut self, party: &Party) -> Option<T> {
        let (turn, share) = self.shares.iter().max_by_key(|(_, share)| share.counted)?;
        if self.waiting_of(party) + 1 >= share.counted {
            return None;
        }
        let at = share.waiting.iter().rposition(|one| one.counted)?;
        self.take(*turn, at)
    }

    /// How many of `party` wait that are counted.
    #[must_use]
    pub fn waiting_of(&self, party: &Party) -> usize {
        let turn = self.turns.get(party);
        let share = turn.and_then(|turn| self.shares.get(turn));
        share.map_or(0, |share| share.counted)
    }

    /// How many wait that are counted.
    #[must_use]
    pub fn counted(&self) -> usize {
        self.counted
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// The parties of those who wait.
    #[must_use]
    pub fn parties(&self) -> impl ExactSizeIterator<Item = &Party> {
        self.turns.keys()
    }

    /// Takes out all of them, in no order.
    pub fn take_all(&mut self) -> impl Iterator<Item = T> {
        let all = std::mem::take(&mut self.shares);
        self.turns.clear();
        (self.waiting, self.counted) = (0, 0);
        let all = all.into_values().flat_map(|share| share.waiting);
        all.map(|one| one.what)
    }

    fn take(&mut self, turn: u64, at: usize) -> Option<T> {
        let share = self.shares.get_mut(&turn)?;
        let one = share.waiting.remove(at)?;
        let counted = usize::from(one.counted);
        share.counted -= counted;
        self.counted -= counted;
        self.waiting -= 1;
        if share.waiting.is_empty()
            && let Some(share) = self.shares.remove(&turn)
        {
            self.turns.remove(&share.party);
        }
        Some(one.what)
    }
}

impl<T> Share<T> {
    fn find(&self, number: Number) -> Option<usize> {
        let found = self.waiting.binary_search_by_key(&number, |one| one.number);
        found.ok()
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
