//! Robust statistics: what a series does over time, said with its uncertainty.
//!
//! A trend is the median of the slopes between all pairs of points (Theil-Sen), with the interval
//! that Sen (1968) gives it and the test of Mann and Kendall beside. A series may come in several
//! pieces, as a run that was interrupted does: only pairs within a piece are compared, as in the
//! seasonal form of the test (Hirsch and Slack 1984), for two processes have no slope in common.

use std::f64::consts::SQRT_2;

/// One point: when, and how much.
pub(super) type Point = (f64, f64);

/// How a series moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trend {
    /// Per unit of time: the best estimate.
    pub(super) slope: f64,
    /// The lower end of its 95 % interval.
    pub(super) low: f64,
    /// The upper end of its 95 % interval.
    pub(super) high: f64,
    /// Where the fitted line begins.
    pub(super) start: f64,
    /// How likely so much order is by chance, two-sided.
    pub(super) p: f64,
    /// How many points there were.
    pub(super) points: usize,
}

/// The normal deviate that 95 % lie within.
const Z95: f64 = 1.959_963_984_540_054;
/// More points than that are put together: pairs grow with the square, and neighbours that are
/// alike make an interval look narrower than it is.
pub(super) const BLOCKS: usize = 60;

/// The middle of `values`; the mean of both middles of an even number. `None` of nothing.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let upper = *sorted.get(half)?;
    Some(if sorted.len() % 2 == 1 {
        upper
    } else {
        f64::midpoint(sorted[half - 1], upper)
    })
}

/// The value that `share` (0 to 1) of `sorted` do not exceed: by nearest rank. `None` of nothing.
pub(super) fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * float(sorted.len())).ceil().max(1.0);
    sorted.get(index(rank) - 1).copied()
}

/// Puts neighbours together until there are at most [`BLOCKS`] points in all pieces: each block has
/// the middle of its times and of its values.
pub(super) fn blocks(pieces: &[Vec<Point>]) -> Vec<Vec<Point>> {
    let all: usize = pieces.iter().map(Vec::len).sum();
    let size = all.div_ceil(BLOCKS).max(1);
    let block = |points: &[Point]| {
        let (times, values): (Vec<_>, Vec<_>) = points.iter().copied().unzip();
        Some((median(&times)?, median(&values)?))
    };
    let piece = |points: &Vec<Point>| points.chunks(size).filter_map(block).collect();
    pieces.iter().map(piece).collect()
}

/// The trend of a series in `pieces`, each in the order of time. `None` when there are not two
/// points in one of them.
pub(super) fn trend(pieces: &[Vec<Point>]) -> Option<Trend> {
    let mut slopes = Vec::new();
    let (mut order, mut variance) = (0.0, 0.0);
    for points in pieces {
        for (at, &(t, value)) in points.iter().enumerate() {
            for &(later, other) in &points[at + 1..] {
                if later > t {
                    slopes.push((other - value) / (later - t));
                    order += (other - value).partial_cmp(&0.0).map_or(0.0, sign);
                }
            }
        }
        variance += spread(points);
    }
    slopes.sort_by(f64::total_cmp);
    let slope = median(&slopes)?;
    let reach = Z95 * variance.sqrt();
    let pairs = float(slopes.len());
    let rank = |wanted: f64| slopes[index(wanted.clamp(1.0, pairs)) - 1];
    let heights: Vec<_> = pieces
        .iter()
        .filter_map(|points| points.first().map(|first| (first.0, points)))
        .flat_map(|(begin, points)| points.iter().map(move |(t, v)| v - slope * (t - begin)))
        .collect();
    Some(Trend {
        slope,
        low: rank(((pairs - reach) / 2.0).floor()),
        high: rank(((pairs + reach) / 2.0).ceil() + 1.0),
        start: median(&heights)?,
        p: chance(order, variance),
        points: pieces.iter().map(Vec::len).sum(),
    })
}

fn sign(order: std::cmp::Ordering) -> f64 {
    f64::from(order as i8)
}

/// The variance of Kendall's S for points without a trend, less what ties take from it.
fn spread(points: &[Point]) -> f64 {
    let term = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let mut values: Vec<_> = points.iter().map(|point| point.1).collect();
    values.sort_by(f64::total_cmp);
    let ties = values.chunk_by(|a, b| a == b);
    let tied: f64 = ties.map(|same| term(float(same.len()))).sum();
    (term(float(points.len())) - tied) / 18.0
}

/// The two-sided probability of such an S, with the correction for its being whole.
fn chance(order: f64, variance: f64) -> f64 {
    if variance <= 0.0 || order == 0.0 {
        return 1.0;
    }
    let z = (order.abs() - 1.0) / variance.sqrt();
    libm::erfc(z / SQRT_2)
}

/// The upper end of the 95 % interval of a rate of which `hits` of `all` were seen (Wilson 1927).
/// 1 of nothing.
pub(super) fn rate_at_most(hits: u64, all: u64) -> f64 {
    if all == 0 {
        return 1.0;
    }
    let (n, z2) = (whole(all), Z95 * Z95);
    let rate = whole(hits) / n;
    let middle = rate + z2 / (2.0 * n);
    let reach = Z95 * (rate * (1.0 - rate) / n + z2 / (4.0 * n * n)).sqrt();
    (middle + reach) / (1.0 + z2 / n)
}

/// A count as a number to reckon with.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and bytes stay far below 2^53"
)]
pub(super) const fn whole(count: u64) -> f64 {
    count as f64
}

