//! The pages of a lease, driven without a CDP client.

use std::{future::Future, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{Broker, Error, attach::end_of};
use crate::{
    browser::{Files, FilesError, page::Error as PageError},
    deadline::Deadline,
    lease::{self, Activity, EndReason, LeaseId},
    page::{self, Driver},
};

/// How often a call that is under way counts as client traffic.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// A lease whose pages are driven, for one call.
#[derive(Debug)]
pub struct Driven {
    driver: Arc<Driver>,
    files: Files,
    activity: Activity,
    ended: watch::Receiver<Option<EndReason>>,
}

/// A file for a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub content: Bytes,
}

impl Broker {
    /// Drives the pages of a live lease. Counts as client traffic.
    ///
    /// # Errors
    /// [`Error::Lease`] when it does not live; [`Error::Page`] when its browser does not answer.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn drive(&self, id: LeaseId, deadline: Deadline) -> Result<Driven, Error> {
        let now = Instant::now();
        let borrowed = self.0.lessor.read(|table| {
            let (held, activity) = table.borrow(id, now)?;
            let browser = Arc::clone(held.browser());
            let (files, ended) = (held.files().clone(), held.watch_end());
            let driver = Arc::clone(held.driver());
            Ok::<_, lease::Error>((browser, files, ended, driver, activity.clone()))
        });
        let (browser, files, ended, driver, activity) = borrowed?;
        let driver = {
            let kept = deadline.bound(driver.lock()).await;
            let mut kept = kept.map_err(|_passed| Error::Passed)?;
            match &*kept {
                Some(driver) => Arc::clone(driver),
                None => {
                    let opened = open(browser, self, deadline).await;
                    let opened = Arc::new(opened.map_err(|error| late(error, &ended))?);
                    tracing::info!(lease = %id, "lease.driven");
                    Arc::clone(kept.insert(opened))
                }
            }
        };
        Ok(Driven {
            driver,
            files,
            activity,
            ended,
        })
    }
}

async fn open(
    browser: Arc<crate::browser::Browser>,
    broker: &Broker,
    deadline: Deadline,
) -> Result<Driver, page::Error> {
    browser.allow_downloads(deadline).await?;
    Driver::open(browser, &broker.0.drain, deadline).await
}

/// What `error` is when the lease has ended meanwhile, which is then the reason for it.
fn late(error: page::Error, ended: &watch::Receiver<Option<EndReason>>) -> Error {
    let reason = *ended.borrow();
    match (&error, reason) {
        (page::Error::Page(PageError::Lost(_)), Some(reason)) => of_end(reason),
        _ => error.into(),
    }
}

fn of_end(reason: EndReason) -> Error {
    match reason {
        EndReason::BrowserCrashed | EndReason::OomKilled | EndReason::HungKilled => {
            page::Error::Page(PageError::Lost("its browser died")).into()
        }
        reason => lease::Error::Ended(reason).into(),
    }
}

impl Driven {
    /// What drives it.
    #[must_use]
    pub fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Does `work`, which is client traffic as long as it lasts, unless the lease ends.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Lease`] when the lease ends, [`PageError::Lost`] when that was its
    /// browser's fault.
    ///
    /// # Cancel safety
    /// That of `work`.
    pub async fn run<T>(
        &self,
        work: impl Future<Output = Result<T, page::Error>>,
    ) -> Result<T, Error> {
        let mut tick = interval(UNDER_WAY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done.map_err(|error| late(error, &self.ended)),
                reason = end_of(&self.ended) => return Err(of_end(reason)),
                _ = tick.tick() => self.activity.touch(Instant::now()),
            }
        }
    }

    /// Brings files among those of the lease, under their own names; where they are then.
    ///
    /// # Errors
    /// [`page::Error::Invalid`] for a name that is none or when there is no room.
    ///
    /// # Cancel safety
    /// Some of them may be there.
    pub async fn bring(
        &self,
        uploads: &[Upload],
        deadline: Deadline,
    ) -> Result<Vec<PathBuf>, page::Error> {
        let mut paths = Vec::new();
        for upload in uploads {
            let brought = self.bring_one(upload, deadline).await;
            paths.push(brought.map_err(|error| match error {
                FilesError::Busy(_) => PageError::Passed.into(),
                error => page::Error::Invalid("files", format!("{:?}: {error}", upload.name)),
            })?);
        }
        Ok(paths)
    }

    async fn bring_one(&self, upload: &Upload, deadline: Deadline) -> Result<PathBuf, FilesError> {
        let size = Some(upload.content.len() as u64);
        let mut bringing = self.files.bring(&upload.name, size, deadline).await?;
        bringing.write(&upload.content).await?;
        bringing.finish().await.map(|(path, _size)| path)
    }
}
