//! What is heard: filters of log events.

use tracing_subscriber::{
    EnvFilter,
    filter::{LevelFilter, ParseError},
};

/// Crates that say more than anyone asked for, and up to which level they are heard.
///
/// chromiumoxide reports each protocol message newer than itself, and each browser that Berth ends
/// on purpose; Berth sees both itself and says what it makes of them.
const QUIET: [(&str, LevelFilter); 5] = [
    ("chromiumoxide", LevelFilter::WARN),
    ("chromiumoxide::conn", LevelFilter::OFF),
    ("chromiumoxide::handler", LevelFilter::OFF),
    ("opentelemetry", LevelFilter::WARN),
    ("opentelemetry_sdk", LevelFilter::WARN),
];

/// The longest filter that is read, in bytes.
const LONGEST: usize = 1024;

/// What [`spans`](super::SPANS) are made with, which are for traces alone.
const FOR_TRACES_ALONE: &str = "otel=off";

/// Reads a filter. Its general level is that of Berth's own events: other crates are heard up to
/// `info`, because from `debug` on the transports write what passes through them, secrets too.
/// What the filter says of a crate by name holds all the same.
pub(super) fn parse(filter: &str) -> Result<EnvFilter, ParseError> {
    let general = general(filter);
    let mut directives = vec![
        general.min(LevelFilter::INFO).to_string(),
        format!("berth={general}"),
        FOR_TRACES_ALONE.to_owned(),
    ];
    // Never louder than all the rest; and what the setting says of one of them comes later, so
    // it wins.
    directives.extend(QUIET.map(|(target, level)| format!("{target}={}", level.min(general))));
    let named = split(filter).filter(|directive| directive.parse::<LevelFilter>().is_err());
    directives.extend(named.map(str::to_owned));
    EnvFilter::builder().parse(directives.join(","))
}

/// Why `filter` cannot be one, whatever it says.
pub(super) fn too_long(filter: &str) -> bool {
    filter.len() > LONGEST
}

/// The filter that hears one level more of Berth's own events than `filter`.
pub(super) fn raised(filter: &str) -> String {
    let own = format!("berth={}", louder(heard(filter)));
    // One directive for Berth, however often this is asked for.
    let others = split(filter).filter(|one| !one.starts_with("berth="));
    let directives: Vec<_> = others.chain([own.as_str()]).collect();
    directives.join(",")
}

/// The level up to which Berth's own events are heard.
fn heard(filter: &str) -> LevelFilter {
    let own = split(filter)
        .filter_map(|directive| directive.strip_prefix("berth=")?.parse().ok())
        .next_back();
    own.unwrap_or_else(|| general(filter))
}

/// The next level that hears more.
fn louder(level: LevelFilter) -> LevelFilter {
    match level {
        LevelFilter::OFF => LevelFilter::ERROR,
        LevelFilter::ERROR => LevelFilter::WARN,
        LevelFilter::WARN => LevelFilter::INFO,
        LevelFilter::INFO => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

fn general(filter: &str) -> LevelFilter {
    let mut levels = split(filter).filter_map(|directive| directive.parse::<LevelFilter>().ok());
    levels.next_back().unwrap_or(LevelFilter::ERROR)
}

fn split(filter: &str) -> impl DoubleEndedIterator<Item = &str> {
    filter
        .split(',')
        .map(str::trim)
        .filter(|one| !one.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directives(filter: &str) -> Vec<String> {
        let parsed = parse(filter).unwrap().to_string();
        parsed.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn other_crates_stay_quiet_unless_asked_for() {
        let has = |filter: &str, wanted: &str| directives(filter).iter().any(|one| one == wanted);
        assert!(has("info", "chromiumoxide::handler=off"));
        assert!(has("info", "info") && has("info", "berth=info"));
        assert!(has("trace", "info") && has("trace", "berth=trace"));
        assert!(has("info,h2=trace", "h2=trace"));
        assert!(has("error,berth=debug", "error") && has("error,berth=debug", "berth=debug"));
        assert!(!has("error,berth=debug", "berth=error"));
    }

    #[test]
    fn a_quiet_setting_is_not_made_louder() {
        let error = directives("error").join(",");
        assert!(
            !error.contains("info") && !error.contains("warn"),
            "{error}"
        );
    }

    #[test]
    fn the_level_of_berth_itself_is_known() {
        for (filter, level) in [
            ("info", LevelFilter::INFO),
            ("warn,berth=debug", LevelFilter::DEBUG),
            ("berth=debug, trace", LevelFilter::DEBUG),
            ("h2=trace", LevelFilter::ERROR),
            ("", LevelFilter::ERROR),
        ] {
            assert_eq!(heard(filter), level, "{filter}");
        }
        assert_eq!(louder(LevelFilter::INFO), LevelFilter::DEBUG);
        assert_eq!(louder(LevelFilter::TRACE), LevelFilter::TRACE);
    }
}
