//! An interval that may be looked at after every sample: stopping when it is narrow enough, or clear of a bar, is no cheating.

use super::Interval;
use super::special::{invert, ln_beta};

/// A confidence sequence for a share: with probability `confidence` it contains the true share after every number of samples at
/// once. It has every share `p` for which the mixture likelihood ratio `∫ q^s (1-q)^f dq / (p^s (1-p)^f)`, a martingale if `p` is
/// true, is below `1 / (1 - confidence)`, by Ville's inequality (Robbins 1970, "Statistical methods related to the law of the
/// iterated logarithm"; with the uniform prior the ratio is a beta function).
#[must_use]
pub fn anytime(hits: u64, samples: u64, confidence: f64) -> Interval {
    let hits = hits.min(samples);
    let (s, f) = (hits as f64, (samples - hits) as f64);
    let mixture = ln_beta(s + 1.0, f + 1.0);
    let bar = -libm::log(1.0 - confidence);
    let part = |count: f64, log: f64| if count == 0.0 { 0.0 } else { count * log };
    let outside = |p: f64| mixture - part(s, libm::log(p)) - part(f, libm::log1p(-p)) >= bar;
    let share = if samples == 0 { 0.5 } else { s / samples as f64 };
    let low = if hits == 0 { 0.0 } else { invert(0.0, share, outside) };
    let high = if hits == samples { 1.0 } else { invert(share, 1.0, |p| !outside(p)) };
    Interval { low, high, confidence }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_wider_than_an_interval_that_is_looked_at_once_and_narrows() {
        assert_eq!(anytime(0, 0, 0.95), Interval { low: 0.0, high: 1.0, confidence: 0.95 });
        let mut last = 1.0;
        for n in [10, 100, 1000, 10_000, 100_000] {
            let interval = anytime(n * 9 / 10, n, 0.95);
            assert!(interval.contains(0.9));
            assert!(interval.margin() < last, "{interval:?}");
            assert!(interval.margin() > super::super::wilson(n * 9 / 10, n, 0.95).margin());
            last = interval.margin();
        }
        assert!(last < 0.005);
        assert_eq!((anytime(7, 7, 0.95).high, anytime(0, 7, 0.95).low), (1.0, 0.0));
    }
}
