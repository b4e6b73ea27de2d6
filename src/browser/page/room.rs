//! One browser context in a seat, and the promise that it is gone before the seat is free.

use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::{
    browser::BrowserContextId,
    target::{CreateBrowserContextParams, DisposeBrowserContextParams},
};

use super::Error;
use crate::{
    browser::{Seat, cdp},
    deadline::Deadline,
};

/// How long a browser may take to open or to dispose a context. One that takes longer is sick,
/// whatever its pages do: both are done by its main process.
const PATIENCE: Duration = Duration::from_secs(5);

/// A browser context of its own. However it is dropped, the seat becomes free only once the
/// browser has answered that the context is gone, or is condemned with all that it holds.
#[derive(Debug)]
pub(super) struct Room {
    context: BrowserContextId,
    seat: Option<Seat>,
    /// Left last: a session that ended with its context needs no detaching.
    pub(super) session: Option<cdp::Session>,
}

impl Room {
    /// # Cancel safety
    /// Yes: the context is opened in a task of its own, whose result disposes of itself when
    /// nobody takes it.
    pub(super) async fn open(seat: Seat, deadline: Deadline) -> Result<Self, Error> {
        let drain = seat.drain().clone();
        let opening = drain.spawn(async move {
            let cdp = seat.browser().cdp().clone();
            let create = CreateBrowserContextParams::default();
            let created = cdp.call(None, create, Deadline::after(PATIENCE)).await;
            match created {
                Ok(created) => Ok(Self {
                    context: created.browser_context_id,
                    seat: Some(seat),
                    session: None,
                }),
                Err(error) => {
                    // It may still come, and nobody would know its name.
                    seat.condemn();
                    Err(error)
                }
            }
        });
        match deadline.bound(opening).await {
            Ok(Ok(opened)) => opened.map_err(Error::from),
            Ok(Err(_panicked)) => Err(Error::Lost("its context could not be opened")),
            Err(_passed) => Err(Error::Passed),
        }
    }

    pub(super) const fn context(&self) -> &BrowserContextId {
        &self.context
    }

    /// The next event of the page.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn event(&mut self) -> Result<cdp::Event, Error> {
        match &mut self.session {
            Some(session) => session
                .event()
                .await
                .map_err(|_closed| Error::Lost("its page is gone")),
            None => std::future::pending().await,
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let Some(seat) = self.seat.take() else {
            return;
        };
        let dispose = DisposeBrowserContextParams::new(self.context.clone());
        let session = self.session.take();
        let drain = seat.drain().clone();
        drain.spawn(async move {
            let cdp = seat.browser().cdp();
            let disposed = cdp.call(None, dispose, Deadline::after(PATIENCE)).await;
            if let Err(error) = disposed {
                let browser = seat.browser().id();
                tracing::debug!(%browser, %error, "a context could not be disposed of");
                seat.condemn();
            }
            drop(session);
            drop(seat);
        });
    }
}
