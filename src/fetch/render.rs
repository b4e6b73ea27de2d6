//! The browser's way: a page in a context of its own.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Error, Fetcher, Format, Request,
    extract::Source,
    first::Start,
    response::{CacheState, Redirect, Response, Timings, Via, Warning, Why, public},
    verdict,
};
use crate::{
    browser::{
        BrowserId, Seat,
        page::{self, Conditions, Document, Page, PageOptions, Want},
    },
    deadline::Deadline,
    metrics::Wanted,
};

/// A page that was lost is tried once more when so much of the deadline is left.
const WORTH_A_RETRY: Duration = Duration::from_millis(500);

impl Fetcher {
    /// Fetches by a browser. A page that is lost with its renderer or browser is tried once more,
    /// elsewhere where there is one.
    ///
    /// # Cancel safety
    /// Yes: the page's context is disposed of before its seat is free.
    pub(super) async fn render(
        &self,
        request: &Request,
        start: &Start,
        (why, why_detail): (Why, String),
        deadline: Deadline,
    ) -> Result<Response, Error> {
        let began = Instant::now();
        let turn = self.0.pages.acquire(&request.party, deadline).await;
        let _turn = turn.map_err(|no_turn| {
            // Those in front may have kept their turns for want of a browser.
            let failing = self.0.pool.launch_failure().filter(|_| no_turn.passed());
            failing.map_or_else(|| no_turn.of(Wanted::Page), Error::Browser)
        })?;
        let mut queue = began.elapsed();
        let mut lost: Option<(BrowserId, String)> = None;
        loop {
            let waits = Instant::now();
            let avoid = lost.as_ref().map(|(browser, _)| *browser);
            let seat = self
                .0
                .pool
                .seat_beside(avoid, &request.party, deadline)
                .await?;
            queue += waits.elapsed();
            let browser = seat.browser().id();
            let visit = Visit {
                fetcher: self,
                request,
                start,
                deadline,
            };
            match Box::pin(visit.run(seat)).await {
                Ok(mut response) => {
                    response.why = why;
                    response.why_detail = why_detail;
                    response.timings.queue += queue;
                    if let Some((_, what)) = lost {
                        response.warnings.push(Warning {
                            code: "retried",
                            message: format!("the first browser was lost: {what}"),
                        });
                    }
                    return Ok(response);
                }
                Err(Error::Lost(what))
                    if lost.is_none() && deadline.remaining() >= WORTH_A_RETRY =>
                {
                    tracing::info!(%browser, what, "fetch.retried");
                    lost = Some((browser, what));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn options(&self, request: &Request) -> Result<PageOptions, Error> {
        let headers = request.headers.iter();
        let user_agent = request.user_agent.as_ref();
        let page = &request.page;
        Ok(PageOptions {
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
            cookies: request.page_cookies(),
            locale: page.locale.clone(),
            time_zone: page.time_zone.clone(),
            media: page.media,
            blocking: page.blocking.clone(),
            proxy: request.detour()?,
            capture: page.capture_download.then_some(request.max_bytes),
        })
    }
}

/// One visit of a page.
struct Visit<'a> {
    fetcher: &'a Fetcher,
    request: &'a Request,
    start: &'a Start,
    deadline: Deadline,
}

impl Visit<'_> {
    /// What the page says; why it was visited is not known here.
    async fn run(&self, seat: Seat) -> Result<Response, Error> {
        let Self {
            request,
            start,
            deadline,
            ..
        } = *self;
        let sent = Instant::now();
        let options = self.fetcher.options(request)?;
        let page = Box::pin(Page::open(seat, &options, deadline)).await;
        let mut page = page.map_err(|error| self.failed(error))?;
        self.check_questions(&mut page).await?;
        if let Some(first) = start.first() {
            let offered = page.offer(first, deadline).await;
            offered.map_err(|error| self.failed(error))?;
        }
        let document = page.goto(&start.url, request.wait, deadline);
        let document = Box::pin(document).await;
        let document = document.map_err(|error| self.failed(error))?;
        if document.blank {
            let (mut response, _) = self.begun(&document, sent, Instant::now())?;
            if document.download {
                let saved = page.downloaded(deadline).await;
                response.saved(saved.map_err(|error| self.failed(error))?);
            } else {
                response.fill_blank(request);
            }
            return Ok(response);
        }
        let conditions = Conditions {
            selector: request.page.wait_selector.as_deref(),
            predicate: request.page.wait_predicate.as_deref(),
        };
        let met = Box::pin(page.meet(conditions, deadline)).await;
        met.map_err(|error| self.failed(error))?;
        let rendered = Instant::now();
        let want = Want {
            html: request.formats.has(Format::Html) || request.content().is_some(),
            text: request.formats.has(Format::Text),
            title: true,
        };
        let contents = page.contents(want, request.max_bytes, deadline).await;
        let contents = contents.map_err(|error| self.failed(error))?;
        let document = contents.document.as_ref().unwrap_or(&document);
        let (mut response, at_hand) = self.begun(document, sent, rendered)?;
        if request.content().is_some() {
            response.source = contents.html.clone().map(Source::Html);
        }
        response.html = contents.html.filter(|_| request.formats.has(Format::Html));
        response.text = contents.text;
        response.title = contents.title;
        response.raw = at_hand.filter(|_| request.formats.has(Format::Raw));
        let judged = self
            .fetcher
            .judge_page(&mut page, request, &mut response, deadline);
        judged.await?;
        let taken = self.take(&mut page, &mut response).await;
        taken.map_err(|error| self.failed(error))?;
        response.warn_of_refused(page.refused());
        response.timings.extract = rendered.elapsed();
        Ok(response)
    }

    /// A question that no page can answer is the caller's mistake, and is found on the blank page.
    async fn check_questions(&self, page: &mut Page) -> Result<(), Error> {
        let asked = &self.request.page;
        let picture = match &self.request.screenshot.area {
            page::Area::Element(selector) => Some(selector),
            _ => None,
        };
        for (field, selector) in [
            ("wait_selector", asked.wait_selector.as_ref()),
            ("screenshot.selector", picture),
        ] {
            if let Some(selector) = selector {
                let sound = page.is_selector(selector, self.deadline).await;
                if !sound.map_err(|error| self.failed(error))? {
                    return Err(Error::BadRequest(field, "not a CSS selector".into()));
                }
            }
        }
        if let Some(predicate) = &asked.wait_predicate {
            let sound = page.is_expression(predicate, self.deadline).await;
            if !sound.map_err(|error| self.failed(error))? {
                let why = "not a JavaScript expression".into();
                return Err(Error::BadRequest("wait_predicate", why));
            }
        }
        Ok(())
    }

    /// Takes what is more than text.
    async fn take(&self, page: &mut Page, response: &mut Response) -> Result<(), page::Error> {
        let Self {
            request, deadline, ..
        } = *self;
        let limit = request.max_bytes;
        if request.formats.has(Format::Raw) && response.raw.is_none() {
            let (raw, as_it_came) = page.body(limit, deadline).await?;
            response.raw = Some(raw);
            response.warn_of_decoding(as_it_came);
        }
        if request.formats.has(Format::Screenshot) {
            let picture = page.screenshot(&request.screenshot, limit, deadline);
            let picture = Box::pin(picture).await?;
            response.screenshot = Some(picture.bytes);
            if picture.clipped {
                response.warnings.push(Warning {
                    code: "picture_clipped",
                    message: "no side of a picture has more than 16384 pixels".into(),
                });
            }
        }
        if request.formats.has(Format::Pdf) {
            let pdf = Box::pin(page.pdf(&request.page.pdf, limit, deadline)).await?;
            response.pdf = Some(pdf);
        }
        Ok(())
    }

    fn failed(&self, error: page::Error) -> Error {
        Error::of_page(error, self.request.max_redirects)
    }

    /// The beginning of the answer, and the document's bytes when HTTP had brought them.
    fn begun(
        &self,
        document: &Document,
        sent: Instant,
        rendered: Instant,
    ) -> Result<(Response, Option<Bytes>), Error> {
        let limit = self.request.max_redirects;
        if document.redirects.len() > self.start.redirects_left(self.request) {
            return Err(Error::TooManyRedirects { limit });
        }
        let mut response = begun(document);
        response.timings = Timings {
            first_byte: document.answered.saturating_duration_since(sent),
            render: rendered.saturating_duration_since(document.answered),
            ..Timings::default()
        };
        let at_hand = self.start.complete(&mut response);
        Ok((response, at_hand))
    }
}

fn begun(document: &Document) -> Response {
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
        markdown: None,
        links: None,
        metadata: None,
        source: None,
        pdf: None,
        download_name: None,
        via: Via::Browser,
        why: Why::Requested,
        why_detail: String::new(),
        timings: Timings::default(),
        warnings: Vec::new(),
        cache: CacheState::Bypass,
        age: None,
        retry_after: None,
        protocol: None,
        verdict: None,
        verdict_detail: String::new(),
    }
}

impl Response {
    /// Part of the page may not be reached: it is shown without.
    fn warn_of_refused(&mut self, refused: &page::Refused) {
        if refused.requests() > 0 {
            let targets = refused.targets().iter().map(ToString::to_string);
            let targets: Vec<_> = targets.collect();
            self.warnings.push(Warning {
                code: "egress_denied",
                message: format!(
                    "{} of the page's requests may not leave from here: to {}",
                    refused.requests(),
                    targets.join(", ")
                ),
            });
        }
    }

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

    /// What came is to be saved, not shown: that is all there is, when it was wanted.
    fn saved(&mut self, saved: Option<page::Downloaded>) {
        match saved {
            Some(saved) => {
                self.raw = Some(saved.bytes);
                self.download_name = Some(saved.name);
            }
            None => self.warnings.push(Warning {
                code: "download_refused",
                message: "a browser would save what came: capture_download gives it".into(),
            }),
        }
    }

    /// The origin sent no content: what is asked for is empty, and a picture would be one of the
    /// browser's own words.
    fn fill_blank(&mut self, request: &Request) {
        let wants = |format| request.formats.has(format);
        let (verdict, detail) = verdict::blank(self.status).parts();
        self.judged(verdict, detail);
        self.raw = wants(Format::Raw).then(bytes::Bytes::new);
        self.html = wants(Format::Html).then(String::new);
        self.text = wants(Format::Text).then(String::new);
        if wants(Format::Screenshot) || wants(Format::Pdf) {
            self.warnings.push(Warning {
                code: "no_content",
                message: format!("status {} came without content to show", self.status),
            });
        }
    }
}
