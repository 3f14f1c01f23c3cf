//! The bootstrap (Efron 1979): how a number varies over samples drawn from the samples.

use rayon::prelude::*;

use super::Interval;
use super::random::SplitMix64;
use super::special::{normal_cdf, normal_quantile};

/// Samples up to which each is left out once, for the correction of bias and skew; with more, what it corrects has vanished.
const MAX_JACKKNIFE: usize = 2000;

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// How many times; some thousands.
    pub resamples: usize,
    /// What the draws follow from.
    pub seed: u64,
    /// Of the interval.
    pub confidence: f64,
}

impl Bootstrap {
    /// The draws of one resample: places among `count` samples, with repetition.
    fn draw(&self, resample: usize, count: usize) -> Vec<usize> {
        let mut random = SplitMix64::after(self.seed, (resample as u64).wrapping_mul(count as u64));
        (0..count).map(|_| random.below(count)).collect()
    }

    /// The statistic of every resample, ascending. What is not a number (of no sample with a certain class, say) is left out.
    fn distribution(&self, count: usize, statistic: impl Fn(&[usize]) -> f64 + Sync) -> Vec<f64> {
        let one = |resample| statistic(&self.draw(resample, count));
        let mut all: Vec<f64> = (0..self.resamples).into_par_iter().map(one).collect();
        all.retain(|value| value.is_finite());
        all.sort_by(f64::total_cmp);
        all
    }

    /// The percentile interval.
    #[must_use]
    pub fn percentile(&self, count: usize, statistic: impl Fn(&[usize]) -> f64 + Sync) -> Interval {
        let all = self.distribution(count, statistic);
        let tail = (1.0 - self.confidence) / 2.0;
        self.interval(&all, tail, 1.0 - tail)
    }

    /// The bias-corrected and accelerated interval (Efron 1987) for up to 2,000 samples, which makes a copy of them less
    /// one each; the percentile interval for more.
    #[must_use]
    pub fn interval_of(&self, count: usize, statistic: impl Fn(&[usize]) -> f64 + Sync) -> Interval {
        if count > MAX_JACKKNIFE {
            return self.percentile(count, statistic);
        }
        let everything: Vec<usize> = (0..count).collect();
        let observed = statistic(&everything);
        let all = self.distribution(count, &statistic);
        let below = all.iter().filter(|value| **value < observed).count();
        let at_most = all.iter().filter(|value| **value <= observed).count();
        let bias = normal_quantile((below + at_most) as f64 / (2 * all.len()).max(1) as f64);
        let acceleration = acceleration(&everything, &statistic);
        let corrected = |tail: f64| {
            let shifted = bias + normal_quantile(tail);
            normal_cdf(bias + shifted / (1.0 - acceleration * shifted))
        };
        let tail = (1.0 - self.confidence) / 2.0;
        let (low, high) = (corrected(tail), corrected(1.0 - tail));
        if low.is_nan() || high.is_nan() {
            // Every resample is the same, or on one side.
            return self.interval(&all, tail, 1.0 - tail);
        }
        self.interval(&all, low, high)
    }

    fn interval(&self, sorted: &[f64], low: f64, high: f64) -> Interval {
        Interval { low: quantile(sorted, low), high: quantile(sorted, high), confidence: self.confidence }
    }
}

/// How fast the statistic's spread changes with its value: the skew of what it is without each sample.
fn acceleration(everything: &[usize], statistic: impl Fn(&[usize]) -> f64 + Sync) -> f64 {
    let without = |left_out: usize| {
        let rest: Vec<usize> = everything.iter().copied().filter(|at| *at != left_out).collect();
        statistic(&rest)
    };
    let values: Vec<f64> = (0..everything.len()).into_par_iter().map(without).collect();
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let (mut squares, mut cubes) = (0.0, 0.0);
    for value in &values {
        let apart = mean - value;
        squares += apart * apart;
        cubes += apart * apart * apart;
    }
    if squares == 0.0 { 0.0 } else { cubes / (6.0 * squares * libm::sqrt(squares)) }
}

/// A quantile of sorted values, linear between them.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share.clamp(0.0, 1.0) * last as f64;
    let at = (place as usize).min(last);
    let (low, high) = (sorted[at], sorted[(at + 1).min(last)]);
    low + (high - low) * (place - at as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: Bootstrap = Bootstrap { resamples: 500, seed: 7, confidence: 0.95 };

    #[test]
    fn the_same_seed_gives_the_same_interval_and_one_value_no_width() {
        let values: Vec<f64> = (0..50).map(f64::from).collect();
        let mean = |picks: &[usize]| picks.iter().map(|at| values[*at]).sum::<f64>() / picks.len() as f64;
        let interval = DRAWS.interval_of(50, mean);
        assert_eq!(interval, DRAWS.interval_of(50, mean));
        assert!(
            interval.contains(24.5) && interval.margin() > 3.0 && interval.margin() < 5.0,
            "{interval:?}"
        );
        assert_ne!(interval, Bootstrap { seed: 8, ..DRAWS }.interval_of(50, mean));
        let constant = DRAWS.interval_of(50, |_| 3.0);
        assert_eq!((constant.low, constant.high), (3.0, 3.0));
    }

    #[test]
    fn nothing_to_draw_from_is_no_number() {
        let interval = DRAWS.interval_of(0, |picks| picks.len() as f64 / 0.0 * 0.0);
        assert!(interval.low.is_nan() && interval.high.is_nan());
    }
}
