//! 512-bit registers with AVX512-VNNI.

use std::arch::x86_64::*;

use crate::host::simd::{Rounding, Vector};

/// 512-bit registers: AVX512-F, -BW and -VNNI.
pub(crate) struct Zmm;

// SAFETY of every block below: the trait's contract; no method does more than its intrinsics.
#[allow(clippy::undocumented_unsafe_blocks, reason = "stated once above for the whole implementation")]
impl Vector for Zmm {
    type Int = __m512i;
    type Bytes = __m512i;
    type Weights = __m512i;
    type Float = __m512;
    type Half = __m256i;

    const LANES: usize = 16;
    const WEIGHT_BYTES: usize = 64;

    fn pack_weights(lane: usize, weights: [i8; 4], packed: &mut [u8]) {
        packed[4 * lane..][..4].copy_from_slice(&weights.map(i8::cast_unsigned));
    }

    #[inline(always)]
    unsafe fn ints(from: *const i32) -> __m512i {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> __m512i {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> __m512i {
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn prepare(bytes: __m512i) -> __m512i {
        bytes
    }

    #[inline(always)]
    unsafe fn weights(from: *const u8) -> __m512i {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn dot(sums: __m512i, bytes: __m512i, weights: __m512i) -> __m512i {
        unsafe { _mm512_dpbusd_epi32(sums, bytes, weights) }
    }

    #[inline(always)]
    unsafe fn interleave([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
        unsafe {
            let (ab, cd) = (_mm512_unpacklo_epi8(a, b), _mm512_unpacklo_epi8(c, d));
            let (ab_high, cd_high) = (_mm512_unpackhi_epi8(a, b), _mm512_unpackhi_epi8(c, d));
            [
                _mm512_unpacklo_epi16(ab, cd),
                _mm512_unpackhi_epi16(ab, cd),
                _mm512_unpacklo_epi16(ab_high, cd_high),
                _mm512_unpackhi_epi16(ab_high, cd_high),
            ]
        }
    }

    #[inline(always)]
    unsafe fn floats(from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn round<const PLAIN: bool>(sums: __m512i, multipliers: __m512, rounding: &Rounding) -> __m512i {
        unsafe {
            let mut product = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), multipliers);
            if !PLAIN {
                product = _mm512_min_ps(product, _mm512_set1_ps(rounding.ceiling));
            }
            _mm512_cvtps_epi32(product)
        }
    }

    #[inline(always)]
    unsafe fn words(rounded: [__m512i; 2], rounding: &Rounding) -> __m512i {
        unsafe {
            let words = _mm512_packs_epi32(rounded[0], rounded[1]);
            _mm512_adds_epi16(words, _mm512_set1_epi16(rounding.zero_point))
        }
    }

    #[inline(always)]
    unsafe fn pack<const PLAIN: bool>(words: [__m512i; 2], rounding: &Rounding) -> __m512i {
        unsafe {
            let bytes = _mm512_packus_epi16(words[0], words[1]);
            if PLAIN {
                return bytes;
            }
            let bytes = _mm512_max_epu8(bytes, _mm512_set1_epi8(rounding.lo.cast_signed()));
            _mm512_min_epu8(bytes, _mm512_set1_epi8(rounding.hi.cast_signed()))
        }
    }

    #[inline(always)]
    unsafe fn order() -> __m512i {
        static ORDER: [i64; 8] = [0, 2, 4, 6, 1, 3, 5, 7];
        // Volatile, or LLVM sees a constant and makes five cheaper shuffles of one permutation.
        unsafe { _mm512_loadu_si512((&raw const ORDER).read_volatile().as_ptr().cast()) }
    }

    #[inline(always)]
    unsafe fn halves(bytes: __m512i, order: __m512i) -> [__m256i; 2] {
        unsafe {
            let apart = _mm512_permutexvar_epi64(order, bytes);
            [_mm512_castsi512_si256(apart), _mm512_extracti64x4_epi64::<1>(apart)]
        }
    }

    #[inline(always)]
    unsafe fn store(to: *mut u8, bytes: __m512i, count: usize) {
        unsafe {
            if count == 64 {
                _mm512_storeu_si512(to.cast(), bytes);
            } else {
                _mm512_mask_storeu_epi8(to.cast(), (1u64 << count) - 1, bytes);
            }
        }
    }

    #[inline(always)]
    unsafe fn store_half(to: *mut u8, bytes: __m256i, count: usize) {
        unsafe {
            if count == 32 {
                _mm256_storeu_si256(to.cast(), bytes);
            } else {
                let all = _mm512_castsi256_si512(bytes);
                _mm512_mask_storeu_epi8(to.cast(), (1u64 << count) - 1, all);
            }
        }
    }
}
