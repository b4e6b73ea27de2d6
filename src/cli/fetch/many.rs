//! `berth fetch` of many pages: over one stream, as they finish.

use std::{
    collections::HashMap,
    fs,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;

use super::{args::FetchArgs, content, took};
use crate::{
    cli::exit::Failure,
    proto::{
        FetchFailure, FetchManyOptions, FetchManyRequest, FetchResponse, FetchStrategy,
        fetch_many_response::Result as Outcome,
    },
};

pub(super) async fn fetch(args: &FetchArgs) -> Result<ExitCode, Failure> {
    let dir = args.output.as_deref().filter(|dir| dir.as_os_str() != "-");
    if let Some(dir) = dir {
        fs::create_dir_all(dir)
            .map_err(|error| Failure::other(format!("{}: {error}", dir.display())))?;
    }
    let client = args.target.connect().await?;
    let mut client = client.fetches().max_decoding_message_size(args.room());
    let (ask, requests) = mpsc::channel(1);
    // What is asked is told before it is sent: no result comes for what is not known yet.
    let (tell, mut told) = mpsc::unbounded_channel();
    let asking = ask_all(args, ask, tell);
    let mut lines = Lines::new(args, dir);
    let reading = async {
        let results = client.fetch_many(ReceiverStream::new(requests)).await?;
        let mut results = results.into_inner();
        let mut urls = HashMap::new();
        while let Some(result) = results.message().await? {
            while let Ok((id, url)) = told.try_recv() {
                urls.insert(id, url);
            }
            lines.bar.set_length(lines.done + urls.len() as u64);
            let number = result.id.parse().unwrap_or_default();
            let url = urls.remove(&number).unwrap_or_default();
            let outcome = result
                .result
                .unwrap_or(Outcome::Failure(FetchFailure::default()));
            lines.write(number, &url, outcome)?;
        }
        Ok::<_, Failure>(())
    };
    let (asked, read) = tokio::join!(asking, reading);
    let (done, failed) = (lines.done, lines.failed);
    drop(lines);
    let said = format!("{done} answered, {failed} of them failed");
    read.map_err(|failure| failure.after(&said))?;
    asked?;
    if failed > 0 {
        return Err(Failure::other(said));
    }
    Ok(ExitCode::SUCCESS)
}

type Told = mpsc::UnboundedSender<(u64, String)>;

/// Sends a request for each URL, as fast as the broker takes them.
async fn ask_all(
    args: &FetchArgs,
    ask: mpsc::Sender<FetchManyRequest>,
    tell: Told,
) -> Result<(), Failure> {
    let mut number = 0;
    let mut send = async |url: String| {
        let first = number == 0;
        number += 1;
        // Neither is refused before the answers have ended, which tell why.
        let _ = tell.send((number, url.clone()));
        let request = FetchManyRequest {
            id: number.to_string(),
            fetch: Some(args.request(url)),
            options: first.then_some(FetchManyOptions {
                max_concurrent: args.concurrency,
                max_per_host: args.per_host,
            }),
        };
        ask.send(request).await.is_ok()
    };
    for url in &args.urls {
        if !send(url.clone()).await {
            return Ok(());
        }
    }
    let Some(path) = &args.file else {
        return Ok(());
    };
    let failed = |error| Failure::other(format!("{}: {error}", path.display()));
    let from: Box<dyn AsyncRead + Unpin> = if path.as_os_str() == "-" {
        Box::new(tokio::io::stdin())
    } else {
        Box::new(tokio::fs::File::open(path).await.map_err(failed)?)
    };
    let mut lines = BufReader::new(from).lines();
    while let Some(line) = lines.next_line().await.map_err(failed)? {
        let url = line.trim();
        if !url.is_empty() && !url.starts_with('#') && !send(url.to_owned()).await {
            return Ok(());
        }
    }
    Ok(())
}

/// Where results go.
struct Lines<'a> {
    args: &'a FetchArgs,
    dir: Option<&'a Path>,
    /// Lines for people.
    readable: bool,
    bar: ProgressBar,
    done: u64,
    failed: u64,
}

