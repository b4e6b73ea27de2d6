//! What a jail shows: bubblewrap's list of mounts, in the order in which they cover each other.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Directories of the system that hold programs and libraries. On most systems all but `/usr` are
/// links into it.
const SYSTEM: [&str; 9] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
];

/// What else Chromium and its libraries read: where hosts and certificates are known, fonts, the
/// time zone, an administrator's policies. Nothing that names users or holds a secret.
const SETTINGS: [&str; 19] = [
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/chromium",
    "/etc/crypto-policies",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/opt/chrome",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/resolv.conf",
    "/etc/ssl/certs",
];

/// Written by fontconfig; without it every launch reads every font.
const FONT_CACHE: &str = "/var/cache/fontconfig";

/// Bubblewrap's arguments.
#[derive(Debug)]
pub(super) struct Mounts {
    args: Vec<OsString>,
    /// Directories that are there already.
    made: BTreeSet<PathBuf>,
    /// What can be read with all below it.
    shown: Vec<PathBuf>,
}

impl Mounts {
    /// The system, to be read.
    pub(super) fn system() -> Self {
        let mut mounts = Self {
            args: Vec::new(),
            made: BTreeSet::new(),
            shown: Vec::new(),
        };
        for name in SYSTEM {
            let path = Path::new(name);
            match fs::read_link(path) {
                Ok(target) => {
                    mounts.say("--symlink", &[&target, path]);
                    mounts.shown.push(path.to_owned());
                }
                Err(_) => mounts.read_only(path),
            }
        }
        for name in SETTINGS {
            mounts.read_only(Path::new(name));
        }
        mounts.read_only(Path::new(FONT_CACHE));
        mounts
    }

    /// `/proc` and `/dev` of its own, with `shared_memory` bytes in `/dev/shm` (0: the kernel's
    /// usual half of the memory).
    pub(super) fn devices(&mut self, shared_memory: u64) {
        let (dev, shm) = (Path::new("/dev"), Path::new("/dev/shm"));
        self.say("--proc", &[Path::new("/proc")]);
        self.say("--dev", &[dev]);
        // There is no session of its own, so the broker's terminal must not be there.
        self.say(
            "--dev-bind",
            &[Path::new("/dev/null"), Path::new("/dev/tty")],
        );
        self.args.extend(["--perms", "1777"].map(OsString::from));
        if shared_memory > 0 {
            self.args.push("--size".into());
            self.args.push(shared_memory.to_string().into());
        }
        self.say("--tmpfs", &[shm]);
        // Else its files would be memory without a limit.
        self.say("--remount-ro", &[dev]);
    }

    /// `from` under the name `to`, to be written to.
    pub(super) fn bind(&mut self, from: &Path, to: &Path) {
        self.way_to(to);
        self.say("--bind", &[from, to]);
        self.made.insert(to.to_owned());
    }

    /// `path`, to be read, when it is there and not shown already.
    pub(super) fn read_only(&mut self, path: &Path) {
        let shown = |one: &PathBuf| path.starts_with(one);
        if self.shown.iter().any(shown) || !path.exists() {
            return;
        }
        self.way_to(path);
        self.say("--ro-bind-try", &[path, path]);
        self.shown.push(path.to_owned());
    }

    /// A program with the directory it is in, where its libraries are. Only the file where that
    /// directory holds what is nobody's business: somebody's home, or the browsers of `run_root`; or
    /// where it is closed to `nobody`, as whom the program may have to run.
    pub(super) fn program(&mut self, path: &Path, run_root: &Path, nobody: bool) {
        let home = env::home_dir();
        let secret = [
            Path::new("/etc"),
            Path::new("/tmp"),
            Path::new("/var"),
            run_root,
        ];
        let mut secret = secret.into_iter().chain(home.as_deref());
        let dir = path.parent().unwrap_or(path);
        let open = |dir: &Path| fs::metadata(dir).is_ok_and(|dir| dir.mode() & 0o5 == 0o5);
        let whole = secret.all(|secret| !secret.starts_with(dir)) && (!nobody || open(dir));
        self.read_only(if whole { dir } else { path });
    }

