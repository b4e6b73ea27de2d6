//! Where the broker and its browsers may go: one policy for everything that leaves.
//!
//! * [`Rule`] is one line of an allow or deny list, [`Policy`] the whole: pure, and asked twice for
//!   every connection: with the name before it is looked up, and with each address before it is
//!   dialled. What is dialled is the address that was checked, so a name that changes its answer in
//!   between gains nothing.
//! * `address` knows which addresses are special, and which of them give away a cloud's secrets.
//! * [`Egress`] is the policy together with a [`Resolver`]: from a target to the addresses to dial.
//! * [`Route`] is how a connection is made: what may be reached, and by which [`Upstream`] proxies.
//! * [`EgressProxy`] is a browser's only way to a network, and goes by a route.
//! * [`OwnPorts`] are the ports of this broker and of its browsers: never reachable, whatever is
//!   allowed.

mod address;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod own;
mod policy;
mod proxy;
mod resolve;
mod route;
mod rule;
mod upstream;

pub use self::{
    own::{OwnPort, OwnPorts},
    policy::{Denied, Fallback, Policy, Settings, Target},
    proxy::{EgressProxy, Failure},
    resolve::{Egress, LookupError, Resolver, ResolverError},
    route::Route,
    rule::{ParseError, Rule},
    upstream::{Detour, ProxyError, Upstream},
};
