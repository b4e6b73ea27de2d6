//! The corpus, served by an origin and fetched by AUTO over gRPC with real browsers: what scripts
//! insert is there, and the verdicts are about what is there in the end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    missing_docs
)]

#[path = "../support/mod.rs"]
mod support;

use std::{collections::HashMap, net::SocketAddr, path::Path, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use berth::proto::{ContentVerdict, FetchFormat, FetchRequest, FetchResponse, FetchStrategy};
use futures::{StreamExt, stream};
use serde::Deserialize;
use support::Broker;

#[derive(Deserialize)]
struct Manifest {
    page: Vec<Page>,
}

#[derive(Clone, Deserialize)]
struct Page {
    name: String,
    kind: String,
    #[serde(default = "ok")]
    status: u16,
    #[serde(rename = "type", default = "html")]
    content_type: String,
    needs_browser: bool,
    verdict: String,
    inserted: Option<String>,
    into: Option<String>,
    rendered: Option<String>,
    hard: Option<String>,
}

const fn ok() -> u16 {
    200
}

fn html() -> String {
    "text/html; charset=utf-8".into()
}

impl Page {
    /// What a framework's bundle comes to: the page's element is filled.
    fn bundle(&self) -> String {
        let (Some(text), Some(into)) = (&self.inserted, &self.into) else {
            return String::new();
        };
        let form = match &*self.kind {
            "login" => "<h1>Sign in</h1><form><input type=email><input type=password></form>",
            _ => "<h1>Mounted</h1>",
        };
        let (into, markup) = (
            serde_json::json!(into),
            serde_json::json!(format!("{form}<p>{text}</p>")),
        );
        format!(
            "{{ const fill = () => {{ const at = document.querySelector({into}); \
             if (at) at.innerHTML = {markup} }}; \
             if (document.readyState === 'loading') addEventListener('DOMContentLoaded', fill); \
             else fill() }}"
        )
    }

    /// What it is good for in the end.
    fn in_the_end(&self) -> &str {
        let inserted = self.inserted.as_ref().map(|_| "content");
        self.rendered
            .as_deref()
            .or(inserted)
            .unwrap_or(&self.verdict)
    }
}

type Pages = Arc<HashMap<String, Page>>;

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus"))
}

async fn serve(pages: Pages) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().fallback(answer).with_state(pages);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

async fn answer(State(pages): State<Pages>, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if let Some(page) = pages.get(path) {
        let body = std::fs::read(folder().join("pages").join(path)).unwrap();
        let status = StatusCode::from_u16(page.status).unwrap();
        let headers = [(header::CONTENT_TYPE, page.content_type.clone())];
        return (status, headers, body).into_response();
    }
    let from = headers
        .get(header::REFERER)
        .and_then(|from| from.to_str().ok());
    let from = from
        .and_then(|from| from.rsplit('/').next())
        .unwrap_or_default();
    let is_script = Path::new(path).extension().is_some_and(|end| end == "js");
    match pages.get(from).filter(|_| is_script) {
        Some(page) => ([(header::CONTENT_TYPE, "text/javascript")], page.bundle()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

const fn word(verdict: ContentVerdict) -> &'static str {
    match verdict {
        ContentVerdict::Unspecified => "none",
        ContentVerdict::Content => "content",
        ContentVerdict::Empty => "empty",
        ContentVerdict::LoginWall => "login_wall",
        ContentVerdict::Blocked => "blocked",
        ContentVerdict::ErrorPage => "error_page",
        ContentVerdict::Unrendered => "unrendered",
    }
}

/// What is wrong with the answer to a page.
fn problems(page: &Page, got: &FetchResponse) -> Vec<String> {
    let mut wrong = Vec::new();
    let browser = got.via() == FetchStrategy::Browser;
    if page.hard.is_none() && browser != page.needs_browser {
        wrong.push(format!(
            "by {:?}: {} {}",
            got.via(),
            got.via_reason,
            got.via_detail
        ));
    }
    let text = got
        .contents
        .as_ref()
        .and_then(|contents| contents.text.as_deref());
    let text = text.unwrap_or_default();
    let lacks = page
        .inserted
        .as_deref()
        .filter(|inserted| !text.contains(inserted));
    if let Some(inserted) = lacks.filter(|_| browser) {
        wrong.push(format!("{inserted:?} is not in {text:?}"));
    }
    let verdict = word(got.verdict());
    if page.hard.is_none() && verdict != page.in_the_end() {
        wrong.push(format!("is {verdict}: {}", got.verdict_detail));
    }
    let warned = got.warnings.iter().any(|warning| warning.code == verdict);
    if warned == matches!(verdict, "content" | "none") {
        wrong.push(format!("{verdict} with {:?}", got.warnings));
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_finds_what_scripts_insert() {
    let manifest = std::fs::read_to_string(folder().join("manifest.toml")).unwrap();
    let pages = toml::from_str::<Manifest>(&manifest).unwrap().page;
    let by_name = pages.iter().map(|page| (page.name.clone(), page.clone()));
    let origin = serve(Arc::new(by_name.collect())).await;
    let broker = Broker::start().await;
    let fetches = stream::iter(pages.iter().map(|page| {
        let mut client = broker.fetches();
        async move {
            let request = FetchRequest {
                url: format!("http://{origin}/{}", page.name),
                formats: vec![FetchFormat::Text.into()],
                ..FetchRequest::default()
            };
            match client.fetch(request).await {
                Ok(got) => problems(page, got.get_ref()),
                Err(error) => vec![error.to_string()],
            }
            .into_iter()
            .map(|problem| format!("{}: {problem}", page.name))
            .collect::<Vec<_>>()
        }
    }));
    let wrong: Vec<Vec<String>> = fetches.buffer_unordered(4).collect().await;
    let wrong = wrong.concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    broker.stop().await;
}
