//! Loading as a whole: who wins, what is refused, what is printed.

use std::{fs, path::PathBuf, time::Duration};

use clap::Command;
use tempfile::TempDir;

use super::*;

fn try_load(flags: &[&str], env: &[(&str, &str)]) -> Result<Settings, Problems> {
    let command = Command::new("serve").args(args());
    let words = ["serve"].into_iter().chain(flags.iter().copied());
    let matches = command.try_get_matches_from(words).unwrap();
    let env = env
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()));
    load(&matches, env)
}

fn refused(flags: &[&str], env: &[(&str, &str)]) -> String {
    try_load(flags, env).unwrap_err().to_string()
}

fn file(text: &str) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("berth.toml");
    fs::write(&path, text).unwrap();
    (dir, path.to_str().unwrap().to_owned())
}

#[test]
fn nothing_said_is_the_default() {
    let settings = try_load(&[], &[]).unwrap();
    assert_eq!(settings.config(), Config::default());
    assert!(settings.warnings().is_empty());
    assert_eq!(settings.source("queue"), Some(&Source::Default));
    assert_eq!(settings.source("no_such"), None);
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let (_dir, path) = file("max_browsers = 4\nqueue = 5\n\nlease_ttl = '7s'\n");
    let settings = try_load(
        &["--config", &path, "--max-browsers", "6"],
        &[
            ("BERTH_MAX_BROWSERS", "8"),
            ("BERTH_QUEUE", "9"),
            ("BERTH_LEASE_TTL", ""),
            ("BERTH_CONFIG", "/overridden/by/the/flag"),
        ],
    )
    .unwrap();
    let config = settings.config();
    assert_eq!(config.max_browsers, 6);
    assert_eq!(config.queue, 9);
    assert_eq!(config.lease_ttl, Duration::from_secs(7));
    assert_eq!(config.min_warm, 1);
    let source = |key| settings.source(key).unwrap().to_string();
    assert_eq!(source("max_browsers"), "--max-browsers");
    assert_eq!(source("queue"), "BERTH_QUEUE");
    assert_eq!(source("lease_ttl"), format!("{path}:4"));
    assert_eq!(source("min_warm"), "default");
}

#[test]
fn the_environment_names_a_file_too() {
    let (_dir, path) = file("queue = 5");
    let settings = try_load(&[], &[("BERTH_CONFIG", &path)]).unwrap();
    assert_eq!(settings.config().queue, 5);
}

#[test]
fn optional_settings_can_be_taken_back() {
    let env = [
        ("BERTH_BROWSER", "/opt/chrome"),
        ("BERTH_BROWSER_ARGS", "--a  --b=c"),
    ];
    let config = try_load(&[], &env).unwrap().config();
    assert_eq!(config.browser, Some(PathBuf::from("/opt/chrome")));
    assert_eq!(config.browser_args, ["--a", "--b=c"]);

    let config = try_load(&["--browser", "", "--browser-args", "--d"], &env)
        .unwrap()
        .config();
    assert_eq!(config.browser, None);
    assert_eq!(config.browser_args, ["--d"]);
}

#[test]
fn everything_wrong_is_told_at_once() {
    let (_dir, path) = file("max_browser = 3\nqueue = 100001\nlease_ttl = '2h'\n");
    let told = refused(
        &[
            "--config",
            &path,
            "--max-browsers",
            "-1",
            "--listen",
            "localhost:1",
        ],
        &[
            ("BERTH_FETCH_TIMEOUT", "30"),
            ("BERTH_LOG_LEVEL", "berth=loud"),
            ("BERTH_OPS_LISTEN", "127.0.0.1:50052"),
        ],
    );
    let wanted = [
        format!("max_browser ({path}:1): is no setting; did you mean max_browsers?"),
        "listen (--listen): must be an IP address and a port such as 127.0.0.1:8080, not \
         \"localhost:1\""
            .into(),
        "max_browsers (--max-browsers): must be 1 to 1000, not \"-1\"".into(),
        format!("queue ({path}:2): must be 0 to 100000, not \"100001\""),
        "fetch_timeout (BERTH_FETCH_TIMEOUT): must be 100ms to 1day, not \"30\": a unit is \
         missing, as in 30s"
            .into(),
        "log_level (BERTH_LOG_LEVEL): must be a level or directives such as info,berth=debug, \
         not \"berth=loud\""
            .into(),
        format!(
            "lease_ttl ({path}:3): must not be more than lease_max_ttl (default): 2h is more \
             than 1h"
        ),
        "ops_listen (BERTH_OPS_LISTEN): 127.0.0.1:50052 is taken by gateway_listen (default)"
            .into(),
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), wanted);
}

