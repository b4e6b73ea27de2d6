//! The jail: bubblewrap around a browser's process tree.
//!
//! Inside there is the system to read, one directory to write to (the browser's own, under its own
//! path), and no process but those of the tree. The network is that of the machine. The whole tree
//! lives in a PID namespace of its own: with its first process the kernel kills every other one,
//! whatever group or session it went to.
//!
//! A broker that is root gives the browser a user that is nobody: *real*, not one mapped to root by a
//! user namespace. Mapped, the kernel would still know it as the owner of `/proc/sys`, which it may then
//! write to, and as root on every Unix socket.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Stdio,
    str::FromStr,
    time::Duration,
};

use tokio::{process::Command, time::sleep};

use super::{census, environment, executable::in_path, mounts::Mounts, rundir::PARTS};
use crate::deadline::Deadline;

/// The user and the group of a browser that is in a jail: Debian's `nobody` and `nogroup`, the
/// kernel's overflow ids. Those of nobody in particular.
const NOBODY: u32 = 65534;

/// Which jail is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Bubblewrap where it works, else none.
    Auto,
    /// Bubblewrap, or the broker does not start.
    Bwrap,
    /// None.
    None,
}

impl FromStr for Choice {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            "bwrap" => Ok(Self::Bwrap),
            "none" => Ok(Self::None),
            _ => Err(()),
        }
    }
}

/// Why there is no jail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A program is not there.
    #[error("{program} is not installed (Debian, Ubuntu: apt-get install {package})")]
    Missing {
        /// The program.
        program: &'static str,
        /// Where it comes from.
        package: &'static str,
    },
    /// It is there, and does not work here.
    #[error(
        "{} does not work here: {why}; it wants version 0.7 or newer and, unless the broker is root, \
         user namespaces for the unprivileged",
        program.display()
    )]
    Unusable {
        /// The program.
        program: PathBuf,
        /// What it said.
        why: String,
    },
    /// A browser's directory cannot be made for the trial.
    #[error("no directory to try the jail in: {0}")]
    Directory(String),
}

/// As whom a browser runs.
#[derive(Clone, Debug)]
enum Identity {
    /// As nobody in a user namespace, which is the broker's user outside.
    Mapped,
    /// As nobody, inside and outside; `setpriv` makes it so.
    Real { setpriv: PathBuf },
}

/// Bubblewrap, as it works on this machine.
#[derive(Clone, Debug)]
pub struct Jail {
    bwrap: PathBuf,
    identity: Identity,
    /// What else may be read.
    readable: Vec<PathBuf>,
    /// The size of `/dev/shm` in bytes; 0 for the kernel's usual half of the memory.
    shared_memory: u64,
    /// Whether user namespaces can be made inside, of which Chromium's own sandbox consists.
    namespaces: bool,
}

/// A command line.
#[derive(Clone, Debug)]
pub(super) struct Invocation {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
}

impl Jail {
    /// Finds bubblewrap in `PATH` and tries it, with `dir` as a browser's directory in `run_root`.
    ///
    /// # Errors
    /// See [`Error`].
    pub(super) async fn find(
        readable: Vec<PathBuf>,
        shared_memory: u64,
        (dir, run_root): (&Path, &Path),
        deadline: Deadline,
    ) -> Result<Self, Error> {
        let bwrap = program("bwrap", "bubblewrap")?;
        let identity = if nix::unistd::geteuid().is_root() {
            let setpriv = program("setpriv", "util-linux")?;
            Identity::Real { setpriv }
        } else {
            Identity::Mapped
        };
        let mut jail = Self {
            bwrap,
            identity,
            readable,
            shared_memory,
            namespaces: false,
        };
        let unusable = |why| Error::Unusable {
            program: jail.bwrap.clone(),
            why,
        };
        jail.own(dir).map_err(|error| unusable(error.to_string()))?;
        let place = (dir, run_root);
        let version: &[&str] = &["--version"];
        let tried = jail.try_out(version, place, deadline).await;
        tried.map_err(unusable)?;
        // Another one inside needs just what Chromium's sandbox does.
        let inner = jail.bwrap.to_string_lossy().into_owned();
        let inner: &[&str] = &[
            "--unshare-user",
            "--unshare-pid",
            "--unshare-net",
            "--ro-bind",
            "/",
            "/",
            "--",
            &inner,
            "--version",
        ];
        let within = jail.try_out(inner, place, deadline).await;
        if let Err(why) = &within {
            tracing::warn!(
                why,
                "user namespaces cannot be made in the jail: Chromium's own sandbox is off"
            );
        }
        jail.namespaces = within.is_ok();
        Ok(jail)
    }

    /// Whether Chromium can have its own sandbox inside.
    pub(super) const fn allows_sandbox(&self) -> bool {
        self.namespaces
    }

