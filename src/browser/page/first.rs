//! A page whose document is at hand already: the browser is given it in place of asking for it.

use base64::{Engine, prelude::BASE64_STANDARD};
use chromiumoxide::cdp::browser_protocol::{
    fetch::{
        ContinueRequestParams, EnableParams, FulfillRequestParams, HeaderEntry, RequestPattern,
        RequestStage,
    },
    network::ResourceType,
};

use super::{Error, Page, gate::Gate};
use crate::{browser::cdp::Event, deadline::Deadline};

/// The answer that a page's first request for its document gets. The origin is asked for
/// everything else, and for the document when the page asks again.
#[derive(Clone, Debug)]
pub struct First {
    /// The URL it is the answer to.
    pub url: String,
    /// Its headers. One that a browser does not know is a way to tell the answer again.
    pub headers: Vec<(String, String)>,
    /// Its body, without any coding.
    pub body: bytes::Bytes,
}

impl First {
    /// Whether a paused request asks for it.
    fn answers(&self, event: &Event) -> bool {
        let bare = |url: &str| url.split('#').next().unwrap_or_default().to_owned();
        let asked = event.text("/request/url").map(bare);
        event.text("/request/method") == Some("GET") && asked == Some(bare(&self.url))
    }

    fn fulfil(&self, request: String) -> FulfillRequestParams {
        let headers = self.headers.iter();
        let mut fulfil = FulfillRequestParams::new(request, 200);
        fulfil.response_headers = Some(
            headers
                .map(|(name, value)| HeaderEntry::new(name.clone(), value.clone()))
                .collect(),
        );
        fulfil.body = Some(BASE64_STANDARD.encode(&self.body).into());
        fulfil
    }
}

impl Page {
    /// Has `first` at hand for the next [`Page::goto`] of its URL.
    ///
    /// # Errors
    /// [`Error::Passed`], [`Error::Lost`], [`Error::Cdp`].
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn offer(&mut self, first: First, deadline: Deadline) -> Result<(), Error> {
        let bare = first.url.split('#').next().unwrap_or_default();
        let mut literal = String::with_capacity(bare.len());
        for char in bare.chars() {
            if matches!(char, '*' | '?' | '\\') {
                literal.push('\\');
            }
            literal.push(char);
        }
        let pattern = RequestPattern {
            url_pattern: Some(literal),
            resource_type: Some(ResourceType::Document),
            request_stage: Some(RequestStage::Request),
        };
        // What is enabled takes the place of what was.
        let mut patterns = self.gate.as_ref().map(Gate::patterns).unwrap_or_default();
        patterns.push(pattern);
        let enable = EnableParams {
            patterns: Some(patterns),
            handle_auth_requests: None,
        };
        self.first = Some(first);
        self.run(enable, deadline).await.map(drop)
    }

    /// A request waits: it is answered with what is at hand, or meets the gate, or goes on its way.
    pub(super) fn paused(&mut self, event: &Event) -> Result<(), Error> {
        let Some(request) = event.text("/requestId").map(str::to_owned) else {
            return Ok(());
        };
        let asks = event.method() == "Fetch.requestPaused"
            && event.text("/frameId") == Some(self.navigation.frame());
        if let Some(first) = self.first.take_if(|first| asks && first.answers(event)) {
            return Ok(self.cdp.tell(&self.id, &first.fulfil(request))?);
        }
        let told = match &self.gate {
            Some(gate) => gate.hear(event, self.navigation.frame(), &self.cdp, &self.id),
            None => self
                .cdp
                .tell(&self.id, &ContinueRequestParams::new(request)),
        };
        Ok(told?)
    }
}
