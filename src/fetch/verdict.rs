//! What an answer is good for: the rules by which a page that holds nothing for its reader is told
//! from one that does.
//!
//! The first rule that holds decides; the same order, in words for callers, is in `docs/auto.md`.
//! What only looks like a login or an error has content beside it, so every rule but those on the
//! status asks for little of it.

use super::{
    classify::classify,
    guard::{self, Guard},
    response::{Warning, Why},
    survey::Seen,
};

/// What an answer is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// There is content.
    Content,
    /// There is none.
    Empty,
    /// It asks for a login.
    LoginWall,
    /// It blocks what it takes for a robot, or tests for one.
    Blocked,
    /// It says that something is not there or went wrong.
    ErrorPage,
    /// It is a frame that scripts did not fill.
    Unrendered,
}

impl Verdict {
    /// The stable word, and the code of the warning of all but content.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Empty => "empty",
            Self::LoginWall => "login_wall",
            Self::Blocked => "blocked",
            Self::ErrorPage => "error_page",
            Self::Unrendered => "unrendered",
        }
    }

    /// The warning for an answer that holds nothing for its reader.
    pub(super) fn warning(self, detail: &str) -> Option<Warning> {
        (self != Self::Content).then(|| Warning {
            code: self.as_str(),
            message: detail.to_owned(),
        })
    }
}

/// A verdict and its reasons; `None` of what is not judged.
#[derive(Debug)]
pub(super) struct Judged(Option<(Verdict, String)>);

impl Judged {
    /// The verdict, and why for people.
    pub(super) fn parts(self) -> (Option<Verdict>, String) {
        self.0.map_or_else(
            || (None, String::new()),
            |(verdict, detail)| (Some(verdict), detail),
        )
    }
}

/// What is judged.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) status: u16,
    /// What an HTML document shows of itself.
    pub(super) seen: Option<&'a Seen>,
    /// It is HTML with plenty of text, and was not looked into further.
    pub(super) glanced: bool,
    /// The body of what is text.
    pub(super) text: Option<&'a str>,
    /// The request was for headers only.
    pub(super) bodiless: bool,
    /// The body has no bytes.
    pub(super) empty: bool,
    /// The URL that was asked for.
    pub(super) asked: &'a str,
    /// The URL that answered.
    pub(super) answered: &'a str,
    /// A browser has run its scripts.
    pub(super) rendered: bool,
}

/// So little content may be beside a form that asks for a login.
const LITTLE: usize = 400;

/// So little content may be on a page that says of itself that it is an error.
const LITTLE_MORE: usize = 500;

/// So little content is no page that a browser has filled.
const ALMOST_NONE: usize = 40;

/// So much is shown to who has passed a test.
const PASSED: usize = 20;

/// Judges.
pub(super) fn judge(case: &Case<'_>) -> Judged {
    if let Some(judged) = by_status(case) {
        return Judged(Some(judged));
    }
    if case.bodiless {
        return Judged(None);
    }
    if case.empty {
        let detail = format!("status {} came without a body", case.status);
        return Judged(Some((Verdict::Empty, detail)));
    }
    Judged(match (case.seen, case.text) {
        (Some(seen), _) => Some(of_document(case, seen)),
        (None, Some(_)) if case.glanced => Some((Verdict::Content, "plenty of text".into())),
        (None, Some(text)) => Some(of_text(text)),
        (None, None) => None,
    })
}

/// Of an answer that a browser has nothing to show for.
pub(super) fn blank(status: u16) -> Judged {
    judge(&Case {
        status,
        seen: None,
        glanced: false,
        text: None,
        bodiless: false,
        empty: true,
        asked: "",
        answered: "",
        rendered: true,
    })
}

fn by_status(case: &Case<'_>) -> Option<(Verdict, String)> {
    let status = case.status;
    let detail = |what: &str| format!("status {status}{what}");
    if matches!(status, 401 | 407 | 511) {
        return Some((Verdict::LoginWall, detail("")));
    }
    let guard = case.seen.and_then(|seen| seen.guard);
    match status {
        403 | 405 | 429 | 503 if guard.is_some() => {
            let mark = guard.map(mark).unwrap_or_default();
            Some((Verdict::Blocked, detail(&format!(", {mark}"))))
        }
        429 | 999 => Some((Verdict::Blocked, detail(": too many requests"))),
        403 if case.seen.is_some_and(|seen| login(case, seen).is_some()) => {
            Some((Verdict::LoginWall, detail(" with a login")))
        }
        400.. => Some((Verdict::ErrorPage, detail(""))),
        _ => None,
    }
}

const fn mark(guard: Guard) -> &'static str {
    match guard {
        Guard::Challenge(mark) | Guard::Puzzle(mark) | Guard::Refusal(mark) => mark,
    }
}

fn of_text(text: &str) -> (Verdict, String) {
    let count = text.chars().filter(|char| !char.is_whitespace()).count();
    if count == 0 {
        return (Verdict::Empty, "no characters but whitespace".into());
    }
    (Verdict::Content, format!("{count} characters"))
}

