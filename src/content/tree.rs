//! Walking a document without recursion: documents nest as deep as their authors like.

use dom_query::{Document, NodeRef};

use super::Error;

/// What a walk meets.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// A node, before what is in it.
    Enter(NodeRef<'a>),
    /// An element, after what is in it.
    Leave(NodeRef<'a>),
}

/// Walks `top` and all that is in it, in the order of the document. `visit` says of each node it
/// enters whether to go into it; an element that is not gone into is not left either.
pub(super) fn walk<'a>(top: NodeRef<'a>, mut visit: impl FnMut(Step<'a>) -> bool) {
    let mut next = Some(top);
    while let Some(node) = next {
        let inside = visit(Step::Enter(node));
        next = node.first_child().filter(|_| inside);
        if inside && next.is_none() {
            visit(Step::Leave(node));
        }
        let mut at = node;
        while next.is_none() {
            if at.id == top.id {
                return;
            }
            next = at.next_sibling();
            if next.is_none() {
                let Some(parent) = at.parent() else { return };
                visit(Step::Leave(parent));
                at = parent;
            }
        }
    }
}

/// Whether a document is as deep as [`guard`](super::guard) left it. Parsers make elements of their own, so
/// twice its limit is fine; more means that it was read in another way.
///
/// # Errors
/// [`Error::TooDeep`].
pub(super) fn check_depth(document: &Document, limit: usize) -> Result<(), Error> {
    let (mut depth, mut deepest) = (0_usize, 0);
    walk(document.root(), |step| {
        match step {
            Step::Enter(_) => depth += 1,
            Step::Leave(_) => depth -= 1,
        }
        deepest = deepest.max(depth);
        true
    });
    if deepest > 2 * limit + 64 {
        Err(Error::TooDeep { limit })
    } else {
        Ok(())
    }
}

/// Whether elements of this name begin a line of their own.
pub(super) fn is_block(name: &str) -> bool {
    matches!(
        name,
        "address"
            | "article"
            | "aside"
            | "blockquote"
            | "body"
            | "caption"
            | "center"
            | "dd"
            | "details"
            | "dialog"
            | "div"
            | "dl"
            | "dt"
            | "fieldset"
            | "figcaption"
            | "figure"
            | "footer"
            | "form"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "header"
            | "hr"
            | "html"
            | "legend"
            | "li"
            | "main"
            | "nav"
            | "ol"
            | "p"
            | "pre"
            | "search"
            | "section"
            | "summary"
            | "table"
            | "tbody"
            | "td"
            | "tfoot"
            | "th"
            | "thead"
            | "tr"
            | "ul"
    )
}

/// Whether a reader never sees what is in such an element.
pub(super) fn is_unseen(name: &str) -> bool {
    matches!(
        name,
        "script"
            | "style"
            | "noscript"
            | "template"
            | "head"
            | "iframe"
            | "object"
            | "textarea"
            | "datalist"
            | "select"
            | "button"
            | "audio"
            | "video"
            | "canvas"
            | "svg"
            | "title"
    )
}

/// The name of an element, lower case; empty for what is none.
pub(super) fn name(node: &NodeRef<'_>) -> String {
    let name = node.node_name().filter(|_| node.is_element());
    name.map(|name| name.to_string()).unwrap_or_default()
}

/// The text with each run of white space as one space, none at the ends.
pub(super) fn collapse(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// How many letters and digits there are, the measure of all shares: white space differs with how
/// a page is laid out.
pub(super) fn letters(text: &str) -> usize {
    text.chars().filter(|char| char.is_alphanumeric()).count()
}
