//! Between messages and what the broker speaks.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::Options;
use crate::{
    broker::{Subject, Violation},
    drain::Drain,
    lease::{EndReason, LeaseId, OnDisconnect, Record, Token},
    proto,
};

/// Where this broker is, as its leases tell.
#[derive(Clone, Debug)]
pub(super) struct Place {
    node: String,
    gateway: std::net::SocketAddr,
    public: Option<url::Url>,
    /// Whether the gateway itself speaks TLS.
    secure: bool,
    /// Tells when leases will be cut.
    drain: Option<Drain>,
    /// The server's own clock, to be shown beside the wall clock.
    pub(super) started: (Instant, SystemTime),
}

impl Place {
    pub(super) fn new(options: &Options, drain: Drain) -> Self {
        Self {
            node: options.node.clone(),
            gateway: options.gateway,
            public: options.gateway_public_url.clone(),
            secure: options.gate.tls().is_some(),
            drain: Some(drain),
            started: (Instant::now(), SystemTime::now()),
        }
    }

    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// The lease's addresses, as websocket and as HTTP. `authority` is the host the caller reached
    /// us by: that of the gateway, too, when it listens on every address.
    fn addresses(&self, token: &Token, authority: Option<&str>) -> (String, String) {
        let path = format!("/lease/{}", token.reveal());
        if let Some(public) = &self.public {
            let secure = matches!(public.scheme(), "https" | "wss");
            let base = public.as_str().trim_end_matches('/');
            let base = base.split_once("://").map_or(base, |(_, rest)| rest);
            let s = if secure { "s" } else { "" };
            return (
                format!("ws{s}://{base}{path}"),
                format!("http{s}://{base}{path}"),
            );
        }
        let host = match authority.map(host_of) {
            Some(host) if self.gateway.ip().is_unspecified() => {
                format!("{host}:{}", self.gateway.port())
            }
            _ => self.gateway.to_string(),
        };
        let s = if self.secure { "s" } else { "" };
        (
            format!("ws{s}://{host}{path}"),
            format!("http{s}://{host}{path}"),
        )
    }

    /// When leases will be cut, on the wall clock, once that is known.
    pub(super) fn drain_time(&self) -> Option<prost_types::Timestamp> {
        let cut = self.drain.as_ref()?.cut_at()?;
        let left = cut.saturating_duration_since(Instant::now());
        Some((SystemTime::now() + left).into())
    }

    /// A lease as it is shown to whoever was granted it.
    pub(super) fn granted(
        &self,
        record: &Record<Subject>,
        token: &Token,
        authority: Option<&str>,
    ) -> proto::Lease {
        let (cdp_url, cdp_http_url) = self.addresses(token, authority);
        proto::Lease {
            cdp_url,
            cdp_http_url,
            ..self.lease(record)
        }
    }

    /// A lease as it is shown to anybody else.
    pub(super) fn lease(&self, record: &Record<Subject>) -> proto::Lease {
        let ended = record.ended;
        let subject = &record.subject;
        proto::Lease {
            id: record.id.to_string(),
            state: if ended.is_some() {
                proto::LeaseState::Ended.into()
            } else {
                proto::LeaseState::Active.into()
            },
            end_reason: ended
                .map_or(proto::EndReason::Unspecified, |end| end_reason(end.0))
                .into(),
            owner: record.owner.clone(),
            labels: record.labels.clone().into_iter().collect(),
            create_time: Some(record.created.into()),
            expire_time: Some(record.expires.into()),
            max_expire_time: Some(record.max_expires.into()),
            end_time: ended.map(|end| end.1.into()),
            now: Some(SystemTime::now().into()),
            cdp_url: String::new(),
            cdp_http_url: String::new(),
            browser: Some(proto::LeasedBrowser {
                id: subject.browser.to_string(),
                product: subject.product.name.clone(),
                protocol_version: subject.product.protocol.clone(),
                user_agent: subject.product.user_agent.clone(),
            }),
            node: self.node.clone(),
            queue_time: to_proto(record.queue_time),
            wait: to_proto(subject.wait),
            ttl: to_proto(record.limits.ttl),
            idle_timeout: record.limits.idle_timeout.and_then(to_proto),
            max_lifetime: to_proto(record.limits.max_lifetime),
            on_disconnect: match record.limits.on_disconnect {
                OnDisconnect::Release => proto::OnDisconnect::Release.into(),
                OnDisconnect::Keep => proto::OnDisconnect::Keep.into(),
            },
            detach_grace: to_proto(record.limits.detach_grace),
            attached_clients: u32::try_from(record.attached).unwrap_or(u32::MAX),
            held: record.held,
            drain_time: self.drain_time().filter(|_| ended.is_none()),
        }
    }
}

