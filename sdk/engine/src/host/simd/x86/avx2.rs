//! 256-bit registers with three ways to add products: AVX2's `vpmaddwd`, AVX-VNNI and AVX512-VL with VNNI.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use crate::host::simd::{Quarters, Rounding, Vector, store_parts};

/// 256-bit registers: AVX2, and what the dot step needs.
pub(crate) struct Ymm<D>(PhantomData<D>);

/// How the four products of a lane are added.
pub(crate) trait Dot {
    type Bytes: Copy;
    type Weights: Copy;
    const PRODUCTS: usize = 4;
    const WEIGHT_BYTES: usize;
    fn pack_weights(lane: usize, weights: [i8; 4], packed: &mut [u8]);
    unsafe fn prepare(bytes: __m256i) -> Self::Bytes;
    unsafe fn weights(from: *const u8) -> Self::Weights;
    unsafe fn dot(sums: __m256i, bytes: Self::Bytes, weights: Self::Weights) -> __m256i;
}

/// `vpdpbusd` as AVX512-VL and -VNNI encode it, with 32 registers.
pub(crate) struct Evex;
/// `vpdpbusd` as AVX-VNNI encodes it, with 16 registers.
pub(crate) struct Vex;
/// Two `vpmaddwd` on 16-bit halves. Not `vpmaddubsw`, whose 16-bit pair sums saturate.
pub(crate) struct Madd;
/// One `vpmaddwd` on bytes that [`crate::host::simd::widen`] made words: spares the split in two, where the same bytes serve many channels.
pub(crate) struct Pairs;

/// Products of registers as they lie: `$products` of each lane, whose weights `$pack` writes.
macro_rules! dot_of_registers {
    ($dot:ty, $products:literal, $pack:expr, $add:expr) => {
        #[allow(clippy::undocumented_unsafe_blocks, reason = "the contract of `Vector`; only intrinsics")]
        impl Dot for $dot {
            type Bytes = __m256i;
            type Weights = __m256i;
            const PRODUCTS: usize = $products;
            const WEIGHT_BYTES: usize = 32;

            fn pack_weights(lane: usize, weights: [i8; 4], packed: &mut [u8]) {
                packed[4 * lane..][..4].copy_from_slice(&$pack(weights));
            }

            #[inline(always)]
            unsafe fn prepare(bytes: __m256i) -> __m256i {
                bytes
            }

            #[inline(always)]
            unsafe fn weights(from: *const u8) -> __m256i {
                unsafe { _mm256_loadu_si256(from.cast()) }
            }

            #[inline(always)]
            unsafe fn dot(sums: __m256i, bytes: __m256i, weights: __m256i) -> __m256i {
                unsafe { $add(sums, bytes, weights) }
            }
        }
    };
}

dot_of_registers!(Evex, 4, bytes, _mm256_dpbusd_epi32);
dot_of_registers!(Vex, 4, bytes, _mm256_dpbusd_avx_epi32);
dot_of_registers!(Pairs, 2, pair, add_pairs);

fn bytes(weights: [i8; 4]) -> [u8; 4] {
    weights.map(i8::cast_unsigned)
}

/// The first two weights as words.
fn pair([a, b, ..]: [i8; 4]) -> [u8; 4] {
    let [[a, b], [c, d]] = [a, b].map(|weight| i16::from(weight).to_le_bytes());
    [a, b, c, d]
}

/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn add_pairs(sums: __m256i, words: __m256i, weights: __m256i) -> __m256i {
    // SAFETY: the caller's duty.
    unsafe { _mm256_add_epi32(sums, _mm256_madd_epi16(words, weights)) }
}

#[allow(clippy::undocumented_unsafe_blocks, reason = "the contract of `Vector`; only intrinsics")]
impl Dot for Madd {
    /// Bytes 0 and 2 of every lane as words, then bytes 1 and 3.
    type Bytes = [__m256i; 2];
    type Weights = [__m256i; 2];
    const WEIGHT_BYTES: usize = 64;

    fn pack_weights(lane: usize, weights: [i8; 4], packed: &mut [u8]) {
        for (i, pair) in [[0, 2], [1, 3]].into_iter().enumerate() {
            for (j, k) in pair.into_iter().enumerate() {
                let word = i16::from(weights[k]).to_le_bytes();
                packed[32 * i + 4 * lane + 2 * j..][..2].copy_from_slice(&word);
            }
        }
    }

    #[inline(always)]
    unsafe fn prepare(bytes: __m256i) -> [__m256i; 2] {
        unsafe { [_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(bytes)] }
    }

    #[inline(always)]
    unsafe fn weights(from: *const u8) -> [__m256i; 2] {
        unsafe { [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast())] }
    }

    #[inline(always)]
    unsafe fn dot(sums: __m256i, bytes: [__m256i; 2], weights: [__m256i; 2]) -> __m256i {
        unsafe {
            let sums = _mm256_add_epi32(sums, _mm256_madd_epi16(bytes[0], weights[0]));
            _mm256_add_epi32(sums, _mm256_madd_epi16(bytes[1], weights[1]))
        }
    }
}

// SAFETY of every block below: the trait's contract; no method does more than its intrinsics.
#[allow(clippy::undocumented_unsafe_blocks, reason = "stated once above for the whole implementation")]
impl<D: Dot> Vector for Ymm<D> {
    type Int = __m256i;
    type Bytes = D::Bytes;
    type Weights = D::Weights;
    type Float = __m256;
    type Half = __m128i;

