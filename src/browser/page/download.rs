//! What comes of a URL that a browser would save instead of showing.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use chromiumoxide::cdp::browser_protocol::browser::{BrowserContextId, CancelDownloadParams};
use serde_json::Value;

use super::Error;
use crate::browser::cdp::Event;

/// What was downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// The name it wants to have: the last part of a path, whatever was asked for.
    pub name: String,
    /// What came, decompressed.
    pub bytes: Bytes,
}

/// Follows the one download that a page may be. The browser writes it into a directory of the
/// page's own, which goes with the page.
#[derive(Debug)]
pub(super) struct Download {
    dir: PathBuf,
    limit: u64,
    begun: Option<Begun>,
}

#[derive(Debug)]
struct Begun {
    guid: String,
    name: String,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Completed,
    Broken,
    TooLarge,
}

impl Download {
    /// Of at most `limit` bytes, into `dir`.
    pub(super) const fn new(dir: PathBuf, limit: u64) -> Self {
        Self {
            dir,
            limit,
            begun: None,
        }
    }

    /// Where the browser writes.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes note of an event; answers what the browser is to stop. `expected` as long as the page
    /// itself may be the download: what a page that is shown wants to save is not taken.
    pub(super) fn hear(&mut self, event: &Event, expected: bool) -> Option<CancelDownloadParams> {
        let guid = event.text("/guid")?;
        match event.method() {
            "Browser.downloadWillBegin" if self.begun.is_none() && expected => {
                let name = event.text("/suggestedFilename").unwrap_or_default();
                self.begun = Some(Begun {
                    guid: guid.to_owned(),
                    name: last_part(name).to_owned(),
                    end: None,
                });
                None
            }
            "Browser.downloadWillBegin" => {
                let known = self.begun.as_ref().is_some_and(|one| one.guid == guid);
                (!known).then(|| CancelDownloadParams::new(guid))
            }
            "Browser.downloadProgress" => {
                let begun = self.begun.as_mut().filter(|one| one.guid == guid)?;
                let bytes = |pointer| event.get(pointer).and_then(Value::as_f64).unwrap_or(0.0);
                let most = bytes("/receivedBytes").max(bytes("/totalBytes"));
                #[expect(clippy::cast_precision_loss, reason = "so many bytes nobody allows")]
                let large = most > self.limit as f64;
                let end = match event.text("/state") {
                    _ if large => Some(End::TooLarge),
                    Some("completed") => Some(End::Completed),
                    Some("canceled") => Some(End::Broken),
                    _ => None,
                };
                begun.end = begun.end.or(end);
                large.then(|| CancelDownloadParams::new(guid))
            }
            _ => None,
        }
    }

    /// Whether nothing more of it will come.
    pub(super) fn has_ended(&self) -> bool {
        self.begun.as_ref().is_some_and(|begun| begun.end.is_some())
    }

    /// Reads what came. Call it once it has ended.
    ///
    /// # Cancel safety
    /// Yes: the directory is the page's.
    pub(super) async fn take(&mut self) -> Result<Downloaded, Error> {
        let broken = |why: &str| Error::Net(format!("the download {why}"));
        let begun = self.begun.take();
        let begun = begun.ok_or_else(|| broken("did not begin"))?;
        let limit = self.limit;
        match begun.end {
            Some(End::Completed) => {}
            Some(End::TooLarge) => return Err(Error::TooLarge { limit }),
            Some(End::Broken) | None => return Err(broken("broke off")),
        }
        let path = self.dir.join(last_part(&begun.guid));
        let unread = |error: std::io::Error| broken(&format!("cannot be read: {error}"));
        let size = tokio::fs::metadata(&path).await.map_err(unread)?.len();
        if size > limit {
            return Err(Error::TooLarge { limit });
        }
        let bytes = tokio::fs::read(&path).await.map_err(unread)?;
        Ok(Downloaded {
            name: begun.name,
            bytes: bytes.into(),
        })
    }
}

/// The command that stops a download of `context`.
pub(super) fn cancel(
    mut cancel: CancelDownloadParams,
    context: &BrowserContextId,
) -> CancelDownloadParams {
    cancel.browser_context_id = Some(context.clone());
    cancel
}

fn last_part(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn hear(download: &mut Download, what: &str, params: &Value) -> Option<CancelDownloadParams> {
        let method = format!("Browser.download{what}");
        let event = json!({ "method": method, "sessionId": "s", "params": params });
        download.hear(&serde_json::from_value(event).unwrap(), true)
    }

    #[tokio::test]
    async fn only_the_first_is_taken_and_only_so_much_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut download = Download::new(dir.path().into(), 10);
        let first = json!({ "guid": "1", "suggestedFilename": "../../etc/a b.bin" });
        assert_eq!(hear(&mut download, "WillBegin", &first), None);
        assert_eq!(hear(&mut download, "WillBegin", &first), None, "told twice");
        let second = json!({ "guid": "2", "suggestedFilename": "x" });
        assert!(hear(&mut download, "WillBegin", &second).is_some());
        let progress = json!({ "guid": "1", "state": "inProgress", "receivedBytes": 4 });
        assert_eq!(hear(&mut download, "Progress", &progress), None);
        assert!(!download.has_ended());
        let done = json!({ "guid": "1", "state": "completed", "receivedBytes": 4 });
        hear(&mut download, "Progress", &done);
        assert!(download.has_ended());
        std::fs::write(dir.path().join("1"), "four").unwrap();
        let got = download.take().await.unwrap();
        assert_eq!(
            (got.name.as_str(), &got.bytes[..]),
            ("a b.bin", &b"four"[..])
        );

        let third = json!({ "guid": "3", "suggestedFilename": "" });
        hear(&mut download, "WillBegin", &third);
        let large = json!({ "guid": "3", "state": "inProgress", "totalBytes": 11 });
        assert!(hear(&mut download, "Progress", &large).is_some());
        let got = download.take().await;
        assert!(matches!(got, Err(Error::TooLarge { limit: 10 })), "{got:?}");
    }
}
