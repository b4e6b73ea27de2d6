//! What is counted of the CDP policy.

use opentelemetry::KeyValue;

use super::{CdpRule, Metrics};

const DENIED: &str = "berth_cdp_denied_total";

impl Metrics {
    /// The CDP policy forbade a command by `rule`, or said that it would have.
    pub fn cdp_denied(&self, rule: CdpRule, enforced: bool) {
        self.count(DENIED, &labels(rule, enforced));
    }

    pub(super) fn cdp_at_zero(&self) {
        for rule in CdpRule::ALL {
            for enforced in [true, false] {
                self.add(DENIED, 0, &labels(rule, enforced));
            }
        }
    }
}

fn labels(rule: CdpRule, enforced: bool) -> [KeyValue; 2] {
    let mode = if enforced { "enforce" } else { "report" };
    [
        KeyValue::new("rule", rule.as_str()),
        KeyValue::new("mode", mode),
    ]
}
