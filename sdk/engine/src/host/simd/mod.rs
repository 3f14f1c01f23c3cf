//! The vector registers of x86-64 and AArch64 as the integer kernels see them, so that one source serves every level.
//!
//! A kernel is written once over [`Vector`], all of it `#[inline(always)]`, and instantiated per level inside a function
//! with that level's `#[target_feature]`: there the intrinsics become instructions and the vectors stay in registers.
//! Closures are avoided there: LLVM does not always inline them, and a call passes vectors through memory (with one
//! in the epilogue, a 1x1 convolution of 64 channels took 5 times as long).
//! Every method is `unsafe` for one reason, stated here once: the CPU must have the features of the implementing type
//! (a kernel is only picked at a level that the CPU was found to have), and pointers must be good for the bytes named.
#![allow(unsafe_code, reason = "SIMD intrinsics on pointers that the drivers check tile by tile")]

#[cfg(target_arch = "aarch64")]
pub(crate) mod aarch64;
mod lookup;
mod square;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

pub(crate) use lookup::Lookup;
pub(crate) use square::{SQUARE, transposed};

/// How products become bytes: `clamp(rint(f32(sum) * multiplier) + zero_point, lo, hi)`, all in stored bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounding {
    /// Products are cut to this before they are rounded: from 2^31 on the conversion would wrap. Far above any byte.
    #[cfg_attr(target_arch = "aarch64", allow(dead_code, reason = "its conversion saturates"))]
    ceiling: f32,
    zero_point: i16,
    lo: u8,
    hi: u8,
    /// Whether nothing needs to be cut: packing saturates at 0 and 255. Saves a fifth of the epilogue.
    pub(crate) is_plain: bool,
}

impl Rounding {
    /// Bounds and zero point in stored bytes. `can_wrap` says that a product might reach 2^31.
    pub(crate) fn new(lo: u8, hi: u8, zero_point: u8, can_wrap: bool) -> Self {
        let is_plain = lo == 0 && hi == 255 && !can_wrap;
        Self { ceiling: 65536.0, zero_point: zero_point.into(), lo, hi, is_plain }
    }
}

/// Packed bytes that begin where a cache line does, so that no register's weights lie in two.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct CacheLine([u8; 64]);

impl CacheLine {
    /// How many lines hold this many bytes.
    pub(crate) fn count(bytes: usize) -> usize {
        bytes.div_ceil(size_of::<Self>())
    }

    /// The lines that hold `bytes`, the last one filled up with zeros.
    pub(crate) fn of(bytes: &[u8]) -> impl Iterator<Item = CacheLine> {
        bytes.chunks(64).map(|chunk| {
            let mut line = CacheLine([0; 64]);
            line.0[..chunk.len()].copy_from_slice(chunk);
            line
        })
    }
}

/// One register width of one level. `LANES` lanes of 32 bits; `4 * LANES` bytes.
pub(crate) trait Vector {
    /// A register of integers: lanes of i32, or bytes.
    type Int: Copy;
    /// Four bytes per lane, as [`Vector::dot`] wants them.
    type Bytes: Copy;
    /// Four weights per lane, as [`Vector::dot`] wants them.
    type Weights: Copy;
    /// Lanes of f32.
    type Float: Copy;
    /// Half the bytes of a register.
    type Half: Copy;

    /// Lanes of 32 bits.
    const LANES: usize;
    /// Bytes that one [`Vector::Weights`] takes when packed.
    const WEIGHT_BYTES: usize;

    /// Products that [`Vector::dot`] adds per lane: four bytes', or two words'.
    const PRODUCTS: usize = 4;

    /// What [`Vector::prepare`] subtracts from every byte, where products are of signed bytes. Whoever packs weights adds it
    /// times their sum to the bias.
    const SHIFT: i32 = 0;

    /// Packs the weights of one lane at its place in `[u8; WEIGHT_BYTES]`; those beyond [`Vector::PRODUCTS`] are ignored.
    fn pack_weights(lane: usize, weights: [i8; 4], packed: &mut [u8]);

