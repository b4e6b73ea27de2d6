use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use proptest::prelude::*;

use super::*;

/// A resource that counts how often it was dropped.
#[derive(Debug)]
struct Probe(Arc<AtomicUsize>);

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Bench {
    table: Table<Probe, ()>,
    start: Now,
    dropped: Arc<AtomicUsize>,
}

impl Bench {
    fn new() -> Self {
        Self {
            table: Table::new(Duration::from_secs(300)),
            start: Now::read(),
            dropped: Arc::default(),
        }
    }

    /// `seconds` after the start.
    fn at(&self, seconds: u64) -> Now {
        Now {
            instant: self.start.instant + Duration::from_secs(seconds),
            wall: self.start.wall + Duration::from_secs(seconds),
        }
    }

    fn grant(&mut self, limits: Limits, held: bool, seconds: u64) -> Grant<()> {
        let spec = Spec {
            owner: String::new(),
            labels: BTreeMap::new(),
            subject: (),
            limits,
            held,
            queue_time: Duration::ZERO,
        };
        let now = self.at(seconds);
        self.table
            .grant(spec, Probe(Arc::clone(&self.dropped)), now)
    }

    fn expire(&mut self, seconds: u64) -> Vec<EndReason> {
        let ended = self.table.expire(self.at(seconds));
        ended
            .iter()
            .map(|(record, _)| record.ended.unwrap().0)
            .collect()
    }

    fn seconds(&self, wall: SystemTime) -> u64 {
        wall.duration_since(self.start.wall).unwrap().as_secs()
    }
}

fn limits() -> Limits {
    Limits {
        ttl: Duration::from_secs(60),
        idle_timeout: None,
        max_lifetime: Duration::from_secs(3600),
        on_disconnect: OnDisconnect::Release,
        detach_grace: Duration::from_secs(10),
    }
}

#[test]
fn a_lease_ends_at_its_ttl_unless_renewed() {
    let mut bench = Bench::new();
    let lease = bench.grant(limits(), false, 0);
    let id = lease.record.id;
    assert_eq!(bench.seconds(lease.record.expires), 60);
    let renewed = bench.table.renew(id, None, bench.at(50)).unwrap();
    assert_eq!(bench.seconds(renewed.expires), 110);
    assert!(bench.expire(109).is_empty());
    assert_eq!(
        bench.table.renew(id, None, bench.at(110)).unwrap_err(),
        Error::Ended(EndReason::Expired),
        "an end that is due is not undone, even before it is carried out"
    );
    assert_eq!(bench.expire(110), [EndReason::Expired]);
    assert_eq!(bench.dropped.load(Ordering::Relaxed), 1);
    let error = bench.table.renew(id, None, bench.at(111)).unwrap_err();
    assert_eq!(error, Error::Ended(EndReason::Expired));
}

#[test]
fn a_renewal_never_passes_the_absolute_lifetime() {
    let mut bench = Bench::new();
    let limits = Limits {
        max_lifetime: Duration::from_secs(100),
        ..limits()
    };
    let id = bench.grant(limits, false, 0).record.id;
    let ttl = Some(Duration::from_secs(600));
    let renewed = bench.table.renew(id, ttl, bench.at(30)).unwrap();
    assert_eq!(renewed.expires, renewed.max_expires);
    assert_eq!(renewed.limits.ttl, Duration::from_secs(600));
    assert_eq!(bench.expire(100), [EndReason::Expired]);
}

#[test]
fn a_held_lease_knows_no_ttl() {
    let mut bench = Bench::new();
    let limits = Limits {
        ttl: Duration::from_secs(1),
        max_lifetime: Duration::from_secs(100),
        ..limits()
    };
    let id = bench.grant(limits, true, 0).record.id;
    assert!(bench.expire(99).is_empty());
    let renewed = bench.table.renew(id, None, bench.at(99)).unwrap();
    assert_eq!(renewed.expires, renewed.max_expires);
    assert_eq!(bench.expire(100), [EndReason::Expired]);
}

#[test]
fn idleness_is_measured_from_the_last_traffic() {
    let mut bench = Bench::new();
    let limits = Limits {
        idle_timeout: Some(Duration::from_secs(5)),
        ..limits()
    };
    let grant = bench.grant(limits, false, 0);
    let now = bench.at(4).instant;
    let (_, _, activity) = bench.table.open(&grant.token, now).unwrap();
    activity.touch(now);
    assert!(bench.expire(8).is_empty());
    assert_eq!(bench.expire(9), [EndReason::Idle]);
}

#[test]
fn the_detach_grace_runs_from_the_last_client_on() {
    let mut bench = Bench::new();
    let id = bench.grant(limits(), false, 0).record.id;
    assert!(
        bench.expire(30).is_empty(),
        "it does not run before a first attach"
    );
    bench.table.attach(id, bench.at(30).instant).unwrap();
    bench.table.attach(id, bench.at(31).instant).unwrap();
    bench.table.detach(id, bench.at(32).instant);
    assert!(bench.expire(45).is_empty(), "one is still attached");
    bench.table.detach(id, bench.at(45).instant);
    assert!(bench.expire(54).is_empty());
    bench.table.attach(id, bench.at(54).instant).unwrap();
    assert_eq!(bench.table.get(id).unwrap().attached, 1);
    bench.table.detach(id, bench.at(54).instant);
    assert!(bench.expire(55).is_empty(), "who came back stopped it");
    assert_eq!(
        bench.expire(60),
        [EndReason::Expired],
        "the TTL is a limit of its own"
    );

    let id = bench.grant(limits(), false, 100).record.id;
    bench.table.attach(id, bench.at(100).instant).unwrap();
    bench.table.detach(id, bench.at(101).instant);
    assert_eq!(bench.expire(111), [EndReason::Detached]);

    let kept = Limits {
        on_disconnect: OnDisconnect::Keep,
        ..limits()
    };
    let id = bench.grant(kept, false, 200).record.id;
    bench.table.attach(id, bench.at(200).instant).unwrap();
    bench.table.detach(id, bench.at(201).instant);
    assert_eq!(bench.expire(260), [EndReason::Expired]);
}

