//! A client of `PageService`, short to write.

use berth::proto::{
    ActionResult, ClickRequest, DialogAnswer, DragRequest, ElementRef, EvaluateRequest,
    FillRequest, Lease, NavigateRequest, NavigateResponse, Page, PageEvent, PageRef, PressRequest,
    SelectOptionRequest, SnapshotRequest, SnapshotResponse, TypeRequest, WaitForRequest,
    element_ref::Element, page_event::Event, page_service_client::PageServiceClient,
    wait_for_request::Condition,
};
use tonic::{Status, transport::Channel};

use crate::support::{Broker, acquire, shop::Shop};

/// A leased browser, driven by gRPC alone, and a shop to go to.
pub struct Agent {
    pub lease: Lease,
    pub pages: PageServiceClient<Channel>,
    pub shop: Shop,
    pub page: Option<PageRef>,
}

pub fn by_ref(text: &str) -> Option<ElementRef> {
    let element = Some(Element::Ref(text.into()));
    Some(ElementRef { element })
}

pub fn by_text(text: &str) -> Option<ElementRef> {
    let element = Some(Element::Text(text.into()));
    Some(ElementRef { element })
}

pub fn by_selector(text: &str) -> Option<ElementRef> {
    let element = Some(Element::Selector(text.into()));
    Some(ElementRef { element })
}

pub const OK: Option<DialogAnswer> = Some(DialogAnswer {
    accept: true,
    prompt_text: String::new(),
});

impl Agent {
    pub async fn of(broker: &Broker) -> Self {
        let lease = acquire(&mut broker.leases(), Default::default()).await;
        let lease = lease.unwrap();
        let page = Some(PageRef {
            lease_id: lease.id.clone(),
            page_id: String::new(),
        });
        let pages = PageServiceClient::new(broker.connect().await);
        Self {
            lease,
            pages,
            shop: Shop::open().await,
            page,
        }
    }

    pub async fn leave(self, broker: &Broker) {
        broker.release(&self.lease).await;
        self.shop.close().await;
    }

    pub async fn go(&mut self, path: &str) -> NavigateResponse {
        let url = self.shop.url(path);
        self.try_url(&url).await.unwrap()
    }

    pub async fn try_url(&mut self, url: &str) -> Result<NavigateResponse, Status> {
        let request = NavigateRequest {
            page: self.page.clone(),
            url: url.into(),
            ..NavigateRequest::default()
        };
        Ok(self.pages.navigate(request).await?.into_inner())
    }

    pub async fn snapshot(&mut self) -> String {
        let request = SnapshotRequest {
            page: self.page.clone(),
            ..SnapshotRequest::default()
        };
        self.snapshot_as(request).await.unwrap().tree
    }

    pub async fn snapshot_as(
        &mut self,
        mut request: SnapshotRequest,
    ) -> Result<SnapshotResponse, Status> {
        request.page = self.page.clone();
        Ok(self.pages.snapshot(request).await?.into_inner())
    }

    pub async fn try_click(
        &mut self,
        element: Option<ElementRef>,
        dialogs: Option<DialogAnswer>,
    ) -> Result<ActionResult, Status> {
        let mut request = tonic::Request::new(ClickRequest {
            page: self.page.clone(),
            element,
            dialogs,
            ..ClickRequest::default()
        });
        request.set_timeout(std::time::Duration::from_secs(5));
        let clicked = self.pages.click(request).await?;
        Ok(clicked.into_inner().result.unwrap())
    }

    pub async fn click(&mut self, element: Option<ElementRef>) -> ActionResult {
        self.try_click(element, None).await.unwrap()
    }

    pub async fn fill(&mut self, element: Option<ElementRef>, value: &str) -> ActionResult {
        self.try_fill(element, value).await.unwrap()
    }

    pub async fn try_fill(
        &mut self,
        element: Option<ElementRef>,
        value: &str,
    ) -> Result<ActionResult, Status> {
        let request = FillRequest {
            page: self.page.clone(),
            element,
            value: value.into(),
            ..FillRequest::default()
        };
        let filled = self.pages.fill(request).await?;
        Ok(filled.into_inner().result.unwrap())
    }

    pub async fn type_text(&mut self, element: Option<ElementRef>, text: &str, submit: bool) {
        let request = TypeRequest {
            page: self.page.clone(),
            element,
            text: text.into(),
            submit,
            ..TypeRequest::default()
        };
        self.pages.r#type(request).await.unwrap();
    }

    pub async fn press(&mut self, element: Option<ElementRef>, key: &str) -> Result<(), Status> {
        let request = PressRequest {
            page: self.page.clone(),
            element,
            key: key.into(),
            ..PressRequest::default()
        };
        self.pages.press(request).await.map(drop)
    }

    pub async fn select(
        &mut self,
        element: Option<ElementRef>,
        values: &[&str],
    ) -> Result<(), Status> {
        let mut request = tonic::Request::new(SelectOptionRequest {
            page: self.page.clone(),
            element,
            values: values.iter().map(|one| (*one).into()).collect(),
            ..SelectOptionRequest::default()
        });
        request.set_timeout(std::time::Duration::from_secs(2));
        self.pages.select_option(request).await.map(drop)
    }

    pub async fn drag(&mut self, element: Option<ElementRef>, target: Option<ElementRef>) {
        let request = DragRequest {
            page: self.page.clone(),
            element,
            target,
            ..DragRequest::default()
        };
        self.pages.drag(request).await.unwrap();
    }

    pub async fn wait(&mut self, condition: Condition, millis: u64) -> Result<(), Status> {
        let mut request = tonic::Request::new(WaitForRequest {
            page: self.page.clone(),
            condition: Some(condition),
            ..WaitForRequest::default()
        });
        request.set_timeout(std::time::Duration::from_millis(millis));
        self.pages.wait_for(request).await.map(drop)
    }

    pub async fn see(&mut self, text: &str) {
        self.wait(Condition::Text(text.into()), 10_000)
            .await
            .unwrap();
    }

    pub async fn evaluate(&mut self, expression: &str) -> Result<String, Status> {
        self.evaluate_with(expression, None).await
    }

    pub async fn evaluate_with(
        &mut self,
        expression: &str,
        element: Option<ElementRef>,
    ) -> Result<String, Status> {
        let request = EvaluateRequest {
            page: self.page.clone(),
            expression: expression.into(),
            element,
            ..EvaluateRequest::default()
        };
        Ok(self.pages.evaluate(request).await?.into_inner().json)
    }
}

/// The reference in the line of a snapshot that has all of `words`.
pub fn reference(tree: &str, words: &[&str]) -> String {
    let has = |line: &&str| words.iter().all(|word| line.contains(word));
    let line = tree.lines().find(has);
    let line = line.unwrap_or_else(|| panic!("{words:?} is not in\n{tree}"));
    let (_, rest) = line.split_once("[ref=").unwrap_or_else(|| panic!("{line}"));
    rest.split_once(']').unwrap().0.to_owned()
}

pub fn happened(events: &[PageEvent]) -> Vec<&Event> {
    events.iter().filter_map(|one| one.event.as_ref()).collect()
}

pub fn page(result: &ActionResult) -> &Page {
    result.page.as_ref().unwrap()
}
