//! Register tiles of the matrix product for AArch64: rows times four or two registers of channels.
//!
//! Sixteen bytes of every row are loaded at once and serve four steps: the products take a lane of them as it lies
//! (`sdot ... .4b[i]`), where a broadcast a step would be one instruction more for every two or four products. With 32
//! registers 5 rows of 16 channels: 20 sums, 5 rows, 4 of weights; or 8 rows of 8.
#![allow(unsafe_code, reason = "vector loads and stores at computed addresses")]

#[cfg(test)]
use std::arch::is_aarch64_feature_detected;

use super::tiles::{Job, MAX_ROWS, TileKernel, Tiles, Width, finish, kernels, words};
use crate::host::CpuLevel;
use crate::host::simd::Vector;
use crate::host::simd::aarch64::{Chunked, Flavour, Mull, Neon, Sdot, Usdot};

static PLAIN: Tiles = Tiles::new(
    CpuLevel::Neon,
    &[width::<Neon<Mull>, 4>(&mull_sixteen::KERNELS), width::<Neon<Mull>, 2>(&mull_eight::KERNELS)],
);
static DOTPROD: Tiles = Tiles::new(
    CpuLevel::Neon,
    &[width::<Neon<Sdot>, 4>(&sdot_sixteen::KERNELS), width::<Neon<Sdot>, 2>(&sdot_eight::KERNELS)],
);
static I8MM: Tiles = Tiles::new(
    CpuLevel::Neon,
    &[width::<Neon<Usdot>, 4>(&usdot_sixteen::KERNELS), width::<Neon<Usdot>, 2>(&usdot_eight::KERNELS)],
);

/// The tiles of this CPU's flavour.
pub(crate) fn tiles() -> &'static Tiles {
    match Flavour::detected() {
        Flavour::Plain => &PLAIN,
        Flavour::DotProd => &DOTPROD,
        Flavour::I8mm => &I8MM,
    }
}

/// Those that this CPU can run.
#[cfg(test)]
pub(super) fn all() -> Vec<&'static Tiles> {
    let needed = [
        (&PLAIN, true),
        (&DOTPROD, is_aarch64_feature_detected!("dotprod")),
        (&I8MM, is_aarch64_feature_detected!("i8mm")),
    ];
    needed.into_iter().filter_map(|(tiles, has)| has.then_some(tiles)).collect()
}

/// Blocks of `N` registers, channels in their own order.
const fn width<V: Vector, const N: usize>(kernels: &'static [TileKernel]) -> Width {
    Width {
        channels: N * V::LANES,
        products: V::PRODUCTS,
        shift: V::SHIFT,
        step_bytes: N * V::WEIGHT_BYTES,
        kernels,
        pack: |channel, weights, step| {
            let (register, lane) = (channel / V::LANES, channel % V::LANES);
            V::pack_weights(lane, weights, &mut step[register * V::WEIGHT_BYTES..][..V::WEIGHT_BYTES]);
        },
        channel: |place| place,
    }
}

/// A tile of `N` registers of channels: `$finish` rounds and writes.
macro_rules! tile {
    ($name:ident, $registers:literal, $finish:ident, $what:literal) => {
        #[doc = concat!("`M` rows times ", $what, " channels.")]
        ///
        /// # Safety
        /// As [`TileKernel`].
        #[inline(always)]
        unsafe fn $name<V: Chunked, const M: usize>(
            job: &Job<'_>,
            left: *const u8,
            rows: &[*mut u8; MAX_ROWS],
        ) {
            // SAFETY: the caller's duty.
            unsafe {
                let sums = sums::<V, M, $registers>(job, left);
                if job.rounding.is_plain {
                    $finish::<V, M, true>(job, &sums, rows);
                } else {
                    $finish::<V, M, false>(job, &sums, rows);
                }
            }
        }
    };
}

tile!(sixteen, 4, write, "16");
tile!(eight, 2, finish, "8");

