//! What is kept of answers: a private cache by RFC 9111, bounded in bytes, in memory and, when a
//! directory is given, on disk.
//!
//! * [`Entry`] knows when an answer serves; [`rules`] say what is kept at all; [`Flights`] make one
//!   of equal requests; [`Disk`] outlives the process; [`rendered`] keeps what browsers made.
//! * Each party has its own: nothing that was fetched for one serves another.
//! * Nothing here waits for an origin: `obtain` does, and asks here before and after.

mod disk;
mod entry;
mod flights;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzz;
mod rendered;
pub(super) mod rules;
mod stored;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::HeaderMap;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter, sync, sync::DefaultLifecycle};

use self::{disk::Disk, rendered::Rendered};
pub(super) use self::{
    entry::{Entry, Question, Serves},
    flights::{Flights, Outcome, Part},
};
use super::response::CacheState;
use crate::{deadline::Deadline, drain::Drain, fair::Party, metrics::Metrics};

/// The bounds of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// How much is kept in memory, in bytes; 0 for no cache at all.
    pub memory: u64,
    /// Where answers are kept across restarts; `None` for nowhere.
    pub dir: Option<PathBuf>,
    /// How much is kept there, in bytes.
    pub disk: u64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            dir: None,
            disk: 1 << 30,
        }
    }
}

/// How the cache is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheLoad {
    /// Whether there is one.
    pub enabled: bool,
    /// What it takes of memory, in bytes.
    pub bytes: u64,
    /// What it may take.
    pub max_bytes: u64,
    /// Answers kept in memory.
    pub entries: u64,
    /// What it takes of the disk, in bytes.
    pub disk_bytes: u64,
    /// Why the last answer could not be kept there; `None` once one can.
    pub disk_error: Option<String>,
    /// Requests that had to do with it.
    pub requests: u64,
    /// Of these were answered without asking the origin for the whole answer: hits, revalidated
    /// and coalesced ones.
    pub hits: u64,
}

/// What answers are kept by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// An answer's [`key`].
    Url(Arc<str>),
    /// The digest of all that shapes a rendering.
    Rendering([u8; 32]),
}

#[derive(Clone, Debug)]
enum Kept {
    /// Of one URL, the latest first.
    Variants(Arc<Vec<Arc<Entry>>>),
    Rendered(Arc<Rendered>),
}

/// So many answers of one URL are kept that vary by the request.
const MOST_VARIANTS: usize = 4;

#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<Key, Kept> for Bytes {
    fn weight(&self, key: &Key, kept: &Kept) -> u64 {
        let key = match key {
            Key::Url(url) => url.len() as u64,
            Key::Rendering(digest) => digest.len() as u64,
        };
        key + match kept {
            Kept::Variants(all) => all.iter().map(|entry| entry.weight()).sum::<u64>(),
            Kept::Rendered(one) => one.weight(),
        }
    }
}

/// The cache of one fetcher.
#[derive(Debug)]
pub(super) struct Cache {
    kept: sync::Cache<Key, Kept, Bytes>,
    pub(super) flights: Flights,
    disk: Option<Disk>,
    metrics: Metrics,
    requests: AtomicU64,
    hits: AtomicU64,
}

impl Cache {
    /// The cache that `config` wants, if any.
    ///
    /// # Errors
    /// When its directory cannot be used.
    pub(super) fn new(
        config: &CacheConfig,
        drain: &Drain,
        metrics: &Metrics,
    ) -> io::Result<Option<Self>> {
        /// A shard bounds the largest answer that can be kept.
        const SHARD: u64 = 16 << 20;
        const USUAL: usize = 32 << 10;
        if config.memory == 0 {
            return Ok(None);
        }
        let dir = config.dir.clone().filter(|_| config.disk > 0);
        let disk = dir
            .map(|dir| Disk::open(dir, config.disk, drain))
            .transpose()?;
        let shards = usize::try_from(config.memory / SHARD).unwrap_or(usize::MAX);
        let items = usize::try_from(config.memory).unwrap_or(usize::MAX) / USUAL;
        let options = OptionsBuilder::new()
            .shards(shards.clamp(1, 16))
            .estimated_items_capacity(items.max(16))
            .weight_capacity(config.memory)
            .build()
            .map_err(io::Error::other)?;
        let (hash, life) = (DefaultHashBuilder::default(), DefaultLifecycle::default());
        Ok(Some(Self {
            kept: sync::Cache::with_options(options, Bytes, hash, life),
            flights: Flights::new(),
            disk,
            metrics: metrics.clone(),
            requests: AtomicU64::new(0),
            hits: AtomicU64::new(0),
        }))
    }

