//! The tool `fetch`: URLs in, text out, in parts.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Map, Value, json};

use super::{
    answer::Answer,
    args::{self, Format, Strategy},
    budget::{Part, part},
    failure::Failure,
    session::Session,
};
use crate::{
    client::within,
    proto::{
        ContentVerdict, FetchContents, FetchFormat, FetchRequest, FetchResponse, FetchStrategy,
        WaitUntil,
    },
};

/// How long a fetch may take.
const FETCH: Duration = Duration::from_secs(60);
/// How long its scripts may take then.
const SCRIPTS: Duration = Duration::from_secs(20);
const MOST_URLS: usize = 10;
const LONGEST: usize = 1_000_000;
/// The largest document that is taken, in bytes.
const LARGEST: u64 = 32 << 20;

/// One URL, fetched.
struct Fetched {
    text: String,
    facts: Map<String, Value>,
    /// What is to be said above the text.
    head: String,
}

pub(super) async fn run(session: &Session, args: args::Fetch) -> Result<Answer, Failure> {
    let urls = match (args.url, args.urls) {
        (Some(url), None) => vec![url],
        (None, Some(urls)) if (1..=MOST_URLS).contains(&urls.len()) => urls,
        _ => {
            let what = format!("give either url, or urls with 1 to {MOST_URLS} of them");
            return Err(Failure::new(what, "Mend the arguments."));
        }
    };
    if !(1..=LONGEST).contains(&args.max_length) {
        let what = format!("max_length must be 1 to {LONGEST}");
        return Err(Failure::new(what, "Mend the arguments."));
    }
    let format = if args.raw { Format::Html } else { args.format };
    let most = args.max_length / urls.len();
    let start = args.start_index;
    let many = urls.len() > 1;
    let fetches = urls
        .iter()
        .map(|url| one(session, url, format, args.strategy, start));
    let fetched = join_all(fetches).await;
    let mut answer = Answer::default();
    let mut results = Vec::new();
    for (url, fetched) in urls.iter().zip(fetched) {
        let fetched = match fetched {
            Ok(fetched) => fetched,
            // The only one is the call's own failure.
            Err(failure) if !many => return Err(failure),
            Err(failure) => {
                answer.say(&format!("Contents of {url}: none. {failure}\n"));
                results.push(json!({ "url": url, "error": failure.to_string() }));
                continue;
            }
        };
        let part = part(&fetched.text, start, most.max(1));
        answer.say(&format!("Contents of {url}{}:", fetched.head));
        say(&mut answer, &part, start);
        if many {
            answer.say("");
        }
        let mut facts = fetched.facts;
        facts.insert("url".into(), json!(url));
        facts.insert("total_length".into(), json!(part.total));
        if let Some(next) = part.next {
            facts.insert("next_start_index".into(), json!(next));
        }
        results.push(Value::Object(facts));
    }
    answer.set("results", results);
    Ok(answer)
}

fn say(answer: &mut Answer, part: &Part, start: usize) {
    if part.text.is_empty() {
        answer.say(&format!(
            "<error>No more content: it has {} characters, and start_index is {start}.</error>",
            part.total
        ));
        return;
    }
    answer.say(&part.text);
    if let Some(next) = part.next {
        answer.say(&format!(
            "<error>Content truncated at {next} of {} characters. Call the fetch tool with a start_index of \
             {next} to get more content.</error>",
            part.total
        ));
    }
}

async fn one(
    session: &Session,
    url: &str,
    wanted: Format,
    strategy: Strategy,
    start: usize,
) -> Result<Fetched, Failure> {
    let key = format!("fetch {wanted:?} {strategy:?} {url}");
    // What goes on is of the same text, whatever has become of the page.
    if start > 0
        && let Some(text) = session.text(&key)
    {
        return Ok(Fetched {
            text,
            facts: Map::new(),
            head: " (continued)".into(),
        });
    }
    let asked = FetchRequest {
        url: url.to_owned(),
        formats: vec![format(wanted).into()],
        strategy: match strategy {
            Strategy::Auto => FetchStrategy::Auto,
            Strategy::Http => FetchStrategy::Http,
            Strategy::Browser => FetchStrategy::Browser,
        }
        .into(),
        max_bytes: LARGEST,
        ..FetchRequest::default()
    };
    let request = within(asked.clone(), FETCH);
    let response = session.broker.fetches().fetch(request).await?.into_inner();
    let in_browser = response.via() == FetchStrategy::Browser;
    let fetched = match read(response, wanted) {
        // A page may be there before its scripts have brought what it shows.
        Err(failure) if in_browser => patient(session, asked, wanted).await.ok_or(failure)?,
        fetched => fetched?,
    };
    session.keep_text(key, fetched.text.clone());
    Ok(fetched)
}

