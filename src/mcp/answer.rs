//! What a tool answers: words for the model, and the same facts as data for the host.

use std::fmt::Write as _;

use bytes::Bytes;
use rmcp::model::{CallToolResult, ContentBlock, Resource};
use serde_json::{Map, Value, json};

use super::{budget::aside, failure::Failure, session::Session, store::Kept};
use crate::proto::{
    ActionResult, Page, PageEvent, PageRef, SnapshotRequest, SnapshotResponse, page_event::Event,
};

/// So many events are told with an action.
const EVENTS: usize = 20;

/// An answer on its way.
#[derive(Debug, Default)]
pub(super) struct Answer {
    text: String,
    data: Map<String, Value>,
    blocks: Vec<ContentBlock>,
}

impl Answer {
    /// An answer that begins with what is to be noted.
    pub(super) fn noting(notice: Option<String>) -> Self {
        let mut answer = Self::default();
        if let Some(notice) = notice {
            answer.say(&notice);
        }
        answer
    }

    /// An answer that something was done.
    pub(super) fn done(notice: Option<String>, what: &str) -> Self {
        let mut answer = Self::noting(notice);
        answer.say(what);
        answer
    }

    pub(super) fn say(&mut self, line: &str) {
        self.text.push_str(line);
        if !line.ends_with('\n') {
            self.text.push('\n');
        }
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.data.insert(name.to_owned(), value.into());
    }

    pub(super) fn show(&mut self, block: ContentBlock) {
        self.blocks.push(block);
    }

    /// Where the page is.
    pub(super) fn page(&mut self, page: &Page) {
        let (url, title) = (aside(&page.url), aside(&page.title));
        let dash = if title.is_empty() { "" } else { " — " };
        self.say(&format!("Page: {url}{dash}{title}"));
        self.set("url", url);
        self.set("title", title);
    }

    /// What happened meanwhile.
    pub(super) fn events(&mut self, session: &Session, events: &[PageEvent]) {
        session.remember(events);
        let told: Vec<String> = events
            .iter()
            .filter_map(told)
            .map(|line| aside(&line))
            .collect();
        if told.is_empty() {
            return;
        }
        self.say("Events:");
        for line in told.iter().take(EVENTS) {
            self.say(&format!("- {line}"));
        }
        if told.len() > EVENTS {
            let more = told.len() - EVENTS;
            self.say(&format!("- and {more} more"));
        }
        let told: Vec<_> = told.into_iter().take(EVENTS).collect();
        self.set("events", told);
    }

    /// A part of a snapshot, marked when it is not all.
    pub(super) fn snapshot(&mut self, part: &SnapshotResponse, what: &str) {
        if part.tree.is_empty() {
            let nothing = if what == "Changes" {
                "Changes: none since the last snapshot."
            } else {
                "Snapshot: the page shows nothing that has a role or a text. It may still be loading \
                 (browser_wait_for), or draw itself (browser_take_screenshot)."
            };
            self.say(nothing);
            return;
        }
        if part.truncated {
            let cursor = &part.next_cursor;
            let (of, total) = (part.tree.len(), part.total_bytes);
            self.say(&format!(
                "{what}, cut: {of} of {total} bytes; browser_snapshot with cursor {cursor:?} goes on:"
            ));
            self.set("next_cursor", cursor.clone());
        } else {
            self.say(&format!("{what}:"));
        }
        self.say(&part.tree);
    }

    /// What became of an act: events, and the page as it is now.
    pub(super) async fn acted(
        mut self,
        session: &Session,
        page: Option<PageRef>,
        result: Option<ActionResult>,
        most: u32,
    ) -> Result<Self, Failure> {
        let result = result.unwrap_or_default();
        if most == 0 {
            self.page(&result.page.unwrap_or_default());
            self.events(session, &result.events);
            return Ok(self);
        }
        let snapshot = SnapshotRequest {
            page,
            max_bytes: most.max(256),
            ..SnapshotRequest::default()
        };
        let snapshot = session.action(snapshot);
        match session.broker.pages().snapshot(snapshot).await {
            Ok(part) => {
                let part = part.into_inner();
                self.page(&part.page.clone().unwrap_or_default());
                let mut events = result.events;
                events.extend(part.events.iter().cloned());
                self.events(session, &events);
                self.snapshot(&part, "Snapshot");
            }
            // The act is done all the same.
            Err(status) => {
                self.page(&result.page.unwrap_or_default());
                self.events(session, &result.events);
                self.say(&format!("No snapshot: {}", Failure::from(status)));
            }
        }
        Ok(self)
    }

    /// A result that is read as a resource.
    pub(super) fn link(&mut self, kept: &Kept) {
        self.say(&format!(
            "{}: {} bytes of {}, to be read as the resource {}",
            kept.name,
            kept.bytes.len(),
            kept.kind,
            kept.uri
        ));
        self.show(ContentBlock::resource_link(resource(kept)));
    }

    /// Keeps a result and links to it.
    pub(super) fn keep(&mut self, session: &Session, name: &str, kind: &'static str, bytes: Bytes) {
        let kept = session.store.lock().keep(name, kind, bytes);
        self.link(&kept);
    }

    pub(super) fn result(self) -> CallToolResult {
        let mut blocks = vec![ContentBlock::text(self.text.trim_end())];
        blocks.extend(self.blocks);
        let mut result = CallToolResult::success(blocks);
        result.structured_content = Some(Value::Object(self.data));
        result
    }
}

pub(super) fn resource(kept: &Kept) -> Resource {
    let size = u64::try_from(kept.bytes.len()).unwrap_or(u64::MAX);
    Resource::new(kept.uri.clone(), kept.name.clone())
        .with_mime_type(kept.kind)
        .with_size(size)
}

/// An event in words.
pub(super) fn told(event: &PageEvent) -> Option<String> {
    let mut told = if event.earlier { "earlier: " } else { "" }.to_owned();
    match event.event.as_ref()? {
        Event::Console(said) => {
            // What a page says to its developers is of interest when it is bad.
            if !matches!(said.level.as_str(), "error" | "warning" | "assert") {
                return None;
            }
            write!(told, "console {}: {}", said.level, said.text).ok()?;
        }
        Event::Exception(thrown) => write!(told, "exception: {}", first(&thrown.text)).ok()?,
        Event::Dialog(dialog) => {
            let answer = if dialog.accepted { "OK" } else { "Cancel" };
            write!(
                told,
                "{} {:?}, answered by {answer}",
                dialog.kind, dialog.message
            )
            .ok()?;
        }
        Event::RequestFailure(failed) => {
            let why = match failed.status {
                0 => failed.error.clone(),
                status => status.to_string(),
            };
            write!(
                told,
                "request failed: {} {}: {why}",
                failed.method, failed.url
            )
            .ok()?;
        }
        Event::Opened(opened) => {
            write!(told, "a new tab: {} (see browser_tabs)", opened.url).ok()?;
        }
        Event::Download(download) => {
            write!(
                told,
                "download begun: {} from {}",
                download.name, download.url
            )
            .ok()?;
        }
        Event::Dropped(count) => write!(told, "{count} events more were not kept").ok()?,
    }
    Some(told)
}

fn first(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Facts about a text that is told in parts.
pub(super) fn parts(total: usize, next: Option<usize>) -> Value {
    match next {
        Some(next) => json!({ "total_length": total, "next_start_index": next }),
        None => json!({ "total_length": total }),
    }
}
