//! Pixels that lie side by side in the input, some at a time, with output channels in lanes: their sums stay in
//! registers. Where stride and kernel are of one size, the lanes are the channels of all columns that one input reaches.
#![allow(unsafe_code, reason = "vector loads and stores at computed addresses")]

use std::arch::x86_64::*;
use std::sync::Arc;

use tilemark_model::reference::Meetings;

use super::{Run, portable};
use crate::error::Error;
use crate::host::CpuLevel;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::vectorize::Vectorizer;
use crate::plan::{Layout, Lowering, Tiling};

/// Pixels of a block: twelve registers of sums, as many as AVX2 can spare.
const PIXELS: usize = 6;
/// Most lanes of a block: three of the widest registers.
const MAX_LANES: usize = 48;

/// Where there are fewer, pixels in lanes are faster: 0.6 of the time for one output channel and two columns.
const LEAST_LANES: usize = 4;

/// Kernels of one level.
pub(super) struct Blocks {
    level: CpuLevel,
    /// Blocks of so many lanes, for [`PIXELS`] pixels and for one, the widest first.
    kernels: &'static [(usize, BlockKernel, BlockKernel)],
}

pub(super) static AVX2: Blocks = Blocks {
    level: CpuLevel::Avx2,
    kernels: &[
        (16, avx2::<__m256, 2, PIXELS>, avx2::<__m256, 2, 1>),
        (8, avx2::<__m256, 1, PIXELS>, avx2::<__m256, 1, 1>),
        (4, avx2::<__m128, 1, PIXELS>, avx2::<__m128, 1, 1>),
    ],
};
pub(super) static AVX512: Blocks = Blocks {
    level: CpuLevel::Avx512Vnni,
    kernels: &[
        (48, avx512::<__m512, 3, PIXELS>, avx512::<__m512, 3, 1>),
        (32, avx512::<__m512, 2, PIXELS>, avx512::<__m512, 2, 1>),
        (16, avx512::<__m512, 1, PIXELS>, avx512::<__m512, 1, 1>),
        (8, avx512::<__m256, 1, PIXELS>, avx512::<__m256, 1, 1>),
        (4, avx512::<__m128, 1, PIXELS>, avx512::<__m128, 1, 1>),
    ],
};

struct ConvTranspose {
    weights: Arc<Weights>,
    /// For every output row the kernel's and the input's rows that meet there.
    rows: Meetings,
    runs: Vec<Wide>,
    blocks: &'static Blocks,
    /// Elements from one of the input's rows to the next, and channels.
    row: usize,
    channels: usize,
}

/// A run of which every output stands for some columns side by side: those of the kernel's next columns.
struct Wide {
    run: Run,
    width: usize,
}

struct Weights {
    /// Per input channel, row and column of the kernel: the outputs of its group. Zeros after the last.
    kernels: Vec<f32>,
    /// Rows and columns of the kernel.
    window: [usize; 2],
    /// Of every output channel; without groups again for each of the kernel's columns. Zeros after the last.
    bias: Vec<f32>,
    groups: usize,
    outputs: usize,
}

pub(super) fn build(step: &Lowering<'_>, blocks: &'static Blocks) -> Result<Planned, Error> {
    let (rows, runs) = super::meetings(step)?;
    let groups = super::groups(step);
    let weights = step.packed("conv_transpose/direct", || Weights::new(step, groups))?;
    let runs = runs.into_iter().map(|run| Wide { run, width: 1 });
    let runs = if groups == 1 { joined(runs) } else { runs.collect() };
    if runs.iter().all(|wide| wide.width * weights.outputs / groups < LEAST_LANES) {
        return portable::build(step, Vectorizer::new(blocks.level));
    }
    let x = &step.inputs[0];
    let (row, channels) = (x.row_stride() / size_of::<f32>(), x.grid.channels);
    let work = Box::new(ConvTranspose { weights, rows, runs, blocks, row, channels });
    Ok(Planned { work, tiling: Tiling::by_rows(step.output, step.macs) })
}

/// Makes one of runs that take one tap of the same inputs to columns side by side.
fn joined(runs: impl Iterator<Item = Wide>) -> Vec<Wide> {
    let mut joined: Vec<Wide> = Vec::new();
    for next in runs {
        let continues = |last: &&mut Wide| match (&last.run.taps[..], &next.run.taps[..]) {
            (&[(kernel, column)], &[(next_kernel, next_column)]) => {
                (kernel + last.width, column) == (next_kernel, next_column)
                    && last.run.outputs.len() == next.run.outputs.len()
                    && last.run.outputs.iter().zip(&next.run.outputs).all(|(a, b)| a + last.width == *b)
            }
            _ => false,
        };
        match joined.last_mut().filter(continues) {
            Some(last) => last.width += 1,
            None => joined.push(next),
        }
    }
    joined
}

