//! The table: every setting once. Flags, keys, variables, help, documentation and parsing all come
//! from here.

mod auth;
mod egress;
mod fetching;
mod health;
mod isolation;
mod leases;
mod logging;
mod owners;
mod security;

use std::time::Duration;

use Preset::{Found, Nothing, Text};

use self::{
    auth::AUTH, egress::EGRESS, fetching::FETCHING, health::HEALTH, isolation::ISOLATION,
    leases::LEASES, logging::LOGGING, owners::OWNERS, security::SECURITY,
};
use super::kind::Kind;
use crate::browser::RunDir;

/// One setting.
pub(super) struct Setting {
    /// Its flag without the dashes; the other names follow from it.
    pub(super) flag: &'static str,
    pub(super) kind: Kind,
    pub(super) default: Preset,
    /// One sentence.
    pub(super) help: &'static str,
}

/// Settings that are shown together.
pub(super) struct Group {
    pub(super) heading: &'static str,
    pub(super) settings: &'static [Setting],
}

/// What holds when no source says anything.
pub(super) enum Preset {
    /// This text.
    Text(&'static str),
    /// Nothing, and what follows from that.
    Nothing(&'static str),
    /// What is found on this machine, and how that is called.
    Found(fn() -> String, &'static str),
}

impl Preset {
    /// The value as text.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => (*text).to_owned(),
            Self::Nothing(_) => String::new(),
            Self::Found(find, _) => find(),
        }
    }
}

impl Setting {
    /// Its key in a file.
    pub(super) fn key(&self) -> String {
        self.flag.replace('-', "_")
    }

    /// Its environment variable.
    pub(super) fn variable(&self) -> String {
        format!("BERTH_{}", self.key().to_uppercase())
    }
}

/// All settings, in the order in which they are shown.
pub(super) fn settings() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(|group| group.settings)
}

const fn setting(flag: &'static str, default: Preset, kind: Kind, help: &'static str) -> Setting {
    Setting {
        flag,
        kind,
        default,
        help,
    }
}

const TENTH: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

pub(super) const GROUPS: &[Group] = &[
    Group {
        heading: "Server",
        settings: SERVER,
    },
    Group {
        heading: "Who may call",
        settings: AUTH,
    },
    Group {
        heading: "Browsers",
        settings: BROWSERS,
    },
    Group {
        heading: "Isolation",
        settings: ISOLATION,
    },
    Group {
        heading: "Leases",
        settings: LEASES,
    },
    Group {
        heading: "Security",
        settings: SECURITY,
    },
    Group {
        heading: "Fetching",
        settings: FETCHING,
    },
    Group {
        heading: "Egress",
        settings: EGRESS,
    },
    Group {
        heading: "Owners",
        settings: OWNERS,
    },
    Group {
        heading: "Health",
        settings: HEALTH,
    },
    Group {
        heading: "Logging",
        settings: LOGGING,
    },
];

const SERVER: &[Setting] = &[
    setting(
        "listen",
        Text("127.0.0.1:50051"),
        Kind::Address(|c| &mut c.listen),
        "Where the gRPC API listens; port 0 for any free one",
    ),
    setting(
        "gateway-listen",
        Text("127.0.0.1:50052"),
        Kind::Address(|c| &mut c.gateway_listen),
        "Where the CDP gateway listens; port 0 for any free one",
    ),
    setting(
        "gateway-public-url",
        Nothing("the address it listens on"),
        Kind::Url(|c| &mut c.gateway_public_url),
        "The base URL by which clients reach the gateway, for example behind a proxy",
    ),
    setting(
        "ops-listen",
        Text("127.0.0.1:9464"),
        Kind::Address(|c| &mut c.ops_listen),
        "Where health checks and metrics are served; port 0 for any free one",
    ),
    setting(
        "max-connections",
        Text("1000"),
        Kind::Usize(1..=100_000, |c| &mut c.max_connections),
        "gRPC connections at the same time; further ones wait to be accepted",
    ),
    setting(
        "grpc-keepalive-interval",
        Text("10s"),
        Kind::Duration(SECOND..=HOUR, |c| &mut c.grpc_keepalive_interval),
        "How often a quiet gRPC connection is asked whether its client is still there",
    ),
    setting(
        "grpc-keepalive-timeout",
        Text("5s"),
        Kind::Duration(SECOND..=HOUR, |c| &mut c.grpc_keepalive_timeout),
        "How long the answer may take before the connection is cut, and with it what is held over it",
    ),
    setting(
        "max-message-size",
        Text("16MiB"),
        Kind::Size(64 << 10..=1 << 30, |c| &mut c.max_message_size),
        "The longest gRPC message taken or sent",
    ),
    setting(
        "node",
        Found(host_name, "the host name"),
        Kind::Name(|c| &mut c.node),
        "The name of this broker in what it reports",
    ),
    setting(
        "shutdown-timeout",
        Text("10s"),
        Kind::Duration(Duration::ZERO..=HOUR, |c| &mut c.shutdown_timeout),
        "How long running work has to end when the broker is told to stop",
    ),
];

