//! What is done to a document before it is parsed, so that no parser and no extractor meets a tree
//! that it cannot bear: they recurse, and take time by the square of the depth.

use std::borrow::Cow;

use super::{
    Error, Limits,
    pieces::{Pieces, Place},
};

/// Formatting elements that are open at once. Parsers open each of them anew in every block, so
/// that a few hundred of them make a small document grow without bound.
const MOST_FORMATS: usize = 16;

/// The document with its nesting bounded: tags that would open deeper than the limit are left out,
/// and what is in them stays where it is.
///
/// # Errors
/// [`Error::TooLarge`] when it has too many bytes or would make too many elements.
pub(super) fn bounded<'a>(html: &'a str, limits: &Limits) -> Result<Cow<'a, str>, Error> {
    if html.len() > limits.max_input {
        return Err(Error::TooLarge {
            limit: limits.max_input,
            what: "bytes",
        });
    }
    let mut scan = Scan::new(limits);
    let mut flat: Option<String> = None;
    // What is copied already, once anything had to be left out.
    let mut copied = 0;
    let mut at = 0;
    let mut pieces = Pieces::default();
    let between = |from: usize, to: usize| html.get(from..to).unwrap_or_default();
    while let Some(tag) = next_tag(html, at) {
        pieces.add(between(at, tag.start), Place::Text)?;
        if !tag.name.is_empty() {
            pieces.add(between(tag.start + 1, tag.end - 1), Place::Attributes)?;
        }
        at = tag.end;
        let keeps = scan.keeps(&tag);
        if scan.elements > limits.max_elements {
            return Err(Error::TooLarge {
                limit: limits.max_elements,
                what: "elements",
            });
        }
        if !keeps {
            let flat = flat.get_or_insert_with(String::new);
            flat.push_str(html.get(copied..tag.start).unwrap_or_default());
            copied = tag.end;
        }
        if !tag.closes && scan.foreign == 0 && is_raw(tag.name) {
            let end = raw_end(html, at, tag.name);
            if is_escaped(tag.name) {
                pieces.add(between(at, end), Place::Text)?;
            }
            at = end;
        }
    }
    pieces.add(between(at, html.len()), Place::Text)?;
    Ok(match flat {
        None => Cow::Borrowed(html),
        Some(mut flat) => {
            flat.push_str(html.get(copied..).unwrap_or_default());
            Cow::Owned(flat)
        }
    })
}

/// A tag as it stands in the text.
#[derive(Debug)]
struct Tag<'a> {
    name: &'a str,
    closes: bool,
    /// `<x/>`, which counts within SVG and MathML.
    empty: bool,
    start: usize,
    end: usize,
}

/// The next tag from `from` on, or comment, which has no name.
fn next_tag(html: &str, from: usize) -> Option<Tag<'_>> {
    let mut at = from;
    loop {
        let start = at + html.get(at..)?.find('<')?;
        let rest = html.get(start + 1..)?;
        if rest.starts_with("!--") {
            // Short comments in great number would make as many nodes: they count.
            let end = comment_end(html, start + 2)?;
            return Some(Tag {
                name: "",
                closes: false,
                empty: true,
                start,
                end,
            });
        }
        let closes = rest.starts_with('/');
        let from = start + 1 + usize::from(closes);
        let name = html.get(from..)?;
        if !name.starts_with(|char: char| char.is_ascii_alphabetic()) {
            at = start + 1;
            continue;
        }
        let ends = |char: char| char.is_ascii_whitespace() || char == '/' || char == '>';
        let name = name.get(..name.find(ends).unwrap_or(name.len()))?;
        let end = tag_end(html, from + name.len())?;
        let empty = html.get(..end)?.ends_with("/>");
        return Some(Tag {
            name,
            closes,
            empty,
            start,
            end,
        });
    }
}

