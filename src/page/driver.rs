//! The pages of one browser, followed from the first call on.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use chromiumoxide::cdp::browser_protocol::target::{
    ActivateTargetParams, AttachToBrowserTargetParams, AttachToTargetParams, CloseTargetParams,
    CreateTargetParams, FilterEntry, GetTargetInfoParams, SetAutoAttachParams,
    SetDiscoverTargetsParams, TargetFilter, TargetInfo,
};
use futures::FutureExt;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Error, PageId, Seen, Tab,
    events::{Event, Events, What, cut},
};
use crate::{
    browser::{
        Browser, Viewport,
        cdp::{self, Cdp},
        page,
    },
    deadline::Deadline,
    drain::Drain,
};

/// What of a browser is heard.
const EVENTS: &[&str] = &["Target.targetCreated", "Target.targetDestroyed"];
/// So long a page may take to be attached to.
const ATTACHING: Duration = Duration::from_secs(5);

/// The pages of one browser. Its tasks and sessions end with it.
#[derive(Debug)]
pub struct Driver {
    browser: Arc<Browser>,
    pages: Arc<Pages>,
    _end: DropGuard,
}

/// What every page needs of the browser.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cdp: Cdp,
    pub(super) drain: Drain,
    pub(super) end: CancellationToken,
    pub(super) events: Mutex<Events>,
    /// Snapshots have numbers, so that a cursor of another is told from its own.
    pub(super) names: AtomicU64,
}

/// The pages there are.
#[derive(Debug)]
struct Pages {
    shared: Arc<Shared>,
    open: Mutex<Open>,
    /// How often a page came or went.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Open {
    /// In the order they were opened.
    tabs: Vec<Arc<Tab>>,
    current: Option<PageId>,
}

