//! One part of a run: a broker, its load, its samples, and its end.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    broker::{Broker, sweep},
    dir::{Dir, Table},
    origin,
    probe::Probe,
    record::{Ended, Part, Record, Rest},
    sample::{Gauge, Sample},
    show::Show,
    tally::Totals,
    world::{Worker, World, unix_ms},
};
use crate::{
    cli::{
        client::Target,
        exit::{self, Failure},
        signals::Asked,
    },
    proto::BrowserState,
};

/// Longest until the broker's first browser is up.
const READY: Duration = Duration::from_secs(60);
/// How long steps under way may take to end: as planned, and when a signal asks for it.
const WIND_DOWN: Duration = Duration::from_secs(45);
const WIND_DOWN_ASKED: Duration = Duration::from_secs(8);
/// How long the broker may take to be at rest once nobody calls.
const REST: Duration = Duration::from_secs(20);

/// A part under way.
struct Running<'a> {
    dir: &'a Dir,
    part: u64,
    probe: Probe,
    table: Table,
    world: Arc<World>,
    show: Show,
    totals: Totals,
    /// Seconds of load in the parts before.
    before: f64,
    begun: Instant,
    last: Sample,
}

/// Runs the next part of `record` until the load has run as long as planned, a signal comes or the
/// broker dies. The record then says how it ended.
pub(super) async fn part(
    dir: &Dir,
    record: &mut Record,
    options: &super::SoakArgs,
    asked: &mut Asked,
) -> Result<(), Failure> {
    for part in &record.parts {
        if let (Some(started), None) = (&part.broker, &part.shutdown) {
            sweep(started).await?;
        }
    }
    let samples = dir.samples()?;
    let before = super::growth::run_length(&samples);
    let mut tasks = JoinSet::new();
    let stop = CancellationToken::new();
    let origin = origin::start(&mut tasks, &stop).await?;
    let mut child = match &record.endpoint {
        Some(_) => None,
        None => Some(Broker::start(&options.serve, &origin, &dir.log(), &mut tasks).await?),
    };
    record.parts.push(Part {
        begun_unix_ms: unix_ms(),
        broker: child.as_ref().map(Broker::started),
        ..Part::default()
    });
    dir.keep(record)?;
    let ran = async {
        let endpoint = match (&child, &record.endpoint) {
            (Some(child), _) => child.grpc.clone(),
            (None, endpoint) => endpoint.clone().unwrap_or_default(),
        };
        let target = Target {
            endpoint,
            credentials: options.credentials.clone(),
        };
        let ops = child.as_ref().map(|child| child.ops.clone());
        let tree = child
            .as_ref()
            .map(|child| (child.pid, child.run_dir().to_owned()));
        let pid = child.as_ref().map(|child| child.pid);
        let mut probe = Probe::new(
            target.connect().await?.connection(),
            ops.or_else(|| options.ops.clone()),
            tree,
        );
        let ready = ready(&mut probe);
        tokio::select! {
            ready = ready => ready?,
            signal = asked.stop() => return Ok((Ended::Signal(signal.into()), None)),
        }
        let world = World::new(target, origin, pid, dir.append_errors()?);
        let mut running = Running {
            dir,
            part: record.parts.len() as u64,
            probe,
            table: dir.append_samples()?,
            world: Arc::new(world),
            show: Show::new(record.planned_s),
            totals: Totals::of(&samples),
            before,
            begun: Instant::now(),
            last: Sample::default(),
        };
        let (ended, rest) = running.go(record, child.as_mut(), asked).await?;
        Ok::<_, Failure>((ended, rest))
    };
    let ran = Box::pin(ran).await;
    stop.cancel();
    // A broker that does not die by itself is stopped, whatever else has failed.
    let shutdown = match child {
        Some(child) => Some(child.stop().await?),
        None => None,
    };
    let drained = async { while tasks.join_next().await.is_some() {} };
    // Whoever still talks to the origin is cut with it.
    let _late = timeout(Duration::from_secs(5), drained).await;
    let (ended, rest) = ran?;
    record.finished = ended == Ended::Done;
    if let Some(part) = record.parts.last_mut() {
        part.shutdown = shutdown.filter(|_| !matches!(ended, Ended::BrokerDied(_)));
        part.rest = rest;
        part.ended = Some(ended);
    }
    dir.keep(record)
}

