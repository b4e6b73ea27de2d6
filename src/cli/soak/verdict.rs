//! The criteria of a run, each with its verdict.
//!
//! A trend *passes* when the whole 95 % interval of its growth over the run is within what is
//! allowed, and *fails* when the whole interval is beyond. What is between, or rests on too little, is
//! inconclusive: neither. To fail on the best estimate alone would be to fail by chance: there are
//! eight trends in every run.

use super::{
    growth::{Growth, of_gauge, of_p95},
    kind::Kind,
    record::{Ended, Record},
    sample::{Gauge, Sample},
    stats::{rate_at_most, whole},
    tally::Totals,
};

/// What is said of a criterion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// The run is too short, or its noise too loud, to tell.
    Inconclusive,
    /// It was not looked at.
    Skipped,
}

impl Verdict {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::Skipped => "not measured",
        }
    }
}

/// One criterion.
#[derive(Clone, Debug)]
pub(super) struct Criterion {
    /// What is wanted.
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    /// What was found, in one line.
    pub(super) found: String,
    /// More of it.
    pub(super) details: Vec<String>,
}

/// Longest that a dead child may stay, in seconds.
const ZOMBIE_LIMIT: f64 = 5.0;
/// Longest that the broker may take from SIGTERM to its exit, in seconds.
const SHUTDOWN_LIMIT: f64 = 10.0;
/// The rate of errors that is not reached.
const ERROR_LIMIT: f64 = 0.01;
/// Growth that is allowed to memory and latency, in percent.
const GROWTH_LIMIT: f64 = 10.0;
/// Growth that is allowed to descriptors, in percent, and how many in any case: connections come
/// and go.
const FDS_LIMIT: (f64, f64) = (5.0, 5.0);
/// Descriptors have no long warm-up; memory and latency do. How long to look after it, in seconds.
const FDS_SPAN: f64 = 60.0;
const LONG_SPAN: f64 = 240.0;
/// Fewer points than that make no trend.
const POINTS: usize = 10;

/// Judges a run by its samples and, where there is one, its record.
pub(super) fn judge(samples: &[Sample], record: Option<&Record>) -> Vec<Criterion> {
    let totals = Totals::of(samples);
    vec![
        fds(samples),
        memory(samples),
        errors(&totals),
        faults(&totals),
        latency(samples),
        crash(record),
        zombies(samples),
        baseline(record),
        shutdown(record),
    ]
}

/// Whether none fails; with `strict`, whether none is inconclusive either.
pub(super) fn holds(criteria: &[Criterion], strict: bool) -> bool {
    criteria.iter().all(|one| match one.verdict {
        Verdict::Pass | Verdict::Skipped => true,
        Verdict::Inconclusive => !strict,
        Verdict::Fail => false,
    })
}

/// What `allowed`, in the growth's own unit, makes of it.
fn of_growth(growth: &Growth, allowed: f64, span: f64) -> Verdict {
    if growth.span < span || growth.trend.points < POINTS {
        Verdict::Inconclusive
    } else if growth.high() < allowed {
        Verdict::Pass
    } else if growth.low() >= allowed {
        Verdict::Fail
    } else {
        Verdict::Inconclusive
    }
}

/// Why a growth is not judged, or how sure it is.
fn certainty(growth: &Growth, span: f64) -> String {
    let points = growth.trend.points;
    if growth.span < span {
        let seen = growth.span;
        return format!(
            "too short to tell: {seen:.0} s after the warm-up, at least {span:.0} s are needed"
        );
    }
    if points < POINTS {
        return format!("too few to tell: {points} points, at least {POINTS} are needed");
    }
    let p = growth.trend.p;
    format!("{points} blocks of samples; Mann-Kendall p = {p:.3}")
}

fn not_read(name: &'static str) -> Criterion {
    Criterion {
        name,
        verdict: Verdict::Skipped,
        found: "not read, or not often enough".into(),
        details: Vec::new(),
    }
}