    const LANES: usize = 8;
    const WEIGHT_BYTES: usize = D::WEIGHT_BYTES;
    const PRODUCTS: usize = D::PRODUCTS;

    fn pack_weights(lane: usize, weights: [i8; 4], packed: &mut [u8]) {
        D::pack_weights(lane, weights, packed);
    }

    #[inline(always)]
    unsafe fn ints(from: *const i32) -> __m256i {
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> __m256i {
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> __m256i {
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn prepare(bytes: __m256i) -> D::Bytes {
        unsafe { D::prepare(bytes) }
    }

    #[inline(always)]
    unsafe fn weights(from: *const u8) -> D::Weights {
        unsafe { D::weights(from) }
    }

    #[inline(always)]
    unsafe fn dot(sums: __m256i, bytes: D::Bytes, weights: D::Weights) -> __m256i {
        unsafe { D::dot(sums, bytes, weights) }
    }

    #[inline(always)]
    unsafe fn interleave([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
        unsafe {
            let (ab, cd) = (_mm256_unpacklo_epi8(a, b), _mm256_unpacklo_epi8(c, d));
            let (ab_high, cd_high) = (_mm256_unpackhi_epi8(a, b), _mm256_unpackhi_epi8(c, d));
            [
                _mm256_unpacklo_epi16(ab, cd),
                _mm256_unpackhi_epi16(ab, cd),
                _mm256_unpacklo_epi16(ab_high, cd_high),
                _mm256_unpackhi_epi16(ab_high, cd_high),
            ]
        }
    }

    #[inline(always)]
    unsafe fn floats(from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn round<const PLAIN: bool>(sums: __m256i, multipliers: __m256, rounding: &Rounding) -> __m256i {
        unsafe {
            let mut product = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), multipliers);
            if !PLAIN {
                product = _mm256_min_ps(product, _mm256_set1_ps(rounding.ceiling));
            }
            _mm256_cvtps_epi32(product)
        }
    }

    #[inline(always)]
    unsafe fn words(rounded: [__m256i; 2], rounding: &Rounding) -> __m256i {
        unsafe {
            let words = _mm256_packs_epi32(rounded[0], rounded[1]);
            _mm256_adds_epi16(words, _mm256_set1_epi16(rounding.zero_point))
        }
    }

    #[inline(always)]
    unsafe fn pack<const PLAIN: bool>(words: [__m256i; 2], rounding: &Rounding) -> __m256i {
        unsafe {
            let bytes = _mm256_packus_epi16(words[0], words[1]);
            if PLAIN {
                return bytes;
            }
            let bytes = _mm256_max_epu8(bytes, _mm256_set1_epi8(rounding.lo.cast_signed()));
            _mm256_min_epu8(bytes, _mm256_set1_epi8(rounding.hi.cast_signed()))
        }
    }

    #[inline(always)]
    unsafe fn order() -> __m256i {
        unsafe { _mm256_setzero_si256() } // the permutation below is an immediate
    }

    #[inline(always)]
    unsafe fn halves(bytes: __m256i, _: __m256i) -> [__m128i; 2] {
        unsafe {
            let apart = _mm256_permute4x64_epi64::<0b11_01_10_00>(bytes);
            [_mm256_castsi256_si128(apart), _mm256_extracti128_si256::<1>(apart)]
        }
    }

    #[inline(always)]
    unsafe fn store(to: *mut u8, bytes: __m256i, count: usize) {
        unsafe {
            if count == 32 {
                _mm256_storeu_si256(to.cast(), bytes);
            } else {
                let mut spilled = [0u8; 32];
                _mm256_storeu_si256(spilled.as_mut_ptr().cast(), bytes);
                store_parts(to, spilled.as_ptr(), count);
            }
        }
    }

    #[inline(always)]
    unsafe fn store_half(to: *mut u8, bytes: __m128i, count: usize) {
        unsafe {
            if count == 16 {
                _mm_storeu_si128(to.cast(), bytes);
            } else {
                let mut spilled = [0u8; 16];
                _mm_storeu_si128(spilled.as_mut_ptr().cast(), bytes);
                store_parts(to, spilled.as_ptr(), count);
            }
        }
    }
}

#[allow(
    clippy::undocumented_unsafe_blocks,
    reason = "the contract of `Vector`; only intrinsics and checked counts"
)]
impl<D: Dot> Quarters for Ymm<D> {
    #[inline(always)]
    unsafe fn store_quarters(to: [*mut u8; 4], bytes: __m256i, count: usize) {
        unsafe {
            let apart = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
            let (low, high) = (_mm256_castsi256_si128(apart), _mm256_extracti128_si256::<1>(apart));
            if count == 8 {
                _mm_storel_epi64(to[0].cast(), low);
                _mm_storeh_pd(to[1].cast(), _mm_castsi128_pd(low));
                _mm_storel_epi64(to[2].cast(), high);
                _mm_storeh_pd(to[3].cast(), _mm_castsi128_pd(high));
            } else {
                let mut spilled = [0u8; 32];
                _mm256_storeu_si256(spilled.as_mut_ptr().cast(), apart);
                store_parts(to[0], spilled.as_ptr(), count);
                store_parts(to[1], spilled.as_ptr().add(8), count);
                store_parts(to[2], spilled.as_ptr().add(16), count);
                store_parts(to[3], spilled.as_ptr().add(24), count);
            }
        }
    }
}
