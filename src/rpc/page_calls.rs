//! What is the same for every call of `PageService`: whose lease, which page, until when, and what
//! happened meanwhile.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use tonic::{Request, Status};

use super::{
    access::own_lease,
    call::Call,
    page_answers,
    status::{self, Limit},
};
use crate::{
    broker::{Broker, Driven, Error, Violation},
    deadline::Deadline,
    page::{self, Answer, Driver, Tab},
    proto::{ActionResult, Page, PageEvent, PageRef},
};

/// How long a call may take that has no deadline, and how long any may.
const USUAL: Duration = Duration::from_secs(30);
const MOST: Duration = Duration::from_secs(600);

/// One call about the pages of a lease.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) broker: Broker,
    pub(super) driven: Driven,
    pub(super) owner: String,
    pub(super) deadline: Deadline,
    limit: Limit,
    mark: u64,
}

/// What is done on a page.
pub(super) type Work<'a> = Pin<Box<dyn Future<Output = Result<(), page::Error>> + Send + 'a>>;

/// Refuses what is wrong with a request.
pub(super) fn sound(wrong: Vec<Violation>) -> Result<(), Status> {
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(status::invalid(wrong))
    }
}

impl Visit {
    /// Begins a call about the lease of that name.
    pub(super) async fn begin(broker: &Broker, call: &Call, lease: &str) -> Result<Self, Status> {
        let id = own_lease(broker, &call.caller, lease)?;
        let limit = Limit {
            name: "deadline",
            value: call.timeout.unwrap_or(USUAL).min(MOST),
        };
        let driven = broker.drive(id, call.deadline).await;
        let driven = driven.map_err(|error| status::of(error, broker, Some(limit)))?;
        let mark = driven.driver().mark();
        Ok(Self {
            broker: broker.clone(),
            driven,
            owner: call.caller.owner().to_owned(),
            deadline: call.deadline,
            limit,
            mark,
        })
    }

    pub(super) fn driver(&self) -> &Driver {
        self.driven.driver()
    }

    pub(super) fn failed(&self, error: impl Into<Error>) -> Status {
        status::of(error.into(), &self.broker, Some(self.limit))
    }

    /// The page that is meant.
    pub(super) async fn tab(&self, page: &PageRef) -> Result<Arc<Tab>, Status> {
        let find = async {
            match page.page_id.as_str() {
                "" => self.driver().tab(None),
                id => self.driver().known(id, self.deadline).await,
            }
        };
        let found = self.driven.run(find).await;
        found.map_err(|error| self.failed(error))
    }

    /// Does `work` on a page whose dialogs are answered meanwhile.
    pub(super) async fn run<T>(
        &self,
        tab: &Tab,
        answer: &Answer,
        work: impl Future<Output = Result<T, page::Error>> + Send,
    ) -> Result<T, Status> {
        let _answering = tab.answering(answer);
        let done = self.driven.run(Box::pin(work)).await;
        done.map_err(|error| self.failed(error))
    }

    /// Does `work` on the page that is meant, and answers what became of it.
    pub(super) async fn act(
        broker: &Broker,
        call: &Call,
        page: Option<PageRef>,
        answer: &Answer,
        work: impl for<'a> FnOnce(&'a Tab, Deadline) -> Work<'a> + Send,
    ) -> Result<Option<ActionResult>, Status> {
        let page = page.unwrap_or_default();
        let visit = Self::begin(broker, call, &page.lease_id).await?;
        let tab = visit.tab(&page).await?;
        visit.run(&tab, answer, work(&tab, visit.deadline)).await?;
        visit.result(&tab).await
    }

    /// The page as it is now. One that closed itself is not there: the current one is shown instead.
    pub(super) async fn page(&self, tab: &Tab) -> Result<Page, Status> {
        let see = async {
            match self.driver().see(tab, self.deadline).await {
                Err(page::Error::NoPage(_)) => {
                    let Ok(current) = self.driver().tab(None) else {
                        return Ok(None);
                    };
                    let seen = self.driver().see(&current, self.deadline).await;
                    seen.map(Some)
                }
                seen => seen.map(Some),
            }
        };
        let seen = self.driven.run(see).await;
        let seen = seen.map_err(|error| self.failed(error))?;
        Ok(seen.map(page_answers::page).unwrap_or_default())
    }

    /// All pages.
    pub(super) async fn pages(&self) -> Result<Vec<Page>, Status> {
        let list = self.driven.run(self.driver().list(self.deadline)).await;
        let list = list.map_err(|error| self.failed(error))?;
        Ok(list.into_iter().map(page_answers::page).collect())
    }

    /// What happened that nobody was told.
    pub(super) fn events(&self) -> Vec<PageEvent> {
        page_answers::events(self.driver().events(self.mark))
    }

    /// What became of an act.
    pub(super) async fn result(&self, tab: &Tab) -> Result<Option<ActionResult>, Status> {
        let page = self.page(tab).await?;
        Ok(Some(ActionResult {
            page: Some(page),
            events: self.events(),
        }))
    }
}

/// When a call ends.
pub(super) fn call<T>(request: &Request<T>) -> Result<Call, Status> {
    Call::of(request, USUAL, MOST)
}
