//! The one rule of `AUTO`: is the document that HTTP brought the page, or only its frame?

use super::response::Why;

/// What is known of an HTML document without running it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Visible characters that are not whitespace.
    pub(super) visible: usize,
    /// Scripts that are programs.
    pub(super) scripts: usize,
    /// The bytes of those that are inline.
    pub(super) script_bytes: usize,
    /// The empty element that a framework would render into.
    pub(super) shell: Option<&'static str>,
    /// A `<noscript>` that asks for JavaScript.
    pub(super) asks_for_script: bool,
}

/// So many visible characters are a page, whatever its scripts would add.
const ENOUGH: usize = 200;

/// So few are none, where there are scripts.
const ALMOST_NONE: usize = 20;

/// Why the document is the page ([`Why::EnoughText`], [`Why::NoScript`]) or needs a browser
/// ([`Why::ScriptShell`]), and the numbers behind it.
pub(super) fn classify(seen: &Seen) -> (Why, String) {
    let Seen {
        visible,
        scripts,
        script_bytes,
        ..
    } = *seen;
    if visible >= ENOUGH {
        return (Why::EnoughText, format!("{visible} visible characters"));
    }
    if scripts == 0 {
        let detail = format!("{visible} visible characters and no script");
        return (Why::NoScript, detail);
    }
    let counts = format!("{visible} visible characters, {scripts} scripts");
    if let Some(shell) = seen.shell {
        return (Why::ScriptShell, format!("{counts}, empty `{shell}`"));
    }
    if seen.asks_for_script {
        let detail = format!("{counts}, asks for JavaScript");
        return (Why::ScriptShell, detail);
    }
    if visible < ALMOST_NONE || visible < script_bytes {
        let detail = format!("{counts}, {script_bytes} bytes inline");
        return (Why::ScriptShell, detail);
    }
    (Why::EnoughText, counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(seen: Seen) -> Why {
        classify(&seen).0
    }

    #[test]
    fn text_is_enough() {
        let article = Seen {
            visible: ENOUGH,
            scripts: 40,
            script_bytes: 1 << 20,
            shell: Some("app"),
            asks_for_script: true,
        };
        assert_eq!(why(article), Why::EnoughText);
        let short = Seen {
            visible: 60,
            scripts: 1,
            script_bytes: 30,
            ..Seen::default()
        };
        assert_eq!(why(short), Why::EnoughText);
    }

    #[test]
    fn without_scripts_a_browser_adds_nothing() {
        let empty = Seen {
            shell: Some("root"),
            asks_for_script: true,
            ..Seen::default()
        };
        assert_eq!(why(empty), Why::NoScript);
    }

    #[test]
    fn shells_need_a_browser() {
        let base = Seen {
            visible: 60,
            scripts: 1,
            ..Seen::default()
        };
        let framed = Seen {
            shell: Some("__next"),
            ..base
        };
        let asking = Seen {
            asks_for_script: true,
            ..base
        };
        let scripted = Seen {
            script_bytes: 61,
            ..base
        };
        let bare = Seen { visible: 3, ..base };
        for seen in [framed, asking, scripted, bare] {
            assert_eq!(why(seen), Why::ScriptShell, "{seen:?}");
        }
    }
}
