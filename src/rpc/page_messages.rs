//! From the messages of `PageService`: which element, how, and what is waited for.

use super::{
    fetch_messages::{check, unknown},
    fetch_page::{self, Wrong},
};
use crate::{
    broker::{Upload, Violation},
    content::Want,
    page::{Answer, Button, Click, Condition, Locator, Modifier, Ref, Wanted, Way},
    proto::{self, FetchFormat, element_ref::Element, wait_for_request},
};

const LONGEST_LOCATOR: usize = 4096;
const LONGEST_URL: usize = 8192;
const LONGEST_DATA: usize = 1 << 20;
const LONGEST_SCRIPT: usize = 1 << 20;
const LONGEST_PREDICATE: usize = 16 << 10;
const LONGEST_PROMPT: usize = 4096;
const MOST_CHARACTERS: usize = 4096;
const MOST_OPTIONS: usize = 256;
const MOST_FILES: usize = 32;
const SMALLEST_PART: u32 = 256;
/// So that an answer fits the 4 MiB that gRPC clients take by default.
const USUAL_BYTES: u32 = 3584 * 1024;
const USUAL_JSON: u32 = 1 << 20;
const MOST_BYTES: u32 = 256 << 20;

fn sized(field: &str, text: &str, longest: usize, wrong: &mut Wrong) {
    check(wrong, field, (1..=longest).contains(&text.len()), || {
        if text.is_empty() {
            "must not be empty".into()
        } else {
            format!("{} bytes are more than {longest}", text.len())
        }
    });
}

/// The element that is named, when one is.
pub(super) fn locator(
    field: &str,
    message: Option<proto::ElementRef>,
    wrong: &mut Wrong,
) -> Option<Locator> {
    let element = message?.element;
    let Some(element) = element else {
        let why = "one of ref, selector and text must be set";
        wrong.push(Violation::new(field, why));
        return None;
    };
    match element {
        Element::Ref(text) => {
            let parsed = Ref::parse(&text);
            check(wrong, &format!("{field}.ref"), parsed.is_some(), || {
                format!("{text:?} is no reference of a snapshot, such as \"e12\" or \"f1e3\"")
            });
            parsed.map(Locator::Ref)
        }
        Element::Selector(text) => {
            sized(&format!("{field}.selector"), &text, LONGEST_LOCATOR, wrong);
            Some(Locator::Selector(text))
        }
        Element::Text(text) => {
            let field = format!("{field}.text");
            sized(&field, text.trim(), LONGEST_LOCATOR, wrong);
            Some(Locator::Text(text))
        }
    }
}

/// The element that must be named.
pub(super) fn must(field: &str, message: Option<proto::ElementRef>, wrong: &mut Wrong) -> Locator {
    check(wrong, field, message.is_some(), || "must be set".into());
    // What is wrong is answered so, and acts on nothing.
    locator(field, message, wrong).unwrap_or_else(|| Locator::Text(String::new()))
}

pub(super) fn answer(message: Option<proto::DialogAnswer>, wrong: &mut Wrong) -> Answer {
    let message = message.unwrap_or_default();
    let length = message.prompt_text.len();
    check(
        wrong,
        "dialogs.prompt_text",
        length <= LONGEST_PROMPT,
        || format!("{length} bytes are more than {LONGEST_PROMPT}"),
    );
    Answer {
        accept: message.accept,
        text: message.prompt_text,
    }
}

/// A URL that a page may be sent to. Whether it may be reached is found out by the way there.
pub(super) fn url(field: &str, text: &str, wrong: &mut Wrong) {
    let parsed = url::Url::parse(text);
    let Ok(parsed) = parsed else {
        let why = format!("{:?} is not an absolute URL", cut(text));
        wrong.push(Violation::new(field, why));
        return;
    };
    let longest = match parsed.scheme() {
        "http" | "https" => LONGEST_URL,
        "data" => LONGEST_DATA,
        "about" if parsed.path() == "blank" => LONGEST_URL,
        scheme => {
            let why = format!("leads to {scheme}:, not to http:, https:, data: or about:blank");
            wrong.push(Violation::new(field, why));
            return;
        }
    };
    sized(field, text, longest, wrong);
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(128)]
}

pub(super) fn way(message: &proto::NavigateRequest, wrong: &mut Wrong) -> Way {
    let step = proto::HistoryStep::try_from(message.history);
    let step = step.unwrap_or_else(|_| {
        unknown(wrong, "history", message.history);
        proto::HistoryStep::Reload
    });
    let alone = message.url.is_empty() != (step == proto::HistoryStep::Unspecified);
    check(wrong, "url", alone, || {
        "one of url and history must be set".into()
    });
    match step {
        proto::HistoryStep::Back => Way::Back,
        proto::HistoryStep::Forward => Way::Forward,
        proto::HistoryStep::Reload => Way::Reload,
        proto::HistoryStep::Unspecified => {
            if !message.url.is_empty() {
                url("url", &message.url, wrong);
            }
            Way::Url(message.url.clone())
        }
    }
}

