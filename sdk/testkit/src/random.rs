//! Seeded numbers for tests: SplitMix64, small enough that the Python oracles repeat it (`python/splitmix.py`).

use tilemark_model::random;

/// [`random::SplitMix64`], and what tests draw with it.
#[derive(Clone, Debug)]
pub struct SplitMix64(random::SplitMix64);

impl SplitMix64 {
    /// A sequence that depends on the seed alone.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(random::SplitMix64::new(seed))
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0.bits()
    }

    /// A number below `bound`, which is at least 1: the next 64 bits modulo it.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound)
    }

    /// An integer of `lo..=hi`.
    pub fn int(&mut self, lo: i32, hi: i32) -> i32 {
        let span = u64::from(hi.abs_diff(lo)) + 1;
        lo.wrapping_add((self.bits() % span) as i32)
    }

    /// A float in `[0, 1)`: the top 24 bits over 2^24, exact.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / 16_777_216.0
    }

    /// `n` floats in `[lo, hi)`: `unit * (hi - lo) + lo`, two roundings.
    pub fn floats(&mut self, n: usize, lo: f32, hi: f32) -> Vec<f32> {
        (0..n).map(|_| self.unit() * (hi - lo) + lo).collect()
    }

    /// `n` bytes: the top byte of each draw.
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| (self.bits() >> 56) as u8).collect()
    }

    /// `n` weights in `-127..=127`.
    pub fn weights(&mut self, n: usize) -> Vec<i8> {
        (0..n).map(|_| self.int(-127, 127) as i8).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_kept() {
        let mut random = SplitMix64::new(1);
        assert!((0..1000).map(|_| random.int(-3, 3)).all(|i| (-3..=3).contains(&i)));
        assert!((0..1000).map(|_| random.unit()).all(|u| (0.0..1.0).contains(&u)));
    }
}
