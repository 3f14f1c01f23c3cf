//! How often a tensor has which values, and the ranges that follow from it.
//!
//! Calibration runs the data twice: the first pass finds the extremes, the second counts between them. Unlike a histogram
//! that grows while it counts, this one is the same in whatever order samples come, so threads can count on their own.

use super::range::Range;

/// Equal bins between the extremes: eight for each of the 256 integers.
pub const BINS: usize = 2048;

/// How a range is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// The extremes: nothing is cut off.
    MinMax,
    /// This share of the values, in percent; what is cut off is divided equally between both ends.
    Percentile(f64),
    /// The threshold on magnitudes that loses least information: the smallest Kullback-Leibler divergence between the
    /// distribution and its quantized form (S. Migacz, "8-bit Inference with TensorRT", GTC 2017).
    Entropy,
    /// The range with the least mean squared error of quantization.
    Mse,
}

/// Counts between two extremes. Zeros are counted apart: they are exact in every range.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    range: Range,
    zeros: u64,
    counts: Vec<u64>,
}

impl Histogram {
    /// An empty one for values inside `range`.
    pub fn new(range: Range) -> Self {
        Self { range, zeros: 0, counts: vec![0; BINS] }
    }

    /// Counts values; those outside go to the bins at the ends.
    pub fn add(&mut self, values: &[f32]) {
        let (lo, width) = (self.range.lo, self.range.hi - self.range.lo);
        let factor = if width > 0.0 { BINS as f32 / width } else { 0.0 };
        for &x in values {
            if x == 0.0 {
                self.zeros += 1;
            } else {
                // A cast to usize is 0 below zero and for NaN.
                let bin = ((x - lo) * factor) as usize;
                self.counts[bin.min(BINS - 1)] += 1;
            }
        }
    }

