//! Who may read what on the operators' port.
//!
//! A page in somebody's web browser can have its own name lead here (DNS rebinding) and then read what
//! comes, but it cannot call us by ours, and what it sends to other names has an `Origin`. Probes are
//! answered whoever asks and by whatever name: they tell no more than a port that is open.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE},
        uri::Authority,
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};

use crate::{
    accept::Certificate,
    auth::{Gate, Shown},
};

/// What is answered whoever asks.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/health"];
/// What needs a caller, and no admin: a scraper changes nothing and sees nobody's work.
const METRICS: &str = "/metrics";

const ORIGINS: &str = "requests of other web pages are refused: this one has their Origin header\n";
const WHO: &str = "who is it? send a token as a bearer, or as the password of any user\n";
const ADMINS: &str = "only an admin may see this\n";

/// Who may read.
#[derive(Clone, Debug)]
pub struct Access {
    /// Names by which this port may be called, beside `localhost` and addresses.
    pub names: Vec<String>,
    /// Who asks callers who they are; nobody is asked without.
    pub gate: Option<Gate>,
}

impl Access {
    /// `router`, for those who may.
    pub fn guard(self, router: Router) -> Router {
        router.layer(from_fn_with_state(Arc::new(self), check))
    }

    fn refusal(&self, request: &Request) -> Option<Response> {
        let headers = request.headers();
        if headers
            .get_all(ORIGIN)
            .iter()
            .any(|one| !is_own(one, headers))
        {
            return Some((StatusCode::FORBIDDEN, ORIGINS).into_response());
        }
        if !is_ours(headers, &self.names) {
            let names = self.names.join(", ");
            let why = format!(
                "this port answers at an IP address, at localhost and at the names it is configured \
                 with ({names}): ops_hosts\n"
            );
            return Some((StatusCode::MISDIRECTED_REQUEST, why).into_response());
        }
        let extensions = request.extensions();
        let certificate = extensions.get::<Certificate>();
        let caller = self.gate.as_ref()?.admit(Shown {
            authorization: headers.get(AUTHORIZATION).map(HeaderValue::as_bytes),
            certificate: certificate.and_then(Certificate::names),
            peer: extensions.get::<SocketAddr>().copied(),
        });
        match caller {
            Err(_) => {
                let mut answer = (StatusCode::UNAUTHORIZED, WHO).into_response();
                // Basic is what a web browser asks its user for.
                for scheme in ["Bearer", "Basic realm=\"berth\", charset=\"UTF-8\""] {
                    let scheme = HeaderValue::from_static(scheme);
                    answer.headers_mut().append(WWW_AUTHENTICATE, scheme);
                }
                Some(answer)
            }
            Ok(caller) if caller.is_admin() || request.uri().path() == METRICS => None,
            Ok(_) => Some((StatusCode::FORBIDDEN, ADMINS).into_response()),
        }
    }
}

async fn check(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    if PROBES.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match access.refusal(&request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

/// Whether `origin` is a page of ours: browsers name it when it loads its own modules. A name that was
/// bent to this address would be its own, too, but is not let in.
fn is_own(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let own = headers.get(HOST).map(HeaderValue::as_bytes);
    let origin = origin.as_bytes();
    let authority = origin
        .strip_prefix(b"http://")
        .or_else(|| origin.strip_prefix(b"https://"));
    authority.is_some() && authority == own
}

/// Whether the caller means us by the name it uses.
fn is_ours(headers: &HeaderMap, names: &[String]) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let Some(authority) = host.and_then(|host| host.parse::<Authority>().ok()) else {
        return false;
    };
    let host = authority.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>().is_ok() || bare.parse::<Ipv6Addr>().is_ok();
    let host = host.to_ascii_lowercase();
    address
        || host == "localhost"
        || host.ends_with(".localhost")
        || names.iter().any(|name| host.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls_us(host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        is_ours(&headers, &["Node-7".into(), "berth.internal".into()])
    }

    #[test]
    fn our_own_names_are_answered_and_no_others() {
        for host in [
            "127.0.0.1:9464",
            "10.1.2.3",
            "[::1]:9464",
            "[fd00::7]",
            "localhost:9464",
            "LOCALHOST",
            "berth.localhost:80",
            "node-7:9464",
            "berth.internal",
        ] {
            assert!(calls_us(host), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example:9464",
            "localhost.evil.example",
            "notlocalhost",
            "node-7.evil.example",
            "x@127.0.0.1:@evil.example",
            "",
        ] {
            assert!(!calls_us(host), "{host}");
        }
        assert!(!is_ours(&HeaderMap::new(), &["node-7".into()]));
    }

    #[test]
    fn only_pages_of_this_very_port_are_ours() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("127.0.0.1:9464"));
        let own = |origin| is_own(&HeaderValue::from_static(origin), &headers);
        assert!(own("http://127.0.0.1:9464") && own("https://127.0.0.1:9464"));
        for other in ["http://127.0.0.1", "http://127.0.0.1:94640", "null", ""] {
            assert!(!own(other), "{other}");
        }
        let nowhere = HeaderMap::new();
        assert!(!is_own(&HeaderValue::from_static("null"), &nowhere));
    }
}
