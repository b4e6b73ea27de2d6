//! What a page is opened with, and what is read of it.

use chromiumoxide::{
    cdp::browser_protocol::{
        emulation::{SetDeviceMetricsOverrideParams, SetUserAgentOverrideParams},
        inspector, network, page,
        target::SessionId,
    },
    types::Command,
};
use serde_json::Value;

use super::Document;
use crate::{
    browser::{
        Viewport,
        cdp::{self, Cdp},
    },
    deadline::Deadline,
};

/// What a page is opened with. The default is the browser's own.
#[derive(Clone, Debug, Default)]
pub struct PageOptions {
    /// The `User-Agent` of every request and of `navigator.userAgent`.
    pub user_agent: Option<String>,
    /// Sent with every request of the page, whoever it goes to.
    pub headers: Vec<(String, String)>,
    /// The size of the page.
    pub viewport: Option<Viewport>,
    /// So many bytes of the main response are kept for [`Page::body`](super::Page::body); zero keeps none.
    pub keep_body: u64,
}

/// What [`Page::contents`](super::Page::contents) reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// The document as it is now, serialised, with its doctype.
    pub html: bool,
    /// The text that is visible.
    pub text: bool,
    /// The title.
    pub title: bool,
}

/// What was read of a page; what was not asked for is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The document, serialised.
    pub html: Option<String>,
    /// The visible text.
    pub text: Option<String>,
    /// The title.
    pub title: Option<String>,
    /// Where it was read, when the page has gone elsewhere since [`Page::goto`](super::Page::goto) returned.
    pub document: Option<Document>,
}

/// The format of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Picture {
    /// Lossless.
    #[default]
    Png,
    /// Lossy.
    Jpeg,
    /// Lossy.
    Webp,
}

/// How a picture of a page is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Screenshot {
    /// The format.
    pub kind: Picture,
    /// 0 to 100, for lossy formats; `None` for the browser's default.
    pub quality: Option<u8>,
    /// The whole page and not only what is in view.
    pub full_page: bool,
}

/// Enables what a page is followed by, and sets what was asked for: all sent at once.
pub(super) async fn prepare(
    cdp: &Cdp,
    id: &SessionId,
    options: &PageOptions,
    deadline: Deadline,
) -> Result<(), cdp::Error> {
    let keep = i64::try_from(options.keep_body).unwrap_or(i64::MAX);
    let network = network::EnableParams {
        max_total_buffer_size: Some(keep),
        max_resource_buffer_size: Some(keep),
        ..network::EnableParams::default()
    };
    let headers = options.headers.iter();
    let headers: serde_json::Map<_, _> = headers
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    let headers = (!headers.is_empty()).then(|| {
        let headers = network::Headers::new(Value::Object(headers));
        network::SetExtraHttpHeadersParams::new(headers)
    });
    let user_agent = options.user_agent.clone();
    let metrics = options.viewport.map(|view| {
        let (width, height) = (i64::from(view.width), i64::from(view.height));
        SetDeviceMetricsOverrideParams::new(width, height, view.scale, false)
    });
    let session = Some(id);
    tokio::try_join!(
        cdp.call(session, page::EnableParams::default(), deadline),
        cdp.call(session, network, deadline),
        cdp.call(session, inspector::EnableParams::default(), deadline),
        maybe(cdp, session, headers, deadline),
        maybe(
            cdp,
            session,
            user_agent.map(SetUserAgentOverrideParams::new),
            deadline
        ),
        maybe(cdp, session, metrics, deadline),
    )
    .map(drop)
}

async fn maybe<C: Command>(
    cdp: &Cdp,
    session: Option<&SessionId>,
    command: Option<C>,
    deadline: Deadline,
) -> Result<(), cdp::Error> {
    match command {
        Some(command) => cdp.call(session, command, deadline).await.map(drop),
        None => Ok(()),
    }
}
