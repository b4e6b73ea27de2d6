//! One client joined to one target of a leased browser.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{
    budget::Budget,
    frame::{Control, Peer},
    inspector::Inspector,
    lane::{End, Lane, Link},
    upstream::Browser,
};
use crate::{
    broker::{Attachment, PolicyMode},
    lease::EndReason,
};

/// How long a close takes at most, from the decision to the last byte.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the news that the lease has ended may take after the browser's connection broke.
const NEWS_TIMEOUT: Duration = Duration::from_millis(250);

/// Close code of RFC 6455, section 7.4.1.
const INTERNAL_ERROR: u16 = 1011;

const BROWSER_LOST: &str = "browser connection lost";

/// Relays frames, those of the client as the CDP policy lets them pass, until the client, the browser
/// or the lease ends, and tells the client which.
///
/// # Cancel safety
/// Both connections are dropped with the future.
pub(super) async fn run(
    (client_read, client_write): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    early: &[u8],
    browser: Browser,
    attachment: &Attachment,
    (mode, budget): (PolicyMode, &Budget),
    pings: Duration,
) {
    let mut browser_stream = browser.stream;
    let (browser_read, browser_write) = browser_stream.split();
    let mut up = Lane::new(
        Peer::Client,
        client_read,
        browser_write,
        early,
        Some(Inspector::new(attachment, mode, budget)),
    );
    let mut down = Lane::new(
        Peer::Browser,
        browser_read,
        client_write,
        &browser.early,
        None,
    );
    let lease = attachment.lease();
    tracing::debug!(%lease, "cdp.attached");
    let link = Link::new();
    let verdict = tokio::select! {
        reason = attachment.ended() => Verdict::lease(reason),
        end = up.run(&link) => Verdict::of_client(end, attachment).await,
        end = down.run(&link) => Verdict::of_browser(end, attachment).await,
        () = link.silence(pings) => Verdict::gone("silent"),
    };
    tracing::debug!(%lease, why = verdict.why, "cdp.detached");
    let Some(close) = verdict.close else {
        return;
    };
    let farewell = async {
        // Side by side: neither a client nor a browser that does not read keeps the other waiting.
        let (_, told) = tokio::join!(
            async {
                if verdict.forward {
                    // The browser may be gone already, and the client is told all the same.
                    let _ = up.close(&close).await;
                }
            },
            async {
                let told = down.close(&close).await.is_ok();
                down.shut().await;
                told
            }
        );
        up.shut().await;
        if told {
            up.exhaust().await;
        }
    };
    let _late = timeout(CLOSE_TIMEOUT, farewell).await;
}

/// What becomes of the client.
#[derive(Debug)]
struct Verdict {
    /// The word for logs.
    why: &'static str,
    /// What it is told; `None` when nobody listens.
    close: Option<Control>,
    /// Whether the browser is told the same.
    forward: bool,
}

impl Verdict {
    const fn gone(why: &'static str) -> Self {
        Self {
            why,
            close: None,
            forward: false,
        }
    }

    const fn close(why: &'static str, close: Control) -> Self {
        Self {
            why,
            close: Some(close),
            forward: false,
        }
    }

    fn lease(reason: EndReason) -> Self {
        let close = Control::close(reason.close_code(), reason.as_str());
        Self::close(reason.as_str(), close)
    }

    /// Why the direction from the client to the browser ended.
    async fn of_client(end: End, attachment: &Attachment) -> Self {
        match end {
            End::Sender => Self::gone("client_gone"),
            End::Receiver => Self::lost(None, attachment).await,
            End::Violation(violation) => {
                let close = Control::close(violation.close_code(), &violation.to_string());
                Self::close("violation", close)
            }
            End::Close(close) => Self {
                forward: true,
                ..Self::close("closed", close)
            },
        }
    }

    /// Why the direction from the browser to the client ended.
    async fn of_browser(end: End, attachment: &Attachment) -> Self {
        match end {
            End::Sender => Self::lost(None, attachment).await,
            End::Receiver => Self::gone("client_gone"),
            End::Violation(violation) => {
                let lease = attachment.lease();
                tracing::warn!(%lease, %violation, "a browser's frames cannot be read");
                let close = Control::close(INTERNAL_ERROR, BROWSER_LOST);
                Self::close("browser_violation", close)
            }
            End::Close(close) => Self::lost(Some(close), attachment).await,
        }
    }

    /// The browser closed or broke the connection: most often because the lease is ending.
    async fn lost(close: Option<Control>, attachment: &Attachment) -> Self {
        match timeout(NEWS_TIMEOUT, attachment.ended()).await {
            Ok(reason) => Self::lease(reason),
            Err(_still_living) => {
                let lost = || Control::close(INTERNAL_ERROR, BROWSER_LOST);
                Self::close("browser_lost", close.unwrap_or_else(lost))
            }
        }
    }
}
