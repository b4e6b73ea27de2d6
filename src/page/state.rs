//! What is known of a page from its events.

use std::collections::HashMap;

use super::dialog::{Answer, Open};
use crate::browser::page::WaitUntil;

/// So many requests are followed at once: a page that makes more is not waited for.
const FOLLOWED: usize = 1024;

/// How far a document has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    parsed: bool,
    loaded: bool,
    idle: bool,
}

/// What is known of a page.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The document in the main frame.
    pub(super) loader: String,
    reached: Reached,
    /// The main frame is about to get another document.
    pub(super) leaving: bool,
    /// The status that a document came with.
    status: Option<(String, u32)>,
    /// The last document that was asked for in the main frame, redirects followed.
    pub(super) asked_for: Option<String>,
    /// Scripts' requests that are under way, with their number.
    asked: HashMap<String, u64>,
    /// What may be told of requests that fail: method and URL.
    pub(super) requests: HashMap<String, (String, String)>,
    /// How many requests scripts have begun.
    pub(super) begun: u64,
    pub(super) dialog: Option<Open>,
    /// How dialogs are answered by the calls that are under way, the newest last.
    pub(super) answers: Vec<(u64, Answer)>,
    pub(super) crashed: bool,
}

impl State {
    /// The main frame has another document.
    pub(super) fn committed(&mut self, loader: &str) {
        if self.loader != loader {
            loader.clone_into(&mut self.loader);
            self.reached = Reached::default();
        }
        self.leaving = false;
        // Its scripts are gone, and with them who waited.
        self.asked.clear();
    }

    /// A step of the life of the document `loader`.
    pub(super) fn lifecycle(&mut self, loader: &str, step: &str) {
        if matches!(step, "commit" | "init") {
            self.committed(loader);
        }
        if loader != self.loader {
            return;
        }
        match step {
            "DOMContentLoaded" => self.reached.parsed = true,
            "load" => self.reached.loaded = true,
            "networkIdle" => self.reached.idle = true,
            _ => {}
        }
    }

    pub(super) const fn has_reached(&self, wait: WaitUntil) -> bool {
        match wait {
            WaitUntil::DomContentLoaded => self.reached.parsed,
            WaitUntil::Load => self.reached.loaded,
            WaitUntil::NetworkIdle => self.reached.loaded && self.reached.idle,
        }
    }

    pub(super) fn answered(&mut self, loader: &str, status: u32) {
        self.status = Some((loader.to_owned(), status));
    }

    /// The status of the document that is there; zero when it has none.
    pub(super) fn status(&self) -> u32 {
        let status = self.status.as_ref();
        let of = status.filter(|(loader, _)| *loader == self.loader);
        of.map_or(0, |(_, status)| *status)
    }

    pub(super) fn request(&mut self, id: &str, kind: &str, method: &str, url: &str) {
        if self.requests.len() >= FOLLOWED {
            return;
        }
        let told = (method.to_owned(), super::events::cut(url));
        self.requests.insert(id.to_owned(), told);
        if matches!(kind, "XHR" | "Fetch") {
            self.begun += 1;
            self.asked.insert(id.to_owned(), self.begun);
        }
    }

    /// A request has ended; what it was.
    pub(super) fn ended(&mut self, id: &str) -> Option<(String, String)> {
        self.asked.remove(id);
        self.requests.remove(id)
    }

    /// Whether a script's request that began after `mark` is under way.
    pub(super) fn asks_since(&self, mark: u64) -> bool {
        self.asked.values().any(|number| *number > mark)
    }

    /// How a dialog that opens now is answered; `None` when no call is under way.
    pub(super) fn answer(&self) -> Option<&Answer> {
        self.answers.last().map(|(_, answer)| answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_document_begins_anew() {
        let mut state = State::default();
        state.lifecycle("a", "init");
        state.lifecycle("a", "DOMContentLoaded");
        state.lifecycle("a", "load");
        assert!(state.has_reached(WaitUntil::Load));
        assert!(!state.has_reached(WaitUntil::NetworkIdle));
        state.answered("b", 404);
        assert_eq!(state.status(), 0);
        state.request("1", "Fetch", "GET", "http://a.example/");
        assert!(state.asks_since(0) && !state.asks_since(1));
        state.leaving = true;
        state.lifecycle("b", "init");
        assert!(!state.leaving && !state.asks_since(0));
        assert_eq!(state.status(), 404);
        assert!(!state.has_reached(WaitUntil::DomContentLoaded));
        state.lifecycle("a", "networkIdle");
        assert!(!state.has_reached(WaitUntil::NetworkIdle), "of the old one");
    }

    #[test]
    fn requests_of_scripts_are_waited_for_and_others_not() {
        let mut state = State::default();
        state.request("1", "Image", "GET", "x");
        assert!(!state.asks_since(0));
        state.request("2", "XHR", "POST", "y");
        assert!(state.asks_since(0));
        assert_eq!(state.ended("2"), Some(("POST".into(), "y".into())));
        assert!(!state.asks_since(0));
        assert_eq!(state.ended("2"), None);
    }
}
