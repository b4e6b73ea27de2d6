//! What a host may read beside tools: the session's lease, the last picture, and large results.

use base64::{Engine, prelude::BASE64_STANDARD};
use rmcp::{
    ErrorData,
    model::{ReadResourceResult, Resource, ResourceContents},
};
use serde_json::json;

use super::{answer::resource, session::Session, store::Kept};

const LEASE: &str = "berth://lease";
const PICTURE: &str = "berth://screenshot/last";

pub(super) fn list(session: &Session) -> Vec<Resource> {
    let lease = Resource::new(LEASE, "lease")
        .with_title("The session's browser")
        .with_description("Whether this session has a browser, which, and how it ended")
        .with_mime_type("application/json");
    let store = session.store.lock();
    let picture = store.last_picture().map(|kept| {
        Resource::new(PICTURE, "last screenshot")
            .with_description("The last picture that was taken")
            .with_mime_type(kept.kind)
    });
    let kept = store.all().map(resource);
    std::iter::once(lease).chain(picture).chain(kept).collect()
}

pub(super) async fn read(session: &Session, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let missing = || {
        let what = format!("there is no resource {uri:?}, or it is not kept any more");
        ErrorData::resource_not_found(what, None)
    };
    let contents = match uri {
        LEASE => {
            let told = match session.lease().await {
                None => json!({ "state": "none" }),
                Some((lease, ended)) => json!({
                    "state": if ended.is_none() { "active" } else { "ended" },
                    "end_reason": ended,
                    "lease_id": lease.id,
                    "browser": lease.browser.map(|browser| browser.product),
                }),
            };
            ResourceContents::text(told.to_string(), uri).with_mime_type("application/json")
        }
        PICTURE => {
            let kept = session.store.lock().last_picture();
            contents(kept.ok_or_else(missing)?, uri)
        }
        uri => {
            let kept = session.store.lock().get(uri);
            contents(kept.ok_or_else(missing)?, uri)
        }
    };
    Ok(ReadResourceResult::new(vec![contents]))
}

fn contents(kept: Kept, uri: &str) -> ResourceContents {
    let is_text = kept.kind.starts_with("text/") || kept.kind == "application/json";
    let contents = match std::str::from_utf8(&kept.bytes) {
        Ok(text) if is_text => ResourceContents::text(text, uri),
        _ => ResourceContents::blob(BASE64_STANDARD.encode(&kept.bytes), uri),
    };
    contents.with_mime_type(kept.kind)
}
