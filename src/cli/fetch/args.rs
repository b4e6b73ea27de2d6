//! The arguments of `berth fetch`, and the request they make.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::super::client::{Target, duration, parse_duration};
use crate::proto::{
    CacheControl, Cookie, FetchFormat, FetchRequest, FetchStrategy, Header, ScreenshotOptions,
    WaitUntil,
};

/// Fetch pages through a broker
///
/// One page in one format goes to standard output or a file, one line about it to standard error.
/// Many pages or formats go into the directory of --output, or as JSON lines to standard output: a
/// line each, as they finish. An origin's 404 or 500 is an answer like any other: it is printed, and
/// the exit code is 0. It is 1 when any of many could not be fetched.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct FetchArgs {
    /// The pages: http: or https: URLs
    #[arg(value_name = "URL", required_unless_present = "file")]
    pub(super) urls: Vec<String>,
    #[command(flatten)]
    pub(super) target: Target,
    /// Read more URLs, one a line, from a file; - for standard input
    #[arg(long, value_name = "PATH")]
    pub(super) file: Option<PathBuf>,
    /// Over HTTP, in a browser, or whatever the page needs
    #[arg(long, value_enum, default_value_t = StrategyArg::Auto)]
    pub(super) strategy: StrategyArg,
    /// What is wanted of the page; several with commas
    #[arg(long, value_enum, value_delimiter = ',', default_value = "html")]
    pub(super) format: Vec<FormatArg>,
    /// Where to write it: a file, or a directory for many; - for standard output
    #[arg(long, short, value_name = "PATH")]
    pub(super) output: Option<PathBuf>,
    /// JSON lines to standard output, for one page too
    #[arg(long)]
    pub(super) json: bool,
    /// How long each may take
    #[arg(long, default_value = "30s", value_parser = parse_duration, value_name = "DURATION")]
    pub(super) timeout: Duration,
    /// Of many: how many at once
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256), value_name = "NUMBER")]
    pub(super) concurrency: u32,
    /// Of many: how many of one host at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256), value_name = "NUMBER")]
    pub(super) per_host: u32,
    /// A header of the request; may be repeated
    #[arg(long = "header", short = 'H', value_parser = parse_header, value_name = "NAME: VALUE")]
    headers: Vec<(String, String)>,
    /// A cookie of the request; may be repeated
    #[arg(long = "cookie", value_parser = parse_cookie, value_name = "NAME=VALUE")]
    cookies: Vec<(String, String)>,
    /// The User-Agent
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "TEXT"
    )]
    user_agent: String,
    /// A proxy: an http:, https: or socks5: URL
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "URL"
    )]
    proxy: String,
    /// In a browser: when the page counts as there, load by default
    #[arg(long, value_enum)]
    wait_until: Option<WaitArg>,
    /// In a browser: wait until an element matches this CSS selector, too
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "SELECTOR"
    )]
    wait_selector: String,
    /// With --format screenshot: the whole page, not only what a window shows
    #[arg(long)]
    full_page: bool,
    /// How old an answer out of the broker's cache may be; 0s asks the origin
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    max_age: Option<Duration>,
    /// How many bytes each may have at most
    #[arg(long, default_value = "64MiB", value_parser = parse_size, value_name = "SIZE")]
    pub(super) max_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum StrategyArg {
    Auto,
    Http,
    Browser,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WaitArg {
    DomContentLoaded,
    Load,
    NetworkIdle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatArg {
    Raw,
    Html,
    Text,
    Markdown,
    Links,
    Metadata,
    Screenshot,
    Pdf,
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
        None => Err("wanted NAME: VALUE".into()),
    }
}

fn parse_cookie(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("wanted NAME=VALUE".into()),
    }
}

fn parse_size(text: &str) -> Result<u64, String> {
    let size: bytesize::ByteSize = text.parse()?;
    Ok(size.as_u64())
}

impl FetchArgs {
    /// Whether it is more than one page in one format.
    pub(super) fn is_many(&self) -> bool {
        self.urls.len() != 1 || self.file.is_some() || self.format.len() != 1 || self.json
    }

    /// The request for `url`.
    pub(super) fn request(&self, url: String) -> FetchRequest {
        let headers = self.headers.iter().cloned();
        let cookies = self.cookies.iter().cloned();
        FetchRequest {
            url,
            strategy: self.strategy.proto().into(),
            formats: self.format.iter().map(|one| one.proto().into()).collect(),
            headers: headers
                .map(|(name, value)| Header { name, value })
                .collect(),
            cookies: cookies
                .map(|(name, value)| Cookie {
                    name,
                    value,
                    ..Cookie::default()
                })
                .collect(),
            user_agent: self.user_agent.clone(),
            proxy_url: self.proxy.clone(),
            wait_until: self.wait_until.map_or(0, |wait| wait.proto().into()),
            wait_selector: self.wait_selector.clone(),
            screenshot: self.full_page.then(|| ScreenshotOptions {
                full_page: true,
                ..ScreenshotOptions::default()
            }),
            cache: self.max_age.map(|age| CacheControl {
                max_age: duration(age),
                ..CacheControl::default()
            }),
            max_bytes: self.max_bytes,
            timeout: duration(self.timeout),
            ..FetchRequest::default()
        }
    }

    /// How large a message may be that holds one answer.
    pub(super) fn room(&self) -> usize {
        let contents = usize::try_from(self.max_bytes).unwrap_or(usize::MAX);
        contents
            .saturating_mul(self.format.len())
            .saturating_add(1 << 20)
    }
}

impl StrategyArg {
    const fn proto(self) -> FetchStrategy {
        match self {
            Self::Auto => FetchStrategy::Auto,
            Self::Http => FetchStrategy::Http,
            Self::Browser => FetchStrategy::Browser,
        }
    }
}

impl WaitArg {
    const fn proto(self) -> WaitUntil {
        match self {
            Self::DomContentLoaded => WaitUntil::DomContentLoaded,
            Self::Load => WaitUntil::Load,
            Self::NetworkIdle => WaitUntil::NetworkIdle,
        }
    }
}

impl FormatArg {
    const fn proto(self) -> FetchFormat {
        match self {
            Self::Raw => FetchFormat::Raw,
            Self::Html => FetchFormat::Html,
            Self::Text => FetchFormat::Text,
            Self::Markdown => FetchFormat::Markdown,
            Self::Links => FetchFormat::Links,
            Self::Metadata => FetchFormat::Metadata,
            Self::Screenshot => FetchFormat::Screenshot,
            Self::Pdf => FetchFormat::Pdf,
        }
    }

    /// Its name on the command line and in JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Html => "html",
            Self::Text => "text",
            Self::Markdown => "markdown",
            Self::Links => "links",
            Self::Metadata => "metadata",
            Self::Screenshot => "screenshot",
            Self::Pdf => "pdf",
        }
    }

    /// Whether it is for programs only.
    pub(super) const fn is_binary(self) -> bool {
        matches!(self, Self::Screenshot | Self::Pdf)
    }
}
