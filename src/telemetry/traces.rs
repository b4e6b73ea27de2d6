//! Traces over OTLP, when there is somewhere to send them.
//!
//! Nothing here is in the way of work: spans wait in a bounded queue that a thread of its own
//! empties, and what does not fit or cannot be sent is dropped and reported to the log.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use opentelemetry::{
    KeyValue,
    propagation::{Extractor, TextMapPropagator},
    trace::{Status, TracerProvider},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use url::Url;

use super::{Error, SPANS};
use crate::deadline::Deadline;

/// How long one batch may take to be sent.
const SENDING: Duration = Duration::from_secs(3);
/// The name of the tracer and of the service.
const NAME: &str = "berth";
/// The header of the W3C trace context.
const TRACEPARENT: &str = "traceparent";

/// Where spans go; clones share it.
#[derive(Clone, Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Sends spans to the OTLP/gRPC collector at `endpoint`, as those of the broker `node`. What
    /// `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER` and `OTEL_BSP_*` say
    /// holds. Nothing is sent yet: a collector that is not there may come later.
    ///
    /// Call it within a tokio runtime that outlives it.
    ///
    /// # Errors
    /// [`Error::Exporter`] when the endpoint cannot be one.
    pub fn to(endpoint: &Url, node: &str) -> Result<Self, Error> {
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint.as_str())
            .with_timeout(SENDING)
            .build()?;
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(NAME);
        }
        let resource = resource
            .with_attribute(KeyValue::new("service.instance.id", node.to_owned()))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_batch_exporter(exporter)
            .build();
        Ok(Self(provider))
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.0.tracer(NAME)
    }

    /// Sends what waits, and sends nothing any more. Returns whether all of it was sent by
    /// `deadline`.
    ///
    /// # Cancel safety
    /// What waits is sent all the same, or lost with the process.
    pub async fn close(&self, deadline: Deadline) -> bool {
        let (provider, left) = (self.0.clone(), deadline.remaining());
        let closing = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(left));
        matches!(deadline.bound(closing).await, Ok(Ok(Ok(()))))
    }
}

/// A span for a call to `path` (`/package.Service/Method`), part of the caller's trace when
/// `headers` have one (W3C trace context). Without traces it is a disabled one.
#[must_use]
pub fn call(path: &str, request_id: &str, headers: &HeaderMap) -> Span {
    let name = path.trim_start_matches('/');
    let (service, method) = name.split_once('/').unwrap_or((name, ""));
    let span = tracing::info_span!(
        target: SPANS, "call", otel.kind = "server", otel.name = name,
        rpc.system = "grpc", rpc.service = service, rpc.method = method, request_id
    );
    if !span.is_disabled() && headers.contains_key(TRACEPARENT) {
        let context = TraceContextPropagator::new().extract(&Headers(headers));
        // Refused for a span that has begun, which this one has not.
        let _ = span.set_parent(context);
    }
    span
}

/// Notes in `span` how its call ended: `code` is gRPC's word, `failed` whether it was our fault.
pub fn answered(span: &Span, code: &'static str, failed: bool) {
    span.set_attribute("rpc.grpc.status_code", code);
    if failed {
        span.set_status(Status::error(code));
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
