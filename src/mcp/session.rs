//! What a session has: a lease, once it needs one, and what it was told.

use std::{collections::VecDeque, time::Duration};

use parking_lot::Mutex;
use tokio::sync;
use tonic::Request;

use super::{Options, failure::Failure, lease, store::Store};
use crate::{
    client::{Client, Lease, within},
    proto::{self, DialogAnswer, PageEvent, PageRef},
};

/// So many events are remembered for the tools that list them.
const REMEMBERED: usize = 300;
/// So many fetched texts are remembered, for the next part of them.
const TEXTS: usize = 8;

/// One session of an agent's host.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) broker: Client,
    pub(super) options: Options,
    held: sync::Mutex<Option<Lease>>,
    events: Mutex<VecDeque<PageEvent>>,
    /// How dialogs of the next action are answered.
    dialogs: Mutex<Option<DialogAnswer>>,
    pub(super) store: Mutex<Store>,
    texts: Mutex<VecDeque<(String, String)>>,
}

/// A lease that may be used, and what is to be said of it.
#[derive(Clone, Debug)]
pub(super) struct Browser {
    pub(super) lease: proto::Lease,
    /// The one before it is gone.
    pub(super) notice: Option<String>,
}

impl Session {
    pub(super) fn new(broker: Client, options: Options) -> Self {
        Self {
            broker,
            options,
            held: sync::Mutex::default(),
            events: Mutex::default(),
            dialogs: Mutex::default(),
            store: Mutex::default(),
            texts: Mutex::default(),
        }
    }

    /// A call that acts on a page, or is over as soon.
    pub(super) fn action<T>(&self, message: T) -> Request<T> {
        within(message, self.options.action_timeout)
    }

    /// The session's browser; one is leased when there is none.
    pub(super) async fn browser(&self) -> Result<Browser, Failure> {
        let mut held = self.held.lock().await;
        let mut notice = None;
        if let Some(before) = &*held {
            let Some(end) = before.end() else {
                return Ok(Browser {
                    lease: before.granted().clone(),
                    notice,
                });
            };
            let how = lease::told(&end);
            notice = Some(format!(
                "Note: the browser before ended ({how}); this is a new one, without its pages and logins."
            ));
        }
        *held = None;
        let idle = self.options.idle_timeout.max(Duration::from_secs(1));
        let opened = held.insert(lease::open(&self.broker, idle).await?);
        Ok(Browser {
            lease: opened.granted().clone(),
            notice,
        })
    }

    /// The page that is current.
    pub(super) async fn page(&self) -> Result<(Option<PageRef>, Option<String>), Failure> {
        let browser = self.browser().await?;
        let page = PageRef {
            lease_id: browser.lease.id,
            page_id: String::new(),
        };
        Ok((Some(page), browser.notice))
    }

    /// The lease, when there is one, and how it ended, when it has.
    pub(super) async fn lease(&self) -> Option<(proto::Lease, Option<String>)> {
        let held = self.held.lock().await;
        let told = |held: &Lease| held.end().as_ref().map(lease::told);
        held.as_ref()
            .map(|held| (held.granted().clone(), told(held)))
    }

    /// Gives the browser back; whether there was one.
    pub(super) async fn give_back(&self) -> bool {
        let mut held = self.held.lock().await;
        held.take().is_some_and(|held| held.end().is_none())
    }

    pub(super) fn answer_dialogs(&self, answer: DialogAnswer) {
        *self.dialogs.lock() = Some(answer);
    }

    /// How dialogs of this action are answered.
    pub(super) fn dialogs(&self) -> Option<DialogAnswer> {
        self.dialogs.lock().take()
    }

    pub(super) fn remember(&self, events: &[PageEvent]) {
        let mut kept = self.events.lock();
        kept.extend(events.iter().cloned());
        let surplus = kept.len().saturating_sub(REMEMBERED);
        kept.drain(..surplus);
    }

    pub(super) fn remembered(&self) -> Vec<PageEvent> {
        self.events.lock().iter().cloned().collect()
    }

    /// A text that was fetched before.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let texts = self.texts.lock();
        let found = texts.iter().find(|(kept, _)| kept == key);
        found.map(|(_, text)| text.clone())
    }

    pub(super) fn keep_text(&self, key: String, text: String) {
        let mut texts = self.texts.lock();
        texts.retain(|(kept, _)| *kept != key);
        texts.push_back((key, text));
        let surplus = texts.len().saturating_sub(TEXTS);
        texts.drain(..surplus);
    }
}
