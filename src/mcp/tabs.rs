//! Tools about the browser as a whole: its tabs, its end, how dialogs are answered.

use std::time::Duration;

use serde_json::json;

use super::{
    answer::Answer,
    args::{self, TabAction},
    budget::aside,
    failure::Failure,
    session::Session,
};
use crate::{
    client::within,
    proto::{
        ActivatePageRequest, ClosePageRequest, DialogAnswer, ListPagesRequest, NewPageRequest,
        Page, PageRef, WaitUntil,
    },
};

/// So many tabs are told.
const MOST: usize = 50;
/// How long a page may take to come.
const NAVIGATION: Duration = Duration::from_secs(30);

pub(super) async fn run(session: &Session, args: args::Tabs) -> Result<Answer, Failure> {
    let browser = session.browser().await?;
    let lease_id = browser.lease.id.clone();
    let mut answer = Answer::noting(browser.notice);
    let mut client = session.broker.pages();
    match args.action {
        TabAction::List => {}
        TabAction::New => {
            let request = NewPageRequest {
                lease_id: lease_id.clone(),
                url: args.url.unwrap_or_default(),
                wait_until: WaitUntil::DomContentLoaded.into(),
                ..NewPageRequest::default()
            };
            let request = within(request, NAVIGATION);
            let opened = client.new_page(request).await?.into_inner();
            answer.events(session, &opened.result.unwrap_or_default().events);
        }
        TabAction::Select => {
            let page = nth(session, &lease_id, args.index).await?;
            let request = ActivatePageRequest { page: Some(page) };
            let request = session.action(request);
            client.activate_page(request).await?;
        }
        TabAction::Close => {
            let page = match args.index {
                None => PageRef {
                    lease_id: lease_id.clone(),
                    page_id: String::new(),
                },
                index => nth(session, &lease_id, index).await?,
            };
            let request = ClosePageRequest { page: Some(page) };
            let request = session.action(request);
            client.close_page(request).await?;
        }
    }
    let mut pages = pages(session, &lease_id).await?;
    for page in &mut pages {
        (page.url, page.title) = (aside(&page.url), aside(&page.title));
    }
    answer.say("Tabs:");
    for (index, page) in pages.iter().enumerate().take(MOST) {
        let current = if page.current { " (current)" } else { "" };
        answer.say(&format!(
            "- {index}{current}: {} — {}",
            page.url, page.title
        ));
    }
    if pages.len() > MOST {
        answer.say(&format!("- and {} more", pages.len() - MOST));
    }
    if pages.is_empty() {
        answer.say("none: open one with action new");
    }
    let tabs = pages.iter().enumerate().take(MOST).map(|(index, page)| {
        json!({ "index": index, "url": page.url, "title": page.title, "current": page.current })
    });
    answer.set("tabs", tabs.collect::<Vec<_>>());
    Ok(answer)
}

async fn pages(session: &Session, lease_id: &str) -> Result<Vec<Page>, Failure> {
    let request = ListPagesRequest {
        lease_id: lease_id.to_owned(),
    };
    let request = session.action(request);
    let listed = session
        .broker
        .pages()
        .list_pages(request)
        .await?
        .into_inner();
    session.remember(&listed.events);
    Ok(listed.pages)
}

async fn nth(session: &Session, lease_id: &str, index: Option<usize>) -> Result<PageRef, Failure> {
    let Some(index) = index else {
        let next = "Give the index of a tab, as action list shows them.";
        return Err(Failure::new("there is no index", next));
    };
    let pages = pages(session, lease_id).await?;
    let count = pages.len();
    let page = pages.into_iter().nth(index).ok_or_else(|| {
        let what = format!("there is no tab {index}: there are {count}");
        Failure::new(what, "Use an index that action list shows.")
    })?;
    Ok(PageRef {
        lease_id: lease_id.to_owned(),
        page_id: page.id,
    })
}

pub(super) async fn close(session: &Session, _: args::Nothing) -> Result<Answer, Failure> {
    let was = session.give_back().await;
    let mut answer = Answer::default();
    answer.say(if was {
        "The browser was given back, with everything in it."
    } else {
        "There was no browser."
    });
    answer.set("done", true);
    Ok(answer)
}

pub(super) fn dialog(session: &Session, args: args::HandleDialog) -> Result<Answer, Failure> {
    session.answer_dialogs(DialogAnswer {
        accept: args.accept,
        prompt_text: args.prompt_text,
    });
    let mut answer = Answer::default();
    let how = if args.accept { "OK" } else { "Cancel" };
    answer.say(&format!(
        "Dialogs of the next action are answered by {how}, and one that is open now as well: act, or \
         repeat the action that opened it."
    ));
    answer.set("done", true);
    Ok(answer)
}
