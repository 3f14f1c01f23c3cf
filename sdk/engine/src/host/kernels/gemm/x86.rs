//! Register tiles of the matrix product for every x86-64 level: rows times two registers of channels, or one.
//!
//! Heights are what the registers hold. With 32 registers 14 rows: 28 sums, two of weights, one of the left matrix.
#![allow(unsafe_code, reason = "vector loads and stores at computed addresses")]

use super::tiles::{Job, MAX_ROWS, TileKernel, Tiles, Width, finish, kernels};
use crate::host::CpuLevel;
use crate::host::simd::x86::{Evex, Pairs, Vex, Ymm, Zmm};
use crate::host::simd::{Quarters, Vector};

pub(crate) static AVX512VNNI: Tiles = Tiles::new(
    CpuLevel::Avx512Vnni,
    &[
        double::<Zmm>(&zmm::KERNELS),
        double::<Ymm<Evex>>(&ymm_evex::KERNELS),
        single::<Ymm<Evex>>(&single_evex::KERNELS),
    ],
);
/// Vectors, for what [`super::amx`] leaves to them.
pub(crate) static AMX: Tiles = Tiles::new(CpuLevel::Amx, AVX512VNNI.widths);
/// Blocks of AMX tiles that lie so.
pub(crate) static AMX_1X4: Tiles = Tiles { row_tiles: 1, ..AMX };
pub(crate) static AMX_2X2: Tiles = Tiles { row_tiles: 2, ..AMX };
pub(crate) static AMX_4X1: Tiles = Tiles { row_tiles: 4, ..AMX };
pub(crate) static AVXVNNI: Tiles = Tiles::new(
    CpuLevel::AvxVnni,
    &[double::<Ymm<Vex>>(&ymm_vex::KERNELS), single::<Ymm<Vex>>(&single_vex::KERNELS)],
);
pub(crate) static AVX2: Tiles = Tiles::new(
    CpuLevel::Avx2,
    &[double::<Ymm<Pairs>>(&ymm_pairs::KERNELS), single::<Ymm<Pairs>>(&single_pairs::KERNELS)],
);

/// All of them, whether this CPU can run them or not.
#[cfg(test)]
pub(super) fn all() -> Vec<&'static Tiles> {
    vec![&AVX512VNNI, &AVXVNNI, &AVX2]
}

/// Blocks of two registers.
const fn double<V: Vector>(kernels: &'static [TileKernel]) -> Width {
    Width {
        channels: 2 * V::LANES,
        products: V::PRODUCTS,
        shift: V::SHIFT,
        step_bytes: 2 * V::WEIGHT_BYTES,
        kernels,
        pack: pack_double::<V>,
        channel: |place| pair_channel(place / V::LANES, place % V::LANES),
    }
}

fn pack_double<V: Vector>(channel: usize, weights: [i8; 4], step: &mut [u8]) {
    // The inverse of `pair_channel`.
    let (v, lane) = (channel / 4 % 2, channel / 8 * 4 + channel % 4);
    V::pack_weights(lane, weights, &mut step[v * V::WEIGHT_BYTES..][..V::WEIGHT_BYTES]);
}

/// The channel in lane `i` of register `v` of two, such that packing needs no permutation.
pub(super) fn pair_channel(v: usize, i: usize) -> usize {
    8 * (i / 4) + 4 * v + i % 4
}

/// Blocks of one register, channels in their own order.
const fn single<V: Quarters>(kernels: &'static [TileKernel]) -> Width {
    Width {
        channels: V::LANES,
        products: V::PRODUCTS,
        shift: V::SHIFT,
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
    use super::*;

    fn widths() -> impl Iterator<Item = &'static Width> {
        all().into_iter().flat_map(|tiles| tiles.widths)
    }

    #[test]
    fn packing_puts_each_channel_where_its_bias_is() {
        for width in widths() {
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
}