#[test]
fn every_setting_names_itself_when_it_is_refused() {
    for setting in table::settings() {
        let wrong = "\u{1}";
        let mut config = Config::unset();
        if setting.kind.apply(&mut config, wrong).is_ok() {
            continue;
        }
        let told = refused(&[], &[(&setting.variable(), wrong)]);
        let start = format!("{} ({}): must be ", setting.key(), setting.variable());
        assert!(told.starts_with(&start), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn settings_must_fit_each_other() {
    for (low, high, value) in [
        ("min_warm", "--max-browsers", ["2", "1"]),
        ("lease_ttl", "--lease-max-ttl", ["31s", "30s"]),
        ("lease_lifetime", "--lease-max-lifetime", ["31s", "30s"]),
        ("fetch_timeout", "--fetch-max-timeout", ["31s", "30s"]),
    ] {
        let variable = format!("BERTH_{}", low.to_uppercase());
        let told = refused(&[high, value[1]], &[(&variable, value[0])]);
        assert!(
            told.starts_with(&format!("{low} ({variable}): must not be more")),
            "{told}"
        );
        assert!(told.contains(&format!("({high})")), "{told}");
        assert!(try_load(&[high, value[1]], &[(&variable, value[1])]).is_ok());
    }
    let free = ["--listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0"];
    assert!(try_load(&free, &[]).is_ok());
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let told = refused(&["--config", "/no/such/berth.toml", "--queue", "x"], &[]);
    assert!(
        told.starts_with("config (/no/such/berth.toml): cannot be read: "),
        "{told}"
    );
    assert!(told.contains("\nqueue (--queue): "), "{told}");
}

#[test]
fn strange_variables_and_open_addresses_are_worth_a_word() {
    let settings = try_load(
        &["--listen", "0.0.0.0:50051", "--insecure-no-auth"],
        &[
            ("BERTH_TOKEN", "x"),
            ("BERTH_MAX_BROWSER", "3"),
            ("BERTH_XYZZY", "1"),
            ("BERTH_ENDPOINT", "http://127.0.0.1:50051"),
            ("BERTH_CDP_URL", "ws://127.0.0.1:50052"),
            ("BERTH_LEASE_ID", "x"),
            ("BERTH_LOG_STYLE", "x"),
            ("BERTH_PORT_50051_TCP_ADDR", "10.0.0.1"),
            ("HOME", "/"),
        ],
    )
    .unwrap();
    assert_eq!(
        settings.warnings(),
        [
            "BERTH_MAX_BROWSER is no setting; did you mean BERTH_MAX_BROWSERS?",
            "BERTH_XYZZY is no setting",
            "listen: nobody is asked who they are: a browser on this machine is at the command of \
             whoever reaches 0.0.0.0:50051",
        ]
    );
}

#[test]
fn nothing_is_open_by_accident() {
    let tokens = ["--auth-tokens", "tokens.toml"];
    for address in [
        "0.0.0.0:1",
        "[::]:1",
        "10.0.0.1:1",
        "[fd00::1]:1",
        "[::ffff:10.0.0.1]:1",
    ] {
        for flag in ["--listen", "--ops-listen"] {
            let told = refused(&[flag, address], &[]);
            let name = flag.trim_start_matches('-').replace('-', "_");
            assert!(
                told.starts_with(&format!("{name} ({flag}): others")),
                "{told}"
            );
            for remedy in ["auth_tokens", "berth token new", "insecure_no_auth"] {
                assert!(told.contains(remedy), "{told}");
            }
            assert_eq!(told.lines().count(), 1, "{told}");
            let mut flags = vec![flag, address];
            flags.extend(tokens);
            assert!(try_load(&flags, &[]).is_ok(), "{flags:?}");
            let env = [("BERTH_INSECURE_NO_AUTH", "true")];
            let open = try_load(&[flag, address], &env).unwrap();
            assert_eq!(open.warnings().len(), 1, "{:?}", open.warnings());
        }
    }
    for address in [
        "127.0.0.1:1",
        "127.8.8.8:1",
        "[::1]:1",
        "[::ffff:127.0.0.1]:1",
    ] {
        let silent = try_load(&["--listen", address], &[]).unwrap();
        assert!(silent.warnings().is_empty(), "{:?}", silent.warnings());
    }
    // A lease's path is the permission there.
    assert!(try_load(&["--gateway-listen", "0.0.0.0:1"], &[]).is_ok());
    assert!(try_load(&["--ops-listen", "0.0.0.0:1", "--ops-auth", "off"], &[]).is_ok());
    let (_dir, path) = file("listen = '0.0.0.0:1'\ninsecure_no_auth = true\n");
    assert!(try_load(&["--config", &path], &[]).is_ok());
}

#[test]
fn a_password_on_the_command_line_is_refused_and_not_repeated() {
    let told = refused(&["--egress-proxy", "http://me:cret@proxy.test"], &[]);
    assert!(
        told.contains("name and password belong into a file"),
        "{told}"
    );
    let wrong = refused(&["--egress-proxy", "me:cret@proxy.test"], &[]);
    for told in [told, wrong] {
        assert!(
            told.starts_with("egress_proxy (--egress-proxy): "),
            "{told}"
        );
        assert!(!told.contains("cret"), "{told}");
    }
    let proxy = ["--egress-proxy", "socks5h://proxy.test"];
    assert!(try_load(&proxy, &[]).is_ok());
}

#[test]
fn half_of_what_belongs_together_is_refused() {
    for (flags, wanted) in [
        (
            &["--tls-cert", "c"][..],
            "tls_cert (--tls-cert): needs tls_key beside it",
        ),
        (
            &["--tls-key", "k"],
            "tls_key (--tls-key): needs tls_cert beside it",
        ),
        (
            &["--tls-client-ca", "a"],
            "tls_client_ca (--tls-client-ca): needs tls_cert beside it",
        ),
        (
            &["--tls-admin", "a"],
            "tls_admin (--tls-admin): needs tls_client_ca beside it",
        ),
        (
            &["--auth-jwt-admin", "role=a"],
            "auth_jwt_admin (--auth-jwt-admin): needs auth_jwks beside it",
        ),
        (
            &["--auth-jwks", "j", "--auth-jwt-issuer", "i"],
            "auth_jwks (--auth-jwks): needs auth_jwt_audience beside it",
        ),
        (
            &["--egress-proxy-credentials", "f"],
            "egress_proxy_credentials (--egress-proxy-credentials): needs egress_proxy beside it",
        ),
        (
            &["--egress-proxy-bypass", "<local>"],
            "egress_proxy_bypass (--egress-proxy-bypass): needs egress_proxy beside it",
        ),
        (
            &["--ops-auth", "on"],
            "ops_auth (--ops-auth): needs auth_tokens, auth_jwks or tls_client_ca beside it",
        ),
    ] {
        assert_eq!(refused(flags, &[]), wanted);
    }
}

#[test]
fn what_is_printed_is_the_same_configuration() {
    let settings = try_load(
        &[
            "--browser-args",
            "--lang=\"de\" --x='\\'",
            "--max-browsers",
            "+7",
        ],
        &[
            ("BERTH_USER_AGENT", "Berth \"test\" \\ 'x' # no comment"),
            ("BERTH_BROWSER_MEMORY_LIMIT", "1234567890"),
            ("BERTH_LEASE_TTL", "1m 30s"),
            ("BERTH_GATEWAY_PUBLIC_URL", "wss://berth.example/cdp"),
            ("BERTH_LOG_LEVEL", "info,berth=debug"),
        ],
    )
    .unwrap();
    let printed = settings.print();
    assert!(
        printed.contains("# From: --max-browsers\nmax_browsers = 7\n"),
        "{printed}"
    );
    assert!(
        printed.contains("# From: BERTH_LEASE_TTL\nlease_ttl = \"1m 30s\"\n"),
        "{printed}"
    );
    assert!(
        printed.contains("# From: default\nbrowser = \"\"\n"),
        "{printed}"
    );

    let (_dir, path) = file(&printed);
    let again = try_load(&["--config", &path], &[]).unwrap();
    assert_eq!(again.config(), settings.config());
    assert!(again.print().contains(&format!("# From: {path}:")));
}

#[test]
fn commands_with_fewer_flags_have_the_same_settings() {
    let matches = Command::new("demo").get_matches_from(["demo"]);
    let settings = load(&matches, std::iter::empty()).unwrap();
    assert_eq!(settings.config(), Config::default());
    assert!(!print_wanted(&matches));
}
