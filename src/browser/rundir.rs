//! The run directory: where browsers keep their profiles, and how what a previous run left there
//! is swept.
//!
//! Each broker owns one *instance* directory below the run directory and holds a lock on it for
//! as long as it lives. An instance whose lock is free belonged to a broker that died: its
//! processes are killed and its files removed by the next broker that starts. Several brokers may
//! share one run directory.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::fcntl::{Flock, FlockArg};
use tokio::time::Instant;

use super::{census, files::FOLDER, removals::Removals};

const LOCK: &str = "lock";

/// The directories in that of a browser which Berth makes and both write to.
pub(super) const PARTS: [&str; 2] = ["tmp", FOLDER];

/// The instance directory of this broker. Removed when dropped.
#[derive(Debug)]
pub struct RunDir {
    instance: PathBuf,
    removals: Removals,
    /// Held for life: it tells the next broker that this one is alive.
    _lock: Flock<File>,
}

/// What a sweep found and removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Instance directories of dead brokers that were removed.
    pub instances: usize,
    /// Processes that still ran in them.
    pub processes: usize,
}

/// The run directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("run directory {}: {source}{}", path.display(), remedy(source))]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

/// What helps when it cannot be used.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; name one that this user may write to with --run-dir"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space there, or name another with --run-dir"
        }
        _ => "",
    }
}

impl RunDir {
    /// Where browsers live unless configured otherwise: `$XDG_RUNTIME_DIR/berth`, else a
    /// directory of this user's in the system's temporary directory.
    #[must_use]
    pub fn default_root() -> PathBuf {
        std::env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
            .map_or_else(
                || std::env::temp_dir().join(format!("berth-{}", nix::unistd::geteuid())),
                |dir| dir.join("berth"),
            )
    }

    /// Sweeps what dead brokers left below `root` and claims an instance directory there. What cannot be
    /// removed is tried again later: nobody else's ruin keeps a broker from its work.
    ///
    /// # Errors
    /// When the directory cannot be made, locked or written to, or belongs to another user.
    pub fn claim(root: &Path) -> Result<(Self, Swept), Error> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| Error { path, source }
        };
        make_private(root).map_err(at(root))?;
        let root = root.canonicalize().map_err(at(root))?;
        // One broker at a time sweeps and claims, so that no claim half made is taken for a ruin.
        let gate = File::create(root.join(LOCK)).map_err(at(&root))?;
        let _gate = Flock::lock(gate, FlockArg::LockExclusive)
            .map_err(|(_, errno)| at(&root)(errno.into()))?;
        let removals = Removals::default();
        let swept = sweep(&root, &removals).map_err(at(&root))?;
        // The number alone would not do: brokers in two containers may share a run directory.
        let tag: u32 = rand::random();
        let instance = root.join(format!("{}-{tag:08x}", std::process::id()));
        make_private(&instance).map_err(at(&instance))?;
        let lock = File::create(instance.join(LOCK)).map_err(at(&instance))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| at(&instance)(errno.into()))?;
        let dir = Self {
            instance,
            removals,
            _lock: lock,
        };
        Ok((dir, swept))
    }

    /// Makes the directory of one browser.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn browser(&self, name: &str) -> io::Result<PathBuf> {
        let dir = self.instance.join(name);
        let parts = PARTS.map(|part| dir.join(part));
        let made =
            make_private(&dir).and_then(|()| parts.iter().try_for_each(|one| make_private(one)));
        if made.is_err() {
            // A full disk may have let the half of it be made.
            self.discard(&dir);
        }
        made.map(|()| dir)
    }

    /// Removes the directory of a browser that is gone; one that cannot be removed now is tried
    /// again later. Blocking.
    pub(super) fn discard(&self, dir: &Path) {
        self.removals.remove(dir, Instant::now());
    }

    /// The directories that could not be removed yet.
    pub(super) const fn removals(&self) -> &Removals {
        &self.removals
    }

    /// How many browser directories exist.
    #[must_use]
    pub fn browsers(&self) -> usize {
        self.directories().len()
    }

    /// The browser directories there are.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        subdirectories(&self.instance).unwrap_or_default()
    }

    /// Removes the instance directory and what is in it, once nothing lives there any more.
    /// Idempotent.
    pub fn remove(&self) {
        match fs::remove_dir_all(&self.instance) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.instance.display(), %error, "run directory not removed");
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// The run directory itself, which other brokers may have instances in.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.instance.parent().unwrap_or(&self.instance)
    }

    /// The instance directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.instance
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Kills what still runs in the instances of dead brokers and removes their files.
fn sweep(root: &Path, removals: &Removals) -> io::Result<Swept> {
    let mut swept = Swept::default();
    for instance in subdirectories(root)? {
        let lock = instance.join(LOCK);
        // One that cannot be written to can be locked all the same.
        let lock = match File::create(&lock).or_else(|_| File::open(&lock)) {
            Ok(lock) => lock,
            Err(error) => {
                // It may be somebody's who lives: that cannot be told.
                tracing::warn!(path = %instance.display(), %error, "run_dir.not_swept");
                continue;
            }
        };
        let Ok(_dead) = Flock::lock(lock, FlockArg::LockExclusiveNonblock) else {
            continue;
        };
        swept.processes += census::kill_all_below(&instance, Duration::from_secs(5));
        if removals.remove(&instance, Instant::now()) {
            swept.instances += 1;
        }
    }
    Ok(swept)
}

fn subdirectories(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Makes a directory that only this user can enter, or checks that an existing one is this user's
/// own: in a shared temporary directory somebody else may have been there first.
fn make_private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(dir)?;
            if !found.is_dir() || found.uid() != nix::unistd::geteuid().as_raw() {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "exists and is not a directory of this user",
                ));
            }
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
        }
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_foreign_directory_are_told_with_their_remedies() {
        for (kind, said) in [
            (io::ErrorKind::StorageFull, "free some space"),
            (io::ErrorKind::PermissionDenied, "this user may write"),
            (io::ErrorKind::ReadOnlyFilesystem, "this user may write"),
        ] {
            let (path, source) = ("/run/berth".into(), kind.into());
            let told = Error { path, source }.to_string();
            assert!(told.contains(said) && told.contains("--run-dir"), "{told}");
        }
    }
}
