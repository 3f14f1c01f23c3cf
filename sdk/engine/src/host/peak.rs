//! What one core can do at most: products of bytes in a register and weights in the nearest cache, the yardstick for every
//! layer.
#![allow(unsafe_code, reason = "instructions of a level that the CPU was found to have")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::cpu::CpuLevel;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::simd::{CacheLine, Vector};

/// Chains of sums: as many as cover the latency of a dot product at two a cycle, and fit 16 registers.
const CHAINS: usize = 12;
/// Rounds of one measurement, some ten microseconds: the fastest of many is free of interruptions.
const ROUNDS: usize = 4096;
const MEASURING: Duration = Duration::from_millis(20);

/// Multiply-accumulates of 8-bit integers a second that the calling thread reaches at `level` when nothing but the
/// products takes time; `None` where the level has no vectors of its own. Takes 20 ms.
///
/// # Examples
/// ```
/// use tilemark_engine::{CpuLevel, peak_macs_per_second};
/// assert!(peak_macs_per_second(CpuLevel::Scalar).is_none());
/// ```
#[must_use]
pub fn peak_macs_per_second(level: CpuLevel) -> Option<f64> {
    let round = round(level)?;
    let (mut macs, mut fastest, begin) = (0, Duration::MAX, Instant::now());
    while begin.elapsed() < MEASURING {
        let start = Instant::now();
        macs = round();
        fastest = fastest.min(start.elapsed());
    }
    Some(macs as f64 / fastest.as_secs_f64())
}

/// What computes [`ROUNDS`] rounds at a level and returns their multiply-accumulates.
#[cfg(target_arch = "x86_64")]
fn round(level: CpuLevel) -> Option<fn() -> usize> {
    if !level.is_supported() {
        return None;
    }
    match level {
        // SAFETY: the CPU has the level, asked just above.
        CpuLevel::Avx2 => Some(|| unsafe { x86::avx2() }),
        // SAFETY: as above.
        CpuLevel::AvxVnni => Some(|| unsafe { x86::avxvnni() }),
        // SAFETY: as above.
        CpuLevel::Avx512Vnni => Some(|| unsafe { x86::avx512vnni() }),
        // SAFETY: as above.
        CpuLevel::Amx => Some(|| unsafe { x86::amx() }),
        _ => None,
    }
}

#[cfg(target_arch = "aarch64")]
fn round(level: CpuLevel) -> Option<fn() -> usize> {
    use super::simd::aarch64::Flavour;
    if level != CpuLevel::Neon {
        return None;
    }
    Some(match Flavour::detected() {
        // SAFETY: the CPU has the flavour that was detected.
        Flavour::Plain => || unsafe { aarch64::mull() },
        // SAFETY: as above.
        Flavour::DotProd => || unsafe { aarch64::sdot() },
        // SAFETY: as above.
        Flavour::I8mm => || unsafe { aarch64::usdot() },
    })
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn round(_: CpuLevel) -> Option<fn() -> usize> {
    None
}

/// A function that multiplies with the registers of one level.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! at_level {
    ($name:ident, $vector:ty, $features:literal) => {
        #[target_feature(enable = $features)]
        pub(super) fn $name() -> usize {
            // SAFETY: this function has the features of the vector.
            unsafe { super::add_products::<$vector>() }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{CacheLine, ROUNDS};
    use crate::host::amx::tiles::{Configured, MAX_ROWS, ROW_BYTES, Shape};
    use crate::host::simd::x86::{Pairs, Vex, Ymm, Zmm};

    at_level!(avx2, Ymm<Pairs>, "avx2,fma");
    at_level!(avxvnni, Ymm<Vex>, "avx2,fma,avxvnni");
    at_level!(avx512vnni, Zmm, "avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni");

    /// # Safety
    /// The tile unit may be used.
    pub(super) unsafe fn amx() -> usize {
        let rounds = ROUNDS / 64;
        let ones = CacheLine::of(&[1; 4 * 16 * ROW_BYTES]).collect::<Vec<_>>();
        let first = ones.as_ptr().cast::<u8>();
        // SAFETY: 4 KiB are readable from `first`: four tiles of weights, or one of anything else.
        unsafe {
            let unit = Configured::new(Shape::TwoByTwo, MAX_ROWS);
            unit.start(Shape::TwoByTwo, first.cast());
            for _ in 0..rounds {
                unit.multiply(Shape::TwoByTwo, [first; 4], ROW_BYTES, first);
            }
        }
        rounds * 4 * MAX_ROWS * 16 * ROW_BYTES
    }
}

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use crate::host::simd::aarch64::{Mull, Neon, Sdot, Usdot};

    at_level!(mull, Neon<Mull>, "neon");
    at_level!(sdot, Neon<Sdot>, "neon,dotprod");
    at_level!(usdot, Neon<Usdot>, "neon,i8mm");
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
unsafe fn add_products<V: Vector>() -> usize {
    let ones = CacheLine::of(&[1; 64 * CHAINS]).collect::<Vec<_>>();
    // SAFETY: a register's bytes, weights and integers are at most 64 bytes; the features are the caller's.
    unsafe {
        let bytes = V::prepare(V::bytes(ones.as_ptr().cast()));
        let mut sums = [V::ints(ones.as_ptr().cast()); CHAINS];
        for _ in 0..ROUNDS {
            // Weights of their own for every chain, read anew: or the product would be computed once for all.
            let weights = black_box(ones.as_ptr()).cast::<u8>();
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = V::dot(*sum, bytes, V::weights(weights.add(64 * i)));
            }
        }
        black_box(sums);
    }
    ROUNDS * CHAINS * V::LANES * V::PRODUCTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_with_vectors_has_a_peak_and_no_other_has() {
        for level in CpuLevel::ALL {
            let has_vectors = level.is_supported() && level != CpuLevel::Scalar;
            let peak = peak_macs_per_second(level);
            assert_eq!(peak.is_some(), has_vectors, "{}", level.name());
            assert!(peak.is_none_or(|peak| peak > 0.0), "{}: {peak:?}", level.name());
        }
    }
}
