//! Answers that outlive the process: a file each, the longest unused deleted first.
//!
//! A file is written beside its place and moved there, so that it is whole or not there; it ends
//! with a digest, so that one that is not what was written is a miss. Nothing here blocks a worker
//! of the runtime, and nobody waits for a write.

use std::{
    fs, io,
    io::{Read, Write},
    path::PathBuf,
    sync::Arc,
    time::SystemTime,
};

use lru::LruCache;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{Entry, stored, url_of};
use crate::{deadline::Deadline, drain::Drain};

/// The store; clones share one.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    limit: u64,
    index: Mutex<Index>,
    /// Why the last write failed; `None` once one succeeds.
    error: Mutex<Option<String>>,
    /// Bounds the threads that read or write at once. Who finds none free goes without.
    hands: Arc<Semaphore>,
    drain: Drain,
}

/// The files there are, the longest unused last, and their sizes.
#[derive(Debug)]
struct Index {
    files: LruCache<String, u64>,
    bytes: u64,
}

const HANDS: usize = 4;
/// How often is tried whether a disk that failed takes something again.
const PROBE: std::time::Duration = std::time::Duration::from_millis(500);

/// The end of the name of a file that is being written.
const UNFINISHED: &str = ".part";

impl Disk {
    /// The store in `dir`, which is made if it is not there. What an earlier process left comes to
    /// be known in the background.
    pub(super) fn open(dir: PathBuf, limit: u64, drain: &Drain) -> io::Result<Self> {
        let mut make = fs::DirBuilder::new();
        make.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut make, 0o700);
        make.create(&dir)?;
        // Whether it can be written to shows now and not with the first answer.
        drop(
            tempfile::Builder::new()
                .suffix(UNFINISHED)
                .tempfile_in(&dir)?,
        );
        let disk = Self(Arc::new(Inner {
            dir,
            limit,
            index: Mutex::new(Index {
                files: LruCache::unbounded(),
                bytes: 0,
            }),
            error: Mutex::default(),
            hands: Arc::new(Semaphore::new(HANDS)),
            drain: drain.clone(),
        }));
        let inner = Arc::clone(&disk.0);
        disk.work(move || inner.take_stock());
        Ok(disk)
    }

    /// What is kept by `key`.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn read(&self, key: &str, deadline: Deadline) -> Option<Entry> {
        let name = name(key);
        self.0.index.lock().files.get(&name)?;
        let hand = Arc::clone(&self.0.hands).try_acquire_owned().ok()?;
        let inner = Arc::clone(&self.0);
        let key = key.to_owned();
        let work = tokio::task::spawn_blocking(move || {
            let _hand = hand;
            let read = inner.get(&name).ok();
            let entry = read.and_then(|bytes| unpack(bytes, url_of(&key)));
            if entry.is_none() {
                inner.delete(&name);
            }
            entry
        });
        let work = self.0.drain.spawn(work);
        deadline.bound(work).await.ok()?.ok()?.ok()?
    }

    /// Keeps an answer by `key`, unless too many are being written already.
    pub(super) fn write(&self, key: &str, entry: Arc<Entry>) {
        let Ok(hand) = Arc::clone(&self.0.hands).try_acquire_owned() else {
            return;
        };
        let (inner, key) = (Arc::clone(&self.0), key.to_owned());
        self.work(move || {
            let _hand = hand;
            let written = pack(&entry).and_then(|bytes| inner.put(&name(&key), &bytes));
            match written {
                Ok(()) => *inner.error.lock() = None,
                Err(error) => inner.failed(&error),
            }
        });
    }

    /// Forgets what is kept by `key`.
    pub(super) fn forget(&self, key: &str) {
        let name = name(key);
        if self.0.index.lock().files.contains(&name) {
            let inner = Arc::clone(&self.0);
            self.work(move || inner.delete(&name));
        }
    }

    /// Why the last answer could not be kept; `None` once one can.
    pub(super) fn error(&self) -> Option<String> {
        self.0.error.lock().clone()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.index.lock().bytes
    }

    fn work(&self, work: impl FnOnce() + Send + 'static) {
        // Tracked, so that the exit waits for it.
        self.0.drain.spawn(tokio::task::spawn_blocking(work));
    }
}

impl Inner {
    /// Notes that a write failed, and tries in the background until one succeeds: there may be no
    /// other for long.
    fn failed(self: &Arc<Self>, error: &io::Error) {
        if self.error.lock().replace(error.to_string()).is_some() {
            return;
        }
        tracing::warn!(%error, "cache.write_failed");
        let (inner, cut) = (Arc::clone(self), self.drain.cut_token());
        self.drain.spawn(async move {
            let recovered = async {
                while inner.error.lock().is_some() {
                    tokio::time::sleep(PROBE).await;
                    let probed = Arc::clone(&inner);
                    // One that panicked is tried again like one that failed.
                    let _ = tokio::task::spawn_blocking(move || probed.probe()).await;
                }
            };
            cut.run_until_cancelled(recovered).await
        });
    }

