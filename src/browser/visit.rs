//! A visit of one page as any CDP client would make it: over a websocket URL and nothing else.

use chromiumoxide::cdp::{
    browser_protocol::{
        page::{EnableParams, NavigateParams},
        target::{AttachToTargetParams, GetTargetsParams},
    },
    js_protocol::runtime::EvaluateParams,
};
use serde_json::Value;

use super::cdp::{Cdp, Error};
use crate::{deadline::Deadline, drain::Drain};

/// What a visitor saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The page's title.
    pub title: String,
    /// The page's visible text.
    pub text: String,
}

const LOADED: &str = "Page.loadEventFired";

/// Attaches to the browser at `cdp_url`, takes its first page to `url`, waits until it is loaded
/// and reads it.
///
/// # Errors
/// See [`Error`]; [`Error::Timeout`] at the deadline.
///
/// # Cancel safety
/// Yes: the connection is closed.
pub async fn visit(
    cdp_url: &str,
    url: &str,
    deadline: Deadline,
    drain: &Drain,
) -> Result<Visit, Error> {
    let cdp = Cdp::connect(cdp_url, deadline, drain).await?;
    let targets = cdp
        .call(None, GetTargetsParams::default(), deadline)
        .await?;
    let mut pages = targets
        .target_infos
        .into_iter()
        .filter(|target| target.r#type == "page");
    let page = pages.next().ok_or(Error::Closed)?;
    let mut attach = AttachToTargetParams::new(page.target_id);
    attach.flatten = Some(true);
    let session = cdp.call(None, attach, deadline).await?.session_id;
    let mut session = cdp.session(session, &[LOADED])?;
    session.call(EnableParams::default(), deadline).await?;
    session.call(NavigateParams::new(url), deadline).await?;
    let loaded = deadline.bound(session.event()).await;
    loaded.map_err(|_passed| Error::Timeout(LOADED.into()))??;
    let read = async |expression: &str| {
        let result = session
            .call(EvaluateParams::new(expression), deadline)
            .await?;
        let text = result.result.value.as_ref().and_then(Value::as_str);
        Ok::<_, Error>(text.unwrap_or_default().to_owned())
    };
    Ok(Visit {
        title: read("document.title").await?,
        text: read("document.body.innerText").await?,
    })
}
