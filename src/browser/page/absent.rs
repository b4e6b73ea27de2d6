//! What did not come, and why.

use super::{Document, Error, Page, Refused, refused};
use crate::deadline::Deadline;

impl Page {
    /// A response without anything to show is one all the same, and so is one that is to be saved.
    pub(super) async fn without_page(
        &mut self,
        url: &str,
        text: &str,
        deadline: Deadline,
    ) -> Result<Document, Error> {
        const NO_CONTENT: [u16; 2] = [204, 205];
        // What the browser heard of the response it told before its answer.
        while let Some(event) = self.room.event_now() {
            self.hear(&event?, deadline).await?;
        }
        let empty = text == "net::ERR_HTTP_RESPONSE_CODE_FAILURE";
        let asked = self.navigation.asked_for().unwrap_or(url).to_owned();
        let error = self.failed(&asked, text);
        let Some(document) = self.navigation.unshown() else {
            return Err(error);
        };
        let empty = empty || NO_CONTENT.contains(&document.status);
        if !empty && !matches!(error, Error::Aborted) {
            return Err(error);
        }
        Ok(Document {
            blank: true,
            download: !empty,
            ..document
        })
    }

    /// What of the page could not be reached because it may not be.
    #[must_use]
    pub const fn refused(&self) -> &Refused {
        &self.refused
    }

    /// What it means that the document at `url` did not come, of which the browser says `text`. Its
    /// proxy knows more than it does.
    pub(super) fn failed(&self, url: &str, text: &str) -> Error {
        let told = Error::of_navigation(text);
        if matches!(told, Error::Aborted | Error::Redirects) {
            return told;
        }
        let why = refused::target(url);
        let why = why.and_then(|target| self.room.why(&target, self.refused.since()));
        why.map_or(told, Error::from)
    }
}
