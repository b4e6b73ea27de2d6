//! Graphs over time, as SVG.

use std::fmt::Write;

use super::super::{
    growth::Growth,
    stats::{Point, float, median},
};

/// One line of a graph.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<Point>,
}

/// One graph.
pub(super) struct Graph<'a> {
    pub(super) title: &'a str,
    pub(super) unit: &'a str,
    pub(super) lines: Vec<Line>,
    /// How a line was fitted, its growth in units of the graph times this.
    pub(super) fit: Option<(Growth, f64)>,
    /// How long the run is, in seconds.
    pub(super) run: f64,
    /// The warm-up of each part: from and to, in seconds.
    pub(super) warm_ups: Vec<(f64, f64)>,
    /// Where the run was resumed, in seconds.
    pub(super) cuts: Vec<f64>,
}

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;
/// More points than that nobody sees: neighbours become a middle and a band around it.
const COLUMNS: usize = 180;

impl Graph<'_> {
    fn x(&self, t: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * t / self.run.max(1.0)
    }

    /// The graph with its heading and its key. Without a point it is nothing.
    pub(super) fn draw(&self) -> String {
        let all = self
            .lines
            .iter()
            .flat_map(|line| line.points.iter().map(|point| point.1));
        let Some(top) = all.reduce(f64::max) else {
            return String::new();
        };
        let step = nice(top.max(1e-9) / 4.0);
        let top = step * (top / step).ceil().max(1.0);
        let y =
            |value: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value / top).clamp(0.0, 1.0);
        let mut svg = String::new();
        let (right, floor) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (from, to) in &self.warm_ups {
            let (x, width) = (self.x(*from), self.x(*to) - self.x(*from));
            let height = floor - TOP;
            put(
                &mut svg,
                format_args!(
                    "<rect class=warm x={x:.1} y={TOP} width={width:.1} height={height:.1} />"
                ),
            );
        }
        let mut value = 0.0;
        while value <= top * 1.001 {
            let (at, text) = (y(value), short(value));
            put(
                &mut svg,
                format_args!(
                    "<line class=grid x1={LEFT} x2={right} y1={at:.1} y2={at:.1} /><text class=end x={:.1} y={:.1}>{text}</text>",
                    LEFT - 5.0,
                    at + 3.5
                ),
            );
            value += step;
        }
        for (at, text) in ticks(self.run) {
            let x = self.x(at);
            put(
                &mut svg,
                format_args!(
                    "<text class=mid x={x:.1} y={:.1}>{text}</text>",
                    HEIGHT - 8.0
                ),
            );
        }
        for cut in &self.cuts {
            let x = self.x(*cut);
            put(
                &mut svg,
                format_args!("<line class=cut x1={x:.1} x2={x:.1} y1={TOP} y2={floor} />"),
            );
        }
        for (nr, line) in self.lines.iter().enumerate() {
            self.line(&mut svg, nr, line, &y);
        }
        if let Some((growth, scale)) = &self.fit {
            let from = self.warm_ups.first().map_or(0.0, |warm| warm.1);
            let at = |t: f64| y((growth.trend.start + growth.trend.slope * (t - from)) * scale);
            let (x1, x2) = (self.x(from), self.x(self.run));
            put(
                &mut svg,
                format_args!(
                    "<line class=fit x1={x1:.1} y1={:.1} x2={x2:.1} y2={:.1} />",
                    at(from),
                    at(self.run)
                ),
            );
        }
        let key: String = self.lines.iter().enumerate().map(key).collect();
        format!(
            "<figure><figcaption><b>{}</b> <i>{}</i></figcaption>\
             <svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='{}'>{svg}</svg><p class=key>{key}{}</p></figure>",
            self.title,
            self.unit,
            self.title,
            if self.fit.is_some() {
                "<span class=fitted>fit</span>"
            } else {
                ""
            },
        )
    }

    fn line(&self, svg: &mut String, nr: usize, line: &Line, y: &impl Fn(f64) -> f64) {
        let mut piece = Vec::new();
        let mut pieces = Vec::new();
        let mut cuts = self.cuts.iter().peekable();
        for point in &line.points {
            while cuts.next_if(|cut| point.0 > **cut).is_some() {
                pieces.push(std::mem::take(&mut piece));
            }
            piece.push(*point);
        }
        pieces.push(piece);
        let size = line.points.len().div_ceil(COLUMNS).max(1);
        for points in pieces {
            let (mut path, mut upper, mut lower) = (String::new(), String::new(), Vec::new());
            for column in points.chunks(size) {
                let (times, values): (Vec<_>, Vec<_>) = column.iter().copied().unzip();
                let (Some(t), Some(middle)) = (median(&times), median(&values)) else {
                    continue;
                };
                let x = self.x(t);
                let ends = values.iter().copied();
                let most = ends.clone().fold(middle, f64::max);
                let least = ends.fold(middle, f64::min);
                put(&mut path, format_args!("{x:.1},{:.1} ", y(middle)));
                put(&mut upper, format_args!("{x:.1},{:.1} ", y(most)));
                lower.push(format!("{x:.1},{:.1} ", y(least)));
            }
            if size > 1 {
                let lower: String = lower.into_iter().rev().collect();
                put(
                    svg,
                    format_args!("<polygon class='band c{nr}' points='{upper}{lower}' />"),
                );
            }
            put(
                svg,
                format_args!("<polyline class='line c{nr}' points='{path}' />"),
            );
        }
    }
}

fn key((nr, line): (usize, &Line)) -> String {
    let values: Vec<_> = line.points.iter().map(|point| point.1).collect();
    let Some(middle) = median(&values) else {
        return String::new();
    };
    let most = values.iter().copied().fold(middle, f64::max);
    format!(
        "<span class='k c{nr}'>{} <small>median {}, max {}</small></span> ",
        line.name,
        short(middle),
        short(most)
    )
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    // A string takes whatever it is given.
    let _ = text.write_fmt(what);
}

/// The next larger number of 1, 2 and 5 times a power of ten.
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    steps
        .into_iter()
        .find(|step| *step >= value * 0.999)
        .unwrap_or(power * 10.0)
}

/// A figure in few characters.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 10_000.0 => format!("{:.0}k", value / 1000.0),
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Where the axis of time has words: four or five of them.
fn ticks(run: f64) -> Vec<(f64, String)> {
    const STEPS: [f64; 16] = [
        1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0,
        28_800.0, 43_200.0, 86_400.0,
    ];
    let step = STEPS
        .into_iter()
        .find(|step| run / step <= 5.5)
        .unwrap_or(86_400.0);
    let text = |t: f64| match step {
        _ if step < 60.0 => format!("{t:.0} s"),
        _ if step < 3600.0 => format!("{:.0} min", t / 60.0),
        _ => format!("{:.0} h", t / 3600.0),
    };
    let mut all = Vec::new();
    while float(all.len()) * step <= run * 0.96 {
        let t = float(all.len()) * step;
        all.push((t, text(t)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers() {
        assert_eq!(nice(0.07), 0.1);
        assert_eq!(nice(20.0), 20.0);
        assert_eq!(nice(26.0), 50.0);
        assert_eq!(short(0.25), "0.25");
        assert_eq!(short(123_456.0), "123k");
        let words: Vec<_> = ticks(600.0).into_iter().map(|tick| tick.1).collect();
        assert_eq!(words, ["0 min", "2 min", "4 min", "6 min", "8 min"]);
        assert!(ticks(259_200.0).len() <= 6 && ticks(3.0).len() >= 2);
    }
}
