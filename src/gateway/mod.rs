//! The CDP gateway: the leased browser's DevTools, reached with the lease's token.
//!
//! Clients that connect to a Chromium connect to a lease, unmodified: the token in the path takes
//! the place of the port. What the browser sends is relayed as it is; what the client sends passes
//! the CDP [`policy`]. The gateway adds pings, and a close frame that says how the lease ended. The
//! files of a lease are served beside that. Whoever has no token, or only that of a lease long
//! gone, gets the same answer on every path.

mod access;
mod budget;
mod discovery;
mod files;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod head;
mod inspector;
mod lane;
pub mod policy;
mod relay;
mod route;
mod upstream;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{
            CACHE_CONTROL, CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
            SEC_WEBSOCKET_VERSION, UPGRADE,
        },
    },
    response::{IntoResponse, Response},
};
use hyper::upgrade::OnUpgrade;
use tokio::net::TcpListener;
use url::Url;

use self::{
    access::Admitted,
    budget::Budget,
    route::Route,
    upstream::{Client, Error},
};
use crate::{
    accept::Secure,
    broker::{Broker, PolicyMode},
    deadline::Deadline,
    http_server::{self, AfterUpgrade},
    lease::{self, Token},
};

/// How long the browser's own port has for a handshake or an answer.
const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(5);

const NO_LEASE: &str = "no such lease\n";
const ROUTES: &str = "\
no such page; below /lease/<token> this port serves
  (websocket)                the leased browser
  /devtools/page/<id>        (websocket) one page of it
  /json/version, /json/list  where these are, for clients that ask
  /files                     what the browser downloaded, as JSON
  /files/<name>              one of these; PUT and DELETE are served, too
";
const WITHHELD: &str = "\
this page of the browser's DevTools port is not served: open and close pages over the websocket, \
with Target.createTarget and Target.closeTarget
";
const WANTS_UPGRADE: &str = "\
this is the address of a websocket: connect a CDP client to it, for example with Playwright's \
chromium.connectOverCDP or Puppeteer's connect({ browserWSEndpoint })
";

/// How the gateway is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The URL under which clients reach the gateway, when that is not an address of this machine:
    /// requests to its host are served, and told to come back with TLS when it is `wss` or
    /// `https`.
    pub public_url: Option<Url>,
    /// How often clients are pinged. One that is silent for three times as long, while nothing
    /// goes to it, is dropped.
    pub ping_interval: Duration,
    /// How many connections are open at once; further ones wait to be accepted.
    pub max_connections: usize,
    /// How connections get TLS; they are plain without.
    pub secure: Option<Secure>,
    /// Whether the CDP policy is in force.
    pub policy: PolicyMode,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            public_url: None,
            ping_interval: Duration::from_secs(20),
            max_connections: 1024,
            secure: None,
            policy: PolicyMode::default(),
        }
    }
}

#[derive(Debug)]
struct Gateway {
    broker: Broker,
    options: Options,
    budget: Budget,
}

/// The routes, to be served by [`http_server`]: websockets need its [`AfterUpgrade`].
pub fn router(broker: Broker, options: Options) -> Router {
    let gateway = Arc::new(Gateway {
        broker,
        options,
        budget: Budget::default(),
    });
    // One handler for all: no path may be answered before the token is checked.
    Router::new().fallback(async move |request: Request| gateway.answer(request).await)
}

/// Serves the gateway on `listener` until `stop`, then cuts what is still connected after a second:
/// end the leases first, so that clients are told why.
///
/// # Cancel safety
/// Yes: the connections end with the future.
pub async fn serve(
    listener: TcpListener,
    broker: Broker,
    options: Options,
    stop: impl Future<Output = ()> + Send,
) {
    let (most, secure) = (options.max_connections, options.secure.clone());
    let router = router(broker, options);
    http_server::serve_secure("gateway", most, listener, secure, router, stop).await;
}

impl Gateway {
    async fn answer(&self, mut request: Request) -> Response {
        let public = self.options.public_url.as_ref();
        let tls = self.options.secure.as_ref().is_some_and(Secure::is_on);
        let admitted = match Admitted::new(request.uri(), request.headers(), public, tls) {
            Ok(admitted) => admitted,
            Err(refusal) => return plain(StatusCode::FORBIDDEN, format!("{refusal}\n")),
        };
        let path = request.uri().path().to_owned();
        let Some((text, below)) = route::split(&path) else {
            return plain(StatusCode::NOT_FOUND, ROUTES);
        };
        let Ok(token) = Token::parse(text) else {
            return plain(StatusCode::NOT_FOUND, NO_LEASE);
        };
        let endpoint = match self.broker.endpoint(&token) {
            Ok(endpoint) => endpoint,
            Err(error) => return absent(error),
        };
        let route = Route::parse(below);
        if let Route::Files(name) = route {
            return match self.broker.files(&token) {
                Ok(files) => files::serve(files, name, request).await,
                Err(error) => absent(error),
            };
        }
        if request.method() != Method::GET && route != Route::Unknown {
            return files::not_allowed("GET");
        }
        let deadline = Deadline::after(UPSTREAM_TIMEOUT);
        match route {
            Route::Browser => {
                let attached = self.attach(&token, &endpoint.path, &mut request, deadline);
                attached.await
            }
            Route::Target(path) => self.attach(&token, path, &mut request, deadline).await,
            Route::Discovery(page) => match upstream::get(&endpoint, page, deadline).await {
                Ok(body) => {
                    let base = format!("/lease/{text}");
                    match discovery::rewrite(&body, &admitted, &base) {
                        Some(body) => json(body),
                        None => self.failed(&token, &Error::Unreadable),
                    }
                }
                Err(error) => self.failed(&token, &error),
            },
            Route::Protocol => match upstream::get(&endpoint, "/json/protocol", deadline).await {
                Ok(body) => json(body),
                Err(error) => self.failed(&token, &error),
            },
            Route::Files(_) | Route::Unknown => plain(StatusCode::NOT_FOUND, ROUTES),
            Route::Withheld => plain(StatusCode::NOT_FOUND, WITHHELD),
        }
    }