    /// Whether something can be written again.
    fn probe(&self) {
        let write = || {
            let mut file = tempfile::Builder::new()
                .suffix(UNFINISHED)
                .tempfile_in(&self.dir)?;
            file.write_all(&[0; 64 << 10])
        };
        let written: io::Result<()> = write();
        *self.error.lock() = written.err().map(|error| error.to_string());
    }

    /// The longest file that is written, and so the longest that is read.
    const fn longest(&self) -> u64 {
        self.limit / 4
    }

    fn get(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = fs::File::open(self.dir.join(name))?;
        // One byte more, so that a longer one has no digest at its end and is a miss.
        file.take(self.longest() + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let size = bytes.len() as u64;
        if size > self.longest() {
            return Ok(());
        }
        let mut file = tempfile::Builder::new()
            .suffix(UNFINISHED)
            .tempfile_in(&self.dir)?;
        file.write_all(bytes)?;
        file.persist(self.dir.join(name))
            .map_err(|failed| failed.error)?;
        for old in self.index.lock().add(name, size, self.limit) {
            // One that is gone already is what we want.
            let _ = fs::remove_file(self.dir.join(old));
        }
        Ok(())
    }

    fn delete(&self, name: &str) {
        let mut index = self.index.lock();
        if let Some(size) = index.files.pop(name) {
            index.bytes -= size;
        }
        drop(index);
        let _ = fs::remove_file(self.dir.join(name));
    }

    /// Learns what is there, the oldest first, and deletes what is too much or unfinished.
    fn take_stock(&self) {
        let mut found = Vec::new();
        for file in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let (Ok(name), Ok(meta)) = (file.file_name().into_string(), file.metadata()) else {
                continue;
            };
            let ours = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            if meta.is_file() && ours {
                let modified = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push((modified, name, meta.len()));
            } else if name.ends_with(UNFINISHED) && is_old(&meta) {
                let _ = fs::remove_file(file.path());
            }
        }
        found.sort_unstable();
        for (_, name, size) in found {
            let mut index = self.index.lock();
            // What was written meanwhile is newer than what was found.
            let excess = if index.files.contains(&name) {
                Vec::new()
            } else {
                index.add(&name, size, self.limit)
            };
            drop(index);
            for old in excess {
                let _ = fs::remove_file(self.dir.join(old));
            }
        }
    }
}

/// Whether whoever wrote it must have died.
fn is_old(meta: &fs::Metadata) -> bool {
    const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);
    let age = meta.modified().ok().and_then(|at| at.elapsed().ok());
    age.is_some_and(|age| age > HOUR)
}

impl Index {
    /// Adds a file, and says which ones have to go.
    fn add(&mut self, name: &str, size: u64, limit: u64) -> Vec<String> {
        self.bytes += size;
        if let Some(before) = self.files.put(name.to_owned(), size) {
            self.bytes -= before;
        }
        let mut excess = Vec::new();
        while self.bytes > limit {
            let Some((name, size)) = self.files.pop_lru() else {
                break;
            };
            self.bytes -= size;
            excess.push(name);
        }
        excess
    }
}

