//! Directories that could not be removed, until they can: a list with a bound.
//!
//! What is on it is tried again, ever less often. What does not fit on it is still on disk and in
//! nobody's hands: the leak watch finds it there.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// So many directories are kept in mind.
const MOST: usize = 64;
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(60);

/// The list.
#[derive(Debug, Default)]
pub(super) struct Removals(Mutex<BTreeMap<PathBuf, Pending>>);

#[derive(Clone, Copy, Debug)]
struct Pending {
    tries: u32,
    next: Instant,
}

impl Removals {
    /// Removes the directory of a browser or broker that is gone, and tells whether it is; what cannot be
    /// removed is tried again by [`Removals::retry`]. Blocking.
    pub(super) fn remove(&self, dir: &Path, now: Instant) -> bool {
        match fs::remove_dir_all(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.failed(dir, &error, now);
                false
            }
            Ok(()) | Err(_) => {
                if let Some(pending) = self.0.lock().remove(dir) {
                    let tries = pending.tries;
                    tracing::info!(path = %dir.display(), tries, "run_dir.removed_late");
                }
                true
            }
        }
    }

    fn failed(&self, dir: &Path, error: &io::Error, now: Instant) {
        let path = dir.display();
        let mut all = self.0.lock();
        if let Some(pending) = all.get_mut(dir) {
            pending.tries += 1;
            let pause = SOONEST * 2_u32.saturating_pow(pending.tries.min(16));
            pending.next = now + pause.min(LATEST);
            tracing::debug!(%path, %error, tries = pending.tries, "run_dir.removal_tried");
            return;
        }
        let listed = all.len() < MOST;
        if listed {
            let (tries, next) = (1, now + SOONEST);
            all.insert(dir.to_owned(), Pending { tries, next });
        }
        tracing::error!(%path, %error, listed, "run_dir.not_removed");
    }

    /// Tries again what is due. Blocking.
    pub(super) fn retry(&self, now: Instant) {
        let due = |pending: &Pending| pending.next <= now;
        let all = self.0.lock();
        let due = all.iter().filter(|(_, pending)| due(pending));
        let due: Vec<_> = due.map(|(dir, _)| dir.clone()).collect();
        drop(all);
        for dir in due {
            self.remove(&dir, now);
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.0.lock().len() as u64
    }

    /// Which there are.
    pub(super) fn all(&self) -> Vec<PathBuf> {
        self.0.lock().keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_removed_is_tried_again_ever_less_often() {
        let root = tempfile::tempdir().unwrap();
        // A file in the place of its parent keeps a path from being looked at at all.
        let parent = root.path().join("parent");
        fs::write(&parent, "").unwrap();
        let dir = parent.join("browser-1");
        let removals = Removals::default();
        let begun = Instant::now();
        removals.remove(&dir, begun);
        assert_eq!((removals.count(), removals.all()), (1, vec![dir.clone()]));
        let next = |removals: &Removals| removals.0.lock()[&dir].next - begun;
        assert_eq!(next(&removals), SOONEST);
        removals.retry(begun);
        assert_eq!(next(&removals), SOONEST, "not due");
        removals.retry(begun + SOONEST);
        assert_eq!(next(&removals), SOONEST + 4 * SOONEST);
        for _ in 0..20 {
            removals.remove(&dir, begun);
        }
        assert_eq!(next(&removals), LATEST);
        fs::remove_file(&parent).unwrap();
        fs::create_dir_all(&dir).unwrap();
        removals.retry(begun + LATEST);
        assert_eq!(removals.count(), 0);
        assert!(!dir.exists());
    }

    #[test]
    fn the_list_has_a_bound() {
        let root = tempfile::tempdir().unwrap();
        let parent = root.path().join("parent");
        fs::write(&parent, "").unwrap();
        let removals = Removals::default();
        for number in 0..2 * MOST {
            removals.remove(&parent.join(number.to_string()), Instant::now());
        }
        assert_eq!(removals.count(), MOST as u64);
    }
}
