//! Acting on elements. Each act waits until its element can be acted on, and then for what it began.

use std::path::PathBuf;

use chromiumoxide::cdp::browser_protocol::dom::SetFileInputFilesParams;
use serde_json::{Value, json};

use super::{
    Button, Error, Locator, Modifier, Ref, Tab, Why,
    element::{Needs, Point, stands},
    input::bits,
    key::Key,
};
use crate::deadline::Deadline;

/// How something is clicked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Click {
    /// With which button.
    pub button: Button,
    /// How often; zero is once.
    pub count: u32,
    /// What is held meanwhile.
    pub modifiers: Vec<Modifier>,
}

impl Tab {
    /// Clicks an element.
    ///
    /// # Errors
    /// [`Error::NoElement`], [`Error::Ambiguous`], [`Error::NotActionable`]; as all of them
    /// [`Error::NoPage`], [`Error::Page`].
    ///
    /// # Cancel safety
    /// It may have been clicked; nothing stays pressed.
    pub async fn click(
        &self,
        wanted: &Locator,
        how: &Click,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let _turn = self.turn(deadline).await?;
        let at = self.locate(wanted, deadline).await?;
        let before = self.before();
        self.click_at(at, how, deadline).await?;
        self.settle(before, deadline).await
    }

    async fn click_at(&self, at: Ref, how: &Click, deadline: Deadline) -> Result<(), Error> {
        let point = self.ready(at, Needs::CLICK, deadline).await?;
        let held = bits(&how.modifiers);
        self.move_mouse(point, None, held, deadline).await?;
        for count in 1..=how.count.max(1) {
            let pressed = self.press_button(point, how.button, count, held, deadline);
            let released = pressed.await?.release(deadline).await;
            self.or_left(released)?;
        }
        Ok(())
    }

    /// A page that an act closed has carried it out.
    fn or_left(&self, done: Result<(), Error>) -> Result<(), Error> {
        match done {
            Err(Error::NoPage(_)) if self.gone().is_cancelled() => Ok(()),
            done => done,
        }
    }

    /// Moves the mouse over an element.
    ///
    /// # Errors
    /// As [`Tab::click`].
    ///
    /// # Cancel safety
    /// The mouse may be there.
    pub async fn hover(&self, wanted: &Locator, deadline: Deadline) -> Result<(), Error> {
        let _turn = self.turn(deadline).await?;
        let at = self.locate(wanted, deadline).await?;
        let before = self.before();
        let point = self.ready(at, Needs::HOVER, deadline).await?;
        self.move_mouse(point, None, 0, deadline).await?;
        self.settle(before, deadline).await
    }

    /// Drags an element onto another.
    ///
    /// # Errors
    /// As [`Tab::click`].
    ///
    /// # Cancel safety
    /// It may be dropped anywhere; nothing stays pressed.
    pub async fn drag(
        &self,
        wanted: &Locator,
        target: &Locator,
        deadline: Deadline,
    ) -> Result<(), Error> {
        /// What makes a drag of a press: pages wait for some pixels.
        const STEPS: u32 = 5;
        let _turn = self.turn(deadline).await?;
        let at = self.locate(wanted, deadline).await?;
        let to = self.locate(target, deadline).await?;
        let before = self.before();
        let from = self.ready(at, Needs::CLICK, deadline).await?;
        self.move_mouse(from, None, 0, deadline).await?;
        let pressed = self.press_button(from, Button::Left, 1, 0, deadline);
        let mut pressed = pressed.await?;
        let to = self.ready(to, Needs::HOVER, deadline).await?;
        for step in 1..=STEPS {
            let part = f64::from(step) / f64::from(STEPS);
            let point = Point {
                x: from.x + (to.x - from.x) * part,
                y: from.y + (to.y - from.y) * part,
            };
            let moved = self.move_mouse(point, Some(Button::Left), 0, deadline);
            moved.await?;
            pressed.moved(point);
        }
        let released = pressed.release(deadline).await;
        self.or_left(released)?;
        self.settle(before, deadline).await
    }

    /// Replaces what an input has.
    ///
    /// # Errors
    /// As [`Tab::click`].
    ///
    /// # Cancel safety
    /// It may have been replaced in part.
    pub async fn fill(
        &self,
        wanted: &Locator,
        value: &str,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let _turn = self.turn(deadline).await?;
        let at = self.locate(wanted, deadline).await?;
        let before = self.before();
        self.ready(at, Needs::FILL, deadline).await?;
        let call = format!("fill({}, {})", at.number, Value::from(value));
        let todo = self.done(at, &call, deadline).await?;
        if let Some(number) = todo.get("click").and_then(Value::as_u64) {
            let number = u32::try_from(number).map_err(|_| at.is_gone())?;
            // What is hidden behind its label is clicked by the label.
            let visible = Ref { number, ..at };
            self.click_at(visible, &Click::default(), deadline).await?;
        } else if todo.get("type").is_some() {
            if value.is_empty() {
                let delete = Key::named("Delete").ok_or_else(|| at.is_gone())?;
                self.strike(&delete, &[], deadline).await?;
            } else {
                self.insert(value, deadline).await?;
            }
        }
        self.settle(before, deadline).await
    }

