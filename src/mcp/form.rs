//! Tools that fill in what pages ask for.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{
    answer::Answer,
    args::{self, FieldKind},
    elements::{called, element},
    failure::Failure,
    session::Session,
};
use crate::proto::{
    ActionResult, ElementRef, FillRequest, PageRef, PressRequest, SelectOptionRequest, TypeRequest,
    UploadFile, UploadFilesRequest,
};

const MOST_FIELDS: usize = 50;

pub(super) async fn type_text(session: &Session, args: args::Type) -> Result<Answer, Failure> {
    let wanted = element(&args.target)?;
    let (page, notice) = session.page().await?;
    let mut result = if args.slowly {
        let request = TypeRequest {
            page: page.clone(),
            element: wanted.clone(),
            text: args.text,
            submit: args.submit,
            dialogs: session.dialogs(),
        };
        let request = session.action(request);
        session
            .broker
            .pages()
            .r#type(request)
            .await?
            .into_inner()
            .result
    } else {
        put(session, page.clone(), wanted.clone(), args.text).await?
    };
    if args.submit && !args.slowly {
        let request = PressRequest {
            page: page.clone(),
            element: wanted,
            key: "Enter".into(),
            dialogs: session.dialogs(),
        };
        let request = session.action(request);
        let pressed = session
            .broker
            .pages()
            .press(request)
            .await?
            .into_inner()
            .result;
        result = joined(result, pressed);
    }
    let answer = Answer::done(
        notice,
        &format!(
            "Typed into {}.",
            called(args.element.as_ref(), &args.target)
        ),
    );
    answer
        .acted(session, page, result, args.snapshot_max_length)
        .await
}

async fn put(
    session: &Session,
    page: Option<PageRef>,
    wanted: Option<ElementRef>,
    value: String,
) -> Result<Option<ActionResult>, Failure> {
    let request = FillRequest {
        page,
        element: wanted,
        value,
        dialogs: session.dialogs(),
    };
    let request = session.action(request);
    Ok(session
        .broker
        .pages()
        .fill(request)
        .await?
        .into_inner()
        .result)
}

async fn choose(
    session: &Session,
    page: Option<PageRef>,
    wanted: Option<ElementRef>,
    values: Vec<String>,
) -> Result<Option<ActionResult>, Failure> {
    let request = SelectOptionRequest {
        page,
        element: wanted,
        values,
        dialogs: session.dialogs(),
    };
    let request = session.action(request);
    let selected = session.broker.pages().select_option(request).await?;
    Ok(selected.into_inner().result)
}

/// Two results as one: the page of the later, the events of both.
fn joined(one: Option<ActionResult>, other: Option<ActionResult>) -> Option<ActionResult> {
    let mut events = one.unwrap_or_default().events;
    let mut last = other.unwrap_or_default();
    events.append(&mut last.events);
    Some(ActionResult { events, ..last })
}

pub(super) async fn fill(session: &Session, args: args::FillForm) -> Result<Answer, Failure> {
    if args.fields.is_empty() || args.fields.len() > MOST_FIELDS {
        let what = format!("{} fields are not 1 to {MOST_FIELDS}", args.fields.len());
        return Err(Failure::new(what, "Mend the arguments."));
    }
    // All of them are understood before the first is filled in.
    let mut wanted = Vec::new();
    for field in &args.fields {
        wanted.push(element(&field.target)?);
    }
    let (page, notice) = session.page().await?;
    let mut result = None;
    for (at, (field, wanted)) in args.fields.into_iter().zip(wanted).enumerate() {
        let called = field.name.clone().unwrap_or_else(|| field.target.clone());
        let filled = match field.kind {
            FieldKind::Combobox => choose(session, page.clone(), wanted, vec![field.value]).await,
            FieldKind::Textbox | FieldKind::Checkbox | FieldKind::Radio | FieldKind::Slider => {
                put(session, page.clone(), wanted, field.value).await
            }
        };
        let filled = filled.map_err(|failure| {
            let what =
                format!("{at} fields are filled in; the next, {called:?}, is not: {failure}");
            Failure::new(what, "")
        })?;
        result = joined(result, filled);
    }
    let answer = Answer::noting(notice);
    answer
        .acted(session, page, result, args.snapshot_max_length)
        .await
}

pub(super) async fn select(session: &Session, args: args::SelectOption) -> Result<Answer, Failure> {
    let wanted = element(&args.target)?;
    let (page, notice) = session.page().await?;
    let result = choose(session, page.clone(), wanted, args.values).await?;
    let answer = Answer::done(
        notice,
        &format!(
            "Selected in {}.",
            called(args.element.as_ref(), &args.target)
        ),
    );
    answer
        .acted(session, page, result, args.snapshot_max_length)
        .await
}

pub(super) async fn upload(session: &Session, args: args::Upload) -> Result<Answer, Failure> {
    let wanted = element(&args.target)?;
    let mut files = Vec::new();
    for file in args.files {
        let wrong = |what| {
            Failure::new(
                format!("the file {:?}: {what}", file.name),
                "Mend the arguments.",
            )
        };
        let content = match (file.text, file.base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(base64)) => {
                let decoded = BASE64_STANDARD.decode(base64);
                decoded.map_err(|_| wrong("its base64 is none"))?
            }
            _ => return Err(wrong("one of text and base64 must be given")),
        };
        files.push(UploadFile {
            name: file.name,
            content: content.into(),
        });
    }
    let (page, notice) = session.page().await?;
    let request = UploadFilesRequest {
        page: page.clone(),
        element: wanted,
        files,
        dialogs: session.dialogs(),
    };
    let request = session.action(request);
    let uploaded = session
        .broker
        .pages()
        .upload_files(request)
        .await?
        .into_inner();
    let answer = Answer::noting(notice);
    answer
        .acted(session, page, uploaded.result, args.snapshot_max_length)
        .await
}
