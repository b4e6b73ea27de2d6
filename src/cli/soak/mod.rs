//! `berth soak`: the stability test, with faults, and a report that anybody can read.
//!
//! [`run`] drives a broker with [`world`]'s workers: [`work`] that must succeed and [`faults`] whose
//! outcome is known beforehand, mixed by [`kind`] against the [`origin`] that this command serves.
//! [`probe`] reads the broker's figures into [`sample`]s; [`dir`] keeps them where an interruption
//! does not reach. What follows is pure: [`growth`] by [`stats`], [`verdict`]s, and the [`report`].

mod broker;
mod dir;
mod faults;
mod growth;
mod kind;
mod origin;
mod probe;
mod record;
mod report;
mod run;
mod sample;
mod show;
mod stats;
mod tally;
mod verdict;
#[cfg(test)]
mod verdict_tests;
mod work;
mod world;

use std::{
    ffi::OsString,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;

use self::{
    dir::Dir,
    record::{Ended, Record},
    verdict::{Criterion, holds, judge},
};
use super::{
    client::parse_duration,
    exit::{self, Failure},
    signals::{Asked, Signals},
};
use crate::server;

/// Run a broker under realistic load with faults for long, and judge how it stood
///
/// Starts `berth serve` of this program as a child, with a site of its own on loopback, and calls
/// it: fetches of every kind, leases that are driven and given back, held, or left to expire. In
/// between it cancels calls, kills browsers and clients, and fetches from origins and pages that
/// misbehave. Every few seconds it samples what the kernel and the broker say. At the end, or when
/// SIGINT or SIGTERM asks for it, a report of one HTML file says which criteria hold.
///
/// A second signal kills all of it at once; the samples stay.
///
/// Exit codes: 0 no criterion fails; 1 one does (or, with --strict, is inconclusive); 3 a second
/// signal ended it at once; 75 it was interrupted before its end and none has failed so far: the
/// same command goes on.
#[derive(Args, Clone, Debug)]
pub(super) struct SoakArgs {
    /// How long the load runs in all, interruptions left out [default: 10m]
    #[arg(long, value_parser = positive, value_name = "DURATION")]
    duration: Option<Duration>,
    /// Where the report goes [default: report.html in --dir]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Where the samples and the state of the run are kept
    #[arg(long, default_value = "berth-soak", value_name = "DIR")]
    dir: PathBuf,
    /// Go on with the unfinished run in --dir, which is what happens anyway; fail when none is there
    #[arg(long, overrides_with = "fresh")]
    resume: bool,
    /// Throw away the run in --dir, finished or not
    #[arg(long, overrides_with = "resume")]
    fresh: bool,
    /// How many callers there are
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// How often the broker is sampled
    #[arg(long, default_value = "5s", value_parser = positive, value_name = "DURATION")]
    sample: Duration,
    /// Decides the order of calls and faults [default: a random one, kept with the run]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// A broker that runs already, instead of a child: faults that need its processes are left out
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    #[command(flatten)]
    credentials: super::client::Credentials,
    /// Host and port of that broker's metrics, for its processor time and cache
    #[arg(long, requires = "endpoint", value_name = "HOST:PORT")]
    ops: Option<String>,
    /// Exit with 1 when a criterion is inconclusive, too
    #[arg(long)]
    strict: bool,
    /// Only judge the samples in DIR and write their report
    #[arg(long, value_name = "DIR", conflicts_with_all = ["resume", "fresh", "endpoint", "duration"])]
    report_only: Option<PathBuf>,
    /// Flags for the broker that is started, such as --max-browsers 8
    #[arg(last = true, value_name = "FLAGS")]
    serve: Vec<OsString>,
}

/// As long as a run lasts when nothing is said.
const DURATION: Duration = Duration::from_secs(600);

fn positive(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration < Duration::from_millis(100) {
        return Err("wanted at least 100ms".into());
    }
    Ok(duration)
}

pub(super) fn run(args: &SoakArgs) -> Result<ExitCode, Failure> {
    if let Some(path) = &args.report_only {
        let dir = Dir::new(path);
        let record = dir.record()?;
        let criteria = conclude(&dir, record.as_ref(), args.report.as_deref())?;
        return Ok(ExitCode::from(u8::from(!holds(&criteria, args.strict))));
    }
    let dir = Dir::new(&args.dir);
    let mut record = take_up(args, &dir)?;
    // What a killed client had started falls to this process, which reaps it.
    server::adopt_orphans();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let forced = runtime.block_on(async {
        let (mut asked, second) = Asked::once(Signals::listen()?);
        tokio::select! {
            ran = run::part(&dir, &mut record, args, &mut asked) => ran.map(|()| None),
            // What the part has started is killed with it.
            signal = second => Ok(Some(signal)),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    if let Some(signal) = forced? {
        let at = dir.path().display();
        say(&format!(
            "a second signal, {signal}: everything is killed; go on with \
             `berth soak --resume --dir {at}`"
        ))?;
        return Ok(ExitCode::from(exit::FORCED));
    }
    let criteria = conclude(&dir, Some(&record), args.report.as_deref())?;
    if !holds(&criteria, args.strict && record.finished) {
        return Ok(ExitCode::from(1));
    }
    let last = record.parts.last().and_then(|part| part.ended.clone());
    if matches!(last, Some(Ended::Signal(_))) {
        let at = dir.path().display();
        say(&format!(
            "interrupted: go on with `berth soak --resume --dir {at}`"
        ))?;
        return Ok(ExitCode::from(exit::RETRY));
    }
    Ok(ExitCode::SUCCESS)
}

/// The run to go on with, or a new one.
fn take_up(args: &SoakArgs, dir: &Dir) -> Result<Record, Failure> {
    let there = if args.fresh { None } else { dir.record()? };
    let at = dir.path().display();
    if let Some(mut record) = there {
        if let Some(duration) = args.duration {
            record.planned_s = duration.as_secs_f64();
        }
        let done = growth::run_length(&dir.samples()?);
        if record.finished && done >= record.planned_s - record.sample_s {
            return Err(Failure::new(
                exit::USAGE,
                format!(
                    "{at} has a finished run: name another --dir, a longer --duration, or --fresh"
                ),
            ));
        }
        let (done, planned) = (show::time(done), show::time(record.planned_s));
        say(&format!(
            "going on with the run in {at}: {done} of {planned} are done"
        ))?;
        return Ok(record);
    }
    if args.resume {
        return Err(Failure::new(
            exit::USAGE,
            format!("{at} has no run to go on with"),
        ));
    }
    if let Some(old) = dir.record()? {
        let left = old.parts.last().filter(|part| part.shutdown.is_none());
        if let Some(started) = left.and_then(|part| part.broker.as_ref()) {
            super::client::runtime()?.block_on(broker::sweep(started))?;
        }
    }
    dir.begin()?;
    let record = Record {
        seed: args.seed.unwrap_or_else(|| rand::random::<u32>().into()),
        planned_s: args.duration.unwrap_or(DURATION).as_secs_f64(),
        sample_s: args.sample.as_secs_f64(),
        concurrency: args.concurrency.into(),
        endpoint: args.endpoint.clone(),
        finished: false,
        parts: Vec::new(),
    };
    let (planned, seed) = (show::time(record.planned_s), record.seed);
    say(&format!(
        "a soak of {planned} with seed {seed}; state and samples in {at}"
    ))?;
    if record.endpoint.is_some() {
        say(
            "the broker is not ours: no browser is killed, no memory is eaten, and its end is not looked at",
        )?;
    }
    dir.keep(&record)?;
    Ok(record)
}

/// Judges what there is, writes the report, and says the verdicts.
fn conclude(
    dir: &Dir,
    record: Option<&Record>,
    report: Option<&Path>,
) -> Result<Vec<Criterion>, Failure> {
    let samples = dir.samples()?;
    let criteria = judge(&samples, record);
    let html = report::render(&samples, record, &criteria, &dir.errors()?);
    let path = report.map_or_else(|| dir.report(), Path::to_owned);
    fs::write(&path, html)
        .map_err(|error| Failure::other(format!("{}: {error}", path.display())))?;
    for one in &criteria {
        say(&format!(
            "{:<13} {}: {}",
            one.verdict.word(),
            one.name,
            one.found
        ))?;
    }
    say(&format!("report: {}", path.display()))?;
    Ok(criteria)
}

fn say(what: &str) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout(), "{what}")?)
}
