//! The browser's way: a page in a context of its own.

use tokio::time::Instant;

use super::{
    Error, Fetcher, Format, Request,
    response::{Redirect, Response, Timings, Via, Warning, Why, public},
};
use crate::{
    browser::{
        self,
        page::{Document, Page, PageOptions, Want},
    },
    deadline::Deadline,
};

impl Fetcher {
    /// Fetches by a browser.
    ///
    /// # Cancel safety
    /// Yes: the page's context is disposed of before its seat is free.
    pub(super) async fn render(
        &self,
        request: &Request,
        why: Why,
        why_detail: String,
        deadline: Deadline,
    ) -> Result<Response, Error> {
        let began = Instant::now();
        let turn = self.0.pages.acquire(deadline).await;
        let _turn = turn.map_err(|error| match error {
            // The caller waited for a browser's room, whoever keeps the queue.
            Error::Passed => Error::Browser(browser::Error::Exhausted(self.0.pool.demand())),
            error => error,
        })?;
        let seat = self.0.pool.seat(deadline).await?;
        let queue = began.elapsed();
        let of_page = |error| Error::of_page(error, request.max_redirects);
        let wants = |format| request.formats.has(format);
        let options = self.options(request);
        let sent = Instant::now();
        let page = Box::pin(Page::open(seat, &options, deadline)).await;
        let mut page = page.map_err(of_page)?;
        let document = page.goto(request.url.as_str(), request.wait, deadline);
        let document = Box::pin(document).await.map_err(of_page)?;
        let rendered = Instant::now();
        let begun = |document: &Document| {
            if document.redirects.len() > request.max_redirects as usize {
                return Err(Error::TooManyRedirects {
                    limit: request.max_redirects,
                });
            }
            let mut response = begun(document, why, why_detail);
            response.timings = Timings {
                queue,
                first_byte: document.answered.saturating_duration_since(sent),
                render: rendered.saturating_duration_since(document.answered),
                ..Timings::default()
            };
            Ok(response)
        };
        if document.blank {
            let mut response = begun(&document)?;
            response.fill_blank(request);
            return Ok(response);
        }
        let want = Want {
            html: wants(Format::Html),
            text: wants(Format::Text),
            title: true,
        };
        let contents = page.contents(want, request.max_bytes, deadline).await;
        let contents = contents.map_err(of_page)?;
        let mut response = begun(contents.document.as_ref().unwrap_or(&document))?;
        response.html = contents.html;
        response.text = contents.text;
        response.title = contents.title;
        if wants(Format::Raw) {
            let body = page.body(request.max_bytes, deadline).await;
            let (raw, as_it_came) = body.map_err(of_page)?;
            response.raw = Some(raw);
            response.warn_of_decoding(as_it_came);
        }
        if wants(Format::Screenshot) {
            let picture = page.screenshot(request.screenshot, deadline).await;
            response.screenshot = Some(picture.map_err(of_page)?);
        }
        response.timings.extract = rendered.elapsed();
        Ok(response)
    }

    fn options(&self, request: &Request) -> PageOptions {
        let headers = request.headers.iter();
        let user_agent = request.user_agent.as_ref();
        PageOptions {
            user_agent: user_agent.or(self.0.config.user_agent.as_ref()).cloned(),
            headers: headers
                .map(|(name, value)| {
                    let value = String::from_utf8_lossy(value.as_bytes());
                    (name.to_string(), value.into_owned())
                })
                .collect(),
            viewport: request.viewport,
            keep_body: if request.formats.has(Format::Raw) {
                request.max_bytes
            } else {
                0
            },
        }
    }
}

fn begun(document: &Document, why: Why, why_detail: String) -> Response {
    let bare = |url: &str| url::Url::parse(url).map_or_else(|_| url.to_owned(), |url| public(&url));
    Response {
        final_url: bare(&document.final_url),
        redirects: document
            .redirects
            .iter()
            .map(|(url, status)| Redirect {
                url: bare(url),
                status: *status,
            })
            .collect(),
        status: document.status,
        headers: document
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
            .collect(),
        content_type: document.content_type.clone(),
        charset: document.charset.clone(),
        raw: None,
        html: None,
        text: None,
        title: None,
        screenshot: None,
        via: Via::Browser,
        why,
        why_detail,
        timings: Timings::default(),
        warnings: Vec::new(),
    }
}

impl Response {
    fn warn_of_decoding(&mut self, as_it_came: bool) {
        let utf_8 = |charset: &String| charset.eq_ignore_ascii_case("utf-8");
        let same = self.raw.as_ref().is_none_or(|raw| raw.is_ascii());
        if !as_it_came && !same && !self.charset.as_ref().is_some_and(utf_8) {
            self.warnings.push(Warning {
                code: "raw_is_decoded",
                message: "a browser gives text as UTF-8: its bytes are not the origin's".into(),
            });
        }
    }

    /// The origin sent no content: what is asked for is empty, and a picture would be one of the
    /// browser's own words.
    fn fill_blank(&mut self, request: &Request) {
        let wants = |format| request.formats.has(format);
        self.raw = wants(Format::Raw).then(bytes::Bytes::new);
        self.html = wants(Format::Html).then(String::new);
        self.text = wants(Format::Text).then(String::new);
        if wants(Format::Screenshot) {
            self.warnings.push(Warning {
                code: "no_content",
                message: format!("status {} came without content to show", self.status),
            });
        }
    }
}