    /// Types text key by key, at the end Enter when it is to be submitted.
    ///
    /// # Errors
    /// As [`Tab::click`].
    ///
    /// # Cancel safety
    /// Part of it may have been typed; nothing stays pressed.
    pub async fn type_text(
        &self,
        wanted: Option<&Locator>,
        text: &str,
        submit: bool,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let _turn = self.turn(deadline).await?;
        self.focus(wanted, deadline).await?;
        let before = self.before();
        let enter = submit.then_some('\n');
        for char in text.chars().chain(enter) {
            let typed = match Key::of_char(char) {
                Some(key) => self.strike(&key, &[], deadline).await,
                None => self.insert(char.encode_utf8(&mut [0; 4]), deadline).await,
            };
            self.or_left(typed)?;
        }
        self.settle(before, deadline).await
    }

    /// Presses a key or a combination of keys.
    ///
    /// # Errors
    /// As [`Tab::click`]; [`Error::Invalid`] when there is no such key.
    ///
    /// # Cancel safety
    /// It may have been pressed; nothing stays pressed.
    pub async fn press(
        &self,
        wanted: Option<&Locator>,
        keys: &str,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let (held, key) = Key::combination(keys).ok_or_else(|| {
            let why = "is no key: wanted such as \"Enter\", \"a\" or \"Control+A\"";
            Error::Invalid("key", format!("{keys:?} {why}"))
        })?;
        let _turn = self.turn(deadline).await?;
        self.focus(wanted, deadline).await?;
        let before = self.before();
        let pressed = self.strike(&key, &held, deadline).await;
        self.or_left(pressed)?;
        self.settle(before, deadline).await
    }

    async fn focus(&self, wanted: Option<&Locator>, deadline: Deadline) -> Result<(), Error> {
        let Some(wanted) = wanted else {
            return Ok(());
        };
        let at = self.locate(wanted, deadline).await?;
        self.ready(at, Needs::FOCUS, deadline).await?;
        let call = format!("focus({})", at.number);
        self.done(at, &call, deadline).await.map(drop)
    }

    /// Selects options by their values or labels, once they are there.
    ///
    /// # Errors
    /// As [`Tab::click`]; [`Error::NoElement`] for an option that does not come.
    ///
    /// # Cancel safety
    /// They may have been selected.
    pub async fn select(
        &self,
        wanted: &Locator,
        values: &[String],
        deadline: Deadline,
    ) -> Result<(), Error> {
        let _turn = self.turn(deadline).await?;
        let at = self.locate(wanted, deadline).await?;
        let before = self.before();
        self.ready(at, Needs::FOCUS, deadline).await?;
        let call = format!("select({}, {})", at.number, json!(values));
        loop {
            let done = self.done(at, &call, deadline).await?;
            let Some(missing) = done.get("missing").and_then(Value::as_str) else {
                break;
            };
            let has = done.get("has").cloned().unwrap_or_default();
            self.pause(deadline).await.map_err(|_passed| {
                Error::NoElement(format!("{at} has no option {missing:?}; it has {has}"))
            })?;
        }
        self.settle(before, deadline).await
    }

    /// Gives files to a file input.
    ///
    /// # Errors
    /// As [`Tab::click`].
    ///
    /// # Cancel safety
    /// It may have them.
    pub async fn upload(
        &self,
        wanted: &Locator,
        files: &[PathBuf],
        deadline: Deadline,
    ) -> Result<(), Error> {
        let _turn = self.turn(deadline).await?;
        let at = self.locate(wanted, deadline).await?;
        let before = self.before();
        let call = format!("fileInput({})", at.number);
        let input = self.done(at, &call, deadline).await?;
        let is = |name| input.get(name) == Some(&Value::Bool(true));
        let refuse = |why, what: &str| Error::NotActionable {
            why,
            what: format!("{at} {what}"),
        };
        if is("disabled") {
            return Err(refuse(Why::Disabled, "is disabled"));
        }
        if files.len() > 1 && !is("many") {
            return Err(refuse(Why::WrongKind, "takes one file"));
        }
        let number = input.get("number").and_then(Value::as_u64);
        let number = number.and_then(|number| u32::try_from(number).ok());
        let number = number.ok_or_else(|| at.is_gone())?;
        let handle = self.handle(Ref { number, ..at }, deadline).await?;
        let paths = files.iter().map(|path| path.to_string_lossy().into_owned());
        let mut set = SetFileInputFilesParams::new(paths.collect());
        set.object_id = Some(handle.id.clone());
        self.call_in(&handle.session, set, deadline).await?;
        self.settle(before, deadline).await
    }

    /// Brings an element into view, and scrolls it or the page by a distance in CSS pixels.
    ///
    /// # Errors
    /// As [`Tab::click`].
    ///
    /// # Cancel safety
    /// It may have been scrolled.
    pub async fn scroll(
        &self,
        wanted: Option<&Locator>,
        (x, y): (i32, i32),
        deadline: Deadline,
    ) -> Result<(), Error> {
        let _turn = self.turn(deadline).await?;
        let at = match wanted {
            Some(wanted) => self.locate(wanted, deadline).await?,
            None => Ref {
                frame: 0,
                number: 0,
            },
        };
        let before = self.before();
        let call = format!("scrollBy({}, {x}, {y})", at.number);
        self.done(at, &call, deadline).await?;
        self.settle(before, deadline).await
    }

    /// Has the page do something to an element; what is left to do.
    async fn done(&self, at: Ref, call: &str, deadline: Deadline) -> Result<Value, Error> {
        let done = self.ask(at.frame, call, deadline).await?;
        match stands(&done) {
            None => Ok(done),
            Some((Why::Detached, _)) => Err(at.is_gone()),
            Some((why, what)) => Err(Error::NotActionable {
                why,
                what: format!("{at}: {what}"),
            }),
        }
    }
}
