//! JSON, laid out for readers.

use serde::de::IgnoredAny;

/// Deeper than this nothing is indented further: a line of spaces helps nobody.
const DEEPEST: usize = 32;

/// Whether this is one JSON value. One that nests deeper than 128 is taken for none.
pub(super) fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// Lays out valid JSON with two spaces a level: order, numbers and escapes stay as they are. It
/// stops soon after `most` bytes.
pub(super) fn pretty(json: &str, most: usize) -> String {
    let mut out = String::with_capacity(json.len().min(most) * 2);
    let mut depth = 0_usize;
    let mut chars = json.chars().filter(Filter::default().keeps()).peekable();
    let mut quoted = Quoted::default();
    while let Some(char) = chars.next() {
        if out.len() > most {
            break;
        }
        if quoted.holds(char) {
            out.push(char);
            continue;
        }
        match char {
            '{' | '[' => {
                out.push(char);
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(char);
            }
            ',' => {
                out.push(char);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            char => out.push(char),
        }
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    for _ in 0..depth.min(DEEPEST) {
        out.push_str("  ");
    }
}

/// Whether the reading is within a string.
#[derive(Debug, Default)]
struct Quoted {
    open: bool,
    escaped: bool,
}

impl Quoted {
    /// Whether a character belongs to a string, its quotes included.
    const fn holds(&mut self, char: char) -> bool {
        if self.escaped {
            self.escaped = false;
            return true;
        }
        if self.open && char == '\\' {
            self.escaped = true;
            return true;
        }
        if char == '"' {
            self.open = !self.open;
            return true;
        }
        self.open
    }
}

/// Leaves out white space between values.
#[derive(Debug, Default)]
struct Filter(Quoted);

impl Filter {
    fn keeps(mut self) -> impl FnMut(&char) -> bool {
        move |char| self.0.holds(*char) || !char.is_ascii_whitespace()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_white_space_changes() {
        let json = r#"{"b":1.10,"a":[ ],"c":[{"x y":"a\"b\\"},-2e3],"d":{}}"#;
        let laid = pretty(json, 1000);
        assert_eq!(
            laid,
            "{\n  \"b\": 1.10,\n  \"a\": [],\n  \"c\": [\n    {\n      \"x y\": \"a\\\"b\\\\\"\n    },\n    -2e3\n  ],\n  \"d\": {}\n}"
        );
        assert!(is_json(laid.as_bytes()));
        assert!(!is_json("[".repeat(100_000).as_bytes()));
        assert!(pretty(&"[1,".repeat(1000), 100).len() < 200);
    }
}