    /// Adds another one's counts; both have the same range.
    pub fn merge(&mut self, other: &Self) {
        self.zeros += other.zeros;
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// The range that a method chooses for `steps` + 1 integers.
    pub fn range(&self, method: Method, steps: u32) -> Range {
        let Range { lo, hi } = self.range;
        if self.counts.iter().all(|&count| count == 0) {
            return self.range;
        }
        match method {
            Method::MinMax => self.range,
            Method::Percentile(percent) => self.percentile(percent),
            Method::Entropy => {
                let threshold = self.entropy_threshold(steps);
                Range { lo: lo.max(-threshold), hi: hi.min(threshold) }
            }
            Method::Mse => self.least_error(steps),
        }
    }

    fn bin_width(&self) -> f64 {
        (f64::from(self.range.hi) - f64::from(self.range.lo)) / BINS as f64
    }

    /// The middle of a bin.
    fn centre(&self, bin: usize) -> f64 {
        f64::from(self.range.lo) + (bin as f64 + 0.5) * self.bin_width()
    }

    fn percentile(&self, percent: f64) -> Range {
        let total = self.zeros + self.counts.iter().sum::<u64>();
        let cut = ((total as f64 - 1.0) * (100.0 - percent) / 200.0).round();
        let zero_bin = ((-f64::from(self.range.lo)) / self.bin_width()) as usize;
        let of = |bin: usize| self.counts[bin] + if bin == zero_bin.min(BINS - 1) { self.zeros } else { 0 };
        // The bin in which the value lies that has `cut` values before it; its outer edge is kept.
        let passes = |seen: &mut f64, bin: usize| {
            *seen += of(bin) as f64;
            *seen > cut
        };
        let (mut below, mut above) = (0.0, 0.0);
        let least = (0..BINS).find(|&bin| passes(&mut below, bin)).unwrap_or(0);
        let most = (0..BINS).rev().find(|&bin| passes(&mut above, bin)).unwrap_or(BINS - 1);
        let edge = |bin: usize| (f64::from(self.range.lo) + bin as f64 * self.bin_width()) as f32;
        let lo = if least == 0 { self.range.lo } else { edge(least) };
        let hi = if most == BINS - 1 { self.range.hi } else { edge(most + 1) };
        Range::new(lo, hi)
    }

    /// Counts of magnitudes up to the larger extreme: the bins of both signs laid over each other, by their middles.
    fn magnitudes(&self) -> Vec<f64> {
        let width = self.bin_width();
        let largest = f64::from(self.range.hi.max(-self.range.lo));
        let bins = ((largest / width - 1e-9).ceil() as usize).clamp(1, BINS);
        let mut counts = vec![0.0; bins];
        for (bin, &count) in self.counts.iter().enumerate() {
            let at = (self.centre(bin).abs() / width) as usize;
            counts[at.min(bins - 1)] += count as f64;
        }
        counts
    }

    fn entropy_threshold(&self, steps: u32) -> f32 {
        let counts = self.magnitudes();
        let share = f64::from(self.range.hi.max(-self.range.lo))
            / (f64::from(self.range.hi) - f64::from(self.range.lo));
        // As many integers as the larger side has.
        let levels = (f64::from(steps) * share).round().clamp(1.0, counts.len() as f64) as usize;
        let divergence = |bins: usize| (bins, divergence(&counts, bins, levels));
        let nearer = |best: (usize, f64), next: (usize, f64)| if next.1 < best.1 { next } else { best };
        let best = (levels..=counts.len()).map(divergence).reduce(nearer);
        (best.map_or(counts.len(), |best| best.0) as f64 * self.bin_width()) as f32
    }

    /// Both ends drawn in together, then each alone.
    fn least_error(&self, steps: u32) -> Range {
        const STEPS: u32 = 100;
        let Range { lo, hi } = self.range;
        let shares = || (10..=STEPS).rev().map(|i| i as f32 / STEPS as f32);
        let mut best = (self.error(self.range, steps), self.range);
        let consider = |candidates: &mut dyn Iterator<Item = Range>, best: &mut (f64, Range)| {
            for range in candidates {
                let error = self.error(range, steps);
                if error < best.0 {
                    *best = (error, range);
                }
            }
        };
        consider(&mut shares().map(|s| Range { lo: lo * s, hi: hi * s }), &mut best);
        let lo_now = best.1.lo;
        consider(&mut shares().map(|s| Range { lo: lo_now, hi: hi * s }), &mut best);
        let hi_now = best.1.hi;
        consider(&mut shares().map(|s| Range { lo: lo * s, hi: hi_now }), &mut best);
        best.1
    }

    /// Summed squared error of quantizing to `steps` + 1 integers over a range.
    fn error(&self, range: Range, steps: u32) -> f64 {
        let (lo, hi) = (f64::from(range.lo), f64::from(range.hi));
        let scale = (hi - lo) / f64::from(steps);
        if scale <= 0.0 {
            return f64::INFINITY;
        }
        let zero = (-lo / scale).round_ties_even();
        let each = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        each.map(|(bin, &count)| {
            let x = self.centre(bin);
            let integer = ((x / scale).round_ties_even() + zero).clamp(0.0, f64::from(steps));
            let off = x - (integer - zero) * scale;
            count as f64 * off * off
        })
        .sum()
    }
}

/// Kullback-Leibler divergence of the first `bins` counts, what lies beyond put into the last one, from the same counts
/// merged to `levels` and spread evenly again over the bins that have any.
fn divergence(counts: &[f64], bins: usize, levels: usize) -> f64 {
    let mut p = counts[..bins].to_vec();
    p[bins - 1] += counts[bins..].iter().sum::<f64>();
    let mut q = vec![0.0; bins];
    for level in 0..levels {
        let part = level * bins / levels..(level + 1) * bins / levels;
        let filled = p[part.clone()].iter().filter(|&&count| count > 0.0).count();
        let sum: f64 = counts[part.clone()].iter().sum();
        for at in part.filter(|&at| p[at] > 0.0) {
            q[at] = sum / filled as f64;
        }
    }
    let (all_p, all_q): (f64, f64) = (p.iter().sum(), q.iter().sum());
    if all_q == 0.0 {
        return f64::INFINITY;
    }
    // A bin that only the outliers filled has nothing in q: the divergence is infinite there, as it should be judged.
    let term = |(&p, &q): (&f64, &f64)| {
        let (p, q) = (p / all_p, q / all_q);
        if p == 0.0 {
            0.0
        } else if q == 0.0 {
            f64::INFINITY
        } else {
            p * (p / q).ln()
        }
    };
    p.iter().zip(&q).map(term).sum()
}
