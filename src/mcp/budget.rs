//! How much of a text is told at once, and where it goes on.

/// A part of a text, in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) text: String,
    /// Where the next part begins; `None` at the end.
    pub(super) next: Option<usize>,
    /// How long the whole is.
    pub(super) total: usize,
}

/// The part of `text` that begins at character `start` and has at most `most`.
pub(super) fn part(text: &str, start: usize, most: usize) -> Part {
    let total = text.chars().count();
    let part: String = text.chars().skip(start).take(most.max(1)).collect();
    let end = start.saturating_add(part.chars().count());
    Part {
        text: part,
        next: (end < total).then_some(end),
        total,
    }
}

/// The longest URL, title or event that is told beside what was asked for, in characters.
const ASIDE: usize = 300;

/// `text`, cut where it is too long to be told in passing, and marked so.
pub(super) fn aside(text: &str) -> String {
    let part = part(text, 0, ASIDE);
    match part.next {
        None => part.text,
        Some(_) => format!("{}… [cut: {} characters]", part.text, part.total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_whole() {
        let text = "añb".repeat(10);
        let (mut read, mut start) = (String::new(), Some(0));
        while let Some(at) = start {
            let part = part(&text, at, 7);
            assert_eq!(part.total, 30);
            read += &part.text;
            start = part.next;
        }
        assert_eq!(read, text);
        assert_eq!(part(&text, 100, 7).text, "");
        assert_eq!(part("", 0, 7).next, None);
    }

    #[test]
    fn what_is_told_in_passing_is_short() {
        assert_eq!(aside("short"), "short");
        let url = format!("data:text/html,{}", "x".repeat(1000));
        let told = aside(&url);
        assert!(told.ends_with("x… [cut: 1015 characters]"), "{told}");
    }
}
