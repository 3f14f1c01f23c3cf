//! Pictures and masks, pixel by pixel, in integers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Pixels that two masks share, and that one of them has, of each class: one byte a pixel.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Overlaps(BTreeMap<u8, (u64, u64)>);

impl Overlaps {
    /// Compares two masks of one size, pixel by pixel.
    #[must_use]
    pub fn of(truth: &[u8], found: &[u8]) -> Self {
        let mut counts = [(0u64, 0u64); 256];
        for (truth, found) in truth.iter().zip(found) {
            counts[usize::from(*truth)].1 += 1;
            if truth == found {
                counts[usize::from(*truth)].0 += 1;
            } else {
                counts[usize::from(*found)].1 += 1;
            }
        }
        let seen = (0..=u8::MAX).zip(counts).filter(|(_, (_, union))| *union > 0);
        Self(seen.collect())
    }

    /// Adds another image's.
    pub fn add(&mut self, other: &Self) {
        for (class, (shared, union)) in &other.0 {
            let sums = self.0.entry(*class).or_default();
            sums.0 += shared;
            sums.1 += union;
        }
    }

    /// The mean over classes of intersection over union; no number where there is no pixel.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let each = self.0.values().map(|(shared, union)| *shared as f64 / *union as f64);
        each.sum::<f64>() / self.0.len() as f64
    }

    /// `(class, pixels shared, pixels in either)`, ascending.
    pub fn classes(&self) -> impl Iterator<Item = (u8, u64, u64)> {
        self.0.iter().map(|(class, (shared, union))| (*class, *shared, *union))
    }
}

/// How far two pictures are apart: sums over samples of one byte.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Differences {
    /// Of the squares.
    pub squares: u64,
    /// Of the absolute values.
    pub absolute: u64,
    /// Samples.
    pub samples: u64,
}

impl Differences {
    /// Compares two pictures of one size.
    #[must_use]
    pub fn between(truth: &[u8], found: &[u8]) -> Self {
        let mut sums = Self::default();
        for (truth, found) in truth.iter().zip(found) {
            let apart = u64::from(truth.abs_diff(*found));
            sums.absolute += apart;
            sums.squares += apart * apart;
            sums.samples += 1;
        }
        sums
    }

    /// The mean absolute difference, in steps of 1/255.
    #[must_use]
    pub fn mean_absolute(&self) -> f64 {
        self.absolute as f64 / self.samples as f64
    }

    /// The peak signal to noise ratio in decibels, of a peak of 255; of equal pictures that of one step in one sample more, so
    /// that a mean over pictures stays a number.
    #[must_use]
    pub fn psnr(&self) -> f64 {
        let mean = self.squares.max(1) as f64 / self.samples as f64;
        10.0 * libm::log10(255.0 * 255.0 / mean)
    }

    /// The largest that a picture of this size can have.
    #[must_use]
    pub fn best_psnr(&self) -> f64 {
        Self { squares: 0, ..*self }.psnr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_overlap_by_pixels() {
        let overlaps = Overlaps::of(&[0, 0, 1, 1, 2], &[0, 1, 1, 1, 0]);
        assert_eq!(overlaps.classes().collect::<Vec<_>>(), [(0, 1, 3), (1, 2, 3), (2, 0, 1)]);
        assert!((overlaps.mean() - (1.0 / 3.0 + 2.0 / 3.0) / 3.0).abs() < 1e-15);
        let mut sum = overlaps.clone();
        sum.add(&overlaps);
        assert!((sum.mean() - overlaps.mean()).abs() < 1e-15);
        assert!(Overlaps::default().mean().is_nan());
    }

    #[test]
    fn differences_are_sums_of_integers() {
        let apart = Differences::between(&[0, 255, 10, 10], &[10, 245, 10, 11]);
        assert_eq!((apart.squares, apart.absolute, apart.samples), (201, 21, 4));
        assert_eq!(apart.mean_absolute(), 5.25);
        assert!((apart.psnr() - 31.119_4).abs() < 1e-4, "{}", apart.psnr());
        assert!(Differences::between(&[7; 100], &[7; 100]).psnr() > 68.0);
    }
}
