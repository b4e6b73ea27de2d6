//! One sample, and the table of all: a CSV file that is written as it grows and read back whole.

use std::collections::HashMap;

use super::{
    kind::{Fault, Kind},
    stats::whole,
};

/// What is read of the broker at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gauge {
    /// Open file descriptors of the broker.
    Fds,
    /// Resident memory of the broker, in bytes.
    Rss,
    /// Processor time of the broker since the last sample, in percent of one core.
    Cpu,
    /// Memory of all processes below the broker, shared pages counted once, in bytes.
    Pss,
    /// Living processes below the broker.
    Processes,
    /// Browsers that the broker knows.
    Browsers,
    /// Dead children of the broker that it has not reaped.
    Zombies,
    /// How long the oldest of them has been seen since the last sample, in seconds.
    ZombieAge,
    /// Browser contexts open in shared browsers.
    Contexts,
    /// Callers that wait for a browser or a seat.
    Waiting,
    /// Live leases.
    Leases,
    /// HTTP requests under way.
    HttpActive,
    /// Connections of the HTTP client.
    HttpConnections,
    /// Memory of the answers that are kept, in bytes.
    CacheBytes,
    /// Directories of browsers.
    Directories,
    /// What the broker itself says of its open file descriptors.
    FdsSaid,
}

impl Gauge {
    pub(super) const ALL: [Self; 16] = [
        Self::Fds,
        Self::Rss,
        Self::Cpu,
        Self::Pss,
        Self::Processes,
        Self::Browsers,
        Self::Zombies,
        Self::ZombieAge,
        Self::Contexts,
        Self::Waiting,
        Self::Leases,
        Self::HttpActive,
        Self::HttpConnections,
        Self::CacheBytes,
        Self::Directories,
        Self::FdsSaid,
    ];

    /// Its column.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Fds => "fds",
            Self::Rss => "rss_bytes",
            Self::Cpu => "cpu_percent",
            Self::Pss => "pss_bytes",
            Self::Processes => "processes",
            Self::Browsers => "browsers",
            Self::Zombies => "zombies",
            Self::ZombieAge => "zombie_age_s",
            Self::Contexts => "contexts",
            Self::Waiting => "waiting",
            Self::Leases => "leases",
            Self::HttpActive => "http_active",
            Self::HttpConnections => "http_connections",
            Self::CacheBytes => "cache_bytes",
            Self::Directories => "directories",
            Self::FdsSaid => "fds_said",
        }
    }
}

/// How long the calls of one kind took in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Latency {
    /// How many there were.
    pub(super) count: u64,
    /// In milliseconds.
    pub(super) p50: f64,
    /// In milliseconds.
    pub(super) p95: f64,
    /// In milliseconds.
    pub(super) p99: f64,
}

/// One row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sample {
    /// Which part of the run: 1, and one more for each time it was resumed.
    pub(super) part: u64,
    /// When, in milliseconds since the Unix epoch.
    pub(super) unix_ms: u64,
    /// Seconds of load in all parts so far.
    pub(super) elapsed: f64,
    /// By [`Gauge`]; `None` for what could not be read.
    pub(super) gauges: [Option<f64>; Gauge::ALL.len()],
    /// Work done since the last sample, failed or not.
    pub(super) work: u64,
    /// Work that failed and that no injected fault explains.
    pub(super) errors: u64,
    /// Work that failed as its browser had been killed by us.
    pub(super) explained: u64,
    /// Faults injected, by [`Fault`].
    pub(super) faults: [u64; Fault::ALL.len()],
    /// Faults that did not lead to what they must.
    pub(super) surprises: u64,
    /// By [`Kind`].
    pub(super) latency: [Latency; Kind::ALL.len()],
}

/// The file cannot be read as samples.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// A column that must be there is not.
    #[error("line 1: there is no column {0}")]
    Column(&'static str),
    /// A cell is no number.
    #[error("line {line}: {cell:?} is no number")]
    Cell { line: usize, cell: String },
    /// A row has too few or too many cells.
    #[error("line {line}: {found} cells, wanted {wanted}")]
    Width {
        line: usize,
        found: usize,
        wanted: usize,
    },
}

impl Sample {
    pub(super) const fn gauge(&self, gauge: Gauge) -> Option<f64> {
        self.gauges[gauge as usize]
    }

    pub(super) const fn set(&mut self, gauge: Gauge, value: Option<f64>) {
        self.gauges[gauge as usize] = value;
    }

    pub(super) const fn latency(&self, kind: Kind) -> Latency {
        self.latency[kind as usize]
    }

    /// Every cell with its column.
    fn cells(&self) -> Vec<(String, Option<f64>)> {
        let mut cells: Vec<(String, Option<f64>)> = vec![
            ("part".into(), Some(whole(self.part))),
            ("unix_ms".into(), Some(whole(self.unix_ms))),
            ("elapsed_s".into(), Some(self.elapsed)),
        ];
        cells.extend(Gauge::ALL.map(|gauge| (gauge.name().into(), self.gauge(gauge))));
        cells.extend([
            ("work".into(), Some(whole(self.work))),
            ("errors".into(), Some(whole(self.errors))),
            ("explained".into(), Some(whole(self.explained))),
            ("surprises".into(), Some(whole(self.surprises))),
        ]);
        for fault in Fault::ALL {
            let count = whole(self.faults[fault as usize]);
            cells.push((format!("fault_{}", fault.name()), Some(count)));
        }
        for kind in Kind::ALL {
            let seen = self.latency(kind);
            let some = |value| (seen.count > 0).then_some(value);
            let name = kind.name();
            cells.extend([
                (format!("{name}_count"), Some(whole(seen.count))),
                (format!("{name}_p50_ms"), some(seen.p50)),
                (format!("{name}_p95_ms"), some(seen.p95)),
                (format!("{name}_p99_ms"), some(seen.p99)),
            ]);
        }
        cells
    }