/// Bias and products of `M` rows with `N` registers of channels.
///
/// # Safety
/// As [`TileKernel`].
#[inline(always)]
unsafe fn sums<V: Chunked, const M: usize, const N: usize>(
    job: &Job<'_>,
    left: *const u8,
) -> [[V::Int; N]; M] {
    // SAFETY: the pointers are good for what is read here (the caller's duty): a chunk is four steps. Features as well.
    unsafe {
        let mut bias = [V::ints(job.bias); N];
        for (i, register) in bias.iter_mut().enumerate() {
            *register = V::ints(job.bias.add(i * V::LANES));
        }
        let mut sums = [bias; M];
        let mut weights = job.weights;
        for &run in job.runs {
            let mut left = left.add(run * job.element);
            for _ in 0..job.steps / 4 {
                let mut chunks = [V::chunk(left); M];
                for (row, chunk) in chunks.iter_mut().enumerate().skip(1) {
                    *chunk = V::chunk(left.add(row * job.stride));
                }
                step::<V, M, N, 0>(&mut sums, &chunks, weights);
                step::<V, M, N, 1>(&mut sums, &chunks, weights);
                step::<V, M, N, 2>(&mut sums, &chunks, weights);
                step::<V, M, N, 3>(&mut sums, &chunks, weights);
                weights = weights.add(4 * N * V::WEIGHT_BYTES);
                left = left.add(16);
            }
            for _ in 0..job.steps % 4 {
                for (row, sums) in sums.iter_mut().enumerate() {
                    let bytes = V::prepare(V::splat(left.add(row * job.stride)));
                    for (i, sums) in sums.iter_mut().enumerate() {
                        *sums = V::dot(*sums, bytes, V::weights(weights.add(i * V::WEIGHT_BYTES)));
                    }
                }
                weights = weights.add(N * V::WEIGHT_BYTES);
                left = left.add(4);
            }
        }
        sums
    }
}

/// Adds the products of one of a chunk's four steps; `weights` are those of the first.
///
/// # Safety
/// As [`TileKernel`].
#[inline(always)]
unsafe fn step<V: Chunked, const M: usize, const N: usize, const STEP: usize>(
    sums: &mut [[V::Int; N]; M],
    chunks: &[V::Chunk; M],
    weights: *const u8,
) {
    // SAFETY: the caller's duty.
    unsafe {
        for i in 0..N {
            let register = V::weights(weights.add((STEP * N + i) * V::WEIGHT_BYTES));
            for (sums, &chunk) in sums.iter_mut().zip(chunks) {
                sums[i] = V::dot_step::<STEP>(sums[i], chunk, register);
            }
        }
    }
}

/// Rounds the sums of 16 channels and writes them row by row.
///
/// # Safety
/// As [`TileKernel`].
#[inline(always)]
unsafe fn write<V: Vector, const M: usize, const PLAIN: bool>(
    job: &Job<'_>,
    sums: &[[V::Int; 4]; M],
    rows: &[*mut u8; MAX_ROWS],
) {
    let rounding = &job.rounding;
    // SAFETY: the caller's duty.
    unsafe {
        let low = [V::floats(job.multipliers), V::floats(job.multipliers.add(V::LANES))];
        let high =
            [V::floats(job.multipliers.add(2 * V::LANES)), V::floats(job.multipliers.add(3 * V::LANES))];
        for (&[a, b, c, d], &row) in sums.iter().zip(rows) {
            let low = words::<V, PLAIN>([a, b], low, rounding);
            let high = words::<V, PLAIN>([c, d], high, rounding);
            V::store(row, V::pack::<PLAIN>([low, high], rounding), job.channels);
        }
    }
}

