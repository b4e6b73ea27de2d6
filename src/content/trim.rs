//! What is taken out of the content once it is found: the lines around an article that belong to
//! the page and not to its text.

use dom_query::{Document, NodeRef};

use super::{
    phrases, prune,
    tree::{Step, collapse, is_block, is_unseen, letters, name, walk},
};

/// A part of the content that holds text of its own.
#[derive(Debug)]
struct Block<'a> {
    node: NodeRef<'a>,
    /// Its own text nodes; the element may hold other blocks, too.
    parts: Vec<NodeRef<'a>>,
    name: String,
    text: String,
    letters: usize,
    /// Of these, letters within links.
    linked: usize,
    /// Holds a `<time>`.
    timed: bool,
}

impl Block<'_> {
    fn words(&self) -> usize {
        self.text.split_whitespace().count()
    }

    fn is_heading(&self) -> bool {
        matches!(&*self.name, "h1" | "h2" | "h3" | "h4" | "h5" | "h6")
    }

    /// Mostly links.
    fn is_linked(&self) -> bool {
        self.linked * 10 >= self.letters * 8
    }

    /// A paragraph of text: long, or ending as a sentence does, and mostly no links.
    fn is_prose(&self) -> bool {
        let ends = self
            .text
            .ends_with(['.', '!', '?', '”', '"', '…', ':', '。', '’', ')']);
        !self.is_heading()
            && self.linked * 2 < self.letters
            && (self.words() >= 25
                || (ends && (self.words() >= 8 || self.letters >= 40))
                || self.letters >= 120)
    }
}

/// Takes them out of `content`.
pub(super) fn trim(content: &Document, title: Option<&str>, description: Option<&str>) {
    prune::remove_named(content.root(), 40);
    pointers(content);
    lead(content, title, description);
    tail(content);
}

/// The blocks of the content in its order, captions left out.
fn blocks(content: &Document) -> Vec<Block<'_>> {
    let mut found: Vec<Block<'_>> = Vec::new();
    let mut open: Vec<NodeRef<'_>> = Vec::new();
    let mut links = 0_usize;
    let mut last = None;
    walk(content.root(), |step| {
        let node = match step {
            Step::Leave(node) => {
                let name = name(&node);
                if is_block(&name) {
                    open.pop();
                }
                links -= usize::from(is_link(&node, &name) && links > 0);
                return true;
            }
            Step::Enter(node) => node,
        };
        if node.is_text() {
            let Some(top) = open.last() else { return false };
            let text = node.text();
            if text.trim().is_empty() {
                return false;
            }
            if last != Some(top.id) {
                last = Some(top.id);
                found.push(Block {
                    node: *top,
                    parts: Vec::new(),
                    name: name(top),
                    text: String::new(),
                    letters: 0,
                    linked: 0,
                    timed: false,
                });
            }
            if let Some(block) = found.last_mut() {
                let size = letters(&text);
                block.parts.push(node);
                block.text.push_str(&text);
                block.letters += size;
                block.linked += if links > 0 { size } else { 0 };
            }
            return false;
        }
        let name = name(&node);
        if is_unseen(&name) || name == "figcaption" {
            return false;
        }
        if is_block(&name) {
            open.push(node);
        }
        if name == "time"
            && let Some(block) = found
                .last_mut()
                .filter(|block| Some(block.node.id) == open.last().map(|n| n.id))
        {
            block.timed = true;
        }
        links += usize::from(is_link(&node, &name));
        true
    });
    for block in &mut found {
        block.text = collapse(&block.text);
    }
    found
}

fn is_link(node: &NodeRef<'_>, name: &str) -> bool {
    name == "a" && node.has_attr("href")
}

/// Removes a block, and what around it is empty then.
fn remove(block: &Block<'_>) {
    if letters(&block.node.text()) > block.letters {
        for part in &block.parts {
            part.remove_from_parent();
        }
        return;
    }
    let mut parent = block.node.parent();
    block.node.remove_from_parent();
    while let Some(at) = parent.filter(is_empty) {
        parent = at.parent();
        at.remove_from_parent();
    }
}

/// Whether an element, not the top of the content, is left with nothing in it. One with many nodes
/// is taken to hold something: to look at all of them for each that goes would take too long.
fn is_empty(node: &NodeRef<'_>) -> bool {
    const MOST: usize = 8;
    let blank = |node: &NodeRef<'_>| !node.is_element() && node.text().trim().is_empty();
    let mut few = node.children_it(false).take(MOST + 1).enumerate();
    node.is_element() && node.parent().is_some() && few.all(|(at, node)| at < MOST && blank(&node))
}

