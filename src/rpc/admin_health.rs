//! The health as the status shows it.

use serde_json::Value;

use crate::{
    health::{Health, Status},
    proto::{HealthCheck, HealthStatus},
};

/// How the whole is.
pub(super) const fn overall(status: Status) -> HealthStatus {
    match status {
        Status::Healthy => HealthStatus::Healthy,
        Status::Degraded => HealthStatus::Degraded,
        Status::Unhealthy => HealthStatus::Unhealthy,
    }
}

/// Every part, as `/health` names it: read from the same words, so that a part added there is
/// here, too.
pub(super) fn checks(health: &Health) -> Vec<HealthCheck> {
    let parts = serde_json::to_value(&health.checks);
    let parts = parts.as_ref().ok().and_then(Value::as_object);
    let parts = parts.into_iter().flatten();
    parts
        .map(|(name, part)| HealthCheck {
            name: name.clone(),
            status: status(&part["status"]).into(),
            detail: detail(part),
        })
        .collect()
}

fn status(word: &Value) -> HealthStatus {
    match word.as_str() {
        Some("healthy") => HealthStatus::Healthy,
        Some("degraded") => HealthStatus::Degraded,
        Some("unhealthy") => HealthStatus::Unhealthy,
        _ => HealthStatus::Unspecified,
    }
}

/// What a part says beside its figures.
fn detail(part: &Value) -> String {
    let words = part.as_object().into_iter().flatten();
    let words = words.filter(|(name, _)| *name != "status");
    let said = words.filter_map(|(name, value)| {
        let text = match value {
            Value::String(text) if !text.is_empty() => text.clone(),
            Value::Array(all) => {
                let texts: Vec<_> = all.iter().filter_map(Value::as_str).collect();
                (!texts.is_empty()).then(|| texts.join(", "))?
            }
            _ => return None,
        };
        Some(format!("{}: {text}", name.replace('_', " ")))
    });
    said.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Checks;

    #[test]
    fn every_part_is_there_with_its_state_and_its_words() {
        let mut parts = Checks::default();
        parts.browser_pool.verdict.status = Status::Unhealthy;
        parts.browser_pool.last_launch_error = Some("no such file".into());
        let health = Health {
            status: parts.worst(),
            checks: parts,
            ..Health::default()
        };
        let checks = checks(&health);
        let pool = checks.iter().find(|one| one.name == "browser_pool");
        let pool = pool.unwrap();
        assert_eq!(pool.status(), HealthStatus::Unhealthy);
        assert_eq!(pool.detail, "last launch error: no such file");
        let cache = checks.iter().find(|one| one.name == "cache").unwrap();
        assert_eq!(cache.status(), HealthStatus::Healthy);
        assert_eq!(cache.detail, "");
        assert_eq!(overall(health.status), HealthStatus::Unhealthy);
    }

    #[test]
    fn words_of_all_kinds_are_said() {
        let part = serde_json::json!({"status": "degraded", "why": ["one", "two"], "n": 3});
        assert_eq!(detail(&part), "why: one, two");
        assert_eq!(status(&part["status"]), HealthStatus::Degraded);
        assert_eq!(status(&part["n"]), HealthStatus::Unspecified);
    }
}
