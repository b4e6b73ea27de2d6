//! One browser context in a seat, and the promise that it is gone before the seat is free.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use chromiumoxide::cdp::browser_protocol::{
    browser::BrowserContextId,
    target::{CreateBrowserContextParams, DisposeBrowserContextParams},
};

use futures::FutureExt;

use tokio::time::Instant;

use super::{Error, download::Download};
use crate::{
    browser::{Seat, cdp},
    deadline::Deadline,
    egress::{Detour, EgressProxy, Failure, Target},
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
    /// Its way to a network, where that is not the browser's.
    egress: Option<EgressProxy>,
    /// Where its downloads go; removed with it.
    dir: Option<PathBuf>,
    /// Left last: a session that ended with its context needs no detaching.
    pub(super) session: Option<cdp::Session>,
}

impl Room {
    /// # Cancel safety
    /// Yes: the context is opened in a task of its own, whose result disposes of itself when
    /// nobody takes it.
    pub(super) async fn open(
        seat: Seat,
        proxy: Option<&Detour>,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        let drain = seat.drain().clone();
        let egress = match proxy {
            None => None,
            Some(proxy) => {
                let usual = seat.browser().egress().route();
                let opened = EgressProxy::open(usual.through(proxy.clone()), &drain);
                Some(opened.map_err(Error::NoProxy)?)
            }
        };
        let create = CreateBrowserContextParams {
            proxy_server: egress.as_ref().map(EgressProxy::url),
            // Not even what is on this machine goes around it.
            proxy_bypass_list: proxy.map(|_| "<-loopback>".into()),
            ..CreateBrowserContextParams::default()
        };
        let opening = drain.spawn(async move {
            let cdp = seat.browser().cdp().clone();
            let created = cdp.call(None, create, Deadline::after(PATIENCE)).await;
            match created {
                Ok(created) => Ok(Self {
                    context: created.browser_context_id,
                    seat: Some(seat),
                    egress,
                    dir: None,
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

    /// Why the last connection to `target` was not made, when that was at or after `since`.
    pub(super) fn why(&self, target: &Target, since: Instant) -> Option<Failure> {
        let seat = self.seat.as_ref();
        let usual = seat.map(|seat| seat.browser().egress());
        self.egress.as_ref().or(usual)?.why(target, since)
    }

    pub(super) const fn context(&self) -> &BrowserContextId {
        &self.context
    }

    /// Has downloads of at most `limit` bytes go to a directory that goes with the context.
    pub(super) fn downloads(&mut self, limit: u64) -> Download {
        let browser = self.seat.as_ref().map(Seat::browser);
        let home = browser.map(|browser| browser.dir().to_owned());
        let dir = home.unwrap_or_default().join(self.context.inner());
        self.dir = Some(dir.clone());
        Download::new(dir, limit)
    }

    /// An event of the page that was heard already.
    pub(super) fn event_now(&mut self) -> Option<Result<cdp::Event, Error>> {
        self.event().now_or_never()
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
        let (egress, dir) = (self.egress.take(), self.dir.take());
        let drain = seat.drain().clone();
        drain.spawn(async move {
            let cdp = seat.browser().cdp();
            let disposed = cdp.call(None, dispose, Deadline::after(PATIENCE)).await;
            if let Err(error) = disposed {
                let browser = seat.browser().id();
                tracing::debug!(%browser, %error, "a context could not be disposed of");
                seat.condemn();
            }
            drop((session, egress));
            drop(seat);
            if let Some(dir) = dir {
                clear(&dir).await;
            }
        });
    }
}

/// Removes the directory of a context's downloads. The browser makes it, and removes what breaks off
/// in it, on threads of its own that outlast the context and tell nobody when they are done: so it
/// is looked for as often as they may need. What is left at last goes with the browser.
async fn clear(dir: &Path) {
    const TRIES: u32 = 10;
    const PAUSE: Duration = Duration::from_millis(50);
    for _ in 0..TRIES {
        // Nothing there yet, or something just being written: the next look decides.
        let _ = tokio::fs::remove_dir_all(dir).await;
        tokio::time::sleep(PAUSE).await;
    }
}
