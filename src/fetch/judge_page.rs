//! What a page in a browser is good for, once its scripts have run.

use super::{
    Error, Fetcher, Request, html,
    response::Response,
    verdict::{self, Case, Verdict},
};
use crate::{browser::page::Page, deadline::Deadline};

/// So much of a page's markup tells what it is, in UTF-16 units.
const TELLING: u32 = 2 << 20;

impl Fetcher {
    /// Judges what a browser shows by the rules for what HTTP brings. A page that does not let
    /// itself be looked at again is not judged: its contents are there.
    ///
    /// # Cancel safety
    /// Yes.
    pub(super) async fn judge_page(
        &self,
        page: &mut Page,
        request: &Request,
        response: &mut Response,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let content_type = response.content_type.clone().unwrap_or_default();
        let content_type = content_type.to_ascii_lowercase();
        let is = |kind: &&str| content_type.contains(*kind);
        // An origin that does not say has sent a page, or the browser would not show one.
        if !content_type.is_empty() && !["html", "text/", "json", "xml"].iter().any(is) {
            return Ok(());
        }
        let markup = match &response.html {
            Some(html) => html.clone(),
            None => match page.markup(TELLING, deadline).await {
                Ok(markup) => markup,
                Err(_) => return Ok(()),
            },
        };
        let (status, asked) = (response.status, request.url.as_str().to_owned());
        let answered = response.final_url.clone();
        let judge = move || {
            let end = markup.floor_char_boundary(TELLING as usize);
            let found = html::read(markup.get(..end).unwrap_or(&markup));
            let case = Case {
                status,
                seen: Some(&found.seen),
                glanced: false,
                text: None,
                bodiless: false,
                empty: markup.is_empty(),
                asked: &asked,
                answered: &answered,
                rendered: true,
            };
            verdict::judge(&case).parts()
        };
        // By the size that it may have: what is large is read aside.
        let size = response.html.as_ref().map_or(usize::MAX, String::len);
        let (verdict, detail) = self.aside(size, &request.party, judge, deadline).await?;
        response.judged(verdict, detail);
        Ok(())
    }
}

impl Response {
    pub(super) fn judged(&mut self, verdict: Option<Verdict>, detail: String) {
        let warning = verdict.and_then(|verdict| verdict.warning(&detail));
        self.warnings.extend(warning);
        (self.verdict, self.verdict_detail) = (verdict, detail);
    }
}
