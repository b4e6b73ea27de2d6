//! How much a figure grows over the run, of its trend after the warm-up.

use super::{
    kind::Kind,
    sample::{Gauge, Sample},
    stats::{Point, Trend, blocks, trend},
};

/// A figure's growth, and the line that was fitted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Growth {
    /// The trend, per second.
    pub(super) trend: Trend,
    /// How long the run is that it is projected over, in seconds.
    pub(super) run: f64,
    /// How much of that was looked at, in seconds.
    pub(super) span: f64,
}

impl Growth {
    /// Over the run: the best estimate.
    pub(super) fn estimate(&self) -> f64 {
        self.trend.slope * self.run
    }

    /// Over the run: the lower end of the 95 % interval.
    pub(super) fn low(&self) -> f64 {
        self.trend.low * self.run
    }

    /// Over the run: the upper end of the 95 % interval.
    pub(super) fn high(&self) -> f64 {
        self.trend.high * self.run
    }

    /// `amount` as a share of where the line begins, in percent.
    pub(super) fn percent(&self, amount: f64) -> f64 {
        if self.trend.start > 0.0 {
            100.0 * amount / self.trend.start
        } else if amount > 0.0 {
            f64::INFINITY
        } else {
            0.0
        }
    }
}

/// How long a broker needs until its figures mean something, in seconds: a tenth of the run, at
/// least a minute and at most a quarter of an hour, but never more than a third of a part.
pub(super) fn warm_up(run: f64, part: f64) -> f64 {
    (run / 10.0).clamp(60.0, 900.0).min(part / 3.0)
}

/// The parts of a run in samples, each with when it begins and how long it is, in seconds of load.
pub(super) fn parts(samples: &[Sample]) -> Vec<(f64, f64, &[Sample])> {
    let mut begin = 0.0;
    let mut found = Vec::new();
    for chunk in samples.chunk_by(|a, b| a.part == b.part) {
        let end = run_length(chunk);
        found.push((begin, end - begin, chunk));
        begin = end;
    }
    found
}

/// How long the load ran, in seconds.
pub(super) fn run_length(samples: &[Sample]) -> f64 {
    samples.last().map_or(0.0, |last| last.elapsed)
}

fn growth(samples: &[Sample], figure: impl Fn(&Sample) -> Option<f64>) -> Option<Growth> {
    let run = run_length(samples);
    let mut span = 0.0;
    let mut pieces: Vec<Vec<Point>> = Vec::new();
    for (begin, length, part) in parts(samples) {
        let from = begin + warm_up(run, length);
        let warm = part.iter().filter(|sample| sample.elapsed >= from);
        let points = warm.filter_map(|sample| figure(sample).map(|value| (sample.elapsed, value)));
        let points: Vec<Point> = points.collect();
        if let (Some(first), Some(last)) = (points.first(), points.last()) {
            span += last.0 - first.0;
            pieces.push(points);
        }
    }
    let trend = trend(&blocks(&pieces))?;
    Some(Growth { trend, run, span })
}

/// The growth of a gauge. `None` when it was not read often enough to say anything.
pub(super) fn of_gauge(samples: &[Sample], gauge: Gauge) -> Option<Growth> {
    growth(samples, |sample| sample.gauge(gauge))
}

/// The growth of the 95th percentile, in milliseconds.
pub(super) fn of_p95(samples: &[Sample], kind: Kind) -> Option<Growth> {
    growth(samples, |sample| {
        let latency = sample.latency(kind);
        (latency.count > 0).then_some(latency.p95)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(parts: &[(u64, u32)], value: impl Fn(u64, f64) -> f64) -> Vec<Sample> {
        let mut all = Vec::new();
        let mut elapsed = 0.0;
        for &(part, count) in parts {
            for at in 0..count {
                elapsed += 5.0;
                let mut sample = Sample {
                    part,
                    elapsed,
                    ..Sample::default()
                };
                sample.set(Gauge::Rss, Some(value(part, f64::from(at) * 5.0)));
                all.push(sample);
            }
        }
        all
    }

    #[test]
    fn growth_is_projected_over_the_whole_run() {
        let seen = of_gauge(&samples(&[(1, 720)], |_, t| 1000.0 + t / 36.0), Gauge::Rss).unwrap();
        // A hundred in an hour, of which the first tenth is the warm-up.
        assert!((seen.estimate() - 100.0).abs() < 1.0, "{seen:?}");
        assert!(
            (seen.run - 3600.0).abs() < 1.0 && seen.span < 3300.0,
            "{seen:?}"
        );
        let percent = seen.percent(seen.estimate());
        assert!((9.0..10.1).contains(&percent), "{percent}");
    }

    #[test]
    fn the_warm_up_of_each_part_is_left_out() {
        let warming = |_, t: f64| if t < 60.0 { 40.0 + t } else { 100.0 };
        let seen = of_gauge(&samples(&[(1, 60), (2, 60)], warming), Gauge::Rss).unwrap();
        assert_eq!((seen.estimate(), seen.low(), seen.high()), (0.0, 0.0, 0.0));
        assert_eq!(warm_up(259_200.0, 259_200.0), 900.0);
        assert_eq!(warm_up(600.0, 600.0), 60.0);
        assert_eq!(warm_up(30.0, 30.0), 10.0);
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        assert_eq!(of_gauge(&[], Gauge::Rss), None);
        assert_eq!(of_gauge(&samples(&[(1, 50)], |_, _| 1.0), Gauge::Fds), None);
        assert_eq!(of_p95(&samples(&[(1, 50)], |_, _| 1.0), Kind::Http), None);
    }
}
