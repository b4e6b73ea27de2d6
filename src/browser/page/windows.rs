//! What a page opens that nobody asked for. Windows are closed as they come. The first few dialogs
//! are a page's way, more are a flood, and the script that opens them is cut off.

use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::{
    browser::BrowserContextId,
    target::{CloseTargetParams, TargetId},
};
use tokio::time::Instant;

use crate::browser::cdp::Event;

/// So many dialogs a page may open before its script is cut off.
const MOST: u32 = 20;
/// How long after a cut the next may come: what is heard sooner happened before it.
const PAUSE: Duration = Duration::from_millis(250);

/// Counts the dialogs of a page, and knows whether its windows are looked for.
#[derive(Debug, Default)]
pub(super) struct Opened {
    dialogs: u32,
    cut: Option<Instant>,
    watched: bool,
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

    /// One more window. Answers whether it is the first: from then on the browser has to tell of
    /// its targets. It says that a window was opened before there is one to close.
    pub(super) const fn one_more_window(&mut self) -> bool {
        !std::mem::replace(&mut self.watched, true)
    }
}

/// How to close the target that `event` tells of, when it is a window that the page `page` of
/// `context` has opened.
pub(super) fn close(
    event: &Event,
    context: &BrowserContextId,
    page: &str,
) -> Option<CloseTargetParams> {
    let id = event.text("/targetInfo/targetId")?;
    let theirs = event.text("/targetInfo/browserContextId") == Some(context.inner())
        && event.text("/targetInfo/type") == Some("page")
        && id != page;
    theirs.then(|| CloseTargetParams::new(TargetId::new(id)))
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