// Lower than the others: LLVM broadcasts the lanes of all four steps first, and from 4 rows on (6 of 8 channels) spills sums.
kernels!(mull_sixteen, sixteen, Neon<Mull>, "neon", r1 1, r2 2, r3 3);
kernels!(mull_eight, eight, Neon<Mull>, "neon", r1 1, r2 2, r3 3, r4 4, r5 5);
kernels!(sdot_sixteen, sixteen, Neon<Sdot>, "neon,dotprod", r1 1, r2 2, r3 3, r4 4, r5 5);
kernels!(sdot_eight, eight, Neon<Sdot>, "neon,dotprod", r1 1, r2 2, r3 3, r4 4, r5 5, r6 6, r7 7, r8 8);
kernels!(usdot_sixteen, sixteen, Neon<Usdot>, "neon,i8mm", r1 1, r2 2, r3 3, r4 4, r5 5);
kernels!(usdot_eight, eight, Neon<Usdot>, "neon,i8mm", r1 1, r2 2, r3 3, r4 4, r5 5, r6 6, r7 7, r8 8);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::simd::{CacheLine, Rounding};

    /// A number that depends on all three, from a multiplication's upper bits.
    fn noise(a: usize, b: usize, c: usize) -> u8 {
        ((a * 7919 + b * 104_729 + c * 1_299_709 + 17).wrapping_mul(0x9e37_79b9) >> 11) as u8
    }

    fn weight(channel: usize, run: usize, i: usize) -> i8 {
        match i % 10 {
            0 => -128,
            5 => 127,
            _ => noise(channel, run, i).cast_signed(),
        }
    }

    /// What the kernels write: two runs of `steps` steps, rows 3 bytes apart.
    fn product(width: &Width, rows: usize, steps: usize, x: &[u8]) -> Vec<u8> {
        let runs = [0, 9];
        let mut packed = vec![0; runs.len() * steps * width.step_bytes];
        for (i, step) in packed.chunks_exact_mut(width.step_bytes).enumerate() {
            for channel in 0..width.channels {
                let weights = [0, 1, 2, 3].map(|k| weight(channel, i / steps, 4 * (i % steps) + k));
                (width.pack)(channel, weights, step);
            }
        }
        let packed: Vec<CacheLine> = CacheLine::of(&packed).collect();
        let bias: Vec<i32> = (0..width.channels)
            .map(|channel| {
                let places = (0..runs.len()).flat_map(|run| (0..4 * steps).map(move |i| (run, i)));
                width.shift * places.map(|(run, i)| i32::from(weight(channel, run, i))).sum::<i32>()
            })
            .collect();
        let mut bytes = vec![0; rows * width.channels];
        let mut pointers = [std::ptr::null_mut(); MAX_ROWS];
        for (pointer, row) in pointers.iter_mut().zip(bytes.chunks_mut(width.channels)) {
            *pointer = row.as_mut_ptr();
        }
        let job = Job {
            stride: 3,
            runs: &runs,
            element: 1,
            steps,
            weights: packed.as_ptr().cast(),
            bias: bias.as_ptr(),
            multipliers: [SCALE; 16].as_ptr(),
            channels: width.channels,
            rounding: Rounding::new(0, 255, 128, false),
        };
        // SAFETY: `all` lists what this CPU can run; `x` has 16 bytes more than rows and runs reach; each row of the
        // output has room for a block's channels.
        unsafe { (width.kernels[rows - 1])(&job, x.as_ptr(), &pointers) };
        bytes
    }

    const SCALE: f32 = 0.000_61;

    #[test]
    fn lanes_and_steps_multiply_the_bytes_that_they_should() {
        let x: Vec<u8> =
            (0..256_usize).map(|i| if i.is_multiple_of(7) { 0 } else { noise(i, 3, 5) }).collect();
        for width in all().into_iter().flat_map(|tiles| tiles.widths) {
            for (rows, steps) in
                (1..=width.kernels.len()).flat_map(|rows| (1..12).map(move |steps| (rows, steps)))
            {
                let found = product(width, rows, steps, &x);
                for (i, &found) in found.iter().enumerate() {
                    let (row, channel) = (i / width.channels, i % width.channels);
                    let places = [0, 9]
                        .into_iter()
                        .enumerate()
                        .flat_map(|(run, at)| (0..4 * steps).map(move |i| (run, i, 3 * row + at + i)));
                    let sum: i32 = places
                        .map(|(run, i, at)| i32::from(x[at]) * i32::from(weight(channel, run, i)))
                        .sum();
                    let expected = tilemark_model::numerics::requantize(sum, SCALE, 128, 0, 255);
                    assert_eq!(
                        i32::from(found),
                        expected,
                        "row {row} of {rows}, channel {channel}, {steps} steps"
                    );
                }
            }
        }
    }
}
