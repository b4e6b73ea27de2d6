//! Around every call: its request id, its span, its metric, the bond of a grant, and a reason for what
//! the transport itself refuses.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::{Code, body::Body};
use tower::{Layer, Service};
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::status;
use crate::{broker::LeaseGuard, metrics::Metrics, telemetry};

/// The header that carries a call's id, in and out.
const REQUEST_ID: &str = "x-request-id";
const LONGEST_ID: usize = 128;

/// The host the caller reached us by, as an extension of the request.
#[derive(Clone, Debug)]
pub(super) struct Authority(pub(super) String);

/// A lease on its way to the client, as an extension of the response: unless the whole answer is
/// taken by the transport, the lease ends.
#[derive(Clone, Debug)]
pub(super) struct Carried(Arc<Mutex<Option<LeaseGuard>>>);

impl Carried {
    pub(super) fn new(guard: LeaseGuard) -> Self {
        Self(Arc::new(Mutex::new(Some(guard))))
    }
}

/// Makes [`Observed`] services.
#[derive(Clone, Debug)]
pub(super) struct Observe {
    metrics: Metrics,
    max_message_size: usize,
}

/// A service whose every call is observed.
#[derive(Clone, Debug)]
pub(super) struct Observed<S> {
    inner: S,
    metrics: Metrics,
    max_message_size: usize,
}

/// Counts a call when dropped, as CANCELLED unless it is known how it ended.
#[derive(Debug)]
struct Count {
    metrics: Metrics,
    method: String,
    begun: Instant,
    code: Option<Code>,
    span: Span,
    /// The same for traces.
    trace: Span,
}

/// The body of an answer, until the transport has taken all of it.
struct Answer {
    body: Body,
    count: Count,
    carried: Option<Carried>,
    max_message_size: usize,
}

impl Observe {
    /// `max_message_size` is what the services behind take.
    pub(super) fn new(metrics: Metrics, max_message_size: usize) -> Self {
        Self {
            metrics,
            max_message_size,
        }
    }
}

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed {
            inner,
            metrics: self.metrics.clone(),
            max_message_size: self.max_message_size,
        }
    }
}

impl<S> Service<Request<Body>> for Observed<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let id = request_id(request.headers());
        let method = request.uri().path().to_owned();
        // As an error, so that there is no level at which lines have no request id.
        let request_id = id.to_str().unwrap_or_default();
        let span = tracing::error_span!("rpc", method, request_id);
        let trace = telemetry::call(&method, request_id, request.headers());
        if let Some(authority) = request.uri().authority() {
            let authority = Authority(authority.to_string());
            request.extensions_mut().insert(authority);
        }
        let count = Count {
            metrics: self.metrics.clone(),
            method,
            begun: Instant::now(),
            code: None,
            span: span.clone(),
            trace: trace.clone(),
        };
        let answer = self.inner.call(request).instrument(trace);
        let answer = answer.instrument(span);
        let max_message_size = self.max_message_size;
        Box::pin(async move {
            let mut count = count;
            let mut response = answer.await?;
            response.headers_mut().insert(REQUEST_ID, id);
            // A call that fails has its status here, not behind a body.
            explain(response.headers_mut(), max_message_size);
            count.code = code(response.headers());
            let carried = response.extensions_mut().remove::<Carried>();
            Ok(response.map(|body| {
                Body::new(Answer {
                    body,
                    count,
                    carried,
                    max_message_size,
                })
            }))
        })
    }
}

fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(REQUEST_ID).filter(|value| {
        let printable = value.as_bytes().iter().all(u8::is_ascii_graphic);
        printable && (1..=LONGEST_ID).contains(&value.len())
    });
    given.cloned().unwrap_or_else(|| {
        let id = Uuid::now_v7().simple().to_string();
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"))
    })
}

/// Gives a status of the transport's own the reason that every error has.
fn explain(headers: &mut HeaderMap, max_message_size: usize) {
    if let Some(status) = status::message_too_large(headers, max_message_size) {
        // What cannot be written leaves the transport's own words.
        let _ = status.add_header(headers);
    }
}

fn code(headers: &HeaderMap) -> Option<Code> {
    let status = headers.get("grpc-status")?;
    Some(Code::from_bytes(status.as_bytes()))
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let this = self.get_mut();
        let _entered = (this.count.span.enter(), this.count.trace.enter());
        let mut frame = Pin::new(&mut this.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            explain(trailers, this.max_message_size);
            // The trailers are the end of every answer: the transport has it.
            this.count.code = code(trailers);
            if let Some(guard) = this
                .carried
                .take()
                .and_then(|carried| carried.0.lock().take())
            {
                guard.disarm();
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        let _entered = self.span.enter();
        let code = self.code.unwrap_or(Code::Cancelled);
        let word = word(code);
        let failed = matches!(code, Code::Unknown | Code::Internal | Code::DataLoss);
        telemetry::answered(&self.trace, word, failed);
        let took = self.begun.elapsed();
        self.metrics.rpc(&self.method, word, took);
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(code = word, millis, "rpc.ended");
    }
}

/// A code's name, as in the gRPC documentation.
const fn word(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_kept_when_it_can_be_logged_and_made_otherwise() {
        let mut headers = HeaderMap::new();
        let made = request_id(&headers);
        assert_eq!(made.len(), 32);
        headers.insert(REQUEST_ID, HeaderValue::from_static("job-17"));
        assert_eq!(request_id(&headers), "job-17");
        for bad in ["", "two words", &"x".repeat(LONGEST_ID + 1)] {
            headers.insert(REQUEST_ID, HeaderValue::from_str(bad).unwrap());
            assert_eq!(request_id(&headers).len(), 32, "{bad}");
        }
    }
}
