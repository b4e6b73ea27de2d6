//! A page in a browser context of its own, for as long as somebody holds it.
//!
//! The context is opened in a [`Seat`] and disposed of when the [`Page`] is dropped; only then is
//! the seat free again. Only three domains are enabled, and everything that a page can do to keep
//! its visitor (dialogs, downloads, endless scripts, crashes) ends the visit or is dismissed.

mod error;
mod navigation;
mod options;
mod room;

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use chromiumoxide::{
    cdp::{
        browser_protocol::{
            browser::{SetDownloadBehaviorBehavior, SetDownloadBehaviorParams},
            network,
            page::{
                self, CaptureScreenshotFormat, CaptureScreenshotParams, GetLayoutMetricsParams,
                HandleJavaScriptDialogParams, NavigateParams,
            },
            target::{AttachToTargetParams, CreateTargetParams, SessionId},
        },
        js_protocol::runtime::EvaluateParams,
    },
    types::Command,
};
use serde_json::Value;

pub use self::{
    error::Error,
    navigation::{Document, WaitUntil},
    options::{Contents, PageOptions, Picture, Screenshot, Want},
};
use self::{
    navigation::{Asks, EVENTS, Navigation},
    options::prepare,
    room::Room,
};
use super::{
    Seat,
    cdp::{self, Cdp},
};
use crate::deadline::Deadline;

/// How long a page that is there may say that it will leave before it is believed to stay.
const LINGER: Duration = Duration::from_millis(500);

/// No side of a picture is longer, in CSS pixels: the compositor has no texture for more.
const LONGEST_SIDE: f64 = 16384.0;

/// A page in a context of its own. Dropping it disposes of the context, then frees the seat.
#[derive(Debug)]
pub struct Page {
    cdp: Cdp,
    id: SessionId,
    navigation: Navigation,
    main_request: Option<network::RequestId>,
    lost: bool,
    room: Room,
}

impl Page {
    /// Opens a blank page in a context of its own in `seat`.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Passed`], [`Error::Cdp`].
    ///
    /// # Cancel safety
    /// Yes: what was opened is disposed of before the seat is free.
    pub async fn open(
        seat: Seat,
        options: &PageOptions,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        let cdp = seat.browser().cdp().clone();
        let mut room = Room::open(seat, deadline).await?;
        let context = room.context().clone();
        let mut create = CreateTargetParams::new("about:blank");
        create.browser_context_id = Some(context.clone());
        let mut deny = SetDownloadBehaviorParams::new(SetDownloadBehaviorBehavior::Deny);
        deny.browser_context_id = Some(context);
        let (denied, created) = tokio::join!(
            cdp.call(None, deny, deadline),
            cdp.call(None, create, deadline)
        );
        denied?;
        let target = created?.target_id;
        let mut attach = AttachToTargetParams::new(target.clone());
        attach.flatten = Some(true);
        let id = cdp.call(None, attach, deadline).await?.session_id;
        room.session = Some(cdp.session(id.clone(), EVENTS)?);
        prepare(&cdp, &id, options, deadline).await?;
        Ok(Self {
            cdp,
            id,
            // A page's main frame has the name of its target.
            navigation: Navigation::new(target.inner().clone()),
            main_request: None,
            lost: false,
            room,
        })
    }

    /// Goes to `url` and waits until the page is there. A page that sends itself elsewhere at
    /// once is followed. The origin's status is data, whatever it is.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::Timeout`] when the deadline passed before the origin answered,
    /// [`Error::Passed`] when it passed before the page was there.
    ///
    /// # Cancel safety
    /// Yes; the page is then anywhere.
    pub async fn goto(
        &mut self,
        url: &str,
        wait: WaitUntil,
        deadline: Deadline,
    ) -> Result<Document, Error> {
        self.navigation.begin(wait);
        let navigated = self.run(NavigateParams::new(url), deadline).await;
        let navigated = navigated.map_err(|error| match error {
            Error::Passed => Error::Timeout("no answer before the deadline".into()),
            error => error,
        })?;
        self.main_request = navigated
            .loader_id
            .map(|id| network::RequestId::from(id.inner().clone()));
        if let Some(text) = navigated.error_text.filter(|text| !text.is_empty()) {
            return self.without_page(&text);
        }
        self.settle(deadline).await?;
        let document = self.navigation.document();
        document.ok_or_else(|| Error::Net("the page came from nowhere".into()))
    }

