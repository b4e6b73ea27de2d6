//! What a soak does: kinds of work, faults, and the fixed mix of both.

use rand::Rng;

/// Work that must succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A fetch over HTTP.
    Http,
    /// A fetch that finds out by itself what it needs.
    Auto,
    /// A fetch in a browser.
    Browser,
    /// Eight fetches over one stream.
    Many,
    /// Acquire, drive the browser over CDP, Release.
    Attach,
    /// The same over a Hold stream.
    Hold,
    /// A lease that nobody gives back: it must expire.
    Expire,
}

/// A fault that is injected. What it must lead to is known, and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A call is cancelled at a random moment.
    Cancel,
    /// The origin does not answer, or dribbles.
    SlowOrigin,
    /// The origin cuts, garbles or refuses.
    BrokenOrigin,
    /// A page spins for ever in a shared browser.
    Hang,
    /// A page of a leased browser eats memory until the broker kills it.
    Memory,
    /// `kill -9` of a leased browser.
    KillLeased,
    /// `kill -9` of an idle or shared browser.
    KillOther,
    /// `kill -9` of a `berth lease` process and of what it runs.
    KillClient,
    /// A Hold stream that is dropped with its connection.
    CutStream,
}

/// One step of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Work.
    Work(Kind),
    /// A fault.
    Fault(Fault),
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Http,
        Self::Auto,
        Self::Browser,
        Self::Many,
        Self::Attach,
        Self::Hold,
        Self::Expire,
    ];

    /// Its name in columns, files and reports.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Auto => "auto",
            Self::Browser => "browser",
            Self::Many => "many",
            Self::Attach => "attach",
            Self::Hold => "hold",
            Self::Expire => "expire",
        }
    }

    /// What it is, for people.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Http => "fetch over HTTP",
            Self::Auto => "fetch, AUTO",
            Self::Browser => "fetch in a browser",
            Self::Many => "FetchMany of 8",
            Self::Attach => "Acquire, drive, Release",
            Self::Hold => "Hold, drive, release",
            Self::Expire => "lease left to expire",
        }
    }

    /// Whether how long it takes is the broker's doing: a lease left to expire takes its TTL.
    pub(super) const fn timed(self) -> bool {
        !matches!(self, Self::Expire)
    }
}

impl Fault {
    pub(super) const ALL: [Self; 9] = [
        Self::Cancel,
        Self::SlowOrigin,
        Self::BrokenOrigin,
        Self::Hang,
        Self::Memory,
        Self::KillLeased,
        Self::KillOther,
        Self::KillClient,
        Self::CutStream,
    ];

    /// Its name in columns, files and reports.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::SlowOrigin => "slow_origin",
            Self::BrokenOrigin => "broken_origin",
            Self::Hang => "hang",
            Self::Memory => "memory",
            Self::KillLeased => "kill_leased",
            Self::KillOther => "kill_other",
            Self::KillClient => "kill_client",
            Self::CutStream => "cut_stream",
        }
    }

    /// What it is and must lead to, for people.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Cancel => "call cancelled at a random moment: no trace",
            Self::SlowOrigin => "origin silent or dribbling: DEADLINE or ORIGIN_TIMEOUT",
            Self::BrokenOrigin => {
                "origin cuts, garbles, refuses: ORIGIN_PROTOCOL or ORIGIN_REFUSED"
            }
            Self::Hang => "page spins for ever: DEADLINE",
            Self::Memory => "page eats memory: lease ends OOM_KILLED",
            Self::KillLeased => "kill -9 of a leased browser: lease ends BROWSER_CRASHED",
            Self::KillOther => "kill -9 of an idle or shared browser: replaced",
            Self::KillClient => "kill -9 of a client process: lease ends CLIENT_GONE",
            Self::CutStream => "Hold stream cut with its connection: lease ends CLIENT_GONE",
        }
    }

    /// Whether it needs the broker's processes, or limits that this run has chosen.
    pub(super) const fn needs_child(self) -> bool {
        matches!(self, Self::Memory | Self::KillLeased | Self::KillOther)
    }
}

/// The mix, in parts of 1000.
const MIX: [(Step, u32); 16] = [
    (Step::Work(Kind::Http), 400),
    (Step::Work(Kind::Auto), 120),
    (Step::Work(Kind::Browser), 140),
    (Step::Work(Kind::Many), 40),
    (Step::Work(Kind::Attach), 90),
    (Step::Work(Kind::Hold), 60),
    (Step::Work(Kind::Expire), 20),
    (Step::Fault(Fault::Cancel), 50),
    (Step::Fault(Fault::SlowOrigin), 24),
    (Step::Fault(Fault::BrokenOrigin), 24),
    (Step::Fault(Fault::Hang), 8),
    (Step::Fault(Fault::Memory), 4),
    (Step::Fault(Fault::KillLeased), 6),
    (Step::Fault(Fault::KillOther), 4),
    (Step::Fault(Fault::KillClient), 5),
    (Step::Fault(Fault::CutStream), 5),
];

impl Step {
    /// The next step of a worker; without `child`, none that needs the broker to be ours.
    pub(super) fn choose(rng: &mut impl Rng, child: bool) -> Self {
        let may = |step: &Self| match step {
            Self::Work(_) => true,
            Self::Fault(fault) => child || !fault.needs_child(),
        };
        let all = MIX.iter().filter(|(step, _)| may(step));
        let mut drawn = rng.random_range(0..all.clone().map(|(_, parts)| parts).sum());
        for (step, parts) in all {
            match drawn.checked_sub(*parts) {
                Some(rest) => drawn = rest,
                None => return *step,
            }
        }
        Self::Work(Kind::Http)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn the_mix_is_whole_and_has_everything() {
        assert_eq!(MIX.iter().map(|(_, parts)| parts).sum::<u32>(), 1000);
        for kind in Kind::ALL {
            assert!(MIX.iter().any(|(step, _)| *step == Step::Work(kind)));
        }
        for fault in Fault::ALL {
            assert!(MIX.iter().any(|(step, _)| *step == Step::Fault(fault)));
        }
        let names: BTreeSet<_> = Kind::ALL
            .map(Kind::name)
            .into_iter()
            .chain(Fault::ALL.map(Fault::name))
            .collect();
        assert_eq!(names.len(), Kind::ALL.len() + Fault::ALL.len());
    }

    #[test]
    fn a_seed_decides_and_the_ratios_hold() {
        let draw = |child| {
            let mut rng = StdRng::seed_from_u64(3);
            let steps = (0..20_000).map(|_| Step::choose(&mut rng, child));
            steps.collect::<Vec<_>>()
        };
        let steps = draw(true);
        assert_eq!(steps, draw(true));
        for (step, parts) in MIX {
            let seen = steps.iter().filter(|one| **one == step).count();
            let wanted = usize::try_from(parts * 20).unwrap();
            let off = seen.abs_diff(wanted);
            assert!(off * off < 16 * wanted + 64, "{step:?}: {seen} of {wanted}");
        }
        let foreign = draw(false);
        let needs = |step: &Step| matches!(step, Step::Fault(fault) if fault.needs_child());
        assert!(!foreign.iter().any(needs));
    }
}
