//! Waiting for what an act began.

use std::time::Duration;

use super::{Error, Tab};
use crate::{
    browser::page::{self, WaitUntil},
    deadline::Deadline,
};

/// So long an act waits for a document that it led to; what is slower is waited for on purpose.
const DOCUMENT: Duration = Duration::from_secs(10);
/// So long for a frame to be drawn: a page that does not draw has other things to do.
const DRAWN: Duration = Duration::from_secs(1);
/// So long for what the page's scripts asked somebody.
const ANSWERS: Duration = Duration::from_secs(2);

/// How the page was before an act.
#[derive(Clone, Debug)]
pub(super) struct Before {
    loader: String,
    asked: u64,
}

impl Before {
    /// Whether the document is still that of before.
    pub(super) fn is_at(&self, loader: &str) -> bool {
        self.loader == loader
    }
}

impl Tab {
    pub(super) fn before(&self) -> Before {
        let state = self.state.lock();
        Before {
            loader: state.loader.clone(),
            asked: state.begun,
        }
    }

    /// Waits for what the page began since `before`, within reason: it is no error when that takes
    /// longer, nor that the page is gone.
    pub(super) async fn settle(&self, before: Before, deadline: Deadline) -> Result<(), Error> {
        // What the act set off has run, and its consequences are known, once a frame was drawn.
        match self.ask(0, "frame()", deadline.within(DRAWN)).await {
            Ok(_) | Err(Error::NoElement(_)) => {}
            Err(error) => return patient(error),
        }
        let (leaves, asks) = {
            let state = self.state.lock();
            let leaves = state.leaving || state.loader != before.loader;
            (leaves, state.asks_since(before.asked))
        };
        if leaves {
            let parsed = self.until(deadline.within(DOCUMENT), |state| {
                !state.leaving && state.has_reached(WaitUntil::DomContentLoaded)
            });
            parsed.await.or_else(patient)?;
        }
        if asks {
            let answered = self.until(deadline.within(ANSWERS), |state| {
                !state.asks_since(before.asked)
            });
            answered.await.or_else(patient)?;
            // What was answered is shown.
            match self.ask(0, "frame()", deadline.within(DRAWN)).await {
                Ok(_) | Err(Error::NoElement(_)) => {}
                Err(error) => return patient(error),
            }
        }
        Ok(())
    }
}

/// The act is done: that its consequences take long, or are the page's end, is no failure of it.
fn patient(error: Error) -> Result<(), Error> {
    match error {
        Error::Page(page::Error::Passed) | Error::NoPage(_) => Ok(()),
        error => Err(error),
    }
}