    /// Waits until the page is there and stays there.
    async fn settle(&mut self, deadline: Deadline) -> Result<(), Error> {
        while !self.navigation.is_settled() {
            // Events that never end would keep the bound below from being looked at.
            if deadline.has_passed() {
                return Err(Error::Passed);
            }
            let patience = if self.navigation.lingers() {
                deadline.within(LINGER)
            } else {
                deadline
            };
            match patience.bound(self.room.event()).await {
                Ok(event) => self.hear(&event?, deadline).await?,
                Err(_passed) if self.navigation.lingers() => self.navigation.stays(),
                Err(_passed) => return Err(Error::Passed),
            }
        }
        Ok(())
    }

    /// A response without anything to show is one all the same.
    fn without_page(&mut self, text: &str) -> Result<Document, Error> {
        const NO_CONTENT: [u16; 2] = [204, 205];
        let empty = text == "net::ERR_HTTP_RESPONSE_CODE_FAILURE";
        let document = self.navigation.unshown();
        match document {
            Some(document) if empty || NO_CONTENT.contains(&document.status) => Ok(Document {
                blank: true,
                ..document
            }),
            _ => Err(Error::of_navigation(text)),
        }
    }

    /// Reads what is wanted of the page, in one go.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when document or text exceed `limit` bytes; [`Error::Passed`] when the
    /// page's own scripts leave no room before the deadline; [`Error::Lost`], [`Error::Cdp`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn contents(
        &mut self,
        want: Want,
        limit: u64,
        deadline: Deadline,
    ) -> Result<Contents, Error> {
        const READ: &str = include_str!("page/read.js");
        let script = format!(
            "({READ})({}, {}, {}, {limit})",
            want.html, want.text, want.title
        );
        let mut read = self.evaluate(script.clone(), deadline).await?;
        // A page may say that it leaves only after it was there; it said so before it was read.
        while !self.navigation.is_settled() {
            self.settle(deadline).await?;
            read = self.evaluate(script.clone(), deadline).await?;
        }
        let too_large = || Error::TooLarge { limit };
        if read.get("large").is_some() {
            return Err(too_large());
        }
        let mut take = |name: &str| match read.get_mut(name).map(Value::take) {
            Some(Value::String(text)) if text.len() as u64 > limit => Err(too_large()),
            Some(Value::String(text)) => Ok(Some(text)),
            _ => Ok(None),
        };
        Ok(Contents {
            html: take("html")?,
            text: take("text")?,
            title: take("title")?,
            document: self.navigation.document(),
        })
    }

    /// The value of an expression in the page, as JSON. A page that leaves meanwhile is asked
    /// again where it went.
    ///
    /// # Errors
    /// [`Error::Passed`], [`Error::Lost`], [`Error::Cdp`].
    ///
    /// # Cancel safety
    /// The expression may have been evaluated.
    async fn evaluate(&mut self, expression: String, deadline: Deadline) -> Result<Value, Error> {
        const TRIES: u32 = 5;
        let mut evaluate = EvaluateParams::new(expression);
        evaluate.return_by_value = Some(true);
        let mut tries = 1;
        loop {
            match self.run(evaluate.clone(), deadline).await {
                Ok(evaluated) => return Ok(evaluated.result.value.unwrap_or_default()),
                Err(error) if error.is_moved() && tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The main response's body without its transfer and content codings, and whether it is as it
    /// came: what the browser decoded as text it gives as UTF-8. Only with
    /// [`PageOptions::keep_body`].
    ///
    /// # Errors
    /// [`Error::TooLarge`] when it was not kept because of its size; [`Error::Passed`],
    /// [`Error::Lost`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn body(&mut self, limit: u64, deadline: Deadline) -> Result<(Bytes, bool), Error> {
        let Some(id) = self.main_request.clone() else {
            return Ok((Bytes::new(), true));
        };
        let got = self.run(network::GetResponseBodyParams::new(id), deadline);
        let got = match got.await {
            // The browser's only word for a body that it did not keep.
            Err(Error::Cdp(cdp::Error::Refused { .. })) => return Err(Error::TooLarge { limit }),
            got => got?,
        };
        let as_it_came = got.base64_encoded;
        let body = if as_it_came {
            decode(&got.body)?
        } else {
            Bytes::from(got.body)
        };
        if body.len() as u64 > limit {
            return Err(Error::TooLarge { limit });
        }
        Ok((body, as_it_came))
    }

    /// A picture of the page.
    ///
    /// # Errors
    /// [`Error::Passed`], [`Error::Lost`], [`Error::Cdp`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn screenshot(
        &mut self,
        how: Screenshot,
        deadline: Deadline,
    ) -> Result<Bytes, Error> {
        let mut capture = CaptureScreenshotParams {
            format: Some(match how.kind {
                Picture::Png => CaptureScreenshotFormat::Png,
                Picture::Jpeg => CaptureScreenshotFormat::Jpeg,
                Picture::Webp => CaptureScreenshotFormat::Webp,
            }),
            quality: how.quality.map(|quality| i64::from(quality.min(100))),
            ..CaptureScreenshotParams::default()
        };
        if how.full_page {
            let layout = self
                .run(GetLayoutMetricsParams::default(), deadline)
                .await?;
            let size = layout.css_content_size;
            capture.capture_beyond_viewport = Some(true);
            capture.clip = Some(page::Viewport {
                x: 0.0,
                y: 0.0,
                width: size.width.clamp(1.0, LONGEST_SIDE),
                height: size.height.clamp(1.0, LONGEST_SIDE),
                scale: 1.0,
            });
        }
        let data: String = self.run(capture, deadline).await?.data.into();
        decode(&data)
    }

    /// Runs a command of the page while its events are heard: a dialog would hold it up for ever,
    /// and after a crash nobody answers.
    async fn run<C: Command>(
        &mut self,
        command: C,
        deadline: Deadline,
    ) -> Result<C::Response, Error> {
        if self.lost {
            return Err(Error::Lost("its page crashed"));
        }
        let (cdp, id) = (self.cdp.clone(), self.id.clone());
        let call = cdp.call(Some(&id), command, deadline);
        tokio::pin!(call);
        loop {
            tokio::select! {
                biased;
                answer = &mut call => return Ok(answer?),
                event = self.room.event() => self.hear(&event?, deadline).await?,
            }
        }
    }

    async fn hear(&mut self, event: &cdp::Event, deadline: Deadline) -> Result<(), Error> {
        /// A dialog is the main process's: it answers at once or not at all.
        const DISMISSED: Duration = Duration::from_secs(1);
        match self.navigation.hear(event) {
            Asks::Nothing => {}
            Asks::Burial => {
                self.lost = true;
                return Err(Error::Lost("its page crashed"));
            }
            Asks::Dialog { accept } => {
                let answer = HandleJavaScriptDialogParams::new(accept);
                let bound = deadline.within(DISMISSED);
                // One that is gone already is what we want.
                let _ = self.cdp.call(Some(&self.id), answer, bound).await;
            }
        }
        Ok(())
    }
}

fn decode(base64: &str) -> Result<Bytes, Error> {
    let decoded = BASE64_STANDARD.decode(base64);
    let decoded = decoded.map_err(|_| Error::Net("the browser's answer is not base64".into()));
    decoded.map(Bytes::from)
}
