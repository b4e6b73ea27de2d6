//! What stands at zero from the start: a series that appears with its first event hides that event from
//! `increase()`.

use opentelemetry::KeyValue;

use super::{
    AcquireOutcome, AuthOutcome, CACHE_RESULTS, CanaryResult, END_REASONS, FETCH_OUTCOMES,
    LEAK_KINDS, LaunchResult, Metrics, QuotaKind, Reload, Retire, VIA, Wanted,
};

impl Metrics {
    /// Every counter of a closed label set at zero.
    pub(super) fn start_at_zero(&self) {
        let zero = |name: &'static str, label: &'static str, words: &[&'static str]| {
            for word in words {
                self.add(name, 0, &[KeyValue::new(label, *word)]);
            }
        };
        zero(
            "berth_browser_launches_total",
            "result",
            &LaunchResult::ALL.map(LaunchResult::as_str),
        );
        zero(
            "berth_browsers_retired_total",
            "reason",
            &Retire::ALL.map(Retire::as_str),
        );
        zero(
            "berth_acquire_total",
            "outcome",
            &AcquireOutcome::ALL.map(AcquireOutcome::as_str),
        );
        zero(
            "berth_auth_reloads_total",
            "result",
            &Reload::ALL.map(Reload::as_str),
        );
        zero(
            "berth_auth_total",
            "outcome",
            &AuthOutcome::ALL.map(AuthOutcome::as_str),
        );
        zero(
            "berth_pool_exhausted_total",
            "wanted",
            &Wanted::ALL.map(Wanted::as_str),
        );
        zero(
            "berth_quota_refused_total",
            "quota",
            &QuotaKind::ALL.map(QuotaKind::as_str),
        );
        zero(
            "berth_canary_runs_total",
            "result",
            &CanaryResult::ALL.map(CanaryResult::as_str),
        );
        zero("berth_leaks_found_total", "kind", &LEAK_KINDS);
        zero("berth_leaks_repaired_total", "kind", &LEAK_KINDS);
        zero("berth_cache_requests_total", "result", &CACHE_RESULTS);
        zero("berth_leases_ended_total", "reason", &END_REASONS);
        self.denials_at_zero();
        for via in VIA {
            for outcome in FETCH_OUTCOMES {
                let labels = [KeyValue::new("via", via), KeyValue::new("outcome", outcome)];
                self.add("berth_fetches_total", 0, &labels);
            }
        }
        for name in [
            "berth_http_connections_opened_total",
            "berth_http_requests_total",
        ] {
            self.add(name, 0, &[]);
        }
    }
}
