//! Keys by their names: UI Events KeyboardEvent key Values, on a US keyboard.

use super::input::{Modifier, bits};

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// `KeyboardEvent.key`.
    pub(super) name: String,
    /// `KeyboardEvent.code`.
    pub(super) code: String,
    /// `KeyboardEvent.keyCode`.
    pub(super) number: i64,
    text: Option<String>,
}

/// Name, code, number, text.
const NAMED: &[(&str, &str, i64, &str)] = &[
    ("Alt", "AltLeft", 18, ""),
    ("ArrowDown", "ArrowDown", 40, ""),
    ("ArrowLeft", "ArrowLeft", 37, ""),
    ("ArrowRight", "ArrowRight", 39, ""),
    ("ArrowUp", "ArrowUp", 38, ""),
    ("Backspace", "Backspace", 8, ""),
    ("CapsLock", "CapsLock", 20, ""),
    ("ContextMenu", "ContextMenu", 93, ""),
    ("Control", "ControlLeft", 17, ""),
    ("Delete", "Delete", 46, ""),
    ("End", "End", 35, ""),
    ("Enter", "Enter", 13, "\r"),
    ("Escape", "Escape", 27, ""),
    ("Home", "Home", 36, ""),
    ("Insert", "Insert", 45, ""),
    ("Meta", "MetaLeft", 91, ""),
    ("PageDown", "PageDown", 34, ""),
    ("PageUp", "PageUp", 33, ""),
    ("Shift", "ShiftLeft", 16, ""),
    ("Space", "Space", 32, " "),
    ("Tab", "Tab", 9, ""),
];

/// What a US keyboard has beside letters and digits: plain, shifted, code, number.
const SIGNS: &[(char, char, &str, i64)] = &[
    (' ', ' ', "Space", 32),
    ('\'', '"', "Quote", 222),
    (',', '<', "Comma", 188),
    ('-', '_', "Minus", 189),
    ('.', '>', "Period", 190),
    ('/', '?', "Slash", 191),
    (';', ':', "Semicolon", 186),
    ('=', '+', "Equal", 187),
    ('[', '{', "BracketLeft", 219),
    ('\\', '|', "Backslash", 220),
    (']', '}', "BracketRight", 221),
    ('`', '~', "Backquote", 192),
];
const SHIFTED_DIGITS: &str = ")!@#$%^&*(";

impl Key {
    /// The key of that name; `None` when there is none.
    pub(super) fn named(name: &str) -> Option<Self> {
        let function = name.strip_prefix('F').and_then(|n| n.parse::<i64>().ok());
        if let Some(n @ 1..=12) = function {
            return Some(Self::new(name, name, 111 + n, None));
        }
        let named = NAMED.iter().find(|(one, ..)| *one == name);
        if let Some((name, code, number, text)) = named {
            let text = (!text.is_empty()).then(|| (*text).to_owned());
            let name = if *name == "Space" { " " } else { name };
            return Some(Self::new(name, code, *number, text));
        }
        let mut chars = name.chars();
        let (Some(char), None) = (chars.next(), chars.next()) else {
            return None;
        };
        Self::of_char(char)
    }

    /// The key that writes `char`; `None` when a US keyboard has none.
    pub(super) fn of_char(char: char) -> Option<Self> {
        if matches!(char, '\n' | '\r') {
            return Self::named("Enter");
        }
        if char == '\t' {
            return Self::named("Tab");
        }
        let (code, number) = if char.is_ascii_alphabetic() {
            let upper = char.to_ascii_uppercase();
            (format!("Key{upper}"), i64::from(u32::from(upper)))
        } else if let Some(digit) = char.to_digit(10).map(i64::from).or_else(|| {
            SHIFTED_DIGITS
                .find(char)
                .and_then(|at| i64::try_from(at).ok())
        }) {
            (format!("Digit{digit}"), 48 + digit)
        } else {
            let mut signs = SIGNS.iter();
            let sign = signs.find(|(plain, shifted, ..)| [*plain, *shifted].contains(&char));
            let (.., code, number) = sign?;
            ((*code).to_owned(), *number)
        };
        let text = char.to_string();
        Some(Self::new(&text.clone(), &code, number, Some(text)))
    }

