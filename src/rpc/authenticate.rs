//! Before every call: who makes it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response, header::AUTHORIZATION};
use tonic::body::Body;
use tower::{Layer, Service};

use super::{incoming::Peer, status};
use crate::auth::{Caller, Gate, Refused, Shown};

/// What may be called without a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) health: bool,
    pub(super) reflection: bool,
}

/// Makes [`Authenticated`] services.
#[derive(Clone, Debug)]
pub(super) struct Authenticate {
    gate: Gate,
    open: Open,
}

/// A service whose every request has a [`Caller`].
#[derive(Clone, Debug)]
pub(super) struct Authenticated<S> {
    inner: S,
    gate: Gate,
    open: Open,
}

impl Authenticate {
    pub(super) const fn new(gate: Gate, open: Open) -> Self {
        Self { gate, open }
    }
}

impl<S> Layer<S> for Authenticate {
    type Service = Authenticated<S>;

    fn layer(&self, inner: S) -> Authenticated<S> {
        Authenticated {
            inner,
            gate: self.gate.clone(),
            open: self.open,
        }
    }
}

impl<S> Authenticated<S> {
    fn caller(&self, request: &Request<Body>) -> Result<Caller, Refused> {
        if !self.gate.asks() {
            return Ok(Caller::anonymous());
        }
        let path = request.uri().path();
        let is_open = (self.open.health && path.starts_with("/grpc.health."))
            || (self.open.reflection && path.starts_with("/grpc.reflection."));
        if is_open {
            return Ok(Caller::nobody());
        }
        let peer = request.extensions().get::<Peer>();
        self.gate.admit(Shown {
            authorization: request.headers().get(AUTHORIZATION).map(|v| v.as_bytes()),
            certificate: peer.and_then(|peer| peer.certificate.names()),
            peer: peer.map(|peer| peer.address),
        })
    }
}

impl<S> Service<Request<Body>> for Authenticated<S>
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
        match self.caller(&request) {
            Ok(caller) => {
                // Nobody below has any business with it.
                request.headers_mut().remove(AUTHORIZATION);
                request.extensions_mut().insert(caller);
                Box::pin(self.inner.call(request))
            }
            Err(Refused) => {
                let answer = status::unauthenticated().into_http();
                Box::pin(std::future::ready(Ok(answer)))
            }
        }
    }
}
