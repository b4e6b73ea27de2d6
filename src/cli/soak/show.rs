//! The progress of a run: a line that moves on a terminal, plain lines elsewhere.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::{
    sample::{Gauge, Sample},
    tally::Totals,
};

/// Says how far a run is.
#[derive(Debug)]
pub(super) struct Show {
    bar: Option<ProgressBar>,
    planned: f64,
    said: Option<Instant>,
}

impl Show {
    pub(super) fn new(planned: f64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(1000);
            if let Ok(style) = ProgressStyle::with_template("{bar:24} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            planned,
            said: None,
        }
    }

    /// How long between two plain lines: some sixty in a run.
    fn every(&self) -> Duration {
        Duration::from_secs_f64((self.planned / 60.0).clamp(10.0, 600.0))
    }

    /// Says where the run is; plain lines come only now and then.
    pub(super) fn progress(&mut self, elapsed: f64, totals: &Totals, last: &Sample) {
        let line = line(elapsed, self.planned, totals, last);
        let due = self.said.is_none_or(|said| said.elapsed() >= self.every());
        if let Some(bar) = &self.bar {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and 1000"
            )]
            let permille = (1000.0 * (elapsed / self.planned).clamp(0.0, 1.0)) as u64;
            bar.set_position(permille);
            bar.set_message(line);
        } else if due {
            self.said = Some(Instant::now());
            write(&line);
        }
    }

    /// Says something that stays.
    pub(super) fn say(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| write(what)),
            None => write(what),
        }
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn write(line: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A time for people, in whole seconds.
pub(super) fn time(seconds: f64) -> String {
    humantime::format_duration(Duration::from_secs_f64(seconds.max(0.0).round())).to_string()
}

fn line(elapsed: f64, planned: f64, totals: &Totals, last: &Sample) -> String {
    let gauge = |gauge| last.gauge(gauge).unwrap_or_default();
    format!(
        "{} left; {} calls, {} errors, {} faults; {:.0} fds, {:.1} MiB, {:.0} browsers",
        time(planned - elapsed),
        totals.work,
        totals.errors + totals.surprises,
        totals.injected(),
        gauge(Gauge::Fds),
        gauge(Gauge::Rss) / f64::from(1 << 20),
        gauge(Gauge::Browsers),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_left() {
        let mut last = Sample::default();
        last.set(Gauge::Fds, Some(41.0));
        let line = line(30.4, 600.0, &Totals::default(), &last);
        assert!(line.starts_with("9m 30s left; 0 calls"), "{line}");
        assert!(line.contains("41 fds"), "{line}");
        assert_eq!(time(-3.0), "0s");
    }
}
