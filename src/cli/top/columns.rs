//! The columns of both lists, and which of them there is room for.

use super::{
    rows::{BrowserRow, LeaseRow},
    words::{bytes, duration},
};

/// A column of a list of `R`.
#[derive(Debug)]
pub(super) struct Column<R: 'static> {
    pub(super) title: &'static str,
    /// How many cells it takes; the last column of a list takes what is left.
    pub(super) width: u16,
    pub(super) right: bool,
    /// Which goes first when there is no room: the one with the highest.
    pub(super) rank: u8,
    pub(super) text: fn(&R) -> String,
}

/// The gap between two columns.
pub(super) const GAP: u16 = 2;

const fn left<R>(title: &'static str, width: u16, rank: u8, text: fn(&R) -> String) -> Column<R> {
    Column {
        title,
        width,
        right: false,
        rank,
        text,
    }
}

const fn right<R>(title: &'static str, width: u16, rank: u8, text: fn(&R) -> String) -> Column<R> {
    Column {
        right: true,
        ..left(title, width, rank, text)
    }
}

/// The browsers.
pub(super) const BROWSERS: &[Column<BrowserRow>] = &[
    left("BROWSER", 12, 0, |row| row.id.clone()),
    left("STATE", 8, 0, |row| row.state().into()),
    right("PID", 7, 5, |row| either(row.pid != 0, &row.pid)),
    right("AGE", 7, 2, |row| duration(row.age)),
    right("USES", 5, 4, |row| row.uses.to_string()),
    right("CTX", 3, 6, |row| row.contexts.to_string()),
    right("MEMORY", 8, 1, |row| {
        either(row.memory != 0, &bytes(row.memory))
    }),
    right("PROCS", 5, 7, |row| {
        either(row.processes != 0, &row.processes)
    }),
    right("FDS", 5, 8, |row| either(row.fds != 0, &row.fds)),
    left("LEASE", 13, 9, |row| row.lease.clone()),
];

/// The leases.
pub(super) const LEASES: &[Column<LeaseRow>] = &[
    left("LEASE", 13, 0, LeaseRow::short),
    left("BROWSER", 12, 4, |row| row.browser.clone()),
    left("STATE", 6, 5, |row| state(row).into()),
    right("HELD FOR", 8, 6, |row| duration(row.age)),
    right("LEFT", 7, 1, |row| duration(row.left)),
    right("CDP", 3, 3, |row| row.clients.to_string()),
    left("OWNER", 12, 2, |row| row.owner.clone()),
    left("LABELS", 12, 7, |row| row.labels.clone()),
];

/// What keeps a lease: a stream, or the time until its end.
const fn state(row: &LeaseRow) -> &'static str {
    if row.held { "held" } else { "active" }
}

fn either(known: bool, value: &impl ToString) -> String {
    if known { value.to_string() } else { "-".into() }
}

/// Those columns that `width` cells have room for, in their order.
pub(super) fn fitting<R>(columns: &'static [Column<R>], width: u16) -> Vec<&'static Column<R>> {
    let mut fitting: Vec<_> = columns.iter().collect();
    loop {
        let needed: u16 = fitting.iter().map(|column| column.width + GAP).sum();
        let last = fitting.iter().map(|column| column.rank).max();
        if fitting.len() < 2 || needed <= width + GAP {
            return fitting;
        }
        let drop = fitting.iter().position(|column| Some(column.rank) == last);
        drop.map(|at| fitting.remove(at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles<R>(columns: &'static [Column<R>], width: u16) -> Vec<&'static str> {
        let fitting = fitting(columns, width);
        let needed: u16 = fitting.iter().map(|one| one.width + GAP).sum();
        assert!(fitting.len() < 2 || needed <= width + GAP);
        fitting.iter().map(|column| column.title).collect()
    }

    #[test]
    fn what_matters_most_stays_when_room_gets_short() {
        assert_eq!(titles(BROWSERS, 200).len(), BROWSERS.len());
        assert_eq!(titles(BROWSERS, 42), ["BROWSER", "STATE", "AGE", "MEMORY"]);
        assert_eq!(titles(LEASES, 200).len(), LEASES.len());
        assert_eq!(titles(LEASES, 40), ["LEASE", "LEFT", "OWNER"]);
        assert_eq!(titles(LEASES, 0), ["LEASE"]);
        for width in 0..200 {
            titles(BROWSERS, width);
            titles(LEASES, width);
        }
    }
}