/// Waits until a browser stands by.
async fn ready(probe: &mut Probe) -> Result<(), Failure> {
    let until = Instant::now() + READY;
    loop {
        let status = probe.status().await.unwrap_or_default();
        let up = |state| {
            matches!(
                state,
                BrowserState::Idle | BrowserState::Shared | BrowserState::Leased
            )
        };
        if status.browsers.iter().any(|browser| up(browser.state())) {
            return Ok(());
        }
        if Instant::now() >= until {
            let why = status.last_launch_error;
            return Err(Failure::new(
                exit::UNAVAILABLE,
                format!("no browser comes up: {why}"),
            ));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

impl Running<'_> {
    async fn go(
        &mut self,
        record: &Record,
        child: Option<&mut Broker>,
        asked: &mut Asked,
    ) -> Result<(Ended, Option<Rest>), Failure> {
        let mut first = Sample::default();
        // Before the first call: what the broker is like at rest.
        self.probe.read(&mut first).await;
        let mut load = JoinSet::new();
        let stop = CancellationToken::new();
        for nr in 0..record.concurrency {
            let channel = self.world.target.connect().await?.connection();
            let part = record.parts.len();
            let worker = Worker::new(self.world.clone(), channel, record.seed, part, nr);
            load.spawn(worker.run(stop.clone()));
        }
        self.begun = Instant::now();
        let ended = self.sampling(record, child, asked).await?;
        self.show.say(match &ended {
            Ended::Done => "the load has run as long as planned",
            Ended::Signal(_) => "asked to stop: calls under way may end",
            Ended::BrokerDied(_) => "the broker has died",
        });
        stop.cancel();
        let bound = if ended == Ended::Done {
            WIND_DOWN
        } else {
            WIND_DOWN_ASKED
        };
        let wound_down = async { while load.join_next().await.is_some() {} };
        let late = timeout(bound, wound_down).await.is_err();
        load.shutdown().await;
        if late && ended == Ended::Done {
            self.world.note("end", "a call has outlived its deadline");
        }
        if matches!(ended, Ended::BrokerDied(_)) {
            return Ok((ended, None));
        }
        self.sample().await?;
        let rest = self.rest(&first).await;
        Ok((ended, Some(rest)))
    }

    /// Samples until the end.
    async fn sampling(
        &mut self,
        record: &Record,
        mut child: Option<&mut Broker>,
        asked: &mut Asked,
    ) -> Result<Ended, Failure> {
        let every = Duration::from_secs_f64(record.sample_s);
        let left = Duration::from_secs_f64((record.planned_s - self.before).max(0.0));
        let end = sleep(left);
        let mut end = std::pin::pin!(end);
        let mut second = interval(Duration::from_secs(1).min(every));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut due = self.begun + every;
        loop {
            let died = async {
                match &mut child {
                    Some(child) => child.died().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = &mut end => return Ok(Ended::Done),
                signal = asked.stop() => return Ok(Ended::Signal(signal.into())),
                how = died => {
                    self.sample().await?;
                    return Ok(Ended::BrokerDied(how));
                }
                _ = second.tick() => self.probe.watch(),
            }
            let now = Instant::now();
            if now >= due {
                self.sample().await?;
                due = (due + every).max(now);
            }
            let elapsed = self.elapsed();
            self.show.progress(elapsed, &self.totals, &self.last);
        }
    }

    fn elapsed(&self) -> f64 {
        self.before + self.begun.elapsed().as_secs_f64()
    }

    /// Takes a sample and writes it down.
    async fn sample(&mut self) -> Result<(), Failure> {
        let mut sample = Sample {
            part: self.part,
            unix_ms: unix_ms(),
            elapsed: self.elapsed(),
            ..Sample::default()
        };
        let silent = self.probe.read(&mut sample).await;
        self.world.tally.take(&mut sample);
        for why in silent {
            // A broker that does not tell how it is, does not work.
            sample.work += 1;
            sample.errors += 1;
            self.world.note("probe", &why);
        }
        self.table
            .add(&sample)
            .map_err(|error| Failure::other(format!("{}: {error}", self.dir.path().display())))?;
        self.totals.add(&sample);
        self.last = sample;
        Ok(())
    }

    /// Waits until the broker has nothing under way, and says what it then has.
    async fn rest(&mut self, first: &Sample) -> Rest {
        let begun = Instant::now();
        loop {
            let mut sample = Sample::default();
            self.probe.read(&mut sample).await;
            let count = |gauge| sample.gauge(gauge).map_or(0, natural);
            let rest = Rest {
                seconds: begun.elapsed().as_secs_f64(),
                leases: count(Gauge::Leases),
                contexts: count(Gauge::Contexts),
                waiting: count(Gauge::Waiting),
                fds_before: first.gauge(Gauge::Fds).map_or(0, natural),
                fds: count(Gauge::Fds),
            };
            let quiet = (rest.leases, rest.contexts, rest.waiting) == (0, 0, 0);
            if quiet || begun.elapsed() >= REST {
                return rest;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count"
)]
fn natural(value: f64) -> u64 {
    value.round() as u64
}