pub(super) fn click(message: &proto::ClickRequest, wrong: &mut Wrong) -> Click {
    let button = match proto::MouseButton::try_from(message.button) {
        Ok(proto::MouseButton::Unspecified | proto::MouseButton::Left) => Button::Left,
        Ok(proto::MouseButton::Right) => Button::Right,
        Ok(proto::MouseButton::Middle) => Button::Middle,
        Err(_) => {
            unknown(wrong, "button", message.button);
            Button::Left
        }
    };
    check(wrong, "count", message.count <= 3, || {
        format!("{} is not in 0 to 3", message.count)
    });
    let mut modifiers = Vec::new();
    for (at, value) in message.modifiers.iter().take(16).enumerate() {
        let modifier = match proto::Modifier::try_from(*value) {
            Ok(proto::Modifier::Alt) => Modifier::Alt,
            Ok(proto::Modifier::Control) => Modifier::Control,
            Ok(proto::Modifier::Meta) => Modifier::Meta,
            Ok(proto::Modifier::Shift) => Modifier::Shift,
            Ok(proto::Modifier::Unspecified) | Err(_) => {
                unknown(wrong, format!("modifiers[{at}]"), *value);
                continue;
            }
        };
        if !modifiers.contains(&modifier) {
            modifiers.push(modifier);
        }
    }
    Click {
        button,
        count: message.count,
        modifiers,
    }
}

pub(super) fn text(field: &str, text: &str, longest: usize, wrong: &mut Wrong) {
    check(wrong, field, text.len() <= longest, || {
        format!("{} bytes are more than {longest}", text.len())
    });
}

/// The longest value of an input, in bytes.
pub(super) const LONGEST_VALUE: usize = 1 << 20;

pub(super) fn typed(text: &str, submit: bool, wrong: &mut Wrong) {
    let count = text.chars().take(MOST_CHARACTERS + 1).count();
    check(wrong, "text", count <= MOST_CHARACTERS, || {
        format!("more than {MOST_CHARACTERS} characters: fill the input instead")
    });
    check(wrong, "text", count > 0 || submit, || {
        "must not be empty".into()
    });
}

pub(super) fn options(values: &[String], wrong: &mut Wrong) {
    let count = values.len();
    check(wrong, "values", (1..=MOST_OPTIONS).contains(&count), || {
        format!("must have 1 to {MOST_OPTIONS} values")
    });
}

pub(super) fn uploads(files: Vec<proto::UploadFile>, wrong: &mut Wrong) -> Vec<Upload> {
    let count = files.len();
    check(wrong, "files", count <= MOST_FILES, || {
        format!("{count} files are more than {MOST_FILES}")
    });
    let mut names = std::collections::HashSet::new();
    for (at, file) in files.iter().take(MOST_FILES).enumerate() {
        check(
            wrong,
            &format!("files[{at}].name"),
            names.insert(file.name.as_str()),
            || format!("{:?} is there twice", file.name),
        );
    }
    files
        .into_iter()
        .map(|file| Upload {
            name: file.name,
            content: file.content,
        })
        .collect()
}

pub(super) fn wanted(message: proto::SnapshotRequest, wrong: &mut Wrong) -> Wanted {
    let most = message.max_bytes;
    check(
        wrong,
        "max_bytes",
        most == 0 || most >= SMALLEST_PART,
        || format!("{most} is less than {SMALLEST_PART}"),
    );
    let goes_on = !message.cursor.is_empty();
    let fresh = message.element.is_some() || message.changes_only;
    check(wrong, "cursor", !(goes_on && fresh), || {
        "not together with element or changes_only: it goes on with what these began".into()
    });
    Wanted {
        max_bytes: usize::try_from(if most == 0 {
            USUAL_BYTES
        } else {
            most.min(USUAL_BYTES)
        })
        .unwrap_or(usize::MAX),
        cursor: goes_on.then_some(message.cursor),
        element: locator("element", message.element, wrong),
        changes_only: message.changes_only,
    }
}

pub(super) fn condition(
    message: Option<wait_for_request::Condition>,
    wrong: &mut Wrong,
) -> Condition {
    use wait_for_request::Condition as Asked;
    let mut element = |field: &str, locator: fn(String) -> Locator, text: String, gone| {
        sized(field, text.trim(), LONGEST_LOCATOR, wrong);
        Condition::Element {
            locator: locator(text),
            gone,
        }
    };
    match message {
        Some(Asked::Selector(text)) => element("selector", Locator::Selector, text, false),
        Some(Asked::Text(text)) => element("text", Locator::Text, text, false),
        Some(Asked::SelectorGone(text)) => element("selector_gone", Locator::Selector, text, true),
        Some(Asked::TextGone(text)) => element("text_gone", Locator::Text, text, true),
        Some(Asked::Url(url)) => {
            sized("url", &url, LONGEST_URL, wrong);
            Condition::Url(url)
        }
        Some(Asked::LoadState(value)) => {
            Condition::Load(fetch_page::wait("load_state", value, wrong))
        }
        Some(Asked::Predicate(predicate)) => {
            sized("predicate", &predicate, LONGEST_PREDICATE, wrong);
            Condition::Predicate(predicate)
        }
        None => {
            wrong.push(Violation::new("condition", "must be set"));
            Condition::Url("*".into())
        }
    }
}