impl Driver {
    /// Begins to follow the pages of `browser`.
    ///
    /// # Errors
    /// [`page::Error::Lost`], [`page::Error::Passed`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn open(
        browser: Arc<Browser>,
        drain: &Drain,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        let cdp = browser.cdp().clone();
        let end = CancellationToken::new();
        let guard = end.clone().drop_guard();
        let attach = AttachToBrowserTargetParams::default();
        let id = cdp.call(None, attach, deadline).await?.session_id;
        let mut session = cdp.session(id, EVENTS)?;
        let shared = Shared {
            cdp,
            drain: drain.clone(),
            end,
            events: Mutex::default(),
            names: AtomicU64::new(1),
        };
        let pages = Arc::new(Pages {
            shared: Arc::new(shared),
            open: Mutex::new(Open {
                tabs: Vec::new(),
                current: Some(PageId::from(browser.first_page().inner().as_str())),
            }),
            changes: watch::Sender::new(0),
        });
        let mut discover = SetDiscoverTargetsParams::new(true);
        discover.filter = Some(only("page"));
        session.call(discover, deadline).await?;
        // The browser tells of the pages it has before it answers.
        while let Some(event) = session.event().now_or_never() {
            pages.hear(&event?, deadline).await?;
        }
        let (following, ended) = (Arc::clone(&pages), pages.shared.end.clone());
        drain.spawn(async move {
            let follow = async {
                while let Ok(event) = session.event().await {
                    let deadline = Deadline::after(ATTACHING);
                    if let Err(error) = following.hear(&event, deadline).await {
                        tracing::debug!(%error, "a page is not followed");
                    }
                }
            };
            ended.run_until_cancelled(follow).await;
        });
        Ok(Self {
            browser,
            pages,
            _end: guard,
        })
    }

    /// The browser.
    #[must_use]
    pub const fn browser(&self) -> &Arc<Browser> {
        &self.browser
    }

    /// The page of that name; the current one without.
    ///
    /// # Errors
    /// [`Error::NoPage`].
    pub fn tab(&self, id: Option<&str>) -> Result<Arc<Tab>, Error> {
        let open = self.pages.open.lock();
        let current = open.current.as_ref().map(PageId::as_str);
        let wanted = id.or(current).unwrap_or_default();
        let found = open.tabs.iter().find(|tab| tab.id().as_str() == wanted);
        // The current page may have closed itself.
        let found = found.or_else(|| open.tabs.last().filter(|_| id.is_none()));
        found
            .cloned()
            .ok_or_else(|| Error::NoPage(wanted.to_owned()))
    }

    /// What is shown of a page.
    ///
    /// # Errors
    /// [`Error::NoPage`] when it is gone; [`page::Error::Lost`], [`page::Error::Passed`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn see(&self, tab: &Tab, deadline: Deadline) -> Result<Seen, Error> {
        let info = self.info(tab.id(), deadline).await?;
        let current = self.tab(None).is_ok_and(|one| one.id() == tab.id());
        Ok(Seen {
            id: tab.id().clone(),
            url: info.url,
            title: info.title,
            current,
            opener: tab.opener().cloned(),
        })
    }

    /// All pages, in the order they were opened.
    ///
    /// # Errors
    /// As [`Driver::see`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn list(&self, deadline: Deadline) -> Result<Vec<Seen>, Error> {
        let tabs = self.pages.open.lock().tabs.clone();
        let mut seen = Vec::new();
        for tab in tabs {
            match self.see(&tab, deadline).await {
                Ok(one) => seen.push(one),
                // It closed meanwhile.
                Err(Error::NoPage(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(seen)
    }

    /// Opens a blank page, of `size`, and makes it the current one.
    ///
    /// # Errors
    /// [`page::Error::Lost`], [`page::Error::Passed`], [`page::Error::Cdp`].
    ///
    /// # Cancel safety
    /// The page may have been opened.
    pub async fn new_page(
        &self,
        size: Option<Viewport>,
        deadline: Deadline,
    ) -> Result<Arc<Tab>, Error> {
        let create = CreateTargetParams::new("about:blank");
        let target = self
            .pages
            .shared
            .cdp
            .call(None, create, deadline)
            .await?
            .target_id;
        let tab = self.known(target.inner(), deadline).await?;
        if let Some(size) = size {
            let mut metrics = size.metrics();
            metrics.screen_width = Some(metrics.width);
            metrics.screen_height = Some(metrics.height);
            tab.call(metrics, deadline).await?;
        }
        self.pages.open.lock().current = Some(tab.id().clone());
        Ok(tab)
    }

    /// The page of that name; one that a CDP client has just opened is waited for.
    ///
    /// # Errors
    /// [`Error::NoPage`]; [`page::Error::Lost`], [`page::Error::Passed`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn known(&self, id: &str, deadline: Deadline) -> Result<Arc<Tab>, Error> {
        let mut changes = self.pages.changes.subscribe();
        loop {
            let _ = changes.borrow_and_update();
            if let Ok(tab) = self.tab(Some(id)) {
                return Ok(tab);
            }
            self.info(&PageId::from(id), deadline).await?;
            let changed = deadline.bound(changes.changed()).await;
            let gone = changed.map_err(|_passed| Error::passed())?;
            gone.map_err(|_gone| page::Error::Lost("its browser is gone"))?;
        }
    }

    async fn info(&self, id: &PageId, deadline: Deadline) -> Result<TargetInfo, Error> {
        let info = GetTargetInfoParams {
            target_id: Some(id.target()),
        };
        let info = self.pages.shared.cdp.call(None, info, deadline).await;
        let info = info.map_err(|error| match error {
            cdp::Error::Refused { .. } => Error::NoPage(id.to_string()),
            error => error.into(),
        })?;
        let is_page = info.target_info.r#type == "page";
        let info = is_page.then_some(info.target_info);
        info.ok_or_else(|| Error::NoPage(id.to_string()))
    }

    /// Makes a page the current one and brings it to the front.
    ///
    /// # Errors
    /// As [`Driver::see`].
    ///
    /// # Cancel safety
    /// The page may have come to the front.
    pub async fn activate(&self, tab: &Tab, deadline: Deadline) -> Result<(), Error> {
        let front = ActivateTargetParams::new(tab.id().target());
        self.pages.shared.cdp.call(None, front, deadline).await?;
        self.pages.open.lock().current = Some(tab.id().clone());
        Ok(())
    }

    /// Closes a page; once this returns it is gone. A page cannot refuse.
    ///
    /// # Errors
    /// [`page::Error::Lost`], [`page::Error::Passed`].
    ///
    /// # Cancel safety
    /// The page may close all the same.
    pub async fn close(&self, tab: &Tab, deadline: Deadline) -> Result<(), Error> {
        let close = CloseTargetParams::new(tab.id().target());
        match self.pages.shared.cdp.call(None, close, deadline).await {
            // It closed itself.
            Ok(_) | Err(cdp::Error::Refused { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let gone = deadline.bound(tab.gone().cancelled()).await;
        gone.map_err(|_passed| Error::passed())
    }

    /// What has happened until now, as a mark for [`Driver::events`].
    #[must_use]
    pub fn mark(&self) -> u64 {
        self.pages.shared.events.lock().mark()
    }

    /// What has happened that nobody was told, and how much of it was not kept. What happened until
    /// `mark` is marked as earlier.
    #[must_use]
    pub fn events(&self, mark: u64) -> (Vec<Event>, u32) {
        self.pages.shared.events.lock().take(mark)
    }
}

/// Targets of a kind and no others.
fn only(kind: &str) -> TargetFilter {
    let this = FilterEntry {
        exclude: None,
        r#type: Some(kind.into()),
    };
    let nothing_else = FilterEntry {
        exclude: Some(true),
        r#type: None,
    };
    TargetFilter::new(vec![this, nothing_else])
}

/// Has the frames of a page attached to that have a process of their own. Pages are not attached to like
/// that: a popup would never load (seen with Chromium 156), nor the click that opened it be answered.
pub(super) fn follow_frames() -> SetAutoAttachParams {
    SetAutoAttachParams {
        auto_attach: true,
        // Nobody else's page is held up.
        wait_for_debugger_on_start: false,
        flatten: Some(true),
        filter: Some(only("iframe")),
    }
}

impl Pages {
    async fn hear(&self, event: &cdp::Event, deadline: Deadline) -> Result<(), Error> {
        if event.method() == "Target.targetDestroyed" {
            self.closed(event.text("/targetId").unwrap_or_default());
        } else {
            self.opened(event, deadline).await?;
        }
        self.changes.send_modify(|changes| *changes += 1);
        Ok(())
    }

    fn closed(&self, id: &str) {
        let mut open = self.open.lock();
        let Some(at) = open.tabs.iter().position(|tab| tab.id().as_str() == id) else {
            return;
        };
        let gone = open.tabs.remove(at);
        if open.current.as_ref() == Some(gone.id()) {
            let before = open.tabs.get(at.saturating_sub(1));
            open.current = before.map(|tab| tab.id().clone());
        }
        drop(open);
        gone.gone().cancel();
    }

    async fn opened(&self, event: &cdp::Event, deadline: Deadline) -> Result<(), Error> {
        let text = |pointer| event.text(pointer).unwrap_or_default();
        let id = PageId::from(text("/targetInfo/targetId"));
        let opener = event.text("/targetInfo/openerId").map(PageId::from);
        if let Some(opener) = &opener {
            let opened = What::Opened {
                page: id.clone(),
                url: cut(text("/targetInfo/url")),
            };
            self.shared.events.lock().add(opener, opened);
        }
        let mut attach = AttachToTargetParams::new(id.target());
        attach.flatten = Some(true);
        let session = self
            .shared
            .cdp
            .call(None, attach, deadline)
            .await?
            .session_id;
        let tab = Tab::follow(&self.shared, session, id, opener)?;
        self.open.lock().tabs.push(tab);
        Ok(())
    }
}
