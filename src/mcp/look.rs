//! Tools that look at pages.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use rmcp::model::ContentBlock;

use super::{
    answer::{Answer, parts, told},
    args::{self, Format, Picture},
    budget::{aside, part},
    elements::optional,
    failure::Failure,
    fetch,
    session::Session,
};
use crate::{
    client::within,
    proto::{
        ContentRequest, EvaluateRequest, ImageFormat, PageEvent, PdfRequest, ScreenshotOptions,
        ScreenshotRequest, SnapshotRequest, page_event::Event,
    },
};

/// How long looking may take.
const LOOK: Duration = Duration::from_secs(30);

pub(super) async fn snapshot(session: &Session, args: args::Snapshot) -> Result<Answer, Failure> {
    let wanted = optional(args.target.as_deref())?;
    let (page, notice) = session.page().await?;
    let request = SnapshotRequest {
        page,
        max_bytes: args.max_length.max(256),
        cursor: args.cursor.unwrap_or_default(),
        element: wanted,
        changes_only: args.changes_only,
    };
    let request = within(request, LOOK);
    let seen = session.broker.pages().snapshot(request).await?.into_inner();
    let mut answer = Answer::noting(notice);
    answer.page(&seen.page.clone().unwrap_or_default());
    answer.events(session, &seen.events);
    let what = if args.changes_only {
        "Changes"
    } else {
        "Snapshot"
    };
    answer.snapshot(&seen, what);
    Ok(answer)
}

pub(super) async fn screenshot(
    session: &Session,
    args: args::Screenshot,
) -> Result<Answer, Failure> {
    let wanted = optional(args.target.as_deref())?;
    let (page, notice) = session.page().await?;
    let (format, kind) = match args.kind {
        Picture::Png => (ImageFormat::Png, "image/png"),
        Picture::Jpeg => (ImageFormat::Jpeg, "image/jpeg"),
        Picture::Webp => (ImageFormat::Webp, "image/webp"),
    };
    let options = ScreenshotOptions {
        format: format.into(),
        full_page: args.full_page && wanted.is_none(),
        ..ScreenshotOptions::default()
    };
    let request = ScreenshotRequest {
        page,
        options: Some(options),
        element: wanted,
        max_bytes: 32 << 20,
    };
    let request = within(request, LOOK);
    let taken = session
        .broker
        .pages()
        .screenshot(request)
        .await?
        .into_inner();
    let mut answer = Answer::noting(notice);
    answer.page(&taken.page.unwrap_or_default());
    if taken.clipped {
        answer.say("The page is longer than a picture may be: the rest is left out.");
    }
    let size = taken.image.len();
    let kept = session.store.lock().keep("screenshot", kind, taken.image);
    if size <= args.max_bytes {
        let of = args.element.as_deref().unwrap_or("the page");
        answer.say(&format!("Screenshot of {of}: {size} bytes."));
        answer.show(ContentBlock::image(
            BASE64_STANDARD.encode(&kept.bytes),
            kind,
        ));
    } else {
        answer.link(&kept);
    }
    Ok(answer)
}

pub(super) async fn pdf(session: &Session, _: args::Nothing) -> Result<Answer, Failure> {
    let (page, notice) = session.page().await?;
    let request = PdfRequest {
        page,
        max_bytes: 32 << 20,
        ..PdfRequest::default()
    };
    let request = within(request, LOOK);
    let printed = session.broker.pages().pdf(request).await?.into_inner();
    let mut answer = Answer::noting(notice);
    answer.page(&printed.page.unwrap_or_default());
    answer.keep(session, "page.pdf", "application/pdf", printed.pdf);
    Ok(answer)
}

