//! The last minutes in four small charts.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::Line,
    widgets::{RenderDirection, Sparkline},
};

use super::{
    look::Look,
    model::{Model, Point},
    words::{bytes, duration, latency, rate},
};

/// Draws them side by side, as many as there is room for.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, look: Look) {
    const NARROWEST: u16 = 18;
    let last = model.last();
    let p95 = match last.p95 {
        none if none.is_zero() => "p95 -".into(),
        p95 => format!("p95 {}", latency(p95)),
    };
    let charts: [(String, fn(&Point) -> u64); 4] = [
        // Tenths, for a bar has no less than one.
        (format!("fetches {}", rate(last.rate)), |point| {
            (point.rate * 10.0).round() as u64
        }),
        (p95, |point| point.p95.as_micros() as u64),
        (format!("leases {}", last.leases), |point| point.leases),
        (format!("memory {}", bytes(last.memory)), |point| {
            point.memory
        }),
    ];
    let count = usize::from((area.width / NARROWEST).clamp(1, 4));
    let areas = Layout::horizontal(vec![Constraint::Fill(1); count])
        .spacing(2)
        .split(area);
    for ((title, of), area) in charts.into_iter().zip(areas.iter()) {
        let [head, bars] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(*area);
        let width = usize::from(bars.width);
        let span = duration(model.span(width));
        let line = Line::from(vec![
            title.into(),
            ratatui::text::Span::styled(format!("  {span}"), look.faint()),
        ]);
        frame.render_widget(line, head);
        let mut data = model.series(width, of);
        data.reverse();
        let sparkline = Sparkline::default()
            .data(&data)
            .direction(RenderDirection::RightToLeft)
            .style(look.bars());
        frame.render_widget(sparkline, bars);
    }
}