fn fds(samples: &[Sample]) -> Criterion {
    let name = "file descriptors do not grow";
    let Some(growth) = of_gauge(samples, Gauge::Fds) else {
        return not_read(name);
    };
    let (percent, floor) = FDS_LIMIT;
    let allowed = (growth.trend.start * percent / 100.0).max(floor);
    let hourly = growth.trend.slope * 3600.0;
    Criterion {
        name,
        verdict: of_growth(&growth, allowed, FDS_SPAN),
        found: format!(
            "{:+.1} over the run (95 %: {:+.1} to {:+.1}), allowed {allowed:.0}",
            growth.estimate(),
            growth.low(),
            growth.high(),
        ),
        details: vec![
            format!("from {:.0}, {hourly:+.2} an hour", growth.trend.start),
            certainty(&growth, FDS_SPAN),
        ],
    }
}

fn memory(samples: &[Sample]) -> Criterion {
    let name = "resident memory grows by less than 10 %";
    let Some(growth) = of_gauge(samples, Gauge::Rss) else {
        return not_read(name);
    };
    let allowed = growth.trend.start * GROWTH_LIMIT / 100.0;
    let mebibytes = |bytes: f64| bytes / f64::from(1 << 20);
    Criterion {
        name,
        verdict: of_growth(&growth, allowed, LONG_SPAN),
        found: percents(&growth),
        details: vec![
            format!(
                "from {:.1} MiB, {:+.2} MiB an hour",
                mebibytes(growth.trend.start),
                mebibytes(growth.trend.slope) * 3600.0
            ),
            certainty(&growth, LONG_SPAN),
        ],
    }
}

fn percents(growth: &Growth) -> String {
    format!(
        "{:+.1} % over the run (95 %: {:+.1} to {:+.1} %)",
        growth.percent(growth.estimate()),
        growth.percent(growth.low()),
        growth.percent(growth.high()),
    )
}

fn latency(samples: &[Sample]) -> Criterion {
    let mut verdicts = Vec::new();
    let mut details = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| kind.timed()) {
        let title = kind.title();
        let Some(growth) = of_p95(samples, kind) else {
            details.push(format!("{title}: not measured"));
            continue;
        };
        let allowed = growth.trend.start * GROWTH_LIMIT / 100.0;
        let verdict = of_growth(&growth, allowed, LONG_SPAN);
        let (found, from) = (percents(&growth), growth.trend.start);
        let word = verdict.word();
        details.push(format!("{title}: {word}, from {from:.0} ms {found}"));
        verdicts.push((verdict, growth));
    }
    let has = |wanted| verdicts.iter().any(|(verdict, _)| *verdict == wanted);
    let count = |wanted| verdicts.iter().filter(|(one, _)| *one == wanted).count();
    let verdict = if verdicts.is_empty() {
        Verdict::Skipped
    } else if has(Verdict::Fail) {
        Verdict::Fail
    } else if has(Verdict::Inconclusive) {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    };
    details.extend(
        verdicts
            .first()
            .map(|(_, growth)| certainty(growth, LONG_SPAN)),
    );
    Criterion {
        name: "95th percentiles drift by less than 10 %",
        verdict,
        found: format!(
            "{} of {} kinds of work within, {} beyond, {} inconclusive",
            count(Verdict::Pass),
            verdicts.len(),
            count(Verdict::Fail),
            count(Verdict::Inconclusive),
        ),
        details,
    }
}

/// What a rate of failures makes: the upper end of its interval has to be below the limit.
fn of_rate(bad: u64, all: u64) -> Verdict {
    if all > 0 && whole(bad) / whole(all) >= ERROR_LIMIT {
        Verdict::Fail
    } else if rate_at_most(bad, all) < ERROR_LIMIT {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    }
}

fn rate(bad: u64, all: u64) -> String {
    let percent = if all == 0 {
        0.0
    } else {
        100.0 * whole(bad) / whole(all)
    };
    let most = 100.0 * rate_at_most(bad, all);
    format!("{bad} of {all}: {percent:.2} % (95 %: at most {most:.2} %)")
}

fn errors(totals: &Totals) -> Criterion {
    Criterion {
        name: "less than 1 % errors outside injected faults",
        verdict: of_rate(totals.errors, totals.work),
        found: rate(totals.errors, totals.work),
        details: vec![format!(
            "{} more failed with BROWSER_LOST or BROWSER_CRASHED as we had killed their browser; they count neither way",
            totals.explained
        )],
    }
}

