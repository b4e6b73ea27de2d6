//! Pictures of a page, and the page on paper.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use chromiumoxide::cdp::browser_protocol::{
    io,
    page::{
        CaptureScreenshotFormat, CaptureScreenshotParams, GetLayoutMetricsParams, PrintToPdfParams,
        PrintToPdfTransferMode, Viewport,
    },
};
use serde_json::Value;

use super::{Area, Error, Page, Pdf, Picture, Rect, Screenshot};
use crate::{browser::cdp, deadline::Deadline};

/// No side of a picture is longer, in pixels: the compositor has no texture for more.
pub(crate) const LONGEST_SIDE: f64 = 16384.0;
/// What of a printed page is read at once, in bytes.
const CHUNK: i64 = 1 << 20;

/// A picture that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pictured {
    /// The picture.
    pub bytes: Bytes,
    /// What was wanted is longer than a picture may be, and the rest was left out.
    pub clipped: bool,
}

impl Page {
    /// A picture of the page, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::Condition`] when the element is not there or not visible; [`Error::TooLarge`];
    /// [`Error::Passed`], [`Error::Lost`], [`Error::Cdp`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn screenshot(
        &mut self,
        how: &Screenshot,
        limit: u64,
        deadline: Deadline,
    ) -> Result<Pictured, Error> {
        let mut capture = how.capture();
        let mut clipped = false;
        if let Some(wanted) = self.wanted(&how.area, deadline).await? {
            let longest = (LONGEST_SIDE / self.scale).floor().max(1.0);
            clipped = wanted.width > longest || wanted.height > longest;
            capture.capture_beyond_viewport = Some(true);
            capture.clip = Some(Viewport {
                x: wanted.x,
                y: wanted.y,
                width: wanted.width.clamp(1.0, longest),
                height: wanted.height.clamp(1.0, longest),
                scale: 1.0,
            });
        }
        let data: String = self.run(capture, deadline).await?.data.into();
        // So many characters more than bytes, four for three.
        if data.len() as u64 / 4 * 3 > limit.saturating_add(2) {
            return Err(Error::TooLarge { limit });
        }
        let bytes = decode(&data)?;
        if bytes.len() as u64 > limit {
            return Err(Error::TooLarge { limit });
        }
        Ok(Pictured { bytes, clipped })
    }

    /// What of the page is pictured; `None` for what is in view.
    async fn wanted(&mut self, area: &Area, deadline: Deadline) -> Result<Option<Rect>, Error> {
        match area {
            Area::View => Ok(None),
            Area::Clip(rect) => Ok(Some(*rect)),
            Area::FullPage => {
                let layout = GetLayoutMetricsParams::default();
                let size = self.run(layout, deadline).await?.css_content_size;
                Ok(Some(Rect {
                    x: 0.0,
                    y: 0.0,
                    width: size.width,
                    height: size.height,
                }))
            }
            Area::Element(selector) => self.element(selector, deadline).await.map(Some),
        }
    }

    async fn element(&mut self, selector: &str, deadline: Deadline) -> Result<Rect, Error> {
        const FIND: &str = include_str!("element.js");
        let name = Value::from(selector);
        let found = self.evaluate(format!("({FIND})({name})"), deadline).await?;
        let number = |name: &str| found.get(name).and_then(Value::as_f64);
        let rect = || {
            Some(Rect {
                x: number("x")?,
                y: number("y")?,
                width: number("width")?,
                height: number("height")?,
            })
        };
        rect().ok_or_else(|| {
            let why = match found.as_str() {
                Some("hidden") => "is not visible",
                _ => "is not there",
            };
            Error::Condition(format!("the element {selector:?} of the picture {why}"))
        })
    }

    /// The page, printed, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::Condition`] when the page cannot be put on paper like that, as when it has fewer
    /// pages; [`Error::TooLarge`]; [`Error::Passed`], [`Error::Lost`], [`Error::Cdp`].
    ///
    /// # Cancel safety
    /// Yes: what was printed goes with the page.
    pub async fn pdf(&mut self, how: &Pdf, limit: u64, deadline: Deadline) -> Result<Bytes, Error> {
        let printed = self.run(how.print(), deadline).await;
        let printed = printed.map_err(Error::of_print)?;
        let nothing = || Error::Net("the browser printed nothing".into());
        let stream = printed.stream.ok_or_else(nothing)?;
        let read = self.read_stream(&stream, limit, deadline).await;
        // The answer is of no interest: what stays open goes with the page.
        self.cdp.tell(&self.id, &io::CloseParams::new(stream))?;
        read
    }

    async fn read_stream(
        &mut self,
        stream: &io::StreamHandle,
        limit: u64,
        deadline: Deadline,
    ) -> Result<Bytes, Error> {
        let mut printed = Printed::new(stream, limit);
        loop {
            let read = self.run(printed.next(), deadline).await?;
            if let Some(whole) = printed.add(&read)? {
                return Ok(whole);
            }
        }
    }
}

