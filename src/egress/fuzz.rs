//! What must hold of rules and targets for any bytes.

use url::Host;

use super::{Rule, Target};

/// A rule (up to the first line feed) and a host behind it: what a rule shows is read as the same
/// rule, and a target's host as the same target.
pub(crate) fn rules(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (rule, host) = text.split_once('\n').unwrap_or((&text, ""));
    if let Ok(rule) = rule.parse::<Rule>() {
        assert_eq!(rule.to_string().parse(), Ok(rule));
    }
    let target = Target::new(Host::Domain(host), 80);
    let shown = target.host().to_string();
    assert_eq!(Target::new(Host::Domain(&shown), 80), target, "{host:?}");
    if let Ok(Host::Ipv4(address)) = Host::parse(host) {
        assert_eq!(target.host(), &Host::<String>::Ipv4(address), "{host:?}");
    }
}
