//! The arguments of tools that look, with descriptions that are written for a model.

use schemars::JsonSchema;
use serde::Deserialize;

/// How much of a text is told, in characters, unless asked for otherwise.
const TEXT: usize = 5000;

/// How a page is fetched.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Strategy {
    /// Plain HTTP first, a browser when the page needs one.
    #[default]
    Auto,
    /// Plain HTTP only.
    Http,
    /// A browser.
    Browser,
}

/// What is made of a page.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// The main content as Markdown.
    #[default]
    Markdown,
    /// All visible text.
    Text,
    /// The HTML source.
    Html,
    /// All links.
    Links,
    /// Title, description, author, dates and the like.
    Metadata,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Fetch {
    /// The URL to fetch
    pub(super) url: Option<String>,
    /// Several URLs to fetch at once, at most 10, in place of `url`; each gets its share of `max_length`
    pub(super) urls: Option<Vec<String>>,
    /// How many characters to return at most, 1 to 1000000
    #[serde(default = "text")]
    pub(super) max_length: usize,
    /// Continue at this character: the value that a truncated answer named
    #[serde(default)]
    pub(super) start_index: usize,
    /// Return the HTML source instead of Markdown
    #[serde(default)]
    pub(super) raw: bool,
    /// markdown (main content), text (everything visible), html, links or metadata
    #[serde(default)]
    pub(super) format: Format,
    /// auto (HTTP first, a browser when the page needs one), http or browser
    #[serde(default)]
    pub(super) strategy: Strategy,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Snapshot {
    /// How many bytes to return at most, 256 or more
    #[serde(default = "snapshot_whole")]
    pub(super) max_length: u32,
    /// Continue where a truncated snapshot said to
    pub(super) cursor: Option<String>,
    /// Only what changed since the last snapshot: lines with - are gone, lines with + are new
    #[serde(default)]
    pub(super) changes_only: bool,
    /// Only what is within this element: a ref from a snapshot, or css=… or text=…
    #[serde(rename = "ref")]
    pub(super) target: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Picture {
    #[default]
    Png,
    Jpeg,
    Webp,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Screenshot {
    /// The image's format
    #[serde(default, rename = "type")]
    pub(super) kind: Picture,
    /// The whole page, not only what is in view; not together with ref
    #[serde(default, rename = "fullPage")]
    pub(super) full_page: bool,
    /// What the element is, in words, for people who read along
    pub(super) element: Option<String>,
    /// Only this element: a ref from a snapshot, or css=… or text=…
    #[serde(rename = "ref")]
    pub(super) target: Option<String>,
    /// An image of more bytes is given as a resource link instead
    #[serde(default = "picture")]
    pub(super) max_bytes: usize,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Evaluate {
    /// JavaScript: an expression or a function, which is called with the element if there is one, such
    /// as () => document.title
    pub(super) function: String,
    /// The element to call the function with: a ref from a snapshot, or css=… or text=…
    #[serde(rename = "ref")]
    pub(super) target: Option<String>,
    /// How many characters of the result to return at most
    #[serde(default = "text")]
    pub(super) max_length: usize,
    /// Continue at this character of the last result of the same function
    #[serde(default)]
    pub(super) start_index: usize,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Content {
    /// markdown (main content), text (everything visible), html, links or metadata
    #[serde(default)]
    pub(super) format: Format,
    /// How many characters to return at most
    #[serde(default = "text")]
    pub(super) max_length: usize,
    /// Continue at this character: the value that a truncated answer named
    #[serde(default)]
    pub(super) start_index: usize,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Messages {
    /// How many characters to return at most
    #[serde(default = "text")]
    pub(super) max_length: usize,
    /// Continue at this character: the value that a truncated answer named
    #[serde(default)]
    pub(super) start_index: usize,
}

const fn text() -> usize {
    TEXT
}

const fn snapshot_whole() -> u32 {
    20_000
}

const fn picture() -> usize {
    1 << 20
}
