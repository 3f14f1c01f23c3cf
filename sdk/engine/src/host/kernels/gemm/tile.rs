//! Register tiles of the matrix product: some rows times two registers of channels, for every x86-64 level.
//!
//! A row of the left matrix is not gathered: it lies in the image as runs of consecutive bytes, at offsets that all rows
//! share. The weights of a block are packed in the order of the runs, so they are read front to back.
//!
//! Heights are what the registers hold. With 32 registers 14 rows: 28 sums, two of weights, one of the left matrix.
#![allow(unsafe_code, reason = "vector loads and stores at computed addresses")]

use crate::host::CpuLevel;
use crate::host::simd::{Evex, Pairs, Quarters, Rounding, Vector, Vex, Ymm, Zmm};

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
}

impl Tiles {
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

pub(crate) static AVX512VNNI: Tiles = Tiles {
    level: CpuLevel::Avx512Vnni,
    widths: &[
        double::<Zmm>(&zmm::KERNELS),
        double::<Ymm<Evex>>(&ymm_evex::KERNELS),
        single::<Ymm<Evex>>(&single_evex::KERNELS),
    ],
};
/// Vectors, for what [`super::amx`] leaves to them.
pub(crate) static AMX: Tiles = Tiles { level: CpuLevel::Amx, widths: AVX512VNNI.widths };
/// Half registers: for layers whose channels or rows leave much of a wide block empty.
pub(crate) static AVX512VNNI_NARROW: Tiles = Tiles {
    level: CpuLevel::Avx512Vnni,
    widths: &[double::<Ymm<Evex>>(&ymm_evex::KERNELS), single::<Ymm<Evex>>(&single_evex::KERNELS)],
};
pub(crate) static AVXVNNI: Tiles = Tiles {
    level: CpuLevel::AvxVnni,
    widths: &[double::<Ymm<Vex>>(&ymm_vex::KERNELS), single::<Ymm<Vex>>(&single_vex::KERNELS)],
};
pub(crate) static AVX2: Tiles = Tiles {
    level: CpuLevel::Avx2,
    widths: &[double::<Ymm<Pairs>>(&ymm_pairs::KERNELS), single::<Ymm<Pairs>>(&single_pairs::KERNELS)],
};

/// Blocks of two registers.
const fn double<V: Vector>(kernels: &'static [TileKernel]) -> Width {
    Width {
        channels: 2 * V::LANES,
        products: V::PRODUCTS,
        step_bytes: 2 * V::WEIGHT_BYTES,
        kernels,
        pack: pack_double::<V>,
        channel: |place| V::pair_channel(place / V::LANES, place % V::LANES),
    }
}

fn pack_double<V: Vector>(channel: usize, weights: [i8; 4], step: &mut [u8]) {
    // The inverse of `pair_channel`.
    let (v, lane) = (channel / 4 % 2, channel / 8 * 4 + channel % 4);
    V::pack_weights(lane, weights, &mut step[v * V::WEIGHT_BYTES..][..V::WEIGHT_BYTES]);
}

/// Blocks of one register, channels in their own order.
const fn single<V: Quarters>(kernels: &'static [TileKernel]) -> Width {
    Width {
        channels: V::LANES,
        products: V::PRODUCTS,
        step_bytes: V::WEIGHT_BYTES,
        kernels,
        pack: V::pack_weights,
        channel: |place| place,
    }
}

/// `M` rows times one block.
///
/// # Safety
/// As [`TileKernel`].
#[inline(always)]
unsafe fn tile<V: Vector, const M: usize>(job: &Job<'_>, left: *const u8, rows: &[*mut u8; MAX_ROWS]) {
    // SAFETY: the pointers are good for what is read and written here (the caller's duty); features as well.
    unsafe {
        let mut sums = [[V::ints(job.bias), V::ints(job.bias.add(V::LANES))]; M];
        let mut weights = job.weights;
        for &run in job.runs {
            let mut left = left.add(run * job.element);
            for _ in 0..job.steps {
                let pair = [V::weights(weights), V::weights(weights.add(V::WEIGHT_BYTES))];
                for (row, sums) in sums.iter_mut().enumerate() {
                    let bytes = V::prepare(V::splat(left.add(row * job.stride)));
                    sums[0] = V::dot(sums[0], bytes, pair[0]);
                    sums[1] = V::dot(sums[1], bytes, pair[1]);
                }
                weights = weights.add(2 * V::WEIGHT_BYTES);
                left = left.add(4);
            }
        }
        if job.rounding.is_plain {
            finish::<V, M, true>(job, &sums, rows);
        } else {
            finish::<V, M, false>(job, &sums, rows);
        }
    }
}

/// Rounds sums and writes them, two rows at a time. Written out: where LLVM leaves a loop over rows rolled, the sums live
/// in memory, and the whole tile takes twice as long.
///
/// # Safety
/// As [`TileKernel`].
#[inline(always)]
unsafe fn finish<V: Vector, const M: usize, const PLAIN: bool>(
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
    // SAFETY: as above.
    unsafe {
        let first = words::<V, PLAIN>(sums[ROW], multipliers, &job.rounding);
        if ROW + 1 >= M {
            let halves = V::halves(V::pack::<PLAIN>([first, first], &job.rounding), order);
            V::store_half(rows[ROW], halves[0], job.channels);
            return;
        }
        let second = words::<V, PLAIN>(sums[ROW + 1], multipliers, &job.rounding);
        let halves = V::halves(V::pack::<PLAIN>([first, second], &job.rounding), order);
        V::store_half(rows[ROW], halves[0], job.channels);
        V::store_half(rows[ROW + 1], halves[1], job.channels);
    }
}

/// # Safety
/// As [`TileKernel`].
#[inline(always)]
unsafe fn words<V: Vector, const PLAIN: bool>(
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

/// `M` rows times one block of one register.
///
/// # Safety
/// As [`TileKernel`].
#[inline(always)]
unsafe fn narrow<V: Quarters, const M: usize>(job: &Job<'_>, left: *const u8, rows: &[*mut u8; MAX_ROWS]) {
    // SAFETY: as for `tile`.
    unsafe {
        let mut sums = [V::ints(job.bias); M];
        let mut weights = job.weights;
        for &run in job.runs {
            let mut left = left.add(run * job.element);
            for _ in 0..job.steps {
                let register = V::weights(weights);
                for (row, sums) in sums.iter_mut().enumerate() {
                    let bytes = V::prepare(V::splat(left.add(row * job.stride)));
                    *sums = V::dot(*sums, bytes, register);
                }
                weights = weights.add(V::WEIGHT_BYTES);
                left = left.add(4);
            }
        }
        let multipliers = V::floats(job.multipliers);
        quad::<V, M, 0>(job, &sums, multipliers, rows);
        quad::<V, M, 4>(job, &sums, multipliers, rows);
        quad::<V, M, 8>(job, &sums, multipliers, rows);
        quad::<V, M, 12>(job, &sums, multipliers, rows);
    }
}

/// Four rows from `ROW` of those that the tile has; missing ones repeat the last.
///
/// # Safety
/// As [`TileKernel`].
#[inline(always)]
unsafe fn quad<V: Quarters, const M: usize, const ROW: usize>(
    job: &Job<'_>,
    sums: &[V::Int; M],
    multipliers: V::Float,
    rows: &[*mut u8; MAX_ROWS],
) {
    if ROW >= M {
        return;
    }
    let [a, b, c, d] = [ROW, ROW + 1, ROW + 2, ROW + 3].map(|row| row.min(M - 1));
    let rounding = &job.rounding;
    // SAFETY: as above.
    unsafe {
        let low = [
            V::round::<false>(sums[a], multipliers, rounding),
            V::round::<false>(sums[b], multipliers, rounding),
        ];
        let high = [
            V::round::<false>(sums[c], multipliers, rounding),
            V::round::<false>(sums[d], multipliers, rounding),
        ];
        let words = [V::words(low, rounding), V::words(high, rounding)];
        let bytes = V::pack::<false>(words, rounding);
        V::store_quarters([rows[a], rows[b], rows[c], rows[d]], bytes, job.channels);
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

kernels!(zmm, tile, Zmm, "avx512f,avx512bw,avx512vl,avx512vnni", r1 1, r2 2, r3 3, r4 4, r5 5, r6 6, r7 7, r8 8,
    r9 9, r10 10, r11 11, r12 12, r13 13, r14 14);
kernels!(ymm_evex, tile, Ymm<Evex>, "avx512f,avx512bw,avx512vl,avx512vnni", r1 1, r2 2, r3 3, r4 4, r5 5, r6 6,
    r7 7, r8 8, r9 9, r10 10, r11 11, r12 12, r13 13, r14 14);
kernels!(single_evex, narrow, Ymm<Evex>, "avx512f,avx512bw,avx512vl,avx512vnni", r1 1, r2 2, r3 3, r4 4, r5 5,
    r6 6, r7 7, r8 8, r9 9, r10 10, r11 11, r12 12, r13 13, r14 14);
kernels!(ymm_vex, tile, Ymm<Vex>, "avx2,fma,avxvnni", r1 1, r2 2, r3 3, r4 4, r5 5, r6 6);
kernels!(single_vex, narrow, Ymm<Vex>, "avx2,fma,avxvnni", r1 1, r2 2, r3 3, r4 4, r5 5, r6 6, r7 7, r8 8, r9 9,
    r10 10, r11 11, r12 12);
kernels!(ymm_pairs, tile, Ymm<Pairs>, "avx2,fma", r1 1, r2 2, r3 3, r4 4, r5 5, r6 6);
kernels!(single_pairs, narrow, Ymm<Pairs>, "avx2,fma", r1 1, r2 2, r3 3, r4 4, r5 5, r6 6, r7 7, r8 8, r9 9,
    r10 10, r11 11, r12 12);

#[cfg(test)]
mod tests {
    use tilemark_model::numerics;

    use super::*;

    fn widths() -> impl Iterator<Item = (CpuLevel, &'static Width)> {
        let tiles = [&AVX512VNNI, &AVXVNNI, &AVX2];
        tiles.into_iter().flat_map(|tiles| tiles.widths.iter().map(|width| (tiles.level, width)))
    }

    #[test]
    fn packing_puts_each_channel_where_its_bias_is() {
        for (_, width) in widths() {
            let lanes = if width.channels == 8 { 8 } else { width.channels / 2 };
            for place in 0..width.channels {
                let mut step = vec![0; width.step_bytes];
                (width.pack)((width.channel)(place), [1, 0, 0, 0], &mut step);
                let at = step.iter().position(|&byte| byte == 1).unwrap();
                let register = width.step_bytes / (width.channels / lanes);
                assert_eq!((at / register, at % register / 4), (place / lanes, place % lanes));
            }
        }
    }

    #[test]
    fn blocks_leave_no_register_empty() {
        let blocks = |tiles: &Tiles, mut channels: usize| {
            let mut found = Vec::new();
            while channels > 0 {
                found.push(tiles.width(channels).channels);
                channels -= channels.min(found[found.len() - 1]);
            }
            found
        };
        assert_eq!(blocks(&AVX512VNNI, 64), [32, 32]);
        assert_eq!(blocks(&AVX512VNNI, 56), [32, 16, 8]);
        assert_eq!(blocks(&AVX512VNNI, 25), [32]);
        assert_eq!(blocks(&AVX512VNNI, 17), [16, 8]);
        assert_eq!(blocks(&AVX512VNNI, 40), [32, 8]);
        assert_eq!(blocks(&AVX512VNNI, 3), [8]);
        assert_eq!(blocks(&AVX2, 41), [16, 16, 16]);
        assert_eq!(blocks(&AVX2, 24), [16, 8]);
    }

    /// The epilogue alone: sums that come from the bias, at the ends of their range, at ties and beyond 2^24.
    #[test]
    fn every_sum_becomes_its_byte_in_every_tile() {
        let sums = [0, 1, -1, 2, 3, 5, 255, 256, 509, -511, 1 << 24, (1 << 24) + 1, i32::MAX, i32::MIN];
        for (_, width) in widths().filter(|(level, _)| level.is_supported()) {
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
