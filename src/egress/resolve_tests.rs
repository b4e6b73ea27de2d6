use std::time::Duration;

use super::*;
use crate::{
    egress::{OwnPorts, Settings},
    metrics::{EgressRule, Metrics},
};

/// A server that nobody is at: what asks it fails, and what does not ask is seen by that.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

fn egress(allow: &[&str]) -> Egress {
    let settings = Settings {
        allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
        ..Settings::default()
    };
    let policy = Policy::new(settings, OwnPorts::default(), &Metrics::new().unwrap());
    Egress::new(policy, Resolver::new(&[NOBODY]).unwrap())
}

async fn addresses(egress: &Egress, host: &str) -> Result<Vec<SocketAddr>, LookupError> {
    let deadline = Deadline::after(Duration::from_secs(30));
    let target = Target::new(Host::Domain(host), 80);
    egress.addresses(&target, deadline).await
}

fn rule<T: fmt::Debug>(result: Result<T, LookupError>) -> EgressRule {
    match result {
        Err(LookupError::Denied(denied)) => denied.rule,
        other => panic!("not denied: {other:?}"),
    }
}

#[tokio::test]
async fn addresses_are_their_own_answer_once_they_are_checked() {
    let egress = egress(&[]);
    let open = addresses(&egress, "1.1.1.1").await.unwrap();
    assert_eq!(open, ["1.1.1.1:80".parse().unwrap()]);
    let denied = addresses(&egress, "0x7f.1").await;
    assert_eq!(rule(denied), EgressRule::Loopback);
}

#[tokio::test]
async fn localhost_is_this_machine_and_no_question() {
    let shut = egress(&[]);
    for name in ["localhost", "LocalHost.", "a.b.localhost"] {
        assert_eq!(rule(addresses(&shut, name).await), EgressRule::Loopback);
    }
    let both = ["127.0.0.1:80", "[::1]:80"].map(|text| text.parse().unwrap());
    let open = egress(&["localhost:80"]);
    assert_eq!(addresses(&open, "localhost").await.unwrap(), both);
    // Of both only the one that is open.
    let half = egress(&["::1"]);
    assert_eq!(addresses(&half, "localhost").await.unwrap(), both[1..]);
}

#[tokio::test]
async fn what_is_no_name_is_not_asked_for() {
    for name in ["", "a b", "\\108ocalhost", "a/b"] {
        let missing = addresses(&egress(&[]), name).await;
        assert!(
            matches!(&missing, Err(LookupError::NotFound(why)) if why.contains("no host name")),
            "{name}: {missing:?}"
        );
    }
    let long = "a".repeat(64);
    let missing = addresses(&egress(&[]), &long).await;
    assert!(matches!(missing, Err(LookupError::NotFound(_))));
}

#[tokio::test]
async fn a_silent_server_is_waited_for_no_longer_than_the_deadline() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let resolver = Resolver::new(&[silent.local_addr().unwrap()]).unwrap();
    let soon = Deadline::after(Duration::from_millis(50));
    let passed = resolver.look_up("berth.test", soon).await;
    assert_eq!(passed, Err(LookupError::Passed));
}
