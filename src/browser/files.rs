//! The files of one browser: what its pages downloaded, and what was brought for them to upload.
//!
//! One flat directory inside of the browser's own, gone with it. Nothing in here follows a link or
//! leaves the directory: names are names, never paths.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chromiumoxide::cdp::browser_protocol::browser::{
    SetDownloadBehaviorBehavior, SetDownloadBehaviorParams,
};
use nix::fcntl::OFlag;
use tempfile::NamedTempFile;
use tokio::{
    io::AsyncWriteExt,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};

use super::cdp::{self, Cdp};
use crate::deadline::{Deadline, Passed};

/// The directory's name in the browser's own.
pub(super) const FOLDER: &str = "files";
/// What Chromium calls a download under way.
const UNDER_WAY: &str = ".crdownload";
/// Chromium keeps a name for a download with an empty file: one that stays empty for so long is whole.
const EMPTY: Duration = Duration::from_secs(2);
/// What an upload under way is called. Names that begin with a dot are nobody's else.
const COMING: &str = ".coming-";
/// The longest name, in bytes (`NAME_MAX` of Linux).
const MAX_NAME: usize = 255;

/// How much there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of all files together; 0 for no limit.
    pub bytes: u64,
    /// Files.
    pub files: usize,
}

/// What there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Files, those under way included.
    pub files: usize,
}

impl Quota {
    /// Whether `usage` is more than may be.
    #[must_use]
    pub const fn is_exceeded(&self, usage: Usage) -> bool {
        (self.bytes > 0 && usage.bytes > self.bytes) || usage.files > self.files
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its size in bytes, as far as it has come.
    pub size: u64,
    /// Whether all of it is there.
    pub complete: bool,
}

/// Why a file cannot be had or made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no name.
    #[error(
        "not a name for a file: 1 to 255 bytes of UTF-8 without slashes and control characters, \
         that do not begin with a dot"
    )]
    Name,
    /// There is none of that name.
    #[error("no such file")]
    Missing,
    /// It would be more than may be.
    #[error("the files of a lease may have {} bytes and be {} at most", .0.bytes, .0.files)]
    Full(Quota),
    /// Another upload took too long.
    #[error("another upload is under way")]
    Busy(#[from] Passed),
    /// The directory fails.
    #[error("the directory of files fails: {0}")]
    Io(#[from] io::Error),
}

/// Has the browser at `cdp` save into `dir` what pages of its default context download, under the
/// names that they suggest; what had one is replaced. Without that the headless shell refuses downloads, and Chromium saves
/// them into a directory of the user's.
pub(super) async fn save_downloads(
    cdp: &Cdp,
    dir: &Path,
    deadline: Deadline,
) -> Result<(), cdp::Error> {
    let mut save = SetDownloadBehaviorParams::new(SetDownloadBehaviorBehavior::Allow);
    save.download_path = Some(dir.to_string_lossy().into_owned());
    cdp.call(None, save, deadline).await.map(drop)
}

/// The files of one browser; clones share them.
#[derive(Clone, Debug)]
pub struct Files {
    dir: PathBuf,
    quota: Quota,
    /// One upload at a time, so that two do not share what is left of the quota.
    turn: Arc<Semaphore>,
}

impl Files {
    pub(super) fn new(dir: PathBuf, quota: Quota) -> Self {
        let turn = Arc::new(Semaphore::new(1));
        Self { dir, quota, turn }
    }

    /// The directory: absolute, without links in it.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// How much there may be.
    #[must_use]
    pub const fn quota(&self) -> Quota {
        self.quota
    }

    /// What there is. Short, on a thread of its own.
    ///
    /// # Errors
    /// When the directory cannot be read; one that is gone with its browser is empty.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn usage(&self) -> io::Result<Usage> {
        let dir = self.dir.clone();
        blocking(move || usage(&dir)).await
    }

    /// The files, by name. Names that are not UTF-8 are shown as well as they can be.
    ///
    /// # Errors
    /// As [`Files::usage`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn list(&self) -> io::Result<Vec<Entry>> {
        let dir = self.dir.clone();
        blocking(move || {
            let mut found = Vec::new();
            look(&dir, |name, file| {
                if !name.starts_with('.') {
                    let age = file.modified().ok().and_then(|at| at.elapsed().ok());
                    let written = file.len() > 0 || age.is_some_and(|age| age > EMPTY);
                    found.push(Entry {
                        name: name.to_owned(),
                        size: file.len(),
                        complete: written && !name.ends_with(UNDER_WAY),
                    });
                }
            })?;
            found.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(found)
        })
        .await
    }

    /// Opens the file `name`, and tells how long it is.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Missing`], also for what is no plain file, [`Error::Io`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn open(&self, name: &str) -> Result<(tokio::fs::File, u64), Error> {
        let path = self.path(name)?;
        let (file, size) = blocking(move || {
            let file = OpenOptions::new()
                .read(true)
                .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits())
                .open(path)?;
            let found = file.metadata()?;
            if !found.is_file() {
                return Err(io::ErrorKind::NotFound.into());
            }
            Ok((file, found.len()))
        })
        .await
        .map_err(missing)?;
        Ok((tokio::fs::File::from_std(file), size))
    }

    /// Removes the file `name`.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Missing`], [`Error::Io`].
    ///
    /// # Cancel safety
    /// It may be removed all the same.
    pub async fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name)?;
        blocking(move || fs::remove_file(path))
            .await
            .map_err(missing)
    }

    /// Begins to bring a file of that name, of `size` bytes if that is known, once no other is on
    /// its way.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Busy`] at the deadline, [`Error::Full`], [`Error::Io`].
    ///
    /// # Cancel safety
    /// Yes: nothing is left.
    pub async fn bring(
        &self,
        name: &str,
        size: Option<u64>,
        deadline: Deadline,
    ) -> Result<Bringing, Error> {
        let path = self.path(name)?;
        let turn = Arc::clone(&self.turn).acquire_owned();
        // It is never closed.
        let turn = deadline.bound(turn).await?.map_err(io::Error::other)?;
        let (dir, quota) = (self.dir.clone(), self.quota);
        let (file, room) = blocking(move || {
            let mut usage = usage(&dir)?;
            // What it replaces goes only when it is there.
            usage.files += 1;
            let room = match quota.bytes {
                0 => u64::MAX,
                most => most.saturating_sub(usage.bytes),
            };
            let full = quota.is_exceeded(usage) || size.is_some_and(|size| size > room);
            let file = (!full).then(|| coming(&dir));
            Ok((file.transpose()?, room))
        })
        .await?;
        let file = file.ok_or(Error::Full(quota))?;
        let writer = tokio::fs::File::from_std(file.as_file().try_clone()?);
        Ok(Bringing {
            path,
            file,
            writer,
            room,
            come: 0,
            quota,
            _turn: turn,
        })
    }

    fn path(&self, name: &str) -> Result<PathBuf, Error> {
        let plain = (1..=MAX_NAME).contains(&name.len())
            && !name.starts_with('.')
            && !name.contains(|c: char| c == '/' || c.is_control());
        plain.then(|| self.dir.join(name)).ok_or(Error::Name)
    }
}

