//! From the message of a fetch: what of it only a browser does.

use super::{
    fetch_messages::{check, unknown},
    fetch_picture,
};
use crate::{
    broker::Violation,
    fetch::{Blocking, ColorScheme, InBrowser, Media, Resource, Strategy, WaitUntil},
    proto::{self, FetchRequest},
};

pub(super) const LONGEST_SELECTOR: usize = 4096;
const LONGEST_PREDICATE: usize = 16 << 10;
const LONGEST_NAME: usize = 64;
const MOST_PATTERNS: usize = 64;
/// There are five; as with formats.
const MOST_KINDS: usize = 64;
const LONGEST_PATTERN: usize = 1024;

pub(super) type Wrong = Vec<Violation>;

/// What only a browser does.
pub(super) fn page(message: &FetchRequest, wrong: &mut Wrong) -> InBrowser {
    InBrowser {
        wait_selector: text(
            "wait_selector",
            &message.wait_selector,
            LONGEST_SELECTOR,
            wrong,
        ),
        wait_predicate: text(
            "wait_predicate",
            &message.wait_predicate,
            LONGEST_PREDICATE,
            wrong,
        ),
        locale: name("locale", &message.locale, "-", wrong),
        time_zone: name("time_zone", &message.time_zone, "/_+-", wrong),
        media: media(message.media.as_ref(), wrong),
        blocking: blocking(message.blocking.as_ref(), wrong),
        pdf: fetch_picture::pdf(message.pdf.as_ref(), wrong),
        capture_download: message.capture_download,
    }
}

/// What only a browser does is refused where none may answer: a caller that relies on it must know.
pub(super) fn refuse_over_http(message: &FetchRequest, strategy: Strategy, wrong: &mut Wrong) {
    if strategy != Strategy::Http {
        return;
    }
    let screenshot = message.screenshot.as_ref();
    for (field, set) in [
        ("wait_until", message.wait_until != 0),
        ("viewport", message.viewport.is_some()),
        (
            "screenshot",
            screenshot.is_some_and(|one| *one != proto::ScreenshotOptions::default()),
        ),
        ("wait_selector", !message.wait_selector.is_empty()),
        ("wait_predicate", !message.wait_predicate.is_empty()),
        ("locale", !message.locale.is_empty()),
        ("time_zone", !message.time_zone.is_empty()),
        ("media", message.media.is_some()),
        ("blocking", message.blocking.is_some()),
        ("pdf", message.pdf.is_some()),
        ("capture_download", message.capture_download),
    ] {
        check(wrong, field, !set, || "needs a browser".into());
    }
}

pub(super) fn text(field: &str, text: &str, longest: usize, wrong: &mut Wrong) -> Option<String> {
    check(wrong, field, text.len() <= longest, || {
        format!("{} bytes are more than {longest}", text.len())
    });
    (!text.is_empty()).then(|| text.to_owned())
}

/// A name of letters, digits and `more`; whether there is such a thing the browser knows.
fn name(field: &str, text: &str, more: &str, wrong: &mut Wrong) -> Option<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
    let sound = text.len() <= LONGEST_NAME && text.chars().all(good);
    check(wrong, field, sound, || format!("{text:?} is no such name"));
    (!text.is_empty()).then(|| text.to_owned())
}

pub(super) fn wait(field: &str, value: i32, wrong: &mut Wrong) -> WaitUntil {
    match proto::WaitUntil::try_from(value) {
        Ok(proto::WaitUntil::Unspecified | proto::WaitUntil::Load) => WaitUntil::Load,
        Ok(proto::WaitUntil::DomContentLoaded) => WaitUntil::DomContentLoaded,
        Ok(proto::WaitUntil::NetworkIdle) => WaitUntil::NetworkIdle,
        Err(_) => {
            unknown(wrong, field, value);
            WaitUntil::Load
        }
    }
}

fn media(media: Option<&proto::MediaEmulation>, wrong: &mut Wrong) -> Media {
    let media = media.copied().unwrap_or_default();
    let color_scheme = match proto::ColorScheme::try_from(media.color_scheme) {
        Ok(proto::ColorScheme::Unspecified) => None,
        Ok(proto::ColorScheme::Light) => Some(ColorScheme::Light),
        Ok(proto::ColorScheme::Dark) => Some(ColorScheme::Dark),
        Err(_) => {
            unknown(wrong, "media.color_scheme", media.color_scheme);
            None
        }
    };
    Media {
        print: media.print,
        color_scheme,
        reduced_motion: media.reduced_motion,
    }
}

