//! On to where a document sends its reader without a script: by `refresh`, or because it is nothing
//! but one frame.
//!
//! Only `AUTO` does so, and only for a request that a browser could make: what goes on is a plain
//! `GET`. Each step counts as a redirect.

use url::Url;

use super::{Error, Fetcher, Request, Strategy, http::Brought, judge::Read, response::Redirect};
use crate::deadline::Deadline;

/// A reader does not wait longer for what a document sends them to.
const SOON: u32 = 5;

/// Whether a `refresh` after so many seconds is a way on, rather than news from time to time.
pub(super) const fn at_once(after: u32) -> bool {
    after <= SOON
}

impl Fetcher {
    /// What HTTP brings, and what was read in it, at the end of all ways on.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn follow(
        &self,
        request: &Request,
        deadline: Deadline,
    ) -> Result<(Read, Brought), Error> {
        let mut next = None;
        let mut way: Vec<Redirect> = Vec::new();
        loop {
            let now: &Request = next.as_ref().unwrap_or(request);
            let brought = self.http(now, deadline).await?;
            let (read, mut brought) = self.read(brought, now, deadline).await?;
            way.append(&mut brought.redirects);
            let Some(to) = onward(now, &brought, &read) else {
                brought.redirects = way;
                return Ok((read, brought));
            };
            way.push(Redirect {
                url: brought.final_url,
                status: brought.status,
            });
            let most = request.max_redirects;
            let left = u32::try_from(way.len())
                .ok()
                .and_then(|steps| most.checked_sub(steps));
            let left = left.ok_or(Error::TooManyRedirects { limit: most })?;
            let mut onward = now.clone();
            (onward.url, onward.max_redirects) = (to, left);
            next = Some(onward);
        }
    }
}

/// Where the document sends its reader.
fn onward(request: &Request, brought: &Brought, read: &Read) -> Option<Url> {
    let seen = &read.found.as_ref()?.seen;
    // A cookie goes along in a browser only.
    let plain = request.strategy == Strategy::Auto && request.needs_http().is_none();
    if !plain || brought.cookies_set {
        return None;
    }
    let only_frame = match &*seen.frames {
        [only] if seen.scripts == 0 && seen.visible == 0 => Some(only),
        _ => None,
    };
    let refresh = seen.refresh.as_ref();
    let to = refresh
        .filter(|(after, _)| at_once(*after))
        .map(|(_, to)| to);
    let here = Url::parse(&brought.final_url).ok()?;
    let to = here.join(to.or(only_frame)?).ok()?;
    let elsewhere = {
        let (mut here, mut to) = (here, to.clone());
        here.set_fragment(None);
        to.set_fragment(None);
        here != to
    };
    (elsewhere && Request::check(&to).is_ok()).then_some(to)
}
