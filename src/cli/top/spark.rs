//! The last minutes in four small charts.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span},
    widgets::{RenderDirection, Sparkline},
};

use super::{
    look::Look,
    model::{Model, Point, SPAN},
    words::{bytes, latency, rate},
};

struct Chart {
    title: String,
    /// What a whole bar stands for at least.
    least: u64,
    of: fn(&Point) -> u64,
}

/// Draws them side by side, as many as there is room for.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, look: Look) {
    const NARROWEST: u16 = 18;
    let last = model.last();
    let p95 = match last.p95 {
        none if none.is_zero() => "p95 -".into(),
        p95 => format!("p95 {}", latency(p95)),
    };
    let max = model.status().map_or(1, |status| status.max_browsers);
    let charts = [
        Chart {
            title: format!("fetches {}", rate(last.rate)),
            least: 1,
            // Tenths, for a bar has no less than one.
            of: |point| (point.rate * 10.0).round() as u64,
        },
        Chart {
            title: p95,
            least: 1,
            of: |point| u64::try_from(point.p95.as_micros()).unwrap_or(u64::MAX),
        },
        Chart {
            title: format!("leases {}", last.leases),
            least: max.into(),
            of: |point| point.leases,
        },
        Chart {
            title: format!("memory {}", bytes(last.memory)),
            least: 1,
            of: |point| point.memory,
        },
    ];
    let count = usize::from((area.width / NARROWEST).clamp(1, 4));
    let areas = Layout::horizontal(vec![Constraint::Fill(1); count])
        .spacing(2)
        .split(area);
    for (Chart { title, least, of }, area) in charts.into_iter().zip(areas.iter()) {
        let [head, bars] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(*area);
        let span = Span::styled(format!("  {}m", SPAN.as_secs() / 60), look.faint());
        frame.render_widget(Line::from(vec![title.into(), span]), head);
        let data = model.bars(bars.width, of);
        let most = data.iter().copied().max().unwrap_or_default();
        let sparkline = Sparkline::default()
            .data(&data)
            .max(most.max(least))
            .direction(RenderDirection::RightToLeft)
            .style(look.bars());
        frame.render_widget(sparkline, bars);
    }
}
