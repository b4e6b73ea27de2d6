//! Traces: what a collector gets, and that one that misbehaves disturbs nobody.

mod support;

use std::time::Duration;

use berth::proto::{AcquireRequest, FetchRequest, FetchStrategy, ReleaseRequest};
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind},
};
use support::{BOUND, Ground, Service, serve, site::Site};
use tokio::{net::TcpListener, sync::mpsc, time::Instant};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// A collector that keeps what it gets.
struct Collector(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).unwrap();
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[allow(clippy::disallowed_methods, reason = "the test's own task")]
async fn collector() -> (String, mpsc::UnboundedReceiver<ExportTraceServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, got) = mpsc::unbounded_channel();
    let serving = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Collector(sender)))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(serving);
    (endpoint, got)
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traced<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let parent = format!("00-{TRACE}-{PARENT}-01").parse().unwrap();
    request.metadata_mut().insert("traceparent", parent);
    request.set_timeout(BOUND);
    request
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|one| one.key == name);
    let value = found.and_then(|one| one.value.as_ref()?.value.as_ref());
    match value {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{name} is {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_the_spans_of_the_callers_trace() {
    let (endpoint, mut got) = collector().await;
    let (ground, site) = (Ground::new(), Site::start().await);
    // By the variable that every program of the field knows.
    let mut command = serve(ground.path(), &["--node", "here"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint);
    let mut service = Service::cold(command).await;
    let mut leases = service.leases().await;
    let acquired = leases
        .acquire(traced(AcquireRequest::default()))
        .await
        .unwrap();
    let lease_id = acquired.into_inner().lease.unwrap().id;
    leases.release(ReleaseRequest { lease_id }).await.unwrap();
    let fetch = FetchRequest {
        url: site.url("/"),
        strategy: FetchStrategy::Http.into(),
        ..FetchRequest::default()
    };
    service.fetches().await.fetch(traced(fetch)).await.unwrap();
    service.signal(Signal::SIGTERM);
    service.event("server.stopped").await;
    assert_eq!(service.ended().await.0, Some(0));

    let mut spans = Vec::new();
    while let Ok(batch) = got.try_recv() {
        for one in batch.resource_spans {
            let resource = format!("{:?}", one.resource);
            assert!(
                resource.contains("\"berth\"") && resource.contains("\"here\""),
                "{resource}"
            );
            spans.extend(one.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    let of = |name: &str| {
        let found = spans.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no {name}: {spans:#?}"))
    };
    for (name, inner) in [
        ("berth.v1.LeaseService/Acquire", "acquire"),
        ("berth.v1.FetchService/Fetch", "fetch"),
    ] {
        let (call, inner) = (of(name), of(inner));
        assert_eq!(hex(&call.trace_id), TRACE);
        assert_eq!(hex(&call.parent_span_id), PARENT);
        assert_eq!(call.kind(), SpanKind::Server);
        assert_eq!(attribute(call, "rpc.grpc.status_code"), "OK");
        assert_eq!(hex(&inner.trace_id), TRACE);
        assert_eq!(inner.parent_span_id, call.span_id);
    }
    assert_eq!(
        attribute(of("berth.v1.FetchService/Fetch"), "rpc.method"),
        "Fetch"
    );
    let granted = &of("acquire").events;
    assert!(
        granted.iter().any(|event| event.name == "lease.granted"),
        "{granted:?}"
    );
    // Without a trace of the caller's a call begins one.
    let release = of("berth.v1.LeaseService/Release");
    assert!(release.parent_span_id.is_empty());
    assert_ne!(hex(&release.trace_id), TRACE);
    site.stop().await;
    ground.assert_clean();
}

/// What is there when the collector takes connections and says nothing, and when nobody is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_misbehaves_disturbs_nobody() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = [silent.local_addr().unwrap(), nobody.local_addr().unwrap()];
    drop(nobody);
    for address in addresses {
        let ground = Ground::new();
        let endpoint = format!("http://{address}");
        let flags = ["--otlp-endpoint", &endpoint, "--shutdown-timeout", "3s"];
        let service = Service::start(ground.path(), &flags).await;
        let mut leases = service.leases().await;
        for _ in 0..20 {
            let acquired = leases
                .acquire(traced(AcquireRequest::default()))
                .await
                .unwrap();
            let lease_id = acquired.into_inner().lease.unwrap().id;
            leases.release(ReleaseRequest { lease_id }).await.unwrap();
        }
        let begun = Instant::now();
        service.signal(Signal::SIGTERM);
        let (code, log) = service.ended().await;
        assert_eq!(code, Some(0), "it is no fault of its own");
        let tells = |line: &serde_json::Value| {
            line["message"] == "traces.lost" || line["name"] == "BatchSpanProcessor.ExportError"
        };
        assert!(log.iter().any(tells), "{log:#?}");
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{:?}",
            begun.elapsed()
        );
        ground.assert_clean();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_cannot_be_one_is_refused() {
    let ground = Ground::new();
    for wrong in ["https://collector:4317", "collector:4317", "http://"] {
        let output = serve(ground.path(), &["--otlp-endpoint", wrong])
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(64), "{wrong}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("otlp_endpoint"), "{said}");
    }
}
