//! Which browser to start.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// Where browsers are installed, best first: the headless shell launches and renders about four
/// times as fast as a full browser. Debian's commands in `/usr/bin` are shell scripts around the
/// real programs, so the programs themselves come first.
const PLACES: [&str; 8] = [
    "/usr/lib/chromium/chromium-headless-shell",
    "/usr/lib/chromium-browser/chromium-headless-shell",
    "/opt/chrome-headless-shell/chrome-headless-shell",
    "/usr/lib/chromium/chromium",
    "/usr/lib/chromium-browser/chromium-browser",
    "/opt/google/chrome/chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/// Commands to look for in `PATH` after that.
const COMMANDS: [&str; 6] = [
    "chrome-headless-shell",
    "headless_shell",
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
];

/// A browser's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executable {
    /// Where it is.
    pub path: PathBuf,
}

/// There is no browser to start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// None of the known places has one.
    #[error(
        "no Chromium found; install one (Debian, Ubuntu: apt-get install chromium-headless-shell) \
         or name its program with --browser"
    )]
    NotFound,
    /// The configured one cannot be started.
    #[error("browser {}: {why}", path.display())]
    Unusable {
        /// The configured program.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl Executable {
    /// The configured program, or the best one that is installed.
    ///
    /// # Errors
    /// When there is none, or the configured one is no program this user may run.
    pub fn find(configured: Option<&Path>) -> Result<Self, Error> {
        match configured {
            Some(path) => Self::configured(path),
            None => candidates()
                .find(|path| runnable(path).is_ok())
                .map(|path| Self { path })
                .ok_or(Error::NotFound),
        }
    }

    fn configured(path: &Path) -> Result<Self, Error> {
        let found = if path.components().count() > 1 {
            Some(path.to_owned())
        } else {
            path.to_str().and_then(in_path)
        };
        let path = found.unwrap_or_else(|| path.to_owned());
        match runnable(&path) {
            Ok(()) => Ok(Self { path }),
            Err(why) => Err(Error::Unusable { path, why }),
        }
    }

    /// Whether it is the headless shell, which knows no other mode.
    #[must_use]
    pub fn is_shell(&self) -> bool {
        let name = self.path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.contains("headless"))
    }
}

fn candidates() -> impl Iterator<Item = PathBuf> {
    let places = PLACES.iter().map(PathBuf::from);
    places.chain(COMMANDS.iter().filter_map(|command| in_path(command)))
}

pub(super) fn in_path(command: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(command))
        .find(|candidate| runnable(candidate).is_ok())
}

fn runnable(path: &Path) -> Result<(), String> {
    let file = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !file.is_file() {
        return Err("is not a file".into());
    }
    nix::unistd::access(path, nix::unistd::AccessFlags::X_OK)
        .map_err(|errno| format!("cannot be executed: {}", errno.desc()))?;
    // An empty file would be "started" by a shell and exit with success.
    let mut first = [0];
    match std::fs::File::open(path).and_then(|mut file| file.read(&mut first)) {
        Ok(0) => Err("is empty".into()),
        // A program may be executable and yet not readable.
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_configured_program_must_be_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("browser");
        let why = |path: &Path| match Executable::find(Some(path)).unwrap_err() {
            Error::Unusable { why, .. } => why,
            Error::NotFound => panic!("a configured one is never searched for"),
        };
        assert!(why(&file).contains("No such file"));
        assert!(why(dir.path()).contains("not a file"));
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(why(&file).contains("cannot be executed"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(Executable::find(Some(&file)).unwrap().path, file);
    }

    #[test]
    fn the_headless_shell_is_known_by_its_name() {
        let shell = |path: &str| Executable { path: path.into() }.is_shell();
        assert!(shell("/usr/lib/chromium/chromium-headless-shell"));
        assert!(!shell("/usr/lib/chromium/chromium"));
    }
}
