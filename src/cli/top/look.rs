//! What things look like. No meaning is in a colour alone.

use ratatui::style::{Color, Modifier, Style};

use crate::proto::{BrowserState, HealthStatus};

/// Whether there are colours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    color: bool,
}

impl Look {
    pub(super) const fn new(color: bool) -> Self {
        Self { color }
    }

    /// As `NO_COLOR` has it (no-color.org): any value but an empty one takes the colours away.
    pub(super) fn of_environment() -> Self {
        let no = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self::new(!no)
    }

    fn colored(self, color: Color) -> Style {
        if self.color {
            Style::new().fg(color)
        } else {
            Style::new()
        }
    }

    pub(super) const fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) const fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) fn good(self) -> Style {
        self.colored(Color::Green)
    }

    pub(super) fn fair(self) -> Style {
        self.colored(Color::Yellow).patch(self.strong())
    }

    pub(super) fn bad(self) -> Style {
        self.colored(Color::Red).patch(self.strong())
    }

    /// A line that has to be read.
    pub(super) fn alarm(self) -> Style {
        self.bad().add_modifier(Modifier::REVERSED)
    }

    pub(super) fn bars(self) -> Style {
        self.colored(Color::Cyan)
    }

    /// The selected row, in the list that the keys move in or in the other.
    pub(super) fn selected(self, focused: bool) -> Style {
        if focused {
            self.strong().add_modifier(Modifier::REVERSED)
        } else {
            self.strong()
        }
    }

    pub(super) fn browser(self, state: BrowserState) -> Style {
        match state {
            BrowserState::Leased => self.colored(Color::Cyan),
            BrowserState::Shared => self.colored(Color::Blue),
            BrowserState::Idle => self.colored(Color::Green),
            BrowserState::Starting => self.colored(Color::Yellow),
            BrowserState::Retiring => self.colored(Color::Magenta),
            BrowserState::Unspecified => Style::new(),
        }
    }

    pub(super) fn health(self, health: HealthStatus) -> Style {
        match health {
            HealthStatus::Healthy => self.good(),
            HealthStatus::Degraded => self.fair(),
            HealthStatus::Unhealthy => self.bad(),
            HealthStatus::Unspecified => self.faint(),
        }
    }
}
