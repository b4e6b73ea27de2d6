//! Logs: one line an event on standard error, readable on a terminal and JSON elsewhere.
//!
//! What goes in are stable event names with fields. Bearer secrets have no way in: their types
//! show themselves redacted.

use std::{
    env, fmt,
    io::{IsTerminal, stderr},
    str::FromStr,
};

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::{
    EnvFilter, filter::LevelFilter, filter::ParseError, layer::SubscriberExt,
    util::SubscriberInitExt, util::TryInitError,
};

/// Crates that say more than anyone asked for, and up to which level they are heard.
///
/// chromiumoxide reports each protocol message newer than itself, and each browser that Berth ends
/// on purpose; Berth sees both itself and says what it makes of them.
const QUIET: [(&str, LevelFilter); 8] = [
    ("chromiumoxide", LevelFilter::WARN),
    ("chromiumoxide::conn", LevelFilter::OFF),
    ("chromiumoxide::handler", LevelFilter::OFF),
    ("h2", LevelFilter::INFO),
    ("hyper_util", LevelFilter::INFO),
    ("rustls", LevelFilter::INFO),
    ("tonic", LevelFilter::INFO),
    ("tower", LevelFilter::INFO),
];

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Readable on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// Why logging does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is not one.
    #[error("not a log filter")]
    Filter(#[from] ParseError),
    /// The process logs already.
    #[error("logging was set up before")]
    Twice(#[from] TryInitError),
}

/// Not the name of a log format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a log format")]
pub struct UnknownFormat;

/// Writes what is still to be written when dropped, for at most a second.
#[derive(Debug)]
#[must_use = "the last lines are lost without it"]
pub struct Logging {
    _writer: WorkerGuard,
}

/// Starts logging for the whole process: `filter` is a level or a list of directives such as
/// `info,berth=debug`. Lines are written by a thread of their own: a reader of the log that stalls
/// loses lines, and stops nothing.
///
/// # Errors
/// [`Error::Filter`] when `filter` is not one, [`Error::Twice`] when the process logs already.
pub fn init(filter: &str, format: Format) -> Result<Logging, Error> {
    let terminal = stderr().is_terminal();
    let json = match format {
        Format::Auto => !terminal,
        Format::Json => true,
        Format::Pretty => false,
    };
    let registry = tracing_subscriber::registry().with(parse_filter(filter)?);
    let (writer, guard) = tracing_appender::non_blocking(stderr());
    if json {
        let layer = tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_writer(writer);
        registry.with(layer).try_init()?;
    } else {
        // https://no-color.org: set and not empty means none.
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let layer = tracing_subscriber::fmt::layer()
            .compact()
            .with_ansi(terminal && !plain)
            .with_writer(writer);
        registry.with(layer).try_init()?;
    }
    Ok(Logging { _writer: guard })
}

/// Whether `filter` is one that [`init`] takes.
///
/// # Errors
/// [`Error::Filter`] when it is not.
pub fn check_filter(filter: &str) -> Result<(), Error> {
    parse_filter(filter)?;
    Ok(())
}

fn parse_filter(filter: &str) -> Result<EnvFilter, ParseError> {
    let general = filter
        .split(',')
        .filter_map(|directive| directive.trim().parse::<LevelFilter>().ok())
        .next_back()
        .unwrap_or(LevelFilter::ERROR);
    // Never louder than all the rest; and what the setting says of one of them comes later, so
    // it wins.
    let quiet = QUIET.map(|(target, level)| format!("{target}={}", level.min(general)));
    EnvFilter::builder().parse(format!("{},{filter}", quiet.join(",")))
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err(UnknownFormat),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Json => "json",
            Self::Pretty => "pretty",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directives(filter: &str) -> String {
        parse_filter(filter).unwrap().to_string()
    }

    #[test]
    fn noisy_crates_stay_quiet_unless_asked_for() {
        let info = directives("info");
        assert!(info.contains("chromiumoxide::handler=off"), "{info}");
        assert!(
            info.split(',').any(|directive| directive == "info"),
            "{info}"
        );

        let debug = directives("debug");
        assert!(debug.contains("h2=info"), "{debug}");

        let asked = directives("info,h2=trace");
        assert!(asked.contains("h2=trace"), "{asked}");
        assert!(!asked.contains("h2=info"), "{asked}");
    }

    #[test]
    fn a_quiet_setting_is_not_made_louder() {
        let error = directives("error");
        assert!(
            !error.contains("info") && !error.contains("warn"),
            "{error}"
        );
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(check_filter("berth=debug,info").is_ok());
        assert!(matches!(check_filter("berth=loud"), Err(Error::Filter(_))));
        assert_eq!("xml".parse::<Format>(), Err(UnknownFormat));
        for format in [Format::Auto, Format::Json, Format::Pretty] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
    }

    #[test]
    fn logging_starts_once() {
        assert!(init("info", Format::Auto).is_ok());
        assert!(matches!(init("info", Format::Auto), Err(Error::Twice(_))));
    }
}
