//! Seeded draws that are the same everywhere: for resampling and for tests, not for secrets.

/// Sebastiano Vigna's SplitMix64. Its state counts up, so that any draw can be reached at once and several threads can share a
/// sequence.
#[derive(Clone, Debug)]
pub struct SplitMix64 {
    state: u64,
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl SplitMix64 {
    /// A sequence that depends on the seed alone.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The same sequence after so many draws.
    #[must_use]
    pub const fn after(seed: u64, draws: u64) -> Self {
        Self { state: seed.wrapping_add(draws.wrapping_mul(STEP)) }
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is at least 1: the next 64 bits modulo it.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.bits() % bound.max(1) as u64).unwrap_or(0)
    }

    /// A real in `[0, 1)`: the top 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_splitmix64_from_any_place() {
        let mut random = SplitMix64::new(1_234_567);
        // The published first outputs.
        assert_eq!((random.bits(), random.bits()), (6_457_827_717_110_365_317, 3_203_168_211_198_807_973));
        assert_eq!(random.bits(), SplitMix64::after(1_234_567, 2).bits());
    }
}
