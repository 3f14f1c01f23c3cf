//! Strips of a depthwise convolution: as many channels as a register has bytes, over a row of outputs.
//!
//! Four rows of the image are interleaved so that a lane's four bytes are four vertical taps of one channel; one dot
//! product then adds four taps for every lane. Unpacking scatters channels within 128 bits exactly as packing the
//! results gathers them, so nothing is permuted: bias, multipliers and weights lie in the scattered order. An interleave
//! serves every horizontal tap and several output rows, whose weights are the same ones shifted down.
#![allow(unsafe_code, reason = "vector loads and stores at computed addresses")]

use crate::host::CpuLevel;
#[cfg(target_arch = "aarch64")]
use crate::host::simd::aarch64::{Flavour, Mull, Neon, Sdot, Usdot};
#[cfg(target_arch = "x86_64")]
use crate::host::simd::x86::{Evex, Madd, Vex, Ymm, Zmm};
use crate::host::simd::{Rounding, Vector};

/// Most output rows that share an interleave.
pub(crate) const MAX_ROWS: usize = 4;

/// One strip of channels over one row block.
pub(crate) struct Strip<'a> {
    /// The strip's first byte in column 0 of each input row: four rows per quad.
    pub(crate) rows: &'a [*const u8],
    /// Bytes between outputs of a row, in the input where they are neighbours, and in the output.
    pub(crate) columns: [usize; 2],
    /// Bytes between horizontal taps, where they are not whole columns apart ([`Width::folded`]).
    pub(crate) tap: usize,
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
    /// Bytes to write for each output, and for the last.
    pub(crate) channels: usize,
    pub(crate) last: usize,
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
    /// What the kernels subtract from every byte of the image: packing adds it times the weights to the bias.
    pub(crate) shift: i32,
    /// For one, two and four rows: any window.
    pub(crate) any: [StripKernel; 3],
    /// For one, two and four rows: any window at stride 1, where a register holds several neighbouring pixels whole.
    pub(crate) folded: [StripKernel; 3],
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

#[cfg(target_arch = "x86_64")]
pub(crate) static AVX512VNNI: Strips =
    Strips { level: CpuLevel::Avx512Vnni, widths: &[zmm::WIDTH, ymm_evex::WIDTH] };
#[cfg(target_arch = "x86_64")]
pub(crate) static AVXVNNI: Strips = Strips { level: CpuLevel::AvxVnni, widths: &[ymm_vex::WIDTH] };
#[cfg(target_arch = "x86_64")]
pub(crate) static AVX2: Strips = Strips { level: CpuLevel::Avx2, widths: &[ymm_madd::WIDTH] };

/// The strips of this CPU's flavour.
#[cfg(target_arch = "aarch64")]
pub(crate) fn neon() -> &'static Strips {
    static PLAIN: Strips = Strips { level: CpuLevel::Neon, widths: &[neon_mull::WIDTH] };
    static DOTPROD: Strips = Strips { level: CpuLevel::Neon, widths: &[neon_sdot::WIDTH] };
    static I8MM: Strips = Strips { level: CpuLevel::Neon, widths: &[neon_usdot::WIDTH] };
    match Flavour::detected() {
        Flavour::Plain => &PLAIN,
        Flavour::DotProd => &DOTPROD,
        Flavour::I8mm => &I8MM,
    }
}

/// Four rows of one column of the first quad, interleaved.
///
/// # Safety
/// As [`StripKernel`].
#[inline(always)]
unsafe fn column<V: Vector>(strip: &Strip<'_>, column: usize) -> [V::Int; 4] {
    // SAFETY: the caller's duty.
    unsafe { interleaved::<V>(strip, 0, column * strip.columns[0]) }
}