    /// What is kept by `key` for `question`, and whether it serves.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn look(
        &self,
        key: &str,
        question: &Question,
        max_age: Option<Duration>,
        deadline: Deadline,
    ) -> Option<Found> {
        let now = SystemTime::now();
        let in_memory = self.variants(key);
        let found = find(&in_memory, question, max_age, now);
        if found.is_some() {
            return found;
        }
        // What memory has of this question is what the disk had.
        if in_memory.iter().any(|entry| entry.is_like(question)) {
            return None;
        }
        let entry = Arc::new(self.disk.as_ref()?.read(key, deadline).await?);
        self.keep_in_memory(key, Arc::clone(&entry));
        find(&[entry], question, max_age, now)
    }

    /// Keeps an answer by `key`.
    pub(super) fn keep(&self, key: &str, entry: &Arc<Entry>) {
        self.keep_in_memory(key, Arc::clone(entry));
        if let Some(disk) = &self.disk {
            disk.write(key, Arc::clone(entry));
        }
    }

    /// Forgets what is kept by `key`.
    pub(super) fn forget(&self, key: &str) {
        self.kept.remove(&Key::Url(key.into()));
        if let Some(disk) = &self.disk {
            disk.forget(key);
        }
    }

    /// Counts what a request had of the cache.
    pub(super) fn count(&self, state: CacheState) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if !matches!(state, CacheState::Miss | CacheState::Bypass) {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
        self.metrics.cache_requested(state.as_str());
    }

    pub(super) fn load(&self) -> CacheLoad {
        CacheLoad {
            enabled: true,
            bytes: self.kept.weight(),
            max_bytes: self.kept.capacity(),
            entries: self.kept.len() as u64,
            disk_bytes: self.disk.as_ref().map_or(0, Disk::bytes),
            disk_error: self.disk.as_ref().and_then(Disk::error),
            requests: self.requests.load(Ordering::Relaxed),
            hits: self.hits.load(Ordering::Relaxed),
        }
    }

    fn variants(&self, key: &str) -> Arc<Vec<Arc<Entry>>> {
        match self.kept.get(&Key::Url(key.into())) {
            Some(Kept::Variants(all)) => all,
            _ => Arc::default(),
        }
    }

    fn keep_in_memory(&self, key: &str, entry: Arc<Entry>) {
        let others = self.variants(key);
        let others = others
            .iter()
            .filter(|other| !other.is_like(&entry.question));
        let mut all = vec![Arc::clone(&entry)];
        all.extend(others.take(MOST_VARIANTS - 1).cloned());
        let kept = Kept::Variants(Arc::new(all));
        self.kept.insert(Key::Url(key.into()), kept);
    }
}

/// By what the answers of `url` are kept for `party`: what one has fetched no other can find out, be it
/// by what it is answered or by how fast.
pub(super) fn key(party: &Party, url: &str) -> String {
    format!("{}\n{url}", party.key())
}

/// The URL in a [`key`].
fn url_of(key: &str) -> &str {
    key.rsplit_once('\n').map_or(key, |(_, url)| url)
}

/// What is kept that is of use.
#[derive(Debug)]
pub(super) enum Found {
    /// It serves.
    Fresh(Arc<Entry>),
    /// It may, once the origin is asked with these headers besides.
    Asked(Arc<Entry>, HeaderMap),
}

fn find(
    all: &[Arc<Entry>],
    question: &Question,
    max_age: Option<Duration>,
    now: SystemTime,
) -> Option<Found> {
    let mut asked = None;
    for entry in all {
        match entry.serves(question, max_age, now) {
            Serves::Fresh => return Some(Found::Fresh(Arc::clone(entry))),
            Serves::Asked(headers) if asked.is_none() => {
                asked = Some(Found::Asked(Arc::clone(entry), headers));
            }
            Serves::Asked(_) | Serves::No => {}
        }
    }
    asked
}
