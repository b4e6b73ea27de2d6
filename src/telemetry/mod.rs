//! Logs, and traces when there is somewhere to send them.
//!
//! Logs are one line an event on standard error, readable on a terminal and JSON elsewhere. What
//! goes in are stable event names with fields. Bearer secrets have no way in: their types show
//! themselves redacted, and crates that know none of that are heard up to `info`.

mod filter;
mod level;
mod seldom;
mod traces;

use std::{
    env, fmt,
    io::{IsTerminal, stderr},
    str::FromStr,
};

use tracing::Level as Severity;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, ParseError, Targets},
    layer::SubscriberExt,
    reload,
    util::{SubscriberInitExt, TryInitError},
};

pub use level::Level;
pub use seldom::Seldom;
pub use traces::{Traces, answered, call};

/// The target of spans that are for traces alone: the log does not see them, so that each of its
/// lines has the span of its call. Without traces they cost nothing.
pub const SPANS: &str = "otel";

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
    /// The filter is longer than 1024 bytes.
    #[error("a log filter has at most 1024 bytes")]
    TooLong,
    /// Traces cannot be sent there.
    #[error("cannot send traces: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
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
    controls: Controls,
}

/// What a running broker can do about its own logs and traces. The default is for a broker inside
/// of a program that has its own: nothing.
#[derive(Clone, Debug, Default)]
pub struct Controls {
    /// The log level.
    pub level: Option<Level>,
    /// Where spans go.
    pub traces: Option<Traces>,
}

impl Logging {
    /// What can be done about it while the process runs.
    #[must_use]
    pub fn controls(&self) -> Controls {
        self.controls.clone()
    }
}

/// Starts logging for the whole process, and tracing when there are `traces`: `filter` is a level
/// or a list of directives such as `info,berth=debug`. Lines are written by a thread of their own:
/// a reader of the log that stalls loses lines, and stops nothing.
///
/// # Errors
/// [`Error::Filter`] when `filter` is not one, [`Error::Twice`] when the process logs already.
pub fn init(filter: &str, format: Format, traces: Option<Traces>) -> Result<Logging, Error> {
    let terminal = stderr().is_terminal();
    let json = match format {
        Format::Auto => !terminal,
        Format::Json => true,
        Format::Pretty => false,
    };
    let (heard, handle) = reload::Layer::new(filter::parse(filter)?);
    let (writer, guard) = tracing_appender::non_blocking(stderr());
    let lines = if json {
        tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_writer(writer)
            .boxed()
    } else {
        // https://no-color.org: set and not empty means none.
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        tracing_subscriber::fmt::layer()
            .compact()
            .with_ansi(terminal && !plain)
            .with_writer(writer)
            .boxed()
    };
    let spans = traces.as_ref().map(|traces| {
        tracing_opentelemetry::layer()
            .with_tracer(traces.tracer())
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(
                Targets::new()
                    .with_target("berth", Severity::INFO)
                    // Its span is the log's; that of the trace is inside of it.
                    .with_target("berth::rpc::observe", LevelFilter::OFF)
                    .with_target(SPANS, Severity::INFO),
            )
    });
    tracing_subscriber::registry()
        .with(lines.with_filter(heard))
        .with(spans)
        .try_init()?;
    Ok(Logging {
        _writer: guard,
        controls: Controls {
            level: Some(Level::new(filter, handle)),
            traces,
        },
    })
}

/// Whether `filter` is one that [`init`] takes.
///
/// # Errors
/// [`Error::Filter`] or [`Error::TooLong`] when it is not.
pub fn check_filter(filter: &str) -> Result<(), Error> {
    if filter::too_long(filter) {
        return Err(Error::TooLong);
    }
    filter::parse(filter)?;
    Ok(())
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
        assert!(init("info", Format::Auto, None).is_ok());
        assert!(matches!(
            init("info", Format::Auto, None),
            Err(Error::Twice(_))
        ));
    }
}
