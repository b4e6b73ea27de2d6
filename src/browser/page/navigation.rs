//! What a page's events say about where it is and whether it has arrived.

use serde_json::Value;
use tokio::time::Instant;

use crate::browser::cdp::Event;

/// The events that are heard of a page.
pub(super) const EVENTS: &[&str] = &[
    "Browser.downloadProgress",
    "Browser.downloadWillBegin",
    "Fetch.requestPaused",
    "Inspector.targetCrashed",
    "Network.loadingFailed",
    "Network.loadingFinished",
    "Network.requestWillBeSent",
    "Network.responseReceived",
    "Page.domContentEventFired",
    "Page.frameClearedScheduledNavigation",
    "Page.frameDetached",
    "Page.frameNavigated",
    "Page.frameRequestedNavigation",
    "Page.frameScheduledNavigation",
    "Page.javascriptDialogOpening",
    "Page.loadEventFired",
    "Page.navigatedWithinDocument",
    "Page.windowOpen",
    "Target.targetCreated",
];

/// So often a page may send itself elsewhere before it is taken as it is.
const MOST_HOPS: u32 = 10;

/// When a page counts as there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitUntil {
    /// Its document is parsed and its deferred scripts have run.
    DomContentLoaded,
    /// Its images, styles and frames are loaded, too.
    #[default]
    Load,
    /// The same, and then nothing was loaded for 500 ms.
    NetworkIdle,
}

/// The answer to a page's main request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Where it came from, after redirects.
    pub final_url: String,
    /// The HTTP status.
    pub status: u16,
    /// The response's headers, in the browser's order.
    pub headers: Vec<(String, String)>,
    /// The `Content-Type`.
    pub content_type: Option<String>,
    /// The encoding the browser decoded it from, when it says.
    pub charset: Option<String>,
    /// The HTTP redirects on the way: each URL, and the status that led away from it.
    pub redirects: Vec<(String, u16)>,
    /// When its headers were there.
    pub answered: Instant,
    /// The browser has no page to show for it: an error or success without any content.
    pub blank: bool,
    /// The browser would save it instead of showing it; then it is blank, too.
    pub download: bool,
}

/// What an event asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    Nothing,
    /// A dialog is open and must be answered.
    Dialog {
        accept: bool,
    },
    /// A window is about to be there.
    Window,
    /// It is there, if it is one, and must be closed.
    Closing,
    /// The document broke off in the middle.
    Broken,
    /// The next document does not come.
    Failed,
    /// The renderer is gone.
    Burial,
}

/// Follows one page's main frame.
#[derive(Debug)]
pub(super) struct Navigation {
    frame: String,
    wait: WaitUntil,
    redirects: Vec<(String, u16)>,
    document: Option<Document>,
    /// The same of the document that is on its way: it may never become the page.
    coming: (Vec<(String, u16)>, Option<Document>),
    /// The document that was asked for and has not come yet.
    asked: Option<String>,
    /// Where the last document that was asked for is, after the redirects so far.
    asked_for: Option<String>,
    /// The request for the document that is shown.
    loading: Option<String>,
    committed: bool,
    arrived: bool,
    /// The page said that it will leave, and has not asked for the next document yet.
    leaving: bool,
    hops: u32,
}

impl Navigation {
    /// For the page whose main frame is `frame`.
    pub(super) const fn new(frame: String) -> Self {
        Self {
            frame,
            wait: WaitUntil::Load,
            redirects: Vec::new(),
            document: None,
            coming: (Vec::new(), None),
            asked: None,
            asked_for: None,
            loading: None,
            committed: false,
            arrived: false,
            leaving: false,
            hops: 0,
        }
    }

    /// A navigation begins: what was known of the page before is of no interest.
    pub(super) fn begin(&mut self, wait: WaitUntil) {
        *self = Self::new(std::mem::take(&mut self.frame));
        self.wait = wait;
    }

    /// The main frame.
    pub(super) fn frame(&self) -> &str {
        &self.frame
    }

    /// Where the last document that was asked for is, after the redirects so far.
    pub(super) fn asked_for(&self) -> Option<&str> {
        self.asked_for.as_deref()
    }

    /// What is waited for.
    pub(super) const fn wait(&self) -> WaitUntil {
        self.wait
    }

    /// Whether a document was shown.
    pub(super) const fn is_shown(&self) -> bool {
        self.committed
    }

    /// Whether the page is there and stays there.
    pub(super) const fn is_settled(&self) -> bool {
        self.arrived && self.asked.is_none() && !self.leaving
    }

    /// Whether the page is there and only said that it will leave.
    pub(super) const fn lingers(&self) -> bool {
        self.arrived && self.asked.is_none() && self.leaving
    }

    /// The page was believed to leave and did not.
    pub(super) const fn stays(&mut self) {
        self.leaving = false;
    }

