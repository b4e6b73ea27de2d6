//! Pictures of a page, the page on paper, and its document.

use bytes::Bytes;
use chromiumoxide::cdp::browser_protocol::{
    io,
    page::{GetLayoutMetricsParams, Viewport},
};
use serde_json::Value;

use super::{
    Error, Locator, Tab,
    element::{Needs, stands},
};
use crate::{
    browser::page::{self, Area, LONGEST_SIDE, Pdf, Pictured, Printed, Rect, Screenshot, decode},
    deadline::Deadline,
};

impl Tab {
    /// A picture of the page or of `element`, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`page::Error::TooLarge`]; [`Error::NoElement`], [`Error::Ambiguous`],
    /// [`Error::NotActionable`]; [`Error::NoPage`], [`Error::Page`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn screenshot(
        &self,
        how: &Screenshot,
        element: Option<&Locator>,
        limit: u64,
        deadline: Deadline,
    ) -> Result<Pictured, Error> {
        let mut capture = how.capture();
        let wanted = match (element, &how.area) {
            (Some(element), _) => Some(self.rect(element, deadline).await?),
            (None, Area::Clip(rect)) => Some(*rect),
            (None, Area::FullPage) => {
                let layout = self.call(GetLayoutMetricsParams::default(), deadline);
                let size = layout.await?.css_content_size;
                Some(Rect {
                    x: 0.0,
                    y: 0.0,
                    width: size.width,
                    height: size.height,
                })
            }
            (None, Area::View | Area::Element(_)) => None,
        };
        let mut clipped = false;
        if let Some(wanted) = wanted {
            clipped = wanted.width > LONGEST_SIDE || wanted.height > LONGEST_SIDE;
            capture.capture_beyond_viewport = Some(true);
            capture.clip = Some(Viewport {
                x: wanted.x,
                y: wanted.y,
                width: wanted.width.clamp(1.0, LONGEST_SIDE),
                height: wanted.height.clamp(1.0, LONGEST_SIDE),
                scale: 1.0,
            });
        }
        let data: String = self.call(capture, deadline).await?.data.into();
        let bytes = decode(&data)?;
        if bytes.len() as u64 > limit {
            return Err(page::Error::TooLarge { limit }.into());
        }
        Ok(Pictured { bytes, clipped })
    }

    /// Where an element is, from the upper left corner of the page.
    async fn rect(&self, element: &Locator, deadline: Deadline) -> Result<Rect, Error> {
        let at = self.locate(element, deadline).await?;
        let point = self.ready(at, Needs::SEEN, deadline).await?;
        let call = format!("box({})", at.number);
        let seen = self.ask(at.frame, &call, deadline).await?;
        if let Some((why, what)) = stands(&seen) {
            return Err(Error::NotActionable { why, what });
        }
        let number = |name| seen.get(name).and_then(Value::as_f64).unwrap_or_default();
        let (width, height) = (number("width"), number("height"));
        if at.frame == 0 {
            return Ok(Rect {
                x: number("x"),
                y: number("y"),
                width,
                height,
            });
        }
        // In a frame, what is seen of it lies around where it would be clicked.
        let scrolled = self.ask(0, "scrolled()", deadline).await?;
        let by = |name| {
            scrolled
                .get(name)
                .and_then(Value::as_f64)
                .unwrap_or_default()
        };
        Ok(Rect {
            x: (point.x - width / 2.0 + by("x")).max(0.0),
            y: (point.y - height / 2.0 + by("y")).max(0.0),
            width,
            height,
        })
    }

    /// The page, printed, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`page::Error::Condition`] when it cannot be put on paper like that;
    /// [`page::Error::TooLarge`]; [`Error::NoPage`], [`Error::Page`].
    ///
    /// # Cancel safety
    /// Yes: what was printed goes with the page.
    pub async fn pdf(&self, how: &Pdf, limit: u64, deadline: Deadline) -> Result<Bytes, Error> {
        let printed = self.call(how.print(), deadline).await;
        let printed = printed.map_err(|error| match error {
            Error::Page(error) => Error::Page(error.of_print()),
            error => error,
        })?;
        let nothing = || page::Error::Net("the browser printed nothing".into());
        let stream = printed.stream.ok_or_else(nothing)?;
        let read = self.read_stream(&stream, limit, deadline).await;
        let close = io::CloseParams::new(stream);
        // What stays open goes with the page.
        let _ = self.shared.cdp.tell(self.main_session(), &close);
        read
    }

    async fn read_stream(
        &self,
        stream: &io::StreamHandle,
        limit: u64,
        deadline: Deadline,
    ) -> Result<Bytes, Error> {
        let mut printed = Printed::new(stream, limit);
        loop {
            let read = self.call(printed.next(), deadline).await?;
            if let Some(whole) = printed.add(&read)? {
                return Ok(whole);
            }
        }
    }

    /// The document of the main frame: its markup and the text that is visible, each at most `limit`
    /// bytes long, and where it is.
    ///
    /// # Errors
    /// [`page::Error::TooLarge`]; [`Error::NoPage`], [`Error::Page`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn document(
        &self,
        limit: u64,
        deadline: Deadline,
    ) -> Result<(String, String, String), Error> {
        let call = format!("content({limit})");
        let mut read = self.ask(0, &call, deadline).await?;
        if read.get("large").is_some() {
            return Err(page::Error::TooLarge { limit }.into());
        }
        let mut take = |name| match read.get_mut(name).map(Value::take) {
            Some(Value::String(text)) if text.len() as u64 > limit => {
                Err(Error::from(page::Error::TooLarge { limit }))
            }
            Some(Value::String(text)) => Ok(text),
            _ => Ok(String::new()),
        };
        Ok((take("html")?, take("text")?, take("url")?))
    }
}
