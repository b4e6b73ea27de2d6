//! The measured targets: `cargo bench`.
//!
//! Each is a ratio of two sides that take turns within one run, so that what else the machine does
//! falls on both, or a figure of the kernel's; medians throughout. A target that is missed is
//! shown, not failed: how fast a machine is decides no build.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod barest;
mod fetches;
mod http;
mod leases;
mod memory;
mod origin;
mod overhead;
mod proxied;
mod round_trips;
#[path = "../../tests/support/site.rs"]
mod site;
mod stand;

use std::time::Duration;

/// How many rounds a measure takes: `BERTH_BENCH_ROUNDS`, at least 5.
pub fn rounds() -> usize {
    let asked = std::env::var("BERTH_BENCH_ROUNDS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(9).max(5)
}

pub fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    values[values.len() / 2]
}

pub fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

/// One line of the report.
pub struct Row {
    pub what: String,
    pub seen: String,
    pub target: String,
    pub met: bool,
}

impl Row {
    /// A figure that is at most `target`.
    pub fn at_most(what: impl Into<String>, seen: f64, target: f64, unit: &str) -> Self {
        Self {
            what: what.into(),
            seen: format!("{seen:.2}{unit}"),
            target: format!("≤ {target}{unit}"),
            met: seen <= target,
        }
    }

    /// A figure that is at least `target`.
    pub fn at_least(what: impl Into<String>, seen: f64, target: f64, unit: &str) -> Self {
        Self {
            what: what.into(),
            seen: format!("{seen:.2}{unit}"),
            target: format!("≥ {target}{unit}"),
            met: seen >= target,
        }
    }
}

/// Whether a group of measures was asked for: all, or those named after `cargo bench --`.
fn wanted(name: &str) -> bool {
    let mut asked = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .peekable();
    asked.peek().is_none() || asked.any(|word| word == name)
}

fn main() {
    berth::server::adopt_orphans();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut rows = Vec::new();
    runtime.block_on(async {
        let all = [
            "leases",
            "round trips",
            "fetches",
            "http",
            "memory",
            "overhead",
            "egress proxy",
        ];
        for name in all {
            if !wanted(name) {
                continue;
            }
            println!("{name} …");
            rows.extend(match name {
                "leases" => leases::measure().await,
                "round trips" => round_trips::measure().await,
                "fetches" => fetches::measure().await,
                "http" => http::measure().await,
                "memory" => memory::measure().await,
                "egress proxy" => proxied::measure().await,
                _ => overhead::measure().await,
            });
        }
    });
    println!("\n| measure | seen | target | |\n|---|---|---|---|");
    for row in rows {
        let met = if row.met { "ok" } else { "over" };
        println!("| {} | {} | {} | {met} |", row.what, row.seen, row.target);
    }
}