    /// The answer that the page is made of; `None` when it was taken already.
    pub(super) fn document(&mut self) -> Option<Document> {
        let mut document = self.document.take()?;
        document.redirects.clone_from(&self.redirects);
        Some(document)
    }

    /// The answer that never became a page.
    pub(super) fn unshown(&mut self) -> Option<Document> {
        self.arrive();
        self.document()
    }

    fn arrive(&mut self) {
        let (redirects, document) = std::mem::take(&mut self.coming);
        self.redirects.extend(redirects);
        self.document = document.or(self.document.take());
    }

    /// Takes note of an event.
    pub(super) fn hear(&mut self, event: &Event) -> Asks {
        match event.method() {
            "Inspector.targetCrashed" => return Asks::Burial,
            "Page.javascriptDialogOpening" => {
                // To stay on a page is what a page wants, not its caller.
                let accept = event.text("/type") == Some("beforeunload");
                return Asks::Dialog { accept };
            }
            "Page.windowOpen" => return Asks::Window,
            "Target.targetCreated" => return Asks::Closing,
            "Network.requestWillBeSent" if self.is_main(event) => self.requested(event),
            "Network.responseReceived" if self.is_main(event) => self.answered(event),
            "Network.loadingFailed" if event.text("/requestId") == self.asked.as_deref() => {
                self.asked = None;
                return Asks::Failed;
            }
            // It would never say that it is there.
            "Network.loadingFailed"
                if self.loading.is_some()
                    && event.text("/requestId") == self.loading.as_deref()
                    && !self.arrived
                    && event.get("/canceled").and_then(Value::as_bool) != Some(true) =>
            {
                return Asks::Broken;
            }
            "Page.frameNavigated"
                if event.text("/frame/id") == Some(&self.frame)
                    && (self.asked.is_some() || self.committed) =>
            {
                self.hops += u32::from(self.committed);
                self.committed = true;
                self.arrive();
                self.loading = self.asked.take();
                self.arrived = false;
                self.leaving = false;
            }
            "Page.domContentEventFired" => self.reached(WaitUntil::DomContentLoaded),
            "Page.loadEventFired" => self.reached(WaitUntil::Load),
            "Page.frameRequestedNavigation" if self.is_ours(event) => {
                let here = event.text("/disposition").unwrap_or("currentTab") == "currentTab";
                self.leaving |= here && self.hops < MOST_HOPS;
            }
            "Page.frameScheduledNavigation" if self.is_ours(event) => {
                const SOON: f64 = 1.0;
                let delay = event.get("/delay").and_then(Value::as_f64);
                let soon = delay.is_some_and(|delay| delay <= SOON);
                self.leaving |= soon && self.hops < MOST_HOPS;
            }
            "Page.navigatedWithinDocument" if self.is_ours(event) => self.leaving = false,
            _ => {}
        }
        Asks::Nothing
    }

    fn is_ours(&self, event: &Event) -> bool {
        event.text("/frameId") == Some(&self.frame)
    }

    /// Whether it is about the main frame's document and not one of its resources.
    fn is_main(&self, event: &Event) -> bool {
        self.is_ours(event)
            && event.text("/type") == Some("Document")
            && event.text("/requestId") == event.text("/loaderId")
    }

    fn requested(&mut self, event: &Event) {
        self.asked_for = event.text("/request/url").map(str::to_owned);
        if let Some(status) = status(event, "/redirectResponse/status") {
            let from = event.text("/redirectResponse/url").unwrap_or_default();
            self.coming.0.push((from.to_owned(), status));
        } else if self.hops < MOST_HOPS {
            self.leaving = false;
            self.coming = (Vec::new(), None);
            self.asked = event.text("/requestId").map(str::to_owned);
        }
    }

    fn answered(&mut self, event: &Event) {
        let Some(status) = status(event, "/response/status") else {
            return;
        };
        let headers = event.get("/response/headers").and_then(Value::as_object);
        let headers: Vec<(String, String)> = headers
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name, value.as_str()?)))
            // The browser joins the values of a name by line breaks.
            .flat_map(|(name, values)| values.split('\n').map(|value| (name.clone(), value.into())))
            .collect();
        let content_type = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map(|(_, value)| value.clone());
        let text = |pointer| event.text(pointer).filter(|text| !text.is_empty());
        self.coming.1 = Some(Document {
            final_url: text("/response/url").unwrap_or_default().to_owned(),
            status,
            headers,
            content_type: content_type.or_else(|| text("/response/mimeType").map(str::to_owned)),
            charset: text("/response/charset").map(str::to_owned),
            redirects: Vec::new(),
            answered: Instant::now(),
            blank: false,
            download: false,
        });
    }

    fn reached(&mut self, what: WaitUntil) {
        self.arrived |= self.committed && (what == self.wait || what == WaitUntil::Load);
    }
}