/// A length as a number to reckon with.
#[expect(
    clippy::cast_precision_loss,
    reason = "lengths of slices in memory stay far below 2^53"
)]
pub(super) const fn float(length: usize) -> f64 {
    length as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank: whole, at least 1 and at most a length"
)]
const fn index(rank: f64) -> usize {
    rank as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-4
    }

    fn series(values: &[f64]) -> Vec<Vec<Point>> {
        let points = values.iter().enumerate().map(|(at, v)| (float(at), *v));
        vec![points.collect()]
    }

    #[test]
    fn middles_and_percentiles() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        // The example of nearest rank: 15, 20, 35, 40, 50.
        let scores = [15.0, 20.0, 35.0, 40.0, 50.0];
        for (share, wanted) in [
            (0.05, 15.0),
            (0.3, 20.0),
            (0.4, 20.0),
            (0.5, 35.0),
            (1.0, 50.0),
        ] {
            assert_eq!(percentile(&scores, share), Some(wanted), "{share}");
        }
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn the_trend_of_known_series() {
        // Checked against scipy.stats.theilslopes and pymannkendall.original_test.
        let values = [1.0, 3.0, 2.0, 5.0, 4.0, 6.0, 8.0, 7.0, 9.0, 10.0];
        let trend = trend(&series(&values)).unwrap();
        assert!(near(trend.slope, 1.0), "{trend:?}");
        // S = 39, Var(S) = 125, z = 38 / sqrt(125) = 3.3988.
        assert!(near(trend.p, 0.000_676_8), "{trend:?}");
        assert!(
            trend.low < 1.0 && trend.high > 1.0 && trend.low > 0.5,
            "{trend:?}"
        );

        // Ties: S = 8, Var(S) = (300 - 3 * 18) / 18.
        let ties = [1.0, 1.0, 2.0, 2.0, 3.0, 3.0];
        assert!(near(spread(&series(&ties)[0]), (510.0 - 54.0) / 18.0));
        assert_eq!(chance(0.0, 5.0), 1.0);
        // What the tables of the normal distribution have: two-sided, 1.96.
        assert!(near(chance(1.0 + 1.959_964 * 5.0, 25.0), 0.05));
    }

    #[test]
    fn outliers_and_steps_do_not_move_it() {
        let mut noise = StdRng::seed_from_u64(7);
        let mut flat: Vec<f64> = (0..60)
            .map(|_| 100.0 + noise.random_range(-2.0..2.0))
            .collect();
        for at in [10, 30, 50] {
            flat[at] = 900.0;
        }
        let still = trend(&series(&flat)).unwrap();
        assert!(still.slope.abs() < 0.02 && still.p > 0.05, "{still:?}");
        // A step of 40 in the first fifth, and flat after it: least squares would say +38.
        let step: Vec<f64> = (0..60)
            .map(|at| if at < 12 { 60.0 } else { 100.0 } + noise.random_range(-2.0..2.0))
            .collect();
        let stepped = trend(&series(&step)).unwrap();
        assert!((stepped.slope * 60.0).abs() < 8.0, "{stepped:?}");
        let leak: Vec<f64> = (0..60)
            .map(|at| 100.0 + f64::from(at) * 0.5 + noise.random_range(-4.0..4.0))
            .collect();
        let leaking = trend(&series(&leak)).unwrap();
        assert!((0.4..0.6).contains(&leaking.slope), "{leaking:?}");
        assert!(leaking.low > 0.3 && leaking.p < 1e-6, "{leaking:?}");
    }

    #[test]
    fn pieces_are_not_compared_with_one_another() {
        // Each piece is flat; the second process is larger than the first.
        let flat =
            |begin: f64, value: f64| (0..20).map(|at| (begin + f64::from(at), value)).collect();
        let trend = trend(&[flat(0.0, 10.0), flat(20.0, 90.0)]).unwrap();
        assert_eq!((trend.slope, trend.p, trend.points), (0.0, 1.0, 40));
    }

    #[test]
    fn blocks_are_bounded_and_keep_the_middle() {
        let long = vec![
            (0..10_000)
                .map(|at| (f64::from(at), 5.0))
                .collect::<Vec<_>>(),
        ];
        let blocks = blocks(&long);
        assert!(blocks[0].len() <= BLOCKS);
        assert!(blocks[0].iter().all(|point| point.1 == 5.0));
        assert_eq!(trend(&[vec![(0.0, 1.0)]]), None);
        assert_eq!(trend(&[]), None);
    }

    #[test]
    fn rates_have_an_upper_end() {
        // Wilson's interval for 0 of 100 and 5 of 100, as in the literature.
        assert!(near(rate_at_most(0, 100), 0.036_994));
        assert!(near(rate_at_most(5, 100), 0.111_751));
        assert_eq!(rate_at_most(0, 0), 1.0);
        assert!(rate_at_most(0, 1000) < 0.01);
    }

    proptest! {
        #[test]
        fn a_trend_is_where_its_interval_is(values in prop::collection::vec(-1e6..1e6f64, 2..40)) {
            let trend = trend(&series(&values)).unwrap();
            prop_assert!(trend.low <= trend.slope && trend.slope <= trend.high);
            prop_assert!((0.0..=1.0).contains(&trend.p));
        }

        #[test]
        fn time_backwards_turns_it_around(values in prop::collection::vec(-1e3..1e3f64, 2..30)) {
            let forward = trend(&series(&values)).unwrap();
            let reversed: Vec<_> = values.iter().rev().copied().collect();
            let backward = trend(&series(&reversed)).unwrap();
            prop_assert!((forward.slope + backward.slope).abs() < 1e-6);
            prop_assert!((forward.p - backward.p).abs() < 1e-9);
        }
    }
}
