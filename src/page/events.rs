//! What happened in the pages of a lease, until somebody is told.

use std::collections::VecDeque;

use super::PageId;

/// So many events are kept; of more only the number is known.
const KEPT: usize = 200;
/// The longest text of an event, in bytes.
const LONGEST: usize = 2048;

/// Something that happened in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The page.
    pub page: PageId,
    /// It happened between two calls.
    pub earlier: bool,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The page wrote to its console.
    Console {
        /// How important it says it is.
        level: String,
        /// What it says.
        text: String,
        /// Where it was written.
        location: String,
    },
    /// A script threw and nobody caught it.
    Exception(String),
    /// A dialog was answered.
    Dialog {
        /// `alert`, `confirm`, `prompt` or `beforeunload`.
        kind: String,
        /// What it says.
        message: String,
        /// Whether the answer was OK.
        accepted: bool,
    },
    /// A request failed.
    Failed {
        /// Its method.
        method: String,
        /// Where it went.
        url: String,
        /// The status of the answer; zero for none.
        status: u32,
        /// Why there was no answer.
        error: String,
    },
    /// A page opened another.
    Opened {
        /// The new one.
        page: PageId,
        /// Where it is to go.
        url: String,
    },
    /// A download began.
    Download {
        /// From where.
        url: String,
        /// As what.
        name: String,
    },
}

/// The events that nobody was told yet.
#[derive(Debug, Default)]
pub(super) struct Events {
    kept: VecDeque<(u64, PageId, What)>,
    dropped: u32,
    happened: u64,
}

impl Events {
    pub(super) fn add(&mut self, page: &PageId, what: What) {
        self.happened += 1;
        if self.kept.len() == KEPT {
            self.kept.pop_front();
            self.dropped = self.dropped.saturating_add(1);
        }
        self.kept.push_back((self.happened, page.clone(), what));
    }

    /// What has happened until now, as a mark.
    pub(super) const fn mark(&self) -> u64 {
        self.happened
    }

    /// Takes all that is kept, and how many were not; those until `mark` happened earlier.
    pub(super) fn take(&mut self, mark: u64) -> (Vec<Event>, u32) {
        let taken = self.kept.drain(..).map(|(at, page, what)| Event {
            page,
            earlier: at <= mark,
            what,
        });
        (taken.collect(), std::mem::take(&mut self.dropped))
    }
}

/// `text`, cut where it is too long for an event, and marked so.
pub(super) fn cut(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(LONGEST);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_the_rest_is_counted() {
        let page = PageId::from("p");
        let mut events = Events::default();
        events.add(&page, What::Exception("0".into()));
        let mark = events.mark();
        for n in 1..=KEPT {
            events.add(&page, What::Exception(n.to_string()));
        }
        let (taken, dropped) = events.take(mark);
        assert_eq!((taken.len(), dropped), (KEPT, 1));
        assert!(taken.iter().all(|event| !event.earlier));
        assert_eq!(events.take(0), (Vec::new(), 0));
        events.add(&page, What::Exception("x".into()));
        assert!(events.take(events.mark()).0[0].earlier);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = cut(&"é".repeat(LONGEST));
        assert!(text.len() <= LONGEST + 3 && text.ends_with("é…"));
        assert_eq!(cut("short"), "short");
    }
}