/// Where a comment ends whose dashes begin at `from`; `None` when it is open to the end.
fn comment_end(html: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let dashes = at + html.get(at..)?.find("--")?;
        let rest = html.get(dashes + 2..)?;
        if rest.starts_with('>') {
            return Some(dashes + 3);
        }
        if rest.starts_with("!>") && dashes > from {
            return Some(dashes + 4);
        }
        at = dashes + 1;
    }
}

/// Where a tag ends that has attributes from `from` on, by the rules that browsers read it with:
/// a quote hides a `>` only where it begins a value.
fn tag_end(html: &str, from: usize) -> Option<usize> {
    #[derive(Clone, Copy)]
    enum At {
        /// Between attributes, or within a name; whether there is a name.
        Name(bool),
        /// After `=`.
        Value,
        Bare,
        Quoted(u8),
    }
    let mut state = At::Name(false);
    for (at, byte) in html.as_bytes().get(from..)?.iter().enumerate() {
        let space = byte.is_ascii_whitespace();
        state = match (state, byte) {
            (At::Quoted(open), byte) if open == *byte => At::Name(false),
            (At::Quoted(open), _) => At::Quoted(open),
            (_, b'>') => return Some(from + at + 1),
            (At::Name(true), b'=') => At::Value,
            (At::Name(named), _) if space => At::Name(named),
            (At::Name(_), b'/') => At::Name(false),
            (At::Name(_), _) => At::Name(true),
            (At::Value, _) if space => At::Value,
            (At::Value, b'"' | b'\'') => At::Quoted(*byte),
            (At::Bare, _) if space => At::Name(false),
            (At::Value | At::Bare, _) => At::Bare,
        };
    }
    None
}

/// Whether what is in such an element is no markup.
fn is_raw(name: &str) -> bool {
    [
        "script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes",
    ]
    .iter()
    .any(|raw| name.eq_ignore_ascii_case(raw))
}

/// Whether what is in such an element has entities all the same.
fn is_escaped(name: &str) -> bool {
    name.eq_ignore_ascii_case("textarea") || name.eq_ignore_ascii_case("title")
}

/// Where the end tag of a raw element begins.
fn raw_end(html: &str, from: usize, name: &str) -> usize {
    let bytes = html.as_bytes();
    let mut at = from;
    while let Some(found) = html.get(at..).and_then(|rest| rest.find("</")) {
        let start = at + found;
        let named = bytes.get(start + 2..start + 2 + name.len());
        if named.is_some_and(|named| named.eq_ignore_ascii_case(name.as_bytes())) {
            return start;
        }
        at = start + 2;
    }
    html.len()
}

#[derive(Debug)]
struct Scan<'a> {
    limits: &'a Limits,
    depth: usize,
    formats: usize,
    /// Elements left out and still open.
    dropped: usize,
    dropped_formats: usize,
    /// Open `svg` and `math`, in which other rules close elements.
    foreign: usize,
    elements: usize,
}

impl<'a> Scan<'a> {
    const fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            depth: 0,
            formats: 0,
            dropped: 0,
            dropped_formats: 0,
            foreign: 0,
            elements: 0,
        }
    }

    /// Counts a tag, and says whether it stays.
    fn keeps(&mut self, tag: &Tag<'_>) -> bool {
        if tag.name.is_empty() {
            self.elements += 1;
            return true;
        }
        let foreign = self.foreign > 0;
        if ["svg", "math"]
            .iter()
            .any(|name| tag.name.eq_ignore_ascii_case(name))
        {
            self.foreign = if tag.closes {
                self.foreign.saturating_sub(1)
            } else {
                self.foreign + 1
            };
        }
        if tag.closes {
            return self.closes(tag, foreign);
        }
        self.elements += 1;
        if foreign && tag.empty {
            return true;
        }
        if !foreign && never_nests(tag.name) {
            self.elements += self.formats;
            return true;
        }
        if !foreign && is_format(tag.name) {
            if self.formats >= MOST_FORMATS {
                self.dropped_formats += 1;
                return false;
            }
            self.formats += 1;
            return true;
        }
        self.elements += self.formats;
        if self.depth >= self.limits.max_nesting {
            self.dropped += 1;
            return false;
        }
        self.depth += 1;
        true
    }

    const fn closes_one(open: &mut usize, dropped: &mut usize) -> bool {
        if *dropped > 0 {
            *dropped -= 1;
            return false;
        }
        *open = open.saturating_sub(1);
        true
    }

    fn closes(&mut self, tag: &Tag<'_>, foreign: bool) -> bool {
        if !foreign && never_nests(tag.name) {
            // `</p>` and `</br>` make elements of their own where none is open.
            self.elements += 1;
            true
        } else if !foreign && is_format(tag.name) {
            Self::closes_one(&mut self.formats, &mut self.dropped_formats)
        } else {
            Self::closes_one(&mut self.depth, &mut self.dropped)
        }
    }
}