const BROWSERS: &[Setting] = &[
    setting(
        "browser",
        Nothing("the first that is found"),
        Kind::Executable(|c| &mut c.browser),
        "The Chromium or Chrome to launch",
    ),
    setting(
        "browser-args",
        Nothing("none"),
        Kind::Words(|c| &mut c.browser_args),
        "Flags added to every browser's command line",
    ),
    setting(
        "run-dir",
        Found(
            run_dir,
            "`$XDG_RUNTIME_DIR/berth`, else `berth-<uid>` among temporary files",
        ),
        Kind::Directory(|c| &mut c.run_dir),
        "Where running browsers keep their profiles; brokers may share it",
    ),
    setting(
        "max-browsers",
        Text("3"),
        Kind::U32(1..=1000, |c| &mut c.max_browsers),
        "Browsers at the same time, of whatever use",
    ),
    setting(
        "min-warm",
        Text("1"),
        Kind::U32(0..=1000, |c| &mut c.min_warm),
        "Warm browsers kept ready; at most max_browsers",
    ),
    setting(
        "seats-per-browser",
        Text("8"),
        Kind::Usize(1..=100, |c| &mut c.seats_per_browser),
        "Isolated contexts at the same time in one shared browser",
    ),
    setting(
        "queue",
        Text("100"),
        Kind::Usize(0..=100_000, |c| &mut c.queue),
        "Callers that may wait for a browser, and fetches for a connection or a page; the next is refused at once",
    ),
    setting(
        "launch-timeout",
        Text("30s"),
        Kind::Duration(SECOND..=Duration::from_secs(600), |c| &mut c.launch_timeout),
        "How long a browser has to start",
    ),
    setting(
        "health-check-timeout",
        Text("5s"),
        Kind::Duration(TENTH..=MINUTE, |c| &mut c.health_check_timeout),
        "How long a browser has to answer a check",
    ),
    setting(
        "health-check-interval",
        Text("5s"),
        Kind::Duration(TENTH..=HOUR, |c| &mut c.health_check_interval),
        "How often every browser is checked",
    ),
    setting(
        "browser-max-age",
        Text("300s"),
        Kind::Duration(SECOND..=MONTH, |c| &mut c.browser_max_age),
        "A browser older than this is not used again",
    ),
    setting(
        "browser-idle-timeout",
        Text("60s"),
        Kind::Duration(SECOND..=MONTH, |c| &mut c.browser_idle_timeout),
        "A browser beyond the warm ones is retired when unused for this long",
    ),
    setting(
        "browser-max-uses",
        Text("1000"),
        Kind::U64(1..=1_000_000_000, |c| &mut c.browser_max_uses),
        "A shared browser is retired after so many fetches",
    ),
    setting(
        "browser-max-drift",
        Text("4"),
        Kind::U32(0..=1000, |c| &mut c.browser_max_drift),
        "A shared browser is retired when it takes so many times as long to open a page as when it \
         was fresh; 0 for never",
    ),
    setting(
        "browser-memory-limit",
        Text("2GiB"),
        Kind::Limit(64 << 20..=16 << 40, |c| &mut c.browser_memory_limit),
        "A browser whose processes take more memory than this together is killed",
    ),
];

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".into())
}

fn run_dir() -> String {
    let root = RunDir::default_root();
    // The system's temporary directory may be named relative to this process.
    let root = std::path::absolute(&root).unwrap_or(root);
    root.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::Config;

    #[test]
    fn every_setting_has_its_own_names_and_a_default_that_it_takes() {
        let mut names = BTreeSet::new();
        for setting in settings() {
            assert!(
                names.insert(setting.flag),
                "{} is there twice",
                setting.flag
            );
            let plain = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(setting.flag.chars().all(plain), "{}", setting.flag);
            assert!(!setting.help.is_empty() && !setting.help.ends_with('.'));
            let text = setting.default.text();
            let applied = setting.kind.apply(&mut Config::unset(), &text);
            assert_eq!(applied, Ok(()), "the default of {}", setting.flag);
        }
    }

    #[test]
    fn every_setting_has_its_own_field() {
        let fields = |config: &Config| format!("{config:#?}");
        let unset = fields(&Config::unset());
        let mut changed = BTreeSet::new();
        for setting in settings() {
            let effect = [
                "wss://h/",
                "http://h/",
                "/x",
                "--x",
                "64MiB",
                "7s",
                "7",
                "json",
                "report",
                "none",
                "1.2.3.4:5",
                "trace",
                "nothing",
                "true",
                "role=admin",
                "open",
                "required",
                "request",
                "off",
            ]
            .iter()
            .find_map(|text| {
                let mut config = Config::unset();
                setting.kind.apply(&mut config, text).ok()?;
                Some(fields(&config)).filter(|fields| *fields != unset)
            });
            let effect = effect.unwrap_or_else(|| panic!("{} has no effect", setting.flag));
            assert!(changed.insert(effect), "{} is like another", setting.flag);
        }
    }

    #[test]
    fn names_follow_from_the_flag() {
        let setting = settings()
            .find(|setting| setting.flag == "lease-max-ttl")
            .unwrap();
        assert_eq!(setting.key(), "lease_max_ttl");
        assert_eq!(setting.variable(), "BERTH_LEASE_MAX_TTL");
    }
}
