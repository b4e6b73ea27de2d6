//! `PageService`.

use tonic::{Request, Response, Status};

use super::{
    browser_options, fetch_content, fetch_page, fetch_picture, page_acts,
    page_calls::{Visit, call, sound},
    page_messages as read,
};
use crate::{
    broker::{Broker, Violation},
    content::Want,
    page::{Answer, Way},
    proto::{
        ActivatePageRequest, ActivatePageResponse, ClickRequest, ClickResponse, ClosePageRequest,
        ClosePageResponse, ContentRequest, ContentResponse, DragRequest, DragResponse,
        EvaluateRequest, EvaluateResponse, FetchContents, FillRequest, FillResponse, HoverRequest,
        HoverResponse, ListPagesRequest, ListPagesResponse, NavigateRequest, NavigateResponse,
        NewPageRequest, NewPageResponse, PdfRequest, PdfResponse, PressRequest, PressResponse,
        ScreenshotRequest, ScreenshotResponse, ScrollRequest, ScrollResponse, SelectOptionRequest,
        SelectOptionResponse, SnapshotRequest, SnapshotResponse, TypeRequest, TypeResponse,
        UploadFilesRequest, UploadFilesResponse, WaitForRequest, WaitForResponse,
        page_service_server::PageService,
    },
};

/// The service.
#[derive(Clone, Debug)]
pub(super) struct Pages {
    broker: Broker,
}

impl Pages {
    pub(super) const fn new(broker: Broker) -> Self {
        Self { broker }
    }
}

#[tonic::async_trait]
impl PageService for Pages {
    async fn navigate(
        &self,
        request: Request<NavigateRequest>,
    ) -> Result<Response<NavigateResponse>, Status> {
        let call = call(&request)?;
        let message = request.into_inner();
        let page = message.page.clone().unwrap_or_default();
        let mut wrong = Vec::new();
        let way = read::way(&message, &mut wrong);
        let wait = fetch_page::wait("wait_until", message.wait_until, &mut wrong);
        let answer = read::answer(message.dialogs, &mut wrong);
        sound(wrong)?;
        let visit = Visit::begin(&self.broker, &call, &page.lease_id).await?;
        let tab = visit.tab(&page).await?;
        let go = visit.driver().go(&tab, &way, wait, visit.deadline);
        let status = visit.run(&tab, &answer, go).await?;
        let result = visit.result(&tab).await?;
        Ok(Response::new(NavigateResponse { result, status }))
    }

    async fn snapshot(
        &self,
        request: Request<SnapshotRequest>,
    ) -> Result<Response<SnapshotResponse>, Status> {
        let call = call(&request)?;
        let message = request.into_inner();
        let page = message.page.clone().unwrap_or_default();
        let mut wrong = Vec::new();
        let wanted = read::wanted(message, &mut wrong);
        sound(wrong)?;
        let visit = Visit::begin(&self.broker, &call, &page.lease_id).await?;
        let tab = visit.tab(&page).await?;
        let take = tab.snapshot(&wanted, visit.deadline);
        let part = visit.run(&tab, &Answer::default(), take).await?;
        let page = Some(visit.page(&tab).await?);
        Ok(Response::new(SnapshotResponse {
            page,
            tree: part.text,
            truncated: part.next.is_some(),
            next_cursor: part.next.unwrap_or_default(),
            total_bytes: u32::try_from(part.total).unwrap_or(u32::MAX),
            events: visit.events(),
        }))
    }

    async fn click(
        &self,
        request: Request<ClickRequest>,
    ) -> Result<Response<ClickResponse>, Status> {
        page_acts::click(&self.broker, request).await
    }

    async fn hover(
        &self,
        request: Request<HoverRequest>,
    ) -> Result<Response<HoverResponse>, Status> {
        page_acts::hover(&self.broker, request).await
    }

    async fn drag(&self, request: Request<DragRequest>) -> Result<Response<DragResponse>, Status> {
        page_acts::drag(&self.broker, request).await
    }

    async fn fill(&self, request: Request<FillRequest>) -> Result<Response<FillResponse>, Status> {
        page_acts::fill(&self.broker, request).await
    }

