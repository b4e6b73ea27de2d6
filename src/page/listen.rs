//! From the events of a page to what is known of it.

use std::sync::Arc;

use chromiumoxide::cdp::browser_protocol::target::SessionId;
use serde_json::Value;

use super::{
    Tab,
    dialog::Open,
    events::{What, cut},
};
use crate::browser::cdp::{self, Event};

/// What of a page is heard.
const EVENTS: &[&str] = &[
    "Inspector.targetCrashed",
    "Network.loadingFailed",
    "Network.loadingFinished",
    "Network.requestWillBeSent",
    "Network.responseReceived",
    "Page.downloadWillBegin",
    "Page.frameNavigated",
    "Page.frameRequestedNavigation",
    "Page.frameStartedNavigating",
    "Page.frameStoppedLoading",
    "Page.javascriptDialogClosed",
    "Page.javascriptDialogOpening",
    "Page.lifecycleEvent",
    "Page.navigatedWithinDocument",
    "Runtime.consoleAPICalled",
    "Runtime.exceptionThrown",
    "Target.attachedToTarget",
    "Target.detachedFromTarget",
];

/// Hears `session`, which is the page's own when `main` and else one of a frame that has a process of its
/// own, until it ends.
pub(super) fn to(tab: &Arc<Tab>, session: SessionId, main: bool) -> Result<(), cdp::Error> {
    let mut heard = tab.shared.cdp.session(session.clone(), EVENTS)?;
    tab.enable(&session)?;
    let (of, gone) = (Arc::clone(tab), tab.gone().clone());
    tab.shared.drain.spawn(async move {
        let hear = async {
            while let Ok(event) = heard.event().await {
                of.hear(&event, main);
                of.changes.send_modify(|changes| *changes += 1);
            }
        };
        gone.run_until_cancelled(hear).await;
    });
    Ok(())
}

impl Tab {
    fn hear(self: &Arc<Self>, event: &Event, main: bool) {
        let text = |pointer| event.text(pointer).unwrap_or_default();
        // A page's main frame has the name of its target.
        let of_main = |pointer| main && text(pointer) == self.id().as_str();
        match event.method() {
            "Page.lifecycleEvent" if of_main("/frameId") => {
                let mut state = self.state.lock();
                state.lifecycle(text("/loaderId"), text("/name"));
            }
            "Page.frameNavigated" if of_main("/frame/id") => {
                self.state.lock().committed(text("/frame/loaderId"));
            }
            "Page.frameRequestedNavigation"
                if of_main("/frameId") && text("/disposition") == "currentTab" =>
            {
                self.state.lock().leaving = true;
            }
            "Page.frameStartedNavigating"
                if of_main("/frameId") && !text("/navigationType").contains("ameDocument") =>
            {
                self.state.lock().leaving = true;
            }
            "Page.frameStoppedLoading" | "Page.navigatedWithinDocument" if of_main("/frameId") => {
                self.state.lock().leaving = false;
            }
            "Page.javascriptDialogOpening" => self.opens(Open {
                kind: text("/type").to_owned(),
                message: cut(text("/message")),
            }),
            "Page.javascriptDialogClosed" => self.state.lock().dialog = None,
            "Page.downloadWillBegin" => self.tell(What::Download {
                url: cut(text("/url")),
                name: cut(text("/suggestedFilename")),
            }),
            "Runtime.consoleAPICalled" => self.tell(console(event)),
            "Runtime.exceptionThrown" => {
                let thrown = event.text("/exceptionDetails/exception/description");
                let thrown = thrown.unwrap_or_else(|| text("/exceptionDetails/text"));
                self.tell(What::Exception(cut(thrown)));
            }
            "Inspector.targetCrashed" if main => self.state.lock().crashed = true,
            "Target.attachedToTarget" => {
                let (frame, session) = (text("/targetInfo/targetId"), text("/sessionId"));
                let session = SessionId::from(session.to_owned());
                // Without a connection there is nothing to hear.
                if to(self, session.clone(), false).is_ok() {
                    self.frames.lock().attached(frame, session);
                }
            }
            "Target.detachedFromTarget" => self.frames.lock().detached(text("/sessionId")),
            method if method.starts_with("Network.") => {
                self.hear_network(event, of_main("/frameId"))
            }
            _ => {}
        }
    }

    fn hear_network(&self, event: &Event, of_main: bool) {
        let text = |pointer| event.text(pointer).unwrap_or_default();
        let id = text("/requestId");
        match event.method() {
            "Network.requestWillBeSent" => {
                let (method, url) = (text("/request/method"), text("/request/url"));
                let mut state = self.state.lock();
                if text("/type") == "Document" && of_main {
                    state.asked_for = Some(url.to_owned());
                }
                state.request(id, text("/type"), method, url);
            }
            "Network.responseReceived" => {
                let status = event.get("/response/status").and_then(Value::as_u64);
                let status = status.and_then(|status| u32::try_from(status).ok());
                let status = status.unwrap_or_default();
                if text("/type") == "Document" && of_main {
                    self.state.lock().answered(text("/loaderId"), status);
                } else if status >= 400 {
                    let asked = self.state.lock().requests.get(id).cloned();
                    let (method, url) = asked.unwrap_or_default();
                    self.tell(What::Failed {
                        method,
                        url,
                        status,
                        error: String::new(),
                    });
                }
            }
            "Network.loadingFinished" => {
                self.state.lock().ended(id);
            }
            "Network.loadingFailed" => {
                let asked = self.state.lock().ended(id);
                let error = text("/errorText");
                let called_off = event.get("/canceled") == Some(&Value::Bool(true))
                    || error == "net::ERR_ABORTED";
                // What a navigation to a document became, its caller is told.
                if let Some((method, url)) = asked
                    && !called_off
                    && text("/type") != "Document"
                {
                    self.tell(What::Failed {
                        method,
                        url,
                        status: 0,
                        error: error.to_owned(),
                    });
                }
            }
            _ => {}
        }
    }

    fn opens(&self, dialog: Open) {
        let answer = {
            let mut state = self.state.lock();
            let answer = state.answer().cloned();
            if answer.is_none() {
                // It is the next call's, or a CDP client's.
                state.dialog = Some(dialog.clone());
            }
            answer
        };
        if let Some(answer) = answer {
            self.answer(&dialog, &answer);
        }
    }

    fn tell(&self, what: What) {
        self.shared.events.lock().add(self.id(), what);
    }
}

fn console(event: &Event) -> What {
    let args = event.get("/args").and_then(Value::as_array);
    let said = args
        .into_iter()
        .flatten()
        .map(|arg| match arg.get("value") {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => {
                let words = arg
                    .get("description")
                    .or_else(|| arg.get("unserializableValue"));
                let words = words.or_else(|| arg.get("type")).and_then(Value::as_str);
                words.unwrap_or_default().to_owned()
            }
        });
    let said: Vec<_> = said.collect();
    let first = event.get("/stackTrace/callFrames/0");
    let location = first.map_or_else(String::new, |frame| {
        let url = frame.get("url").and_then(Value::as_str).unwrap_or_default();
        let line = frame.get("lineNumber").and_then(Value::as_u64);
        format!("{url}:{}", line.unwrap_or_default() + 1)
    });
    What::Console {
        level: event.text("/type").unwrap_or_default().to_owned(),
        text: cut(&said.join(" ")),
        location: cut(&location),
    }
}
