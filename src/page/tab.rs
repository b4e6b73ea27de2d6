//! One page.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use chromiumoxide::{
    cdp::{
        browser_protocol::{
            emulation::SetFocusEmulationEnabledParams,
            network,
            page::{self as cdp_page, SetLifecycleEventsEnabledParams},
            target::SessionId,
        },
        js_protocol::runtime,
    },
    types::Command,
};
use parking_lot::Mutex;
use tokio::sync::{self, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Answer, Error, PageId,
    dialog::Open,
    driver::{Shared, follow_frames},
    events::What,
    frames::Frames,
    listen,
    snapshot::Kept,
    state::State,
};
use crate::{
    browser::{cdp, page},
    deadline::Deadline,
};

/// One page of a leased browser.
#[derive(Debug)]
pub struct Tab {
    pub(super) shared: Arc<Shared>,
    id: PageId,
    opener: Option<PageId>,
    session: SessionId,
    pub(super) state: Mutex<State>,
    /// How often something of the state changed.
    pub(super) changes: watch::Sender<u64>,
    pub(super) frames: Mutex<Frames>,
    /// The last snapshot that was taken whole.
    pub(super) kept: Mutex<Option<Kept>>,
    /// There is one mouse and one keyboard.
    turn: sync::Mutex<()>,
    calls: AtomicU64,
    gone: CancellationToken,
}

/// While it is there, dialogs of its page are answered.
#[derive(Debug)]
pub struct Answering<'a> {
    tab: &'a Tab,
    call: u64,
}

impl Tab {
    /// Follows the page that `session` is attached to.
    pub(super) fn follow(
        shared: &Arc<Shared>,
        session: SessionId,
        id: PageId,
        opener: Option<PageId>,
    ) -> Result<Arc<Self>, cdp::Error> {
        let tab = Arc::new(Self {
            shared: Arc::clone(shared),
            frames: Mutex::new(Frames::of(id.as_str())),
            id,
            opener,
            session: session.clone(),
            state: Mutex::default(),
            changes: watch::Sender::new(0),
            kept: Mutex::default(),
            turn: sync::Mutex::default(),
            calls: AtomicU64::new(0),
            gone: shared.end.child_token(),
        });
        listen::to(&tab, session, true)?;
        Ok(tab)
    }

    /// Has the target of `session` tell what is heard of it.
    pub(super) fn enable(&self, session: &SessionId) -> Result<(), cdp::Error> {
        let cdp = &self.shared.cdp;
        cdp.tell(session, &cdp_page::EnableParams::default())?;
        cdp.tell(session, &SetLifecycleEventsEnabledParams::new(true))?;
        cdp.tell(session, &network::EnableParams::default())?;
        cdp.tell(session, &runtime::EnableParams::default())?;
        // Every page behaves as the one in front: several are driven at once.
        cdp.tell(session, &SetFocusEmulationEnabledParams::new(true))?;
        cdp.tell(session, &follow_frames())
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> &PageId {
        &self.id
    }

    /// The page that opened it.
    #[must_use]
    pub const fn opener(&self) -> Option<&PageId> {
        self.opener.as_ref()
    }

    pub(super) const fn main_session(&self) -> &SessionId {
        &self.session
    }

    /// Cancelled when it is closed.
    pub(super) const fn gone(&self) -> &CancellationToken {
        &self.gone
    }

    /// Asks the page itself.
    pub(super) async fn call<C: Command>(
        &self,
        command: C,
        deadline: Deadline,
    ) -> Result<C::Response, Error> {
        self.call_in(&self.session, command, deadline).await
    }

    /// Asks one of the page's targets.
    pub(super) async fn call_in<C: Command>(
        &self,
        session: &SessionId,
        command: C,
        deadline: Deadline,
    ) -> Result<C::Response, Error> {
        if self.state.lock().crashed {
            return Err(page::Error::Lost("its page crashed: close it and open another").into());
        }
        let call = self.shared.cdp.call(Some(session), command, deadline);
        // Chromium forgets commands of a page that goes away.
        let answer = self.gone.run_until_cancelled(call).await;
        Ok(answer.ok_or_else(|| Error::NoPage(self.id.to_string()))??)
    }

    /// The mouse and the keyboard, once nobody else has them.
    pub(super) async fn turn(&self, deadline: Deadline) -> Result<sync::MutexGuard<'_, ()>, Error> {
        let turn = deadline.bound(self.turn.lock()).await;
        turn.map_err(|_passed| Error::passed())
    }

    /// Has dialogs answered, the one that is open first.
    #[must_use]
    pub fn answering(&self, answer: &Answer) -> Answering<'_> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let open = {
            let mut state = self.state.lock();
            state.answers.push((call, answer.clone()));
            state.dialog.take()
        };
        if let Some(open) = open {
            self.answer(&open, answer);
        }
        Answering { tab: self, call }
    }

    pub(super) fn answer(&self, dialog: &Open, answer: &Answer) {
        let (command, accepted) = answer.to(dialog);
        let what = What::Dialog {
            kind: dialog.kind.clone(),
            message: dialog.message.clone(),
            accepted,
        };
        self.shared.events.lock().add(&self.id, what);
        // A page that is gone asks nothing any more.
        let _ = self.shared.cdp.tell(&self.session, &command);
    }

    /// Waits until `is` holds of what is known of the page.
    ///
    /// # Errors
    /// [`Error::NoPage`] when it is closed; [`page::Error::Lost`] when it crashed;
    /// [`page::Error::Passed`].
    pub(super) async fn until(
        &self,
        deadline: Deadline,
        is: impl Fn(&State) -> bool,
    ) -> Result<(), Error> {
        let mut changes = self.changes.subscribe();
        loop {
            let _ = changes.borrow_and_update();
            {
                let state = self.state.lock();
                if is(&state) {
                    return Ok(());
                }
                if state.crashed {
                    return Err(page::Error::Lost("its page crashed").into());
                }
            }
            let changed = self.gone.run_until_cancelled(changes.changed());
            let changed = deadline.bound(changed).await;
            let changed = changed.map_err(|_passed| Error::passed())?;
            changed
                .ok_or_else(|| Error::NoPage(self.id.to_string()))?
                .ok();
        }
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        let mut state = self.tab.state.lock();
        state.answers.retain(|(call, _)| *call != self.call);
    }
}
