//! Runs the snippets of a page.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    process::Stdio,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, killpg},
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    process::Command,
    time::{Instant, sleep, timeout},
};

use crate::{
    page::{How, Page, Snippet},
    support::{BOUND, Broker, installed, root},
};

/// Installing packages takes a while.
const LONGEST: Duration = Duration::from_secs(240);

/// What a page is run in.
pub struct Session {
    dir: TempDir,
    broker: Broker,
    /// Where `berth serve` of the page listens, when it starts one.
    own: Option<[String; 3]>,
    groups: Vec<Pid>,
}

impl Session {
    pub async fn start(page: &Page) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "docs",
            "deploy",
            "proto",
            "src",
            "tests",
            "Cargo.toml",
            "Makefile",
        ] {
            symlink(root().join(name), dir.path().join(name)).unwrap();
        }
        // Where programs find the packages that pages tell to install.
        let modules = dir.path().join("node_modules");
        fs::create_dir(&modules).unwrap();
        let package = root().join("docs/examples/node");
        for entry in fs::read_dir(installed("docs/examples/node/node_modules")).unwrap() {
            let entry = entry.unwrap();
            symlink(entry.path(), modules.join(entry.file_name())).unwrap();
        }
        symlink(package, modules.join("berth-client")).unwrap();
        let closed = page.name == "docs/egress.md";
        let broker = Broker::with(|config| {
            if closed {
                config.egress_allow = Vec::new();
            }
        })
        .await;
        let own = if page.text.contains("berth serve &") {
            Some([free().await, free().await, free().await])
        } else {
            None
        };
        Self {
            dir,
            broker,
            own,
            groups: Vec::new(),
        }
    }

    pub async fn run(&mut self, snippet: &Snippet) -> Result<How, String> {
        let text = self.here(&snippet.text);
        if let Some(why) = &snippet.remark {
            assert!(!why.trim().is_empty(), "no reason is given");
            if !why.starts_with("syntax; ") {
                return Ok(How::NotRun(why.clone()));
            }
            self.parse(&snippet.language, &text).await?;
            return Ok(How::Parsed);
        }
        match snippet.language.as_str() {
            "sh" => {
                self.command("bash", &["-euo", "pipefail", "-c", &text])
                    .await?
            }
            "console" => self.console(&text).await?,
            "python" | "js" => match named(&text) {
                Some(name) => {
                    fs::write(self.dir.path().join(name), &text).unwrap();
                    self.parse(&snippet.language, &text).await?;
                    return Ok(How::Parsed);
                }
                None => self.program(&snippet.language, &text).await?,
            },
            "text" => return Ok(How::Shown),
            language => {
                self.parse(language, &text).await?;
                return Ok(How::Parsed);
            }
        }
        Ok(How::Ran)
    }

    /// The snippet with addresses that are here.
    fn here(&self, text: &str) -> String {
        let site = self.broker.site.address;
        text.replace("https://example.com", &format!("http://{site}"))
            .replace("localhost:3000", &format!("localhost:{}", site.port()))
            .replace(
                "localhost:9464",
                &self.broker.server.addresses().ops.to_string(),
            )
            .replace("http://127.0.0.1:50051", &self.endpoint())
    }

    fn endpoint(&self) -> String {
        match &self.own {
            Some([grpc, ..]) => format!("http://{grpc}"),
            None => self.broker.endpoint(),
        }
    }

    async fn program(&mut self, language: &str, text: &str) -> Result<(), String> {
        if language == "python" {
            let python = installed("target/clients/python/bin/python");
            return self.command(python.to_str().unwrap(), &["-c", text]).await;
        }
        fs::write(self.dir.path().join("snippet.mjs"), text).unwrap();
        self.command("node", &["snippet.mjs"]).await
    }

    /// Checks what is not run.
    async fn parse(&mut self, language: &str, text: &str) -> Result<(), String> {
        match language {
            "json" => serde_json::from_str::<serde_json::Value>(text)
                .map(drop)
                .map_err(|error| error.to_string()),
            "yaml" => serde_saphyr::from_str::<serde_json::Value>(text)
                .map(drop)
                .map_err(|error| error.to_string()),
            "toml" => self.configuration(text).await,
            "ini" => match text.lines().find(|line| !is_ini(line)) {
                Some(line) => Err(format!("{line:?} is nothing")),
                None => Ok(()),
            },
            "mermaid" => self.diagram(text).await,
            "sh" => self.command("bash", &["-n", "-c", text]).await,
            "python" => {
                let compile = "import sys; compile(sys.argv[1], 'snippet', 'exec')";
                self.command("python3", &["-c", compile, text]).await
            }
            "js" => {
                fs::write(self.dir.path().join("snippet.mjs"), text).unwrap();
                self.command("node", &["--check", "snippet.mjs"]).await
            }
            language => Err(format!("{language} is no language that is checked")),
        }
    }

    /// The broker itself judges its configuration; tokens are a file of their own.
    async fn configuration(&mut self, text: &str) -> Result<(), String> {
        let _: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
        if text.starts_with("[[token]]") {
            return Ok(());
        }
        fs::write(self.dir.path().join("berth.toml"), text).unwrap();
        self.command(
            "berth",
            &["serve", "--config", "berth.toml", "--print-config"],
        )
        .await
    }

    /// Mermaid itself, in a leased browser.
    async fn diagram(&mut self, text: &str) -> Result<(), String> {
        installed("tests/clients/node/node_modules");
        let script = root().join("tests/clients/node/mermaid.mjs");
        self.command("node", &[script.to_str().unwrap(), text])
            .await
    }

    /// Runs each line that begins with `$ `, and compares what it says with what follows.
    async fn console(&mut self, text: &str) -> Result<(), String> {
        let mut steps: Vec<(&str, String)> = Vec::new();
        for line in text.lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push((command, String::new())),
                (None, Some((_, said))) => {
                    said.push_str(line);
                    said.push('\n');
                }
                (None, None) => return Err("it begins without a command".into()),
            }
        }
        for (command, wanted) in steps {
            // How it ends is the shell's matter: what it says is compared.
            let step = format!("{{ {command}; }} || true");
            let said = self.output("bash", &["-c", &step]).await?;
            if said.trim() != wanted.trim() {
                return Err(format!("{command} says\n{said}"));
            }
        }
        Ok(())
    }

    async fn command(&mut self, program: &str, arguments: &[&str]) -> Result<(), String> {
        self.output(program, arguments).await.map(drop)
    }

    /// What it says on both streams; an error when it fails.
    async fn output(&mut self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let program_dir = std::path::Path::new(env!("CARGO_BIN_EXE_berth")).parent();
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", program_dir.unwrap().display());
        // Not a pipe: what a command leaves running in the background would keep it open.
        let said = self.dir.path().join("said");
        let file = File::create(&said).unwrap();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env("PATH", path)
            .env("BERTH_ENDPOINT", self.endpoint())
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true);
        if let Some([grpc, gateway, ops]) = &self.own {
            command
                .env("BERTH_LISTEN", grpc)
                .env("BERTH_GATEWAY_LISTEN", gateway)
                .env("BERTH_OPS_LISTEN", ops)
                .env("BERTH_RUN_DIR", self.dir.path().join("run"))
                .env("BERTH_EGRESS_ALLOW", "127.0.0.0/8");
        }
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let group = i32::try_from(child.id().unwrap()).unwrap();
        self.groups.push(Pid::from_raw(group));
        let status = timeout(LONGEST, child.wait()).await;
        let said = String::from_utf8_lossy(&fs::read(said).unwrap()).into_owned();
        match status {
            Ok(Ok(status)) if status.success() => Ok(said),
            Ok(Ok(status)) => Err(format!("{status}: {said}")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_late) => Err(format!("not within {LONGEST:?}: {said}")),
        }
    }

    /// Ends what runs in the background, and the broker.
    pub async fn end(self) -> Result<(), String> {
        for group in self.groups {
            end(group).await?;
        }
        self.broker.stop().await;
        Ok(())
    }
}

/// Ends a process group, and reaps those of it that have fallen to this process.
async fn end(group: Pid) -> Result<(), String> {
    let begun = Instant::now();
    // Nobody is left, as a rule.
    let _ = killpg(group, Signal::SIGTERM);
    while killpg(group, None) != Err(Errno::ESRCH) {
        // Init's, or not dead yet.
        let _ = waitpid(Pid::from_raw(-group.as_raw()), Some(WaitPidFlag::WNOHANG));
        if begun.elapsed() > BOUND {
            return Err("what it started does not end".into());
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn free() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// The file that a program is to be written to.
fn named(text: &str) -> Option<&str> {
    let first = text.lines().next()?;
    let name = first.strip_prefix("# ").or(first.strip_prefix("// "))?;
    let is_name = name.ends_with(".py") || name.ends_with(".mjs");
    (is_name && !name.contains([' ', '/'])).then_some(name)
}

fn is_ini(line: &str) -> bool {
    let section = line.starts_with('[') && line.ends_with(']');
    line.is_empty() || line.starts_with('#') || section || line.contains('=')
}
