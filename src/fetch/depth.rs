//! How deep a document may nest.

/// The start of a document, up to where elements nest deeper than any page needs. To parse a
/// document takes time by the square of its depth, and browsers flatten it at 512.
pub(super) fn shallow(html: &str) -> &str {
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