    async fn r#type(
        &self,
        request: Request<TypeRequest>,
    ) -> Result<Response<TypeResponse>, Status> {
        page_acts::r#type(&self.broker, request).await
    }

    async fn press(
        &self,
        request: Request<PressRequest>,
    ) -> Result<Response<PressResponse>, Status> {
        page_acts::press(&self.broker, request).await
    }

    async fn select_option(
        &self,
        request: Request<SelectOptionRequest>,
    ) -> Result<Response<SelectOptionResponse>, Status> {
        page_acts::select_option(&self.broker, request).await
    }

    async fn scroll(
        &self,
        request: Request<ScrollRequest>,
    ) -> Result<Response<ScrollResponse>, Status> {
        page_acts::scroll(&self.broker, request).await
    }

    async fn wait_for(
        &self,
        request: Request<WaitForRequest>,
    ) -> Result<Response<WaitForResponse>, Status> {
        page_acts::wait_for(&self.broker, request).await
    }

    async fn upload_files(
        &self,
        request: Request<UploadFilesRequest>,
    ) -> Result<Response<UploadFilesResponse>, Status> {
        let call = call(&request)?;
        let message = request.into_inner();
        let page = message.page.unwrap_or_default();
        let mut wrong = Vec::new();
        let element = read::must("element", message.element, &mut wrong);
        let uploads = read::uploads(message.files, &mut wrong);
        let answer = read::answer(message.dialogs, &mut wrong);
        sound(wrong)?;
        let visit = Visit::begin(&self.broker, &call, &page.lease_id).await?;
        let tab = visit.tab(&page).await?;
        let by = visit.deadline;
        let upload = async {
            let paths = visit.driven.bring(&uploads, by).await?;
            tab.upload(&element, &paths, by).await
        };
        visit.run(&tab, &answer, upload).await?;
        let result = visit.result(&tab).await?;
        Ok(Response::new(UploadFilesResponse { result }))
    }

    async fn evaluate(
        &self,
        request: Request<EvaluateRequest>,
    ) -> Result<Response<EvaluateResponse>, Status> {
        let call = call(&request)?;
        let message = request.into_inner();
        let page = message.page.unwrap_or_default();
        let mut wrong = Vec::new();
        read::script(&message.expression, &mut wrong);
        let element = read::locator("element", message.element, &mut wrong);
        let most = read::most_json(message.max_bytes, &mut wrong);
        let answer = read::answer(message.dialogs, &mut wrong);
        sound(wrong)?;
        let visit = Visit::begin(&self.broker, &call, &page.lease_id).await?;
        let tab = visit.tab(&page).await?;
        let run = tab.run_script(&message.expression, element.as_ref(), most, visit.deadline);
        let json = visit.run(&tab, &answer, run).await?;
        let result = visit.result(&tab).await?;
        Ok(Response::new(EvaluateResponse { json, result }))
    }

    async fn content(
        &self,
        request: Request<ContentRequest>,
    ) -> Result<Response<ContentResponse>, Status> {
        let call = call(&request)?;
        let message = request.into_inner();
        let page = message.page.unwrap_or_default();
        let mut wrong = Vec::new();
        let (html, text, want) = read::contents(&message.formats, &mut wrong);
        let most = read::most(message.max_bytes, &mut wrong);
        sound(wrong)?;
        let visit = Visit::begin(&self.broker, &call, &page.lease_id).await?;
        let tab = visit.tab(&page).await?;
        let by = visit.deadline;
        let answer = Answer::default();
        let read = visit.run(&tab, &answer, tab.document(most, by));
        let (markup, visible, url) = read.await?;
        let mut contents = FetchContents {
            html: html.then(|| markup.clone()),
            text: text.then_some(visible),
            ..FetchContents::default()
        };
        if want != Want::default() {
            let read = self.broker.read(&visit.owner, markup, &url, want, by);
            let read = read.await.map_err(|error| visit.failed(error))?;
            contents.markdown = read.markdown.map(|text| text.text);
            contents.links = read.links.map(fetch_content::links);
            contents.metadata = read.metadata.map(fetch_content::metadata);
        }
        Ok(Response::new(ContentResponse {
            page: Some(visit.page(&tab).await?),
            contents: Some(contents),
        }))
    }

    async fn screenshot(
        &self,
        request: Request<ScreenshotRequest>,
    ) -> Result<Response<ScreenshotResponse>, Status> {
        let call = call(&request)?;
        let message = request.into_inner();
        let page = message.page.unwrap_or_default();
        let mut wrong = Vec::new();
        let how = fetch_picture::screenshot(message.options.as_ref(), &mut wrong);
        let element = read::locator("element", message.element, &mut wrong);
        let most = read::most(message.max_bytes, &mut wrong);
        sound(wrong)?;
        let visit = Visit::begin(&self.broker, &call, &page.lease_id).await?;
        let tab = visit.tab(&page).await?;
        let take = tab.screenshot(&how, element.as_ref(), most, visit.deadline);
        let picture = visit.run(&tab, &Answer::default(), take).await?;
        Ok(Response::new(ScreenshotResponse {
            image: picture.bytes,
            clipped: picture.clipped,
            page: Some(visit.page(&tab).await?),
        }))
    }

    async fn pdf(&self, request: Request<PdfRequest>) -> Result<Response<PdfResponse>, Status> {
        let call = call(&request)?;
        let message = request.into_inner();
        let page = message.page.unwrap_or_default();
        let mut wrong = Vec::new();
        let how = fetch_picture::pdf(message.options.as_ref(), &mut wrong);
        let most = read::most(message.max_bytes, &mut wrong);
        sound(wrong)?;
        let visit = Visit::begin(&self.broker, &call, &page.lease_id).await?;
        let tab = visit.tab(&page).await?;
        let print = tab.pdf(&how, most, visit.deadline);
        let pdf = visit.run(&tab, &Answer::default(), print).await?;
        Ok(Response::new(PdfResponse {
            pdf,
            page: Some(visit.page(&tab).await?),
        }))
    }

    async fn list_pages(
        &self,
        request: Request<ListPagesRequest>,
    ) -> Result<Response<ListPagesResponse>, Status> {
        let call = call(&request)?;
        let lease = request.into_inner().lease_id;
        let visit = Visit::begin(&self.broker, &call, &lease).await?;
        Ok(Response::new(ListPagesResponse {
            pages: visit.pages().await?,
            events: visit.events(),
        }))
    }

    async fn new_page(
        &self,
        request: Request<NewPageRequest>,
    ) -> Result<Response<NewPageResponse>, Status> {
        let call = call(&request)?;
        let message = request.into_inner();
        let mut wrong = Vec::new();
        if !message.url.is_empty() {
            read::url("url", &message.url, &mut wrong);
        }
        let viewport = message.viewport;
        let size =
            viewport.and_then(|size| browser_options::viewport("viewport", size, &mut wrong));
        let wait = fetch_page::wait("wait_until", message.wait_until, &mut wrong);
        sound(wrong)?;
        let visit = Visit::begin(&self.broker, &call, &message.lease_id).await?;
        let by = visit.deadline;
        let opened = visit.driven.run(visit.driver().new_page(size, by)).await;
        let tab = opened.map_err(|error| visit.failed(error))?;
        let mut status = 0;
        if !message.url.is_empty() {
            let way = Way::Url(message.url);
            let go = visit.driver().go(&tab, &way, wait, by);
            status = visit.run(&tab, &Answer::default(), go).await?;
        }
        let result = visit.result(&tab).await?;
        Ok(Response::new(NewPageResponse { result, status }))
    }

    async fn activate_page(
        &self,
        request: Request<ActivatePageRequest>,
    ) -> Result<Response<ActivatePageResponse>, Status> {
        let call = call(&request)?;
        let page = request.into_inner().page.unwrap_or_default();
        let mut wrong = Vec::new();
        if page.page_id.is_empty() {
            wrong.push(Violation::new("page.page_id", "must not be empty"));
        }
        sound(wrong)?;
        let visit = Visit::begin(&self.broker, &call, &page.lease_id).await?;
        let tab = visit.tab(&page).await?;
        let activate = visit.driver().activate(&tab, visit.deadline);
        visit.run(&tab, &Answer::default(), activate).await?;
        let result = visit.result(&tab).await?;
        Ok(Response::new(ActivatePageResponse { result }))
    }

    async fn close_page(
        &self,
        request: Request<ClosePageRequest>,
    ) -> Result<Response<ClosePageResponse>, Status> {
        let call = call(&request)?;
        let page = request.into_inner().page.unwrap_or_default();
        let visit = Visit::begin(&self.broker, &call, &page.lease_id).await?;
        let tab = visit.tab(&page).await?;
        let close = visit.driver().close(&tab, visit.deadline);
        visit.run(&tab, &Answer::default(), close).await?;
        Ok(Response::new(ClosePageResponse {
            pages: visit.pages().await?,
        }))
    }
}
