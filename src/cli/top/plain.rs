//! One picture as text, for scripts and for terminals that can do no more.

use super::{
    columns::{BROWSERS, Column, LEASES},
    model::{Model, complaints, health, memory, readiness, uptime},
    rows::{LeaseRow, duration},
    words::{self, bytes, clean, latency},
};
use crate::proto::Status;

/// The picture. Empty when nothing is known.
pub(super) fn picture(model: &Model) -> String {
    let Some(status) = model.status() else {
        return String::new();
    };
    let mut text = head(status);
    for complaint in complaints(status) {
        text += &format!("! {complaint}\n");
    }
    let leases = model.leases();
    text += "\n";
    text += &table(LEASES, &leases, "no lease");
    text += "\n";
    text += &table(BROWSERS, &model.browsers(), "no browser");
    text
}

fn head(status: &Status) -> String {
    let fetches = status.fetches.unwrap_or_default();
    let quick = if fetches.recent == 0 {
        String::new()
    } else {
        let (p50, p95) = (duration(fetches.latency_p50), duration(fetches.latency_p95));
        format!(", p50 {}, p95 {}", latency(p50), latency(p95))
    };
    let browsers = memory(status) - status.resident_bytes;
    format!(
        "berth {} on {}, up {}: {}, {}\n\
         browsers {} of {}, leases {}, waiting {} of {}, running {}\n\
         fetches {} ({} failed), {} in the last minute{quick}\n\
         http {} active, {} idle, {} waiting; broker {}, {} of {} fds, {} zombies; browsers {}\n",
        clean(&status.version),
        clean(&status.node),
        words::duration(uptime(status)),
        readiness(status),
        health(status.health()),
        status.browsers.len(),
        status.max_browsers,
        status.leases.len(),
        status.waiting,
        status.queue,
        status.running,
        fetches.total,
        fetches.failed,
        fetches.recent,
        fetches.connections_active,
        fetches.connections_idle,
        fetches.waiting,
        bytes(status.resident_bytes),
        status.open_fds,
        status.max_fds,
        status.zombies,
        bytes(browsers),
    )
}

/// A table with every column as wide as it needs; names are whole, for they are what is copied.
fn table<R: Whole>(columns: &'static [Column<R>], rows: &[R], none: &str) -> String {
    if rows.is_empty() {
        return format!("{none}\n");
    }
    let cells = |row: &R| -> Vec<String> {
        let texts = columns.iter().enumerate();
        texts
            .map(|(at, column)| match (at, row.whole()) {
                (0, Some(whole)) => whole.to_owned(),
                _ => (column.text)(row),
            })
            .collect()
    };
    let mut lines = vec![columns.iter().map(|one| one.title.to_owned()).collect()];
    lines.extend(rows.iter().map(cells));
    let width = |at: usize| {
        let cells = lines
            .iter()
            .map(|line: &Vec<String>| line[at].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let padded = line
            .iter()
            .zip(columns)
            .zip(&widths)
            .map(|((cell, column), width)| {
                if column.right {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            });
        let padded: Vec<_> = padded.collect();
        text += padded.join("  ").trim_end();
        text += "\n";
    }
    text
}

/// A row whose first cell has a longer form.
trait Whole {
    fn whole(&self) -> Option<&str> {
        None
    }
}

impl Whole for super::rows::BrowserRow {}

impl Whole for LeaseRow {
    fn whole(&self) -> Option<&str> {
        Some(&self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::model::tests::status, *};

    #[test]
    fn one_picture_tells_all_in_lines_that_line_up() {
        let mut model = Model::default();
        assert_eq!(picture(&model), "");
        model.update(status(2000, 100));
        let text = picture(&model);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "berth 0.1.0 on quay-7, up 16m 40s: ready, healthy"
        );
        assert_eq!(
            lines[1],
            "browsers 3 of 4, leases 2, waiting 0 of 100, running 0"
        );
        assert_eq!(
            lines[2],
            "fetches 100 (10 failed), 12 in the last minute, p50 12 ms, p95 340 ms"
        );
        let lease = lines
            .iter()
            .find(|line| line.starts_with("lease-0198f2c1-0000-7000-8000-00000000aaaa"));
        let lease = lease.expect("the whole name");
        assert!(
            lease.contains("42s") && lease.ends_with("job=<browser-1>"),
            "{lease}"
        );
        let head = lines
            .iter()
            .find(|line| line.starts_with("BROWSER"))
            .unwrap();
        let browser = lines
            .iter()
            .find(|line| line.starts_with("browser-3"))
            .unwrap();
        assert_eq!(head.find("STATE"), browser.find("idle"));
        assert_eq!(
            head.find("MEMORY").map(|at| at + 6),
            browser.find("120 MiB").map(|at| at + 7)
        );
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn nothing_there_is_said() {
        let mut model = Model::default();
        model.update(Status::default());
        let text = picture(&model);
        assert!(
            text.contains("no lease\n") && text.contains("no browser\n"),
            "{text}"
        );
    }
}
