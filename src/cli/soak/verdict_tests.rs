//! Synthetic runs and what must be said of them.

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    kind::{Fault, Kind},
    record::{Ended, Part, Record, Rest, Shutdown},
    sample::{Gauge, Latency, Sample},
    verdict::{Criterion, Verdict, holds, judge},
};

/// What a figure is at a second of the run, before noise.
type Shape = fn(f64) -> f64;
/// What has gone wrong in a part.
type Change = fn(&mut Part);

struct Run {
    seconds: u32,
    fds: Shape,
    rss: Shape,
    p95: Shape,
    errors: u64,
    zombie: f64,
}

const MIB: f64 = 1_048_576.0;

/// An hour in which all is well, with the noise of real figures.
const WELL: Run = Run {
    seconds: 3600,
    fds: |_| 60.0,
    rss: |_| 40.0 * MIB,
    p95: |_| 120.0,
    errors: 0,
    zombie: 0.0,
};

impl Run {
    fn samples(&self) -> Vec<Sample> {
        let mut noise = StdRng::seed_from_u64(11);
        let mut all = Vec::new();
        for at in (5..=self.seconds).step_by(5) {
            let t = f64::from(at);
            let mut around =
                |value: f64, share: f64| value * (1.0 + noise.random_range(-share..share));
            let mut sample = Sample {
                part: 1,
                unix_ms: 1_700_000_000_000 + u64::from(at) * 1000,
                elapsed: t,
                work: 50,
                ..Sample::default()
            };
            sample.set(Gauge::Fds, Some(around((self.fds)(t), 0.1).round()));
            sample.set(Gauge::Rss, Some(around((self.rss)(t), 0.01)));
            sample.set(Gauge::Zombies, Some(0.0));
            sample.set(Gauge::ZombieAge, Some(0.0));
            sample.faults[Fault::Cancel as usize] = 5;
            for kind in Kind::ALL {
                let p95 = around((self.p95)(t), 0.2);
                sample.latency[kind as usize] = Latency {
                    count: 8,
                    p50: p95 / 2.0,
                    p95,
                    p99: p95,
                };
            }
            all.push(sample);
        }
        all[3].errors = self.errors;
        all[4].set(Gauge::ZombieAge, Some(self.zombie));
        all
    }

    fn judged(&self) -> Vec<Criterion> {
        judge(&self.samples(), Some(&record()))
    }
}

fn record() -> Record {
    Record {
        seed: 1,
        planned_s: 3600.0,
        sample_s: 5.0,
        concurrency: 4,
        endpoint: None,
        finished: true,
        parts: vec![Part {
            ended: Some(Ended::Done),
            rest: Some(Rest::default()),
            shutdown: Some(Shutdown {
                seconds: 0.4,
                exit_code: Some(0),
                ..Shutdown::default()
            }),
            ..Part::default()
        }],
    }
}

fn verdict(criteria: &[Criterion], name: &str) -> Verdict {
    let found = criteria.iter().find(|one| one.name.contains(name));
    found.unwrap_or_else(|| panic!("no {name}")).verdict
}

#[test]
fn a_good_run_passes_whole() {
    let criteria = WELL.judged();
    for one in &criteria {
        assert_eq!(one.verdict, Verdict::Pass, "{one:#?}");
    }
    assert!(holds(&criteria, true));
}

#[test]
fn a_leak_of_memory_fails() {
    // 12 MiB on 40 in an hour.
    let leaking = Run {
        rss: |t| 40.0 * MIB + 12.0 * MIB * t / 3600.0,
        ..WELL
    };
    let criteria = leaking.judged();
    assert_eq!(verdict(&criteria, "memory"), Verdict::Fail);
    assert_eq!(verdict(&criteria, "descriptors"), Verdict::Pass);
    assert!(!holds(&criteria, false));
}

#[test]
fn a_leak_of_descriptors_fails() {
    let leaking = Run {
        fds: |t| 60.0 + t / 180.0,
        ..WELL
    };
    assert_eq!(verdict(&leaking.judged(), "descriptors"), Verdict::Fail);
}

#[test]
fn latency_that_drifts_fails() {
    let slower = Run {
        p95: |t| 120.0 + 40.0 * t / 3600.0,
        ..WELL
    };
    assert_eq!(verdict(&slower.judged(), "95th"), Verdict::Fail);
}