impl Screenshot {
    /// The command that takes what is in view.
    pub(crate) fn capture(&self) -> CaptureScreenshotParams {
        CaptureScreenshotParams {
            format: Some(match self.kind {
                Picture::Png => CaptureScreenshotFormat::Png,
                Picture::Jpeg => CaptureScreenshotFormat::Jpeg,
                Picture::Webp => CaptureScreenshotFormat::Webp,
            }),
            quality: self.quality.map(|quality| i64::from(quality.min(100))),
            ..CaptureScreenshotParams::default()
        }
    }
}

impl Pdf {
    /// The command that prints.
    pub(crate) fn print(&self) -> PrintToPdfParams {
        let [top, right, bottom, left] = self.margins;
        PrintToPdfParams {
            landscape: Some(self.landscape),
            print_background: Some(self.background),
            scale: Some(self.scale),
            paper_width: Some(self.paper.0),
            paper_height: Some(self.paper.1),
            margin_top: Some(top),
            margin_right: Some(right),
            margin_bottom: Some(bottom),
            margin_left: Some(left),
            page_ranges: Some(self.ranges.clone()).filter(|ranges| !ranges.is_empty()),
            prefer_css_page_size: Some(self.prefer_css_page_size),
            transfer_mode: Some(PrintToPdfTransferMode::ReturnAsStream),
            ..PrintToPdfParams::default()
        }
    }
}

impl Error {
    /// What it means that a page was not printed.
    pub(crate) fn of_print(self) -> Self {
        match self {
            Self::Cdp(cdp::Error::Refused { message, .. }) => {
                Self::Condition(format!("the page cannot be printed: {message}"))
            }
            error => error,
        }
    }
}

/// A printed page on its way.
#[derive(Debug)]
pub(crate) struct Printed {
    stream: io::StreamHandle,
    all: BytesMut,
    limit: u64,
}

impl Printed {
    pub(crate) fn new(stream: &io::StreamHandle, limit: u64) -> Self {
        Self {
            stream: stream.clone(),
            all: BytesMut::new(),
            limit,
        }
    }

    /// The command for the next piece.
    pub(crate) fn next(&self) -> io::ReadParams {
        let mut read = io::ReadParams::new(self.stream.clone());
        read.size = Some(CHUNK);
        read
    }

    /// Adds a piece; all of it after the last.
    pub(crate) fn add(&mut self, read: &io::ReadReturns) -> Result<Option<Bytes>, Error> {
        if read.base64_encoded == Some(true) {
            self.all.extend_from_slice(&decode(&read.data)?);
        } else {
            self.all.extend_from_slice(read.data.as_bytes());
        }
        if self.all.len() as u64 > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        Ok(read.eof.then(|| std::mem::take(&mut self.all).freeze()))
    }
}

pub(crate) fn decode(base64: &str) -> Result<Bytes, Error> {
    let decoded = BASE64_STANDARD.decode(base64);
    let decoded = decoded.map_err(|_| Error::Net("the browser's answer is not base64".into()));
    decoded.map(Bytes::from)
}
