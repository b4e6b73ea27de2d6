//! The operators' HTTP port: health, liveness, readiness and metrics.
//!
//! Whatever hangs elsewhere must not hang this port, and whoever talks to it must not cost much:
//! connections are few, a request's head has to come soon, and a stop waits for nobody long.

use std::{io, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::{
    health::{Health, Status},
    metrics::{self, Metrics},
};

/// How many connections are open at once; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 64;
/// How long a client may take for the head of a request, and stay silent between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long answers under way may take once stopped.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait after a failed accept: out of file descriptors is not over at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is told to whoever asks for something else.
const ROUTES: &str = "\
no such page; this port serves
  /health   how the broker is, as JSON (503 when unhealthy)
  /livez    200 while the process answers
  /readyz   200 while new work is taken, else 503
  /metrics  Prometheus text format
";

/// The routes. `health` is asked for each request, so it must be cheap and must not wait.
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
/// # Errors
/// None so far: a connection that cannot be accepted is retried.
///
/// # Cancel safety
/// Yes: the connections end with the future.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    // A set, not tasks on their own: dropped with this future, it ends them.
    let mut connections = JoinSet::new();
    let stopped = CancellationToken::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let room = connections.len() < MAX_CONNECTIONS;
        tokio::select! {
            () = &mut stop => break,
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, _peer)) => {
                    connections.spawn(converse(stream, router.clone(), stopped.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection on the ops port");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    stopped.cancel();
    let drained = async { while connections.join_next().await.is_some() {} };
    // Whoever is still talking after that is cut with the set.
    let _late = timeout(STOP_TIMEOUT, drained).await;
    Ok(())
}

async fn converse(stream: TcpStream, router: Router, stopped: CancellationToken) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut router = router.clone();
        async move { Service::call(&mut router, request.map(Body::new)).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = stopped.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection on the ops port failed");
    }
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
    use axum::{body::to_bytes, http::Request};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::health::Checks;

    fn health(status: Status, ready: bool) -> Health {
        let mut checks = Checks::default();
        checks.browser_pool.status = status;
        Health::overall(ready, checks)
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
        assert!(body.contains("berth_pool_exhausted_total 0"), "{body}");
    }

    #[tokio::test]
    async fn a_wrong_page_tells_the_right_ones() {
        let (status, _, body) = ask("/healthz", Health::default()).await;
        assert_eq!(status.as_u16(), 404);
        for route in ["/health", "/livez", "/readyz", "/metrics"] {
            assert!(body.contains(route), "{body}");
        }
    }

    #[tokio::test]
    async fn serves_and_stops_in_spite_of_a_silent_client() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(Metrics::new().unwrap(), Health::default);
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, router, stopped));

        let _silent = TcpStream::connect(address).await.unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        client.write_all(request).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

        stop.cancel();
        let ended = timeout(Duration::from_secs(20), tasks.join_next()).await;
        assert!(ended.unwrap().unwrap().unwrap().is_ok());
    }
}
