//! Portable depthwise convolution, eight channels at a time in f32 (exact: see `gemm/scalar.rs`).
//!
//! The rows that a tile needs are widened once into scratch, `[row][column][8 channels]`, then each output adds its
//! taps. Four neighbouring pixels share the loaded weights.

use std::sync::Arc;

use tilemark_model::graph::Window;

use crate::error::Error;
use crate::host::kernels::conv::{Geometry, attributes, weights};
use crate::host::kernels::epilogue::{LANES, Requant, nearest};
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::plan::{Lowering, Tiling};

/// Pixels of one register tile.
const PIXELS: usize = 4;
/// Channels of one tile: eight register blocks, so that a tile's output runs are whole cache lines.
const TILE_CHANNELS: usize = 64;

type Lanes = [f32; LANES];

struct Packed {
    /// `[channel block][tap]`.
    weights: Vec<Lanes>,
    requant: Requant,
}

struct Depthwise {
    packed: Arc<Packed>,
    geometry: Geometry,
    window: Window,
    /// Output columns, and the input columns that they need.
    columns: [usize; 2],
    /// Output rows of a tile, and the input rows that they need.
    rows: [usize; 2],
    /// Bytes between the input's rows and columns.
    stride: [usize; 2],
    /// Offset of every tap from the first, in blocks of scratch.
    taps: Vec<usize>,
}

pub(super) fn build(step: &Lowering<'_>) -> Result<Planned, Error> {
    let (conv, bounds) = attributes(step)?;
    let (weights, [outputs, _, height, width]) = weights(step)?;
    let packed = step.packed("depthwise/scalar", || {
        let taps = height * width;
        let lane = |channel: usize, tap| {
            if channel < outputs { f32::from(weights[channel * taps + tap]) } else { 0.0 }
        };
        let block = |first: usize| (0..taps).map(move |tap| std::array::from_fn(|i| lane(first + i, tap)));
        let weights = (0..outputs).step_by(LANES).flat_map(block).collect();
        Ok(Packed { weights, requant: Requant::new(step, bounds)? })
    })?;
    let (x, y, window) = (&step.inputs[0], step.output, &conv.window);
    let channels = TILE_CHANNELS.min(y.grid.channels.next_multiple_of(LANES));
    // Rows as for a value of only these channels: shorter rows of work, so more of them, so less widened twice.
    let share = step.macs / (y.grid.channels.div_ceil(channels) as u64).max(1);
    let rows = Tiling::by_rows(y, share).region(0).rows.len();
    let tiling = Tiling::new(y, rows, channels);
    let needed = |axis: usize, outputs: usize| {
        (outputs - 1) * window.strides[axis] + (window.kernel[axis] - 1) * window.dilations[axis] + 1
    };
    let columns = [y.grid.columns, needed(1, y.grid.columns)];
    let tap = |ky: usize, kx: usize| ky * window.dilations[0] * columns[1] + kx * window.dilations[1];
    let work = Box::new(Depthwise {
        packed,
        geometry: Geometry::new(window, x, &step.node.name)?,
        columns,
        rows: [rows, needed(0, rows)],
        stride: [x.row_stride(), x.column_stride()],
        taps: (0..height).flat_map(|ky| (0..width).map(move |kx| tap(ky, kx))).collect(),
        window: window.clone(),
    });
    Ok(Planned { work, tiling })
}