    /// A combination, such as `Control+A`; the key last.
    pub(super) fn combination(text: &str) -> Option<(Vec<Modifier>, Self)> {
        // The plus sign is a key, too.
        let (held, last) = match text.strip_suffix("++") {
            Some(held) => (held, "+"),
            None if text == "+" => ("", "+"),
            None => text.rsplit_once('+').unwrap_or(("", text)),
        };
        let mut modifiers = Vec::new();
        for word in held.split('+').filter(|_| !held.is_empty()) {
            modifiers.push(match word {
                "Alt" => Modifier::Alt,
                "Control" | "ControlOrMeta" => Modifier::Control,
                "Meta" => Modifier::Meta,
                "Shift" => Modifier::Shift,
                _ => return None,
            });
        }
        let mut key = Self::named(last)?;
        if bits(&modifiers) == 0 || key.name.len() != 1 {
            return Some((modifiers, key));
        }
        // Letters are called by their case on the keyboard, not by what is held.
        let shift = modifiers.contains(&Modifier::Shift);
        let name = if shift {
            key.name.to_ascii_uppercase()
        } else {
            key.name.to_ascii_lowercase()
        };
        key.text = Some(name.clone());
        key.name = name;
        Some((modifiers, key))
    }

    pub(super) fn of_modifier(modifier: Modifier) -> Self {
        let (name, code, number) = match modifier {
            Modifier::Alt => ("Alt", "AltLeft", 18),
            Modifier::Control => ("Control", "ControlLeft", 17),
            Modifier::Meta => ("Meta", "MetaLeft", 91),
            Modifier::Shift => ("Shift", "ShiftLeft", 16),
        };
        Self::new(name, code, number, None)
    }

    /// What it writes while `modifiers` are held: with anything but Shift, nothing.
    pub(super) fn text(&self, modifiers: i64) -> Option<String> {
        let commands = modifiers & !Modifier::Shift.bit();
        self.text.clone().filter(|_| commands == 0)
    }

    /// What the browser does for it in a text field: in headless there is no desktop that would say.
    pub(super) fn command(&self, modifiers: i64) -> Option<&'static str> {
        if modifiers != Modifier::Control.bit() {
            return None;
        }
        match self.name.as_str() {
            "a" => Some("selectAll"),
            "c" => Some("copy"),
            "v" => Some("paste"),
            "x" => Some("cut"),
            "z" => Some("undo"),
            "y" => Some("redo"),
            _ => None,
        }
    }

    fn new(name: &str, code: &str, number: i64, text: Option<String>) -> Self {
        Self {
            name: name.to_owned(),
            code: code.to_owned(),
            number,
            text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_names_of_the_standard() {
        let key = Key::named("a").unwrap();
        assert_eq!((key.code.as_str(), key.number), ("KeyA", 65));
        let key = Key::named("?").unwrap();
        assert_eq!((key.code.as_str(), key.number), ("Slash", 191));
        let key = Key::named("%").unwrap();
        assert_eq!((key.code.as_str(), key.number), ("Digit5", 53));
        assert_eq!(Key::named("F5").unwrap().number, 116);
        assert_eq!(Key::named("Space").unwrap().name, " ");
        assert_eq!(Key::named("Enter").unwrap().text(0).as_deref(), Some("\r"));
        for none in ["", "Return", "F13", "ab", "é"] {
            assert_eq!(Key::named(none), None, "{none:?}");
        }
    }

    #[test]
    fn combinations() {
        let (held, key) = Key::combination("Control+A").unwrap();
        assert_eq!(held, [Modifier::Control]);
        assert_eq!(key.name, "a");
        let bits = bits(&held);
        assert_eq!(
            (key.text(bits), key.command(bits)),
            (None, Some("selectAll"))
        );
        let (held, key) = Key::combination("Shift+a").unwrap();
        assert_eq!((held, key.name.as_str()), (vec![Modifier::Shift], "A"));
        assert_eq!(Key::combination("+").unwrap().1.name, "+");
        assert_eq!(
            Key::combination("Control++").unwrap().0,
            [Modifier::Control]
        );
        assert_eq!(Key::combination("Control+Shift+Enter").unwrap().0.len(), 2);
        for none in ["", "Control+", "Hyper+a", "a+b"] {
            assert_eq!(Key::combination(none), None, "{none:?}");
        }
    }
}