/// The host of an authority, without its port; IPv6 keeps its brackets.
fn host_of(authority: &str) -> &str {
    match authority.rfind([':', ']']) {
        Some(at) if authority.as_bytes().get(at) == Some(&b':') => &authority[..at],
        _ => authority,
    }
}

pub(super) const fn end_reason(reason: EndReason) -> proto::EndReason {
    match reason {
        EndReason::Released => proto::EndReason::Released,
        EndReason::Expired => proto::EndReason::Expired,
        EndReason::Idle => proto::EndReason::Idle,
        EndReason::Detached => proto::EndReason::Detached,
        EndReason::ClientGone => proto::EndReason::ClientGone,
        EndReason::BrowserCrashed => proto::EndReason::BrowserCrashed,
        EndReason::OomKilled => proto::EndReason::OomKilled,
        EndReason::HungKilled => proto::EndReason::HungKilled,
        EndReason::Revoked => proto::EndReason::Revoked,
        EndReason::Drained => proto::EndReason::Drained,
        EndReason::Policy => proto::EndReason::Policy,
    }
}

/// A duration as a message; one beyond what messages hold is not shown.
pub(super) fn to_proto(duration: Duration) -> Option<prost_types::Duration> {
    duration.try_into().ok()
}

/// A duration out of the message's field `field`.
pub(super) fn duration(
    field: &str,
    duration: Option<prost_types::Duration>,
    wrong: &mut Vec<Violation>,
) -> Option<Duration> {
    match Duration::try_from(duration?) {
        Ok(duration) => Some(duration),
        Err(_) => {
            wrong.push(Violation::new(field, "must not be negative"));
            None
        }
    }
}

/// A lease's name out of the message's field `lease_id`.
pub(super) fn lease_id(text: &str) -> Result<LeaseId, Vec<Violation>> {
    LeaseId::parse(text).ok_or_else(|| {
        let why = if text.is_empty() {
            "must not be empty".to_owned()
        } else {
            "not the name of a lease; it looks like lease-0198f2c1…".to_owned()
        };
        vec![Violation::new("lease_id", why)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(gateway: &str, public: Option<&str>) -> Place {
        Place {
            secure: false,
            node: "here".into(),
            gateway: gateway.parse().unwrap(),
            public: public.map(|url| url.parse().unwrap()),
            drain: None,
            started: (Instant::now(), SystemTime::now()),
        }
    }

    #[test]
    fn the_addresses_are_those_the_caller_can_reach() {
        let token = Token::generate(LeaseId::generate());
        let path = format!("/lease/{}", token.reveal());
        for (gateway, public, authority, wanted) in [
            (
                "127.0.0.1:50052",
                None,
                Some("localhost:50051"),
                "ws://127.0.0.1:50052",
            ),
            (
                "0.0.0.0:50052",
                None,
                Some("10.1.2.3:50051"),
                "ws://10.1.2.3:50052",
            ),
            (
                "[::]:50052",
                None,
                Some("[fd00::1]:50051"),
                "ws://[fd00::1]:50052",
            ),
            (
                "[::]:50052",
                None,
                Some("[fd00::1]"),
                "ws://[fd00::1]:50052",
            ),
            ("0.0.0.0:50052", None, None, "ws://0.0.0.0:50052"),
            (
                "0.0.0.0:1",
                Some("https://cdp.example/x/"),
                None,
                "wss://cdp.example/x",
            ),
        ] {
            let (ws, http) = place(gateway, public).addresses(&token, authority);
            assert_eq!(ws, format!("{wanted}{path}"));
            assert_eq!(http, ws.replacen("ws", "http", 1));
        }
    }

    #[test]
    fn a_negative_duration_is_named() {
        let mut wrong = Vec::new();
        let negative = prost_types::Duration {
            seconds: -1,
            nanos: 0,
        };
        assert_eq!(duration("ttl", Some(negative), &mut wrong), None);
        assert_eq!(wrong[0].field, "ttl");
        assert_eq!(duration("ttl", None, &mut wrong), None);
        assert_eq!(wrong.len(), 1);
    }
}