#[test]
fn a_warm_up_and_a_step_within_it_do_not_fail() {
    let warming = Run {
        fds: |t| if t < 120.0 { 20.0 } else { 60.0 },
        rss: |t| {
            if t < 300.0 {
                (20.0 + t / 15.0) * MIB
            } else {
                40.0 * MIB
            }
        },
        ..WELL
    };
    let criteria = warming.judged();
    assert_eq!(verdict(&criteria, "descriptors"), Verdict::Pass);
    assert_eq!(verdict(&criteria, "memory"), Verdict::Pass);
    // A cache that fills once, after the warm-up.
    let step = Run {
        rss: |t| if t < 900.0 { 36.0 } else { 40.0 } * MIB,
        ..WELL
    };
    assert_ne!(verdict(&step.judged(), "memory"), Verdict::Fail);
}

#[test]
fn a_short_run_says_that_it_cannot_tell() {
    let short = Run {
        seconds: 30,
        rss: |t| 40.0 * MIB + t * MIB,
        ..WELL
    };
    let criteria = short.judged();
    for name in ["descriptors", "memory", "95th"] {
        assert_eq!(verdict(&criteria, name), Verdict::Inconclusive, "{name}");
    }
    assert!(holds(&criteria, false));
    assert!(!holds(&criteria, true));
    let memory = criteria.iter().find(|one| one.name.contains("memory"));
    assert!(memory.unwrap().details[1].contains("too short"));
}

#[test]
fn growth_that_noise_hides_is_inconclusive() {
    let hidden = Run {
        seconds: 600,
        p95: |t| 120.0 + 8.0 * t / 600.0,
        ..WELL
    };
    assert_eq!(verdict(&hidden.judged(), "95th"), Verdict::Inconclusive);
}

#[test]
fn errors_are_judged_with_their_uncertainty() {
    let one_in_a_hundred = Run {
        errors: 400,
        ..WELL
    };
    assert_eq!(verdict(&one_in_a_hundred.judged(), "errors"), Verdict::Fail);
    // Of 36000.
    let some = Run {
        errors: 100,
        ..WELL
    };
    assert_eq!(verdict(&some.judged(), "errors"), Verdict::Pass);
    // None of 300 is not yet less than one in a hundred.
    let few = Run {
        seconds: 30,
        ..WELL
    };
    assert_eq!(verdict(&few.judged(), "errors"), Verdict::Inconclusive);
    assert_eq!(verdict(&judge(&[], None), "errors"), Verdict::Inconclusive);
}

#[test]
fn a_fault_that_ends_otherwise_counts() {
    let mut samples = WELL.samples();
    samples[9].surprises = 40;
    assert_eq!(
        verdict(&judge(&samples, None), "end as they must"),
        Verdict::Fail
    );
}

#[test]
fn zombies_crashes_leftovers_and_slow_shutdowns_fail() {
    let undead = Run {
        zombie: 7.0,
        ..WELL
    };
    assert_eq!(verdict(&undead.judged(), "zombie"), Verdict::Fail);
    let with = |change: Change, name: &str| {
        let mut record = record();
        change(&mut record.parts[0]);
        verdict(&judge(&WELL.samples(), Some(&record)), name)
    };
    let cases: [(Change, &str); 6] = [
        (
            |part| part.ended = Some(Ended::BrokerDied("signal 6".into())),
            "crash",
        ),
        (|part| part.rest.as_mut().unwrap().leases = 1, "left"),
        (|part| part.shutdown.as_mut().unwrap().processes = 1, "left"),
        (
            |part| part.shutdown.as_mut().unwrap().directories = 2,
            "left",
        ),
        (
            |part| part.shutdown.as_mut().unwrap().seconds = 10.5,
            "shuts",
        ),
        (
            |part| part.shutdown.as_mut().unwrap().exit_code = Some(3),
            "shuts",
        ),
    ];
    for (change, name) in cases {
        assert_eq!(with(change, name), Verdict::Fail, "{name}");
    }
}

#[test]
fn what_was_not_recorded_is_not_measured() {
    let criteria = judge(&WELL.samples(), None);
    for name in ["crash", "left", "shuts"] {
        assert_eq!(verdict(&criteria, name), Verdict::Skipped, "{name}");
    }
    assert!(holds(&criteria, true));
}
