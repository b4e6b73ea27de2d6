//! The terminal while it is ours.

use std::{
    cell::Cell,
    io::{self, Stdout, stdout},
    panic,
    sync::Once,
};

use crossterm::{
    cursor::Show,
    execute,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use parking_lot::ReentrantMutex;
use ratatui::{Frame, Terminal, backend::CrosstermBackend};

/// Whether the terminal is ours. Held while we draw, so that nobody gives it back under our hands;
/// reentrant, because drawing itself may panic.
static OURS: ReentrantMutex<Cell<bool>> = ReentrantMutex::new(Cell::new(false));

/// The terminal, in raw mode and on its second screen, until this is dropped. A panic, of whatever
/// task, gives it back as well, before it says anything.
#[derive(Debug)]
pub(super) struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    /// # Errors
    /// When there is no terminal, or it refuses.
    pub(super) fn open() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let say = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                give_back();
                say(info);
            }));
        });
        OURS.lock().set(true);
        let opened = enable_raw_mode()
            .and_then(|()| execute!(stdout(), EnterAlternateScreen))
            .and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        if opened.is_err() {
            give_back();
        }
        opened.map(Self)
    }

    /// Draws a frame, of which only what changed is sent.
    ///
    /// # Errors
    /// When the terminal is gone, or was given back because something panicked.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        let ours = OURS.lock();
        if !ours.get() {
            return Err(io::Error::other("a part of it has panicked"));
        }
        self.0.draw(draw).map(|_frame| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Once only: what leaves the second screen also puts the cursor where it was before, and so upon
/// what was said since.
fn give_back() {
    let ours = OURS.lock();
    if ours.replace(false) {
        // A terminal that is gone needs nothing back.
        let _ = disable_raw_mode();
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    }
}

#[cfg(test)]
mod tests {
    use std::{os::fd::AsFd, time::Duration};

    use nix::sys::termios::{LocalFlags, tcgetattr};
    use tokio::{io::AsyncReadExt, time::timeout};

    use super::*;

    /// Set for the process that panics, with where it does.
    const WHERE: &str = "BERTH_TEST_PANICS_IN";
    const BOUND: Duration = Duration::from_secs(30);

    /// What panics: a process of its own, because a panic hook is the process's.
    #[test]
    fn on_a_terminal_of_its_own() {
        let Ok(place) = std::env::var(WHERE) else {
            return;
        };
        let mut screen = Screen::open().unwrap();
        screen
            .draw(|frame| frame.render_widget("drawn", frame.area()))
            .unwrap();
        if place == "drawing" {
            screen.draw(|_frame| panic!("on purpose")).unwrap();
        }
        let task = std::thread::Builder::new().spawn(|| panic!("on purpose"));
        assert!(task.unwrap().join().is_err());
        let refused = screen.draw(|_frame| ()).unwrap_err();
        drop(screen);
        assert_eq!(refused.to_string(), "a part of it has panicked");
        println!("nothing is drawn any more");
    }

    #[tokio::test]
    async fn a_panic_gives_the_terminal_back_before_it_speaks() {
        for (place, code) in [("drawing", 101), ("a task", 0)] {
            let (mut pty, pts) = pty_process::open().unwrap();
            pty.resize(pty_process::Size::new(24, 100)).unwrap();
            let name = "cli::top::screen::tests::on_a_terminal_of_its_own";
            let mut child = pty_process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", name, "--nocapture", "--test-threads=1"])
                .env(WHERE, place)
                .env("TERM", "xterm-256color")
                .kill_on_drop(true)
                .spawn(pts)
                .unwrap();
            let mut shown = Vec::new();
            // The other end closes when the process ends, which is an error on Linux.
            let read = timeout(BOUND, pty.read_to_end(&mut shown)).await;
            let _closed = read.expect("it ends");
            let status = timeout(BOUND, child.wait()).await.unwrap().unwrap();
            let shown = String::from_utf8_lossy(&shown).into_owned();
            assert_eq!(status.code(), Some(code), "{shown:?}");
            let at = |what: &str| {
                let found = shown.find(what);
                found.unwrap_or_else(|| panic!("{what:?} in {shown:?}"))
            };
            let said = at("on purpose");
            assert!(at("\u{1b}[?1049h") < at("drawn") && at("drawn") < said);
            assert!(
                at("\u{1b}[?25l") < at("\u{1b}[?25h"),
                "the cursor was hidden"
            );
            assert!(at("\u{1b}[?25h") < said, "and is back");
            assert!(at("\u{1b}[?1049l") < said, "the second screen is left");
            let left = shown.matches("\u{1b}[?1049l").count();
            assert_eq!(left, 1, "a second time the cursor would go back: {shown:?}");
            // In raw mode a line feed comes as it was written.
            let after = &shown[said..];
            assert!(after.starts_with("on purpose\r\n"), "{after:?}");
            let flags = tcgetattr(pty.as_fd()).unwrap().local_flags;
            assert!(flags.contains(LocalFlags::ECHO | LocalFlags::ICANON));
        }
    }
}
