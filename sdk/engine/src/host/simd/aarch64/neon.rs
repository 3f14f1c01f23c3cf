//! 128-bit registers with three ways to add products: `smull` and `sadalp`, `sdot`, and `usdot`.
//!
//! The dot products are written as `asm!`: their intrinsics are not stable. The assembler knows them inside functions that
//! have the feature, and kernels are inlined into such.

use std::arch::aarch64::*;
use std::arch::asm;
use std::marker::PhantomData;

use crate::host::simd::{Rounding, Vector, store_parts};

/// 128-bit registers, and what the dot step needs.
pub(crate) struct Neon<D>(PhantomData<D>);

/// How the four products of a lane are added.
pub(crate) trait Dot {
    type Bytes: Copy;
    /// Subtracted from every byte of the image, where the instruction multiplies signed bytes: 0 or 128.
    const SHIFT: i32;
    /// Where weight `k` of four of a lane lies in a register.
    fn place(lane: usize, k: usize) -> usize;
    /// From bytes that were shifted.
    unsafe fn prepare(bytes: uint8x16_t) -> Self::Bytes;
    unsafe fn dot(sums: int32x4_t, bytes: Self::Bytes, weights: int8x16_t) -> int32x4_t;
    /// As `dot` with bytes `4 * STEP..4 * STEP + 4`, shifted, in every lane.
    unsafe fn dot_step<const STEP: usize>(
        sums: int32x4_t,
        chunk: uint8x16_t,
        weights: int8x16_t,
    ) -> int32x4_t;
}

/// `smull` to 16-bit products, which `sadalp` adds in pairs to 32 bits. Every product fits: -128 times -128 is 2^14. Never
/// `smlal` on them: two such products do not fit.
pub(crate) struct Mull;
/// `sdot`, signed bytes times signed bytes (FEAT_DotProd).
pub(crate) struct Sdot;
/// `usdot`, unsigned bytes times signed bytes (FEAT_I8MM).
pub(crate) struct Usdot;

#[allow(clippy::undocumented_unsafe_blocks, reason = "the contract of `Vector`; only intrinsics")]
impl Dot for Mull {
    /// The first two bytes of every lane in either half, then the last two.
    type Bytes = [int8x16_t; 2];
    const SHIFT: i32 = 128;

    /// The first two weights of all lanes, then the last two, so that a half times a half has whole lanes to add.
    fn place(lane: usize, k: usize) -> usize {
        8 * (k / 2) + 2 * lane + k % 2
    }

    #[inline(always)]
    unsafe fn prepare(bytes: uint8x16_t) -> [int8x16_t; 2] {
        unsafe {
            let words = vreinterpretq_s16_u8(bytes);
            let (first, last) = (vuzp1q_s16(words, words), vuzp2q_s16(words, words));
            [vreinterpretq_s8_s16(first), vreinterpretq_s8_s16(last)]
        }
    }

    #[inline(always)]
    unsafe fn dot(sums: int32x4_t, bytes: [int8x16_t; 2], weights: int8x16_t) -> int32x4_t {
        unsafe {
            let first = vmull_s8(vget_low_s8(bytes[0]), vget_low_s8(weights));
            vpadalq_s16(vpadalq_s16(sums, first), vmull_high_s8(bytes[1], weights))
        }
    }

    #[inline(always)]
    unsafe fn dot_step<const STEP: usize>(
        sums: int32x4_t,
        chunk: uint8x16_t,
        weights: int8x16_t,
    ) -> int32x4_t {
        unsafe {
            let words = vreinterpretq_s16_u8(chunk);
            let (first, last) = match STEP {
                0 => (vdupq_laneq_s16::<0>(words), vdupq_laneq_s16::<1>(words)),
                1 => (vdupq_laneq_s16::<2>(words), vdupq_laneq_s16::<3>(words)),
                2 => (vdupq_laneq_s16::<4>(words), vdupq_laneq_s16::<5>(words)),
                _ => (vdupq_laneq_s16::<6>(words), vdupq_laneq_s16::<7>(words)),
            };
            Self::dot(sums, [vreinterpretq_s8_s16(first), vreinterpretq_s8_s16(last)], weights)
        }
    }
}

