//! What becomes of each trap. An outcome is the origin's status, or the reason of the error.

/// What the HTTP way makes of a path, and what a browser does; several where both are right.
pub struct Case {
    pub path: &'static str,
    pub http: &'static [&'static str],
    pub browser: &'static [&'static str],
}

const fn case(
    path: &'static str,
    http: &'static [&'static str],
    browser: &'static [&'static str],
) -> Case {
    Case {
        path,
        http,
        browser,
    }
}

const OK: &[&str] = &["200"];
const LATE: &[&str] = &["ORIGIN_TIMEOUT"];
const BROKEN: &[&str] = &["ORIGIN_PROTOCOL"];
/// The page never came to rest.
const STUCK: &[&str] = &["DEADLINE"];
const LARGE: &[&str] = &["TOO_LARGE"];
const NOT_SENT: &[&str] = &[];

pub const CASES: &[Case] = &[
    case("/ok", OK, OK),
    // Slow.
    case("/hang", LATE, LATE),
    case("/hang-body", LATE, STUCK),
    case("/drip-head", LATE, LATE),
    case("/drip-body", LATE, STUCK),
    case("/continues", LATE, LATE),
    // Large.
    case("/endless", &["TOO_LARGE", "ORIGIN_TIMEOUT"], STUCK),
    case("/bomb/gzip", LARGE, &["TOO_LARGE", "DEADLINE"]),
    case("/bomb/deflate", LARGE, NOT_SENT),
    case("/bomb/br", LARGE, NOT_SENT),
    case("/bomb/zstd", LARGE, NOT_SENT),
    case(
        "/bomb/gzip-gzip",
        &["TOO_LARGE", "ORIGIN_PROTOCOL", "200"],
        NOT_SENT,
    ),
    case("/image", LARGE, OK),
    case("/deep", OK, &["200", "DEADLINE"]),
    case("/wide", LARGE, &["TOO_LARGE", "DEADLINE"]),
    case("/large-text", OK, LARGE),
    case("/large-title", OK, LARGE),
    case("/growing", OK, &["200", "TOO_LARGE"]),
    // Against the protocol.
    case("/broken-gzip", BROKEN, BROKEN),
    case(
        "/cut-gzip",
        BROKEN,
        &["200", "ORIGIN_PROTOCOL", "TOO_LARGE"],
    ),
    case("/unknown-coding", OK, OK),
    case("/bad-chunk", BROKEN, BROKEN),
    case("/cut-chunk", BROKEN, BROKEN),
    case("/short-body", BROKEN, &["200", "ORIGIN_PROTOCOL"]),
    case("/long-body", OK, OK),
    case("/two-lengths", BROKEN, BROKEN),
    case("/huge-header", BROKEN, BROKEN),
    case("/many-headers", BROKEN, &["200", "ORIGIN_PROTOCOL"]),
    case("/garbage", BROKEN, BROKEN),
    case("/close", BROKEN, BROKEN),
    case("/status/999", &["999"], &["999", "ORIGIN_PROTOCOL"]),
    // Redirects.
    case("/redirects/1000", BROKEN, BROKEN),
    case("/loop", BROKEN, BROKEN),
    case("/to/file", BROKEN, BROKEN),
    case("/to/javascript", BROKEN, BROKEN),
    case("/to/data", BROKEN, BROKEN),
    case("/to/ftp", BROKEN, BROKEN),
    case("/to/about", BROKEN, BROKEN),
    case("/to/chrome", BROKEN, BROKEN),
    case("/to/view-source", BROKEN, BROKEN),
    case("/to/blob", BROKEN, BROKEN),
    case("/to/nonsense", BROKEN, &["ORIGIN_PROTOCOL", "302"]),
    // Text that is not what it says.
    case("/charset/invalid", OK, OK),
    case("/charset/mislabelled", OK, OK),
    case("/charset/utf-16", OK, OK),
    case("/nulls", OK, OK),
    case("/empty", OK, OK),
    // Answers without a page.
    case("/status/204", &["204"], &["204"]),
    case("/status/205", &["205"], &["205"]),
    case("/status/304", &["304"], &["304", "ORIGIN_PROTOCOL"]),
    case("/status/401", &["401"], &["401"]),
    case("/status/407", &["407"], &["407", "ORIGIN_PROTOCOL"]),
    case("/status/429", &["429"], &["429"]),
    case("/status/503", &["503"], &["503"]),
    case("/media", OK, OK),
    case("/pdf", OK, OK),
    case("/download", OK, OK),
    // Scripts.
    case("/script-loop", OK, STUCK),
    case("/promise-loop", OK, STUCK),
    case("/timer-flood", OK, &["200", "DEADLINE"]),
    case("/dialogs", OK, OK),
    case("/some-dialogs", OK, OK),
    case("/prints", OK, OK),
    case("/windows", OK, &["200", "DEADLINE"]),
    case("/memory", OK, &["BROWSER_LOST", "DEADLINE"]),
    case("/worker", OK, OK),
    case("/workers", OK, OK),
    case("/reload", OK, STUCK),
    case("/reload-later", OK, &["200", "DEADLINE"]),
    case("/elsewhere", OK, STUCK),
    case("/refresh", OK, &["200", "DEADLINE"]),
    case("/unload", OK, OK),
    case("/never-idle", OK, OK),
    case("/sockets", OK, OK),
    case("/slow-image", OK, STUCK),
    case("/frames", OK, &["200", "DEADLINE"]),
    case("/storage", OK, OK),
    case("/history", OK, &["200", "DEADLINE"]),
    case("/overwritten", OK, OK),
    case("/debugger", OK, OK),
    case("/to-file", OK, OK),
    case("/to-download", OK, &["200", "DEADLINE"]),
    case("/fullscreen", OK, OK),
    case("/permissions", OK, OK),
];
