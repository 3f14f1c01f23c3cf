//! Strips of a depthwise convolution: as many channels as a register has bytes, over a row of outputs.
//!
//! Four rows of the image are interleaved so that a lane's four bytes are four vertical taps of one channel; one dot
//! product then adds four taps for every lane. Unpacking scatters channels within 128 bits exactly as packing the
//! results gathers them, so nothing is permuted: bias, multipliers and weights lie in the scattered order. An interleave
//! serves every horizontal tap and several output rows, whose weights are the same ones shifted down.
#![allow(unsafe_code, reason = "vector loads and stores at computed addresses")]

use crate::host::CpuLevel;
use crate::host::simd::{Evex, Madd, Rounding, Vector, Vex, Ymm, Zmm};

/// Most output rows that share an interleave.
pub(crate) const MAX_ROWS: usize = 4;

/// One strip of channels over one row block.
pub(crate) struct Strip<'a> {
    /// The strip's first byte in column 0 of each input row: four rows per quad.
    pub(crate) rows: &'a [*const u8],
    /// Bytes between columns, of the input and of the output.
    pub(crate) columns: [usize; 2],
    /// Outputs to compute.
    pub(crate) count: usize,
    /// Input columns between outputs.
    pub(crate) stride: usize,
    /// Horizontal taps, and input columns between them.
    pub(crate) taps: [usize; 2],
    /// `[quad][tap][row][4 registers]`, with the rows of the packing.
    pub(crate) weights: *const u8,
    /// Rows that the weights were packed for, at least those of the kernel.
    pub(crate) packed_rows: usize,
    /// Four registers each.
    pub(crate) bias: *const i32,
    pub(crate) multipliers: *const f32,
    /// Room for `quads * columns of input` times four registers.
    pub(crate) scratch: *mut u8,
    /// The first output of each row.
    pub(crate) outputs: [*mut u8; MAX_ROWS],
    /// Channels to write.
    pub(crate) channels: usize,
    pub(crate) rounding: Rounding,
}

impl Strip<'_> {
    /// Columns of the input that `count` outputs need.
    fn input_columns(&self) -> usize {
        (self.count - 1) * self.stride + (self.taps[0] - 1) * self.taps[1] + 1
    }
}

