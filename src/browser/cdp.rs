//! One DevTools connection to a browser, with a bound on every wait.
//!
//! It sits on chromiumoxide's connection and typed commands, below its `Browser` and `Handler`:
//! those enable a dozen domains per page and parse every event, and a page that stops answering
//! hangs them. Here a command is a future with the caller's deadline, a session hears only the
//! events it asked for, and the end of the connection is a signal of its own.

use std::{collections::HashMap, sync::Arc};

use chromiumoxide::{
    Connection,
    cdp::browser_protocol::target::{DetachFromTargetParams, EventDetachedFromTarget, SessionId},
    error::CdpError,
    types::{CallId, Command, EventMessage, Message, Method, MethodId, Response},
};
use futures::StreamExt;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{deadline::Deadline, drain::Drain};

/// How many events may wait for one session's reader. A reader so far behind has stopped reading;
/// what it would miss is bounded by its deadline, memory is not.
const EVENT_BACKLOG: usize = 1024;

/// A DevTools connection; clones share it. It is closed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Cdp(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    requests: mpsc::UnboundedSender<Request>,
    closed: CancellationToken,
}

/// Why a command had no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection is gone, and with it most likely the browser.
    #[error("the DevTools connection is closed")]
    Closed,
    /// No answer in time.
    #[error("no answer to {0} in time")]
    Timeout(MethodId),
    /// The browser answered that it cannot.
    #[error("{method}: {message}")]
    Refused {
        /// The command.
        method: MethodId,
        /// The browser's words.
        message: String,
    },
    /// The answer was not what the protocol says.
    #[error("{method}: unexpected answer: {source}")]
    Malformed {
        /// The command.
        method: MethodId,
        /// What did not fit.
        source: serde_json::Error,
    },
    /// The connection could not be made.
    #[error("cannot connect to the browser: {0}")]
    Connect(#[source] Box<CdpError>),
}

/// An event of a session.
#[derive(Debug, Deserialize)]
pub struct Event {
    method: String,
    #[serde(rename = "sessionId")]
    session: Option<String>,
    params: Value,
}

impl Event {
    /// Its name, `Domain.event`.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// One of its parameters, by JSON pointer (RFC 6901).
    #[must_use]
    pub fn get(&self, pointer: &str) -> Option<&Value> {
        self.params.pointer(pointer)
    }

    /// One of its parameters, when it is a string.
    #[must_use]
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.get(pointer).and_then(Value::as_str)
    }
}

impl Method for Event {
    fn identifier(&self) -> MethodId {
        self.method.clone().into()
    }
}

impl EventMessage for Event {
    fn session_id(&self) -> Option<&str> {
        self.session.as_deref()
    }
}

enum Request {
    Call {
        method: MethodId,
        session: Option<SessionId>,
        params: Value,
        reply: oneshot::Sender<Response>,
    },
    Subscribe {
        session: SessionId,
        methods: &'static [&'static str],
        events: mpsc::Sender<Event>,
    },
    Unsubscribe(SessionId),
}

impl Cdp {
    /// Connects to `url` and starts the task that carries the traffic.
    ///
    /// # Errors
    /// [`Error::Connect`], or [`Error::Timeout`] at the deadline.
    ///
    /// # Cancel safety
    /// Yes: a connection half made is closed.
    pub async fn connect(url: &str, deadline: Deadline, drain: &Drain) -> Result<Self, Error> {
        let connection = deadline
            .bound(Connection::<Event>::connect(url))
            .await
            .map_err(|_passed| Error::Timeout("connect".into()))?
            .map_err(|error| Error::Connect(Box::new(error)))?;
        let (requests, inbox) = mpsc::unbounded_channel();
        let closed = CancellationToken::new();
        let guard = closed.clone().drop_guard();
        drain.spawn(async move {
            carry(connection, inbox).await;
            drop(guard);
        });
        Ok(Self(Arc::new(Shared { requests, closed })))
    }

    /// Sends `command`, to the browser itself or to one of its sessions, and waits for its result.
    ///
    /// # Errors
    /// See [`Error`].
    ///
    /// # Cancel safety
    /// The command may have been carried out; nothing stays behind here.
    pub async fn call<C: Command>(
        &self,
        session: Option<&SessionId>,
        command: C,
        deadline: Deadline,
    ) -> Result<C::Response, Error> {
        let method = command.identifier();
        let params = serde_json::to_value(&command).map_err(|source| Error::Malformed {
            method: method.clone(),
            source,
        })?;
        let (reply, answer) = oneshot::channel();
        self.send(Request::Call {
            method: method.clone(),
            session: session.cloned(),
            params,
            reply,
        })?;
        let response = deadline
            .bound(answer)
            .await
            .map_err(|_passed| Error::Timeout(method.clone()))?
            .map_err(|_gone| Error::Closed)?;
        match (response.result, response.error) {
            (_, Some(error)) => Err(Error::Refused {
                method,
                message: error.message,
            }),
            (result, None) => C::response_from_value(result.unwrap_or_default())
                .map_err(|source| Error::Malformed { method, source }),
        }
    }

