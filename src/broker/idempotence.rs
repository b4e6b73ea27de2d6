//! Idempotence: one `request_id` names one live lease.
//!
//! The first request of a name does the work; one that comes meanwhile waits for it and gets the
//! same lease, or does the work itself when the first one failed or left. The name is free again
//! when the lease has ended.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::Subject;
use crate::lease::Grant;

type Key = (String, String);
type Cell = Arc<AsyncMutex<Option<Grant<Subject>>>>;

/// The names in use; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests(Arc<Mutex<HashMap<Key, Cell>>>);

/// A hold on one name: it stays in use as long as any of them lives.
#[derive(Debug)]
pub(super) struct Name {
    requests: Requests,
    key: Key,
    /// `None` only once dropped.
    cell: Option<Cell>,
}

impl Requests {
    /// A hold on the name `request` of `owner`.
    pub(super) fn name(&self, owner: &str, request: &str) -> Name {
        let key = (owner.to_owned(), request.to_owned());
        let cell = Arc::clone(self.0.lock().entry(key.clone()).or_default());
        Name {
            requests: self.clone(),
            key,
            cell: Some(cell),
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().len()
    }
}

impl Name {
    /// Waits until no other request works on this name, and opens what it leads to.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn open(&self) -> Option<OwnedMutexGuard<Option<Grant<Subject>>>> {
        let cell = self.cell.as_ref()?;
        Some(Arc::clone(cell).lock_owned().await)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let mut names = self.requests.0.lock();
        drop(self.cell.take());
        // Under the lock nobody can come to hold the name meanwhile.
        if names
            .get(&self.key)
            .is_some_and(|cell| Arc::strong_count(cell) == 1)
        {
            names.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_forgotten_with_its_last_hold() {
        let requests = Requests::default();
        let first = requests.name("owner", "request");
        let again = requests.name("owner", "request");
        let other = requests.name("somebody else", "request");
        assert_eq!(requests.len(), 2);
        let opened = first.open().await;
        assert!(opened.is_some());
        drop(first);
        assert!(futures::poll!(Box::pin(again.open())).is_pending());
        drop(opened);
        assert!(again.open().await.is_some());
        drop(again);
        drop(other);
        assert_eq!(requests.len(), 0);
    }
}
