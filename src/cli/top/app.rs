//! What the screen is about: what is selected, what is asked, what was said. Pure: keys and news
//! go in, wishes come out.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    model::Model,
    rows::{BrowserOrder, BrowserRow, LeaseOrder, LeaseRow, Row},
};
use crate::proto::Status;

/// What can be done to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Retire the browser of this name.
    Retire(String),
    /// End the lease of this name.
    End(String),
    /// Refuse new work.
    Drain,
    /// Take new work again.
    Resume,
}

/// What a key led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Quit,
    Do(Deed),
}

/// What came from the broker.
#[derive(Clone, Debug)]
pub(super) enum News {
    /// How it is now.
    Status(Box<Status>),
    /// It cannot be reached; the next try is after `again`.
    Lost { why: String, again: Duration },
    /// A deed was done, or was not and why.
    Done(Result<String, String>),
}

/// Which list the keys move in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pane {
    #[default]
    Leases,
    Browsers,
}

/// What the next key is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Watching,
    /// `y` does it, anything else does not.
    Asking(Deed),
    Help,
}

/// How the broker is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Link {
    #[default]
    Connecting,
    Up,
    Lost {
        why: String,
        again: Duration,
    },
}

/// A line for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) failed: bool,
}

/// The state of the screen.
#[derive(Clone, Debug, Default)]
pub(super) struct App {
    pub(super) model: Model,
    pub(super) link: Link,
    pub(super) pane: Pane,
    pub(super) mode: Mode,
    pub(super) paused: bool,
    pub(super) said: Option<Said>,
    pub(super) browser_order: BrowserOrder,
    pub(super) lease_order: LeaseOrder,
    browser: Option<String>,
    lease: Option<String>,
}

impl Deed {
    /// What is asked before it is done.
    pub(super) fn question(&self) -> String {
        match self {
            Self::Retire(id) => format!("retire {id}?"),
            Self::End(id) => format!("end {id}? Its client loses the browser."),
            Self::Drain => "drain? New work is refused until you resume.".into(),
            Self::Resume => "take new work again?".into(),
        }
    }
}

impl App {
    /// Takes in what came from the broker.
    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Status(status) => {
                self.link = Link::Up;
                self.model.update(*status);
            }
            News::Lost { why, again } => self.link = Link::Lost { why, again },
            News::Done(result) => {
                let failed = result.is_err();
                let text = result.unwrap_or_else(|why| why);
                self.said = Some(Said { text, failed });
            }
        }
    }

    /// The browsers as they are listed.
    pub(super) fn browsers(&self) -> Vec<BrowserRow> {
        let mut rows = self.model.browsers();
        self.browser_order.sort(&mut rows);
        rows
    }

    /// The leases as they are listed.
    pub(super) fn leases(&self) -> Vec<LeaseRow> {
        let mut rows = self.model.leases();
        self.lease_order.sort(&mut rows);
        rows
    }

    /// Where the selected browser is in its list: the first when the selected one is gone.
    pub(super) fn selected_browser(&self, rows: &[BrowserRow]) -> Option<usize> {
        selected(rows, self.browser.as_deref())
    }

    /// Where the selected lease is in its list: the first when the selected one is gone.
    pub(super) fn selected_lease(&self, rows: &[LeaseRow]) -> Option<usize> {
        selected(rows, self.lease.as_deref())
    }

    /// What `key` leads to.
    pub(super) fn press(&mut self, key: KeyEvent) -> Wish {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && matches!(key.code, KeyCode::Char('c')) {
            return Wish::Quit;
        }
        match std::mem::take(&mut self.mode) {
            Mode::Asking(deed) => match key.code {
                KeyCode::Char('y' | 'Y') => {
                    self.say("asked the broker …");
                    Wish::Do(deed)
                }
                _ => {
                    self.say("nothing was done");
                    Wish::Nothing
                }
            },
            Mode::Help => Wish::Nothing,
            Mode::Watching if control || key.modifiers.contains(KeyModifiers::ALT) => Wish::Nothing,
            Mode::Watching => self.watch(key.code),
        }
    }

    fn watch(&mut self, key: KeyCode) -> Wish {
        self.said = None;
        match key {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Tab | KeyCode::BackTab | KeyCode::Left | KeyCode::Right => {
                self.pane = match self.pane {
                    Pane::Leases => Pane::Browsers,
                    Pane::Browsers => Pane::Leases,
                };
            }
            KeyCode::Down | KeyCode::Char('j') => self.go(1),
            KeyCode::Up | KeyCode::Char('k') => self.go(-1),
            KeyCode::PageDown => self.go(10),
            KeyCode::PageUp => self.go(-10),
            KeyCode::Home | KeyCode::Char('g') => self.go(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.go(isize::MAX),
            KeyCode::Char('s') => match self.pane {
                Pane::Leases => self.lease_order = self.lease_order.next(),
                Pane::Browsers => self.browser_order = self.browser_order.next(),
            },
            KeyCode::Char('p' | ' ') => {
                self.paused = !self.paused;
                self.model.pause(self.paused);
            }
            KeyCode::Char('r') => self.ask(Self::retire, "no browser is there to retire"),
            KeyCode::Char('e') => self.ask(Self::end, "no lease is there to end"),
            KeyCode::Char('d') => self.mode = Mode::Asking(Deed::Drain),
            KeyCode::Char('u') => self.mode = Mode::Asking(Deed::Resume),
            _ => {}
        }
        Wish::Nothing
    }

    fn ask(&mut self, deed: fn(&Self) -> Option<Deed>, none: &str) {
        match deed(self) {
            Some(deed) => self.mode = Mode::Asking(deed),
            None => self.say(none),
        }
    }

    fn retire(&self) -> Option<Deed> {
        let rows = self.browsers();
        let at = self.selected_browser(&rows)?;
        Some(Deed::Retire(rows[at].id.clone()))
    }

    fn end(&self) -> Option<Deed> {
        let rows = self.leases();
        let at = self.selected_lease(&rows)?;
        Some(Deed::End(rows[at].id.clone()))
    }

    fn say(&mut self, text: &str) {
        self.said = Some(Said {
            text: text.into(),
            failed: false,
        });
    }

    fn go(&mut self, by: isize) {
        match self.pane {
            Pane::Browsers => {
                let rows = self.browsers();
                self.browser = moved(&rows, self.selected_browser(&rows), by);
            }
            Pane::Leases => {
                let rows = self.leases();
                self.lease = moved(&rows, self.selected_lease(&rows), by);
            }
        }
    }
}