pub(super) async fn evaluate(session: &Session, args: args::Evaluate) -> Result<Answer, Failure> {
    let key = format!("evaluate {:?} {}", args.target, args.function);
    if args.start_index > 0
        && let Some(text) = session.text(&key)
    {
        let answer = Answer::default();
        return Ok(told_in_parts(
            answer,
            &text,
            args.start_index,
            args.max_length,
        ));
    }
    let wanted = optional(args.target.as_deref())?;
    let (page, notice) = session.page().await?;
    let request = EvaluateRequest {
        page,
        expression: args.function,
        element: wanted,
        dialogs: session.dialogs(),
        max_bytes: 16 << 20,
    };
    let request = within(request, LOOK);
    let evaluated = session.broker.pages().evaluate(request).await?.into_inner();
    let mut answer = Answer::noting(notice);
    answer.events(session, &evaluated.result.unwrap_or_default().events);
    let answer = told_in_parts(answer, &evaluated.json, args.start_index, args.max_length);
    session.keep_text(key, evaluated.json);
    Ok(answer)
}

pub(super) async fn content(session: &Session, args: args::Content) -> Result<Answer, Failure> {
    let key = format!("content {:?}", args.format);
    if args.start_index > 0
        && let Some(text) = session.text(&key)
    {
        let answer = Answer::default();
        return Ok(told_in_parts(
            answer,
            &text,
            args.start_index,
            args.max_length,
        ));
    }
    let (page, notice) = session.page().await?;
    let request = ContentRequest {
        page,
        formats: vec![fetch::format(args.format).into()],
        max_bytes: 16 << 20,
    };
    let request = within(request, LOOK);
    let read = session.broker.pages().content(request).await?.into_inner();
    let mut answer = Answer::noting(notice);
    let page = read.page.unwrap_or_default();
    answer.say(&format!(
        "Page: {} — {}",
        aside(&page.url),
        aside(&page.title)
    ));
    let text = fetch::text(read.contents.unwrap_or_default(), args.format);
    if text.trim().is_empty() {
        let next = match args.format {
            Format::Markdown => "Try format text, or browser_snapshot.",
            _ => "Try browser_snapshot, or browser_wait_for when the page is still loading.",
        };
        return Err(Failure::new("the page has no such content", next));
    }
    let answer = told_in_parts(answer, &text, args.start_index, args.max_length);
    session.keep_text(key, text);
    Ok(answer)
}

pub(super) fn consoles(session: &Session, args: args::Messages) -> Result<Answer, Failure> {
    list(session, &args, "console messages", |event| {
        match &event.event {
            Some(Event::Console(said)) => Some(format!(
                "[{}] {} ({})",
                said.level, said.text, said.location
            )),
            Some(Event::Exception(thrown)) => Some(format!("[exception] {}", thrown.text)),
            _ => None,
        }
    })
}

pub(super) fn requests(session: &Session, args: args::Messages) -> Result<Answer, Failure> {
    list(session, &args, "failed requests", |event| {
        match &event.event {
            Some(Event::RequestFailure(_)) => told(&PageEvent {
                earlier: false,
                ..event.clone()
            }),
            _ => None,
        }
    })
}

fn list(
    session: &Session,
    args: &args::Messages,
    what: &str,
    line: impl Fn(&PageEvent) -> Option<String>,
) -> Result<Answer, Failure> {
    let remembered = session.remembered();
    let lines: Vec<_> = remembered.iter().filter_map(line).collect();
    let mut answer = Answer::default();
    if lines.is_empty() {
        answer.say(&format!("There were no {what} in this session."));
        answer.set("total_length", 0);
        return Ok(answer);
    }
    let text = lines.join("\n");
    Ok(told_in_parts(
        answer,
        &text,
        args.start_index,
        args.max_length,
    ))
}

/// A text, or the part of it that was asked for, marked when it is not all.
pub(super) fn told_in_parts(mut answer: Answer, text: &str, start: usize, most: usize) -> Answer {
    let part = part(text, start, most);
    if part.text.is_empty() && start > 0 {
        answer.say(&format!(
            "There is nothing at {start}: it has {} characters.",
            part.total
        ));
    }
    answer.say(&part.text);
    if let Some(next) = part.next {
        answer.say(&format!(
            "[Truncated: characters {start} to {next} of {}. Call again with start_index {next} for more.]",
            part.total
        ));
    }
    if let serde_json::Value::Object(facts) = parts(part.total, part.next) {
        for (name, value) in facts {
            answer.set(&name, value);
        }
    }
    answer
}
