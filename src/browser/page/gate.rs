//! What a page's requests must pass: what is not to be loaded fails here.
//!
//! Only a page that was opened with something to block has a gate: every request that meets it waits
//! for an answer.

use chromiumoxide::cdp::browser_protocol::{
    fetch::{ContinueRequestParams, FailRequestParams, RequestPattern},
    network::{ErrorReason, ResourceType},
    target::SessionId,
};

use super::{Blocking, PageOptions, Resource};
use crate::browser::cdp::{self, Cdp, Event};

/// What a page's requests must pass.
#[derive(Debug)]
pub(super) struct Gate {
    blocking: Blocking,
}

impl Gate {
    /// The gate that `options` need, when they need one.
    pub(super) fn of(options: &PageOptions) -> Option<Self> {
        let blocking = &options.blocking;
        (!blocking.is_nothing()).then(|| Self {
            blocking: blocking.clone(),
        })
    }

    /// Which requests meet the gate.
    pub(super) fn patterns(&self) -> Vec<RequestPattern> {
        let kinds = self.blocking.kinds.iter().map(|kind| RequestPattern {
            resource_type: Some(kind_of(*kind)),
            ..RequestPattern::default()
        });
        let urls = self.blocking.patterns.iter().map(|pattern| RequestPattern {
            url_pattern: Some(pattern.replace('\\', "\\\\").replace('?', "\\?")),
            ..RequestPattern::default()
        });
        kinds.chain(urls).collect()
    }

    /// Answers for a request that waits. `frame` is the page's main frame.
    pub(super) fn hear(
        &self,
        event: &Event,
        frame: &str,
        cdp: &Cdp,
        session: &SessionId,
    ) -> Result<(), cdp::Error> {
        let Some(id) = event.text("/requestId").map(str::to_owned) else {
            return Ok(());
        };
        let kind = event.text("/resourceType").unwrap_or_default();
        let main = kind == "Document" && event.text("/frameId") == Some(frame);
        let url = event.text("/request/url").unwrap_or_default();
        if !main && self.blocks(kind, url) {
            let fail = FailRequestParams::new(id, ErrorReason::BlockedByClient);
            return cdp.tell(session, &fail);
        }
        cdp.tell(session, &ContinueRequestParams::new(id))
    }

    fn blocks(&self, kind: &str, url: &str) -> bool {
        let mut kinds = self.blocking.kinds.iter();
        let mut patterns = self.blocking.patterns.iter();
        kinds.any(|one| kind_of(*one).as_ref() == kind)
            || patterns.any(|pattern| matches(pattern, url))
    }
}

fn kind_of(kind: Resource) -> ResourceType {
    match kind {
        Resource::Image => ResourceType::Image,
        Resource::Media => ResourceType::Media,
        Resource::Font => ResourceType::Font,
        Resource::Stylesheet => ResourceType::Stylesheet,
        Resource::Script => ResourceType::Script,
    }
}

/// Whether `text` is what `pattern` says, `*` standing for any characters.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    // The first place that fits is as good as any later one.
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "http://a/b"),
            ("http://a/*", "http://a/"),
            ("*://*/ads/*.js", "http://a/x/ads/1.js"),
            ("*a*a*", "aa"),
            ("http://a/?q", "http://a/?q"),
            ("*.png", "http://a/b.png.png"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a*b", "acbd"),
            ("aa*aa", "aaa"),
            ("*a*a*", "a"),
            ("http://a/?q", "http://a/xq"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_page_without_wishes_has_no_gate() {
        assert!(Gate::of(&PageOptions::default()).is_none());
        let mut options = PageOptions::default();
        options.blocking.patterns = vec!["http://a/?x*\\".into()];
        options.blocking.kinds = vec![Resource::Image];
        let gate = Gate::of(&options).unwrap();
        let patterns = gate.patterns();
        assert_eq!(patterns[0].resource_type, Some(ResourceType::Image));
        assert_eq!(
            patterns[1].url_pattern.as_deref(),
            Some("http://a/\\?x*\\\\")
        );
        assert!(gate.blocks("Image", "http://b/"));
        assert!(!gate.blocks("Script", "http://b/"));
    }
}