    /// Upgrades the connection and joins it to the target at `path` of the leased browser.
    async fn attach(
        &self,
        token: &Token,
        path: &str,
        request: &mut Request,
        deadline: Deadline,
    ) -> Response {
        if !wants_websocket(request.headers()) {
            return wants_upgrade();
        }
        let extensions = request.extensions_mut();
        let upgrade = extensions.remove::<OnUpgrade>();
        let after = extensions.remove::<AfterUpgrade>();
        let key = request.headers().get(SEC_WEBSOCKET_KEY).cloned();
        let (Some(upgrade), Some(after), Some(key)) = (upgrade, after, key) else {
            return wants_upgrade();
        };
        let attachment = match self.broker.attach(token) {
            Ok(attachment) => attachment,
            Err(error) => return absent(error),
        };
        let addr = attachment.endpoint().addr;
        let opened = tokio::select! {
            opened = upstream::websocket(addr, path, key, deadline) => opened,
            reason = attachment.ended() => return absent(lease::Error::Ended(reason)),
        };
        let (browser, accept) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.failed(token, &error),
        };
        if let Err(error) = attachment.allow_downloads(deadline).await {
            return self.failed(token, &error.into());
        }
        let (mode, pings) = (self.options.policy, self.options.ping_interval);
        let budget = self.budget.clone();
        after.run(async move {
            if let Some(client) = upgrade.await.ok().and_then(Client::unwrap) {
                let (early, rules) = (client.early, (mode, &budget));
                match client.stream.into_plain() {
                    // Its halves share nothing that has to be locked.
                    Ok(mut stream) => {
                        let halves = stream.split();
                        relay::run(halves, &early, browser, &attachment, rules, pings).await;
                    }
                    Err(stream) => {
                        let halves = tokio::io::split(stream);
                        relay::run(halves, &early, browser, &attachment, rules, pings).await;
                    }
                }
            }
        });
        switch(accept)
    }

    /// What a client is told when the browser's port fails: that the lease has ended, when it has.
    fn failed(&self, token: &Token, error: &Error) -> Response {
        if let Err(absence) = self.broker.endpoint(token) {
            return absent(absence);
        }
        let code = match error {
            Error::NoTarget => StatusCode::NOT_FOUND,
            _ => StatusCode::BAD_GATEWAY,
        };
        tracing::debug!(lease = %token.id(), %error, "a leased browser cannot be reached");
        plain(code, format!("{error}\n"))
    }
}

fn absent(error: lease::Error) -> Response {
    match error {
        lease::Error::Unknown => plain(StatusCode::NOT_FOUND, NO_LEASE),
        lease::Error::Ended(reason) => {
            let body = serde_json::json!({
                "error": error.to_string(),
                "reason": reason.as_str(),
                "code": reason.close_code(),
            });
            (StatusCode::GONE, json(format!("{body}\n"))).into_response()
        }
    }
}

/// Whether a request asks for a websocket of the one version there is (RFC 6455, section 4.2.1).
fn wants_websocket(headers: &HeaderMap) -> bool {
    let names = |header, word: &str| {
        let values = headers.get_all(header).iter();
        let mut words = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        words.any(|found| found.trim().eq_ignore_ascii_case(word))
    };
    names(CONNECTION, "upgrade")
        && names(UPGRADE, "websocket")
        && names(SEC_WEBSOCKET_VERSION, "13")
}

fn wants_upgrade() -> Response {
    let headers = [
        (CONNECTION, HeaderValue::from_static("Upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
    ];
    let answer = plain(StatusCode::UPGRADE_REQUIRED, WANTS_UPGRADE);
    (headers, answer).into_response()
}

fn switch(accept: HeaderValue) -> Response {
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

fn plain(code: StatusCode, text: impl Into<Body>) -> Response {
    answer(code, "text/plain; charset=utf-8", text.into())
}

fn json(body: impl Into<Bytes>) -> Response {
    let body = Body::from(body.into());
    answer(StatusCode::OK, "application/json; charset=utf-8", body)
}

fn answer(code: StatusCode, kind: &'static str, body: Body) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        // Answers tell of secrets and of moments: nobody in between may keep them.
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (code, headers, body).into_response()
}