/// Lines within the text that only point elsewhere.
fn pointers(content: &Document) {
    let blocks = blocks(content);
    let mut after_label = false;
    for block in &blocks {
        let words = block.words();
        let label = words <= 8 && phrases::is_label(&block.text);
        let linked = block.is_linked() && block.letters > 0;
        let pointer =
            words <= 40 && linked && (phrases::is_pointer(&block.text) || shouts(&block.text));
        let listed =
            after_label && (linked || (block.name == "li" && block.linked * 2 > block.letters));
        if label || pointer || listed || is_counter(&block.text) {
            remove(block);
        }
        after_label = label || listed;
    }
}

/// Whether a text counts pictures, as in `Image 1 of 5`.
fn is_counter(text: &str) -> bool {
    let words: Vec<_> = text.split_whitespace().collect();
    words.len() <= 8
        && words.windows(3).any(|three| {
            let number = |word: &str| {
                !word.is_empty() && word.len() < 4 && word.chars().all(|char| char.is_ascii_digit())
            };
            number(three[0]) && matches!(three[1], "of" | "/" | "von" | "de") && number(three[2])
        })
}

/// Whether a text is all upper case, as links between paragraphs are.
fn shouts(text: &str) -> bool {
    let upper = text.chars().filter(|char| char.is_uppercase()).count();
    let lower = text.chars().filter(|char| char.is_lowercase()).count();
    upper > 12 && lower * 8 < upper
}

/// What stands before the first paragraph: crumbs, dates, names of authors, the standfirst.
fn lead(content: &Document, title: Option<&str>, description: Option<&str>) {
    let blocks = blocks(content);
    let Some(first) = blocks.iter().position(Block::is_prose) else {
        return;
    };
    for block in &blocks[..first] {
        let is_title = title.is_some_and(|title| same(&block.text, title));
        if is_title || is_about_page(block) {
            remove(block);
        }
    }
    // The standfirst repeats what the page says of itself, and stands apart from the text.
    let Some(description) = description else {
        return;
    };
    let body = |block: &Block<'_>| block.node.parent().map(|parent| parent.id);
    let (Some(head), Some(next)) = (blocks.get(first), blocks.get(first + 1)) else {
        return;
    };
    if same(&head.text, description) && body(head) != body(next) && blocks.len() > first + 3 {
        remove(head);
    }
}

fn same(one: &str, other: &str) -> bool {
    let plain = |text: &str| {
        text.chars()
            .filter(|char| char.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect::<String>()
    };
    let (one, other) = (plain(one), plain(other));
    !one.is_empty()
        && (one == other
            || (one.len() > 60
                && other.len() > 60
                && (one.starts_with(&other) || other.starts_with(&one))))
}

/// Whether a short block says something about the page: who wrote it, when, where it stands.
fn is_about_page(block: &Block<'_>) -> bool {
    let words = block.words();
    let short = words <= 25;
    if block.is_heading() {
        return phrases::is_label(&block.text);
    }
    short
        && (block.timed
            || block.is_linked()
            || phrases::is_pointer(&block.text)
            || is_date(&block.text))
}

/// Whether a text is a date or a time with little else.
fn is_date(text: &str) -> bool {
    const MONTHS: &[&str] = &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "fev",
        "abr", "mai", "ago", "set", "out", "dez", "ene", "dic", "okt", "mär", "fév", "янв", "фев",
        "мар", "апр", "мая", "июн", "июл", "авг", "сен", "окт", "ноя", "дек",
    ];
    let lower = text.to_lowercase();
    let mut others = 0;
    let (mut month, mut year, mut parts) = (false, false, 0);
    for word in lower
        .split(|char: char| !char.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        if word.starts_with(|char: char| char.is_ascii_digit()) {
            parts += 1;
            year |= word.len() == 4 && (word.starts_with("19") || word.starts_with("20"));
        } else if MONTHS.iter().any(|name| word.starts_with(name)) {
            month = true;
        } else if word.chars().count() > 2 {
            others += 1;
        }
    }
    let clock = lower.split(char::is_whitespace).any(|word| {
        word.len() < 8 && word.contains(':') && word.starts_with(|char: char| char.is_ascii_digit())
    });
    others <= 5
        && ((month && year && parts >= 2)
            || (month && clock)
            || (parts >= 3 && (year || clock))
            || (year && clock))
}

/// What stands after the last paragraph: names of authors, notes of rights, offers, lists of
/// other pages.
fn tail(content: &Document) {
    let blocks = blocks(content);
    let all: usize = blocks.iter().map(|block| block.letters).sum();
    let mut gone = 0;
    for (at, block) in blocks.iter().enumerate().rev() {
        let words = block.words();
        gone += block.letters;
        if gone * 100 > all * 40 || at < 2 {
            return;
        }
        let beside = (block.is_linked() && !matches!(&*block.name, "pre" | "td" | "th"))
            || (words <= 60 && phrases::is_pointer(&block.text))
            || (words <= 12 && phrases::is_label(&block.text))
            || (words <= 16 && is_date(&block.text))
            || (block.is_heading())
            || (words <= 2);
        if !beside {
            return;
        }
        remove(block);
    }
}
