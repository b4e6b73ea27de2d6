//! How fast a browser opens pages, and whether it has become slow.
//!
//! Browsers rot with use. What tells is the time that a context, its renderer and a blank page take:
//! no origin and no page has a part in it. The *fastest* of some counts, since others slow each one
//! down by chance; and each browser is held against itself when it was fresh, since machines differ.

use std::{collections::VecDeque, time::Duration};

/// So many pages make a figure.
const PAGES: usize = 16;

/// What is lost by less than this, nobody notices.
const NOTICEABLE: Duration = Duration::from_millis(100);

/// The times of one browser's pages.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The first ones.
    fresh: Vec<Duration>,
    /// The last ones after these.
    recent: VecDeque<Duration>,
}

/// A pace that is no longer that of a fresh browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drift {
    /// The fastest page when it was fresh.
    pub(super) fresh: Duration,
    /// The fastest page lately.
    pub(super) recent: Duration,
}

impl Pace {
    /// Enters that a page took `took` to be opened.
    pub(super) fn opened(&mut self, took: Duration) {
        if self.fresh.len() < PAGES {
            self.fresh.push(took);
            return;
        }
        if self.recent.len() == PAGES {
            self.recent.pop_front();
        }
        self.recent.push_back(took);
    }

    /// How much slower it has become, when that is over `limit` times and enough pages tell so;
    /// with 0 there is no limit.
    pub(super) fn drift(&self, limit: u32) -> Option<Drift> {
        if limit == 0 || self.recent.len() < PAGES {
            return None;
        }
        let fresh = *self.fresh.iter().min()?;
        let recent = *self.recent.iter().min()?;
        let drifted = recent > fresh * limit && recent > fresh + NOTICEABLE;
        drifted.then_some(Drift { fresh, recent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(fresh: u64, recent: impl IntoIterator<Item = u64>) -> Pace {
        let mut pace = Pace::default();
        let fresh = std::iter::repeat_n(fresh, PAGES);
        for millis in fresh.chain(recent) {
            pace.opened(Duration::from_millis(millis));
        }
        pace
    }

    #[test]
    fn only_what_is_slow_throughout_has_drifted() {
        assert_eq!(pace(40, []).drift(4), None, "no figure yet");
        assert_eq!(pace(40, [900; PAGES - 1]).drift(4), None, "too few");
        let slow = pace(40, [900; PAGES]);
        let drift = slow.drift(4).unwrap();
        assert_eq!(
            (drift.fresh.as_millis(), drift.recent.as_millis()),
            (40, 900)
        );
        assert_eq!(slow.drift(0), None, "no limit");
        let one_fast = [vec![900; PAGES], vec![50]].concat();
        assert_eq!(pace(40, one_fast).drift(4), None, "a busy machine");
        let late = [vec![50; PAGES], vec![900; PAGES]].concat();
        assert!(pace(40, late).drift(4).is_some(), "only the last count");
        assert_eq!(pace(5, [90; PAGES]).drift(4), None, "nobody notices");
        assert_eq!(pace(40, [160; PAGES]).drift(4), None, "just at the limit");
    }
}
