//! What is taken out of a document before anything is scored: what no reader sees, and what its
//! author named as beside the content.

use std::collections::HashMap;

use dom_query::{Document, NodeId, NodeRef};

use super::{
    names,
    tree::{Step, is_unseen, letters, name, walk},
};

/// So much of a document's text an element may hold, in hundredths, and still be beside the
/// content: names are wrong at times, as in `<body class="has-sidebar">`.
const MOST: usize = 30;

/// Takes out what is hidden and what is beside the content, and marks captions as such.
pub(super) fn prune(document: &Document, named: bool) {
    remove_hidden(document);
    if named {
        remove_named(document.root(), MOST);
    }
}

fn remove_hidden(document: &Document) {
    let mut gone = Vec::new();
    walk(document.root(), |step| {
        let Step::Enter(node) = step else { return true };
        if !node.is_element() {
            return false;
        }
        let name = name(&node);
        // The extractor takes pictures out of `noscript`, and removes the rest of these itself.
        let hidden = is_hidden(&node) && !matches!(&*name, "html" | "body");
        if hidden {
            gone.push(node);
        }
        !hidden && !is_unseen(&name)
    });
    for node in gone {
        node.remove_from_parent();
    }
}

fn is_hidden(node: &NodeRef<'_>) -> bool {
    node.has_attr("hidden")
        || node
            .attr("aria-modal")
            .is_some_and(|value| &*value == "true")
        || node.attr("style").is_some_and(|style| {
            let style: String = style.split_whitespace().collect();
            let style = style.to_ascii_lowercase();
            style.contains("display:none") || style.contains("visibility:hidden")
        })
}

/// Removes the elements below `top` whose names say that they are beside the content, unless they
/// hold more than `most` hundredths of the text. Captions become `figcaption`.
pub(super) fn remove_named(top: NodeRef<'_>, most: usize) {
    let sizes = sizes(top);
    let all = sizes.get(&top.id).copied().unwrap_or_default();
    if all == 0 {
        return;
    }
    let (mut gone, mut pictures) = (Vec::new(), Vec::new());
    walk(top, |step| {
        let Step::Enter(node) = step else { return true };
        if !node.is_element() {
            return node.id == top.id;
        }
        let name = name(&node);
        if is_unseen(&name) {
            return false;
        }
        let size = sizes.get(&node.id).copied().unwrap_or_default();
        let may = node.id != top.id
            && !matches!(
                &*name,
                "html"
                    | "body"
                    | "main"
                    | "article"
                    | "img"
                    | "picture"
                    | "h1"
                    | "pre"
                    | "code"
                    | "td"
                    | "th"
                    | "tr"
                    | "tbody"
                    | "br"
                    | "a"
                    | "figure"
            );
        if !may {
            return true;
        }
        if matches!(&*name, "nav" | "footer" | "aside" | "form") && size * 100 <= all * most {
            gone.push(node);
            return false;
        }
        let words = names::words(&node);
        if names::is_caption(&words) && size * 100 <= all * 15 {
            // The pictures stay, whatever they are wrapped in.
            for picture in node.descendants_it().filter(|node| node.has_name("img")) {
                pictures.push((node, picture));
            }
            node.rename("figcaption");
            return false;
        }
        let quotes = words
            .iter()
            .any(|word| word.contains("embed") || word.contains("tweet"))
            || name == "blockquote";
        if names::is_standfirst(&words) && size * 100 <= all * 15 {
            gone.push(node);
            return false;
        }
        if names::is_beside(&words) && !quotes && size * 100 <= all * most {
            gone.push(node);
            return false;
        }
        true
    });
    for (caption, picture) in pictures {
        caption.insert_before(&picture);
    }
    for node in gone {
        node.remove_from_parent();
    }
}

/// How many letters outside of links each element below `top` holds: menus may hold more text
/// than the article does, and all of it is links.
pub(super) fn sizes(top: NodeRef<'_>) -> HashMap<NodeId, usize> {
    let mut sizes = HashMap::new();
    let mut open = vec![0_usize];
    walk(top, |step| match step {
        Step::Enter(node) if node.is_text() => {
            if let Some(sum) = open.last_mut() {
                *sum += letters(&node.text());
            }
            false
        }
        Step::Enter(node) => {
            let name = name(&node);
            let link = name == "a" && node.has_attr("href");
            let inside = !is_unseen(&name) && !link;
            if inside {
                open.push(0);
            }
            inside
        }
        Step::Leave(node) => {
            let size = open.pop().unwrap_or_default();
            sizes.insert(node.id, size);
            if let Some(sum) = open.last_mut() {
                *sum += size;
            }
            true
        }
    });
    sizes
}
