//! What a browser says on its standard error: where it listens, and its last words.

use std::{collections::VecDeque, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::ChildStderr,
    sync::watch,
};

use crate::{deadline::Deadline, drain::Drain};

/// How much of the browser's last words is kept, in lines.
const LAST_WORDS: usize = 20;

/// What a browser said on its standard error: where it listens, and its last words.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    endpoint: Option<String>,
    last: VecDeque<String>,
}

impl Said {
    fn hear(&mut self, line: String) {
        if let Some(url) = line.strip_prefix("DevTools listening on ") {
            self.endpoint = Some(url.trim().to_owned());
        }
        if self.last.len() == LAST_WORDS {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    pub(super) fn join(&self) -> String {
        let lines: Vec<_> = self.last.iter().map(String::as_str).collect();
        lines.join(" | ")
    }
}

/// Reads a browser's standard error until it ends: a full pipe would block the browser.
pub(super) fn listen(stderr: ChildStderr, drain: &Drain) -> watch::Receiver<Said> {
    /// A line longer than this is cut: no browser may fill our memory with words.
    const LONGEST: u64 = 4096;
    let (said, hear) = watch::channel(Said::default());
    drain.spawn(async move {
        let mut stderr = BufReader::new(stderr);
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut limited = tokio::io::AsyncReadExt::take(&mut stderr, LONGEST);
            match limited.read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                    tracing::trace!(line = text, "browser said");
                    said.send_modify(|said| said.hear(text));
                }
            }
        }
    });
    hear
}

/// Where the browser listens; `None` when it fell silent without saying so.
pub(super) async fn endpoint(mut said: watch::Receiver<Said>) -> Option<String> {
    let said = said.wait_for(|said| said.endpoint.is_some()).await.ok()?;
    said.endpoint.clone()
}

/// All that a browser said which has ended: some of it may still be on its way. A descendant that
/// lives on may keep the way open, so it is not waited for long.
pub(super) async fn last_words(mut said: watch::Receiver<Said>, deadline: Deadline) -> String {
    let all = async { while said.changed().await.is_ok() {} };
    // What came until then is what there is.
    let _ = deadline.within(Duration::from_millis(250)).bound(all).await;
    said.borrow().join()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browser::chrome::Endpoint;

    #[test]
    fn the_endpoint_is_read_from_what_the_browser_says() {
        let mut said = Said::default();
        for n in 0..30 {
            said.hear(format!("noise {n}"));
        }
        assert_eq!(said.last.len(), LAST_WORDS);
        said.hear("DevTools listening on ws://127.0.0.1:4242/devtools/browser/x-y".into());
        let endpoint = Endpoint::parse(said.endpoint.as_deref().unwrap()).unwrap();
        assert_eq!(endpoint.addr, "127.0.0.1:4242".parse().unwrap());
        assert_eq!(endpoint.path, "/devtools/browser/x-y");
        assert!(said.join().ends_with("x-y"));
    }
}