fn status(event: &Event, pointer: &str) -> Option<u16> {
    let status = event.get(pointer)?.as_u64()?;
    u16::try_from(status).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hear(navigation: &mut Navigation, method: &str, params: &Value) -> Asks {
        let event = json!({ "method": method, "sessionId": "s", "params": params });
        navigation.hear(&serde_json::from_value(event).unwrap())
    }

    fn request(navigation: &mut Navigation, loader: &str, redirect: Option<(&str, u16)>) {
        let mut params = json!({
            "frameId": "f", "type": "Document", "requestId": loader, "loaderId": loader
        });
        if let Some((url, status)) = redirect {
            params["redirectResponse"] = json!({ "url": url, "status": status });
        }
        hear(navigation, "Network.requestWillBeSent", &params);
    }

    fn respond(navigation: &mut Navigation, loader: &str, url: &str) {
        let response = json!({
            "url": url, "status": 200, "mimeType": "text/html", "charset": "utf-8",
            "headers": { "Set-Cookie": "a=1\nb=2", "Content-Type": "text/html" },
        });
        let params = json!({
            "frameId": "f", "type": "Document", "requestId": loader, "loaderId": loader,
            "response": response,
        });
        hear(navigation, "Network.responseReceived", &params);
        let frame = json!({ "frame": { "id": "f", "loaderId": loader } });
        hear(navigation, "Page.frameNavigated", &frame);
    }

    fn load(navigation: &mut Navigation) {
        hear(navigation, "Page.domContentEventFired", &json!({}));
        hear(navigation, "Page.loadEventFired", &json!({}));
    }

    #[test]
    fn redirects_lead_to_the_document() {
        let mut navigation = Navigation::new("f".into());
        navigation.begin(WaitUntil::Load);
        load(&mut navigation);
        assert!(!navigation.is_settled(), "that was the blank page");
        request(&mut navigation, "l", None);
        request(&mut navigation, "l", Some(("http://a/", 302)));
        respond(&mut navigation, "l", "http://b/");
        hear(&mut navigation, "Page.domContentEventFired", &json!({}));
        assert!(!navigation.is_settled());
        load(&mut navigation);
        assert!(navigation.is_settled());
        let document = navigation.document().unwrap();
        assert_eq!(document.final_url, "http://b/");
        assert_eq!(document.redirects, [("http://a/".to_owned(), 302)]);
        assert_eq!(document.headers.len(), 3, "two cookies and the type");
    }

    #[test]
    fn a_page_that_leaves_is_followed() {
        let mut navigation = Navigation::new("f".into());
        navigation.begin(WaitUntil::DomContentLoaded);
        request(&mut navigation, "1", None);
        respond(&mut navigation, "1", "http://a/");
        let leave = json!({ "frameId": "f", "disposition": "currentTab" });
        hear(&mut navigation, "Page.frameRequestedNavigation", &leave);
        load(&mut navigation);
        assert!(navigation.lingers());
        request(&mut navigation, "2", None);
        assert!(!navigation.lingers() && !navigation.is_settled());
        respond(&mut navigation, "2", "http://b/");
        load(&mut navigation);
        assert!(navigation.is_settled());
        assert_eq!(navigation.document().unwrap().final_url, "http://b/");
    }

    #[test]
    fn a_page_that_left_for_nothing_is_what_it_was() {
        let mut navigation = Navigation::new("f".into());
        navigation.begin(WaitUntil::Load);
        request(&mut navigation, "1", None);
        respond(&mut navigation, "1", "http://a/");
        load(&mut navigation);
        request(&mut navigation, "2", None);
        request(&mut navigation, "2", Some(("http://b/", 302)));
        let failed = json!({ "requestId": "2", "errorText": "net::ERR_ABORTED" });
        hear(&mut navigation, "Network.loadingFailed", &failed);
        assert!(navigation.is_settled());
        let document = navigation.document().unwrap();
        assert_eq!(document.final_url, "http://a/");
        assert_eq!(document.redirects, []);
        assert_eq!(navigation.document(), None, "it was taken");
    }

    #[test]
    fn a_page_that_leaves_for_ever_is_taken_as_it_is() {
        let mut navigation = Navigation::new("f".into());
        navigation.begin(WaitUntil::Load);
        for loader in 0..=MOST_HOPS {
            request(&mut navigation, &loader.to_string(), None);
            respond(&mut navigation, &loader.to_string(), "http://a/");
        }
        load(&mut navigation);
        request(&mut navigation, "again", None);
        assert!(navigation.is_settled());
    }

    #[test]
    fn dialogs_and_crashes_are_told() {
        let mut navigation = Navigation::new("f".into());
        let opening = "Page.javascriptDialogOpening";
        let alert = hear(&mut navigation, opening, &json!({ "type": "alert" }));
        assert_eq!(alert, Asks::Dialog { accept: false });
        let unload = hear(&mut navigation, opening, &json!({ "type": "beforeunload" }));
        assert_eq!(unload, Asks::Dialog { accept: true });
        let crash = hear(&mut navigation, "Inspector.targetCrashed", &json!({}));
        assert_eq!(crash, Asks::Burial);
    }
}
