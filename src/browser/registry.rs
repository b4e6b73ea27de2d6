//! The live picture: every browser from the moment its launch begins until nothing of it is left.
//!
//! Gauges and status are read from here and counted nowhere else, so they cannot drift.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{census::Usage, chrome::BrowserId};

/// What a browser does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is being launched.
    Starting,
    /// It is warm and waits for its first use.
    Idle,
    /// It serves fetches, one context a seat.
    Shared,
    /// It is leased.
    Leased,
    /// It is being killed, or about to be.
    Retiring,
}

impl State {
    /// Every state, in the order of a browser's life.
    pub const ALL: [Self; 5] = [
        Self::Starting,
        Self::Idle,
        Self::Shared,
        Self::Leased,
        Self::Retiring,
    ];

    /// The stable word of metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Shared => "shared",
            Self::Leased => "leased",
            Self::Retiring => "retiring",
        }
    }
}

/// What is shown of one browser.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Its name.
    pub id: BrowserId,
    /// What it does.
    pub state: State,
    /// Its process group; `None` until it is started.
    pub pid: Option<i32>,
    /// How long since its launch began.
    pub age: Duration,
    /// How often it was used.
    pub uses: u64,
    /// Contexts open in it for fetches.
    pub seats: usize,
    /// What its tree used when last measured.
    pub usage: Usage,
}

/// Every browser there is; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    rows: Arc<Mutex<BTreeMap<BrowserId, Row>>>,
    zombies: Arc<Mutex<(u64, u64)>>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    state: State,
    pid: Option<i32>,
    begun: Instant,
    uses: u64,
    seats: usize,
    usage: Usage,
}

/// One browser's row; clones name the same one.
#[derive(Clone, Debug)]
pub struct Entry {
    registry: Registry,
    id: BrowserId,
}

impl Registry {
    /// Enters a browser whose launch begins.
    #[must_use]
    pub fn enter(&self, id: BrowserId) -> Entry {
        let row = Row {
            state: State::Starting,
            pid: None,
            begun: Instant::now(),
            uses: 0,
            seats: 0,
            usage: Usage::default(),
        };
        self.rows.lock().insert(id, row);
        Entry {
            registry: self.clone(),
            id,
        }
    }

    /// The browsers there are.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        let rows = self.rows.lock();
        let seen = rows.iter().map(|(id, row)| Seen {
            id: *id,
            state: row.state,
            pid: row.pid,
            age: row.begun.elapsed(),
            uses: row.uses,
            seats: row.seats,
            usage: row.usage,
        });
        seen.collect()
    }

    /// How many browsers are in `state`.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        let rows = self.rows.lock();
        rows.values().filter(|row| row.state == state).count()
    }

    /// How many browsers there are in all.
    #[must_use]
    pub fn total(&self) -> usize {
        self.rows.lock().len()
    }

    /// Dead children nobody had reaped when last counted, and those of them that had been there
    /// at the count before.
    #[must_use]
    pub fn zombies(&self) -> (u64, u64) {
        *self.zombies.lock()
    }

    /// Enters how many dead children nobody has reaped, and how many of them although it was
    /// tried.
    pub(super) fn counted_zombies(&self, zombies: u64, lasting: u64) {
        *self.zombies.lock() = (zombies, lasting);
    }

    /// Enters what the tree of the process group `pid` uses.
    pub(super) fn measured(&self, pid: i32, usage: Usage) {
        let mut rows = self.rows.lock();
        if let Some(row) = rows.values_mut().find(|row| row.pid == Some(pid)) {
            row.usage = usage;
        }
    }
}

impl Entry {
    pub(super) fn started(&self, pid: i32) {
        self.change(|row| row.pid = Some(pid));
    }

    pub(super) fn state(&self, state: State) {
        self.change(|row| row.state = state);
    }

    pub(super) fn uses(&self, uses: u64) {
        self.change(|row| row.uses = uses);
    }

    pub(super) fn seats(&self, change: impl FnOnce(usize) -> usize) {
        self.change(|row| row.seats = change(row.seats));
    }

    /// Nothing of the browser is left.
    pub(super) fn leave(&self) {
        self.registry.rows.lock().remove(&self.id);
    }

    fn change(&self, change: impl FnOnce(&mut Row)) {
        if let Some(row) = self.registry.rows.lock().get_mut(&self.id) {
            change(row);
        }
    }
}
