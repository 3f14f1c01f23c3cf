//! The contract's formulas a register at a time: bytes to floats, two fused multiply-adds (or exact products), one
//! rounding, and packing that saturates where the type ends. 0.6 of the time of the loops that LLVM vectorizes, which
//! narrow every lane by itself.
#![allow(unsafe_code, reason = "vector loads and stores at checked addresses")]

use std::arch::x86_64::*;

use super::portable::{Combination, Formula};
use crate::host::CpuLevel;

/// What a formula is computed with, in floats.
#[derive(Clone, Copy)]
pub(super) struct Combiner {
    /// Addition: factors of both operands, summand. Product: zero points of both operands, multiplier, zero point.
    constants: [f32; 4],
    is_sum: bool,
    /// What a stored byte 0 stands for: of both operands, and of the result.
    lowest: [f32; 2],
    lowest_result: i32,
    /// Bounds in stored bytes.
    bounds: [u8; 2],
    is_wide: bool,
}

/// Results beyond this might wrap when they are rounded.
const LARGEST: f32 = 1.0e9;

impl Combiner {
    /// For a combination at `level`. `None` at levels without these instructions, and for an absurd model whose results
    /// lie beyond all integers.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounds are bytes")]
    pub(super) fn new(of: &Combination, level: CpuLevel) -> Option<Self> {
        let has = |needed: CpuLevel| level.includes(needed) && needed.is_supported();
        let is_wide = has(CpuLevel::Avx512Vnni);
        if !is_wide && !has(CpuLevel::Avx2) {
            return None;
        }
        let (constants, largest) = match of.formula {
            Formula::Add(add) => ([add.ra, add.rb, add.c, 0.0], 600.0 * add.largest()),
            Formula::Multiply { zeros: [a, b], multiplier, zero } => {
                ([a as f32, b as f32, multiplier, zero], 70_000.0 * multiplier.abs() + 256.0)
            }
        };
        let [lowest_a, lowest_b, lowest_result] = of.lowest;
        (largest < LARGEST).then(|| Self {
            constants,
            is_sum: matches!(of.formula, Formula::Add(_)),
            lowest: [lowest_a as f32, lowest_b as f32],
            lowest_result,
            bounds: of.bounds.map(|bound| (bound as i32 - lowest_result) as u8),
            is_wide,
        })
    }

    /// Combines as many bytes as all have.
    pub(super) fn line(&self, a: &[u8], b: &[u8], y: &mut [u8]) {
        let n = a.len().min(b.len()).min(y.len());
        // SAFETY: all are good for `n` bytes.
        unsafe { self.run(a.as_ptr(), b.as_ptr(), y.as_mut_ptr(), n) }
    }

    /// Combines the bytes of `y` with those of `other`; `y` is the second operand if `is_second` says so.
    pub(super) fn in_place(&self, y: &mut [u8], other: &[u8], is_second: bool) {
        let (n, y, other) = (y.len().min(other.len()), y.as_mut_ptr(), other.as_ptr());
        let (a, b) = if is_second { (other, y.cast_const()) } else { (y.cast_const(), other) };
        // SAFETY: all are good for `n` bytes; each part of `y` is read before it is written.
        unsafe { self.run(a, b, y, n) }
    }

    /// # Safety
    /// `a` and `b` are readable and `y` is writable for `n` bytes; `y` may be one of them.
    unsafe fn run(&self, a: *const u8, b: *const u8, y: *mut u8, n: usize) {
        let is_signed = self.lowest != [0.0; 2] || self.lowest_result != 0;
        // SAFETY: the features were found when this was made; the rest is the caller's duty.
        unsafe {
            match (self.is_wide, self.is_sum, is_signed) {
                (true, true, false) => avx512::<true, false>(self, a, b, y, n),
                (true, true, true) => avx512::<true, true>(self, a, b, y, n),
                (true, false, false) => avx512::<false, false>(self, a, b, y, n),
                (true, false, true) => avx512::<false, true>(self, a, b, y, n),
                (false, true, false) => avx2::<true, false>(self, a, b, y, n),
                (false, true, true) => avx2::<true, true>(self, a, b, y, n),
                (false, false, false) => avx2::<false, false>(self, a, b, y, n),
                (false, false, true) => avx2::<false, true>(self, a, b, y, n),
            }
        }
    }
}

