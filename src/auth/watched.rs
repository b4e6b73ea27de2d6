//! Files that are read again when they change.
//!
//! What counts is their content, not their times or numbers: a mounted secret changes by a link that
//! points elsewhere, an editor by a new file, and both may keep the old time.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use super::Error;
use crate::metrics::{Metrics, Reload};

/// The largest file that is read, in bytes: more is no list of keys.
const LARGEST: u64 = 4 << 20;

/// What is wrong, and with which of the files.
pub(super) type Wrong = (usize, String);

/// Makes something of the content of the files, in their order.
type Parse<T> = dyn Fn(&[Vec<u8>]) -> Result<T, Wrong> + Send + Sync;

/// A setting and the file that it names.
pub(super) type Named = (&'static str, PathBuf);

/// What some files say together. A new content takes the place of the old one only when all of it is
/// right, so that a pair of which one half is written already changes nothing.
pub(super) struct Watched<T> {
    files: Vec<Named>,
    parse: Box<Parse<T>>,
    state: Mutex<State<T>>,
}

struct State<T> {
    current: Arc<T>,
    /// What was last looked at, whether it was right or not: the same is not said twice.
    seen: Seen,
}

/// The content of the files, or why it cannot be had, in short.
type Seen = [u8; 32];

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.files).finish()
    }
}

impl<T> Watched<T> {
    /// Reads `files` for the first time.
    ///
    /// # Errors
    /// [`Error`] names the setting, the file and what is wrong with it.
    pub(super) async fn read(
        files: Vec<Named>,
        parse: impl Fn(&[Vec<u8>]) -> Result<T, Wrong> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let (seen, contents) = contents(&files).await;
        let current = contents
            .and_then(|contents| parse(&contents))
            .map_err(|wrong| named(&files, wrong))?;
        let current = Arc::new(current);
        Ok(Self {
            files,
            parse: Box::new(parse),
            state: Mutex::new(State { current, seen }),
        })
    }

    /// What holds.
    pub(super) fn get(&self) -> Arc<T> {
        Arc::clone(&self.state.lock().current)
    }

    /// Looks at the files again. What is wrong with them is said once, and what they said before
    /// goes on to hold.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn refresh(&self, metrics: &Metrics) {
        let (seen, contents) = contents(&self.files).await;
        if self.state.lock().seen == seen {
            return;
        }
        let read = contents.and_then(|contents| (self.parse)(&contents));
        let mut state = self.state.lock();
        state.seen = seen;
        match read {
            Ok(new) => {
                state.current = Arc::new(new);
                metrics.auth_reloaded(Reload::Ok);
                let setting = self.files.first().map(|(setting, _)| *setting);
                tracing::info!(setting, "auth.reloaded");
            }
            Err(wrong) => {
                metrics.auth_reloaded(Reload::Failed);
                let error = named(&self.files, wrong);
                tracing::error!(%error, "auth.reload_failed");
            }
        }
    }
}

fn named(files: &[Named], (which, why): Wrong) -> Error {
    let (setting, path) = files.get(which).cloned().unwrap_or_default();
    Error { setting, path, why }
}

async fn contents(files: &[Named]) -> (Seen, Result<Vec<Vec<u8>>, Wrong>) {
    let mut all = Vec::new();
    let mut hash = Sha256::new();
    for (which, (_, path)) in files.iter().enumerate() {
        match content(path).await {
            Ok(content) => {
                hash.update(Sha256::digest(&content));
                all.push(content);
            }
            Err(error) => {
                hash.update(error.to_string());
                let why = format!("cannot be read: {error}");
                return (hash.finalize().into(), Err((which, why)));
            }
        }
    }
    (hash.finalize().into(), Ok(all))
}

async fn content(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let file = tokio::fs::File::open(path).await?;
    let read = file.take(LARGEST + 1).read_to_end(&mut content).await?;
    if read as u64 > LARGEST {
        return Err(io::Error::other(format!(
            "it has more than {LARGEST} bytes"
        )));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn number(contents: &[Vec<u8>]) -> Result<u32, Wrong> {
        let text = |which: usize| String::from_utf8_lossy(&contents[which]).into_owned();
        if text(0) != text(1) {
            return Err((1, "does not fit the first".into()));
        }
        text(0).parse().map_err(|_| (0, "is no number".into()))
    }

    #[tokio::test]
    async fn half_a_pair_changes_nothing_and_a_whole_one_does() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let metrics = Metrics::new().unwrap();
        let files = || vec![("first", a.clone()), ("second", b.clone())];
        let missing = Watched::read(files(), number).await.unwrap_err();
        assert!(missing.to_string().starts_with("first: "), "{missing}");
        fs::write(&a, "1").unwrap();
        fs::write(&b, "1").unwrap();
        let watched = Watched::read(files(), number).await.unwrap();
        fs::write(&a, "2").unwrap();
        watched.refresh(&metrics).await;
        assert_eq!(*watched.get(), 1);
        fs::write(&b, "2").unwrap();
        watched.refresh(&metrics).await;
        assert_eq!(*watched.get(), 2);
        fs::remove_file(&a).unwrap();
        watched.refresh(&metrics).await;
        assert_eq!(*watched.get(), 2);
    }
}