fn blocking(blocking: Option<&proto::Blocking>, wrong: &mut Wrong) -> Blocking {
    let Some(blocking) = blocking else {
        return Blocking::default();
    };
    let named = &blocking.resource_types;
    check(
        wrong,
        "blocking.resource_types",
        named.len() <= MOST_KINDS,
        || format!("{} types are more than {MOST_KINDS}", named.len()),
    );
    let mut kinds = Vec::new();
    for (at, value) in named.iter().take(MOST_KINDS).enumerate() {
        let field = || format!("blocking.resource_types[{at}]");
        match proto::ResourceType::try_from(*value) {
            Ok(proto::ResourceType::Image) => kinds.push(Resource::Image),
            Ok(proto::ResourceType::Media) => kinds.push(Resource::Media),
            Ok(proto::ResourceType::Font) => kinds.push(Resource::Font),
            Ok(proto::ResourceType::Stylesheet) => kinds.push(Resource::Stylesheet),
            Ok(proto::ResourceType::Script) => kinds.push(Resource::Script),
            Ok(proto::ResourceType::Unspecified) => {
                wrong.push(Violation::new(field(), "must be set"));
            }
            Err(_) => unknown(wrong, field(), *value),
        }
    }
    // One kind many times is one kind.
    let mut once = Vec::new();
    for kind in kinds {
        if !once.contains(&kind) {
            once.push(kind);
        }
    }
    let patterns = &blocking.url_patterns;
    check(
        wrong,
        "blocking.url_patterns",
        patterns.len() <= MOST_PATTERNS,
        || format!("{} patterns are more than {MOST_PATTERNS}", patterns.len()),
    );
    for (at, pattern) in patterns.iter().take(MOST_PATTERNS).enumerate() {
        let sound = (1..=LONGEST_PATTERN).contains(&pattern.len());
        check(
            wrong,
            &format!("blocking.url_patterns[{at}]"),
            sound,
            || format!("must have 1 to {LONGEST_PATTERN} bytes"),
        );
    }
    Blocking {
        kinds: once,
        patterns: patterns.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(wrong: &[Violation]) -> Vec<&str> {
        wrong.iter().map(|one| one.field.as_str()).collect()
    }

    #[test]
    fn everything_wrong_with_a_page_is_named_at_once() {
        let message = FetchRequest {
            wait_selector: "x".repeat(LONGEST_SELECTOR + 1),
            wait_predicate: "x".repeat(LONGEST_PREDICATE + 1),
            locale: "de CH".into(),
            time_zone: "../etc passwd".into(),
            media: Some(proto::MediaEmulation {
                color_scheme: 9,
                ..proto::MediaEmulation::default()
            }),
            blocking: Some(proto::Blocking {
                resource_types: vec![1, 0, 77, 1],
                url_patterns: vec!["*".into(), String::new()],
            }),
            pdf: Some(proto::PdfOptions {
                paper_width: 0.5,
                margin_left: Some(0.3),
                margin_top: Some(f64::NAN),
                scale: 3.0,
                page_ranges: "1-3; 5".into(),
                ..proto::PdfOptions::default()
            }),
            ..FetchRequest::default()
        };
        let mut wrong = Vec::new();
        page(&message, &mut wrong);
        assert_eq!(
            fields(&wrong),
            [
                "wait_selector",
                "wait_predicate",
                "locale",
                "time_zone",
                "media.color_scheme",
                "blocking.resource_types[1]",
                "blocking.resource_types[2]",
                "blocking.url_patterns[1]",
                "pdf.paper_width",
                "pdf.margin_top",
                "pdf.margin_right",
                "pdf.margin_left",
                "pdf.scale",
                "pdf.page_ranges",
            ]
        );
    }

    #[test]
    fn what_needs_a_browser_is_refused_without() {
        let message = FetchRequest {
            wait_until: 2,
            screenshot: Some(proto::ScreenshotOptions::default()),
            locale: "de".into(),
            blocking: Some(proto::Blocking::default()),
            ..FetchRequest::default()
        };
        let mut wrong = Vec::new();
        refuse_over_http(&message, Strategy::Auto, &mut wrong);
        assert!(wrong.is_empty());
        refuse_over_http(&message, Strategy::Http, &mut wrong);
        assert_eq!(fields(&wrong), ["wait_until", "locale", "blocking"]);
    }
}
