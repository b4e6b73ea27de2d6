//! The mouse and the keyboard.

use chromiumoxide::cdp::browser_protocol::input::{
    DispatchKeyEventParams, DispatchKeyEventType, DispatchMouseEventParams, DispatchMouseEventType,
    InsertTextParams, MouseButton,
};

use super::{Error, Tab, element::Point, key::Key};
use crate::deadline::Deadline;

/// A button of the mouse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Button {
    /// The left one.
    #[default]
    Left,
    /// The right one.
    Right,
    /// The one in the middle.
    Middle,
}

/// A key that is held while something else is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modifier {
    /// Alt.
    Alt,
    /// Control.
    Control,
    /// Meta.
    Meta,
    /// Shift.
    Shift,
}

impl Modifier {
    /// Its bit in CDP's `modifiers`.
    pub(super) const fn bit(self) -> i64 {
        match self {
            Self::Alt => 1,
            Self::Control => 2,
            Self::Meta => 4,
            Self::Shift => 8,
        }
    }
}

pub(super) fn bits(modifiers: &[Modifier]) -> i64 {
    modifiers.iter().fold(0, |bits, one| bits | one.bit())
}

impl Button {
    const fn cdp(self) -> MouseButton {
        match self {
            Self::Left => MouseButton::Left,
            Self::Right => MouseButton::Right,
            Self::Middle => MouseButton::Middle,
        }
    }

    /// Its bit in CDP's `buttons`.
    const fn bit(self) -> i64 {
        match self {
            Self::Left => 1,
            Self::Right => 2,
            Self::Middle => 4,
        }
    }
}

/// What is pressed. It is let go when this is dropped, whatever became of the call.
#[derive(Debug)]
pub(super) struct Pressed<'a> {
    tab: &'a Tab,
    /// What lets it go; `None` once it was.
    up: Option<Up>,
}

#[derive(Clone, Debug)]
enum Up {
    Button(DispatchMouseEventParams),
    Key(DispatchKeyEventParams),
}

impl Pressed<'_> {
    /// Lets it go and waits until the page has heard of it.
    pub(super) async fn release(mut self, deadline: Deadline) -> Result<(), Error> {
        match self.up.clone() {
            Some(Up::Button(up)) => self.tab.call(up, deadline).await.map(drop)?,
            Some(Up::Key(up)) => self.tab.call(up, deadline).await.map(drop)?,
            None => {}
        }
        self.up = None;
        Ok(())
    }

    /// A button is let go where the mouse is.
    pub(super) const fn moved(&mut self, to: Point) {
        if let Some(Up::Button(up)) = &mut self.up {
            (up.x, up.y) = (to.x, to.y);
        }
    }
}

impl Drop for Pressed<'_> {
    fn drop(&mut self) {
        let (cdp, session) = (&self.tab.shared.cdp, self.tab.main_session());
        // A page that is gone has no keys.
        let _ = match &self.up {
            Some(Up::Button(up)) => cdp.tell(session, up),
            Some(Up::Key(up)) => cdp.tell(session, up),
            None => Ok(()),
        };
    }
}

impl Tab {
    /// Moves the mouse, with `held` buttons pressed.
    pub(super) async fn move_mouse(
        &self,
        to: Point,
        held: Option<Button>,
        modifiers: i64,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let kind = DispatchMouseEventType::MouseMoved;
        let mut moved = DispatchMouseEventParams::new(kind, to.x, to.y);
        moved.modifiers = Some(modifiers);
        moved.button = held.map(Button::cdp);
        moved.buttons = held.map(Button::bit);
        self.call(moved, deadline).await.map(drop)
    }

    /// Presses a button where the mouse is.
    pub(super) async fn press_button(
        &self,
        at: Point,
        button: Button,
        count: u32,
        modifiers: i64,
        deadline: Deadline,
    ) -> Result<Pressed<'_>, Error> {
        let event = |kind, buttons| {
            let mut event = DispatchMouseEventParams::new(kind, at.x, at.y);
            event.button = Some(button.cdp());
            event.buttons = Some(buttons);
            event.click_count = Some(i64::from(count));
            event.modifiers = Some(modifiers);
            event
        };
        let up = event(DispatchMouseEventType::MouseReleased, 0);
        let pressed = Pressed {
            tab: self,
            up: Some(Up::Button(up)),
        };
        let down = event(DispatchMouseEventType::MousePressed, button.bit());
        self.call(down, deadline).await?;
        Ok(pressed)
    }

    /// Presses a key, and lets it go.
    pub(super) async fn strike(
        &self,
        key: &Key,
        modifiers: &[Modifier],
        deadline: Deadline,
    ) -> Result<(), Error> {
        let mut held = Vec::new();
        let mut bits = 0;
        for modifier in modifiers {
            bits |= modifier.bit();
            let key = Key::of_modifier(*modifier);
            held.push(self.hold(&key, bits, deadline).await?);
        }
        let pressed = self.hold(key, bits, deadline).await?;
        pressed.release(deadline).await?;
        while let Some(modifier) = held.pop() {
            modifier.release(deadline).await?;
        }
        Ok(())
    }

    async fn hold(
        &self,
        key: &Key,
        modifiers: i64,
        deadline: Deadline,
    ) -> Result<Pressed<'_>, Error> {
        let text = key.text(modifiers);
        let event = |kind| {
            let mut event = DispatchKeyEventParams::new(kind);
            event.modifiers = Some(modifiers);
            event.key = Some(key.name.clone());
            event.code = Some(key.code.clone());
            event.windows_virtual_key_code = Some(key.number);
            event
        };
        let pressed = Pressed {
            tab: self,
            up: Some(Up::Key(event(DispatchKeyEventType::KeyUp))),
        };
        let mut down = event(if text.is_some() {
            DispatchKeyEventType::KeyDown
        } else {
            DispatchKeyEventType::RawKeyDown
        });
        down.text.clone_from(&text);
        down.unmodified_text = text;
        down.commands = key.command(modifiers).map(|command| vec![command.into()]);
        self.call(down, deadline).await?;
        Ok(pressed)
    }

    /// Writes text where the caret is, as an input method would.
    pub(super) async fn insert(&self, text: &str, deadline: Deadline) -> Result<(), Error> {
        let insert = InsertTextParams::new(text);
        self.call(insert, deadline).await.map(drop)
    }
}