    /// Sends `command` to a session whose answer is of no interest.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Malformed`].
    pub fn tell<C: Command>(&self, session: &SessionId, command: &C) -> Result<(), Error> {
        let method = command.identifier();
        let params = serde_json::to_value(command);
        let params = params.map_err(|source| Error::Malformed {
            method: method.clone(),
            source,
        })?;
        let (reply, _nobody) = oneshot::channel();
        self.send(Request::Call {
            method,
            session: Some(session.clone()),
            params,
            reply,
        })
    }

    /// Opens a view on a session: commands go to it, and the named events are heard.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn session(
        &self,
        id: SessionId,
        methods: &'static [&'static str],
    ) -> Result<Session, Error> {
        let (sender, events) = mpsc::channel(EVENT_BACKLOG);
        self.send(Request::Subscribe {
            session: id.clone(),
            methods,
            events: sender,
        })?;
        Ok(Session {
            cdp: self.clone(),
            id,
            events,
        })
    }

    /// Cancelled when the connection has ended, for whatever reason.
    #[must_use]
    pub fn closed(&self) -> &CancellationToken {
        &self.0.closed
    }

    fn send(&self, request: Request) -> Result<(), Error> {
        self.0.requests.send(request).map_err(|_gone| Error::Closed)
    }
}

/// One session of a connection: a target that was attached to. Detaches when dropped.
#[derive(Debug)]
pub struct Session {
    cdp: Cdp,
    id: SessionId,
    events: mpsc::Receiver<Event>,
}

impl Session {
    /// Sends `command` to this session's target and waits for its result.
    ///
    /// # Errors
    /// See [`Error`].
    ///
    /// # Cancel safety
    /// The command may have been carried out.
    pub async fn call<C: Command>(
        &self,
        command: C,
        deadline: Deadline,
    ) -> Result<C::Response, Error> {
        self.cdp.call(Some(&self.id), command, deadline).await
    }

    /// The next of the events that were asked for.
    ///
    /// # Errors
    /// [`Error::Closed`] once the connection has ended or the target is gone.
    ///
    /// # Cancel safety
    /// Yes: no event is lost.
    pub async fn event(&mut self) -> Result<Event, Error> {
        self.events.recv().await.ok_or(Error::Closed)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A closed connection has no sessions left to leave.
        let _ = self.cdp.send(Request::Unsubscribe(self.id.clone()));
    }
}

/// What the traffic task keeps: who waits for which answer, who hears which session.
#[derive(Default)]
struct Routes {
    replies: HashMap<CallId, oneshot::Sender<Response>>,
    sessions: HashMap<String, (&'static [&'static str], mpsc::Sender<Event>)>,
}

impl Routes {
    fn answered(&mut self, response: Response) {
        if let Some(reply) = self.replies.remove(&response.id) {
            // Nobody waits any more: the caller's deadline passed.
            let _ = reply.send(response);
        }
    }

    fn happened(&mut self, event: Event) {
        let Some(session) = event.session.as_deref() else {
            if event.method == EventDetachedFromTarget::IDENTIFIER
                && let Some(gone) = event.text("/sessionId")
            {
                self.sessions.remove(gone);
            }
            return;
        };
        if let Some((methods, events)) = self.sessions.get(session)
            && methods.contains(&event.method.as_str())
            && let Err(mpsc::error::TrySendError::Full(event)) = events.try_send(event)
        {
            tracing::debug!(method = event.method, "event dropped: its reader is behind");
        }
    }

    /// Forgets callers that gave up on an answer that never came: a hung page must not grow us.
    fn forget_the_gone(&mut self) {
        const WORTH_A_LOOK: usize = 64;
        if self.replies.len() >= WORTH_A_LOOK {
            self.replies.retain(|_, reply| !reply.is_closed());
        }
    }
}

/// Carries traffic until the connection ends or nobody can use it any more.
async fn carry(mut connection: Connection<Event>, mut inbox: mpsc::UnboundedReceiver<Request>) {
    let mut routes = Routes::default();
    loop {
        tokio::select! {
            request = inbox.recv() => match request {
                None => return,
                Some(request) => {
                    if let Err(error) = accept(&mut connection, &mut routes, request) {
                        tracing::warn!(%error, "a command could not be encoded");
                    }
                }
            },
            message = connection.next() => match message {
                None => return,
                Some(Ok(Message::Response(response))) => routes.answered(response),
                Some(Ok(Message::Event(event))) => routes.happened(event),
                // A message of a newer protocol is no reason to give up the connection.
                Some(Err(CdpError::InvalidMessage(_, error))) => {
                    tracing::debug!(%error, "unknown DevTools message");
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "DevTools connection ended");
                    return;
                }
            },
        }
    }
}

fn accept(
    connection: &mut Connection<Event>,
    routes: &mut Routes,
    request: Request,
) -> serde_json::Result<()> {
    match request {
        Request::Call {
            method,
            session,
            params,
            reply,
        } => {
            routes.forget_the_gone();
            let id = connection.submit_command(method, session, params)?;
            routes.replies.insert(id, reply);
        }
        Request::Subscribe {
            session,
            methods,
            events,
        } => {
            routes
                .sessions
                .insert(session.inner().clone(), (methods, events));
        }
        Request::Unsubscribe(session) => {
            if routes.sessions.remove(session.inner()).is_some() {
                let detach = DetachFromTargetParams::builder()
                    .session_id(session)
                    .build();
                let method = detach.identifier();
                connection.submit_command(method, None, serde_json::to_value(detach)?)?;
            }
        }
    }
    Ok(())
}
