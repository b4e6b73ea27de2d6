//! What `PageService` does to elements: reads what is asked, does it, answers what became of it.

use tonic::{Request, Response, Status};

use super::{
    page_calls::{Visit, call, sound},
    page_messages as read,
};
use crate::{
    broker::Broker,
    page::Answer,
    proto::{
        ClickRequest, ClickResponse, DragRequest, DragResponse, FillRequest, FillResponse,
        HoverRequest, HoverResponse, PressRequest, PressResponse, ScrollRequest, ScrollResponse,
        SelectOptionRequest, SelectOptionResponse, TypeRequest, TypeResponse, WaitForRequest,
        WaitForResponse,
    },
};

pub(super) async fn click(
    broker: &Broker,
    request: Request<ClickRequest>,
) -> Result<Response<ClickResponse>, Status> {
    let call = call(&request)?;
    let message = request.into_inner();
    let mut wrong = Vec::new();
    let how = read::click(&message, &mut wrong);
    let element = read::must("element", message.element, &mut wrong);
    let answer = read::answer(message.dialogs, &mut wrong);
    sound(wrong)?;
    let act = Visit::act(broker, &call, message.page, &answer, |tab, by| {
        Box::pin(async move { tab.click(&element, &how, by).await })
    });
    let result = act.await?;
    Ok(Response::new(ClickResponse { result }))
}

pub(super) async fn hover(
    broker: &Broker,
    request: Request<HoverRequest>,
) -> Result<Response<HoverResponse>, Status> {
    let call = call(&request)?;
    let message = request.into_inner();
    let mut wrong = Vec::new();
    let element = read::must("element", message.element, &mut wrong);
    let answer = Answer::default();
    sound(wrong)?;
    let act = Visit::act(broker, &call, message.page, &answer, |tab, by| {
        Box::pin(async move { tab.hover(&element, by).await })
    });
    let result = act.await?;
    Ok(Response::new(HoverResponse { result }))
}

pub(super) async fn drag(
    broker: &Broker,
    request: Request<DragRequest>,
) -> Result<Response<DragResponse>, Status> {
    let call = call(&request)?;
    let message = request.into_inner();
    let mut wrong = Vec::new();
    let element = read::must("element", message.element, &mut wrong);
    let target = read::must("target", message.target, &mut wrong);
    let answer = read::answer(message.dialogs, &mut wrong);
    sound(wrong)?;
    let act = Visit::act(broker, &call, message.page, &answer, |tab, by| {
        Box::pin(async move { tab.drag(&element, &target, by).await })
    });
    let result = act.await?;
    Ok(Response::new(DragResponse { result }))
}

pub(super) async fn fill(
    broker: &Broker,
    request: Request<FillRequest>,
) -> Result<Response<FillResponse>, Status> {
    let call = call(&request)?;
    let message = request.into_inner();
    let mut wrong = Vec::new();
    let element = read::must("element", message.element, &mut wrong);
    read::text("value", &message.value, read::LONGEST_VALUE, &mut wrong);
    let answer = read::answer(message.dialogs, &mut wrong);
    let value = message.value;
    sound(wrong)?;
    let act = Visit::act(broker, &call, message.page, &answer, |tab, by| {
        Box::pin(async move { tab.fill(&element, &value, by).await })
    });
    let result = act.await?;
    Ok(Response::new(FillResponse { result }))
}

pub(super) async fn r#type(
    broker: &Broker,
    request: Request<TypeRequest>,
) -> Result<Response<TypeResponse>, Status> {
    let call = call(&request)?;
    let message = request.into_inner();
    let mut wrong = Vec::new();
    let element = read::locator("element", message.element, &mut wrong);
    read::typed(&message.text, message.submit, &mut wrong);
    let answer = read::answer(message.dialogs, &mut wrong);
    let (text, submit) = (message.text, message.submit);
    sound(wrong)?;
    let act = Visit::act(broker, &call, message.page, &answer, |tab, by| {
        Box::pin(async move { tab.type_text(element.as_ref(), &text, submit, by).await })
    });
    let result = act.await?;
    Ok(Response::new(TypeResponse { result }))
}

pub(super) async fn press(
    broker: &Broker,
    request: Request<PressRequest>,
) -> Result<Response<PressResponse>, Status> {
    let call = call(&request)?;
    let message = request.into_inner();
    let mut wrong = Vec::new();
    let element = read::locator("element", message.element, &mut wrong);
    let answer = read::answer(message.dialogs, &mut wrong);
    let key = message.key;
    sound(wrong)?;
    let act = Visit::act(broker, &call, message.page, &answer, |tab, by| {
        Box::pin(async move { tab.press(element.as_ref(), &key, by).await })
    });
    let result = act.await?;
    Ok(Response::new(PressResponse { result }))
}

pub(super) async fn select_option(
    broker: &Broker,
    request: Request<SelectOptionRequest>,
) -> Result<Response<SelectOptionResponse>, Status> {
    let call = call(&request)?;
    let message = request.into_inner();
    let mut wrong = Vec::new();
    let element = read::must("element", message.element, &mut wrong);
    read::options(&message.values, &mut wrong);
    let answer = read::answer(message.dialogs, &mut wrong);
    let values = message.values;
    sound(wrong)?;
    let act = Visit::act(broker, &call, message.page, &answer, |tab, by| {
        Box::pin(async move { tab.select(&element, &values, by).await })
    });
    let result = act.await?;
    Ok(Response::new(SelectOptionResponse { result }))
}

pub(super) async fn scroll(
    broker: &Broker,
    request: Request<ScrollRequest>,
) -> Result<Response<ScrollResponse>, Status> {
    let call = call(&request)?;
    let message = request.into_inner();
    let mut wrong = Vec::new();
    let element = read::locator("element", message.element, &mut wrong);
    let answer = Answer::default();
    let by_how = (message.delta_x, message.delta_y);
    sound(wrong)?;
    let act = Visit::act(broker, &call, message.page, &answer, |tab, by| {
        Box::pin(async move { tab.scroll(element.as_ref(), by_how, by).await })
    });
    let result = act.await?;
    Ok(Response::new(ScrollResponse { result }))
}

pub(super) async fn wait_for(
    broker: &Broker,
    request: Request<WaitForRequest>,
) -> Result<Response<WaitForResponse>, Status> {
    let call = call(&request)?;
    let message = request.into_inner();
    let mut wrong = Vec::new();
    let condition = read::condition(message.condition, &mut wrong);
    let answer = read::answer(message.dialogs, &mut wrong);
    sound(wrong)?;
    let act = Visit::act(broker, &call, message.page, &answer, |tab, by| {
        Box::pin(async move { tab.wait_for(&condition, by).await })
    });
    let result = act.await?;
    Ok(Response::new(WaitForResponse { result }))
}