impl Work for Depthwise {
    fn scratch_bytes(&self) -> usize {
        let blocks = self.rows[1].saturating_mul(self.columns[1]);
        let sums = self.rows[0] * self.columns[0] * TILE_CHANNELS;
        blocks.saturating_mul(size_of::<Lanes>()).saturating_add(sums.saturating_mul(size_of::<i32>()))
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        let x = inputs.view(0);
        let blocks = self.rows[1] * self.columns[1];
        let (wide, sums) = scratch.split_at_mut(blocks * size_of::<Lanes>());
        let sums: &mut [i32] = bytemuck::cast_slice_mut(sums);
        let wide = bytemuck::cast_slice_mut::<u8, f32>(wide).as_chunks_mut::<LANES>().0;
        let region = tile.region().clone();
        let rows = region.rows.len();
        let needed =
            (rows - 1) * self.window.strides[0] + self.rows[1] - (self.rows[0] - 1) * self.window.strides[0];
        for image in region.images.clone() {
            let first = self.geometry.first_tap(image, region.rows.start, 0);
            for channel in region.channels.clone().step_by(LANES) {
                let lanes = LANES.min(region.channels.end - channel);
                for (row, line) in wide.chunks_exact_mut(self.columns[1]).take(needed).enumerate() {
                    let bytes = &x.bytes[first + row * self.stride[0] + channel..];
                    widen(bytes, self.stride[1], lanes, line);
                }
                self.block(wide, channel / LANES, rows, &mut sums[channel - region.channels.start..]);
            }
            for (i, sums) in sums.chunks_exact(TILE_CHANNELS).take(rows * self.columns[0]).enumerate() {
                let (row, column) = (region.rows.start + i / self.columns[0], i % self.columns[0]);
                self.packed.requant.finish(sums, region.channels.start, tile.pixel(image, row, column));
            }
        }
        Ok(())
    }
}

impl Depthwise {
    /// One block of channels of `rows` output rows; `sums` has [`TILE_CHANNELS`] per pixel.
    fn block(&self, wide: &[Lanes], block: usize, rows: usize, sums: &mut [i32]) {
        let weights = &self.packed.weights[block * self.taps.len()..][..self.taps.len()];
        let [columns, _] = self.columns;
        let [down, across] = self.window.strides;
        for row in 0..rows {
            let line = &wide[row * down * self.columns[1]..];
            let sums = &mut sums[row * columns * TILE_CHANNELS..];
            let mut column = 0;
            while column + PIXELS <= columns {
                let pixels = add_taps::<PIXELS>(&line[column * across..], across, &self.taps, weights);
                store(&pixels, &mut sums[column * TILE_CHANNELS..]);
                column += PIXELS;
            }
            while column < columns {
                let pixels = add_taps::<1>(&line[column * across..], across, &self.taps, weights);
                store(&pixels, &mut sums[column * TILE_CHANNELS..]);
                column += 1;
            }
        }
    }
}

/// The sums of neighbouring pixels as integers.
#[inline(always)]
fn store(pixels: &[Lanes], sums: &mut [i32]) {
    for (i, pixel) in pixels.iter().enumerate() {
        for (sum, &float) in sums[i * TILE_CHANNELS..][..LANES].iter_mut().zip(pixel) {
            *sum = nearest(float);
        }
    }
}

/// The sums of `P` outputs that lie `step` blocks apart.
#[inline(never)] // inlined, its register tile would compete with the caller's variables
fn add_taps<const P: usize>(x: &[Lanes], step: usize, taps: &[usize], weights: &[Lanes]) -> [Lanes; P] {
    let mut sums = [[0f32; LANES]; P];
    for (&tap, weights) in taps.iter().zip(weights) {
        for (i, sum) in sums.iter_mut().enumerate() {
            let x = &x[tap + i * step];
            for lane in 0..LANES {
                sum[lane] += x[lane] * weights[lane];
            }
        }
    }
    sums
}

/// One row of pixels that lie `stride` bytes apart; lanes beyond the channels become zero.
fn widen(bytes: &[u8], stride: usize, lanes: usize, line: &mut [Lanes]) {
    if lanes == LANES {
        for (wide, pixel) in line.iter_mut().zip(bytes.chunks(stride)) {
            if let Some(pixel) = pixel.first_chunk::<LANES>() {
                *wide = pixel.map(f32::from);
            }
        }
        return;
    }
    for (wide, pixel) in line.iter_mut().zip(bytes.chunks(stride)) {
        *wide = std::array::from_fn(|i| if i < lanes { f32::from(pixel[i]) } else { 0.0 });
    }
}
