//! The CDP policy: which commands of a client reach its leased browser.
//!
//! A leased browser is one client's alone, so whatever stays inside of it is allowed. What reaches
//! past it is not: files and devices of the machine, other people's networks, ways around this
//! policy. [`TABLE`] says which is which, `docs/cdp-policy.md` shows it.
//!
//! Everything in here is pure: [`inspect`] looks at one message and knows nothing of connections.
//! What it lets through, Chromium reads as it was read here: a message that two parsers might take
//! for two things (doubled keys, comments, text after the end, another encoding) is no command.

mod commands;
mod looks;
mod message;
mod show;
mod table;
mod urls;

use std::path::PathBuf;

use serde_json::json;

use self::message::{Head, Malformed};
pub use self::{
    show::reference,
    table::{Command, Domain, Look, TABLE, Treatment, treatment},
};
use crate::metrics::CdpRule;

/// The longest message, in bytes: what Chromium itself takes (`kReceiveBufferSizeForDevTools`).
pub const MAX_MESSAGE: usize = 100 << 20;

/// How deep commands may be wrapped in `Target.sendMessageToTarget`.
const MAX_NESTED: usize = 4;

/// The longest piece of a client's text that an answer repeats, in characters.
const MAX_SHOWN: usize = 64;

/// What the policy needs to know of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The directory of its files: the only one that commands may name files in.
    pub files: PathBuf,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to the browser as it is.
    Pass,
    /// It goes to the browser if each of these is a file and not a link; all are directly in
    /// [`Rules::files`].
    PassFiles(Vec<PathBuf>),
    /// This goes to the browser in its place.
    Rewrite(String),
    /// It does not go to the browser.
    Deny(Denial),
}

/// A message that is not passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What it broke.
    pub rule: CdpRule,
    /// The command as [`TABLE`] or its documentation has it; `other` when it has none, `none` when
    /// the message is no command. Never a client's own word, so that it may be logged.
    pub method: &'static str,
    /// The command as the client called it, cut.
    asked: String,
    /// What of it was wrong, in words that follow the command.
    what: String,
    /// The command's number, when it has one.
    id: Option<i32>,
    /// The session it was for, when it names one.
    session: Option<String>,
}

impl Denial {
    /// The same, for `what` was found wrong only later.
    fn new(rule: CdpRule, head: &Head<'_>, what: &str) -> Self {
        Self {
            rule,
            method: table::word(&head.method),
            asked: cut(&head.method),
            what: what.to_owned(),
            id: Some(head.id),
            session: head.session.as_deref().map(str::to_owned),
        }
    }

    fn malformed(malformed: &Malformed<'_>) -> Self {
        Self {
            rule: CdpRule::Malformed,
            method: "none",
            asked: "a message".into(),
            what: format!(" that {}", malformed.why),
            id: malformed.id,
            session: malformed.session.as_deref().map(str::to_owned),
        }
    }

    /// Of a binary message: Chromium speaks text, and breaks the connection over anything else.
    #[must_use]
    pub fn binary() -> Self {
        Self::malformed(&Malformed::new("is not text"))
    }

    /// Of the command in `message`, whose files are not what [`Verdict::PassFiles`] asked for.
    #[must_use]
    pub fn files(message: &[u8]) -> Self {
        match message::head(message) {
            Ok(head) => Self::new(CdpRule::Path, &head, NO_FILE),
            Err(malformed) => Self::malformed(&malformed),
        }
    }

    /// The answer that the client gets: an error as the browser would send one.
    #[must_use]
    pub fn answer(&self) -> String {
        let message = format!(
            "berth: {}{} is denied by the broker's CDP policy ({})",
            self.asked,
            self.what,
            self.rule.as_str()
        );
        // The code of a command that failed, as Chromium has it: JSON-RPC 2.0 leaves it to servers.
        let mut answer = json!({ "error": { "code": -32000, "message": message } });
        if let Some(id) = self.id {
            answer["id"] = id.into();
        }
        if let Some(session) = &self.session {
            answer["sessionId"] = cut(session).into();
        }
        answer.to_string()
    }
}

const NO_FILE: &str = " with a path that is no file of the lease";

/// Decides about one message of a client, as it came in a text frame. Whatever the bytes are, it
/// does not panic, and a message that [`TABLE`] passes costs one look at its bytes and no memory.
#[must_use]
pub fn inspect(message: &[u8], rules: &Rules) -> Verdict {
    nested(message, rules, 0)
}

fn nested(message: &[u8], rules: &Rules, depth: usize) -> Verdict {
    let head = match message::head(message) {
        Ok(head) => head,
        Err(malformed) => return Verdict::Deny(Denial::malformed(&malformed)),
    };
    match treatment(&head.method) {
        Treatment::Pass => Verdict::Pass,
        Treatment::Deny(rule) => Verdict::Deny(Denial::new(rule, &head, "")),
        Treatment::Look(look) => match message::strict(message) {
            Ok(whole) => looks::look(look, &head, whole, rules, depth),
            Err(malformed) => Verdict::Deny(Denial::malformed(&Malformed {
                id: Some(head.id),
                session: head.session,
                ..malformed
            })),
        },
    }
}

/// The beginning of a client's text, to be shown.
fn cut(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
