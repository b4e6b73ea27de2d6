//! From the message of a fetch: how a page is pictured and printed.

use super::{
    fetch_messages::{check, unknown},
    fetch_page::{LONGEST_SELECTOR, Wrong, text},
};
use crate::{
    broker::Violation,
    fetch::{Area, Pdf, Picture, Rect, Screenshot},
    proto::{self, ImageFormat},
};

/// In pixels.
const LONGEST_SIDE: f64 = 16384.0;
/// In inches.
const PAPER: std::ops::RangeInclusive<f64> = 1.0..=100.0;
const USUAL_QUALITY: u8 = 80;

fn within(field: &str, value: f64, range: std::ops::RangeInclusive<f64>, wrong: &mut Wrong) -> f64 {
    check(wrong, field, range.contains(&value), || {
        format!("{value} is not in {} to {}", range.start(), range.end())
    });
    value
}

pub(super) fn pdf(options: Option<&proto::PdfOptions>, wrong: &mut Wrong) -> Pdf {
    let usual = Pdf::default();
    let Some(options) = options else {
        return usual;
    };
    let or = |value: f64, usual: f64| if value == 0.0 { usual } else { value };
    let mut side =
        |field: &str, value, usual| within(&format!("pdf.{field}"), or(value, usual), PAPER, wrong);
    let paper = (
        side("paper_width", options.paper_width, usual.paper.0),
        side("paper_height", options.paper_height, usual.paper.1),
    );
    let (width, height) = if options.landscape {
        (paper.1, paper.0)
    } else {
        paper
    };
    let mut margin = |field: &str, value: Option<f64>, of: f64| {
        // The usual one fits any paper there is.
        let value = value.unwrap_or(0.4);
        let room = 0.0..=(of / 2.0).max(0.0);
        within(&format!("pdf.{field}"), value, room, wrong)
    };
    let margins = [
        margin("margin_top", options.margin_top, height),
        margin("margin_right", options.margin_right, width),
        margin("margin_bottom", options.margin_bottom, height),
        margin("margin_left", options.margin_left, width),
    ];
    let scale = within(
        "pdf.scale",
        or(options.scale, usual.scale),
        0.1..=2.0,
        wrong,
    );
    let ranges = options.page_ranges.as_str();
    let digits = |text: &str| text.is_empty() || text.bytes().all(|b| b.is_ascii_digit());
    let sound = ranges.len() <= 1024
        && (ranges.trim().is_empty()
            || ranges.split(',').all(|range| {
                let range = range.trim();
                let (from, to) = range.split_once('-').unwrap_or((range, range));
                range.len() > usize::from(range.contains('-'))
                    && digits(from.trim())
                    && digits(to.trim())
            }));
    check(wrong, "pdf.page_ranges", sound, || {
        format!("{ranges:?} is not like \"1-3, 5\"")
    });
    Pdf {
        paper,
        landscape: options.landscape,
        background: options.print_background,
        margins,
        scale,
        ranges: ranges.trim().to_owned(),
        prefer_css_page_size: options.prefer_css_page_size,
    }
}

pub(super) fn screenshot(
    options: Option<&proto::ScreenshotOptions>,
    wrong: &mut Wrong,
) -> Screenshot {
    let options = options.cloned().unwrap_or_default();
    let kind = match ImageFormat::try_from(options.format) {
        Ok(ImageFormat::Unspecified | ImageFormat::Png) => Picture::Png,
        Ok(ImageFormat::Jpeg) => Picture::Jpeg,
        Ok(ImageFormat::Webp) => Picture::Webp,
        Err(_) => {
            unknown(wrong, "screenshot.format", options.format);
            Picture::Png
        }
    };
    let quality = match u8::try_from(options.quality) {
        Ok(0) => USUAL_QUALITY,
        Ok(quality @ 1..=100) => quality,
        _ => {
            let why = format!("{} is not in 1 to 100", options.quality);
            wrong.push(Violation::new("screenshot.quality", why));
            USUAL_QUALITY
        }
    };
    let selector = text(
        "screenshot.selector",
        &options.selector,
        LONGEST_SELECTOR,
        wrong,
    );
    let alone = |why: &str| format!("not together with {why}");
    check(
        wrong,
        "screenshot.selector",
        selector.is_none() || !(options.full_page || options.clip.is_some()),
        || alone("`full_page` or `clip`"),
    );
    check(
        wrong,
        "screenshot.clip",
        options.clip.is_none() || !options.full_page,
        || alone("`full_page`"),
    );
    let area = match (selector, options.clip) {
        (Some(selector), _) => Area::Element(selector),
        (None, Some(clip)) => Area::Clip(rect(clip, wrong)),
        (None, None) if options.full_page => Area::FullPage,
        (None, None) => Area::View,
    };
    Screenshot {
        kind,
        quality: Some(quality),
        area,
    }
}

fn rect(clip: proto::Clip, wrong: &mut Wrong) -> Rect {
    for (field, value) in [("x", clip.x), ("y", clip.y)] {
        check(
            wrong,
            &format!("screenshot.clip.{field}"),
            value.is_finite() && value >= 0.0,
            || format!("{value} is not 0 or more"),
        );
    }
    for (field, value) in [("width", clip.width), ("height", clip.height)] {
        let sound = value > 0.0 && value <= LONGEST_SIDE;
        check(wrong, &format!("screenshot.clip.{field}"), sound, || {
            format!("{value} is not more than 0 and at most {LONGEST_SIDE}")
        });
    }
    Rect {
        x: clip.x,
        y: clip.y,
        width: clip.width,
        height: clip.height,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(wrong: &[Violation]) -> Vec<&str> {
        wrong.iter().map(|one| one.field.as_str()).collect()
    }

    #[test]
    fn a_picture_is_of_one_thing() {
        let clip = proto::Clip {
            x: -1.0,
            y: 0.0,
            width: 0.0,
            height: 20_000.0,
        };
        let options = proto::ScreenshotOptions {
            quality: 101,
            full_page: true,
            selector: "p".into(),
            clip: Some(clip),
            ..proto::ScreenshotOptions::default()
        };
        let mut wrong = Vec::new();
        screenshot(Some(&options), &mut wrong);
        assert_eq!(
            fields(&wrong),
            [
                "screenshot.quality",
                "screenshot.selector",
                "screenshot.clip"
            ]
        );
        let options = proto::ScreenshotOptions {
            clip: Some(clip),
            ..proto::ScreenshotOptions::default()
        };
        let mut wrong = Vec::new();
        screenshot(Some(&options), &mut wrong);
        assert_eq!(
            fields(&wrong),
            [
                "screenshot.clip.x",
                "screenshot.clip.width",
                "screenshot.clip.height"
            ]
        );
    }

    #[test]
    fn ranges_of_pages() {
        let ranges = |text: &str| {
            let options = proto::PdfOptions {
                page_ranges: text.into(),
                ..proto::PdfOptions::default()
            };
            let mut wrong = Vec::new();
            pdf(Some(&options), &mut wrong);
            wrong.is_empty()
        };
        assert!(
            ["", "1", "1-3, 5", "2-", "-3", " 1 - 2 "]
                .into_iter()
                .all(ranges)
        );
        assert!(!["-", "1,,2", "a", "1-2-3", "1;2"].into_iter().any(ranges));
    }
}
