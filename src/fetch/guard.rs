//! What stands between a reader and the content: a test for robots, or a plain refusal.
//!
//! Marks alone prove little, for many sites load a guard's script into every page. They count on a
//! document that has little else.

use super::{attributes::Attributes, survey::Seen};

/// What guards the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// A script that lets a browser pass by itself.
    Challenge(&'static str),
    /// A puzzle for people.
    Puzzle(&'static str),
    /// Words that refuse.
    Refusal(&'static str),
}

/// What scripts of challenges have in their address or their text.
const CHALLENGES: [&str; 13] = [
    "_cf_chl_opt",
    "challenge-platform/h/",
    "awswafintegration",
    "awswafcookie",
    "gokuprops",
    "bm-verify",
    "sucuri_cloudproxy",
    "__ddg",
    "_incapsula_resource",
    "kpsdk",
    "distil_r_captcha",
    "slowaes",
    "__jsl_clearance",
];

/// What a puzzle has in class, id or the address of its script.
const PUZZLES: [&str; 8] = [
    "g-recaptcha",
    "h-captcha",
    "cf-turnstile",
    "px-captcha",
    "captcha-delivery",
    "geetest_",
    "frc-captcha",
    "arkoselabs",
];

/// What pages say that test or refuse.
const REFUSALS: [&str; 23] = [
    "verify you are human",
    "verify that you are human",
    "verify you're human",
    "verifying you are human",
    "confirm you are human",
    "confirm that you are human",
    "are not a bot",
    "unusual traffic",
    "automated access",
    "automated requests",
    "automated queries",
    "suspicious activity",
    "checking your browser",
    "checking if the site connection is secure",
    "enable javascript and cookies to continue",
    "press & hold",
    "press and hold to confirm",
    "was blocked by",
    "request blocked",
    "access to this page has been denied",
    "ddos protection by",
    "complete the security check",
    "request unsuccessful. incapsula",
];

/// What they say in title or heading; in a text it may be part of a story.
const REFUSING_HEADS: [&str; 14] = [
    "access denied",
    "are you a robot",
    "not a robot",
    "robot check",
    "has been blocked",
    "have been blocked",
    "attention required!",
    "just a moment...",
    "pardon our interruption",
    "zugriff verweigert",
    "accès refusé",
    "acceso denegado",
    "accesso negato",
    "доступ запрещен",
];

/// So much content is a page, whatever guards it.
const MOST_PROSE: usize = 500;

#[derive(Debug, Default)]
pub(super) struct Evidence {
    challenge: Option<&'static str>,
    puzzle: Option<&'static str>,
}

impl Evidence {
    /// An element's own marks.
    pub(super) fn element(&mut self, attributes: &Attributes<'_>) {
        let values = [attributes.id, attributes.class];
        let has = |mark: &&str| values.iter().flatten().any(|value| value.contains(*mark));
        let mark = PUZZLES.into_iter().find(has);
        self.puzzle = self.puzzle.or(mark);
    }

    /// A program's marks.
    pub(super) fn script(&mut self, source: &str, text: &str) {
        let text = format!("{source}\n{text}").to_ascii_lowercase();
        let find =
            |marks: &[&'static str]| marks.iter().find(|mark| text.contains(**mark)).copied();
        self.challenge = self.challenge.or_else(|| find(&CHALLENGES));
        self.puzzle = self.puzzle.or_else(|| find(&["captcha-delivery"]));
        // Of no known maker: it sets a cookie and comes again.
        let comes_again = [
            "location.reload(",
            "location.href=",
            "location.href =",
            "location.replace(",
        ];
        let again = comes_again.iter().any(|way| text.contains(way));
        if text.contains("document.cookie=") || text.contains("document.cookie =") {
            let own = again.then_some("a cookie and a reload");
            self.challenge = self.challenge.or(own);
        }
    }

    /// What guards the document that `seen` was seen of.
    pub(super) fn weigh(&self, seen: &Seen) -> Option<Guard> {
        if seen.prose >= MOST_PROSE {
            return None;
        }
        let refusal = refusal(seen);
        // A form with a puzzle is a form.
        let form = seen.fields + seen.passwords + seen.new_passwords > 0;
        let puzzle = self.puzzle.filter(|_| !form);
        // To set a cookie and go elsewhere is what an application does, too, once it has a frame.
        let known = self.challenge.filter(|_| seen.empty.is_none());
        match (known, puzzle, refusal) {
            (_, Some(mark), _) => Some(Guard::Puzzle(mark)),
            (Some(mark), ..) => Some(Guard::Challenge(mark)),
            (_, _, Some(words)) if words == "checking your browser" && seen.scripts > 0 => {
                Some(Guard::Challenge(words))
            }
            (_, _, Some(words)) => Some(Guard::Refusal(words)),
            _ => None,
        }
    }
}

/// The words by which a document refuses its reader.
pub(super) fn refusal(seen: &Seen) -> Option<&'static str> {
    let says = |words: &&str| seen.heads.contains(words) || seen.opening.contains(words);
    let heads = |words: &&str| seen.heads.contains(words);
    let anywhere = REFUSALS.into_iter().find(says);
    anywhere.or_else(|| REFUSING_HEADS.into_iter().find(heads))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::html::read;

    #[test]
    fn guards_are_told_apart() {
        let guard = |html: &str| read(html).seen.guard;
        let challenge = "<title>Just a moment...</title><script>window._cf_chl_opt={}</script>";
        assert_eq!(guard(challenge), Some(Guard::Challenge("_cf_chl_opt")));
        let puzzle = "<p>Prove it.<div class='h-captcha x'></div>";
        assert_eq!(guard(puzzle), Some(Guard::Puzzle("h-captcha")));
        let form = "<form><input type=email><div class=h-captcha></div></form>";
        assert_eq!(guard(form), None);
        let refusal = "<h1>Access Denied</h1><p>Reference #18";
        assert_eq!(guard(refusal), Some(Guard::Refusal("access denied")));
        let own = "<script>document.cookie='a=b';location.reload()</script>";
        assert_eq!(guard(own), Some(Guard::Challenge("a cookie and a reload")));
        let article = format!(
            "<h1>Access denied: a history</h1><p>{}",
            "words ".repeat(200)
        );
        assert_eq!(guard(&article), None);
    }
}
