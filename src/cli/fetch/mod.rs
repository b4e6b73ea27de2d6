//! `berth fetch URL …`.

mod args;
mod content;
mod many;

use std::{
    fs,
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

pub(super) use self::args::FetchArgs;
use super::{
    client::runtime,
    exit::{self, Failure},
    progress::Progress,
};
use crate::{
    client,
    proto::{FetchResponse, FetchStrategy},
};

pub(super) fn run(args: FetchArgs) -> Result<ExitCode, Failure> {
    if args.is_many() {
        return runtime()?.block_on(many::fetch(&args));
    }
    let (Some(url), Some(format)) = (args.urls.first(), args.format.first().copied()) else {
        return Err(Failure::new(exit::USAGE, "there is no URL"));
    };
    let to_terminal = args.output.is_none() && std::io::stdout().is_terminal();
    if format.is_binary() && to_terminal {
        let why = "bytes do not go to a terminal: name a file with --output";
        return Err(Failure::new(exit::USAGE, why));
    }
    let response = runtime()?.block_on(fetch(&args, url))?;
    // One line about it, which a script may throw away.
    let _ = writeln!(std::io::stderr(), "{}", summary(&response));
    let contents = response.contents.unwrap_or_default();
    let content = content::bytes(format, &contents).ok_or_else(|| {
        let (name, kind) = (format.name(), &response.content_type);
        Failure::other(format!("there is no {name} of {kind:?}: try --format raw"))
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

async fn fetch(args: &FetchArgs, url: &str) -> Result<FetchResponse, Failure> {
    let progress = Progress::start(&format!("fetching {url}"));
    let client = args.target.connect().await?;
    let request = client::within(args.request(url.to_owned()), args.timeout);
    let mut fetches = client.fetches().max_decoding_message_size(args.room());
    let response = fetches.fetch(request).await?.into_inner();
    drop(progress);
    Ok(response)
}

/// How long a fetch took in all.
fn took(response: &FetchResponse) -> Duration {
    let total = response.timings.and_then(|timings| timings.total);
    let total = total.and_then(|total| total.try_into().ok());
    total.unwrap_or_default()
}

fn summary(response: &FetchResponse) -> String {
    let via = match response.via() {
        FetchStrategy::Browser => "a browser",
        _ => "HTTP",
    };
    let mut line = format!(
        "{} {} by {via} ({}) in {} ms",
        response.status,
        response.final_url,
        response.via_detail,
        took(response).as_millis()
    );
    for warning in &response.warnings {
        line += &format!("\nwarning: {} ({})", warning.message, warning.code);
    }
    line
}
