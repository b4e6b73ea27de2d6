//! Tools that move about in pages.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    answer::Answer,
    args::{self, Button, Modifier},
    elements::{called, element, optional},
    failure::Failure,
    session::Session,
};
use crate::{
    client::within,
    proto::{
        self, ClickRequest, DragRequest, HistoryStep, HoverRequest, MouseButton, NavigateRequest,
        PressRequest, ScrollRequest, WaitForRequest, WaitUntil, wait_for_request::Condition,
    },
};

/// How long a page may take to come.
const NAVIGATION: Duration = Duration::from_secs(30);
/// How long something may be waited for.
const WAIT: Duration = Duration::from_secs(30);

pub(super) async fn navigate(session: &Session, args: args::Navigate) -> Result<Answer, Failure> {
    let request = NavigateRequest {
        url: args.url,
        ..NavigateRequest::default()
    };
    go(session, request, args.snapshot_max_length).await
}

pub(super) async fn back(session: &Session, args: args::Plain) -> Result<Answer, Failure> {
    let request = NavigateRequest {
        history: HistoryStep::Back.into(),
        ..NavigateRequest::default()
    };
    go(session, request, args.snapshot_max_length).await
}

async fn go(session: &Session, request: NavigateRequest, most: u32) -> Result<Answer, Failure> {
    let (page, notice) = session.page().await?;
    let request = NavigateRequest {
        page: page.clone(),
        // What comes later is waited for on purpose.
        wait_until: WaitUntil::DomContentLoaded.into(),
        dialogs: session.dialogs(),
        ..request
    };
    let request = within(request, NAVIGATION);
    let gone = session.broker.pages().navigate(request).await?.into_inner();
    let mut answer = Answer::noting(notice);
    if gone.status >= 400 {
        answer.say(&format!("The server answered with status {}.", gone.status));
    }
    answer.set("status", gone.status);
    answer.acted(session, page, gone.result, most).await
}

pub(super) async fn click(session: &Session, args: args::Click) -> Result<Answer, Failure> {
    let wanted = element(&args.target)?;
    let (page, notice) = session.page().await?;
    let button = match args.button {
        Button::Left => MouseButton::Left,
        Button::Right => MouseButton::Right,
        Button::Middle => MouseButton::Middle,
    };
    let modifiers = args.modifiers.into_iter().map(|one| match one {
        Modifier::Alt => proto::Modifier::Alt,
        Modifier::Control | Modifier::ControlOrMeta => proto::Modifier::Control,
        Modifier::Meta => proto::Modifier::Meta,
        Modifier::Shift => proto::Modifier::Shift,
    });
    let request = ClickRequest {
        page: page.clone(),
        element: wanted,
        button: button.into(),
        count: if args.double { 2 } else { 1 },
        modifiers: modifiers.map(Into::into).collect(),
        dialogs: session.dialogs(),
    };
    let request = session.action(request);
    let clicked = session.broker.pages().click(request).await?.into_inner();
    let answer = Answer::done(
        notice,
        &format!("Clicked {}.", called(args.element.as_ref(), &args.target)),
    );
    answer
        .acted(session, page, clicked.result, args.snapshot_max_length)
        .await
}

pub(super) async fn hover(session: &Session, args: args::Hover) -> Result<Answer, Failure> {
    let wanted = element(&args.target)?;
    let (page, notice) = session.page().await?;
    let request = HoverRequest {
        page: page.clone(),
        element: wanted,
    };
    let request = session.action(request);
    let hovered = session.broker.pages().hover(request).await?.into_inner();
    let answer = Answer::done(
        notice,
        &format!(
            "The mouse is over {}.",
            called(args.element.as_ref(), &args.target)
        ),
    );
    answer
        .acted(session, page, hovered.result, args.snapshot_max_length)
        .await
}

pub(super) async fn drag(session: &Session, args: args::Drag) -> Result<Answer, Failure> {
    let (from, to) = (element(&args.start)?, element(&args.end)?);
    let (page, notice) = session.page().await?;
    let request = DragRequest {
        page: page.clone(),
        element: from,
        target: to,
        dialogs: session.dialogs(),
    };
    let request = session.action(request);
    let dragged = session.broker.pages().drag(request).await?.into_inner();
    let answer = Answer::done(
        notice,
        &format!(
            "Dragged {} to {}.",
            called(args.start_element.as_ref(), &args.start),
            called(args.end_element.as_ref(), &args.end)
        ),
    );
    answer
        .acted(session, page, dragged.result, args.snapshot_max_length)
        .await
}

pub(super) async fn press(session: &Session, args: args::PressKey) -> Result<Answer, Failure> {
    let (page, notice) = session.page().await?;
    let request = PressRequest {
        page: page.clone(),
        element: None,
        key: args.key.clone(),
        dialogs: session.dialogs(),
    };
    let request = session.action(request);
    let pressed = session.broker.pages().press(request).await?.into_inner();
    let answer = Answer::done(notice, &format!("Pressed {}.", args.key));
    answer
        .acted(session, page, pressed.result, args.snapshot_max_length)
        .await
}

pub(super) async fn scroll(session: &Session, args: args::Scroll) -> Result<Answer, Failure> {
    let wanted = optional(args.target.as_deref())?;
    let (page, notice) = session.page().await?;
    let request = ScrollRequest {
        page: page.clone(),
        element: wanted,
        delta_x: args.right,
        delta_y: args.down,
    };
    let request = session.action(request);
    let scrolled = session.broker.pages().scroll(request).await?.into_inner();
    let answer = Answer::done(notice, "Scrolled.");
    answer
        .acted(session, page, scrolled.result, args.snapshot_max_length)
        .await
}

pub(super) async fn wait(session: &Session, args: args::WaitFor) -> Result<Answer, Failure> {
    let conditions = [
        args.text.map(Condition::Text),
        args.text_gone.map(Condition::TextGone),
    ];
    let mut conditions: Vec<_> = conditions.into_iter().flatten().collect();
    if conditions.is_empty() && args.time.is_none() {
        let next = "Give text, textGone or time.";
        return Err(Failure::new("there is nothing to wait for", next));
    }
    let (page, notice) = session.page().await?;
    if let Some(seconds) = args.time {
        let wait = Duration::try_from_secs_f64(seconds).unwrap_or(WAIT);
        sleep(wait.min(WAIT)).await;
    }
    // Without one the page is asked where it is.
    if conditions.is_empty() {
        conditions.push(Condition::Url("*".into()));
    }
    let mut result = None;
    for condition in conditions {
        let request = WaitForRequest {
            page: page.clone(),
            condition: Some(condition),
            dialogs: session.dialogs(),
        };
        let request = within(request, WAIT);
        let waited = session.broker.pages().wait_for(request).await?.into_inner();
        result = waited.result;
    }
    let answer = Answer::noting(notice);
    answer
        .acted(session, page, result, args.snapshot_max_length)
        .await
}