/// The name of the file that is kept by `key`.
fn name(key: &str) -> String {
    hex(&Sha256::digest(key))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a file begins with: the form of what follows.
pub(super) const FORM: &[u8; 8] = b"berth\0\0\x01";
const DIGEST: usize = 32;

/// Form, length of the head, head, body, digest of all that.
pub(super) fn pack(entry: &Entry) -> io::Result<Vec<u8>> {
    let head = serde_json::to_vec(&stored::Head::of(entry))?;
    let length = u32::try_from(head.len()).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(FORM.len() + 4 + head.len() + entry.body.len() + DIGEST);
    bytes.extend_from_slice(FORM);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(&entry.body);
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    Ok(bytes)
}

pub(super) fn unpack(bytes: Vec<u8>, url: &str) -> Option<Entry> {
    let (content, digest) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST)?)?;
    if Sha256::digest(content).as_slice() != digest {
        return None;
    }
    let rest = content.strip_prefix(FORM)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let head: stored::Head = serde_json::from_slice(rest.get(..length)?).ok()?;
    let body = FORM.len() + 4 + length..content.len();
    let body = bytes::Bytes::from(bytes).slice(body);
    head.entry(body, url)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, StatusCode, Uri, Version};
    use tokio::runtime::Handle;

    use super::{
        super::{
            super::exchange::{Answer, Times},
            Question,
        },
        *,
    };

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(5))
    }

    fn entry(url: &'static str, body: &'static [u8]) -> Arc<Entry> {
        let mut headers = HeaderMap::new();
        headers.append("etag", HeaderValue::from_static("\"1\""));
        headers.append("x-odd", HeaderValue::from_bytes(b"gr\xfcn").unwrap());
        headers.append("x-odd", HeaderValue::from_static("second"));
        let answer = Answer {
            status: StatusCode::NOT_FOUND,
            version: Version::HTTP_2,
            headers: headers.clone(),
            body: Bytes::from_static(body),
            coded: false,
            times: Times::default(),
        };
        let question = Question::new(Uri::from_static(url), headers);
        Arc::new(Entry::new(&question, &answer, SystemTime::now()))
    }

    /// Waits until nothing is under way.
    async fn idle(disk: &Disk) {
        while disk.0.hands.available_permits() < HANDS {
            tokio::task::yield_now().await;
        }
    }

    async fn kept(disk: &Disk, url: &'static str, body: &'static [u8]) {
        disk.write(url, entry(url, body));
        idle(disk).await;
    }

    /// A store that knows what is there.
    async fn open(dir: &std::path::Path, limit: u64) -> Disk {
        let disk = Disk::open(dir.to_owned(), limit, &Drain::new(Handle::current())).unwrap();
        disk.0.take_stock();
        disk
    }

    #[tokio::test]
    async fn answers_outlive_their_process() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("made/on/the/way");
        kept(&open(&dir, 1 << 20).await, "http://a/", b"the body").await;
        let again = open(&dir, 1 << 20).await;
        let read = again.read("http://a/", soon()).await.unwrap();
        let wrote = entry("http://a/", b"the body");
        assert_eq!(read.body, wrote.body);
        assert_eq!(read.headers, wrote.headers);
        assert_eq!(read.question.headers(), wrote.question.headers());
        assert_eq!((read.status, read.version), (wrote.status, wrote.version));
        assert!(again.read("http://b/", soon()).await.is_none());
        again.forget("http://a/");
        for _ in 0..500 {
            if again.bytes() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(again.read("http://a/", soon()).await.is_none());
    }

    #[tokio::test]
    async fn what_is_damaged_is_a_miss_and_gone() {
        let dir = tempfile::tempdir().unwrap();
        let disk = open(dir.path(), 1 << 20).await;
        for damage in 0..4 {
            kept(&disk, "http://a/", b"the body").await;
            let path = dir.path().join(name("http://a/"));
            let mut bytes = fs::read(&path).unwrap();
            match damage {
                0 => bytes.truncate(bytes.len() / 2),
                1 => bytes.clear(),
                2 => bytes[60] ^= 1,
                _ => fs::remove_file(&path).unwrap(),
            }
            if damage < 3 {
                fs::write(&path, bytes).unwrap();
            }
            assert!(disk.read("http://a/", soon()).await.is_none(), "{damage}");
            assert!(!path.exists());
            assert_eq!(disk.bytes(), 0);
        }
        // Whole, with something without end behind it.
        kept(&disk, "http://a/", b"the body").await;
        let path = dir.path().join(name("http://a/"));
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        assert!(disk.read("http://a/", soon()).await.is_none());
        assert!(!path.exists());
        // Whole, but of another URL.
        kept(&disk, "http://a/", b"the body").await;
        let path = |url| dir.path().join(name(url));
        fs::rename(path("http://a/"), path("http://b/")).unwrap();
        let disk = open(dir.path(), 1 << 20).await;
        assert!(disk.read("http://b/", soon()).await.is_none());
    }

    #[tokio::test]
    async fn a_disk_that_fails_is_told_until_it_takes_something_again() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("cache");
        let disk = open(&dir, 1 << 20).await;
        kept(&disk, "http://a/", b"the body").await;
        assert_eq!(disk.error(), None);
        fs::remove_dir_all(&dir).unwrap();
        kept(&disk, "http://b/", b"the body").await;
        assert!(disk.error().is_some());
        fs::create_dir(&dir).unwrap();
        // Nobody writes any more, and yet it is noticed.
        for _ in 0..1000 {
            if disk.error().is_none() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(disk.error(), None);
    }

    #[tokio::test]
    async fn the_longest_unused_makes_room() {
        static BODY: [u8; 4000] = [7; 4000];
        let dir = tempfile::tempdir().unwrap();
        let disk = open(dir.path(), 20_000).await;
        for url in ["http://a/", "http://b/", "http://c/", "http://d/"] {
            kept(&disk, url, &BODY).await;
        }
        assert!(disk.read("http://a/", soon()).await.is_some(), "used again");
        kept(&disk, "http://e/", &BODY).await;
        assert!(disk.bytes() <= 20_000);
        assert!(disk.read("http://b/", soon()).await.is_none());
        assert!(disk.read("http://a/", soon()).await.is_some());
        let files = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(files, 4);
        let smaller = open(dir.path(), 10_000).await;
        assert!(smaller.bytes() <= 10_000);
        static LARGE: [u8; 8000] = [7; 8000];
        kept(&smaller, "http://large/", &LARGE).await;
        assert!(smaller.read("http://large/", soon()).await.is_none());
    }
}
