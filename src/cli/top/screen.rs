//! The terminal while it is ours.

use std::io;

use ratatui::{DefaultTerminal, Frame};

/// The terminal, in raw mode and on its second screen, until this is dropped. A panic gives it back
/// as well, before it says anything.
#[derive(Debug)]
pub(super) struct Screen(DefaultTerminal);

impl Screen {
    /// # Errors
    /// When there is no terminal, or it refuses.
    pub(super) fn open() -> io::Result<Self> {
        let opened = ratatui::try_init();
        if opened.is_err() {
            give_back();
        }
        opened.map(Self)
    }

    /// Draws a frame, of which only what changed is sent.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.0.draw(draw).map(|_frame| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = self.0.show_cursor();
        give_back();
    }
}

fn give_back() {
    let _ = ratatui::try_restore();
}
