//! The frames of a page, and Berth's own world in each.

use std::collections::HashMap;

use chromiumoxide::cdp::{
    browser_protocol::{
        dom::DescribeNodeParams,
        page::{CreateIsolatedWorldParams, FrameId},
        target::SessionId,
    },
    js_protocol::runtime::{
        EvaluateParams, ExecutionContextId, ReleaseObjectParams, RemoteObject, RemoteObjectId,
    },
};
use serde_json::Value;

use super::{Error, Ref, Tab};
use crate::{browser::page, deadline::Deadline};

/// What Berth's world knows: functions of `berth`.
const SOURCE: &str = concat!(
    "(() => {\n'use strict';\nif (globalThis.berth) return;\n",
    "const readDocument = ",
    include_str!("../browser/page/read.js"),
    ";\n",
    include_str!("js/nodes.js"),
    include_str!("js/roles.js"),
    include_str!("js/tree.js"),
    include_str!("js/find.js"),
    include_str!("js/act.js"),
    "})();\n"
);
/// The world's name, as developer tools show it.
const WORLD: &str = "berth";
/// A document that goes away under a question is asked again so often.
const TRIES: u32 = 5;
/// So many frames of a page are looked into.
const MOST: usize = 100;

/// The frames that were looked into. The first is the main one.
#[derive(Debug)]
pub(super) struct Frames {
    known: Vec<Frame>,
    /// The sessions of frames with a process of their own.
    sessions: HashMap<String, SessionId>,
}

#[derive(Debug)]
struct Frame {
    id: String,
    /// In which it is, and as which element; of the main one, itself.
    parent: usize,
    owner: u32,
    /// Berth's world in its document.
    world: Option<(SessionId, ExecutionContextId)>,
}

/// An object of a page, released when dropped.
#[derive(Debug)]
pub(super) struct Handle<'a> {
    tab: &'a Tab,
    pub(super) session: SessionId,
    pub(super) id: RemoteObjectId,
}

impl Frames {
    pub(super) fn of(main: &str) -> Self {
        let main = Frame {
            id: main.to_owned(),
            parent: 0,
            owner: 0,
            world: None,
        };
        Self {
            known: vec![main],
            sessions: HashMap::new(),
        }
    }

    pub(super) fn attached(&mut self, frame: &str, session: SessionId) {
        self.sessions.insert(frame.to_owned(), session);
    }

    pub(super) fn detached(&mut self, session: &str) {
        self.sessions.retain(|_, own| own.inner() != session);
    }

    /// The frame in which frame `at` is, and as which element.
    pub(super) fn around(&self, at: usize) -> Option<(usize, u32)> {
        let frame = self.known.get(at).filter(|_| at > 0)?;
        Some((frame.parent, frame.owner))
    }

    fn enter(&mut self, id: &str, parent: usize, owner: u32) -> Option<usize> {
        if let Some(at) = self.known.iter().position(|frame| frame.id == id) {
            let frame = &mut self.known[at];
            (frame.parent, frame.owner) = (parent, owner);
            return Some(at);
        }
        if self.known.len() == MOST {
            return None;
        }
        self.known.push(Frame {
            id: id.to_owned(),
            parent,
            owner,
            world: None,
        });
        Some(self.known.len() - 1)
    }
}

impl Tab {
    /// The session of frame `at`, and the frame's name.
    pub(super) fn frame(&self, at: usize) -> Option<(SessionId, String)> {
        let frames = self.frames.lock();
        let id = frames.known.get(at)?.id.clone();
        let mut around = at;
        // A frame without a process of its own is in that of the one around it.
        loop {
            let frame = frames.known.get(around)?;
            if let Some(session) = frames.sessions.get(&frame.id) {
                return Some((session.clone(), id));
            }
            if around == 0 {
                return Some((self.main_session().clone(), id));
            }
            around = frame.parent;
        }
    }

    fn no_frame() -> Error {
        Error::NoElement("the frame is not in the page any more: take a new snapshot".into())
    }

    /// Calls a function of Berth's world in frame `at`, and waits for its value.
    pub(super) async fn ask(
        &self,
        at: usize,
        call: &str,
        deadline: Deadline,
    ) -> Result<Value, Error> {
        let evaluated = self.evaluate(at, call, true, deadline).await?;
        let (_, result) = evaluated;
        Ok(result.value.unwrap_or_default())
    }