/// Elements without content, or that end where the next one begins.
fn never_nests(name: &str) -> bool {
    const NAMES: [&str; 29] = [
        "area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link",
        "meta", "option", "optgroup", "p", "param", "rp", "rt", "source", "td", "th", "tr",
        "track", "wbr", "html", "body", "head", "tbody",
    ];
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Elements that parsers open anew in each block.
fn is_format(name: &str) -> bool {
    const NAMES: [&str; 14] = [
        "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt",
        "u",
    ];
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(html: &str) -> String {
        let limits = Limits {
            max_nesting: 3,
            max_elements: 5_000,
            ..Limits::default()
        };
        bounded(html, &limits).unwrap().into_owned()
    }

    #[test]
    fn what_is_deeper_is_laid_flat() {
        let fine = "<div><p>a<br>b<p>c<ul><li>d<li>e</ul></div>";
        assert!(matches!(
            bounded(fine, &Limits::default()),
            Ok(Cow::Borrowed(_))
        ));
        assert_eq!(
            flat("<div><div><div><div id='>'>deep</div></div></div></div><i>end</i>"),
            "<div><div><div>deep</div></div></div><i>end</i>"
        );
        assert!(flat(&"<b>".repeat(100)).len() <= 3 * MOST_FORMATS);
        assert_eq!(flat(&"<svg><td>".repeat(100)), "<svg><td><svg>");
        assert_eq!(
            flat(&format!("<a =\">{}", "<div>".repeat(9))),
            "<a =\"><div><div><div>"
        );
        assert_eq!(
            flat(&format!("<!-- --!>{}", "<div>".repeat(9))),
            "<!-- --!><div><div><div>"
        );
        assert_eq!(
            flat(&format!("<svg><title>{}", "<g>".repeat(9))),
            "<svg><title><g>"
        );
    }

    #[test]
    fn what_is_no_markup_does_not_count() {
        for raw in [
            "<script>'<div><div><div><div><div>'</script><p>x",
            "<!-- <div><div><div><div><div> --><p>x",
            "<STYLE><div><div><div><div><div></style><p>x",
            "a < b <3 <",
            "<p title='<div><div><div><div><div>'>x",
            "<!-- open <div><div><div><div>",
            "<div <div <div",
        ] {
            assert_eq!(flat(raw), raw);
        }
    }

    #[test]
    fn what_grows_without_bound_is_refused() {
        let limits = Limits::default();
        let large = "x".repeat(limits.max_input + 1);
        assert_eq!(
            bounded(&large, &limits),
            Err(Error::TooLarge {
                limit: limits.max_input,
                what: "bytes"
            })
        );
        let formats: String = (0..200).map(|n| format!("<b id={n}>")).collect();
        let grows = format!("{formats}{}", "<p>x".repeat(100_000));
        assert!(matches!(
            bounded(&grows, &limits),
            Err(Error::TooLarge {
                what: "elements",
                ..
            })
        ));
    }
}