    /// The first line of the file.
    pub(super) fn header() -> String {
        let names: Vec<_> = Self::default().cells().into_iter().map(|c| c.0).collect();
        names.join(",") + "\n"
    }

    /// Its line.
    pub(super) fn line(&self) -> String {
        let cells = self.cells().into_iter();
        let text = cells.map(|(_, value)| value.map_or_else(String::new, number));
        text.collect::<Vec<_>>().join(",") + "\n"
    }

    fn from_cells(cell: impl Fn(&str) -> Option<f64>) -> Self {
        let count = |name: &str| cell(name).map_or(0, natural);
        let millis = |name: &str, which: &str| cell(&format!("{name}_{which}_ms"));
        Self {
            part: count("part"),
            unix_ms: count("unix_ms"),
            elapsed: cell("elapsed_s").unwrap_or_default(),
            gauges: Gauge::ALL.map(|gauge| cell(gauge.name())),
            work: count("work"),
            errors: count("errors"),
            explained: count("explained"),
            surprises: count("surprises"),
            faults: Fault::ALL.map(|fault| count(&format!("fault_{}", fault.name()))),
            latency: Kind::ALL.map(|kind| Latency {
                count: count(&format!("{}_count", kind.name())),
                p50: millis(kind.name(), "p50").unwrap_or_default(),
                p95: millis(kind.name(), "p95").unwrap_or_default(),
                p99: millis(kind.name(), "p99").unwrap_or_default(),
            }),
        }
    }
}

/// Reads a whole file. A last line without its end was being written when the run was killed, and
/// is left out. Columns may come in any order, and those that are not known are passed over.
pub(super) fn read(text: &str) -> Result<Vec<Sample>, Error> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut lines = whole.lines();
    let columns: Vec<_> = lines.next().unwrap_or_default().split(',').collect();
    for name in ["part", "unix_ms", "elapsed_s"] {
        if !columns.contains(&name) {
            return Err(Error::Column(name));
        }
    }
    let row = |(at, line): (usize, &str)| {
        let cells: Vec<_> = line.split(',').collect();
        let line = at + 2;
        if cells.len() != columns.len() {
            let (found, wanted) = (cells.len(), columns.len());
            return Err(Error::Width {
                line,
                found,
                wanted,
            });
        }
        let mut row = HashMap::new();
        for (name, cell) in columns.iter().zip(cells) {
            if cell.is_empty() {
                continue;
            }
            let value: f64 = cell
                .parse()
                .ok()
                .filter(|value: &f64| value.is_finite())
                .ok_or_else(|| {
                    let cell = cell.to_owned();
                    Error::Cell { line, cell }
                })?;
            row.insert(*name, value);
        }
        Ok(Sample::from_cells(|name| row.get(name).copied()))
    };
    lines.enumerate().map(row).collect()
}

/// Whole numbers as such, others with three places.
fn number(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count that was written as one; below 0 it becomes 0"
)]
fn natural(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(part: u64, fds: Option<f64>) -> Sample {
        let mut sample = Sample {
            part,
            unix_ms: 1_700_000_000_123,
            elapsed: 12.5,
            work: 42,
            ..Sample::default()
        };
        sample.set(Gauge::Fds, fds);
        sample.faults[Fault::Hang as usize] = 3;
        sample.latency[Kind::Many as usize] = Latency {
            count: 2,
            p50: 10.25,
            p95: 20.0,
            p99: 21.125,
        };
        sample
    }

    #[test]
    fn what_is_written_is_read() {
        let rows = [sample(1, Some(20.0)), sample(2, None)];
        let text: String = Sample::header() + &rows.each_ref().map(Sample::line).concat();
        assert_eq!(read(&text).unwrap(), rows);
        let columns = Sample::header();
        for column in ["fds", "http_p95_ms", "fault_kill_client", "errors"] {
            assert!(
                columns.trim().split(',').any(|name| name == column),
                "{column}"
            );
        }
    }

    #[test]
    fn a_line_cut_by_a_kill_is_left_out() {
        let text = Sample::header() + &sample(1, None).line() + &sample(1, None).line();
        let cut = &text[..text.len() - 7];
        assert_eq!(read(cut).unwrap().len(), 1);
        assert_eq!(read(&Sample::header()).unwrap(), []);
    }

    #[test]
    fn what_is_no_table_of_samples_is_named() {
        assert_eq!(read(""), Err(Error::Column("part")));
        assert_eq!(read("a,b\n1,2\n"), Err(Error::Column("part")));
        let head = "part,unix_ms,elapsed_s\n";
        let wide = Error::Width {
            line: 3,
            found: 2,
            wanted: 3,
        };
        assert_eq!(read(&format!("{head}1,2,3\n1,2\n")), Err(wide));
        for bad in ["many", "NaN", "inf"] {
            let wrong = Error::Cell {
                line: 2,
                cell: bad.into(),
            };
            assert_eq!(read(&format!("{head}1,{bad},3\n")), Err(wrong));
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "[a-z0-9_,.\n-]{0,200}") {
            let _any = read(&text);
            let _any = read(&format!("part,unix_ms,elapsed_s\n{text}"));
        }
    }
}