    /// The element itself.
    pub(super) async fn handle(&self, at: Ref, deadline: Deadline) -> Result<Handle<'_>, Error> {
        let call = format!("byNumber({})", at.number);
        let (session, node) = self.evaluate(at.frame, &call, false, deadline).await?;
        let id = node.object_id.ok_or_else(|| at.is_gone())?;
        Ok(Handle {
            tab: self,
            session,
            id,
        })
    }

    async fn evaluate(
        &self,
        at: usize,
        call: &str,
        by_value: bool,
        deadline: Deadline,
    ) -> Result<(SessionId, RemoteObject), Error> {
        let mut tries = 1;
        loop {
            match self.evaluate_once(at, call, by_value, deadline).await {
                Err(error) if error.is_moved() && tries < TRIES => {
                    if let Some(frame) = self.frames.lock().known.get_mut(at) {
                        frame.world = None;
                    }
                    tries += 1;
                }
                Err(error) if error.is_moved() => return Err(Self::no_frame()),
                done => return done,
            }
        }
    }

    async fn evaluate_once(
        &self,
        at: usize,
        call: &str,
        by_value: bool,
        deadline: Deadline,
    ) -> Result<(SessionId, RemoteObject), Error> {
        let known = {
            let frames = self.frames.lock();
            frames.known.get(at).and_then(|frame| frame.world.clone())
        };
        let (session, context, script) = match known {
            Some((session, context)) => (session, context, format!("berth.{call}")),
            None => {
                let (session, context) = self.open_world(at, deadline).await?;
                (session, context, format!("{SOURCE}berth.{call}"))
            }
        };
        let mut evaluate = EvaluateParams::new(script);
        evaluate.context_id = Some(context);
        evaluate.return_by_value = Some(by_value);
        evaluate.await_promise = Some(by_value);
        let evaluated = self.call_in(&session, evaluate, deadline).await?;
        match evaluated.exception_details {
            None => Ok((session, evaluated.result)),
            Some(thrown) => {
                let what = thrown.exception.and_then(|thrown| thrown.description);
                let what = what.unwrap_or(thrown.text);
                Err(page::Error::Condition(format!("the page cannot be looked at: {what}")).into())
            }
        }
    }

    async fn open_world(
        &self,
        at: usize,
        deadline: Deadline,
    ) -> Result<(SessionId, ExecutionContextId), Error> {
        let (session, frame) = self.frame(at).ok_or_else(Self::no_frame)?;
        let create = CreateIsolatedWorldParams {
            frame_id: FrameId::from(frame),
            world_name: Some(WORLD.into()),
            grant_univeral_access: None,
        };
        let created = self.call_in(&session, create, deadline).await?;
        let world = (session, created.execution_context_id);
        if let Some(frame) = self.frames.lock().known.get_mut(at) {
            frame.world = Some(world.clone());
        }
        Ok(world)
    }

    /// The frame that the element `owner` of frame `at` shows; `None` when it shows none.
    pub(super) async fn enter(
        &self,
        at: usize,
        owner: u32,
        deadline: Deadline,
    ) -> Result<Option<usize>, Error> {
        let element = Ref {
            frame: at,
            number: owner,
        };
        let handle = self.handle(element, deadline).await?;
        let describe = DescribeNodeParams {
            object_id: Some(handle.id.clone()),
            ..DescribeNodeParams::default()
        };
        let node = self
            .call_in(&handle.session, describe, deadline)
            .await?
            .node;
        let frame = node.frame_id;
        Ok(frame.and_then(|frame| self.frames.lock().enter(frame.inner(), at, owner)))
    }

    /// All frames, outer ones first.
    pub(super) async fn all_frames(&self, deadline: Deadline) -> Result<Vec<usize>, Error> {
        let mut all = vec![0];
        let mut next = 0;
        while let Some(&at) = all.get(next) {
            next += 1;
            let within = match self.ask(at, "frames()", deadline).await {
                Ok(within) => within,
                // It went away meanwhile.
                Err(Error::NoElement(_)) if at > 0 => continue,
                Err(error) => return Err(error),
            };
            for owner in within.as_array().into_iter().flatten() {
                let owner = owner.as_u64().and_then(|owner| u32::try_from(owner).ok());
                match self.enter(at, owner.unwrap_or_default(), deadline).await {
                    Ok(Some(frame)) if !all.contains(&frame) => all.push(frame),
                    Ok(_) | Err(Error::NoElement(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(all)
    }
}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        // With its document it is released anyway.
        let release = ReleaseObjectParams::new(self.id.clone());
        let _ = self.tab.shared.cdp.tell(&self.session, &release);
    }
}
