//! What strangers' bytes are thrown at: one function for each parser that meets them.
//!
//! Each takes any bytes, and panics where the parser breaks its word: it must not panic itself, what
//! it gives must be bounded, and what it reads must be what was written. The targets of `fuzz/` call
//! them, and so do property tests, here, with the seeds of the targets and what random changes make
//! of them. Only there: the library as it is used has none of this.
//!
//! PDF is not among them. Its library panics on some damaged files, which `content` catches, and a
//! fuzzer that cannot see that would find nothing else.

/// A target: its name, which is that of its file and of its folder of seeds, and what it calls.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, in the order of their names.
pub const TARGETS: [Target; 14] = [
    ("acquire", crate::rpc::fuzz::acquire),
    ("cdp", crate::gateway::fuzz::cdp),
    ("charset", crate::fetch::fuzz::charset),
    ("config", crate::config::fuzz::file),
    ("convert", crate::content::fuzz::any),
    ("cookies", crate::fetch::fuzz::cookies),
    ("discovery", crate::gateway::fuzz::discovery),
    ("egress", crate::egress::fuzz::rules),
    ("fetch", crate::rpc::fuzz::fetch),
    ("frames", crate::gateway::fuzz::frames),
    ("html", crate::fetch::fuzz::html),
    ("routes", crate::gateway::fuzz::routes),
    ("stored", crate::fetch::fuzz::stored),
    ("urls", crate::fetch::fuzz::urls),
];

/// Calls the target `name`.
///
/// # Panics
/// When there is none of that name, and when the target finds something.
#[expect(clippy::panic, reason = "a fuzzer is told by a panic")]
pub fn run(name: &str, data: &[u8]) {
    match TARGETS.iter().find(|(known, _)| *known == name) {
        Some((_, target)) => target(data),
        None => panic!("there is no target {name}"),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::PathBuf};

    use proptest::{
        collection::vec,
        prelude::*,
        sample::Index,
        test_runner::{Config, TestRunner},
    };

    use super::*;

    fn folder(path: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz")
            .join(path)
    }

    fn seeds(name: &str) -> Vec<Vec<u8>> {
        let files = fs::read_dir(folder("seeds").join(name)).unwrap().flatten();
        let mut paths: Vec<_> = files.map(|file| file.path()).collect();
        paths.sort_unstable();
        paths.iter().map(|path| fs::read(path).unwrap()).collect()
    }

    #[test]
    fn every_target_has_a_file_and_seeds_that_find_nothing() {
        let stems = |path: &str| -> BTreeSet<String> {
            let files = fs::read_dir(folder(path)).unwrap().flatten();
            files
                .map(|file| {
                    let path = file.path();
                    path.file_stem().unwrap().to_str().unwrap().to_owned()
                })
                .collect()
        };
        let names: BTreeSet<_> = TARGETS.map(|(name, _)| name.to_owned()).into();
        assert_eq!(names, stems("fuzz_targets"));
        assert_eq!(names, stems("seeds"));
        for (name, target) in TARGETS {
            let seeds = seeds(name);
            assert!(seeds.len() >= 2, "{name}");
            for seed in seeds {
                assert!(seed.len() <= 4096, "a seed is small: {name}");
                target(&seed);
            }
        }
    }

    /// One change of some bytes.
    #[derive(Clone, Debug)]
    enum Change {
        Set(Index, u8),
        Cut(Index),
        Put(Index, Vec<u8>),
        Double(Index, Index),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
            any::<Index>().prop_map(Change::Cut),
            (any::<Index>(), vec(any::<u8>(), 1..8)).prop_map(|(at, put)| Change::Put(at, put)),
            (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Double(from, to)),
        ]
    }

    fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
        for change in changes {
            let room = bytes.len() + 1;
            match change {
                Change::Set(at, byte) => {
                    if let Some(found) = bytes.get_mut(at.index(room)) {
                        *found = *byte;
                    }
                }
                Change::Cut(at) => bytes.truncate(at.index(room)),
                Change::Put(at, put) => {
                    let at = at.index(room);
                    bytes.splice(at..at, put.iter().copied());
                }
                Change::Double(from, to) => {
                    let (from, to) = (from.index(room), to.index(room));
                    let piece = bytes[from.min(to)..from.max(to)].to_vec();
                    bytes.splice(to..to, piece);
                }
            }
        }
        bytes
    }

    #[test]
    fn no_change_of_a_seed_finds_anything() {
        for (name, target) in TARGETS {
            let seeds = seeds(name);
            let of = prop_oneof![
                3 => (any::<Index>(), vec(change(), 1..8))
                    .prop_map(move |(seed, changes)| changed(seed.get(&seeds).clone(), &changes)),
                1 => vec(any::<u8>(), 0..512),
            ];
            let usual = Config::default();
            let config = Config {
                // Each of them is a whole document; PROPTEST_CASES asks for more.
                cases: usual.cases / 2,
                // What is found is to be kept as a seed, not in a file of another form.
                failure_persistence: None,
                ..usual
            };
            let run = TestRunner::new(config).run(&of, |bytes| {
                target(&bytes);
                Ok(())
            });
            assert!(run.is_ok(), "{name}: {run:?}");
        }
    }
}
