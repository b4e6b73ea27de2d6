//! Which call is for whom.
//!
//! One layer asks for the admin role, so that no method of an operator can forget to. What is a
//! caller's own is checked where the lease is named, by [`own_lease`].

use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use http::{Request, Response};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use super::{call, convert, status};
use crate::{auth::Caller, broker::Broker, lease::LeaseId};

/// For whom a method is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Whoever may call at all: it shows and changes nothing of anybody.
    Open,
    /// Every caller, for what is its own.
    Own,
    /// Operators.
    Admin,
}

/// Every method there is; a test compares it with the descriptors.
const TABLE: &[(&str, &[&str], Access)] = &[
    (
        "berth.v1.AdminService",
        &[
            "GetStatus",
            "WatchStatus",
            "Drain",
            "Resume",
            "RetireBrowser",
            "EndLease",
            "SetLogLevel",
        ],
        Access::Admin,
    ),
    (
        "berth.v1.FetchService",
        &["Fetch", "FetchMany"],
        Access::Own,
    ),
    (
        "berth.v1.LeaseService",
        &["Acquire", "Hold", "Renew", "Release", "Get", "List"],
        Access::Own,
    ),
    (
        "berth.v1.PageService",
        &[
            "Navigate",
            "Snapshot",
            "Click",
            "Hover",
            "Drag",
            "Fill",
            "Type",
            "Press",
            "SelectOption",
            "UploadFiles",
            "Scroll",
            "WaitFor",
            "Evaluate",
            "Content",
            "Screenshot",
            "Pdf",
            "ListPages",
            "NewPage",
            "ActivatePage",
            "ClosePage",
        ],
        Access::Own,
    ),
    ("grpc.health.v1.Health", &["Check", "Watch"], Access::Open),
    (
        "grpc.reflection.v1.ServerReflection",
        &["ServerReflectionInfo"],
        Access::Open,
    ),
    (
        "grpc.reflection.v1alpha.ServerReflection",
        &["ServerReflectionInfo"],
        Access::Open,
    ),
];

/// For whom the method at `path` (`/package.Service/Method`) is; `None` when there is none.
fn access(path: &str) -> Option<Access> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let (_, methods, access) = TABLE.iter().find(|(name, ..)| *name == service)?;
    methods.contains(&method).then_some(*access)
}

/// The lease that `text` names, when `caller` may see and end it. Every method that is about one lease
/// begins with this.
pub(super) fn own_lease(broker: &Broker, caller: &Caller, text: &str) -> Result<LeaseId, Status> {
    let id = convert::lease_id(text).map_err(status::invalid)?;
    let own = broker.check_owner(caller, id);
    own.map_err(|error| status::of(error, broker, None))?;
    Ok(id)
}

/// Makes [`Guarded`] services.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guard;

/// A service that only those reach for whom it is.
#[derive(Clone, Debug)]
pub(super) struct Guarded<S>(S);

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded(inner)
    }
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let may = match access(request.uri().path()) {
            Some(Access::Open | Access::Own) => true,
            // What is not known is answered so by the router, to those who may know.
            Some(Access::Admin) | None => call::caller(request.extensions()).is_admin(),
        };
        if may {
            Either::Left(self.0.call(request))
        } else {
            Either::Right(ready(Ok(status::role_required("admin").into_http())))
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::{metrics::METHODS, proto};

    /// Every method of the descriptors, as a path.
    fn methods() -> Vec<String> {
        let sets = [proto::DESCRIPTORS, tonic_health::pb::FILE_DESCRIPTOR_SET];
        let files = sets.into_iter().flat_map(|bytes| {
            let set = FileDescriptorSet::decode(bytes).unwrap();
            set.file
        });
        let mut paths = Vec::new();
        for file in files {
            for service in &file.service {
                let service_name = format!("/{}.{}", file.package(), service.name());
                let names = service.method.iter().map(|method| method.name());
                paths.extend(names.map(|name| format!("{service_name}/{name}")));
            }
        }
        assert!(paths.len() > 25, "the descriptors are read: {paths:?}");
        paths
    }

    #[test]
    fn every_method_is_for_somebody() {
        for path in methods() {
            let access = access(&path);
            assert!(access.is_some(), "{path} is in no class: add it to TABLE");
            let admin = path.starts_with("/berth.v1.AdminService/");
            assert_eq!(access == Some(Access::Admin), admin, "{path}");
            let own = path.starts_with("/berth.v1.") && !admin;
            assert_eq!(access == Some(Access::Own), own, "{path}");
        }
        for path in METHODS {
            assert!(access(&format!("/{path}")).is_some(), "{path}");
        }
    }

    #[test]
    fn the_table_has_nothing_that_is_not_there() {
        let methods = methods();
        for (service, names, _) in TABLE {
            let is_described = !service.contains(".reflection.");
            for name in names.iter().filter(|_| is_described) {
                let path = format!("/{service}/{name}");
                assert!(methods.contains(&path), "{path}");
            }
        }
        for none in [
            "",
            "/",
            "/berth.v1.AdminService/Guess",
            "berth.v1.AdminService/Drain",
        ] {
            assert_eq!(access(none), None, "{none}");
        }
    }
}