#[test]
fn only_the_right_token_opens_and_only_while_the_lease_lives() {
    let mut bench = Bench::new();
    let grant = bench.grant(limits(), false, 0);
    let now = bench.at(1).instant;
    assert!(bench.table.open(&grant.token, now).is_ok());
    let forged = Token::generate(grant.record.id);
    assert_eq!(bench.table.open(&forged, now).unwrap_err(), Error::Unknown);
    let at = bench.at(2);
    let (record, resource) = bench
        .table
        .end(grant.record.id, EndReason::Released, at)
        .unwrap();
    drop(resource);
    assert_eq!(record.ended.unwrap().0, EndReason::Released);
    assert_eq!(
        bench.table.open(&grant.token, now).unwrap_err(),
        Error::Ended(EndReason::Released)
    );
    assert_eq!(bench.table.open(&forged, now).unwrap_err(), Error::Unknown);
    assert_eq!(
        bench
            .table
            .end(record.id, EndReason::Revoked, at)
            .unwrap_err(),
        Error::Ended(EndReason::Released),
        "the first reason stands"
    );
}

#[test]
fn an_ended_lease_is_remembered_for_a_while() {
    let mut bench = Bench::new();
    let first = bench.grant(limits(), false, 0).record.id;
    let second = bench.grant(limits(), false, 1).record.id;
    drop(
        bench
            .table
            .end(first, EndReason::Released, bench.at(2))
            .unwrap(),
    );
    let listed = |bench: &Bench, ended| -> Vec<_> {
        bench
            .table
            .list(None, ended)
            .map(|record| record.id)
            .collect()
    };
    assert_eq!(listed(&bench, false), [second]);
    assert_eq!(listed(&bench, true), [first, second]);
    assert_eq!(bench.table.list(Some(first), true).count(), 1);
    assert!(bench.table.get(first).unwrap().ended.is_some());
    bench.expire(302);
    assert_eq!(bench.table.get(first).unwrap_err(), Error::Unknown);
}

#[derive(Clone, Debug)]
enum Step {
    Grant {
        ttl: u64,
        idle: Option<u64>,
        held: bool,
    },
    Renew(usize),
    End(usize),
    Attach(usize),
    Detach(usize),
    Touch(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..100u64, proptest::option::of(1..50u64), any::<bool>())
            .prop_map(|(ttl, idle, held)| Step::Grant { ttl, idle, held }),
        (0..8usize).prop_map(Step::Renew),
        (0..8usize).prop_map(Step::End),
        (0..8usize).prop_map(Step::Attach),
        (0..8usize).prop_map(Step::Detach),
        (0..8usize).prop_map(Step::Touch),
        (1..40u64).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Whatever happens, each resource leaves exactly once, no lease outlives a limit, and no
    /// ended one comes back.
    #[test]
    fn every_resource_leaves_exactly_once(steps in proptest::collection::vec(step(), 1..80)) {
        let mut bench = Bench::new();
        let mut granted = Vec::new();
        let mut ended = std::collections::HashSet::new();
        let mut clock = 0;
        for step in steps {
            let now = bench.at(clock);
            let pick = |n: usize, granted: &Vec<Grant<()>>| {
                (!granted.is_empty()).then(|| granted[n % granted.len()].clone())
            };
            match step {
                Step::Grant { ttl, idle, held } => {
                    let limits = Limits {
                        ttl: Duration::from_secs(ttl),
                        idle_timeout: idle.map(Duration::from_secs),
                        max_lifetime: Duration::from_secs(200),
                        ..limits()
                    };
                    granted.push(bench.grant(limits, held, clock));
                }
                Step::Renew(n) => if let Some(grant) = pick(n, &granted) {
                    let renewed = bench.table.renew(grant.record.id, None, now);
                    prop_assert!(renewed.is_err() || !ended.contains(&grant.record.id));
                }
                Step::End(n) => if let Some(grant) = pick(n, &granted) {
                    let done = bench.table.end(grant.record.id, EndReason::Released, now);
                    prop_assert_eq!(done.is_ok(), ended.insert(grant.record.id));
                }
                Step::Attach(n) => if let Some(grant) = pick(n, &granted) {
                    let attached = bench.table.attach(grant.record.id, now.instant);
                    prop_assert!(attached.is_err() || !ended.contains(&grant.record.id));
                }
                Step::Detach(n) => if let Some(grant) = pick(n, &granted) {
                    bench.table.detach(grant.record.id, now.instant);
                }
                Step::Touch(n) => if let Some(grant) = pick(n, &granted)
                    && let Ok((_, _, activity)) = bench.table.open(&grant.token, now.instant)
                {
                    activity.touch(now.instant);
                }
                Step::Pass(seconds) => {
                    clock += seconds;
                    for (record, _resource) in bench.table.expire(bench.at(clock)) {
                        prop_assert!(ended.insert(record.id));
                    }
                    let now = bench.at(clock);
                    prop_assert!(bench.table.next_limit().is_none_or(|at| at > now.instant));
                    for record in bench.table.list(None, false) {
                        prop_assert!(record.expires > now.wall);
                        prop_assert!(record.expires <= record.max_expires);
                    }
                }
            }
            prop_assert_eq!(bench.table.active(), granted.len() - ended.len());
            prop_assert_eq!(bench.dropped.load(Ordering::Relaxed), ended.len());
        }
    }
}
