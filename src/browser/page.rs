//! A page in a browser context of its own, for as long as somebody holds it.
//!
//! The context is opened in a [`Seat`] and disposed of when the [`Page`] is dropped; only then is
//! the seat free again. Only three domains are enabled, and everything that a page can do to keep
//! its visitor (dialogs, downloads, endless scripts, crashes) ends the visit or is dismissed.

mod absent;
mod download;
mod error;
mod first;
mod gate;
mod navigation;
mod options;
mod picture;
mod prepare;
mod refused;
mod room;
mod traffic;
mod wait;
mod windows;

use std::time::Duration;

use bytes::Bytes;
use chromiumoxide::{
    cdp::{
        browser_protocol::{
            network,
            page::{HandleJavaScriptDialogParams, NavigateParams},
            target::{
                AttachToTargetParams, CreateTargetParams, SessionId, SetDiscoverTargetsParams,
            },
        },
        js_protocol::runtime::{EvaluateParams, TerminateExecutionParams},
    },
    types::Command,
};
use serde_json::Value;
use tokio::time::Instant;

use self::{
    download::Download,
    gate::Gate,
    navigation::{Asks, EVENTS, Navigation},
    prepare::prepare,
    room::Room,
    traffic::Traffic,
    windows::Opened,
};
pub use self::{
    download::Downloaded,
    error::Error,
    first::First,
    navigation::{Document, WaitUntil},
    options::{
        Area, Blocking, ColorScheme, Contents, Cookie, Media, PageOptions, Pdf, Picture, Rect,
        Resource, Screenshot, Want,
    },
    picture::Pictured,
    refused::Refused,
    wait::Conditions,
};
pub(crate) use self::{
    gate::matches,
    picture::{LONGEST_SIDE, Printed, decode},
    refused::target,
};
use super::{
    Seat,
    cdp::{self, Cdp},
};
use crate::deadline::Deadline;

/// How long a page that is there may say that it will leave before it is believed to stay.
const LINGER: Duration = Duration::from_millis(500);

/// A page in a context of its own. Dropping it disposes of the context, then frees the seat.
#[derive(Debug)]
pub struct Page {
    cdp: Cdp,
    id: SessionId,
    navigation: Navigation,
    traffic: Traffic,
    /// What of it may not be reached.
    refused: Refused,
    /// Since when the page is there, where its network is waited for.
    there: Option<Instant>,
    gate: Option<Gate>,
    download: Option<Download>,
    opened: Opened,
    /// Device pixels per CSS pixel.
    scale: f64,
    main_request: Option<network::RequestId>,
    lost: bool,
    /// What answers the next request for the document.
    first: Option<First>,
    room: Room,
}

impl Page {
    /// Opens a blank page in a context of its own in `seat`.
    ///
    /// # Errors
    /// [`Error::Option`], [`Error::Lost`], [`Error::Passed`], [`Error::Cdp`].
    ///
    /// # Cancel safety
    /// Yes: what was opened is disposed of before the seat is free.
    pub async fn open(
        seat: Seat,
        options: &PageOptions,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        let begun = Instant::now();
        let browser = std::sync::Arc::clone(seat.browser());
        let cdp = browser.cdp().clone();
        let gate = Gate::of(options);
        let mut room = Room::open(seat, options.proxy.as_ref(), deadline).await?;
        let download = options.capture.map(|limit| room.downloads(limit));
        let context = room.context().clone();
        let mut create = CreateTargetParams::new("about:blank");
        create.browser_context_id = Some(context.clone());
        let target = cdp.call(None, create, deadline).await?.target_id;
        let mut attach = AttachToTargetParams::new(target.clone());
        attach.flatten = Some(true);
        let id = cdp.call(None, attach, deadline).await?.session_id;
        room.session = Some(cdp.session(id.clone(), EVENTS)?);
        let helpers = (gate.as_ref(), download.as_ref());
        prepare(&browser, &context, &id, options, helpers, deadline).await?;
        browser.opened_a_page(begun.elapsed());
        Ok(Self {
            cdp,
            id,
            // A page's main frame has the name of its target.
            navigation: Navigation::new(target.inner().clone()),
            traffic: Traffic::new(),
            refused: Refused::new(),
            there: None,
            gate,
            download,
            opened: Opened::default(),
            scale: options.viewport.map_or(1.0, |view| view.scale.max(1.0)),
            main_request: None,
            lost: false,
            first: None,
            room,
        })
    }

