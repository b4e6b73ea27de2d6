use proptest::prelude::*;
use tokio::time::advance;

use super::*;

fn ledger(usual: Quota) -> Ledger {
    let of = [("free".into(), Quota::default())].into();
    Ledger::new(Quotas { usual, of })
}

impl Ledger {
    fn lease(&self, owner: &str) -> Result<Charge, OverQuota> {
        self.charge(owner, What::Lease, Instant::now())
    }

    fn owners(&self) -> usize {
        self.0.accounts.lock().of.len()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_had_is_counted_and_given_back() {
    let ledger = ledger(Quota {
        max_leases: 2,
        max_fetches: 1,
        ..Quota::default()
    });
    let held = [ledger.lease("a").unwrap(), ledger.lease("a").unwrap()];
    let over = ledger.lease("a").unwrap_err();
    assert_eq!(
        (over.quota, over.limit, over.retry),
        (QuotaKind::Leases, 2, None)
    );
    let now = Instant::now();
    let fetch = ledger.charge("a", What::Fetch, now).unwrap();
    let over = ledger.charge("a", What::Fetch, now).unwrap_err();
    assert_eq!((over.quota, over.limit), (QuotaKind::Fetches, 1));
    let other = ledger.lease("b").unwrap();
    assert_eq!(ledger.owners(), 2);
    drop((held, fetch));
    assert_eq!(ledger.owners(), 1, "who has nothing is forgotten");
    let again = ledger.lease("a").unwrap();
    drop((again, other));
    assert_eq!(ledger.owners(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_owner_without_limits_is_not_counted() {
    let ledger = ledger(Quota {
        max_leases: 1,
        max_waiting: 3,
        ..Quota::default()
    });
    let held: Vec<_> = (0..100).map(|_| ledger.lease("free").unwrap()).collect();
    assert_eq!(ledger.owners(), 0);
    assert_eq!(ledger.party("free").most(), usize::MAX);
    assert_eq!(
        (ledger.party("a").most(), ledger.party("a").key()),
        (3, "a")
    );
    assert_eq!((ledger.fetches("a"), ledger.fetches("free")), (None, None));
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_burst_passes_and_then_the_rate_holds_exactly() {
    let ledger = ledger(Quota {
        max_leases: 9,
        rate: 10,
        burst: 3,
        ..Quota::default()
    });
    for _ in 0..3 {
        drop(ledger.lease("a").unwrap());
    }
    let over = ledger.lease("a").unwrap_err();
    assert_eq!(over.retry, Some(Duration::from_millis(100)));
    assert_eq!(over.quota, QuotaKind::Rate);
    advance(Duration::from_millis(60)).await;
    let over = ledger.lease("a").unwrap_err();
    assert_eq!(
        over.retry,
        Some(Duration::from_millis(40)),
        "a refusal is free"
    );
    advance(Duration::from_millis(40)).await;
    assert!(ledger.lease("a").is_ok());
    assert!(ledger.lease("a").is_err());
    assert!(ledger.lease("b").is_ok(), "each has its own");
}

#[tokio::test(start_paused = true)]
async fn a_lease_too_many_costs_no_request() {
    let ledger = ledger(Quota {
        max_leases: 1,
        rate: 1,
        burst: 2,
        ..Quota::default()
    });
    let held = ledger.lease("a").unwrap();
    for _ in 0..5 {
        assert_eq!(ledger.lease("a").unwrap_err().quota, QuotaKind::Leases);
    }
    drop(held);
    assert!(ledger.lease("a").is_ok());
}

#[tokio::test(start_paused = true)]
async fn owners_that_ask_no_more_are_forgotten() {
    let ledger = ledger(Quota {
        rate: 1,
        ..Quota::default()
    });
    for number in 0..10_000 {
        ledger.lease(&format!("owner-{number}")).unwrap();
        advance(Duration::from_millis(50)).await;
    }
    let owners = ledger.owners();
    assert!(owners <= 128, "{owners} of the last second's 20 are known");
}

proptest! {
    #[test]
    fn no_second_has_more_than_rate_and_burst(
        rate in 1_u32..50,
        burst in 0_u32..20,
        gaps in prop::collection::vec(0_u64..200, 1..200),
    ) {
        let quota = Quota { rate, burst, ..Quota::default() };
        let begun = Instant::now();
        let (mut now, mut due) = (begun, None);
        let mut passed = Vec::new();
        for gap in gaps {
            now += Duration::from_millis(gap);
            match quota.next(due, now) {
                Ok(next) => {
                    due = Some(next);
                    passed.push(now);
                }
                Err(wait) => {
                    prop_assert!(quota.next(due, now + wait).is_ok(), "exactly then");
                    let sooner = wait - Duration::from_nanos(1);
                    prop_assert!(quota.next(due, now + sooner).is_err(), "and not before");
                }
            }
        }
        let burst = if burst == 0 { rate } else { burst };
        for (at, first) in passed.iter().enumerate() {
            let within = passed[at..].iter().take_while(|one| **one - *first < Duration::from_secs(1));
            prop_assert!(within.count() <= (rate + burst) as usize);
        }
    }
}