fn of_document(case: &Case<'_>, seen: &Seen) -> (Verdict, String) {
    let Seen { visible, prose, .. } = *seen;
    let counts = format!("{visible} visible characters ({prose} of content)");
    // The script of a test that a browser has passed may stay in the page.
    let passed = case.rendered
        && matches!(seen.guard, Some(Guard::Challenge(_)))
        && visible >= PASSED
        && guard::refusal(seen).is_none();
    if let Some(guard) = seen.guard.filter(|_| !passed) {
        return (Verdict::Blocked, format!("{counts}, {}", mark(guard)));
    }
    if let Some(sign) = login(case, seen) {
        return (Verdict::LoginWall, format!("{counts}, {sign}"));
    }
    if let Some(words) = error(seen) {
        return (Verdict::ErrorPage, format!("{counts}, says {words:?}"));
    }
    let (why, detail) = classify(seen);
    let unfilled = if case.rendered {
        matches!(why, Why::ScriptShell | Why::Placeholder) && prose < ALMOST_NONE
    } else {
        why.needs_browser()
    };
    if unfilled {
        return (Verdict::Unrendered, detail);
    }
    if visible == 0 {
        let frames = seen.frames.len();
        let detail = match &seen.refresh {
            Some((_, to)) => format!("no visible text; sends its reader on to {to:?}"),
            None if frames > 0 => format!("no visible text; {frames} frames"),
            None => format!("no visible text; {} scripts", seen.scripts),
        };
        return (Verdict::Empty, detail);
    }
    (Verdict::Content, counts)
}

/// Why the document is taken for a login, if it is.
fn login(case: &Case<'_>, seen: &Seen) -> Option<&'static str> {
    const ASKS: [&str; 22] = [
        "log in to continue",
        "login to continue",
        "sign in to continue",
        "log in to view",
        "sign in to view",
        "log in to see",
        "sign in to see",
        "log in to access",
        "sign in to access",
        "log in to read",
        "sign in to read",
        "must be logged in",
        "must be signed in",
        "must log in",
        "need to log in",
        "need to be logged in",
        "please log in",
        "please sign in",
        "authentication required",
        "bitte melden sie sich an",
        "veuillez vous connecter",
        "inicia sesión para",
    ];
    const HEADS: [&str; 12] = [
        "log in",
        "login",
        "sign in",
        "signin",
        "sign-in",
        "anmelden",
        "anmeldung",
        "einloggen",
        "connexion",
        "iniciar sesión",
        "accedi",
        "ログイン",
    ];
    if seen.prose >= LITTLE {
        return None;
    }
    if seen.passwords > 0 && seen.new_passwords == 0 {
        return Some("a field for a password and little else");
    }
    if ASKS.iter().any(|ask| seen.opening.contains(ask)) {
        return Some("asks to log in");
    }
    let headed = HEADS.iter().any(|head| {
        let mut lines = seen.heads.lines().map(str::trim);
        lines.any(|line| line.starts_with(head) || line.ends_with(head))
    });
    if headed && seen.fields > 0 && seen.new_passwords == 0 {
        return Some("headed as a login, with a field");
    }
    (case.asked != case.answered && is_login(case.answered) && !is_login(case.asked))
        .then_some("redirected to a login")
}

/// Whether a URL's path is that of a login.
fn is_login(url: &str) -> bool {
    const SEGMENTS: [&str; 9] = [
        "login",
        "log-in",
        "signin",
        "sign-in",
        "sign_in",
        "sso",
        "auth",
        "authorize",
        "anmelden",
    ];
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.split('/').skip(3).any(|segment| {
        let segment = segment.split('.').next().unwrap_or_default();
        SEGMENTS
            .iter()
            .any(|known| segment.eq_ignore_ascii_case(known))
    })
}

/// The words by which the document says of itself that something is not there or went wrong.
fn error(seen: &Seen) -> Option<&'static str> {
    const SAYS: [&str; 37] = [
        "page not found",
        "page can't be found",
        "page cannot be found",
        "page can’t be found",
        "page could not be found",
        "page couldn't be found",
        "page couldn’t be found",
        "page does not exist",
        "page doesn't exist",
        "page doesn’t exist",
        "page is not available",
        "page isn't available",
        "page isn’t available",
        "page no longer exists",
        "page unavailable",
        "404 not found",
        "404 error",
        "error 404",
        "no longer available",
        "something went wrong",
        "an error occurred",
        "an error has occurred",
        "internal server error",
        "service unavailable",
        "service temporarily unavailable",
        "bad gateway",
        "gateway timeout",
        "application error",
        "database connection",
        "temporarily down for maintenance",
        "under maintenance",
        "seite nicht gefunden",
        "page introuvable",
        "página no encontrada",
        "pagina non trovata",
        "страница не найдена",
        "ページが見つかりません",
    ];
    /// The heading of an error is short; one about errors says more.
    const LONGEST: usize = 60;
    if seen.prose >= LITTLE_MORE {
        return None;
    }
    let heads = seen.heads.lines().map(str::trim);
    let mut short = heads.filter(|line| line.chars().count() <= LONGEST);
    short.find_map(|line| {
        let code = ["404", "500", "502", "503"]
            .into_iter()
            .find(|code| line == *code);
        code.or_else(|| SAYS.into_iter().find(|says| line.contains(says)))
    })
}
