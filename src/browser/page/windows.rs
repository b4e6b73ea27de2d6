//! What a page opens that nobody asked for. Windows are closed as they come. The first few dialogs
//! are a page's way, more are a flood, and the script that opens them is cut off.

use std::{sync::Arc, time::Duration};

use chromiumoxide::cdp::browser_protocol::{
    browser::BrowserContextId,
    target::{CloseTargetParams, GetTargetsParams},
};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    browser::{Browser, cdp},
    deadline::Deadline,
    drain::Drain,
};

/// So many dialogs a page may open before its script is cut off.
const MOST: u32 = 20;
/// How long after a cut the next may come: what is heard sooner happened before it.
const PAUSE: Duration = Duration::from_millis(250);
/// Closing a window is the main process's work: it answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(1);

/// Counts the dialogs of a page, and closes its windows.
#[derive(Debug, Default)]
pub(super) struct Opened {
    dialogs: u32,
    cut: Option<Instant>,
    closing: Option<JoinHandle<()>>,
}

impl Opened {
    /// One more dialog. Answers whether the script that opens them is to be cut off.
    pub(super) fn one_more_dialog(&mut self) -> bool {
        self.dialogs = self.dialogs.saturating_add(1);
        let flood = self.dialogs > MOST && self.cut.is_none_or(|cut| cut.elapsed() >= PAUSE);
        if flood {
            self.cut = Some(Instant::now());
        }
        flood
    }

    /// Closes the windows that the page of `context` has opened, in a task of its own: those that
    /// are missed go with the context.
    pub(super) fn close(
        &mut self,
        browser: &Arc<Browser>,
        context: &BrowserContextId,
        page: &str,
        drain: &Drain,
    ) {
        if self.closing.as_ref().is_some_and(|one| !one.is_finished()) {
            return;
        }
        let (browser, context, page) = (Arc::clone(browser), context.clone(), page.to_owned());
        let closing = async move {
            // A browser that cannot is judged by whoever disposes of the context.
            while close_all(&browser, &context, &page).await.unwrap_or(0) > 0 {}
        };
        self.closing = Some(drain.spawn(closing));
    }
}

/// Closes every window of `context` but `page`; how many there were.
async fn close_all(
    browser: &Browser,
    context: &BrowserContextId,
    page: &str,
) -> Result<usize, cdp::Error> {
    let (cdp, bound) = (browser.cdp(), Deadline::after(PATIENCE));
    let targets = cdp.call(None, GetTargetsParams::default(), bound).await?;
    let windows = targets.target_infos.into_iter().filter(|target| {
        target.browser_context_id.as_ref() == Some(context)
            && target.r#type == "page"
            && target.target_id.inner() != page
    });
    let close = windows.map(|target| {
        let close = CloseTargetParams::new(target.target_id);
        cdp.call(None, close, bound)
    });
    let closed = futures::future::join_all(close).await;
    Ok(closed.into_iter().filter(Result::is_ok).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_cut_once_in_a_while() {
        let mut opened = Opened::default();
        assert!((0..MOST).all(|_| !opened.one_more_dialog()));
        assert!(opened.one_more_dialog());
        assert!(
            (0..1000).all(|_| !opened.one_more_dialog()),
            "it was before the cut"
        );
        tokio::time::advance(PAUSE).await;
        assert!(opened.one_more_dialog());
    }
}
