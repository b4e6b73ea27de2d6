//! What is counted of the policies: by rule, and whether it was enforced.

use opentelemetry::KeyValue;

use super::{CdpRule, EgressRule, Metrics};

const CDP: &str = "berth_cdp_denied_total";
const EGRESS: &str = "berth_egress_denied_total";

impl Metrics {
    /// The CDP policy forbade a command by `rule`, or said that it would have.
    pub fn cdp_denied(&self, rule: CdpRule, enforced: bool) {
        self.count(CDP, &labels(rule.as_str(), enforced));
    }

    /// The egress policy forbade a target by `rule`, or said that it would have.
    pub fn egress_denied(&self, rule: EgressRule, enforced: bool) {
        self.count(EGRESS, &labels(rule.as_str(), enforced));
    }

    pub(super) fn denials_at_zero(&self) {
        for enforced in [true, false] {
            for rule in CdpRule::ALL.map(CdpRule::as_str) {
                self.add(CDP, 0, &labels(rule, enforced));
            }
            for rule in EgressRule::ALL.map(EgressRule::as_str) {
                self.add(EGRESS, 0, &labels(rule, enforced));
            }
        }
    }
}

fn labels(rule: &'static str, enforced: bool) -> [KeyValue; 2] {
    let mode = if enforced { "enforce" } else { "report" };
    [KeyValue::new("rule", rule), KeyValue::new("mode", mode)]
}