/// Four rows at `at` bytes from column 0, interleaved.
///
/// # Safety
/// As [`StripKernel`].
#[inline(always)]
unsafe fn interleaved<V: Vector>(strip: &Strip<'_>, quad: usize, at: usize) -> [V::Int; 4] {
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
    let count = if output + 1 == strip.count { strip.last } else { strip.channels };
    let mut rounded = sums;
    // SAFETY: the caller's duty.
    unsafe {
        for v in 0..4 {
            let multipliers = V::floats(strip.multipliers.add(v * V::LANES));
            for sums in &mut rounded {
                sums[v] = V::round::<PLAIN>(sums[v], multipliers, &strip.rounding);
            }
        }
        for (row, rounded) in rounded.into_iter().enumerate() {
            let low = V::words([rounded[0], rounded[1]], &strip.rounding);
            let high = V::words([rounded[2], rounded[3]], &strip.rounding);
            let to = strip.outputs[row].add(output * strip.columns[1]);
            V::store(to, V::pack::<PLAIN>([low, high], &strip.rounding), count);
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
                for (v, x) in interleaved::<V>(strip, quad, i * strip.columns[0]).into_iter().enumerate() {
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
/// Tried on Zen 4 and left: two outputs at a time, so that a weight that is loaded serves both (it gained 5 % with 512-bit
/// registers and lost as much with 256-bit ones).
///
/// # Safety
/// As [`StripKernel`].
#[inline(always)]
unsafe fn three<V: Vector, const R: usize, const S: usize>(strip: &Strip<'_>) {
    let per_tap = 4 * strip.packed_rows * V::WEIGHT_BYTES;
    // SAFETY: the caller's duty.
    unsafe {
        // What the first output does not load anew: two columns, or one.
        let mut window = [column::<V>(strip, 0); 3];
        if S == 1 {
            window[2] = column::<V>(strip, 1);
        }
        for output in 0..strip.count {
            let next = output * S + 3 - S;
            window = match S {
                1 => [window[1], window[2], column::<V>(strip, next)],
                _ => [window[2], column::<V>(strip, next), column::<V>(strip, next + 1)],
            };
            let mut sums = bias::<V, R>(strip);
            for (tap, x) in window.into_iter().enumerate() {
                add::<V, R>(&mut sums, x, strip.weights.add(tap * per_tap));
            }
            finish::<V, R>(strip, sums, output);
        }
    }
}

/// Stride 1 where a register holds several neighbouring pixels whole: taps are less than a register apart, so every tap
/// is interleaved anew.
///
/// # Safety
/// As [`StripKernel`].
#[inline(always)]
unsafe fn folded<V: Vector, const R: usize>(strip: &Strip<'_>) {
    let per_tap = 4 * strip.packed_rows * V::WEIGHT_BYTES;
    // SAFETY: the caller's duty.
    unsafe {
        for output in 0..strip.count {
            let mut sums = bias::<V, R>(strip);
            let mut weights = strip.weights;
            for quad in 0..strip.rows.len() / 4 {
                for tap in 0..strip.taps[0] {
                    let at = output * strip.columns[0] + tap * strip.tap;
                    add::<V, R>(&mut sums, interleaved::<V>(strip, quad, at), weights);
                    weights = weights.add(per_tap);
                }
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
                shift: <$vector>::SHIFT,
                any: [any_of::<1>, any_of::<2>, any_of::<4>],
                folded: [folded_of::<1>, folded_of::<2>, folded_of::<4>],
                three: [[three_of::<1, 1>, three_of::<1, 2>], [three_of::<2, 1>, three_of::<2, 2>]],
                pack: <$vector>::pack_weights,
            };

            #[target_feature(enable = $features)]
            unsafe fn any_of<const R: usize>(strip: &Strip<'_>) {
                // SAFETY: the caller's duty.
                unsafe { any::<$vector, R>(strip) }
            }

            #[target_feature(enable = $features)]
            unsafe fn folded_of<const R: usize>(strip: &Strip<'_>) {
                // SAFETY: the caller's duty.
                unsafe { folded::<$vector, R>(strip) }
            }

            #[target_feature(enable = $features)]
            unsafe fn three_of<const R: usize, const S: usize>(strip: &Strip<'_>) {
                // SAFETY: the caller's duty.
                unsafe { three::<$vector, R, S>(strip) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
width!(zmm, Zmm, "avx512f,avx512bw,avx512vl,avx512vnni");
#[cfg(target_arch = "x86_64")]
width!(ymm_evex, Ymm<Evex>, "avx512f,avx512bw,avx512vl,avx512vnni");
#[cfg(target_arch = "x86_64")]
width!(ymm_vex, Ymm<Vex>, "avx2,fma,avxvnni");
#[cfg(target_arch = "x86_64")]
width!(ymm_madd, Ymm<Madd>, "avx2,fma");
#[cfg(target_arch = "aarch64")]
width!(neon_mull, Neon<Mull>, "neon");
#[cfg(target_arch = "aarch64")]
width!(neon_sdot, Neon<Sdot>, "neon,dotprod");
#[cfg(target_arch = "aarch64")]
width!(neon_usdot, Neon<Usdot>, "neon,i8mm");
