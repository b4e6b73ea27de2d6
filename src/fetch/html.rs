//! What a reader sees of an HTML document, and what it shows of how it is made.
//!
//! One walk over the parsed document finds both. It is without recursion, for documents nest as
//! deep as their authors like.

use dom_query::{Document, NodeRef};

use super::{
    attributes::Attributes,
    depth::shallow,
    survey::{Place, Seen, Survey},
};

/// What is found in a document by reading it once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) title: Option<String>,
    pub(super) text: String,
    pub(super) seen: Seen,
}

/// Reads a document.
pub(super) fn read(html: &str) -> Found {
    let document = Document::from(shallow(html));
    let title = document.select_single("title");
    let title = (title.exists()).then(|| collapse(&title.text()));
    let mut walk = Walk::default();
    walk.all(&document, &document.root(), 0);
    let text = walk.lines.finish();
    let seen = walk.survey.finish(title.as_deref(), &text);
    Found { title, text, seen }
}

/// What of an element separates its text from its neighbours'.
#[derive(Clone, Copy)]
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

/// Elements whose content is none for a reader, whatever it is.
fn never_shown(name: &str) -> bool {
    matches!(
        name,
        "script"
            | "style"
            | "noscript"
            | "noframes"
            | "template"
            | "head"
            | "iframe"
            | "object"
            | "textarea"
            | "datalist"
            | "audio"
            | "video"
            | "canvas"
    )
}

/// Where the content of an element is by the element itself.
fn place(name: &str, attributes: &Attributes<'_>) -> Place {
    if never_shown(name) || attributes.hidden() {
        return Place::Hidden;
    }
    match (name, attributes.role) {
        ("aside" | "dialog" | "footer" | "header" | "nav", _)
        | (_, Some("banner" | "contentinfo" | "dialog" | "navigation" | "alertdialog")) => {
            Place::Around
        }
        ("a" | "button" | "label" | "select", _) => Place::Control,
        _ => Place::Content,
    }
}

/// The state of an element that the walk is in.
struct Open {
    place: Place,
    breaks: Break,
}

#[derive(Default)]
struct Walk {
    lines: Lines,
    open: Vec<Open>,
    survey: Survey,
}

impl Walk {
    fn all(&mut self, document: &Document, top: &NodeRef<'_>, nested: usize) {
        let floor = self.open.len();
        let mut next = Some(*top);
        while let Some(node) = next {
            let element = node.is_element();
            if element {
                self.enter(document, &node, nested);
            } else if node.is_text() {
                self.text(&node);
            }
            next = node.first_child();
            let mut at = node;
            while next.is_none() {
                if at.is_element() && self.open.len() > floor {
                    self.leave();
                }
                if at.id == top.id {
                    return;
                }
                next = at.next_sibling();
                match at.parent() {
                    Some(parent) if next.is_none() => at = parent,
                    Some(_) => {}
                    None => return,
                }
            }
        }
    }

    fn enter(&mut self, document: &Document, node: &NodeRef<'_>, nested: usize) {
        /// A shadow root in a shadow root, and so on.
        const DEEPEST: usize = 4;
        let Some(element) = node.element_ref() else {
            return;
        };
        let name = &*element.name.local;
        let attributes = Attributes::of(&element.attrs);
        let outer = self.place();
        let open = Open {
            // Of two that are one in the other the one counts that says more against content.
            place: outer.min(place(name, &attributes)),
            breaks: breaks(name),
        };
        if outer != Place::Hidden {
            self.lines.separate(open.breaks);
        }
        self.survey.enter(node, name, &attributes, open.place);
        let shadow = element
            .template_contents
            .filter(|_| attributes.shadow && outer != Place::Hidden && nested < DEEPEST);
        drop(element);
        // A shadow root that is declared in the markup is shown without any script.
        if let Some(contents) = shadow.and_then(|id| document.tree.get(&id)) {
            self.all(document, &contents, nested + 1);
        }
        self.open.push(open);
    }

    fn place(&self) -> Place {
        self.open.last().map_or(Place::Content, |open| open.place)
    }

    fn leave(&mut self) {
        if let Some(open) = self.open.pop() {
            if self.place() != Place::Hidden {
                self.lines.separate(open.breaks);
            }
            self.survey.leave();
        }
    }

    fn text(&mut self, node: &NodeRef<'_>) {
        let place = self.place();
        if place != Place::Hidden {
            let text = node.text();
            self.lines.text(&text);
            self.survey.text(&text, place);
        }
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
    const fn separate(&mut self, how: Break) {
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
    fn a_declared_shadow_root_is_seen() {
        let found = read(
            "<p>a<my-card><template shadowrootmode=open><style>b{}</style><p>in the shade\
             <template>no</template></template></my-card><p>z",
        );
        assert_eq!(found.text, "a\nin the shade\nz");
        let deep = "<x-a><template shadowrootmode=open>".repeat(500);
        assert_eq!(read(&deep).text, "");
    }

    #[test]
    fn depth_is_no_danger() {
        let deep = format!("{}deep", "<div>".repeat(50_000));
        assert_eq!(read(&deep).text, "", "browsers would not go there either");
        let flat = format!("{}end", "<p>x<br><img><DIV></DIV>".repeat(10_000));
        assert!(read(&flat).text.ends_with("end"));
        assert_eq!(read("").text, "");
    }
}
