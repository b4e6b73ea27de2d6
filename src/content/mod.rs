//! Content: what a document says, without the page around it.
//!
//! * [`read_html`] reads an HTML document: its main content as Markdown and as text, its links, and
//!   what it says about itself.
//! * [`convert`] makes Markdown of what is no HTML: JSON, feeds, PDF, plain text.
//!
//! Everything here is synchronous, bounded by [`Limits`] and asks `stop` between its steps; call it
//! on a thread for blocking work. A stack of 2 MiB is enough whatever the document is.

mod article;
mod base;
mod convert;
mod error;
mod feed;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod guard;
mod json;
mod json_ld;
mod limits;
mod links;
mod markdown;
mod metadata;
mod names;
mod pdf;
mod phrases;
mod pieces;
mod prune;
#[cfg(test)]
mod tests;
mod text;
mod tree;
mod trim;

use dom_query::Document;
use url::Url;

pub use self::{
    convert::{Converted, Kind, convert, kind},
    error::Error,
    limits::Limits,
    links::{Link, Links},
    metadata::Metadata,
};

/// What of a document is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // Each can be wanted without the others.
pub struct Want {
    /// The main content as Markdown.
    pub markdown: bool,
    /// The main content as text: one line a block, captions of pictures left out.
    pub text: bool,
    /// The links of the whole document.
    pub links: bool,
    /// What the document says about itself.
    pub metadata: bool,
}

impl Want {
    /// All there is.
    pub const ALL: Self = Self {
        markdown: true,
        text: true,
        links: true,
        metadata: true,
    };
}

/// A text with a bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The text.
    pub text: String,
    /// Whether it was cut at [`Limits::max_output`].
    pub truncated: bool,
}

impl Text {
    /// Cuts a text at `most` bytes, at the end of a line where one is near.
    fn cut(mut text: String, most: usize) -> Self {
        if text.len() <= most {
            return Self {
                text,
                truncated: false,
            };
        }
        let end = text.floor_char_boundary(most);
        let line = text.get(..end).and_then(|text| text.rfind('\n'));
        text.truncate(line.filter(|line| line * 10 > end * 9).unwrap_or(end));
        Self {
            text,
            truncated: true,
        }
    }
}

/// What was wanted of a document; `None` for what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The main content as Markdown, under its title. Empty when none was found.
    pub markdown: Option<Text>,
    /// The main content as text, without its title. Empty when none was found.
    pub text: Option<Text>,
    /// The links.
    pub links: Option<Links>,
    /// What the document says about itself.
    pub metadata: Option<Metadata>,
}

/// Reads an HTML document that came from `url`; `<base href>` counts, too.
///
/// `stop` is asked between the steps and must answer at once; `true` ends the work. One step takes
/// no longer than [`Limits::max_input`] and [`Limits::max_elements`] let it.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::TooDeep`] and [`Error::Stopped`].
pub fn read_html(
    html: &str,
    url: Option<&Url>,
    want: Want,
    limits: &Limits,
    stop: &dyn Fn() -> bool,
) -> Result<Content, Error> {
    let go_on = || if stop() { Err(Error::Stopped) } else { Ok(()) };
    go_on()?;
    let html = guard::bounded(html, limits)?;
    let document = Document::from(&*html);
    tree::check_depth(&document, limits.max_nesting)?;
    go_on()?;
    let base = base::of(&document, url);
    let base = base.as_ref();
    let mut content = Content::default();
    if want.links {
        content.links = Some(links::read(&document, base, limits.max_links));
    }
    let metadata = metadata::read(&document, base);
    if want.markdown || want.text {
        go_on()?;
        let title = heading(&document).or_else(|| metadata.title.clone());
        drop(document);
        let main = article::extract(
            &html,
            title.as_deref(),
            metadata.description.as_deref(),
            &go_on,
        )?;
        go_on()?;
        if want.text {
            let text = main
                .as_ref()
                .map(|main| text::running(main.root(), limits.max_output));
            let (text, truncated) = text.unwrap_or_default();
            content.text = Some(Text { text, truncated });
        }
        if want.markdown {
            let text = main.and_then(|main| markdown::write(&main, base, title.as_deref()));
            content.markdown = Some(Text::cut(text.unwrap_or_default(), limits.max_output));
        }
    }
    content.metadata = want.metadata.then_some(metadata);
    Ok(content)
}

/// The first heading of the first rank; its title is often longer by the name of the site.
fn heading(document: &Document) -> Option<String> {
    let headings = document.select("h1");
    let texts = headings
        .nodes()
        .iter()
        .map(|node| tree::collapse(&node.text()));
    let mut texts = texts.filter(|text| !text.is_empty());
    let first = texts.next()?;
    // Several mark up other things, as the names of sections.
    texts.next().is_none().then_some(first)
}
