//! The running text of content: one line a block, captions left out.

use dom_query::NodeRef;

use super::tree::{Step, is_block, is_unseen, name, walk};

/// The text of `top`, whitespace collapsed, at most `most` bytes; and whether that cut it.
pub(super) fn running(top: NodeRef<'_>, most: usize) -> (String, bool) {
    let mut lines = Lines::default();
    let mut cut = false;
    walk(top, |step| {
        let node = match step {
            Step::Leave(node) => {
                lines.line |= is_block(&name(&node));
                return true;
            }
            Step::Enter(node) => node,
        };
        if node.is_text() {
            cut |= lines.text.len() > most;
            if !cut {
                lines.push(&node.text());
            }
            return false;
        }
        let name = name(&node);
        lines.line |= is_block(&name) || name == "br";
        !cut && !is_unseen(&name) && name != "figcaption"
    });
    let mut text = lines.text;
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        cut = true;
    }
    (text, cut)
}

#[derive(Debug, Default)]
struct Lines {
    text: String,
    /// Where the next word must begin a line, or only be apart.
    line: bool,
    space: bool,
}

impl Lines {
    fn push(&mut self, text: &str) {
        self.space |= text.starts_with(char::is_whitespace);
        for word in text.split_whitespace() {
            if !self.text.is_empty() && self.line {
                self.text.push('\n');
            } else if !self.text.is_empty() && self.space {
                self.text.push(' ');
            }
            self.line = false;
            self.space = true;
            self.text.push_str(word);
        }
        self.space = text.ends_with(char::is_whitespace) || (self.space && text.is_empty());
    }
}
