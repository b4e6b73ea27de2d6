//! Going somewhere.

use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::page::{
    GetNavigationHistoryParams, NavigateParams, NavigateToHistoryEntryParams, ReloadParams,
};
use tokio::time::Instant;

use super::{Driver, Error, Tab};
use crate::{
    browser::page::{self, WaitUntil},
    deadline::Deadline,
};

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// To a URL.
    Url(String),
    /// To the entry before.
    Back,
    /// To the entry after.
    Forward,
    /// The same once more.
    Reload,
}

impl Driver {
    /// Goes somewhere with a page and waits until it is there. The status of the document; zero when it
    /// has none.
    ///
    /// # Errors
    /// [`Error::Page`] as a fetch has it when the origin cannot be reached or may not be;
    /// [`page::Error::Condition`] when the history has no such entry; [`Error::NoPage`].
    ///
    /// # Cancel safety
    /// Yes; the page is then anywhere.
    pub async fn go(
        &self,
        tab: &Tab,
        way: &Way,
        wait: WaitUntil,
        deadline: Deadline,
    ) -> Result<u32, Error> {
        let _turn = tab.turn(deadline).await?;
        let begun = Instant::now();
        match way {
            Way::Url(url) => {
                tab.state.lock().asked_for = None;
                let gone = tab.call(NavigateParams::new(url.as_str()), deadline).await;
                let gone = gone.map_err(|error| match error {
                    Error::Page(page::Error::Passed) => {
                        let why = "no answer before the deadline";
                        page::Error::Timeout(why.into()).into()
                    }
                    error => error,
                })?;
                if let Some(text) = gone.error_text.filter(|text| !text.is_empty()) {
                    return Err(self.failed(tab, &text, begun, deadline).await.into());
                }
                match gone.loader_id {
                    Some(loader) => {
                        let loader = loader.inner().as_str();
                        // It may have gone on from there already.
                        let left = tab.before();
                        let is_there = |state: &super::state::State| {
                            state.loader == loader || !left.is_at(&state.loader)
                        };
                        tab.until(deadline, is_there).await?;
                    }
                    // Within the document.
                    None => return Ok(tab.state.lock().status()),
                }
            }
            Way::Reload => {
                let before = tab.before();
                tab.call(ReloadParams::default(), deadline).await?;
                tab.until(deadline, |state| !before.is_at(&state.loader))
                    .await?;
            }
            Way::Back => self.step(tab, -1, deadline).await?,
            Way::Forward => self.step(tab, 1, deadline).await?,
        }
        let there = tab.until(deadline, |state| !state.leaving && state.has_reached(wait));
        there.await.map_err(|error| match error {
            Error::Page(page::Error::Passed) => {
                page::Error::Unmet("the page to be there".into()).into()
            }
            error => error,
        })?;
        Ok(tab.state.lock().status())
    }

    async fn step(&self, tab: &Tab, by: i64, deadline: Deadline) -> Result<(), Error> {
        let history = tab.call(GetNavigationHistoryParams::default(), deadline);
        let history = history.await?;
        let at = usize::try_from(history.current_index + by).ok();
        let Some(entry) = at.and_then(|at| history.entries.get(at)) else {
            let way = if by < 0 { "before" } else { "after" };
            let why = format!("the history has no page {way} this one");
            return Err(page::Error::Condition(why).into());
        };
        let before = tab.before();
        let to = NavigateToHistoryEntryParams::new(entry.id);
        tab.call(to, deadline).await?;
        // Within the document nothing new is loaded, but the entry changes.
        loop {
            if !before.is_at(&tab.state.lock().loader) {
                return Ok(());
            }
            let now = tab.call(GetNavigationHistoryParams::default(), deadline);
            match now.await {
                Ok(now) => {
                    let is = usize::try_from(now.current_index).ok();
                    if is == at && !tab.state.lock().leaving {
                        return Ok(());
                    }
                }
                // The page is between two documents.
                Err(Error::Page(page::Error::Cdp(_))) => {}
                Err(error) => return Err(error),
            }
            tab.pause(deadline).await?;
        }
    }

    /// What it means that no document came, of which the browser says `text`. Its proxy knows more than
    /// it does.
    async fn failed(
        &self,
        tab: &Tab,
        text: &str,
        since: Instant,
        deadline: Deadline,
    ) -> page::Error {
        /// What was asked for was told before the answer came, and is heard at once.
        const HEARD: Duration = Duration::from_millis(200);
        let told = page::Error::of_navigation(text);
        if matches!(told, page::Error::Aborted | page::Error::Redirects) {
            return told;
        }
        let heard = tab.until(deadline.within(HEARD), |state| state.asked_for.is_some());
        // Without it there is only the browser's word.
        let _ = heard.await;
        let asked = tab.state.lock().asked_for.clone();
        let target = asked.as_deref().and_then(page::target);
        let why = target.and_then(|target| self.browser().egress().why(&target, since));
        why.map_or(told, page::Error::from)
    }
}
