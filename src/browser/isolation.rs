//! What stands between a browser and the machine, found out once at the start.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    cgroup::{Cgroup, Cgroups},
    jail::{Choice, Error, Invocation, Jail},
    limits::Limits,
    rundir::RunDir,
};
use crate::deadline::Deadline;

/// How long the trial of the jail may take.
const TRIAL: Duration = Duration::from_secs(10);

/// The least that `/dev/shm` must hold for pages not to fail, in bytes.
const SHARED_MEMORY: u64 = 512 << 20;

/// The flag by which an operator, or Berth, does without Chromium's own sandbox.
pub(super) const NO_SANDBOX: &str = "--no-sandbox";

/// What an operator wants.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which jail.
    pub jail: Choice,
    /// What else browsers in a jail may read: absolute paths.
    pub readable: Vec<PathBuf>,
    /// What one browser may take.
    pub limits: Limits,
    /// Whether Chromium's own sandbox is not wanted.
    pub no_sandbox: bool,
}

/// What there is. The default is nothing but what Chromium does by itself.
#[derive(Clone, Debug, Default)]
pub struct Isolation {
    jail: Option<Jail>,
    cgroups: Option<Cgroups>,
}

/// A browser that is ready to be started.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) invocation: Invocation,
    pub(super) cgroup: Option<Cgroup>,
}

impl Isolation {
    /// Finds out what works here, and says so in the log.
    ///
    /// # Errors
    /// When a jail is wanted that does not work.
    pub async fn set_up(options: Options, run_dir: &RunDir) -> Result<Self, Error> {
        let limits = options.limits;
        let wanted = options.jail;
        let root = nix::unistd::geteuid().is_root();
        let (jail, no_jail) = match wanted {
            Choice::None => (None, "jail is none".to_owned()),
            Choice::Auto | Choice::Bwrap => {
                match find(options.readable, limits.memory, run_dir).await {
                    // Between the two walls the one around each page is the better.
                    Ok(jail) if wanted == Choice::Auto && !root && !jail.allows_sandbox() => (
                        None,
                        "Chromium's own sandbox would not work in it".to_owned(),
                    ),
                    Ok(jail) => (Some(jail), String::new()),
                    Err(why) if wanted == Choice::Auto => (None, why.to_string()),
                    Err(why) => return Err(why),
                }
            }
        };
        let name = run_dir.path().file_name().unwrap_or_default();
        let cgroups = Cgroups::delegated(&name.to_string_lossy(), limits);
        let (cgroups, no_cgroups) = match cgroups {
            Ok(cgroups) => (Some(cgroups), String::new()),
            Err(why) => (None, why),
        };
        let isolation = Self { jail, cgroups };
        tracing::info!(
            jail = if isolation.jail.is_some() {
                "bwrap"
            } else {
                "none"
            },
            no_jail,
            sandbox = isolation.allows_sandbox() && !options.no_sandbox,
            limits = if isolation.cgroups.is_some() {
                "cgroup"
            } else {
                "supervisor"
            },
            no_cgroups,
            "browser.isolation"
        );
        if root && isolation.jail.is_none() {
            tracing::warn!(
                no_jail,
                "running as root without a jail: Chromium's own sandbox is off, so a page that breaks \
                 out of the browser is root; install bubblewrap, or run as an unprivileged user"
            );
        }
        Ok(isolation)
    }

    /// Whether browsers are in a jail.
    #[must_use]
    pub const fn is_jailed(&self) -> bool {
        self.jail.is_some()
    }

    /// Whether the kernel holds browsers to their processor time.
    pub(super) const fn throttles(&self) -> bool {
        self.cgroups.is_some()
    }

    /// Whether Chromium's own sandbox can be on: it refuses to run it as root.
    pub(super) fn allows_sandbox(&self) -> bool {
        match &self.jail {
            Some(jail) => jail.allows_sandbox(),
            None => !nix::unistd::geteuid().is_root(),
        }
    }

    /// Makes ready to start `program` as the browser `name`, whose directory is `dir`.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn prepare(
        &self,
        name: &str,
        program: &Path,
        args: Vec<String>,
        dir: &Path,
        run_dir: &RunDir,
    ) -> io::Result<Start> {
        let args = args.into_iter().map(OsString::from);
        let invocation = match &self.jail {
            Some(jail) => {
                jail.own(dir)?;
                jail.invoke(program, args, (dir, run_dir.root()))?
            }
            None => Invocation {
                program: program.to_owned(),
                args: args.collect(),
            },
        };
        let cgroup = self.cgroups.as_ref().map(|groups| groups.browser(name));
        Ok(Start {
            invocation,
            cgroup: cgroup.transpose()?,
        })
    }
}

/// Finds a jail that works, in a directory that looks like a browser's.
async fn find(readable: Vec<PathBuf>, memory: u64, run_dir: &RunDir) -> Result<Jail, Error> {
    let dir = run_dir
        .browser("trial")
        .map_err(|error| Error::Directory(error.to_string()))?;
    let place = (&*dir, run_dir.root());
    // What a browser keeps there is measured only where it is mapped, so it has a limit of its own.
    let shared = if memory == 0 {
        0
    } else {
        memory.max(SHARED_MEMORY)
    };
    let jail = Jail::find(readable, shared, place, Deadline::after(TRIAL)).await;
    run_dir.discard(&dir);
    jail
}
