//! Figures as people read them.

use std::time::Duration;

/// A number of bytes: `512 B`, `1.5 MiB`, `43 MiB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 9.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// A duration by its two largest units: `45s`, `4m 12s`, `2h 05m`, `3d 01h`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    if days > 0 {
        format!("{days}d {:02}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h {:02}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m {:02}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

/// How long something took: `0.4 ms`, `12 ms`, `1.3 s`.
pub(super) fn latency(took: Duration) -> String {
    let millis = took.as_secs_f64() * 1000.0;
    match millis {
        ..9.95 => format!("{millis:.1} ms"),
        ..999.5 => format!("{millis:.0} ms"),
        ..9_950.0 => format!("{:.1} s", millis / 1000.0),
        _ => format!("{:.0} s", millis / 1000.0),
    }
}

/// How often something happens: `0/s`, `0.3/s`, `128/s`.
pub(super) fn rate(per_second: f64) -> String {
    let digits = usize::from(per_second > 0.0 && per_second < 9.95);
    format!("{per_second:.digits$}/s")
}

/// What a client wrote, with nothing in it that a terminal obeys: control characters, and those
/// that turn the direction of writing.
pub(super) fn clean(text: &str) -> String {
    let obeyed = |char: char| {
        char.is_control()
            || matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|char| if obeyed(char) { '\u{fffd}' } else { char })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        for (count, wanted) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (43 << 20, "43 MiB"),
            (9_990 << 10, "9.8 MiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(bytes(count), wanted);
        }
        for (seconds, wanted) in [
            (0, "0s"),
            (252, "4m 12s"),
            (7500, "2h 05m"),
            (262_800, "3d 01h"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), wanted);
        }
        for (micros, wanted) in [
            (400, "0.4 ms"),
            (12_000, "12 ms"),
            (999_600, "1.0 s"),
            (61_000_000, "61 s"),
        ] {
            assert_eq!(latency(Duration::from_micros(micros)), wanted);
        }
        assert_eq!((rate(0.0), rate(0.25)), ("0/s".into(), "0.2/s".into()));
        assert_eq!(rate(128.4), "128/s");
    }

    #[test]
    fn what_a_client_wrote_cannot_move_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\r\nc\u{202e}d"), "a�[2Jb��c�d");
        assert_eq!(clean("größe=<script>"), "größe=<script>");
    }
}
