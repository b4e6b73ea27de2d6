//! The operators' HTTP port: health, liveness, readiness, metrics and a page for people.
//!
//! Whatever hangs elsewhere must not hang this port, and whoever talks to it must not cost much:
//! see [`http_server`].

mod access;
mod dashboard;
mod picture;

use axum::{
    Json, Router,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;

pub use self::{access::Access, dashboard::router as dashboard};
use crate::{
    accept::Secure,
    health::{Health, Status},
    http_server,
    metrics::{self, Metrics},
};

/// How many connections are open at once; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 64;

/// What is told to whoever asks for something else.
const ROUTES: &str = "\
no such page; this port serves
  /         the live picture, for people
  /status   the same as JSON
  /health   how the broker is, as JSON (503 when unhealthy)
  /livez    200 while the process answers
  /readyz   200 while new work is taken, else 503
  /metrics  Prometheus text format
";

/// The routes for programs; [`dashboard`] has those for people. `health` is asked for each request, so it must be cheap and must not wait.
pub fn router(
    metrics: Metrics,
    health: impl Fn() -> Health + Clone + Send + Sync + 'static,
) -> Router {
    let ready = health.clone();
    Router::new()
        .route("/health", get(async move || show_health(health())))
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(async move || show_ready(&ready())))
        .route("/metrics", get(async move || show_metrics(&metrics)))
        .fallback(async || (StatusCode::NOT_FOUND, ROUTES))
}

/// Serves `router` on `listener` until `stop`, then lets answers under way end for a moment.
///
/// # Cancel safety
/// Yes: the connections end with the future.
pub async fn serve(
    listener: TcpListener,
    secure: Secure,
    router: Router,
    stop: impl Future<Output = ()> + Send,
) {
    let secure = Some(secure);
    http_server::serve_secure("ops", MAX_CONNECTIONS, listener, secure, router, stop).await;
}

fn show_health(health: Health) -> Response {
    let code = match health.status {
        Status::Healthy | Status::Degraded => StatusCode::OK,
        Status::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(health)).into_response()
}

fn show_ready(health: &Health) -> Response {
    if health.ready {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
    }
}

fn show_metrics(metrics: &Metrics) -> Response {
    match metrics.encode() {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot encode the metrics");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "cannot encode the metrics\n",
            )
                .into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::Request,
    };
    use tower::Service;

    use super::*;
    use crate::health::Checks;

    fn health(status: Status, ready: bool) -> Health {
        let mut checks = Checks::default();
        checks.browser_pool.verdict.status = status;
        Health {
            status,
            ready,
            checks,
            ..Health::default()
        }
    }

    async fn ask(path: &str, health: Health) -> (StatusCode, String, String) {
        let mut router = router(Metrics::new().unwrap(), move || health.clone());
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router.call(request).await.unwrap();
        let status = answer.status();
        let kind = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, kind, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn health_tells_and_its_code_says_whether_it_is_broken() {
        for (status, code) in [
            (Status::Healthy, 200),
            (Status::Degraded, 200),
            (Status::Unhealthy, 503),
        ] {
            let (found, kind, body) = ask("/health", health(status, true)).await;
            assert_eq!(found.as_u16(), code);
            assert_eq!(kind, "application/json");
            let json: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(json["status"], json["checks"]["browser_pool"]["status"]);
        }
    }

    #[tokio::test]
    async fn ready_and_alive_are_two_things() {
        let draining = health(Status::Healthy, false);
        assert_eq!(ask("/readyz", draining.clone()).await.0.as_u16(), 503);
        assert_eq!(ask("/livez", draining).await.0.as_u16(), 200);
        let ready = health(Status::Degraded, true);
        assert_eq!(ask("/readyz", ready).await.0.as_u16(), 200);
    }

    #[tokio::test]
    async fn metrics_come_as_prometheus_reads_them() {
        let (status, kind, body) = ask("/metrics", Health::default()).await;
        assert_eq!(status.as_u16(), 200);
        assert_eq!(kind, "text/plain; version=0.0.4");
        assert!(
            body.contains("berth_pool_exhausted_total{wanted=\"lease\"} 0"),
            "{body}"
        );
    }

    #[tokio::test]
    async fn a_wrong_page_tells_the_right_ones() {
        let (status, _, body) = ask("/healthz", Health::default()).await;
        assert_eq!(status.as_u16(), 404);
        for route in ["/health", "/livez", "/readyz", "/metrics"] {
            assert!(body.contains(route), "{body}");
        }
    }
}
