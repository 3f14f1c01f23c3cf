//! Intervals for a share of so many samples.

use super::Interval;
use super::special::{beta_quantile, two_sided};

/// Wilson's score interval (1927): contains the true share as often as it says on average over shares; for some shares a little
/// less often. The planner's sizes are for this one.
#[must_use]
pub fn wilson(hits: u64, samples: u64, confidence: f64) -> Interval {
    if samples == 0 {
        return Interval { low: 0.0, high: 1.0, confidence };
    }
    let share = hits as f64 / samples as f64;
    let (middle, margin) = wilson_of_share(share, samples as f64, confidence);
    // Rounding must not exclude what was seen.
    let low = if hits == 0 { 0.0 } else { (middle - margin).max(0.0) };
    let high = if hits >= samples { 1.0 } else { (middle + margin).min(1.0) };
    Interval { low, high, confidence }
}

/// Middle and half width of Wilson's interval for any share.
pub(super) fn wilson_of_share(share: f64, samples: f64, confidence: f64) -> (f64, f64) {
    let z = two_sided(confidence);
    let over = z * z / samples;
    let middle = (share + over / 2.0) / (1.0 + over);
    let margin = z * libm::sqrt(share * (1.0 - share) / samples + over / (4.0 * samples)) / (1.0 + over);
    (middle, margin)
}

/// Clopper's and Pearson's exact interval (1934): contains the true share at least as often as it says, whatever the share is.
#[must_use]
pub fn clopper_pearson(hits: u64, samples: u64, confidence: f64) -> Interval {
    let tail = (1.0 - confidence) / 2.0;
    let (hits, misses) = (hits.min(samples) as f64, samples.saturating_sub(hits) as f64);
    let low = if hits == 0.0 { 0.0 } else { beta_quantile(tail, hits, misses + 1.0) };
    let high = if misses == 0.0 { 1.0 } else { beta_quantile(1.0 - tail, hits + 1.0, misses) };
    Interval { low, high, confidence }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_seen_says_nothing() {
        for interval in [wilson(0, 0, 0.95), clopper_pearson(0, 0, 0.95)] {
            assert_eq!((interval.low, interval.high), (0.0, 1.0));
        }
    }

    #[test]
    fn all_and_none_are_within() {
        for n in [1, 10, 100_000] {
            for interval in [wilson(n, n, 0.95), clopper_pearson(n, n, 0.95)] {
                assert!(interval.contains(1.0) && interval.low < 1.0);
            }
            for interval in [wilson(0, n, 0.95), clopper_pearson(0, n, 0.95)] {
                assert!(interval.contains(0.0) && interval.high > 0.0);
            }
        }
        // The rule of three: none of n seen, at most 3/n there.
        let none = clopper_pearson(0, 1000, 0.90);
        assert!((none.high - 0.003).abs() < 1e-4, "{none:?}");
    }
}