/// Instantiates the walk for one register width: `$lanes` floats, four times as many bytes.
macro_rules! walk {
    ($name:ident, $features:literal, $lanes:literal, $order:expr, $load:ident, $store:ident, $bytes:ident,
     $widen:ident, $to_float:ident, $to_int:ident, $splat:ident, $splat_int:ident, $splat_byte:ident, $fma:ident,
     $mul:ident, $add:ident, $sub:ident, $sub_int:ident, $pack_words:ident, $pack_bytes:ident, $permute:ident,
     $max:ident, $min:ident) => {
        /// # Safety
        /// The CPU has the features; pointers are good for `n` bytes.
        #[target_feature(enable = $features)]
        unsafe fn $name<const SUM: bool, const SIGNED: bool>(
            of: &Combiner,
            a: *const u8,
            b: *const u8,
            y: *mut u8,
            n: usize,
        ) {
            const BYTES: usize = 4 * $lanes;
            let [p, q, r, s] = of.constants.map(|constant| $splat(constant));
            let [lowest_a, lowest_b] = of.lowest.map(|lowest| $splat(lowest));
            let lowest_result = $splat_int(of.lowest_result);
            let [lo, hi] = of.bounds.map(|bound| $splat_byte(bound.cast_signed()));
            let mut at = 0;
            while at < n {
                let count = BYTES.min(n - at);
                let mut tail = [[0u8; BYTES]; 2];
                // SAFETY: a part that is no whole register is copied in and out; all else lies inside `n` bytes.
                unsafe {
                    let (mut from_a, mut from_b) = (a.add(at), b.add(at));
                    if count < BYTES {
                        std::ptr::copy_nonoverlapping(from_a, tail[0].as_mut_ptr(), count);
                        std::ptr::copy_nonoverlapping(from_b, tail[1].as_mut_ptr(), count);
                        (from_a, from_b) = (tail[0].as_ptr(), tail[1].as_ptr());
                    }
                    let mut rounded = [$splat_int(0); 4];
                    for (i, rounded) in rounded.iter_mut().enumerate() {
                        let mut x = $to_float($widen($bytes(from_a.add(i * $lanes).cast())));
                        let mut z = $to_float($widen($bytes(from_b.add(i * $lanes).cast())));
                        if SIGNED {
                            (x, z) = ($add(x, lowest_a), $add(z, lowest_b));
                        }
                        let result = if SUM {
                            $fma(x, p, $fma(z, q, r))
                        } else {
                            $add($mul($mul($sub(x, p), $sub(z, q)), r), s)
                        };
                        *rounded = $to_int(result);
                        if SIGNED {
                            *rounded = $sub_int(*rounded, lowest_result);
                        }
                    }
                    let words = [$pack_words(rounded[0], rounded[1]), $pack_words(rounded[2], rounded[3])];
                    let order = $load($order.as_ptr().cast());
                    let bytes = $permute(order, $pack_bytes(words[0], words[1]));
                    let bytes = $min($max(bytes, lo), hi);
                    if count < BYTES {
                        $store(tail[0].as_mut_ptr().cast(), bytes);
                        std::ptr::copy_nonoverlapping(tail[0].as_ptr(), y.add(at), count);
                    } else {
                        $store(y.add(at).cast(), bytes);
                    }
                }
                at += BYTES;
            }
        }
    };
}

/// Where packing leaves each group of four bytes.
static WIDE: [u32; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];
static NARROW: [u32; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

walk!(
    avx512,
    "avx2,fma,avx512f,avx512bw,avx512vl",
    16,
    WIDE,
    _mm512_loadu_si512,
    _mm512_storeu_si512,
    _mm_loadu_si128,
    _mm512_cvtepu8_epi32,
    _mm512_cvtepi32_ps,
    _mm512_cvtps_epi32,
    _mm512_set1_ps,
    _mm512_set1_epi32,
    _mm512_set1_epi8,
    _mm512_fmadd_ps,
    _mm512_mul_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_sub_epi32,
    _mm512_packs_epi32,
    _mm512_packus_epi16,
    _mm512_permutexvar_epi32,
    _mm512_max_epu8,
    _mm512_min_epu8
);
walk!(
    avx2,
    "avx2,fma",
    8,
    NARROW,
    _mm256_loadu_si256,
    _mm256_storeu_si256,
    _mm_loadl_epi64,
    _mm256_cvtepu8_epi32,
    _mm256_cvtepi32_ps,
    _mm256_cvtps_epi32,
    _mm256_set1_ps,
    _mm256_set1_epi32,
    _mm256_set1_epi8,
    _mm256_fmadd_ps,
    _mm256_mul_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_sub_epi32,
    _mm256_packs_epi32,
    _mm256_packus_epi16,
    permute,
    _mm256_max_epu8,
    _mm256_min_epu8
);

#[target_feature(enable = "avx2")]
fn permute(order: __m256i, bytes: __m256i) -> __m256i {
    _mm256_permutevar8x32_epi32(bytes, order)
}
