//! The bootstrap (Efron 1979): how a number varies over samples drawn from the samples.

use rayon::prelude::*;

use super::special::{normal_cdf, normal_quantile};
use super::{Interval, SplitMix64};

/// Samples up to which each is left out once, for the correction of bias and skew; with more, what it corrects has vanished.
const MAX_JACKKNIFE: usize = 2000;

/// How far a statistic may lie from what was seen because of what was not.
#[derive(Clone, Debug, PartialEq)]
pub struct Extremes {
    /// What it is at least.
    pub low: f64,
    /// And at most.
    pub high: f64,
    /// Of how many samples each number is that it is a mean of: all of them for a mean over samples, those of each class for one over classes.
    pub groups: Vec<u64>,
}

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
    /// What reports call [`Bootstrap::widened`].
    pub const METHOD: &'static str = "widened bootstrap";

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
        self.percentile_of(&self.distribution(count, statistic))
    }

    fn percentile_of(&self, all: &[f64]) -> Interval {
        let tail = (1.0 - self.confidence) / 2.0;
        self.interval(all, tail, 1.0 - tail)
    }

    /// The bias-corrected and accelerated interval (Efron 1987) for up to 2,000 samples, which makes a copy of them less
    /// one each; the percentile interval for more.
    #[must_use]
    pub fn interval_of(&self, count: usize, statistic: impl Fn(&[usize]) -> f64 + Sync) -> Interval {
        self.corrected(count, &self.distribution(count, &statistic), statistic)
    }

    fn corrected(&self, count: usize, all: &[f64], statistic: impl Fn(&[usize]) -> f64 + Sync) -> Interval {
        if count > MAX_JACKKNIFE {
            return self.percentile_of(all);
        }
        let everything: Vec<usize> = (0..count).collect();
        let observed = statistic(&everything);
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
            return self.percentile_of(all);
        }
        self.interval(all, low, high)
    }

    /// [`Bootstrap::interval_of`], widened by what was not seen: no resample has anything in it that no sample has, so of few samples, or of
    /// samples that are all alike, resamples say that they know what they do not.
    ///
    /// Samples of which none of `n` was seen may be the share `W` of all, of the distribution Beta(1, n): at most `1 - tail^(1/n)` with the
    /// probability `1 - tail`, which is the exact interval for none of `n`. Each resample is mixed with as much of the worst there is for the
    /// low end, and of the best for the high end (as Gaffke 2004 does for a mean). Both intervals are within what is given.
    #[must_use]
    pub fn widened(
        &self,
        count: usize,
        extremes: &Extremes,
        statistic: impl Fn(&[usize]) -> f64 + Sync,
    ) -> Interval {
        let all = self.distribution(count, &statistic);
        let seen = self.corrected(count, &all, statistic);
        // Draws of their own, beyond those of the resamples.
        let begin = (self.resamples as u64).wrapping_mul(count as u64);
        let random = SplitMix64::after(self.seed, begin);
        let tail = (1.0 - self.confidence) / 2.0;
        // The same for both ends: what is as far from either extreme has an interval as wide to each side.
        let mixed = |extreme: f64| {
            let mut random = random.clone();
            let mix = |value: &f64| {
                let unseen = unseen(&mut random, &extremes.groups);
                (1.0 - unseen) * value + unseen * extreme
            };
            let mut mixed: Vec<f64> = all.iter().map(mix).collect();
            mixed.sort_by(f64::total_cmp);
            mixed
        };
        let low = quantile(&mixed(extremes.low), tail).min(seen.low);
        let high = quantile(&mixed(extremes.high), 1.0 - tail).max(seen.high);
        Interval { low: low.max(extremes.low), high: high.min(extremes.high), confidence: self.confidence }
    }

    fn interval(&self, sorted: &[f64], low: f64, high: f64) -> Interval {
        Interval { low: quantile(sorted, low), high: quantile(sorted, high), confidence: self.confidence }
    }
}

/// A share of all that may be of a kind that was not seen: the mean over groups.
fn unseen(random: &mut SplitMix64, groups: &[u64]) -> f64 {
    let shares = groups.iter().map(|count| 1.0 - libm::pow(random.unit(), 1.0 / (*count).max(1) as f64));
    shares.sum::<f64>() / groups.len().max(1) as f64
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
    fn samples_that_are_all_alike_say_no_more_than_none_of_so_many() {
        let draws = Bootstrap { resamples: 20_000, ..DRAWS };
        for count in [1u64, 5, 50, 2000] {
            let extremes = Extremes { low: 0.0, high: 1.0, groups: vec![count] };
            let found = draws.widened(count as usize, &extremes, |_| 1.0);
            let exact = super::super::clopper_pearson(count, count, 0.95);
            assert!((found.low - exact.low).abs() < 0.02 * (1.0 - exact.low) + 0.002, "{found:?}, {exact:?}");
            assert_eq!(found.high, 1.0);
        }
    }

    #[test]
    fn nothing_to_draw_from_is_no_number() {
        let interval = DRAWS.interval_of(0, |picks| picks.len() as f64 / 0.0 * 0.0);
        assert!(interval.low.is_nan() && interval.high.is_nan());
    }
}
