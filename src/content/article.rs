//! The main content of a document, as a document of its own.

use std::collections::HashSet;

use dom_query::Document;
use dom_smoothie::{Config, Readability};

use super::{Error, prune, text::running, tree::letters, trim};

/// Finds the main content of `html`.
///
/// Twice: once with what is named as beside the content taken out first, and once with it in. The
/// first is cleaner and wins, unless names misled it: it must hold half of what the second found.
///
/// `None` when there is none.
///
/// # Errors
/// What `go_on` says between the steps.
pub(super) fn extract(
    html: &str,
    title: Option<&str>,
    description: Option<&str>,
    go_on: &dyn Fn() -> Result<(), Error>,
) -> Result<Option<Document>, Error> {
    let clean = attempt(html, title, description, true, go_on)?;
    let whole = attempt(html, title, description, false, go_on)?;
    Ok(match (clean, whole) {
        (Some(clean), Some(whole)) if !holds_half(&clean, &whole) => Some(whole),
        (Some(clean), _) => Some(clean),
        (None, whole) => whole,
    })
}

fn holds_half(one: &Document, other: &Document) -> bool {
    let (one, _) = running(one.root(), usize::MAX);
    let (other, _) = running(other.root(), usize::MAX);
    let lines: HashSet<&str> = one.lines().collect();
    let shared = other.lines().filter(|line| lines.contains(line));
    shared.map(letters).sum::<usize>() * 2 >= letters(&other)
}

fn attempt(
    html: &str,
    title: Option<&str>,
    description: Option<&str>,
    named: bool,
    go_on: &dyn Fn() -> Result<(), Error>,
) -> Result<Option<Document>, Error> {
    let document = Document::from(html);
    prune::prune(&document, named);
    go_on()?;
    let config = Config {
        keep_classes: true,
        disable_json_ld: true,
        ..Config::default()
    };
    let Ok(mut readability) = Readability::with_document(document, None, Some(config)) else {
        return Ok(None);
    };
    let Ok(article) = readability.parse() else {
        return Ok(None);
    };
    go_on()?;
    let content = Document::fragment(article.content);
    trim::trim(&content, title, description);
    Ok(Some(content))
}
