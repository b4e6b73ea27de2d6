//! What a reader sees of an HTML document, and what it says about how it is made.

use dom_query::{Document, NodeRef};

use super::classify::Seen;

/// What is found in a document by reading it once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) title: Option<String>,
    pub(super) text: String,
    pub(super) seen: Seen,
}

/// The elements that frameworks render into, by id or name.
const SHELLS: [&str; 9] = [
    "root",
    "app",
    "__next",
    "__nuxt",
    "___gatsby",
    "svelte",
    "q-app",
    "app-root",
    "main-app",
];

/// So many of them are looked into: one inside the other, each costs as much as the document.
const MOST_FRAMES: usize = 16;

/// Reads a document.
pub(super) fn read(html: &str) -> Found {
    let document = Document::from(shallow(html));
    let root = document.root();
    let title = document.select_single("title");
    let title = (title.exists()).then(|| collapse(&title.text()));
    let text = visible(&root);
    let mut seen = Seen {
        visible: text.chars().filter(|char| !char.is_whitespace()).count(),
        ..Seen::default()
    };
    let mut frames = 0;
    for node in root.descendants_it() {
        let Some(name) = node.node_name() else {
            continue;
        };
        match &*name {
            "script" if is_code(&node) => {
                seen.scripts += 1;
                seen.script_bytes += node.text().trim().len();
            }
            "noscript" => {
                let says = node.text().to_ascii_lowercase();
                seen.asks_for_script |= says.contains("javascript");
            }
            name if seen.shell.is_none() && frames < MOST_FRAMES => {
                let id = node.id_attr();
                let is = |shell: &&&str| **shell == name || id.as_deref() == Some(**shell);
                let shell = SHELLS.iter().find(is);
                frames += usize::from(shell.is_some());
                seen.shell = shell.filter(|_| visible(&node).is_empty()).copied();
            }
            _ => {}
        }
    }
    Found { title, text, seen }
}

/// The start of a document, up to where elements nest deeper than any page needs. To parse a
/// document takes time by the square of its depth, and browsers flatten it at 512.
fn shallow(html: &str) -> &str {
    const DEEPEST: usize = 2048;
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(found) = html.get(at..).and_then(|rest| rest.find('<')) {
        let tag = at + found;
        let rest = html.get(tag + 1..).unwrap_or_default();
        let (closes, rest) = match rest.strip_prefix('/') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let end = rest.find(|char: char| !char.is_ascii_alphanumeric());
        let name = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        at = html.len() - rest.len() + name.len();
        let is_tag = name.starts_with(|char: char| char.is_ascii_alphabetic());
        if !is_tag || never_nests(name) {
            continue;
        }
        if closes {
            depth = depth.saturating_sub(1);
        } else {
            depth += 1;
        }
        if depth > DEEPEST {
            return html.get(..tag).unwrap_or(html);
        }
    }
    html
}