/// A file on its way in. Dropped before its end, nothing of it is left.
#[derive(Debug)]
pub struct Bringing {
    path: PathBuf,
    file: NamedTempFile,
    writer: tokio::fs::File,
    /// How many bytes there is room for.
    room: u64,
    come: u64,
    quota: Quota,
    _turn: OwnedSemaphorePermit,
}

impl Bringing {
    /// Appends `bytes`.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Io`].
    ///
    /// # Cancel safety
    /// No: some of the bytes may be there.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.come = self.come.saturating_add(bytes.len() as u64);
        if self.come > self.room {
            return Err(Error::Full(self.quota));
        }
        Ok(self.writer.write_all(bytes).await?)
    }

    /// Gives it its name; what had that name is replaced. Returns its path and how long it is.
    ///
    /// # Errors
    /// [`Error::Io`].
    ///
    /// # Cancel safety
    /// It may be there all the same.
    pub async fn finish(mut self) -> Result<(PathBuf, u64), Error> {
        self.writer.flush().await?;
        let (path, come) = (self.path.clone(), self.come);
        blocking(move || {
            let Self { path, file, .. } = self;
            file.persist(path).map_err(|error| error.error)
        })
        .await?;
        Ok((path, come))
    }
}

/// A file in `dir` that has no name yet. It belongs to whom the directory does: a browser in a jail may be
/// another user.
fn coming(dir: &Path) -> io::Result<NamedTempFile> {
    let file = tempfile::Builder::new().prefix(COMING).tempfile_in(dir)?;
    let (owner, made) = (fs::metadata(dir)?, file.as_file().metadata()?);
    if made.uid() != owner.uid() {
        fchown(file.as_file(), Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(file)
}

fn usage(dir: &Path) -> io::Result<Usage> {
    let mut usage = Usage::default();
    look(dir, |_, file| {
        usage.bytes += file.len();
        usage.files += 1;
    })?;
    Ok(usage)
}

/// Tells name and metadata of each file of `dir`. What goes meanwhile is passed over.
fn look(dir: &Path, mut tell: impl FnMut(&str, &fs::Metadata)) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries.flatten() {
        if let Ok(found) = entry.metadata()
            && found.is_file()
        {
            tell(&entry.file_name().to_string_lossy(), &found);
        }
    }
    Ok(())
}

/// A link is as good as none.
fn missing(error: io::Error) -> Error {
    const LOOP: i32 = nix::errno::Errno::ELOOP as i32;
    match error.kind() {
        io::ErrorKind::NotFound => Error::Missing,
        _ if error.raw_os_error() == Some(LOOP) => Error::Missing,
        _ => Error::Io(error),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(10))
    }

    fn some(dir: &Path) -> Files {
        let quota = Quota {
            bytes: 10,
            files: 2,
        };
        Files::new(dir.to_owned(), quota)
    }

    #[tokio::test]
    async fn what_is_brought_is_there_and_what_is_not_finished_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let files = some(dir.path());
        let mut one = files.bring("a b.txt", None, soon()).await.unwrap();
        one.write(b"12345").await.unwrap();
        assert!(files.list().await.unwrap().is_empty(), "it is not whole");
        assert_eq!(files.usage().await.unwrap().bytes, 5, "it counts");
        let second = files.bring("b", None, Deadline::after(Duration::ZERO));
        assert!(matches!(second.await, Err(Error::Busy(_))));
        let (path, size) = one.finish().await.unwrap();
        assert_eq!((path, size), (dir.path().join("a b.txt"), 5));

        let mut two = files.bring("b", None, soon()).await.unwrap();
        two.write(b"12345").await.unwrap();
        let more = two.write(b"6").await;
        assert!(matches!(more, Err(Error::Full(_))), "{more:?}");
        drop(two);
        let large = files.bring("b", Some(6), soon()).await;
        assert!(matches!(large, Err(Error::Full(_))), "{large:?}");
        let usage = files.usage().await.unwrap();
        assert_eq!(usage, Usage { bytes: 5, files: 1 }, "nothing is left");

        let (mut file, size) = files.open("a b.txt").await.unwrap();
        let mut content = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut file, &mut content)
            .await
            .unwrap();
        assert_eq!((content.as_str(), size), ("12345", 5));
        files.remove("a b.txt").await.unwrap();
        let again = files.remove("a b.txt").await;
        assert!(matches!(again, Err(Error::Missing)), "{again:?}");
    }

    #[tokio::test]
    async fn there_are_no_ways_out_of_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let files = some(dir.path());
        for name in [
            "",
            ".",
            "..",
            "../x",
            "/etc/passwd",
            "a/b",
            ".hidden",
            "a\0b",
            "a\nb",
            &"x".repeat(256),
        ] {
            let opened = files.open(name).await;
            assert!(matches!(opened, Err(Error::Name)), "{name:?}");
            let brought = files.bring(name, None, soon()).await;
            assert!(matches!(brought, Err(Error::Name)), "{name:?}");
            let removed = files.remove(name).await;
            assert!(matches!(removed, Err(Error::Name)), "{name:?}");
        }
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("link")).unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();
        for name in ["link", "folder", "none"] {
            let opened = files.open(name).await;
            assert!(matches!(opened, Err(Error::Missing)), "{name}: {opened:?}");
        }
        assert!(files.list().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn names_say_what_is_under_way_and_their_number_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let files = some(dir.path());
        fs::write(dir.path().join("a.bin.crdownload"), "1").unwrap();
        fs::write(dir.path().join("b"), "2").unwrap();
        let list = files.list().await.unwrap();
        assert_eq!(
            list.iter().map(|one| one.complete).collect::<Vec<_>>(),
            [false, true]
        );
        let third = files.bring("c", None, soon()).await;
        assert!(matches!(third, Err(Error::Full(_))), "{third:?}");
        let usage = files.usage().await.unwrap();
        assert!(!files.quota().is_exceeded(usage));
        fs::write(dir.path().join("c"), "").unwrap();
        let list = files.list().await.unwrap();
        assert!(!list[2].complete, "an empty file may be a download's place");
        let usage = files.usage().await.unwrap();
        assert!(files.quota().is_exceeded(usage));
        drop(dir);
        assert_eq!(files.usage().await.unwrap(), Usage::default(), "gone");
    }
}
