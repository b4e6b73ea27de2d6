//! To the messages of `PageService`: pages, and what happened in them.

use crate::{
    page::{
        Seen,
        events::{Event, What},
    },
    proto::{
        ConsoleMessage, Dialog, DownloadBegun, Page, PageEvent, PageException, PageOpened,
        RequestFailure, page_event,
    },
};

pub(super) fn page(seen: Seen) -> Page {
    Page {
        id: seen.id.to_string(),
        url: seen.url,
        title: seen.title,
        current: seen.current,
        opener_id: seen.opener.map(|id| id.to_string()).unwrap_or_default(),
    }
}

/// What happened, and in front of it how much was not kept.
pub(super) fn events((events, dropped): (Vec<Event>, u32)) -> Vec<PageEvent> {
    let lost = (dropped > 0).then(|| PageEvent {
        page_id: String::new(),
        earlier: true,
        event: Some(page_event::Event::Dropped(dropped)),
    });
    lost.into_iter()
        .chain(events.into_iter().map(event))
        .collect()
}

fn event(event: Event) -> PageEvent {
    PageEvent {
        page_id: event.page.to_string(),
        earlier: event.earlier,
        event: Some(what(event.what)),
    }
}

fn what(what: What) -> page_event::Event {
    match what {
        What::Console {
            level,
            text,
            location,
        } => page_event::Event::Console(ConsoleMessage {
            level,
            text,
            location,
        }),
        What::Exception(text) => page_event::Event::Exception(PageException { text }),
        What::Dialog {
            kind,
            message,
            accepted,
        } => page_event::Event::Dialog(Dialog {
            kind,
            message,
            accepted,
        }),
        What::Failed {
            method,
            url,
            status,
            error,
        } => page_event::Event::RequestFailure(RequestFailure {
            method,
            url,
            status,
            error,
        }),
        What::Opened { page, url } => page_event::Event::Opened(PageOpened {
            page_id: page.to_string(),
            url,
        }),
        What::Download { url, name } => page_event::Event::Download(DownloadBegun { url, name }),
    }
}
