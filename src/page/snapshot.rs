//! The accessibility tree as text, in parts, and what changed in it.

use std::sync::atomic::Ordering;

use serde_json::Value;
use similar::TextDiff;

use super::{Error, Locator, Ref, Tab};
use crate::deadline::Deadline;

/// So deep frames are looked into.
const DEEPEST: usize = 8;
/// Lines around a change that are shown with it.
const AROUND: usize = 1;

/// What is wanted of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How much text at most, in bytes; zero for all.
    pub max_bytes: usize,
    /// Where an earlier answer said to go on.
    pub cursor: Option<String>,
    /// Only what is within this element.
    pub element: Option<Locator>,
    /// Only what changed since the last one.
    pub changes_only: bool,
}

/// A snapshot that is kept, to be paged through and compared with.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    name: u64,
    /// What is paged through: the tree, or the difference.
    text: String,
    /// The last whole tree.
    whole: Option<String>,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The part.
    pub text: String,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
    /// How long the whole text is, in bytes.
    pub total: usize,
}

impl Tab {
    /// The accessibility tree, or the part of it that is wanted.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a cursor of another snapshot; [`Error::NoElement`],
    /// [`Error::Ambiguous`]; [`Error::NoPage`], [`Error::Page`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn snapshot(&self, wanted: &Wanted, deadline: Deadline) -> Result<Part, Error> {
        let (kept, from) = match &wanted.cursor {
            Some(cursor) => self.go_on(cursor)?,
            None => (self.take(wanted, deadline).await?, 0),
        };
        let end = cut(&kept.text, from, wanted.max_bytes);
        let next = (end < kept.text.len()).then(|| format!("{}:{end}", kept.name));
        let part = Part {
            text: kept.text[from..end].to_owned(),
            next,
            total: kept.text.len(),
        };
        *self.kept.lock() = Some(kept);
        Ok(part)
    }

    fn go_on(&self, cursor: &str) -> Result<(Kept, usize), Error> {
        let kept = self.kept.lock().clone().unwrap_or_default();
        let at = cursor.split_once(':').and_then(|(name, at)| {
            let own = name.parse().is_ok_and(|name: u64| name == kept.name);
            at.parse().ok().filter(|_| own)
        });
        let at = at.filter(|at| kept.text.is_char_boundary(*at));
        at.map(|at| (kept, at)).ok_or_else(|| {
            let why = "is of an earlier snapshot: take a new one, without a cursor";
            Error::Invalid("cursor", why.into())
        })
    }

    async fn take(&self, wanted: &Wanted, deadline: Deadline) -> Result<Kept, Error> {
        let root = match &wanted.element {
            Some(element) => self.locate(element, deadline).await?,
            None => Ref {
                frame: 0,
                number: 0,
            },
        };
        let mut lines = Vec::new();
        self.lines(root, 0, &mut lines, deadline).await?;
        let mut tree = lines.join("\n");
        if !tree.is_empty() {
            tree.push('\n');
        }
        let before = self.kept.lock().take().and_then(|kept| kept.whole);
        let text = match (&before, wanted.changes_only) {
            (Some(before), true) => changes(before, &tree),
            _ => tree.clone(),
        };
        Ok(Kept {
            name: self.shared.names.fetch_add(1, Ordering::Relaxed),
            text,
            whole: if wanted.element.is_some() {
                before
            } else {
                Some(tree)
            },
        })
    }

    /// The lines of one frame and of the frames in it.
    async fn lines(
        &self,
        root: Ref,
        depth: usize,
        into: &mut Vec<String>,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let prefix = match root.frame {
            0 => String::new(),
            frame => format!("f{frame}"),
        };
        let call = format!("snapshot({prefix:?}, {})", root.number);
        let seen = self.ask(root.frame, &call, deadline).await?;
        let lines = seen.get("lines").and_then(Value::as_array);
        let lines = lines.into_iter().flatten().filter_map(Value::as_str);
        let frames = seen.get("frames").and_then(Value::as_array);
        let mut frames = frames.into_iter().flatten().peekable();
        let number = |frame: &Value, name| frame.get(name).and_then(Value::as_u64);
        for (at, line) in (1u64..).zip(lines) {
            into.push(line.to_owned());
            let Some(frame) = frames.next_if(|frame| number(frame, "line") == Some(at)) else {
                continue;
            };
            let indent = number(frame, "depth").unwrap_or_default();
            let owner = number(frame, "number").unwrap_or_default();
            if depth < DEEPEST {
                let within = self.frame_lines(root.frame, owner, depth + 1, deadline);
                let indent = "  ".repeat(usize::try_from(indent).unwrap_or_default());
                let within = within.await?;
                into.extend(within.into_iter().map(|line| format!("{indent}{line}")));
            }
        }
        Ok(())
    }

    async fn frame_lines(
        &self,
        around: usize,
        owner: u64,
        depth: usize,
        deadline: Deadline,
    ) -> Result<Vec<String>, Error> {
        let mut lines = Vec::new();
        let owner = u32::try_from(owner).unwrap_or_default();
        let entered = self.enter(around, owner, deadline).await;
        let looked = match entered {
            Ok(Some(frame)) => {
                let root = Ref { frame, number: 0 };
                Box::pin(self.lines(root, depth, &mut lines, deadline)).await
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        match looked {
            // A frame that goes away meanwhile shows nothing.
            Ok(()) | Err(Error::NoElement(_)) => Ok(lines),
            Err(error) => Err(error),
        }
    }
}

/// Where a part of `text` from `from` on ends that has at most `most` bytes: between lines, and within
/// one only when it is longer than that.
fn cut(text: &str, from: usize, most: usize) -> usize {
    let rest = &text[from..];
    if most == 0 || rest.len() <= most {
        return text.len();
    }
    let end = rest.floor_char_boundary(most);
    let line = rest[..end].rfind('\n').map(|at| at + 1);
    let end = line.unwrap_or(end);
    // However little is wanted, it goes on.
    let first = || rest.chars().next().map_or(0, char::len_utf8);
    from + if end == 0 { first() } else { end }
}

/// What is different in `after`: lines that are gone, lines that are new, and those around them.
fn changes(before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let mut text = String::new();
    for group in diff.grouped_ops(AROUND) {
        if !text.is_empty() {
            text.push_str("…\n");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            text.push_str(&format!("{}{}", change.tag(), change.value()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_end_between_lines_and_always_go_on() {
        let text = "- one\n- two\n- three\n";
        assert_eq!(cut(text, 0, 0), text.len());
        assert_eq!(cut(text, 0, 100), text.len());
        assert_eq!(cut(text, 0, 13), 12);
        assert_eq!(cut(text, 12, 4), 16, "a line that is too long is cut");
        assert_eq!(cut("ééé", 0, 1), 2, "but no character");
    }

    #[test]
    fn only_what_changed_is_shown() {
        let before = "- a\n- b\n- c\n- d\n- e\n";
        assert_eq!(changes(before, before), "");
        let after = "- a\n- b\n- x\n- d\n- e\n";
        assert_eq!(changes(before, after), " - b\n-- c\n+- x\n - d\n");
    }
}