pub(super) fn script(expression: &str, wrong: &mut Wrong) {
    sized("expression", expression, LONGEST_SCRIPT, wrong);
}

/// How much of something is taken, in bytes.
pub(super) fn most(value: u32, wrong: &mut Wrong) -> u64 {
    check(wrong, "max_bytes", value <= MOST_BYTES, || {
        format!("{value} is more than {MOST_BYTES}")
    });
    u64::from(if value == 0 { USUAL_BYTES } else { value })
}

/// How much JSON is taken, in bytes.
pub(super) fn most_json(value: u32, wrong: &mut Wrong) -> u64 {
    most(if value == 0 { USUAL_JSON } else { value }, wrong)
}

/// Which contents are wanted: whether markup and visible text as they are, and what is read of them.
pub(super) fn contents(formats: &[i32], wrong: &mut Wrong) -> (bool, bool, Want) {
    let (mut html, mut visible, mut want) = (false, false, Want::default());
    check(wrong, "formats", !formats.is_empty(), || {
        "must not be empty".into()
    });
    for (at, value) in formats.iter().take(64).enumerate() {
        let field = || format!("formats[{at}]");
        match FetchFormat::try_from(*value) {
            Ok(FetchFormat::Html) => html = true,
            Ok(FetchFormat::Text) => visible = true,
            Ok(FetchFormat::Markdown) => want.markdown = true,
            Ok(FetchFormat::Links) => want.links = true,
            Ok(FetchFormat::Metadata) => want.metadata = true,
            Ok(FetchFormat::Screenshot) => {
                wrong.push(Violation::new(field(), "has a call of its own: Screenshot"));
            }
            Ok(FetchFormat::Pdf) => {
                wrong.push(Violation::new(field(), "has a call of its own: Pdf"));
            }
            Ok(FetchFormat::Raw) => {
                wrong.push(Violation::new(
                    field(),
                    "a page has no raw bytes: use Fetch",
                ));
            }
            Ok(FetchFormat::Unspecified) => {
                wrong.push(Violation::new(field(), "must be set"));
            }
            Err(_) => unknown(wrong, field(), *value),
        }
    }
    (html, visible, want)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(wrong: &[Violation]) -> Vec<&str> {
        wrong.iter().map(|one| one.field.as_str()).collect()
    }

    #[test]
    fn where_a_page_may_be_sent() {
        let ok = |text: &str| {
            let mut wrong = Vec::new();
            url("url", text, &mut wrong);
            wrong.is_empty()
        };
        for good in [
            "http://a.example",
            "HTTPS://a.example/",
            "data:text/html,x",
            "about:blank",
        ] {
            assert!(ok(good), "{good}");
        }
        for bad in [
            "",
            "a.example",
            "file:///etc/passwd",
            "javascript:1",
            "about:version",
            "chrome://gpu",
            "view-source:http://a.example",
            "blob:http://a.example/1",
        ] {
            assert!(!ok(bad), "{bad}");
        }
        assert!(!ok(&format!(
            "http://a.example/{}",
            "x".repeat(LONGEST_URL)
        )));
    }

    #[test]
    fn everything_wrong_is_named() {
        let mut wrong = Vec::new();
        let element = |element| Some(proto::ElementRef { element });
        must("element", None, &mut wrong);
        must("element", element(None), &mut wrong);
        let named = Element::Ref("12".into());
        must("element", element(Some(named)), &mut wrong);
        let blank = Element::Text(" ".into());
        must("target", element(Some(blank)), &mut wrong);
        let message = proto::ClickRequest {
            button: 9,
            count: 4,
            modifiers: vec![0],
            ..proto::ClickRequest::default()
        };
        click(&message, &mut wrong);
        condition(None, &mut wrong);
        options(&[], &mut wrong);
        typed("", false, &mut wrong);
        contents(&[1, 77], &mut wrong);
        most(u32::MAX, &mut wrong);
        let message = proto::SnapshotRequest {
            max_bytes: 1,
            cursor: "1:2".into(),
            changes_only: true,
            ..proto::SnapshotRequest::default()
        };
        wanted(message, &mut wrong);
        let file = proto::UploadFile {
            name: "a".into(),
            content: bytes::Bytes::new(),
        };
        uploads(vec![file.clone(), file], &mut wrong);
        way(&proto::NavigateRequest::default(), &mut wrong);
        assert_eq!(
            fields(&wrong),
            [
                "element",
                "element",
                "element.ref",
                "target.text",
                "button",
                "count",
                "modifiers[0]",
                "condition",
                "values",
                "text",
                "formats[0]",
                "formats[1]",
                "max_bytes",
                "max_bytes",
                "cursor",
                "files[1].name",
                "url",
            ]
        );
    }
}