fn faults(totals: &Totals) -> Criterion {
    let injected = totals.injected();
    Criterion {
        name: "injected faults end as they must",
        verdict: of_rate(totals.surprises, injected),
        found: format!("otherwise {}", rate(totals.surprises, injected)),
        details: Vec::new(),
    }
}

fn crash(record: Option<&Record>) -> Criterion {
    let name = "the broker does not crash";
    let Some(record) = record else {
        return not_read(name);
    };
    let died = record.parts.iter().filter_map(|part| match &part.ended {
        Some(Ended::BrokerDied(how)) => Some(how.clone()),
        _ => None,
    });
    let details: Vec<_> = died.collect();
    let parts = record.parts.len();
    Criterion {
        name,
        verdict: if details.is_empty() {
            Verdict::Pass
        } else {
            Verdict::Fail
        },
        found: format!("{} times in {parts} parts of the run", details.len()),
        details,
    }
}

fn zombies(samples: &[Sample]) -> Criterion {
    let name = "no zombie lasts longer than 5 s";
    let ages = samples
        .iter()
        .filter_map(|sample| sample.gauge(Gauge::ZombieAge));
    let Some(oldest) = ages.reduce(f64::max) else {
        return not_read(name);
    };
    let seen = samples
        .iter()
        .filter(|sample| sample.gauge(Gauge::Zombies) > Some(0.0));
    let (seen, all) = (seen.count(), samples.len());
    Criterion {
        name,
        verdict: if oldest > ZOMBIE_LIMIT {
            Verdict::Fail
        } else {
            Verdict::Pass
        },
        found: format!("the oldest was seen for {oldest:.1} s; {seen} of {all} samples have any"),
        details: Vec::new(),
    }
}

fn baseline(record: Option<&Record>) -> Criterion {
    let name = "nothing is left at the end";
    let mut details = Vec::new();
    let mut good = true;
    let parts = record.iter().flat_map(|record| &record.parts);
    for (nr, part) in (1..).zip(parts) {
        if let Some(rest) = &part.rest {
            good &= (rest.leases, rest.contexts, rest.waiting) == (0, 0, 0);
            details.push(format!(
                "part {nr}, {:.1} s after the load: {} leases, {} contexts, {} waiting; {} descriptors, {} before the load",
                rest.seconds, rest.leases, rest.contexts, rest.waiting, rest.fds, rest.fds_before
            ));
        }
        if let Some(end) = &part.shutdown {
            good &= (end.processes, end.directories) == (0, 0);
            details.push(format!(
                "part {nr}, after the shutdown: {} processes, {} directories",
                end.processes, end.directories
            ));
        }
    }
    if details.is_empty() {
        return not_read(name);
    }
    Criterion {
        name,
        verdict: if good { Verdict::Pass } else { Verdict::Fail },
        found: if good {
            "no lease, no context, no process, no directory"
        } else {
            "something is: see below"
        }
        .into(),
        details,
    }
}

fn shutdown(record: Option<&Record>) -> Criterion {
    let name = "the broker shuts down within 10 s";
    let parts = record.iter().flat_map(|record| &record.parts);
    let ends: Vec<_> = parts.filter_map(|part| part.shutdown.as_ref()).collect();
    let Some(longest) = ends.iter().map(|end| end.seconds).reduce(f64::max) else {
        return not_read(name);
    };
    let clean = ends.iter().all(|end| end.exit_code == Some(0));
    let code =
        |code: Option<i32>| code.map_or_else(|| "by a signal".into(), |code| code.to_string());
    let each = ends
        .iter()
        .map(|end| format!("{:.2} s, exit code {}", end.seconds, code(end.exit_code)));
    Criterion {
        name,
        verdict: if longest <= SHUTDOWN_LIMIT && clean {
            Verdict::Pass
        } else {
            Verdict::Fail
        },
        found: format!(
            "{longest:.2} s{}",
            if clean { ", clean" } else { ", not clean" }
        ),
        details: each.collect(),
    }
}
