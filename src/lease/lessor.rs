//! The shell around the table: one lock, and one task that ends what reached a limit.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::{sync::Notify, time::sleep_until};

use super::{Now, Record, Table};
use crate::drain::Drain;

/// The shared table of leases and the task that enforces their limits.
#[derive(Debug)]
pub struct Lessor<R, S>(Arc<Shared<R, S>>);

#[derive(Debug)]
struct Shared<R, S> {
    table: Mutex<Table<R, S>>,
    changed: Notify,
}

impl<R, S> Clone for Lessor<R, S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R, S> Lessor<R, S>
where
    R: Send + 'static,
    S: Clone + Send + 'static,
{
    /// Takes `table` and starts the task that enforces its limits until the drain's second phase.
    /// `on_end` gets each lease that reached a limit, with what it leased.
    pub fn start(
        table: Table<R, S>,
        drain: &Drain,
        on_end: impl Fn(Record<S>, R) + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            table: Mutex::new(table),
            changed: Notify::new(),
        });
        let cut = drain.cut_token();
        drain.spawn({
            let shared = Arc::clone(&shared);
            async move { cut.run_until_cancelled(enforce(&shared, on_end)).await }
        });
        Self(shared)
    }

    /// Looks at the table. The lock is short and never held over an await.
    pub fn read<T>(&self, look: impl FnOnce(&Table<R, S>) -> T) -> T {
        look(&self.0.table.lock())
    }

    /// Changes the table and wakes the task, whose next limit may have moved.
    pub fn write<T>(&self, change: impl FnOnce(&mut Table<R, S>) -> T) -> T {
        let result = change(&mut self.0.table.lock());
        self.0.changed.notify_one();
        result
    }
}

async fn enforce<R, S: Clone>(shared: &Shared<R, S>, on_end: impl Fn(Record<S>, R)) {
    loop {
        // The guard is gone before `on_end` runs: what a lease's end sets off may want the lock.
        let ended = shared.table.lock().expire(Now::read());
        for (record, resource) in ended {
            on_end(record, resource);
        }
        let next = shared.table.lock().next_limit();
        let limit = async {
            match next {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = limit => {}
            () = shared.changed.notified() => {}
        }
    }
}