    /// Goes to `url` and waits until the page is there. A page that sends itself elsewhere at
    /// once is followed. The origin's status is data, whatever it is.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::Timeout`] when the deadline passed before the origin answered,
    /// [`Error::Passed`] when it passed before the page was there, [`Error::Unmet`] when only its
    /// network was not idle.
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
        self.traffic = Traffic::new();
        self.refused = Refused::new();
        self.there = None;
        let navigated = self.run(NavigateParams::new(url), deadline).await;
        let navigated = navigated.map_err(|error| match error {
            Error::Passed => Error::Timeout("no answer before the deadline".into()),
            error => error,
        })?;
        self.main_request = navigated
            .loader_id
            .map(|id| network::RequestId::from(id.inner().clone()));
        if let Some(text) = navigated.error_text.filter(|text| !text.is_empty()) {
            return self.without_page(url, &text, deadline).await;
        }
        self.settle(deadline).await?;
        let document = self.navigation.document();
        document.ok_or_else(|| Error::Net("the page came from nowhere".into()))
    }

    /// What [`Document::download`] says is to be saved; `None` unless [`PageOptions::capture`].
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Unmet`] at the deadline, [`Error::Lost`], [`Error::Net`].
    ///
    /// # Cancel safety
    /// Yes: what came goes with the page.
    pub async fn downloaded(&mut self, deadline: Deadline) -> Result<Option<Downloaded>, Error> {
        loop {
            match &mut self.download {
                None => return Ok(None),
                Some(download) if download.has_ended() => return download.take().await.map(Some),
                Some(_) => {}
            }
            let event = deadline.bound(self.room.event()).await;
            let event = event.map_err(|_passed| Error::Unmet("the download to end".into()))?;
            self.hear(&event?, deadline).await?;
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

    /// The page's markup, at most `units` UTF-16 units of it.
    ///
    /// # Errors
    /// As [`Page::contents`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn markup(&mut self, units: u32, deadline: Deadline) -> Result<String, Error> {
        let root = "document.documentElement";
        let script = format!("{root} ? {root}.outerHTML.slice(0, {units}) : ''");
        let markup = self.evaluate(script, deadline).await?;
        Ok(markup.as_str().unwrap_or_default().to_owned())
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
        if event.method().starts_with("Fetch.") {
            return self.paused(event);
        }
        if let Some(download) = &mut self.download
            && let Some(cancel) = download.hear(event, !self.navigation.is_shown())
        {
            let cancel = download::cancel(cancel, self.room.context());
            self.cdp.tell(&self.id, &cancel)?;
        }
        self.traffic.hear(event, self.navigation.frame());
        let room = &self.room;
        self.refused
            .hear(event, |target, since| room.why(target, since));
        match self.navigation.hear(event) {
            Asks::Nothing => {}
            Asks::Broken => {
                let text = event.text("/errorText").unwrap_or_default();
                return Err(Error::of_navigation(text));
            }
            Asks::Failed => {
                // A page that leaves for where it may not go does not stay what it was.
                let asked = self.navigation.asked_for().unwrap_or_default();
                if let error @ Error::Denied(_) = self.failed(asked, "") {
                    return Err(error);
                }
            }
            Asks::Burial => {
                self.lost = true;
                return Err(Error::Lost("its page crashed"));
            }
            Asks::Dialog { accept } => self.dismiss(accept, deadline).await?,
            Asks::Window if self.opened.one_more_window() => {
                self.cdp
                    .tell(&self.id, &SetDiscoverTargetsParams::new(true))?;
            }
            Asks::Window => {}
            Asks::Closing => {
                let page = self.navigation.frame();
                if let Some(close) = windows::close(event, self.room.context(), page) {
                    self.cdp.tell(&self.id, &close)?;
                }
            }
        }
        Ok(())
    }

    async fn dismiss(&mut self, accept: bool, deadline: Deadline) -> Result<(), Error> {
        /// A dialog is the main process's: it answers at once or not at all.
        const DISMISSED: Duration = Duration::from_secs(1);
        let answer = HandleJavaScriptDialogParams::new(accept);
        let bound = deadline.within(DISMISSED);
        // One that is gone already is what we want.
        let _ = self.cdp.call(Some(&self.id), answer, bound).await;
        if self.opened.one_more_dialog() {
            self.cdp
                .tell(&self.id, &TerminateExecutionParams::default())?;
        }
        Ok(())
    }
}