    /// `LANES` integers, at any alignment.
    unsafe fn ints(from: *const i32) -> Self::Int;
    /// `4 * LANES` bytes, at any alignment.
    unsafe fn bytes(from: *const u8) -> Self::Int;
    /// The same four bytes in every lane.
    unsafe fn splat(from: *const u8) -> Self::Int;
    /// Bytes made ready for [`Vector::dot`].
    unsafe fn prepare(bytes: Self::Int) -> Self::Bytes;
    /// Packed weights; aligned to a register where they were packed so.
    unsafe fn weights(from: *const u8) -> Self::Weights;
    /// Adds the products of every lane, exactly.
    unsafe fn dot(sums: Self::Int, bytes: Self::Bytes, weights: Self::Weights) -> Self::Int;
    /// Byte `j` of lane `i` of register `v` is byte [`channel`]`(v, i)` of `rows[j]`.
    unsafe fn interleave(rows: [Self::Int; 4]) -> [Self::Int; 4];
    /// `LANES` numbers, at any alignment.
    unsafe fn floats(from: *const f32) -> Self::Float;
    /// `rint(f32(sum) * multiplier)`, at most the ceiling unless `PLAIN`.
    unsafe fn round<const PLAIN: bool>(
        sums: Self::Int,
        multipliers: Self::Float,
        rounding: &Rounding,
    ) -> Self::Int;
    /// Integers to 16-bit words with the zero point added: per 128 bits four of `rounded[0]`, then four of `rounded[1]`.
    unsafe fn words(rounded: [Self::Int; 2], rounding: &Rounding) -> Self::Int;
    /// Words to bytes, clamped to the bounds unless `PLAIN`: per 128 bits eight of `words[0]`, then eight of `words[1]`.
    unsafe fn pack<const PLAIN: bool>(words: [Self::Int; 2], rounding: &Rounding) -> Self::Int;
    /// What [`Vector::halves`] wants; once per tile.
    unsafe fn order() -> Self::Int;
    /// What [`Vector::pack`] interleaved, apart: the bytes of `words[0]` and those of `words[1]`.
    unsafe fn halves(bytes: Self::Int, order: Self::Int) -> [Self::Half; 2];
    /// Writes the first `count` bytes, at most all.
    unsafe fn store(to: *mut u8, bytes: Self::Int, count: usize);
    /// Writes the first `count` bytes, at most all.
    unsafe fn store_half(to: *mut u8, bytes: Self::Half, count: usize);
}

/// The channel in lane `i` of register `v` of four, such that interleaving and packing need no permutation, in registers of
/// any width.
pub(crate) fn channel(v: usize, i: usize) -> usize {
    16 * (i / 4) + 4 * v + i % 4
}

/// Registers of eight lanes, whose blocks may be one register of channels wide.
#[cfg(target_arch = "x86_64")]
pub(crate) trait Quarters: Vector {
    /// Takes apart what packing four rows of one register each has interleaved (`words[0]` of rows 0 and 1, `words[1]` of
    /// rows 2 and 3), and writes the first `count` bytes of each, at most `LANES`.
    unsafe fn store_quarters(to: [*mut u8; 4], bytes: Self::Int, count: usize);
}

/// Writes the first `count` bytes of a register that was spilled to `from`, in as few stores as the count's bits.
#[inline(always)]
unsafe fn store_parts(to: *mut u8, from: *const u8, count: usize) {
    let mut at = 0;
    for part in [32, 16, 8, 4, 2, 1] {
        if count & part != 0 {
            // SAFETY: `at + part <= count`, and both sides are good for `count` bytes (the caller's duty).
            unsafe { std::ptr::copy_nonoverlapping(from.add(at), to.add(at), part) };
            at += part;
        }
    }
}

/// Bytes to words, as many as both have: for tiles that multiply words, as those of AVX2 do.
///
/// # Safety
/// On x86-64 the CPU has AVX2.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2"))]
pub(crate) unsafe fn widen(bytes: &[u8], words: &mut [u16]) {
    for (word, &byte) in words.iter_mut().zip(bytes) {
        *word = byte.into();
    }
}
