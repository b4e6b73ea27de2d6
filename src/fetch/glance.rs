//! A glance at a document: whether it has plenty of text, without parsing it.
//!
//! It is for callers who want the bytes and not what is in them. Whatever it is not sure of it
//! leaves to the parser.

/// So much text in paragraphs is content, with certainty: well over any bound of the rules.
const PLENTY: usize = 1500;

/// Whether the document shows plenty of text outside links and hides nothing.
pub(super) fn is_content(html: &str) -> bool {
    let mut rest = html;
    let mut characters = 0;
    let mut paragraph = false;
    while let Some(at) = rest.find('<') {
        let (text, tag) = rest.split_at(at);
        if paragraph {
            let count = text.bytes().filter(u8::is_ascii_graphic).count();
            characters += count;
        }
        if characters >= PLENTY {
            return true;
        }
        let Some(end) = tag.find('>') else {
            return false;
        };
        let (tag, after) = tag.split_at(end);
        // What may be hidden, or may be no text at all, is the parser's. A tag of nothing but its
        // name hides nothing.
        let name = tag.trim_start_matches(['<', '/']);
        let bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let opens = ["<template", "<textarea", "<dialog"];
        if opens.iter().any(|open| tag.starts_with(open))
            || (!bare && ["hidden", "display"].iter().any(|word| tag.contains(word)))
        {
            return false;
        }
        rest = after;
        for (open, close) in [
            ("<script", "</script"),
            ("<style", "</style"),
            ("<noscript", "</noscript"),
        ] {
            if tag.starts_with(open) {
                let Some(at) = rest.find(close) else {
                    return false;
                };
                rest = rest.get(at..).unwrap_or_default();
            }
        }
        match tag {
            "<p" | "</a" => paragraph = true,
            "</p" => paragraph = false,
            tag if tag.starts_with("<p ") => paragraph = true,
            tag if tag.starts_with("<a ") => paragraph = false,
            tag if tag.starts_with("<!--") => {
                let Some(at) = rest
                    .find("-->")
                    .or_else(|| tag.ends_with("--").then_some(0))
                else {
                    return false;
                };
                rest = rest.get(at..).unwrap_or_default();
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_content;

    #[test]
    fn plenty_is_told_from_what_only_looks_like_it() {
        let words = "words and ".repeat(300);
        assert!(is_content(&format!(
            "<title>a</title><p class=x>{words}</p>"
        )));
        for around in [
            ("<p hidden>", ""),
            ("<p style='display:none'>", ""),
            ("<script>'<p>", "</script>"),
            ("<p><script>", "</script>"),
            ("<!-- <p>", "-->"),
            ("<p><a href=x>", "</a>"),
            ("<template><p>", ""),
            ("<div>", ""),
        ] {
            let (before, after) = around;
            assert!(
                !is_content(&format!("{before}{words}{after}<p>x</p>")),
                "{before}"
            );
        }
        assert!(!is_content("<p>few</p><p"));
    }
}
