//! How many samples it takes.

use super::proportion::wilson_of_share;
use super::special::{normal_quantile, two_sided};

/// More than anybody labels; who asks for this gets this.
const MOST: u64 = 1 << 40;

/// The fewest samples whose Wilson interval is at most `margin` to each side, if the share turns out to be `expected`.
#[must_use]
pub fn samples_for_margin(expected: f64, margin: f64, confidence: f64) -> u64 {
    let (mut low, mut high) = (0, MOST);
    // Wide intervals below, narrow ones from somewhere on.
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if wilson_of_share(expected, middle as f64, confidence).1 <= margin {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// The samples on which McNemar's test tells two apps apart with probability `power`, if their shares differ by `difference` and
/// they disagree about the share `discordant` of all samples (Connor 1987, formula 3.3).
#[must_use]
pub fn samples_for_difference(discordant: f64, difference: f64, confidence: f64, power: f64) -> u64 {
    let (z_alpha, z_beta) = (two_sided(confidence), normal_quantile(power));
    let spread = (discordant - difference * difference).max(0.0);
    let root = z_alpha * libm::sqrt(discordant) + z_beta * libm::sqrt(spread);
    let samples = libm::ceil((root / difference) * (root / difference));
    if samples < MOST as f64 { samples as u64 } else { MOST }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_book() {
        assert_eq!(samples_for_margin(0.9, 0.03, 0.95), 388);
        assert_eq!(samples_for_margin(0.9, 0.01, 0.95), 3461);
        assert_eq!(samples_for_difference(0.10, 0.03, 0.95, 0.8), 870);
        // Nothing is known of the share: the widest interval there is.
        assert_eq!(samples_for_margin(0.5, 0.03, 0.95), 1064);
        assert_eq!(samples_for_margin(0.5, 0.0, 0.95), MOST);
        assert_eq!(samples_for_difference(0.1, 0.0, 0.95, 0.8), MOST);
    }
}