    /// Gives a browser its directory.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn own(&self, dir: &Path) -> io::Result<()> {
        if let Identity::Real { .. } = self.identity {
            chown(dir, Some(NOBODY), Some(NOBODY))?;
            for part in PARTS {
                chown(dir.join(part), Some(NOBODY), Some(NOBODY))?;
            }
        }
        Ok(())
    }

    /// How `program` is started in the jail. Its directory `dir` is below `run_root`, of which it
    /// sees nothing else.
    ///
    /// # Errors
    /// When the program is not there.
    pub(super) fn invoke(
        &self,
        program: &Path,
        args: impl IntoIterator<Item = OsString>,
        (dir, run_root): (&Path, &Path),
    ) -> io::Result<Invocation> {
        // A link may lead anywhere, also to where the jail has nothing.
        let program = program.canonicalize()?;
        let mut mounts = Mounts::system();
        mounts.devices(self.shared_memory);
        mounts.bind(&dir.join("tmp"), Path::new("/tmp"));
        let helper = match &self.identity {
            Identity::Real { setpriv } => Some(setpriv),
            Identity::Mapped => None,
        };
        for tool in [Some(&self.bwrap), helper, Some(&program)] {
            tool.into_iter()
                .for_each(|tool| mounts.program(tool, run_root, helper.is_some()));
        }
        for path in &self.readable {
            mounts.read_only(path);
        }
        mounts.only_home(dir, run_root);

        let mut all: Vec<OsString> = [
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-uts",
            "--unshare-cgroup-try",
            "--hostname",
            "browser",
            "--die-with-parent",
            "--cap-drop",
            "ALL",
        ]
        .map(OsString::from)
        .into();
        let nobody = NOBODY.to_string();
        let identity: &[&str] = match self.identity {
            Identity::Mapped => &["--unshare-user", "--uid", &nobody, "--gid", &nobody],
            // For setpriv, which gives them up; the last for the way to a directory that is nobody's.
            Identity::Real { .. } => &[
                "--cap-add",
                "CAP_SETUID",
                "--cap-add",
                "CAP_SETGID",
                "--cap-add",
                "CAP_DAC_READ_SEARCH",
            ],
        };
        all.extend(identity.iter().map(OsString::from));
        all.extend(mounts.into_args());
        all.push("--".into());
        if let Identity::Real { setpriv } = &self.identity {
            all.push(setpriv.into());
            let drop = ["--reuid", &nobody, "--regid", &nobody];
            all.extend(drop.map(OsString::from));
            let rest = ["--clear-groups", "--inh-caps", "-all", "--"];
            all.extend(rest.map(OsString::from));
        }
        all.push(program.into());
        all.extend(args);
        Ok(Invocation {
            program: self.bwrap.clone(),
            args: all,
        })
    }

    /// Runs bubblewrap itself, with `args`, in the jail.
    async fn try_out(
        &self,
        args: &[&str],
        place: (&Path, &Path),
        deadline: Deadline,
    ) -> Result<(), String> {
        let args = args.iter().map(OsString::from);
        let invocation = self.invoke(&self.bwrap, args, place);
        let Invocation { program, args } = invocation.map_err(|error| error.to_string())?;
        let child = Command::new(program)
            .args(args)
            .env_clear()
            .envs(environment::passed())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| error.to_string())?;
        let group = child.id().and_then(|pid| i32::try_from(pid).ok());
        let output = deadline.bound(child.wait_with_output()).await;
        // What bubblewrap started outlives it by a moment, and is ours to reap then.
        let reaped = async {
            while group.is_some_and(|group| !census::kill_group(group)) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let reaped = deadline.bound(reaped).await;
        let output = output.map_err(|_passed| "it did not end in time".to_owned())?;
        reaped.map_err(|_passed| "what it started did not end in time".to_owned())?;
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        Err(last.map_or_else(|| output.status.to_string(), str::to_owned))
    }
}

fn program(name: &'static str, package: &'static str) -> Result<PathBuf, Error> {
    let found = in_path(name).and_then(|path| fs::canonicalize(path).ok());
    found.ok_or(Error::Missing {
        program: name,
        package,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jail(identity: Identity) -> Jail {
        Jail {
            bwrap: "/usr/bin/bwrap".into(),
            identity,
            readable: vec!["/srv/fonts".into()],
            shared_memory: 1 << 30,
            namespaces: true,
        }
    }

    fn line(jail: &Jail) -> String {
        let place = (Path::new("/run/berth/i/browser-1"), Path::new("/run/berth"));
        let args = ["--headless".into()];
        let made = jail.invoke(Path::new("/bin/sh"), args, place).unwrap();
        let args: Vec<_> = made.args.iter().map(|arg| arg.to_string_lossy()).collect();
        args.join(" ")
    }

    #[test]
    fn root_becomes_a_real_nobody_and_others_a_mapped_one() {
        let real = line(&jail(Identity::Real {
            setpriv: "/usr/bin/setpriv".into(),
        }));
        assert!(!real.contains("--unshare-user"), "{real}");
        assert!(
            real.contains("-- /usr/bin/setpriv --reuid 65534 --regid 65534 --clear-groups"),
            "{real}"
        );
        let mapped = line(&jail(Identity::Mapped));
        assert!(mapped.contains("--unshare-user --uid 65534 --gid 65534"));
        assert!(!mapped.contains("CAP_SETUID") && !mapped.contains("setpriv"));
    }

    #[test]
    fn the_tree_stays_killable_from_outside_and_dies_with_the_broker() {
        let line = line(&jail(Identity::Mapped));
        assert!(line.contains("--unshare-pid") && line.contains("--die-with-parent"));
        // A session of its own is a process group of its own, which the broker would not know.
        assert!(!line.contains("--new-session"), "{line}");
        assert!(!line.contains("--unshare-net"), "{line}");
        assert!(line.ends_with("--headless"), "{line}");
    }

    #[test]
    fn only_three_words_choose() {
        assert_eq!("bwrap".parse(), Ok(Choice::Bwrap));
        assert_eq!("chroot".parse::<Choice>(), Err(()));
    }
}