impl Weights {
    /// From weights `[C, O / groups, rows, columns]`.
    fn new(step: &Lowering<'_>, groups: usize) -> Result<Self, Error> {
        let inconsistent = || Error::internal(&step.node.name, "has no constant weights");
        let weights = step.constant(1).ok_or_else(inconsistent)?;
        let &[inputs, group_outputs, rows, columns] = weights.shape() else { return Err(inconsistent()) };
        let (outputs, taps) = (group_outputs * groups, rows * columns);
        let reals = weights.as_f32()?;
        let mut kernels = Vec::with_capacity(reals.len() + MAX_LANES);
        for (input, tap) in (0..inputs).flat_map(|input| (0..taps).map(move |tap| (input, tap))) {
            kernels.extend((0..group_outputs).map(|o| reals[(input * group_outputs + o) * taps + tap]));
        }
        kernels.resize(reals.len() + MAX_LANES, 0.0);
        let bias = step.constant(2).map(|bias| Ok::<_, Error>(bias.as_f32()?.to_vec())).transpose()?;
        let mut bias =
            bias.unwrap_or_else(|| vec![0.0; outputs]).repeat(if groups == 1 { columns } else { 1 });
        bias.resize(bias.len() + MAX_LANES, 0.0);
        Ok(Self { kernels, window: [rows, columns], bias, groups, outputs })
    }
}

impl Work for ConvTranspose {
    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        let elements: &[f32] = bytemuck::cast_slice(x.bytes);
        for (image, row) in tile.region().clone().lines() {
            let x = &elements[first(x.layout, image)..];
            let y = bytemuck::cast_slice_mut(tile.row(image, row));
            for (run, group) in
                self.runs.iter().flat_map(|run| (0..self.weights.groups).map(move |g| (run, g)))
            {
                self.along(x, run, group, &self.rows[row], y);
            }
        }
        Ok(())
    }
}

/// Where the first element of an image lies.
fn first(layout: &Layout, image: usize) -> usize {
    layout.offset(image, 0, 0) / size_of::<f32>()
}

impl ConvTranspose {
    /// One group's outputs of a run, in one row `y`; `rows` meet there. `x` starts with the image's first element.
    fn along(&self, x: &[f32], wide: &Wide, group: usize, rows: &[(usize, usize)], y: &mut [f32]) {
        let Wide { run, width } = wide;
        let weights = &*self.weights;
        let [inputs, outputs] = [self.channels, weights.outputs].map(|n| n / weights.groups);
        let lanes = width * outputs;
        let last_row = rows.iter().map(|tap| tap.1).max().unwrap_or(0);
        let last_column = run.taps.iter().map(|tap| tap.1).max().unwrap_or(0) + run.outputs.len() - 1;
        if !rows.is_empty() && !run.taps.is_empty() {
            let last = last_row * self.row + (last_column + 1) * self.channels;
            assert!(last <= x.len(), "a transposed convolution reads {last} of {} elements", x.len());
        }
        let mut lane = 0;
        let mut sums = [0.0; PIXELS * MAX_LANES];
        while lane < lanes {
            let left = lanes - lane;
            // The narrowest block that holds what is left, else the widest.
            let blocks = self.blocks.kernels;
            let (size, many, one) = *blocks.iter().rfind(|block| block.0 >= left).unwrap_or(&blocks[0]);
            let at = |i: usize| run.outputs[i] * weights.outputs + group * outputs + lane;
            let mut pixel = 0;
            while pixel < run.outputs.len() {
                let rest = run.outputs.len() - pixel;
                // The last block overlaps the one before.
                let (kernel, count) = if run.outputs.len() < PIXELS { (one, 1) } else { (many, PIXELS) };
                let start = pixel - count.saturating_sub(rest);
                let job = Job {
                    x: &x[start.min(x.len() / self.channels) * self.channels..],
                    strides: [self.row, self.channels],
                    channels: [group * inputs, (group + 1) * inputs],
                    rows,
                    columns: &run.taps,
                    kernels: &weights.kernels,
                    window: weights.window,
                    outputs,
                    lane,
                    bias: &weights.bias[group * outputs + lane..],
                };
                // SAFETY: the level was picked for this CPU. The last element of the last pixel lies in `x` (checked
                // above). Taps are the kernel's own and as many zeros as a block has lanes follow the last weight and
                // bias. The sums have room for any block.
                unsafe { kernel(&job, sums.as_mut_ptr()) };
                for (i, sums) in sums.chunks_exact(size).take(count).enumerate() {
                    let n = left.min(size);
                    y[at(start + i)..][..n].copy_from_slice(&sums[..n]);
                }
                pixel = start + count;
            }
            lane += size;
        }
    }
}