/// A dot step that is one instruction: for four bytes in every lane, and for the same four bytes of a chunk in all lanes.
macro_rules! dot_by_one_instruction {
    ($dot:ty, shift $shift:literal, $whole:literal, $step:literal) => {
        #[allow(clippy::undocumented_unsafe_blocks, reason = "the contract of `Vector`; one instruction")]
        impl Dot for $dot {
            type Bytes = uint8x16_t;
            const SHIFT: i32 = $shift;

            fn place(lane: usize, k: usize) -> usize {
                4 * lane + k
            }

            #[inline(always)]
            unsafe fn prepare(bytes: uint8x16_t) -> uint8x16_t {
                bytes
            }

            #[inline(always)]
            unsafe fn dot(mut sums: int32x4_t, bytes: uint8x16_t, weights: int8x16_t) -> int32x4_t {
                unsafe {
                    asm!(
                        $whole,
                        sums = inlateout(vreg) sums,
                        bytes = in(vreg) bytes,
                        weights = in(vreg) weights,
                        options(pure, nomem, nostack, preserves_flags),
                    );
                }
                sums
            }

            #[inline(always)]
            unsafe fn dot_step<const STEP: usize>(
                mut sums: int32x4_t,
                chunk: uint8x16_t,
                weights: int8x16_t,
            ) -> int32x4_t {
                unsafe {
                    asm!(
                        $step,
                        sums = inlateout(vreg) sums,
                        chunk = in(vreg) chunk,
                        weights = in(vreg) weights,
                        step = const STEP,
                        options(pure, nomem, nostack, preserves_flags),
                    );
                }
                sums
            }
        }
    };
}

dot_by_one_instruction!(
    Sdot,
    shift 128,
    "sdot {sums:v}.4s, {bytes:v}.16b, {weights:v}.16b",
    "sdot {sums:v}.4s, {weights:v}.16b, {chunk:v}.4b[{step}]"
);
dot_by_one_instruction!(
    Usdot,
    shift 0,
    "usdot {sums:v}.4s, {bytes:v}.16b, {weights:v}.16b",
    "sudot {sums:v}.4s, {weights:v}.16b, {chunk:v}.4b[{step}]"
);

/// Registers that take four dot steps from sixteen bytes of the left matrix at once.
pub(crate) trait Chunked: Vector {
    /// Sixteen bytes, as [`Chunked::dot_step`] wants them.
    type Chunk: Copy;

    /// Sixteen bytes, at any alignment.
    unsafe fn chunk(from: *const u8) -> Self::Chunk;
    /// As [`Vector::dot`] with bytes `4 * STEP..4 * STEP + 4` of the chunk in every lane; `STEP` is 0 to 3.
    unsafe fn dot_step<const STEP: usize>(
        sums: Self::Int,
        chunk: Self::Chunk,
        weights: Self::Weights,
    ) -> Self::Int;
}

#[allow(clippy::undocumented_unsafe_blocks, reason = "the contract of `Vector`; only intrinsics")]
impl<D: Dot> Neon<D> {
    #[inline(always)]
    unsafe fn shifted(bytes: uint8x16_t) -> uint8x16_t {
        if D::SHIFT == 0 { bytes } else { unsafe { veorq_u8(bytes, vdupq_n_u8(0x80)) } }
    }
}

#[allow(clippy::undocumented_unsafe_blocks, reason = "the contract of `Vector`; only intrinsics")]
impl<D: Dot> Chunked for Neon<D> {
    type Chunk = uint8x16_t;

    #[inline(always)]
    unsafe fn chunk(from: *const u8) -> uint8x16_t {
        unsafe { Self::shifted(vld1q_u8(from)) }
    }

    #[inline(always)]
    unsafe fn dot_step<const STEP: usize>(
        sums: int32x4_t,
        chunk: uint8x16_t,
        weights: int8x16_t,
    ) -> int32x4_t {
        unsafe { D::dot_step::<STEP>(sums, chunk, weights) }
    }
}

// SAFETY of every block below: the trait's contract; no method does more than its intrinsics.
#[allow(clippy::undocumented_unsafe_blocks, reason = "stated once above for the whole implementation")]
impl<D: Dot> Vector for Neon<D> {
    type Int = int32x4_t;
    type Bytes = D::Bytes;
    type Weights = int8x16_t;
    type Float = float32x4_t;
    type Half = uint8x8_t;

    const LANES: usize = 4;
    const WEIGHT_BYTES: usize = 16;
    const SHIFT: i32 = D::SHIFT;

    fn pack_weights(lane: usize, weights: [i8; 4], packed: &mut [u8]) {
        for (k, weight) in weights.into_iter().enumerate() {
            packed[D::place(lane, k)] = weight.cast_unsigned();
        }
    }

