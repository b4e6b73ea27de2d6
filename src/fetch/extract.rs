//! Content out of an answer: the main text as Markdown, the links, and what it says about itself.

use bytes::Bytes;
use tokio::time::Instant;
use url::Url;

use super::{
    Error, Fetcher, Format, Request,
    response::{Response, Warning},
};
use crate::{
    content::{self, Limits, Want},
    deadline::Deadline,
    fair::Party,
};

/// What content is read of.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// An HTML document.
    Html(String),
    /// Any other text.
    Text(String),
    /// What is no text by its type.
    Body(Bytes),
}

/// What was made of a source.
#[derive(Debug, Default)]
struct Found {
    markdown: Option<content::Text>,
    links: Option<content::Links>,
    metadata: Option<content::Metadata>,
    title: Option<String>,
}

impl Source {
    /// How much there is of it, in bytes.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Html(text) | Self::Text(text) => text.len(),
            Self::Body(body) => body.len(),
        }
    }

    fn read(
        &self,
        want: Want,
        content_type: Option<&str>,
        url: Option<&Url>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Found, content::Error> {
        let limits = Limits::default();
        let body = match self {
            Self::Html(html) => {
                let read = content::read_html(html, url, want, &limits, stop)?;
                return Ok(Found {
                    markdown: read.markdown,
                    links: read.links,
                    metadata: read.metadata,
                    title: None,
                });
            }
            Self::Text(text) => text.as_bytes(),
            Self::Body(body) => body,
        };
        let read = content::convert(body, content_type, url, &limits, stop)?;
        Ok(Found {
            markdown: want.markdown.then_some(read.markdown),
            title: read.title,
            ..Found::default()
        })
    }
}

impl Request {
    /// What of an answer's content is wanted; `None` for nothing.
    pub(super) fn content(&self) -> Option<Want> {
        let want = Want {
            markdown: self.formats.has(Format::Markdown),
            text: false,
            links: self.formats.has(Format::Links),
            metadata: self.formats.has(Format::Metadata),
        };
        (want != Want::default()).then_some(want)
    }
}

impl Fetcher {
    /// Reads what is wanted of a document that a browser has at `url`, for `party`, on a thread of its
    /// own.
    ///
    /// # Errors
    /// [`Error::TooComplex`]; [`Error::Passed`] at the deadline.
    ///
    /// # Cancel safety
    /// Yes: the thread ends at its next step.
    pub async fn read_document(
        &self,
        html: String,
        url: &str,
        want: Want,
        party: &Party,
        deadline: Deadline,
    ) -> Result<content::Content, Error> {
        let url = Url::parse(url).ok();
        let read = move || {
            let stop = || deadline.has_passed();
            content::read_html(&html, url.as_ref(), want, &Limits::default(), &stop)
        };
        let read = self.aside(usize::MAX, party, read, deadline).await?;
        read.map_err(|error| match error {
            content::Error::Stopped => Error::Passed,
            error => Error::TooComplex(error.to_string()),
        })
    }

    /// Reads the content that is wanted of an answer, on a thread of its own.
    ///
    /// # Errors
    /// [`Error::TooComplex`]; [`Error::Passed`] at the deadline.
    ///
    /// # Cancel safety
    /// Yes: the thread ends at its next step.
    pub(super) async fn extract(
        &self,
        request: &Request,
        mut response: Response,
        deadline: Deadline,
    ) -> Result<Response, Error> {
        let (Some(source), Some(want)) = (response.source.take(), request.content()) else {
            return Ok(response);
        };
        let began = Instant::now();
        let url = Url::parse(&response.final_url).ok();
        let content_type = response.content_type.clone();
        let read = move || {
            let stop = || deadline.has_passed();
            source.read(want, content_type.as_deref(), url.as_ref(), &stop)
        };
        // Even a short document takes a while.
        let found = match self
            .aside(usize::MAX, &request.party, read, deadline)
            .await?
        {
            Ok(found) => found,
            Err(content::Error::Stopped) => return Err(Error::Passed),
            Err(error @ (content::Error::TooLarge { .. } | content::Error::TooDeep { .. })) => {
                return Err(Error::TooComplex(error.to_string()));
            }
            Err(error @ (content::Error::Malformed { .. } | content::Error::Unsupported)) => {
                response.warnings.push(Warning {
                    code: "no_content_read",
                    message: error.to_string(),
                });
                Found::default()
            }
        };
        if found.markdown.as_ref().is_some_and(|text| text.truncated) {
            response.warnings.push(Warning {
                code: "markdown_cut",
                message: format!("cut at {} bytes", Limits::default().max_output),
            });
        }
        response.markdown = found.markdown.map(|text| text.text);
        response.links = found.links;
        response.metadata = found.metadata;
        response.title = response.title.or(found.title);
        response.timings.extract += began.elapsed();
        Ok(response)
    }
}
