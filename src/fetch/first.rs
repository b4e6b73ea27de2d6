//! Where a browser begins when HTTP has been there before it: with the document that HTTP brought,
//! where that is what the browser would be given.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Error, Fetcher, Request,
    http::Brought,
    response::{Redirect, Response, Why},
};
use crate::{browser::page::First, deadline::Deadline};

/// In the headers of the document that a browser is given, so that it is known again. Pages cannot
/// read the headers of their own document.
const MARK: &str = "berth-first";

/// A larger document is cheaper to bring again than to hand through the browser's protocol.
const LARGEST: usize = 4 << 20;

/// Where a browser begins.
#[derive(Debug)]
pub(super) struct Start {
    /// The URL it goes to.
    pub(super) url: String,
    /// What led there.
    way: Vec<Redirect>,
    /// What waited and was answered before.
    queue: Duration,
    /// The document that is at hand.
    at_hand: Option<AtHand>,
}

/// A document that a browser is given.
#[derive(Debug)]
struct AtHand {
    first: First,
    /// Its headers as they came.
    headers: Vec<(String, Vec<u8>)>,
}

impl Start {
    /// At what was asked for, with nothing at hand.
    pub(super) fn of(request: &Request) -> Self {
        Self {
            url: request.url.as_str().to_owned(),
            way: Vec::new(),
            queue: Duration::ZERO,
            at_hand: None,
        }
    }

    /// At the end of the way that HTTP went, with what it brought. A way on which cookies were set
    /// the browser goes itself, for it must have them.
    fn after(request: &Request, brought: Brought, why: Why) -> Self {
        let mut start = Self::of(request);
        start.queue = brought.times.queue;
        let secret = !request.url.username().is_empty() || request.url.password().is_some();
        if brought.cookies_set || secret {
            return start;
        }
        start.url.clone_from(&brought.final_url);
        start.at_hand = is_sound(&brought, why).then(|| {
            let first = First {
                url: brought.final_url,
                headers: headers(&brought.headers),
                body: brought.body,
            };
            AtHand {
                first,
                headers: brought.headers,
            }
        });
        start.way = brought.redirects;
        start
    }

    /// The document that is at hand.
    pub(super) fn first(&self) -> Option<First> {
        self.at_hand.as_ref().map(|at_hand| at_hand.first.clone())
    }

    /// How many redirects the browser may still follow.
    pub(super) fn redirects_left(&self, request: &Request) -> usize {
        let most = request.max_redirects as usize;
        most.saturating_sub(self.way.len())
    }

    /// Puts what HTTP knows better into a browser's answer; the body, when it is that of the
    /// document that was at hand.
    pub(super) fn complete(&self, response: &mut Response) -> Option<Bytes> {
        response.timings.queue += self.queue;
        response.redirects.splice(0..0, self.way.iter().cloned());
        let AtHand { first, headers } = self.at_hand.as_ref()?;
        let marked = |(name, _): &(String, Vec<u8>)| name.eq_ignore_ascii_case(MARK);
        if !response.headers.iter().any(marked) {
            return None;
        }
        response.headers.clone_from(headers);
        Some(first.body.clone())
    }
}

/// Whether the browser would be given the same.
fn is_sound(brought: &Brought, why: Why) -> bool {
    let values = |wanted: &'static str| {
        let headers = brought.headers.iter();
        headers
            .filter(move |(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| String::from_utf8_lossy(value).to_ascii_lowercase())
    };
    let varies = values("vary").any(|value| {
        value.split(',').map(str::trim).any(|name| {
            name == "*"
                || name.starts_with("sec-")
                || name.starts_with("accept") && name != "accept-encoding"
                || name == "user-agent"
        })
    });
    brought.status == 200
        && !brought.coded
        && brought.is_html()
        && !brought.body.is_empty()
        && brought.body.len() <= LARGEST
        // A test must see the browser itself.
        && why != Why::Challenge
        && !varies
        && !values("cache-control").any(|value| value.contains("no-store"))
        && !values("content-disposition").any(|value| value.contains("attachment"))
}

/// Those that are about the document and not about how it was sent.
fn headers(all: &[(String, Vec<u8>)]) -> Vec<(String, String)> {
    const OF_TRANSFER: [&str; 9] = [
        "connection",
        "content-encoding",
        "content-length",
        "keep-alive",
        "proxy-authenticate",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let about = all.iter().filter(|(name, _)| {
        !OF_TRANSFER
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
    });
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let mark = (MARK.to_owned(), "1".to_owned());
    about
        .map(|(name, value)| (name.clone(), text(value)))
        .chain([mark])
        .collect()
}

impl Fetcher {
    /// Goes on by a browser where HTTP was not enough.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn go_on(
        &self,
        request: &Request,
        brought: Brought,
        (why, detail): (Why, String),
        deadline: Deadline,
    ) -> Result<Response, Error> {
        let start = Start::after(request, brought, why);
        self.rendered(request, &start, (why, detail), deadline)
            .await
    }
}