/// A block of lanes of some pixels.
struct Job<'a> {
    /// From the first pixel's inputs in column 0 and row 0 of its taps.
    x: &'a [f32],
    /// Elements between rows and between pixels.
    strides: [usize; 2],
    /// First input channel of the group, and the one after its last.
    channels: [usize; 2],
    /// Rows and columns of the kernel, and of the image, that meet.
    rows: &'a [(usize, usize)],
    columns: &'a [(usize, usize)],
    kernels: &'a [f32],
    window: [usize; 2],
    /// Output channels of the group.
    outputs: usize,
    lane: usize,
    bias: &'a [f32],
}

/// Writes the sums of a block, pixel by pixel.
///
/// # Safety
/// The CPU has the level's features; every pixel's taps lie in `x`; weights and bias are readable for the block's lanes
/// from each tap's first; the sums are writable for all lanes of all pixels.
type BlockKernel = unsafe fn(job: &Job<'_>, sums: *mut f32);

/// A register of floats.
trait Floats: Copy {
    const LANES: usize;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// `self + x * weights`, rounded twice.
    unsafe fn add_product(self, x: f32, weights: Self) -> Self;
}

macro_rules! floats {
    ($register:ty, $lanes:literal, $load:ident, $store:ident, $splat:ident, $mul:ident, $add:ident) => {
        #[allow(
            clippy::undocumented_unsafe_blocks,
            reason = "only intrinsics; the contract of `BlockKernel`"
        )]
        impl Floats for $register {
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            unsafe fn add_product(self, x: f32, weights: Self) -> Self {
                unsafe { $add(self, $mul($splat(x), weights)) }
            }
        }
    };
}

floats!(__m128, 4, _mm_loadu_ps, _mm_storeu_ps, _mm_set1_ps, _mm_mul_ps, _mm_add_ps);
floats!(__m256, 8, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_mul_ps, _mm256_add_ps);
floats!(__m512, 16, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_mul_ps, _mm512_add_ps);

/// `M` pixels times `R` registers.
///
/// # Safety
/// As [`BlockKernel`].
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "unrolled before LLVM looks for registers")]
unsafe fn block<F: Floats, const R: usize, const M: usize>(job: &Job<'_>, to: *mut f32) {
    // SAFETY: the caller's duty.
    unsafe {
        let mut bias = [F::load(job.bias.as_ptr()); R];
        for (r, bias) in bias.iter_mut().enumerate() {
            *bias = F::load(job.bias.as_ptr().add(r * F::LANES));
        }
        let mut sums = [bias; M];
        if let (&[row], &[column]) = (job.rows, job.columns) {
            for channel in job.channels[0]..job.channels[1] {
                sums = add_tap(sums, job, channel, row, column);
            }
        } else {
            for channel in job.channels[0]..job.channels[1] {
                for &row in job.rows {
                    for &column in job.columns {
                        sums = add_tap(sums, job, channel, row, column);
                    }
                }
            }
        }
        for m in 0..M {
            for r in 0..R {
                sums[m][r].store(to.add((m * R + r) * F::LANES));
            }
        }
    }
}

/// Adds to all sums the products of one input channel with one tap: kernel's and input's row, then column. The sums come and
/// go by value and by constant places, so that they stay in registers.
///
/// # Safety
/// As [`BlockKernel`].
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "unrolled before LLVM looks for registers")]
unsafe fn add_tap<F: Floats, const R: usize, const M: usize>(
    mut sums: [[F; R]; M],
    job: &Job<'_>,
    channel: usize,
    (kernel_row, row): (usize, usize),
    (kernel_column, column): (usize, usize),
) -> [[F; R]; M] {
    let [row_stride, pixel_stride] = job.strides;
    let tap = (channel * job.window[0] + kernel_row) * job.window[1] + kernel_column;
    // SAFETY: the caller's duty.
    unsafe {
        let from = job.kernels.as_ptr().add(tap * job.outputs + job.lane);
        let x = job.x.as_ptr().add(row * row_stride + column * pixel_stride + channel);
        let mut weights = [F::load(from); R];
        for r in 1..R {
            weights[r] = F::load(from.add(r * F::LANES));
        }
        for m in 0..M {
            let x = *x.add(m * pixel_stride);
            for r in 0..R {
                sums[m][r] = sums[m][r].add_product(x, weights[r]);
            }
        }
    }
    sums
}

#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<F: Floats, const R: usize, const M: usize>(job: &Job<'_>, sums: *mut f32) {
    // SAFETY: the caller's duty.
    unsafe { block::<F, R, M>(job, sums) }
}

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl")]
unsafe fn avx512<F: Floats, const R: usize, const M: usize>(job: &Job<'_>, sums: *mut f32) {
    // SAFETY: the caller's duty.
    unsafe { block::<F, R, M>(job, sums) }
}
