//! Results that are too large to be told at once: kept for a while, to be read as resources.

use std::collections::VecDeque;

use bytes::Bytes;

/// How many are kept, and how much of them, in bytes. The oldest go.
const MOST: usize = 16;
const MOST_BYTES: usize = 32 << 20;

/// A result that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) uri: String,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) bytes: Bytes,
}

/// The results of one session.
#[derive(Debug, Default)]
pub(super) struct Store {
    kept: VecDeque<Kept>,
    count: u64,
}

impl Store {
    /// Keeps a result.
    pub(super) fn keep(&mut self, name: &str, kind: &'static str, bytes: Bytes) -> Kept {
        self.count += 1;
        let kept = Kept {
            uri: format!("berth://result/{}", self.count),
            name: name.to_owned(),
            kind,
            bytes,
        };
        self.kept.push_back(kept.clone());
        let size = |kept: &VecDeque<Kept>| kept.iter().map(|one| one.bytes.len()).sum::<usize>();
        while self.kept.len() > MOST || (self.kept.len() > 1 && size(&self.kept) > MOST_BYTES) {
            self.kept.pop_front();
        }
        kept
    }

    pub(super) fn get(&self, uri: &str) -> Option<Kept> {
        self.kept.iter().find(|kept| kept.uri == uri).cloned()
    }

    /// The last picture.
    pub(super) fn last_picture(&self) -> Option<Kept> {
        let mut newest = self.kept.iter().rev();
        newest.find(|kept| kept.kind.starts_with("image/")).cloned()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Kept> {
        self.kept.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go() {
        let mut store = Store::default();
        let first = store.keep("one", "text/plain", Bytes::from_static(b"x"));
        assert_eq!(store.get(&first.uri), Some(first.clone()));
        for _ in 0..MOST {
            store.keep("more", "image/png", Bytes::from_static(b"x"));
        }
        assert_eq!(store.get(&first.uri), None);
        let large = store.keep(
            "large",
            "application/pdf",
            Bytes::from(vec![0; MOST_BYTES + 1]),
        );
        assert_eq!(store.all().count(), 1, "the newest stays whatever its size");
        assert_eq!(store.get(&large.uri), Some(large));
        assert_eq!(store.last_picture(), None);
    }
}