impl<'a> Lines<'a> {
    fn new(args: &'a FetchArgs, dir: Option<&'a Path>) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(0);
            let template = "{bar:30} {pos}/{len} {per_sec} {msg} ({elapsed})";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        } else {
            ProgressBar::hidden()
        };
        Self {
            args,
            dir,
            readable: dir.is_some() && !args.json && std::io::stdout().is_terminal(),
            bar,
            done: 0,
            failed: 0,
        }
    }

    fn write(&mut self, number: u64, url: &str, outcome: Outcome) -> Result<(), Failure> {
        let mut line = Map::new();
        line.insert("url".into(), json!(url));
        let words = match outcome {
            Outcome::Response(response) => self.came(number, &response, &mut line)?,
            Outcome::Failure(failure) => {
                self.failed += 1;
                let reason = failure.reason().as_str_name();
                let reason = reason.trim_start_matches("ERROR_REASON_");
                let mut error = json!({"reason": reason, "message": failure.message});
                let delay = failure.retry_delay.and_then(|delay| delay.try_into().ok());
                if let Some(delay) = delay {
                    let delay: Duration = delay;
                    error["retry_after_ms"] = json!(millis(delay));
                }
                line.insert("error".into(), error);
                format!("failed {url}: {} ({reason})", failure.message)
            }
        };
        self.done += 1;
        let text = if self.readable {
            words
        } else {
            Value::Object(line).to_string()
        };
        // The bar and the line share a terminal.
        let written = self.bar.suspend(|| writeln!(std::io::stdout(), "{text}"));
        self.bar.set_position(self.done);
        if self.failed > 0 {
            self.bar.set_message(format!("{} failed", self.failed));
        }
        Ok(written?)
    }

    fn came(
        &self,
        number: u64,
        response: &FetchResponse,
        line: &mut Map<String, Value>,
    ) -> Result<String, Failure> {
        let via = match response.via() {
            FetchStrategy::Browser => "browser",
            _ => "http",
        };
        let verdict = response.verdict().as_str_name();
        let verdict = verdict.trim_start_matches("CONTENT_VERDICT_");
        let warnings: Vec<_> = response.warnings.iter().map(|one| &one.code).collect();
        for (name, value) in [
            ("final_url", json!(response.final_url)),
            ("status", json!(response.status)),
            ("content_type", json!(response.content_type)),
            ("title", json!(response.title)),
            ("via", json!(via)),
            ("via_reason", json!(response.via_reason)),
            ("verdict", json!(verdict.to_ascii_lowercase())),
            ("warnings", json!(warnings)),
            ("millis", json!(millis(took(response)))),
        ] {
            line.insert(name.into(), value);
        }
        let none = Default::default();
        let contents = response.contents.as_ref().unwrap_or(&none);
        let Some(dir) = self.dir else {
            let formats = self.args.format.iter();
            let contents = formats.map(|format| content::json(*format, contents));
            line.insert("contents".into(), Value::Object(contents.collect()));
            return Ok(String::new());
        };
        let mut files = Map::new();
        for format in &self.args.format {
            let Some(bytes) = content::bytes(*format, contents) else {
                continue;
            };
            let extension = content::extension(*format, &response.content_type);
            let path = file(dir, number, &response.final_url, extension);
            fs::write(&path, bytes)
                .map_err(|error| Failure::other(format!("{}: {error}", path.display())))?;
            files.insert(format.name().into(), json!(path));
        }
        let written: Vec<_> = files.values().filter_map(Value::as_str).collect();
        let words = format!(
            "{} {} by {via} in {} ms → {}",
            response.status,
            response.final_url,
            millis(took(response)),
            written.join(", "),
        );
        line.insert("files".into(), Value::Object(files));
        Ok(words)
    }
}

impl Drop for Lines<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A name that says what it is, sorts as the URLs were given and is one on every file system.
fn file(dir: &Path, number: u64, url: &str, extension: &str) -> PathBuf {
    const LONGEST: usize = 80;
    let bare = url.split_once("://").map_or(url, |(_, rest)| rest);
    let mut name = String::new();
    for char in bare.chars().take(LONGEST) {
        let plain = char.is_ascii_alphanumeric() || matches!(char, '.' | '_');
        match plain {
            true => name.push(char),
            false if !name.ends_with('-') => name.push('-'),
            false => {}
        }
    }
    let name = name.trim_matches(['-', '.']);
    dir.join(format!("{number:05}-{name}.{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_harmless_names() {
        let of = |url: &str| {
            let path = file(Path::new("out"), 7, url, "md");
            path.to_str().unwrap().to_owned()
        };
        assert_eq!(
            of("https://a.example/b/c.html?d=1#e"),
            "out/00007-a.example-b-c.html-d-1-e.md"
        );
        assert_eq!(
            of("http://a/../../etc/passwd"),
            "out/00007-a-..-..-etc-passwd.md"
        );
        assert_eq!(of(""), "out/00007-.md");
        assert!(of(&format!("http://a/{}", "é/x".repeat(200))).len() < 110);
    }
}
