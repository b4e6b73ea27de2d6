//! Room for so many at once; the others wait in a line.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::{Line, Number, Party};

/// Room for so many at once; clones share it.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    room: usize,
    queue: usize,
    state: Mutex<State>,
    moved: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    /// More than none only while nobody waits.
    free: usize,
    line: Line<Give>,
}

type Give = oneshot::Sender<Option<Pass>>;

/// Why somebody may not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The line is as long as it may be.
    Full,
    /// As many of this party wait as may: so many.
    Share(usize),
}

/// The right to be in. Whoever is next has it when it is dropped.
#[derive(Debug)]
pub struct Pass(Option<Arc<Inner>>);

/// What came of asking to be let in.
#[derive(Debug)]
pub enum Entry {
    /// It is in.
    In(Pass),
    /// It waits.
    Waits(Ticket),
}

impl Gate {
    /// Room for `room`, for which `queue` may wait.
    #[must_use]
    pub fn new(room: usize, queue: usize) -> Self {
        Self(Arc::new(Inner {
            room,
            queue,
            state: Mutex::new(State {
                free: room,
                line: Line::default(),
            }),
            moved: watch::Sender::new(()),
        }))
    }

    /// Lets one of `party` in, or has it wait. One that is not `counted` stands for somebody who is
    /// counted elsewhere, and may always wait.
    ///
    /// In a full line, whoever is of a party that has fewer in it takes the place of the newest of
    /// the party that has most: that one is told as if it had come later.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn enter(&self, party: &Party, counted: bool) -> Result<Entry, Refused> {
        let mut state = self.0.state.lock();
        if state.free > 0 {
            state.free -= 1;
            return Ok(Entry::In(Pass(Some(Arc::clone(&self.0)))));
        }
        let mut out = None;
        if counted {
            if state.line.waiting_of(party) >= party.most() {
                return Err(Refused::Share(party.most()));
            }
            if state.line.counted() >= self.0.queue {
                out = Some(state.line.crowd_out(party).ok_or(Refused::Full)?);
            }
        }
        let (give, pass) = oneshot::channel();
        let number = state.line.push(party, counted, give);
        let alone = state.line.parties().len() == 1;
        drop(state);
        if let Some(out) = out {
            // One that is just leaving needs no word.
            let _ = out.send(None);
        }
        if !alone {
            // Those behind it, of other parties, have one more before them.
            self.0.moved.send_replace(());
        }
        let place = Place {
            gate: self.clone(),
            party: party.clone(),
            number,
        };
        Ok(Entry::Waits(Ticket { place, pass }))
    }

    /// How many wait that are counted.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.state.lock().line.counted()
    }

    /// How many are in.
    #[must_use]
    pub fn inside(&self) -> usize {
        self.0.room - self.0.state.lock().free
    }

    /// Whether there is no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.state.lock().free == 0
    }

    /// For how many there is room.
    #[must_use]
    pub fn room(&self) -> usize {
        self.0.room
    }

    /// How many may wait.
    #[must_use]
    pub fn queue(&self) -> usize {
        self.0.queue
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let Some(gate) = self.0.take() else { return };
        loop {
            let mut state = gate.state.lock();
            let Some(next) = state.line.pop() else {
                state.free += 1;
                return;
            };
            drop(state);
            match next.send(Some(Self(Some(Arc::clone(&gate))))) {
                Ok(()) => break,
                // It left at this moment: what it was sent is for the next, and for nobody here.
                Err(unsent) => drop(unsent.map(|mut pass| pass.0.take())),
            }
        }
        gate.moved.send_replace(());
    }
}

/// One that waits. Leaves the line when dropped.
#[derive(Debug)]
pub struct Ticket {
    place: Place,
    pass: oneshot::Receiver<Option<Pass>>,
}

impl Ticket {
    /// Waits to be let in.
    ///
    /// # Errors
    /// [`Refused::Full`] when it had to make room.
    ///
    /// # Cancel safety
    /// Yes: it may be called again.
    pub async fn turn(&mut self) -> Result<Pass, Refused> {
        // Whoever is taken out of the line is told.
        let pass = (&mut self.pass).await;
        pass.ok().flatten().ok_or(Refused::Full)
    }

    /// Follows its place in the line.
    #[must_use]
    pub fn position(&self) -> Position {
        let moved = self.place.gate.0.moved.subscribe();
        let place = self.place.clone();
        Position { place, moved }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Place {
            gate,
            party,
            number,
        } = &self.place;
        let left = gate.0.state.lock().line.remove(party, *number);
        if left.is_some() {
            gate.0.moved.send_replace(());
        }
    }
}

#[derive(Clone, Debug)]
struct Place {
    gate: Gate,
    party: Party,
    number: Number,
}

/// A view on the place of one that waits.
#[derive(Debug)]
pub struct Position {
    place: Place,
    moved: watch::Receiver<()>,
}

impl Position {
    /// How many are let in before it, and it, as things are; 0 once it waits no longer. It grows when
    /// one of another party comes whose turn is before this one's.
    #[must_use]
    pub fn now(&self) -> usize {
        let Place {
            gate,
            party,
            number,
        } = &self.place;
        gate.0.state.lock().line.position(party, *number)
    }

    /// Resolves when places may have changed.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn moved(&mut self) {
        // The gate cannot end while it is looked at.
        let _ = self.moved.changed().await;
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
