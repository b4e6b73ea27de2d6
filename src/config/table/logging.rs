//! The settings of logs and traces.

use super::{
    Kind,
    Preset::{Found, Text},
    Setting, setting,
};

pub(super) const LOGGING: &[Setting] = &[
    setting(
        "log-level",
        Text("info"),
        Kind::LogFilter(|c| &mut c.log_level),
        "What is logged",
    ),
    setting(
        "log-format",
        Text("auto"),
        Kind::LogFormat(|c| &mut c.log_format),
        "How log lines look; auto is pretty on a terminal and json elsewhere",
    ),
    setting(
        "otlp-endpoint",
        Found(otlp_endpoint, "`$OTEL_EXPORTER_OTLP_ENDPOINT`, else none"),
        Kind::HttpUrl(|c| &mut c.otlp_endpoint),
        "The OTLP/gRPC collector that traces are sent to, such as http://127.0.0.1:4317",
    ),
];

fn otlp_endpoint() -> String {
    std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").unwrap_or_default()
}