/// Elements without content, or that end where the next one begins.
fn never_nests(name: &str) -> bool {
    const NAMES: [&str; 26] = [
        "area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link",
        "meta", "option", "optgroup", "p", "param", "rp", "rt", "source", "td", "th", "tr",
        "track", "wbr", "path",
    ];
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether a `<script>` holds a program and not data.
fn is_code(node: &NodeRef<'_>) -> bool {
    let kind = node.attr("type").unwrap_or_default().to_ascii_lowercase();
    kind.is_empty() || kind == "module" || kind.contains("javascript")
}

/// What of an element separates its text from its neighbours'.
enum Break {
    Line,
    Space,
    None,
}

fn breaks(name: &str) -> Break {
    match name {
        "address" | "article" | "aside" | "blockquote" | "body" | "br" | "caption" | "dd"
        | "details" | "dialog" | "div" | "dl" | "dt" | "fieldset" | "figcaption" | "figure"
        | "footer" | "form" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "header" | "hr" | "li"
        | "legend" | "main" | "nav" | "ol" | "option" | "p" | "pre" | "search" | "section"
        | "summary" | "table" | "tbody" | "tfoot" | "thead" | "tr" | "ul" => Break::Line,
        "td" | "th" | "img" | "button" | "select" => Break::Space,
        _ => Break::None,
    }
}

fn is_hidden(node: &NodeRef<'_>, name: &str) -> bool {
    let never = matches!(
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
            | "audio"
            | "video"
            | "canvas"
    );
    never
        || node.has_attr("hidden")
        || node.attr("style").is_some_and(|style| {
            let style: String = style.split_whitespace().collect();
            style.to_ascii_lowercase().contains("display:none")
        })
}

/// The text of `top` that a reader would see, one line a block, whitespace collapsed. It walks
/// without recursion: documents nest as deep as their authors like.
fn visible(top: &NodeRef<'_>) -> String {
    let mut lines = Lines::default();
    let mut next = Some(*top);
    while let Some(node) = next {
        let descend = enter(&node, &mut lines);
        next = node.first_child().filter(|_| descend);
        let mut at = node;
        while next.is_none() {
            leave(&at, &mut lines);
            if at.id == top.id {
                return lines.finish();
            }
            next = at.next_sibling();
            match at.parent() {
                Some(parent) if next.is_none() => at = parent,
                Some(_) => {}
                None => return lines.finish(),
            }
        }
    }
    lines.finish()
}

/// Whether what is in the node counts, too.
fn enter(node: &NodeRef<'_>, lines: &mut Lines) -> bool {
    if node.is_text() {
        lines.text(&node.text());
        return false;
    }
    let Some(name) = node.node_name().filter(|_| node.is_element()) else {
        return true;
    };
    if is_hidden(node, &name) {
        return false;
    }
    lines.separate(&breaks(&name));
    true
}

fn leave(node: &NodeRef<'_>, lines: &mut Lines) {
    if let Some(name) = node.node_name().filter(|_| node.is_element()) {
        lines.separate(&breaks(&name));
    }
}

#[derive(Default)]
struct Lines {
    text: String,
    /// Where the next word must begin a line, or only be apart.
    line: bool,
    space: bool,
}

impl Lines {
    fn separate(&mut self, how: &Break) {
        match how {
            Break::Line => self.line = true,
            Break::Space => self.space = true,
            Break::None => {}
        }
    }

    fn text(&mut self, text: &str) {
        self.space |= text.starts_with(is_space);
        for word in text.split(is_space).filter(|word| !word.is_empty()) {
            if !self.text.is_empty() && self.line {
                self.text.push('\n');
            } else if !self.text.is_empty() && self.space {
                self.text.push(' ');
            }
            self.line = false;
            self.space = true;
            self.text.push_str(word);
        }
        self.space = text.ends_with(is_space) || (self.space && text.is_empty());
    }

    fn finish(self) -> String {
        self.text
    }
}

/// What HTML collapses; a no-break space is none of it.
const fn is_space(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

fn collapse(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_a_reader_sees() {
        let found = read(
            "<!doctype html><title> A \n title</title><style>p{}</style><body>\
             <h1>One</h1><p>two <b>th</b>ree&nbsp;x<br>four<script>no()</script>\
             <ul><li>a<li>b</ul><p hidden>no<p style='display : none'>no\
             <table><tr><td>c<td>d</table><template>no</template><noscript>no</noscript>end",
        );
        assert_eq!(found.title.as_deref(), Some("A title"));
        assert_eq!(found.text, "One\ntwo three\u{a0}x\nfour\na\nb\nc d\nend");
        assert_eq!(found.seen.scripts, 1);
    }

    #[test]
    fn a_shell_is_recognised_by_its_empty_frame() {
        let seen = read("<div id=root> <i></i></div><script src=/app.js></script>").seen;
        assert_eq!(seen.shell, Some("root"));
        assert_eq!((seen.scripts, seen.visible), (1, 0));
        let filled = read("<div id=root>Served.</div><script>1</script>").seen;
        assert_eq!(filled.shell, None);
        let angular = read("<app-root></app-root><script type=application/ld+json>{}</script>");
        assert_eq!(angular.seen.shell, Some("app-root"));
        assert_eq!(angular.seen.scripts, 0, "data is no program");
        let asks = read("<body><noscript>You need to enable JavaScript.</noscript>").seen;
        assert!(asks.asks_for_script);
    }

    #[test]
    fn depth_is_no_danger() {
        let deep = format!("{}deep", "<div>".repeat(50_000));
        assert_eq!(read(&deep).text, "", "browsers would not go there either");
        let flat = format!("{}end", "<p>x<br><img><DIV></DIV>".repeat(10_000));
        assert!(read(&flat).text.ends_with("end"));
        assert_eq!(read(""), Found::default());
    }
}
