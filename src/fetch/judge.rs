//! What an answer by HTTP is worth: enough, or a reason for a browser.

use std::time::Duration;

use super::{
    Request, Strategy, charset,
    classify::classify,
    glance,
    html::{self, Found},
    http::Brought,
    response::Why,
    verdict::{self, Case, Judged},
};

/// What is wanted of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// The visible text.
    pub(super) text: bool,
    /// The title, and the evidence on which `AUTO` decides.
    pub(super) title: bool,
}

/// What was made of a body.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) text: Option<String>,
    pub(super) charset: Option<&'static str>,
    /// What was found in an HTML document; `None` as well where a glance was enough.
    pub(super) found: Option<Found>,
    /// How long it took.
    pub(super) took: Duration,
}

impl Read {
    /// Decodes a body and looks into it as far as it has to.
    pub(super) fn of(brought: &Brought, how: Reading) -> Self {
        /// So much of a document tells what it is; more is read only for its text.
        const TELLING: usize = 2 << 20;
        let is_html = brought.is_html();
        if brought.coded || (!is_html && !brought.is_text()) {
            return Self::default();
        }
        let (text, charset) = charset::decode(
            &brought.body,
            brought.content_type.as_deref(),
            brought.host.as_deref(),
        );
        let part = if how.text { text.len() } else { TELLING };
        let part = text.get(..text.floor_char_boundary(part));
        let plain = brought.status == 200 && !how.text && !how.title && glance::is_content(&text);
        let parse = is_html && !plain;
        Self {
            found: parse.then(|| html::read(part.unwrap_or(&text))),
            text: Some(text),
            charset: Some(charset),
            took: Duration::ZERO,
        }
    }

    /// What the answer is good for, as it came.
    pub(super) fn verdict(&self, request: &Request, brought: &Brought) -> Judged {
        let seen = self.found.as_ref().map(|found| &found.seen);
        verdict::judge(&Case {
            status: brought.status,
            seen,
            // A glance saw more than enough.
            glanced: brought.is_html() && seen.is_none(),
            text: self.text.as_deref(),
            bodiless: request.method == http::Method::HEAD,
            empty: brought.body.is_empty(),
            asked: request.url.as_str(),
            answered: &brought.final_url,
            rendered: false,
        })
    }
}

/// What should answer, now that HTTP has brought something.
pub(super) fn judge(request: &Request, brought: &Brought, read: &Read) -> (Why, String) {
    if request.strategy == Strategy::Http {
        return (Why::Requested, "the caller asked for HTTP".into());
    }
    let Some(found) = &read.found else {
        let is = brought.content_type.as_deref().unwrap_or("no type");
        return (Why::NotHtml, format!("the answer is {is}"));
    };
    let (why, detail) = match (&found.seen.refresh, brought.cookies_set) {
        (Some((after, to)), true) if super::follow::at_once(*after) => {
            let detail = format!("sets a cookie and sends its reader on to {to:?}");
            (Why::Refresh, detail)
        }
        _ => classify(&found.seen),
    };
    match request.needs_http() {
        Some(part) if why.needs_browser() => {
            let detail = format!("{detail}; a browser does not send the request's {part}");
            (Why::RequestNeedsHttp, detail)
        }
        _ => (why, detail),
    }
}