    #[inline(always)]
    unsafe fn ints(from: *const i32) -> int32x4_t {
        unsafe { vld1q_s32(from) }
    }

    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> int32x4_t {
        unsafe { vreinterpretq_s32_u8(vld1q_u8(from)) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> int32x4_t {
        unsafe { vdupq_n_s32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn prepare(bytes: int32x4_t) -> D::Bytes {
        unsafe { D::prepare(Self::shifted(vreinterpretq_u8_s32(bytes))) }
    }

    #[inline(always)]
    unsafe fn weights(from: *const u8) -> int8x16_t {
        unsafe { vld1q_s8(from.cast()) }
    }

    #[inline(always)]
    unsafe fn dot(sums: int32x4_t, bytes: D::Bytes, weights: int8x16_t) -> int32x4_t {
        unsafe { D::dot(sums, bytes, weights) }
    }

    #[inline(always)]
    unsafe fn interleave(rows: [int32x4_t; 4]) -> [int32x4_t; 4] {
        unsafe {
            let [a, b, c, d] = [
                vreinterpretq_u8_s32(rows[0]),
                vreinterpretq_u8_s32(rows[1]),
                vreinterpretq_u8_s32(rows[2]),
                vreinterpretq_u8_s32(rows[3]),
            ];
            let ab = vreinterpretq_u16_u8(vzip1q_u8(a, b));
            let cd = vreinterpretq_u16_u8(vzip1q_u8(c, d));
            let ab_high = vreinterpretq_u16_u8(vzip2q_u8(a, b));
            let cd_high = vreinterpretq_u16_u8(vzip2q_u8(c, d));
            [
                vreinterpretq_s32_u16(vzip1q_u16(ab, cd)),
                vreinterpretq_s32_u16(vzip2q_u16(ab, cd)),
                vreinterpretq_s32_u16(vzip1q_u16(ab_high, cd_high)),
                vreinterpretq_s32_u16(vzip2q_u16(ab_high, cd_high)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn floats(from: *const f32) -> float32x4_t {
        unsafe { vld1q_f32(from) }
    }

    /// No ceiling: the conversion saturates, as the words after it do.
    #[inline(always)]
    unsafe fn round<const PLAIN: bool>(sums: int32x4_t, multipliers: float32x4_t, _: &Rounding) -> int32x4_t {
        unsafe { vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sums), multipliers)) }
    }

    #[inline(always)]
    unsafe fn words(rounded: [int32x4_t; 2], rounding: &Rounding) -> int32x4_t {
        unsafe {
            let words = vqmovn_high_s32(vqmovn_s32(rounded[0]), rounded[1]);
            vreinterpretq_s32_s16(vqaddq_s16(words, vdupq_n_s16(rounding.zero_point)))
        }
    }

    #[inline(always)]
    unsafe fn pack<const PLAIN: bool>(words: [int32x4_t; 2], rounding: &Rounding) -> int32x4_t {
        unsafe {
            let low = vqmovun_s16(vreinterpretq_s16_s32(words[0]));
            let bytes = vqmovun_high_s16(low, vreinterpretq_s16_s32(words[1]));
            if PLAIN {
                return vreinterpretq_s32_u8(bytes);
            }
            let bytes = vmaxq_u8(bytes, vdupq_n_u8(rounding.lo));
            vreinterpretq_s32_u8(vminq_u8(bytes, vdupq_n_u8(rounding.hi)))
        }
    }

    #[inline(always)]
    unsafe fn order() -> int32x4_t {
        unsafe { vdupq_n_s32(0) } // halves are halves
    }

    #[inline(always)]
    unsafe fn halves(bytes: int32x4_t, _: int32x4_t) -> [uint8x8_t; 2] {
        unsafe {
            let bytes = vreinterpretq_u8_s32(bytes);
            [vget_low_u8(bytes), vget_high_u8(bytes)]
        }
    }

    #[inline(always)]
    unsafe fn store(to: *mut u8, bytes: int32x4_t, count: usize) {
        unsafe {
            if count == 16 {
                vst1q_u8(to, vreinterpretq_u8_s32(bytes));
            } else {
                let mut spilled = [0u8; 16];
                vst1q_u8(spilled.as_mut_ptr(), vreinterpretq_u8_s32(bytes));
                store_parts(to, spilled.as_ptr(), count);
            }
        }
    }

    #[inline(always)]
    unsafe fn store_half(to: *mut u8, bytes: uint8x8_t, count: usize) {
        unsafe {
            if count == 8 {
                vst1_u8(to, bytes);
            } else {
                let mut spilled = [0u8; 8];
                vst1_u8(spilled.as_mut_ptr(), bytes);
                store_parts(to, spilled.as_ptr(), count);
            }
        }
    }
}