fn selected(rows: &[impl Row], id: Option<&str>) -> Option<usize> {
    let found = rows.iter().position(|row| Some(row.id()) == id);
    found.or((!rows.is_empty()).then_some(0))
}

fn moved(rows: &[impl Row], from: Option<usize>, by: isize) -> Option<String> {
    let to = from?.saturating_add_signed(by).min(rows.len() - 1);
    Some(rows[to].id().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{super::model::tests::status, *};

    fn app() -> App {
        let mut app = App::default();
        app.hear(News::Status(Box::new(status(2000, 0))));
        app
    }

    fn press(app: &mut App, keys: &str) -> Wish {
        let mut wish = Wish::Nothing;
        for key in keys.chars() {
            let code = match key {
                '\t' => KeyCode::Tab,
                key => KeyCode::Char(key),
            };
            wish = app.press(code.into());
        }
        wish
    }

    const SECOND: &str = "lease-0198f2c1-0000-7000-8000-00000000bbbb";

    #[test]
    fn a_deed_is_done_after_a_yes_only() {
        for (keys, deed) in [
            ("jey", Deed::End(SECOND.into())),
            ("\tjjry", Deed::Retire("browser-3".into())),
            ("dy", Deed::Drain),
            ("uY", Deed::Resume),
        ] {
            assert_eq!(press(&mut app(), keys), Wish::Do(deed), "{keys:?}");
        }
        let mut app = app();
        assert_eq!(press(&mut app, "en"), Wish::Nothing);
        assert_eq!(app.said.clone().unwrap().text, "nothing was done");
        assert_eq!(press(&mut app, "y"), Wish::Nothing, "the question is over");
        assert_eq!(press(&mut app, "eq"), Wish::Nothing, "q is a no, too");
        assert_eq!(press(&mut app, "q"), Wish::Quit);
    }

    #[test]
    fn control_c_always_leaves_and_other_chords_do_nothing() {
        let chord = |key| KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL);
        for before in ["", "e", "?", "p"] {
            let mut app = app();
            press(&mut app, before);
            assert_eq!(app.press(chord('c')), Wish::Quit, "{before:?}");
        }
        let mut app = app();
        assert_eq!(app.press(chord('d')), Wish::Nothing);
        assert_eq!(app.mode, Mode::Watching, "Ctrl-D is no drain");
    }

    #[test]
    fn the_selection_follows_its_row_and_never_leaves_the_list() {
        let mut app = app();
        press(&mut app, "jjj");
        assert_eq!(app.selected_lease(&app.leases()), Some(1));
        press(&mut app, "s");
        assert_eq!(app.leases()[0].id, SECOND, "7 s left come first");
        assert_eq!(app.selected_lease(&app.leases()), Some(0));
        press(&mut app, "G");
        assert_eq!(app.selected_lease(&app.leases()), Some(1));
        press(&mut app, "gkk");
        assert_eq!(app.selected_lease(&app.leases()), Some(0));
        let mut fewer = status(2001, 0);
        fewer.leases.pop();
        app.hear(News::Status(Box::new(fewer)));
        assert_eq!(
            app.selected_lease(&app.leases()),
            Some(0),
            "its row is gone"
        );
    }

    #[test]
    fn nothing_to_act_on_is_said() {
        let mut app = App::default();
        press(&mut app, "e");
        assert_eq!(app.said.clone().unwrap().text, "no lease is there to end");
        press(&mut app, "r");
        assert!(app.said.clone().unwrap().text.contains("no browser"));
        press(&mut app, "jkGg\t");
        assert_eq!(app.mode, Mode::Watching);
    }

    #[test]
    fn failures_and_losses_are_shown_until_something_else_happens() {
        let mut app = app();
        app.hear(News::Done(Err(
            "browser-1 is leased (BROWSER_LEASED)".into()
        )));
        assert!(app.said.clone().unwrap().failed);
        press(&mut app, "j");
        assert_eq!(app.said, None);
        let again = Duration::from_secs(1);
        let why = "refused".to_owned();
        app.hear(News::Lost { why, again });
        assert!(matches!(app.link, Link::Lost { .. }));
        app.hear(News::Status(Box::new(status(2001, 0))));
        assert_eq!(app.link, Link::Up);
    }

    #[test]
    fn a_pause_holds_the_rows() {
        let mut app = app();
        press(&mut app, "p");
        app.hear(News::Status(Box::default()));
        assert_eq!(app.leases().len(), 2);
        press(&mut app, "p");
        assert_eq!(app.leases().len(), 0);
    }

    #[test]
    fn any_key_closes_the_help() {
        let mut app = app();
        press(&mut app, "?");
        assert_eq!(app.mode, Mode::Help);
        assert_eq!(press(&mut app, "q"), Wish::Nothing);
        assert_eq!(app.mode, Mode::Watching);
    }
}
