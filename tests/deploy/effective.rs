//! The settings that a broker would run with, from the installed program itself.

use std::{path::Path, process::Command, time::Duration};

use toml::Table;

/// What `berth serve` would run with.
pub struct Effective {
    table: Table,
    printed: String,
}

/// Asks the program, with exactly these arguments and this environment. What the program does not know it
/// refuses; a variable that it does not take the value of fails the test.
pub fn settings(args: &[String], env: &[(String, String)]) -> Effective {
    assert_eq!(args.first().map(String::as_str), Some("serve"), "{args:?}");
    let output = Command::new(env!("CARGO_BIN_EXE_berth"))
        .args(args)
        .arg("--print-config")
        .env_clear()
        .envs(env.iter().cloned())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?} {env:?}: {said}");
    for (name, value) in env {
        if let Some(setting) = name.strip_prefix("BERTH_") {
            let taken = printed.contains(&format!("# From: {name}\n"));
            assert!(
                taken || setting == "CONFIG",
                "{name}={value} sets nothing: there is no such setting, or something wins over it"
            );
        }
    }
    Effective {
        table: printed.parse().unwrap(),
        printed,
    }
}

impl Effective {
    pub fn text(&self, key: &str) -> &str {
        let value = self.table.get(key).and_then(|value| value.as_str());
        value.unwrap_or_else(|| panic!("no text {key} in {}", self.printed))
    }

    pub fn number(&self, key: &str) -> u64 {
        let value = self.table.get(key).and_then(toml::Value::as_integer);
        let value = value.unwrap_or_else(|| panic!("no number {key} in {}", self.printed));
        value.try_into().unwrap()
    }

    pub fn time(&self, key: &str) -> Duration {
        humantime::parse_duration(self.text(key)).unwrap()
    }

    pub fn bytes(&self, key: &str) -> u64 {
        let size: bytesize::ByteSize = self.text(key).parse().unwrap();
        size.as_u64()
    }

    /// The port of an address.
    pub fn port(&self, key: &str) -> u64 {
        let address: std::net::SocketAddr = self.text(key).parse().unwrap();
        address.port().into()
    }

    /// The three ports: gRPC, gateway, ops.
    pub fn ports(&self) -> [u64; 3] {
        ["listen", "gateway_listen", "ops_listen"].map(|key| self.port(key))
    }

    /// Whether others than this machine reach what listens.
    pub fn is_open(&self) -> bool {
        ["listen", "gateway_listen", "ops_listen"]
            .iter()
            .all(|key| {
                let address: std::net::SocketAddr = self.text(key).parse().unwrap();
                address.ip().is_unspecified()
            })
    }

    /// Whether a file gave a value.
    pub fn is_from(&self, file: &Path) -> bool {
        self.printed
            .contains(&format!("# From: {}:", file.display()))
    }

    /// The most that browsers may take together.
    pub fn browsers_memory(&self) -> u64 {
        self.number("max_browsers") * self.bytes("browser_memory_limit")
    }
}

#[test]
#[should_panic(expected = "BERTH_MAX_BROWSER=3 sets nothing")]
fn an_unknown_variable_is_noticed() {
    settings(
        &["serve".into()],
        &[("BERTH_MAX_BROWSER".into(), "3".into())],
    );
}

#[test]
#[should_panic(expected = "--max-browser")]
fn an_unknown_flag_is_noticed() {
    settings(&["serve".into(), "--max-browser=3".into()], &[]);
}