/// The same once more, with time for the page's scripts; `None` when that is no better.
async fn patient(session: &Session, asked: FetchRequest, wanted: Format) -> Option<Fetched> {
    let request = FetchRequest {
        strategy: FetchStrategy::Browser.into(),
        wait_until: WaitUntil::NetworkIdle.into(),
        ..asked
    };
    let request = within(request, SCRIPTS);
    let response = session.broker.fetches().fetch(request).await.ok()?;
    read(response.into_inner(), wanted).ok()
}

fn read(response: FetchResponse, wanted: Format) -> Result<Fetched, Failure> {
    let via = match response.via() {
        FetchStrategy::Browser => "browser",
        _ => "http",
    };
    let verdict = response.verdict();
    let mut head = String::new();
    if !(200..300).contains(&response.status) {
        head += &format!(" (status {})", response.status);
    }
    if matches!(
        verdict,
        ContentVerdict::LoginWall | ContentVerdict::Blocked | ContentVerdict::ErrorPage
    ) {
        head += &format!(" (beware: {})", response.verdict_detail);
    }
    let text = text(response.contents.clone().unwrap_or_default(), wanted);
    if text.trim().is_empty() {
        let kind = &response.content_type;
        let why = match response.verdict_detail.as_str() {
            "" => format!("it is of type {kind:?}, status {}", response.status),
            detail => format!("{detail}; status {}", response.status),
        };
        let next = match (wanted, verdict) {
            (_, ContentVerdict::Blocked | ContentVerdict::LoginWall) => {
                "Try browser_navigate, where the user may have to log in, or another source."
            }
            (Format::Markdown, _) => {
                "Try format text or html, strategy browser, or browser_navigate."
            }
            _ => "Try strategy browser, or browser_navigate.",
        };
        let what = format!("{} has no content to show: {why}", response.final_url);
        return Err(Failure::new(what, next));
    }
    let facts = json!({
        "final_url": response.final_url,
        "status": response.status,
        "content_type": response.content_type,
        "title": response.title,
        "via": via,
    });
    let Value::Object(facts) = facts else {
        return Err(Failure::new("the answer cannot be told", ""));
    };
    Ok(Fetched { text, facts, head })
}

pub(super) const fn format(wanted: Format) -> FetchFormat {
    match wanted {
        Format::Markdown => FetchFormat::Markdown,
        Format::Text => FetchFormat::Text,
        Format::Html => FetchFormat::Html,
        Format::Links => FetchFormat::Links,
        Format::Metadata => FetchFormat::Metadata,
    }
}

/// Contents as text.
pub(super) fn text(contents: FetchContents, wanted: Format) -> String {
    match wanted {
        Format::Markdown => contents.markdown.unwrap_or_default(),
        Format::Text => contents.text.unwrap_or_default(),
        Format::Html => contents.html.unwrap_or_default(),
        Format::Links => {
            let links = contents.links.unwrap_or_default();
            let lines = links
                .links
                .iter()
                .map(|link| format!("- [{}]({})", link.text, link.url));
            let mut text = lines.collect::<Vec<_>>().join("\n");
            if links.truncated {
                text += "\n- and more, which are left out";
            }
            text
        }
        Format::Metadata => {
            let found = contents.metadata.unwrap_or_default();
            let authors = found.authors.join(", ");
            let lines = [
                ("title", &found.title),
                ("description", &found.description),
                ("canonical_url", &found.canonical_url),
                ("language", &found.language),
                ("authors", &authors),
                ("published", &found.published),
                ("modified", &found.modified),
                ("site_name", &found.site_name),
                ("image_url", &found.image_url),
                ("type", &found.r#type),
            ];
            let said = lines.iter().filter(|(_, value)| !value.is_empty());
            let said = said.map(|(name, value)| format!("{name}: {value}"));
            said.collect::<Vec<_>>().join("\n")
        }
    }
}
