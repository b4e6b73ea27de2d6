//! What a browser knows of its user: cookies and local storage, to go on with in another one.

use chromiumoxide::cdp::browser_protocol::{
    dom_storage::{GetDomStorageItemsParams, StorageId},
    network::{Cookie, CookieSameSite},
    page::{FrameTree, GetFrameTreeParams},
    storage,
    target::{AttachToTargetParams, GetTargetsParams, TargetInfo},
};
use futures::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::cdp::{Cdp, Error};
use crate::deadline::Deadline;

/// The longest state that is handed on, in bytes: clients of gRPC take 4 MiB unless told otherwise.
const LONGEST: usize = 2 << 20;
/// How many pages are looked at.
const MOST_PAGES: usize = 32;

/// The cookies of a browser's default context and the local storage of its open pages.
#[derive(Clone, Default)]
pub struct StorageState {
    /// As JSON of the shape that Playwright's `storageState` takes; a secret. `None` when it could
    /// not be had.
    pub json: Option<String>,
    /// Why all or a part of it is missing.
    pub missing: Option<String>,
}

impl std::fmt::Debug for StorageState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let json = self.json.as_ref().map(|_| "***");
        f.debug_struct("StorageState")
            .field("json", &json)
            .field("missing", &self.missing)
            .finish()
    }
}

/// The local storage of one origin.
type Items = Vec<Vec<String>>;

impl StorageState {
    /// None, and why.
    #[must_use]
    pub fn none(why: impl Into<String>) -> Self {
        Self {
            json: None,
            missing: Some(why.into()),
        }
    }

    /// Reads it by `deadline`. A page that does not answer is left out.
    ///
    /// # Cancel safety
    /// Yes.
    pub(crate) async fn read(cdp: &Cdp, deadline: Deadline) -> Self {
        let get = storage::GetCookiesParams::default();
        let (cookies, pages) =
            tokio::join!(cdp.call(None, get, deadline), local_storage(cdp, deadline));
        let cookies = match cookies {
            Ok(cookies) => cookies.cookies,
            Err(error) => {
                return Self::none(format!("the browser did not tell its cookies: {error}"));
            }
        };
        let (origins, missing) = match pages {
            Ok((origins, 0)) => (origins, None),
            Ok((origins, silent)) => {
                let why = format!("{silent} pages did not tell their local storage");
                (origins, Some(why))
            }
            Err(error) => (
                BTreeMap::new(),
                Some(format!("the browser did not tell its pages: {error}")),
            ),
        };
        let origins: Vec<_> = origins
            .into_iter()
            .filter(|(_, items)| !items.is_empty())
            .map(|(origin, items)| json!({"origin": origin, "localStorage": entries(items)}))
            .collect();
        let cookies: Vec<_> = cookies
            .iter()
            .filter(|cookie| cookie.partition_key.is_none())
            .map(cookie)
            .collect();
        let json = json!({"cookies": cookies, "origins": origins}).to_string();
        if json.len() > LONGEST {
            return Self::none(format!("{} bytes are more than {LONGEST}", json.len()));
        }
        Self {
            json: Some(json),
            missing,
        }
    }
}

/// The local storage of every origin in an open page, and how many pages did not answer.
async fn local_storage(
    cdp: &Cdp,
    deadline: Deadline,
) -> Result<(BTreeMap<String, Items>, usize), Error> {
    let targets = cdp
        .call(None, GetTargetsParams::default(), deadline)
        .await?;
    let kinds = ["page", "iframe"];
    let pages: Vec<_> = targets
        .target_infos
        .into_iter()
        .filter(|target| kinds.contains(&target.r#type.as_str()))
        .collect();
    let unseen = pages.len().saturating_sub(MOST_PAGES);
    let read = pages
        .iter()
        .take(MOST_PAGES)
        .map(|page| of_page(cdp, page, deadline));
    let mut origins = BTreeMap::new();
    let mut silent = unseen;
    for page in join_all(read).await {
        match page {
            Ok(page) => origins.extend(page),
            Err(_) => silent += 1,
        }
    }
    Ok((origins, silent))
}

async fn of_page(
    cdp: &Cdp,
    page: &TargetInfo,
    deadline: Deadline,
) -> Result<Vec<(String, Items)>, Error> {
    let mut attach = AttachToTargetParams::new(page.target_id.clone());
    attach.flatten = Some(true);
    let attached = cdp.call(None, attach, deadline).await?;
    let session = cdp.session(attached.session_id, &[])?;
    let tree = session
        .call(GetFrameTreeParams::default(), deadline)
        .await?;
    let mut origins = Vec::new();
    frames(&tree.frame_tree, &mut origins);
    origins.sort();
    origins.dedup();
    let mut found = Vec::new();
    for origin in origins {
        let mut id = StorageId::new(true);
        id.security_origin = Some(origin.clone());
        let get = GetDomStorageItemsParams::new(id);
        // An origin without storage of its own is refused.
        match session.call(get, deadline).await {
            Ok(items) => {
                let items = items.entries.into_iter().map(|item| item.inner().clone());
                found.push((origin, items.collect()));
            }
            Err(Error::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn frames(tree: &FrameTree, origins: &mut Vec<String>) {
    let origin = &tree.frame.security_origin;
    if origin.starts_with("http") {
        origins.push(origin.clone());
    }
    for child in tree.child_frames.iter().flatten() {
        frames(child, origins);
    }
}

fn entries(items: Items) -> Vec<Value> {
    let pairs = items.into_iter().filter_map(|item| {
        let [name, value] = <[String; 2]>::try_from(item).ok()?;
        Some(json!({"name": name, "value": value}))
    });
    pairs.collect()
}

fn cookie(cookie: &Cookie) -> Value {
    let same_site = match cookie.same_site {
        Some(CookieSameSite::Strict) => "Strict",
        Some(CookieSameSite::None) => "None",
        // What browsers take a cookie for that says nothing.
        Some(CookieSameSite::Lax) | None => "Lax",
    };
    json!({
        "name": cookie.name, "value": cookie.value, "domain": cookie.domain, "path": cookie.path,
        "expires": cookie.expires, "httpOnly": cookie.http_only, "secure": cookie.secure,
        "sameSite": same_site,
    })
}