    /// Of `run_root` nothing but `dir`, which is where it starts. The last of all.
    pub(super) fn only_home(&mut self, dir: &Path, run_root: &Path) {
        self.way_to(run_root);
        self.args.extend(["--perms", "0755"].map(OsString::from));
        self.say("--tmpfs", &[run_root]);
        self.made.insert(run_root.to_owned());
        // What was shown below it is covered.
        self.shown.retain(|path| !run_root.starts_with(path));
        self.bind(dir, dir);
        self.say("--remount-ro", &[run_root]);
        self.say("--chdir", &[dir]);
        self.say("--remount-ro", &[Path::new("/")]);
    }

    pub(super) fn into_args(self) -> Vec<OsString> {
        self.args
    }

    /// The directories that lead to `path`: bubblewrap would make them for the owner alone, which the
    /// browser need not be.
    fn way_to(&mut self, path: &Path) {
        let mut way: Vec<_> = path.ancestors().skip(1).collect();
        way.reverse();
        for dir in way.into_iter().skip(1) {
            let shown = self.shown.iter().any(|one| dir.starts_with(one));
            if !shown && self.made.insert(dir.to_owned()) {
                self.args.extend(["--perms", "0755"].map(OsString::from));
                self.say("--dir", &[dir]);
            }
        }
    }

    fn say(&mut self, option: &str, paths: &[&Path]) {
        self.args.push(option.into());
        self.args.extend(paths.iter().map(|path| path.into()));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn text(mounts: Mounts) -> String {
        let args = mounts.into_args();
        let args: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
        args.join(" ")
    }

    #[test]
    fn nothing_that_names_users_or_holds_keys_is_shown() {
        let all = text(Mounts::system());
        for secret in [
            "passwd",
            "shadow",
            "private",
            "/root",
            "/home",
            "machine-id",
        ] {
            assert!(!all.contains(secret), "{secret}: {all}");
        }
        assert!(all.contains("/usr"));
    }

    #[test]
    fn a_program_brings_its_directory_unless_that_holds_more() {
        let root = tempfile::tempdir().unwrap();
        let (app, run) = (root.path().join("app"), root.path().join("run"));
        fs::create_dir(&app).unwrap();
        for program in [app.join("chrome"), root.path().join("chrome")] {
            fs::write(program, "x").unwrap();
        }
        let shown = |program: &Path, nobody| {
            let mut mounts = Mounts::system();
            mounts.program(program, &run, nobody);
            text(mounts)
        };
        let of = |program: &Path| shown(program, false);
        let whole = format!("--ro-bind-try {0} {0}", app.display());
        let chrome = app.join("chrome");
        assert!(of(&chrome).ends_with(&whole));
        let mode = |mode| fs::set_permissions(&app, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o755);
        assert!(shown(&chrome, true).ends_with(&whole));
        mode(0o700);
        assert!(
            !shown(&chrome, true).ends_with(&whole),
            "nobody could not enter it"
        );
        let alone = root.path().join("chrome");
        let alone_is = format!("--ro-bind-try {0} {0}", alone.display());
        assert!(of(&alone).ends_with(&alone_is));
        // What is in the system is there already.
        assert_eq!(of(Path::new("/usr/bin/env")), text(Mounts::system()));
    }

    #[test]
    fn the_browsers_own_directory_comes_last_and_alone() {
        let mut mounts = Mounts::system();
        mounts.only_home(Path::new("/r/i/browser-1"), Path::new("/r"));
        let all = text(mounts);
        assert!(
            all.ends_with(
                "--perms 0755 --tmpfs /r --perms 0755 --dir /r/i \
                 --bind /r/i/browser-1 /r/i/browser-1 --remount-ro /r --chdir /r/i/browser-1 \
                 --remount-ro /"
            ),
            "{all}"
        );
    }
}
