//! Register tiles of the matrix product: some rows times some registers of channels. What all architectures share.
//!
//! A row of the left matrix is not gathered: it lies in the image as runs of consecutive bytes, at offsets that all rows
//! share. The weights of a block are packed in the order of the runs, so they are read front to back.
#![allow(unsafe_code, reason = "vector loads and stores at computed addresses")]

use crate::host::CpuLevel;
use crate::host::simd::{Rounding, Vector};

/// Most rows of any tile.
pub(crate) const MAX_ROWS: usize = 14;

/// One block of channels times rows of the left matrix: everything but the rows.
pub(crate) struct Job<'a> {
    /// Bytes between rows of the left matrix.
    pub(crate) stride: usize,
    /// Offsets of the runs in a row, in elements.
    pub(crate) runs: &'a [usize],
    /// Bytes of an element of the left matrix: 1, or 2 where it was widened.
    pub(crate) element: usize,
    /// Steps of four bytes in each run, the last one perhaps beyond its end (where the weights are zero).
    pub(crate) steps: usize,
    /// The block's weights: `runs * steps * 2` registers.
    pub(crate) weights: *const u8,
    /// The block's bias and multipliers, in the order of the lanes.
    pub(crate) bias: *const i32,
    pub(crate) multipliers: *const f32,
    /// Channels to write: all of the block, or fewer in the last one.
    pub(crate) channels: usize,
    pub(crate) rounding: Rounding,
}

/// Computes a tile: `left` is the first byte of its first row, each of `rows` the first byte to write of one.
///
/// # Safety
/// The CPU has the level's features; `left + row * stride + run * element` is readable for `4 * steps` bytes for every row and run;
/// every pointer in `rows` that the tile uses is writable for `channels` bytes; `weights`, `bias` and `multipliers` are
/// those of a whole block.
pub(crate) type TileKernel = unsafe fn(job: &Job<'_>, left: *const u8, rows: &[*mut u8; MAX_ROWS]);

/// Tiles of one register width.
#[derive(Debug)]
pub(crate) struct Width {
    /// Channels of a block.
    pub(crate) channels: usize,
    /// Products of one channel and step, which takes four bytes of the left matrix: four of bytes, or two of words.
    pub(crate) products: usize,
    /// What the kernels subtract from every byte of the left matrix: packing adds it times the weights to the bias.
    pub(crate) shift: i32,
    /// Bytes of weights of one block and step.
    pub(crate) step_bytes: usize,
    /// Kernels for 1, 2, ... rows.
    pub(crate) kernels: &'static [TileKernel],
    /// Writes the weights of a block's channel into the bytes of a step.
    pub(crate) pack: fn(channel: usize, weights: [i8; 4], step: &mut [u8]),
    /// The channel whose bias and multiplier come at this place.
    pub(crate) channel: fn(place: usize) -> usize,
}

/// The tiles of one level, widest first.
#[derive(Debug)]
pub(crate) struct Tiles {
    pub(crate) level: CpuLevel,
    pub(crate) widths: &'static [Width],
    /// Row tiles of a block of AMX: 1, 2 or 4; 0 where the length of the sums decides.
    #[cfg(target_arch = "x86_64")]
    pub(crate) row_tiles: usize,
}

impl Tiles {
    /// Of vectors alone.
    pub(crate) const fn new(level: CpuLevel, widths: &'static [Width]) -> Self {
        Self {
            level,
            widths,
            #[cfg(target_arch = "x86_64")]
            row_tiles: 0,
        }
    }

    /// The block for what remains of a group's channels: the narrowest that holds them all if it leaves no register
    /// empty, else the widest that they fill.
    pub(crate) fn width(&self, channels: usize) -> &'static Width {
        let narrowest = self.widths[self.widths.len() - 1].channels;
        let holds = |width: &&Width| (channels..channels + narrowest).contains(&width.channels);
        let filled = |width: &&Width| width.channels <= channels;
        let width = self.widths.iter().rfind(holds).or_else(|| self.widths.iter().find(filled));
        width.unwrap_or(&self.widths[0])
    }
}

/// Rounds sums and writes them, two rows at a time. Written out: where LLVM leaves a loop over rows rolled, the sums live
/// in memory, and the whole tile takes twice as long.
///
/// # Safety
/// As [`TileKernel`].
#[inline(always)]
pub(super) unsafe fn finish<V: Vector, const M: usize, const PLAIN: bool>(
    job: &Job<'_>,
    sums: &[[V::Int; 2]; M],
    rows: &[*mut u8; MAX_ROWS],
) {
    // SAFETY: as above.
    unsafe {
        let multipliers = [V::floats(job.multipliers), V::floats(job.multipliers.add(V::LANES))];
        let order = V::order();
        pair::<V, M, PLAIN, 0>(job, sums, multipliers, order, rows);
        pair::<V, M, PLAIN, 2>(job, sums, multipliers, order, rows);
        pair::<V, M, PLAIN, 4>(job, sums, multipliers, order, rows);
        pair::<V, M, PLAIN, 6>(job, sums, multipliers, order, rows);
        pair::<V, M, PLAIN, 8>(job, sums, multipliers, order, rows);
        pair::<V, M, PLAIN, 10>(job, sums, multipliers, order, rows);
        pair::<V, M, PLAIN, 12>(job, sums, multipliers, order, rows);
    }
}