/// # Safety
/// The CPU has the level's features; every row is readable for a whole register at each column that the outputs need,
/// every output writable for `channels` bytes at each column; the scratch has the size that its field says.
pub(crate) type StripKernel = unsafe fn(strip: &Strip<'_>);

/// Kernels of one register width.
#[derive(Debug)]
pub(crate) struct Width {
    /// Channels of a strip.
    pub(crate) channels: usize,
    /// Bytes of one register's weights.
    pub(crate) register: usize,
    /// For one, two and four rows: any window.
    pub(crate) any: [StripKernel; 3],
    /// For one and two rows: windows of three columns and at most four rows, by horizontal stride less one.
    pub(crate) three: [[StripKernel; 2]; 2],
    /// Writes the four weights of a lane into a register's bytes.
    pub(crate) pack: fn(lane: usize, weights: [i8; 4], register: &mut [u8]),
}

/// The strips of one level: wide ones, and narrow ones for what remains.
#[derive(Debug)]
pub(crate) struct Strips {
    pub(crate) level: CpuLevel,
    pub(crate) widths: &'static [Width],
}

pub(crate) static AVX512VNNI: Strips =
    Strips { level: CpuLevel::Avx512Vnni, widths: &[zmm::WIDTH, ymm_evex::WIDTH] };
pub(crate) static AVXVNNI: Strips = Strips { level: CpuLevel::AvxVnni, widths: &[ymm_vex::WIDTH] };
pub(crate) static AVX2: Strips = Strips { level: CpuLevel::Avx2, widths: &[ymm_madd::WIDTH] };

/// Four rows of one column, interleaved.
///
/// # Safety
/// As [`StripKernel`].
#[inline(always)]
unsafe fn column<V: Vector>(strip: &Strip<'_>, quad: usize, column: usize) -> [V::Int; 4] {
    let at = column * strip.columns[0];
    // SAFETY: the caller's duty.
    unsafe {
        let rows = strip.rows.as_ptr().add(4 * quad);
        V::interleave([
            V::bytes((*rows).add(at)),
            V::bytes((*rows.add(1)).add(at)),
            V::bytes((*rows.add(2)).add(at)),
            V::bytes((*rows.add(3)).add(at)),
        ])
    }
}

/// Adds the products of one interleaved column to `R` rows of sums.
///
/// # Safety
/// As [`StripKernel`].
#[inline(always)]
unsafe fn add<V: Vector, const R: usize>(sums: &mut [[V::Int; 4]; R], x: [V::Int; 4], weights: *const u8) {
    // SAFETY: the caller's duty.
    unsafe {
        for (v, x) in x.into_iter().enumerate() {
            let x = V::prepare(x);
            for (row, sums) in sums.iter_mut().enumerate() {
                let weights = V::weights(weights.add((4 * row + v) * V::WEIGHT_BYTES));
                sums[v] = V::dot(sums[v], x, weights);
            }
        }
    }
}

/// Four registers from consecutive memory.
///
/// # Safety
/// As [`StripKernel`].
#[inline(always)]
unsafe fn registers<V: Vector>(from: *const u8) -> [V::Int; 4] {
    let register = 4 * V::LANES;
    // SAFETY: the caller's duty.
    unsafe {
        [
            V::bytes(from),
            V::bytes(from.add(register)),
            V::bytes(from.add(2 * register)),
            V::bytes(from.add(3 * register)),
        ]
    }
}

/// # Safety
/// As [`StripKernel`].
#[inline(always)]
unsafe fn bias<V: Vector, const R: usize>(strip: &Strip<'_>) -> [[V::Int; 4]; R] {
    // SAFETY: the caller's duty.
    unsafe { [registers::<V>(strip.bias.cast()); R] }
}

/// # Safety
/// As [`StripKernel`].
#[inline(always)]
unsafe fn finish<V: Vector, const R: usize>(strip: &Strip<'_>, sums: [[V::Int; 4]; R], output: usize) {
    // SAFETY: the caller's duty.
    unsafe {
        if strip.rounding.is_plain {
            write::<V, R, true>(strip, sums, output);
        } else {
            write::<V, R, false>(strip, sums, output);
        }
    }
}

/// # Safety
/// As [`StripKernel`].
#[inline(always)]
unsafe fn write<V: Vector, const R: usize, const PLAIN: bool>(
    strip: &Strip<'_>,
    sums: [[V::Int; 4]; R],
    output: usize,
) {
    // SAFETY: the caller's duty.
    unsafe {
        for (row, sums) in sums.into_iter().enumerate() {
            let mut rounded = sums;
            for (v, rounded) in rounded.iter_mut().enumerate() {
                let multipliers = V::floats(strip.multipliers.add(v * V::LANES));
                *rounded = V::round::<PLAIN>(*rounded, multipliers, &strip.rounding);
            }
            let low = V::words([rounded[0], rounded[1]], &strip.rounding);
            let high = V::words([rounded[2], rounded[3]], &strip.rounding);
            let to = strip.outputs[row].add(output * strip.columns[1]);
            V::store(to, V::pack::<PLAIN>([low, high], &strip.rounding), strip.channels);
        }
    }
}

/// Any window: all columns are interleaved into scratch first.
///
/// # Safety
/// As [`StripKernel`].
#[inline(always)]
unsafe fn any<V: Vector, const R: usize>(strip: &Strip<'_>) {
    let (quads, columns) = (strip.rows.len() / 4, strip.input_columns());
    let register = 4 * V::LANES;
    let per_tap = 4 * strip.packed_rows * V::WEIGHT_BYTES;
    let [taps, dilation] = strip.taps;
    // SAFETY: the scratch holds `quads * columns` times four registers; for the rest the caller's duty.
    unsafe {
        for quad in 0..quads {
            for i in 0..columns {
                let to = strip.scratch.add((quad * columns + i) * 4 * register);
                for (v, x) in column::<V>(strip, quad, i).into_iter().enumerate() {
                    V::store(to.add(v * register), x, register);
                }
            }
        }
        for output in 0..strip.count {
            let mut sums = bias::<V, R>(strip);
            let mut weights = strip.weights;
            for quad in 0..quads {
                for tap in 0..taps {
                    let at = quad * columns + output * strip.stride + tap * dilation;
                    let from = strip.scratch.add(at * 4 * register);
                    add::<V, R>(&mut sums, registers::<V>(from), weights);
                    weights = weights.add(per_tap);
                }
            }
            finish::<V, R>(strip, sums, output);
        }
    }
}

/// One quad and three neighbouring columns: the interleaved columns pass through registers, `S` new ones per output.
///
/// # Safety
/// As [`StripKernel`].
#[inline(always)]
unsafe fn three<V: Vector, const R: usize, const S: usize>(strip: &Strip<'_>) {
    let per_tap = 4 * strip.packed_rows * V::WEIGHT_BYTES;
    // SAFETY: the caller's duty.
    unsafe {
        // What the first output does not load anew: two columns, or one.
        let mut window = [column::<V>(strip, 0, 0); 3];
        if S == 1 {
            window[2] = column::<V>(strip, 0, 1);
        }
        for output in 0..strip.count {
            let next = output * S + 3 - S;
            window = match S {
                1 => [window[1], window[2], column::<V>(strip, 0, next)],
                _ => [window[2], column::<V>(strip, 0, next), column::<V>(strip, 0, next + 1)],
            };
            let mut sums = bias::<V, R>(strip);
            for (tap, x) in window.into_iter().enumerate() {
                add::<V, R>(&mut sums, x, strip.weights.add(tap * per_tap));
            }
            finish::<V, R>(strip, sums, output);
        }
    }
}

/// A module with the kernels of one vector type.
macro_rules! width {
    ($name:ident, $vector:ty, $features:literal) => {
        mod $name {
            use super::*;

            pub(super) const WIDTH: Width = Width {
                channels: 4 * <$vector>::LANES,
                register: <$vector>::WEIGHT_BYTES,
                any: [any_of::<1>, any_of::<2>, any_of::<4>],
                three: [[three_of::<1, 1>, three_of::<1, 2>], [three_of::<2, 1>, three_of::<2, 2>]],
                pack: <$vector>::pack_weights,
            };

            #[target_feature(enable = $features)]
            unsafe fn any_of<const R: usize>(strip: &Strip<'_>) {
                // SAFETY: the caller's duty.
                unsafe { any::<$vector, R>(strip) }
            }

            #[target_feature(enable = $features)]
            unsafe fn three_of<const R: usize, const S: usize>(strip: &Strip<'_>) {
                // SAFETY: the caller's duty.
                unsafe { three::<$vector, R, S>(strip) }
            }
        }
    };
}

width!(zmm, Zmm, "avx512f,avx512bw,avx512vl,avx512vnni");
width!(ymm_evex, Ymm<Evex>, "avx512f,avx512bw,avx512vl,avx512vnni");
width!(ymm_vex, Ymm<Vex>, "avx2,fma,avxvnni");
width!(ymm_madd, Ymm<Madd>, "avx2,fma");
