//! Feeds as lists.

use dom_query::Document;
use feed_rs::{
    model::{Entry, Feed, Link, Text},
    parser,
};
use url::Url;

use super::{Error, Limits, base, text::running, tree::collapse};

/// A feed as Markdown.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) title: Option<String>,
    pub(super) markdown: String,
}

/// No summary of an entry is longer, in characters.
const LONGEST: usize = 300;

/// Reads RSS, Atom or a JSON feed; `None` when it is none.
///
/// # Errors
/// [`Error::Stopped`].
pub(super) fn read(
    body: &[u8],
    url: Option<&Url>,
    limits: &Limits,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Read>, Error> {
    let parser = parser::Builder::new().base_uri(url).build();
    let Ok(feed) = parser.parse(body) else {
        return Ok(None);
    };
    let title = feed.title.as_ref().and_then(plain);
    let mut markdown = String::new();
    head(&feed, title.as_deref(), &mut markdown);
    for entry in feed.entries.iter().take(limits.max_items) {
        if stop() {
            return Err(Error::Stopped);
        }
        if markdown.len() > limits.max_output {
            break;
        }
        item(entry, url, &mut markdown);
    }
    Ok(Some(Read {
        title,
        markdown: markdown.trim_end().to_owned(),
    }))
}

fn head(feed: &Feed, title: Option<&str>, markdown: &mut String) {
    if let Some(title) = title {
        markdown.push_str("# ");
        markdown.push_str(title);
        markdown.push_str("\n\n");
    }
    if let Some(about) = feed.description.as_ref().and_then(plain) {
        markdown.push_str(&about);
        markdown.push_str("\n\n");
    }
}

/// `- [title](link) (date): summary`
fn item(entry: &Entry, url: Option<&Url>, markdown: &mut String) {
    let summary = entry.summary.as_ref().and_then(plain);
    let link = address(&entry.links).and_then(|href| base::absolute(url, href));
    let title = entry.title.as_ref().and_then(plain);
    let named = title.is_some();
    let title = title
        .or_else(|| summary.clone())
        .or_else(|| link.as_ref().map(Url::to_string));
    let title = title.unwrap_or_else(|| "Untitled".to_owned());
    let title: String = title.chars().take(LONGEST).flat_map(escaped).collect();
    markdown.push_str("- ");
    match link {
        Some(link) => {
            // Round brackets would end the address.
            let link = link.as_str().replace('(', "%28").replace(')', "%29");
            markdown.push_str(&format!("[{title}]({link})"));
        }
        None => markdown.push_str(&title),
    }
    if let Some(date) = entry.published.or(entry.updated) {
        markdown.push_str(&format!(" ({})", date.format("%Y-%m-%d")));
    }
    if let Some(summary) = summary.filter(|_| named) {
        let mut short: String = summary.chars().take(LONGEST).collect();
        if short.len() < summary.len() {
            short.push('…');
        }
        markdown.push_str(": ");
        markdown.push_str(&short);
    }
    markdown.push('\n');
}

/// The address of the entry itself: `rel` of another meaning only when there is no better.
fn address(links: &[Link]) -> Option<&str> {
    let own = |link: &&Link| link.rel.as_deref().is_none_or(|rel| rel == "alternate");
    links
        .iter()
        .find(own)
        .or_else(|| links.first())
        .map(|link| &*link.href)
}

fn escaped(char: char) -> impl Iterator<Item = char> {
    matches!(char, '[' | ']' | '\\')
        .then_some('\\')
        .into_iter()
        .chain([char])
}

/// A text of a feed without markup, on one line.
fn plain(text: &Text) -> Option<String> {
    let content = &text.content;
    let text = if content.contains(['<', '&']) {
        // Enough for a summary, and too little to be a danger to the parser.
        let some: String = content.chars().take(4_000).collect();
        running(Document::fragment(some).root(), usize::MAX).0
    } else {
        content.clone()
    };
    Some(collapse(&text)).filter(|text| !text.is_empty())
}
