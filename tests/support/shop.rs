//! A small shop on loopback, as an agent meets them: search, list, detail, checkout with a payment
//! in a frame of another site, uploads, popups.

use std::net::SocketAddr;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::Html,
    routing::{get, post},
};
use serde_json::{Value, json};

use super::site::Site;

/// The shop, open until it is closed.
pub struct Shop(Site);

/// How many goods there are, and how many come at once.
pub const GOODS: usize = 60;
const PAGE: usize = 20;

impl Shop {
    pub async fn open() -> Self {
        Self(Site::with(router).await)
    }

    pub fn url(&self, path: &str) -> String {
        self.0.url(path)
    }

    pub async fn close(self) {
        self.0.stop().await;
    }
}

fn router(address: SocketAddr) -> Router {
    let page = |text: &'static str| get(async move || Html(text));
    Router::new()
        .route("/", page(include_str!("shop/home.html")))
        .route("/list", page(include_str!("shop/list.html")))
        .route("/goods", get(goods))
        .route("/good/{id}", get(good))
        .route("/basket", post(async || "ok"))
        .route("/checkout", get(checkout))
        .route("/pay", page(include_str!("shop/pay.html")))
        .route("/upload", page(include_str!("shop/upload.html")))
        .route("/terms", page(include_str!("shop/terms.html")))
        .route("/thanks", get(thanks))
        .route("/hang", get(std::future::pending::<()>))
        .fallback((StatusCode::NOT_FOUND, Html("<h1>Not here</h1>")))
        .with_state(address)
}

#[derive(serde::Deserialize)]
struct Search {
    page: usize,
    #[serde(default)]
    q: String,
}

async fn goods(Query(search): Query<Search>) -> Json<Value> {
    let names = (0..GOODS).map(|id| (id, format!("Nothing, number {id}")));
    let found = names.filter(|(_, name)| name.contains(&search.q));
    let page = found.skip(search.page * PAGE).take(PAGE);
    let goods = page.map(|(id, name)| json!({ "id": id, "name": name, "price": id + 1 }));
    Json(goods.collect())
}

async fn good(Path(id): Path<usize>) -> Html<String> {
    Html(include_str!("shop/good.html").replace("{id}", &id.to_string()))
}

/// The payment is another site's, and so another process's.
async fn checkout(State(address): State<SocketAddr>) -> Html<String> {
    let pay = format!("http://localhost:{}/pay", address.port());
    Html(include_str!("shop/checkout.html").replace("{pay}", &pay))
}

async fn thanks(Query(query): Query<Value>) -> Html<String> {
    let name = query["name"].as_str().unwrap_or_default();
    Html(format!("<title>Thanks</title><h1>Thank you, {name}</h1>"))
}