/// Rows `ROW` and `ROW + 1`, if the tile has them.
///
/// # Safety
/// As [`TileKernel`].
#[inline(always)]
unsafe fn pair<V: Vector, const M: usize, const PLAIN: bool, const ROW: usize>(
    job: &Job<'_>,
    sums: &[[V::Int; 2]; M],
    multipliers: [V::Float; 2],
    order: V::Int,
    rows: &[*mut u8; MAX_ROWS],
) {
    if ROW >= M {
        return;
    }
    let end = M.min(ROW + 2);
    // SAFETY: as above.
    unsafe {
        let sums = [sums[ROW], sums[end - 1]];
        store_pair::<V, PLAIN>(sums, multipliers, order, &job.rounding, &rows[ROW..end], job.channels);
    }
}

/// Rounds the sums of two rows and writes the first `channels` bytes of each; or of one, whose sums come twice.
///
/// # Safety
/// The CPU has the vector's features; one or two `rows` are writable for `channels` bytes.
#[inline(always)]
pub(super) unsafe fn store_pair<V: Vector, const PLAIN: bool>(
    sums: [[V::Int; 2]; 2],
    multipliers: [V::Float; 2],
    order: V::Int,
    rounding: &Rounding,
    rows: &[*mut u8],
    channels: usize,
) {
    // SAFETY: the caller's duty.
    unsafe {
        let first = words::<V, PLAIN>(sums[0], multipliers, rounding);
        let second = if rows.len() == 2 { words::<V, PLAIN>(sums[1], multipliers, rounding) } else { first };
        let halves = V::halves(V::pack::<PLAIN>([first, second], rounding), order);
        V::store_half(rows[0], halves[0], channels);
        if rows.len() == 2 {
            V::store_half(rows[1], halves[1], channels);
        }
    }
}

/// # Safety
/// As [`TileKernel`].
#[inline(always)]
pub(super) unsafe fn words<V: Vector, const PLAIN: bool>(
    sums: [V::Int; 2],
    multipliers: [V::Float; 2],
    rounding: &Rounding,
) -> V::Int {
    // SAFETY: features are the caller's duty.
    unsafe {
        let low = V::round::<PLAIN>(sums[0], multipliers[0], rounding);
        V::words([low, V::round::<PLAIN>(sums[1], multipliers[1], rounding)], rounding)
    }
}

/// A module with the kernels of one vector type, one per number of rows.
macro_rules! kernels {
    ($name:ident, $tile:ident, $vector:ty, $features:literal, $($rows:ident $m:literal),*) => {
        mod $name {
            use super::*;

            pub(super) static KERNELS: [TileKernel; [$($m),*].len()] = [$($rows),*];

            $(
                #[target_feature(enable = $features)]
                unsafe fn $rows(job: &Job<'_>, left: *const u8, rows: &[*mut u8; MAX_ROWS]) {
                    // SAFETY: the caller's duty.
                    unsafe { $tile::<$vector, $m>(job, left, rows) }
                }
            )*
        }
    };
}
pub(super) use kernels;

#[cfg(test)]
mod tests {
    use tilemark_model::numerics;

    use super::*;
    #[cfg(target_arch = "aarch64")]
    use crate::host::kernels::gemm::neon as tiles;
    #[cfg(target_arch = "x86_64")]
    use crate::host::kernels::gemm::x86 as tiles;

    /// Those that this CPU can run.
    fn widths() -> impl Iterator<Item = &'static Width> {
        let supported = tiles::all().into_iter().filter(|tiles| tiles.level.is_supported());
        supported.flat_map(|tiles| tiles.widths)
    }

    /// The epilogue alone: sums that come from the bias, at the ends of their range, at ties and beyond 2^24.
    #[test]
    fn every_sum_becomes_its_byte_in_every_tile() {
        let sums = [0, 1, -1, 2, 3, 5, 255, 256, 509, -511, 1 << 24, (1 << 24) + 1, i32::MAX, i32::MIN];
        for width in widths() {
            let bias: Vec<i32> = (0..width.channels).map(|i| sums[i % sums.len()]).collect();
            for multiplier in [1.0, 0.5, 0.25, 0.3, 1.0e-7] {
                for (lo, hi, zero) in [(0u8, 255u8, 0u8), (0, 255, 129), (0, 255, 255), (7, 99, 8)] {
                    let multipliers = vec![multiplier; width.channels];
                    let rounding = Rounding::new(lo, hi, zero, multiplier > 0.5);
                    let expected: Vec<u8> = bias
                        .iter()
                        .map(|&sum| {
                            numerics::requantize(sum, multiplier, zero.into(), lo.into(), hi.into()) as u8
                        })
                        .collect();
                    for channels in 1..=width.channels {
                        for (rows, kernel) in (1..).zip(width.kernels) {
                            let mut bytes = vec![77u8; rows * width.channels];
                            let mut pointers = [std::ptr::null_mut(); MAX_ROWS];
                            for (pointer, row) in pointers.iter_mut().zip(bytes.chunks_mut(width.channels)) {
                                *pointer = row.as_mut_ptr();
                            }
                            let job = Job {
                                stride: 0,
                                runs: &[],
                                element: 1,
                                steps: 0,
                                weights: std::ptr::null(),
                                bias: bias.as_ptr(),
                                multipliers: multipliers.as_ptr(),
                                channels,
                                rounding,
                            };
                            // SAFETY: the level is supported, nothing is read but bias and multipliers, and every row
                            // has room for all channels.
                            unsafe { kernel(&job, std::ptr::null(), &pointers) };
                            for row in bytes.chunks(width.channels) {
                                for (place, &byte) in row.iter().enumerate() {
                                    let lane =
                                        (0..width.channels).find(|&i| (width.channel)(i) == place).unwrap();
                                    let expected = if place < channels { expected[lane] } else { 77 };
                                    assert_eq!(byte, expected, "{} * {multiplier}, {rows} rows", bias[lane]);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
