//! The rules of `AUTO`: is the document that HTTP brought the page, or only its frame?
//!
//! The first rule that holds decides. The same order, in words for callers, is in `docs/auto.md`.

use super::{guard::Guard, marks, response::Why, survey::Seen};

/// So much content is a page, whatever its scripts would add.
const ENOUGH: usize = 200;

/// With so little content but so much text around it the text is the page, such as a list of
/// links.
const ENOUGH_AROUND: usize = 1500;

/// So few visible characters are none, where there are scripts.
const ALMOST_NONE: usize = 20;

/// So many placeholders outweigh the words between them.
const MANY_SKELETONS: usize = 3;

/// What should answer, and the numbers behind it. Whether that is a browser, [`Why::needs_browser`]
/// says.
pub(super) fn classify(seen: &Seen) -> (Why, String) {
    let Seen {
        visible,
        prose,
        scripts,
        ..
    } = *seen;
    let made = seen
        .framework
        .map_or_else(String::new, |by| format!(", {by}"));
    let counts =
        format!("{visible} visible characters ({prose} of content), {scripts} scripts{made}");
    match seen.guard {
        Some(Guard::Challenge(mark)) if scripts > 0 => {
            return (
                Why::Challenge,
                format!("{counts}, tests its visitor: {mark}"),
            );
        }
        Some(Guard::Puzzle(mark)) => {
            return (
                Why::Puzzle,
                format!("{counts}, wants a puzzle solved: {mark}"),
            );
        }
        _ => {}
    }
    if scripts == 0 {
        return (Why::NoScript, counts);
    }
    let thin = prose < ENOUGH && visible < ENOUGH_AROUND;
    // Where the root of an application is empty, what is around it is no content.
    let empty = seen.empty.as_ref();
    if let Some(empty) = empty.filter(|name| thin || prose < ENOUGH && marks::is_root(name)) {
        return (Why::ScriptShell, format!("{counts}, empty `{empty}`"));
    }
    if thin && (seen.placeholder || seen.skeletons > 0)
        || seen.skeletons >= MANY_SKELETONS && prose < 2 * ENOUGH
    {
        let detail = format!("{counts}, {} placeholders", seen.skeletons.max(1));
        return (Why::Placeholder, detail);
    }
    if thin && seen.asks_for_script {
        return (Why::AsksForScript, format!("{counts}, asks for JavaScript"));
    }
    // A form is something to see, however short its words are.
    if visible < ALMOST_NONE && seen.fields + seen.passwords == 0 {
        return (Why::EmptyBody, counts);
    }
    if visible < ENOUGH && seen.writers > 0 {
        let detail = format!("{counts}, {} of them write text", seen.writers);
        return (Why::ScriptWritten, detail);
    }
    if seen.framework.is_some() && seen.data_bytes > 0 {
        let detail = format!("{counts}, {} bytes of data", seen.data_bytes);
        return (Why::ServerRendered, detail);
    }
    (Why::EnoughText, counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(seen: &Seen) -> Why {
        classify(seen).0
    }

    fn base() -> Seen {
        Seen {
            visible: 60,
            prose: 60,
            scripts: 1,
            ..Seen::default()
        }
    }

    #[test]
    fn text_is_enough() {
        let article = Seen {
            visible: ENOUGH,
            prose: ENOUGH,
            scripts: 40,
            writers: 3,
            empty: Some("app".into()),
            asks_for_script: true,
            ..Seen::default()
        };
        assert_eq!(why(&article), Why::EnoughText);
        assert_eq!(why(&base()), Why::EnoughText);
        let links = Seen {
            visible: ENOUGH_AROUND,
            prose: 0,
            empty: Some("content".into()),
            ..article
        };
        assert_eq!(why(&links), Why::EnoughText);
        let data = Seen {
            framework: Some("Nuxt"),
            data_bytes: 1,
            ..base()
        };
        assert_eq!(why(&data), Why::ServerRendered);
    }

    #[test]
    fn without_scripts_a_browser_adds_nothing() {
        let empty = Seen {
            empty: Some("root".into()),
            asks_for_script: true,
            ..Seen::default()
        };
        assert_eq!(why(&empty), Why::NoScript);
        let puzzle = Seen {
            guard: Some(Guard::Puzzle("h-captcha")),
            ..base()
        };
        assert_eq!(why(&puzzle), Why::Puzzle);
        assert!(!Why::Puzzle.needs_browser());
    }

    #[test]
    fn shells_need_a_browser() {
        let cases = [
            (
                Why::ScriptShell,
                Seen {
                    empty: Some("__next".into()),
                    ..base()
                },
            ),
            (
                Why::Placeholder,
                Seen {
                    placeholder: true,
                    ..base()
                },
            ),
            (
                Why::AsksForScript,
                Seen {
                    asks_for_script: true,
                    ..base()
                },
            ),
            (
                Why::EmptyBody,
                Seen {
                    visible: 3,
                    ..base()
                },
            ),
            (
                Why::ScriptWritten,
                Seen {
                    writers: 1,
                    ..base()
                },
            ),
            (
                Why::Challenge,
                Seen {
                    guard: Some(Guard::Challenge("x")),
                    ..base()
                },
            ),
        ];
        for (wanted, seen) in cases {
            assert_eq!(why(&seen), wanted, "{seen:?}");
            assert!(wanted.needs_browser());
        }
    }
}
