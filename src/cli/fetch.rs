//! `berth fetch URL`.

use std::{
    fs,
    io::{IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use bytes::Bytes;
use clap::{Args, ValueEnum};
use tonic::Request;

use super::{
    client::{Target, parse_duration, runtime},
    exit::{self, Failure},
    progress::Progress,
};
use crate::proto::{
    FetchContents, FetchFormat, FetchRequest, FetchResponse, FetchStrategy, Header,
    ScreenshotOptions, fetch_service_client::FetchServiceClient,
};

/// Fetch a page through a broker
///
/// What was fetched goes to standard output or a file, one line about it to standard error. An
/// origin's 404 or 500 is an answer like any other: it is printed, and the exit code is 0.
#[derive(Args, Clone, Debug)]
pub(super) struct FetchArgs {
    /// The page: an http: or https: URL
    url: String,
    #[command(flatten)]
    target: Target,
    /// Over HTTP, in a browser, or whatever the page needs
    #[arg(long, value_enum, default_value_t = StrategyArg::Auto)]
    strategy: StrategyArg,
    /// What is wanted of the page
    #[arg(long, value_enum, default_value_t = FormatArg::Html)]
    format: FormatArg,
    /// Where to write it, - for standard output
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
    /// How long it may take
    #[arg(long, default_value = "30s", value_parser = parse_duration, value_name = "DURATION")]
    timeout: Duration,
    /// A header of the request; may be repeated
    #[arg(long = "header", short = 'H', value_parser = parse_header, value_name = "NAME: VALUE")]
    headers: Vec<(String, String)>,
    /// The User-Agent
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "TEXT"
    )]
    user_agent: String,
    /// With --format screenshot: the whole page, not only what a window shows
    #[arg(long)]
    full_page: bool,
    /// How many bytes it may have at most
    #[arg(long, default_value = "64MiB", value_parser = parse_size, value_name = "SIZE")]
    max_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StrategyArg {
    Auto,
    Http,
    Browser,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatArg {
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

fn parse_size(text: &str) -> Result<u64, String> {
    let size: bytesize::ByteSize = text.parse()?;
    Ok(size.as_u64())
}

pub(super) fn run(args: FetchArgs) -> Result<ExitCode, Failure> {
    let to_terminal = args.output.is_none() && std::io::stdout().is_terminal();
    if args.format == FormatArg::Screenshot && to_terminal {
        let why = "a picture does not go to a terminal: name a file with --output";
        return Err(Failure::new(exit::USAGE, why));
    }
    let response = runtime()?.block_on(fetch(&args))?;
    // One line about it, which a script may throw away.
    let _ = writeln!(std::io::stderr(), "{}", summary(&response));
    let kind = response.content_type.clone();
    let content = content(args.format, response.contents.unwrap_or_default()).ok_or_else(|| {
        let wanted = args
            .format
            .proto()
            .as_str_name()
            .trim_start_matches("FETCH_FORMAT_");
        Failure::other(format!(
            "there is no {wanted} of {kind:?}: try --format raw"
        ))
    })?;
    match args.output.filter(|path| path.as_os_str() != "-") {
        Some(path) => fs::write(&path, content)
            .map_err(|error| Failure::other(format!("{}: {error}", path.display())))?,
        None => {
            let mut out = std::io::stdout().lock();
            out.write_all(&content)?;
            if to_terminal && !content.ends_with(b"\n") {
                out.write_all(b"\n")?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn fetch(args: &FetchArgs) -> Result<FetchResponse, Failure> {
    let progress = Progress::start(&format!("fetching {}", args.url));
    let channel = args.target.connect().await?;
    let room = usize::try_from(args.max_bytes)
        .unwrap_or(usize::MAX)
        .saturating_add(1 << 20);
    let mut client = FetchServiceClient::new(channel).max_decoding_message_size(room);
    let mut request = Request::new(FetchRequest {
        url: args.url.clone(),
        strategy: args.strategy.proto().into(),
        formats: vec![args.format.proto().into()],
        headers: args
            .headers
            .iter()
            .map(|(name, value)| Header {
                name: name.clone(),
                value: value.clone(),
            })
            .collect(),
        user_agent: args.user_agent.clone(),
        screenshot: Some(ScreenshotOptions {
            full_page: args.full_page,
            ..ScreenshotOptions::default()
        }),
        max_bytes: args.max_bytes,
        ..FetchRequest::default()
    });
    request.set_timeout(args.timeout);
    let response = client.fetch(request).await?.into_inner();
    drop(progress);
    Ok(response)
}

fn summary(response: &FetchResponse) -> String {
    let via = match response.via() {
        FetchStrategy::Browser => "a browser",
        _ => "HTTP",
    };
    let timings = response.timings.unwrap_or_default();
    let total = timings
        .total
        .and_then(|total| Duration::try_from(total).ok());
    let millis = total.unwrap_or_default().as_millis();
    format!(
        "{} {} by {via} ({}) in {millis} ms",
        response.status, response.final_url, response.via_detail
    )
}

fn content(format: FormatArg, contents: FetchContents) -> Option<Bytes> {
    match format {
        FormatArg::Raw => contents.raw,
        FormatArg::Screenshot => contents.screenshot,
        FormatArg::Text => contents.text.map(Bytes::from),
        _ => contents.html.map(Bytes::from),
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
}
