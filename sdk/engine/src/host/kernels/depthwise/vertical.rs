//! Depthwise convolution by vertical interleaving: packed weights and the walk over strips.

use std::ops::Range;
use std::sync::Arc;

use super::MAX_TAPS;
use super::strip::{MAX_ROWS, Strip, StripKernel, Strips, Width};
use crate::error::Error;
use crate::host::kernels::conv::{Geometry, attributes, weights};
use crate::host::kernels::epilogue::Requant;
use crate::host::kernels::{Planned, Work};
use crate::host::memory::{Inputs, Tile};
use crate::host::simd::{self, CacheLine, Lookup, Rounding};
use crate::plan::{Layout, Lowering, Tiling};

/// Columns of the input that are interleaved at once where the window is not wider: they stay in the first cache.
const CHUNK_COLUMNS: usize = 40;
/// Multiply-accumulates worth a claim: 5 to 15 microseconds.
pub(super) const CLAIM: u64 = 400_000;
/// What the kernels named `large-claims` take at once.
pub(super) const LARGE_CLAIM: u64 = 4 * CLAIM;

/// How output rows share interleaved input rows.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sharing {
    /// Output rows of a block.
    rows: usize,
    /// Groups of four input rows that a block reads.
    quads: usize,
}

impl Sharing {
    /// The fewest quads per output row; of equals fewer rows, since their sums must fit the registers.
    fn new(kernel: usize, stride: usize, dilation: usize) -> Self {
        let sharing = |rows: usize| Self { rows, quads: ((rows - 1) * stride + kernel).div_ceil(4) };
        let alone = sharing(1);
        if dilation > 1 {
            return alone; // rows of a quad would not lie in the window of the next output
        }
        let mut best = alone;
        for next in [sharing(2), sharing(MAX_ROWS)] {
            // Every row of a block pays for every quad; interleaving is what is saved.
            if next.quads == alone.quads && (next.rows == 2 || next.quads > 1) {
                best = next;
            }
        }
        best
    }
}

struct Packed {
    weights: Vec<CacheLine>,
    strips: Vec<PackedStrip>,
    bias: Vec<i32>,
    multipliers: Vec<f32>,
    rounding: Rounding,
    table: Option<Lookup>,
}

struct PackedStrip {
    width: &'static Width,
    channels: Range<usize>,
    /// Neighbouring pixels that a register holds, if more than one.
    pixels: usize,
    /// Where its weights (in cache lines), bias and multipliers start.
    weights: usize,
    lanes: usize,
}

struct Depthwise {
    packed: Arc<Packed>,
    geometry: Geometry,
    sharing: Sharing,
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    /// Bytes between the input's rows and columns.
    input: [usize; 2],
    columns: usize,
    /// Outputs of a chunk.
    chunk: usize,
}

/// With claims of the usual size, weights packed under the kernel's own name.
pub(super) fn build(
    step: &Lowering<'_>,
    kernel: &'static str,
    strips: &'static Strips,
) -> Result<Planned, Error> {
    build_with(step, kernel, strips, CLAIM)
}

/// `packing` is the name of the kernel whose packed weights it shares; `claim` the multiply-accumulates of a tile.
pub(super) fn build_with(
    step: &Lowering<'_>,
    packing: &'static str,
    strips: &'static Strips,
    claim: u64,
) -> Result<Planned, Error> {
    let (conv, bounds) = attributes(step)?;
    let (weights, [outputs, _, height, width]) = weights(step)?;
    let window = &conv.window;
    let sharing = Sharing::new(height, window.strides[0], window.dilations[0]);
    let packed = step.packed(packing, || {
        let shape = Shape { outputs, kernel: [height, width], strides: window.strides, sharing };
        Ok(Packed::new(strips, weights, &shape, &Requant::new(step, bounds)?))
    })?;
    let x = &step.inputs[0];
    let is_folded = packed.strips.iter().any(|strip| strip.pixels > 1);
    if is_folded && !(x.is_dense() && step.output.is_dense()) {
        return Err(Error::internal(&step.node.name, "has several pixels in a register, which lie apart"));
    }
    let span = (width - 1) * window.dilations[1] + 1;
    let chunk = CHUNK_COLUMNS.saturating_sub(span) / window.strides[1] + 1;
    let work = Depthwise {
        packed,
        geometry: Geometry::new(window, x, &step.node.name)?,
        sharing,
        kernel: [height, width],
        strides: window.strides,
        dilations: window.dilations,
        input: [x.row_stride(), x.column_stride()],
        columns: step.output.grid.columns,
        chunk,
    };
    Ok(Planned {
        work: Box::new(work),
        tiling: tiling(step.output, step.macs, sharing, strips.widths[0].channels, claim),
    })
}

/// Row blocks where the image has many rows, else channels.
fn tiling(y: &Layout, macs: u64, sharing: Sharing, step: usize, claim: u64) -> Tiling {
    let grid = y.grid;
    let lines = (grid.images as u64).saturating_mul(grid.rows as u64).max(1);
    let rows = usize::try_from(claim / (macs / lines).max(1)).unwrap_or(usize::MAX);
    if rows < grid.rows && grid.rows >= 4 * sharing.rows {
        let blocks = grid.rows.div_ceil(rows.max(sharing.rows));
        return Tiling::new(y, grid.rows.div_ceil(blocks).next_multiple_of(sharing.rows), usize::MAX);
    }
    let parts = macs / (grid.images as u64).max(1) / claim;
    let parts = usize::try_from(parts).unwrap_or(usize::MAX).max(1);
    Tiling::new(y, usize::MAX, grid.channels.div_ceil(parts).next_multiple_of(step))
}

/// `0..rows` in blocks of 1, 2 or 4, at most `most`.
fn blocks(rows: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let next = move |start: usize| {
        let size = [4, 2, 1].into_iter().find(|&size| size <= most && start + size <= rows)?;
        Some(start..start + size)
    };
    std::iter::successors(next(0), move |block| next(block.end))
}

/// What packing needs to know of the window.
struct Shape {
    outputs: usize,
    kernel: [usize; 2],
    strides: [usize; 2],
    sharing: Sharing,
}

impl Shape {
    /// Registers of weights of a strip.
    fn registers(&self) -> usize {
        self.sharing.quads * self.kernel[1] * self.sharing.rows * 4
    }
}

/// The strips of a layer's channels: width, channels, and neighbouring pixels that a register holds.
fn parts(strips: &'static Strips, shape: &Shape) -> Vec<(&'static Width, Range<usize>, usize)> {
    let mut channels = 0..shape.outputs;
    // Where not even the narrowest register would be half full, one holds several pixels.
    let narrowest = strips.widths[strips.widths.len() - 1].channels;
    if shape.strides[1] == 1 && 2 * shape.outputs <= narrowest {
        let width = &strips.widths[0];
        return vec![(width, channels, width.channels / shape.outputs)];
    }
    let mut parts = Vec::new();
    while !channels.is_empty() {
        // The narrowest that suffices for what remains, else the widest.
        let fits = |width: &&Width| width.channels >= channels.len();
        let width = strips.widths.iter().rfind(fits).unwrap_or(&strips.widths[0]);
        let next = channels.end.min(channels.start + width.channels);
        parts.push((width, channels.start..next, 1));
        channels.start = next;
    }
    parts
}

impl Packed {
    fn new(strips: &'static Strips, weights: &[i8], shape: &Shape, requant: &Requant) -> Self {
        let mut packed = Self {
            weights: Vec::new(),
            strips: Vec::new(),
            bias: Vec::new(),
            multipliers: Vec::new(),
            rounding: requant.rounding(),
            table: requant.table().map(|table| Lookup::new(*table, strips.level)),
        };
        let parts = parts(strips, shape);
        // Exactly: vectors that grow by doubling would hold half as much again for as long as the process runs.
        let lines =
            parts.iter().map(|(width, ..)| CacheLine::count(shape.registers() * width.register)).sum();
        packed.weights.reserve_exact(lines);
        for (width, channels, pixels) in parts {
            packed.push(width, channels, pixels, weights, shape, requant);
        }
        packed
    }

    fn push(
        &mut self,
        width: &'static Width,
        channels: Range<usize>,
        pixels: usize,
        weights: &[i8],
        shape: &Shape,
        requant: &Requant,
    ) {
        let lanes = width.channels / 4;
        // The channels of a pixel may come several times.
        let channel = |v: usize, lane: usize| {
            let i = simd::channel(v, lane);
            if i < pixels * channels.len() { channels.start + i % channels.len() } else { usize::MAX }
        };
        let strip = PackedStrip {
            width,
            channels: channels.clone(),
            pixels,
            weights: self.weights.len(),
            lanes: self.bias.len(),
        };
        let [height, taps] = shape.kernel;
        for (v, lane) in (0..4).flat_map(|v| (0..lanes).map(move |lane| (v, lane))) {
            let channel = Some(channel(v, lane)).filter(|channel| channels.contains(channel));
            let (bias, multiplier) = requant.lane(channel, width.shift);
            self.bias.push(bias);
            self.multipliers.push(multiplier);
        }
        let rows = shape.sharing.rows;
        let mut bytes = vec![0u8; shape.registers() * width.register];
        for (i, register) in bytes.chunks_exact_mut(width.register).enumerate() {
            let (v, row, tap, quad) = (i % 4, i / 4 % rows, i / 4 / rows % taps, i / 4 / rows / taps);
            for lane in 0..lanes {
                let channel = channel(v, lane);
                let weight = |j: usize| match (4 * quad + j).checked_sub(row * shape.strides[0]) {
                    Some(ky) if ky < height && channels.contains(&channel) => {
                        weights[(channel * height + ky) * taps + tap]
                    }
                    _ => 0,
                };
                (width.pack)(lane, [weight(0), weight(1), weight(2), weight(3)], register);
            }
        }
        self.weights.extend(CacheLine::of(&bytes));
        self.strips.push(strip);
    }
}

impl Work for Depthwise {
    fn scratch_bytes(&self) -> usize {
        let columns = (self.chunk - 1) * self.strides[1] + (self.kernel[1] - 1) * self.dilations[1] + 1;
        self.sharing.quads.saturating_mul(columns).saturating_mul(4 * 64)
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        assert!(scratch.len() >= self.scratch_bytes());
        let x = inputs.view(0).bytes;
        let region = tile.region().clone();
        for image in region.images.clone() {
            for strip in &self.packed.strips {
                if region.channels.start <= strip.channels.start && strip.channels.end <= region.channels.end
                {
                    for rows in blocks(region.rows.len(), self.sharing.rows) {
                        self.block(x, strip, image, rows, tile, scratch);
                    }
                }
            }
        }
        if let Some(table) = &self.packed.table {
            tile.runs(|bytes| table.apply(bytes));
        }
        Ok(())
    }
}

impl Depthwise {
    /// One strip of one block of rows, which count from the tile's first row.
    #[allow(unsafe_code, reason = "calls the strips with checked pointers")]
    fn block(
        &self,
        x: &[u8],
        packed: &PackedStrip,
        image: usize,
        block: Range<usize>,
        tile: &mut Tile<'_>,
        scratch: &mut [u8],
    ) {
        let region = tile.region().clone();
        let channel = packed.channels.start - region.channels.start;
        let channels = packed.channels.len();
        let (first, rows) = (block.start, block.len());
        // The quads' rows below the block's last tap have no weights, but are read all the same.
        let last_tap = (rows - 1) * self.strides[0] + self.kernel[0] - 1;
        let start = self.geometry.first_tap(image, region.rows.start + first, 0) + packed.channels.start;
        let row = |i: usize| start + i.min(last_tap) * self.dilations[0] * self.input[0];
        let outputs = self.columns.div_ceil(packed.pixels);
        let last = (outputs - 1) * packed.pixels * self.strides[1] + (self.kernel[1] - 1) * self.dilations[1];
        let end = row(last_tap) + last * self.input[1] + packed.width.channels;
        assert!(end <= x.len(), "a window reads {end} of {} bytes", x.len());
        let raster = tile.raster(image);
        let kernel = self.kernel(packed, rows);
        let chunk = if packed.pixels > 1 { outputs } else { self.chunk };
        let mut pointers = [x.as_ptr(); MAX_TAPS];
        let quads = &mut pointers[..4 * self.sharing.quads];
        for from in (0..outputs).step_by(chunk) {
            let column = from * self.strides[1] * self.input[1];
            for (i, pointer) in quads.iter_mut().enumerate() {
                *pointer = x[row(i) + column..].as_ptr();
            }
            let mut first_outputs = [std::ptr::null_mut(); MAX_ROWS];
            for (i, output) in first_outputs.iter_mut().take(rows).enumerate() {
                raster.pixels([first + i, from, channel], channels, std::slice::from_mut(output));
            }
            let strip = Strip {
                rows: quads,
                columns: [packed.pixels * self.input[1], packed.pixels * raster.column_stride()],
                tap: self.dilations[1] * self.input[1],
                count: chunk.min(outputs - from),
                stride: self.strides[1],
                taps: [self.kernel[1], self.dilations[1]],
                weights: self.packed.weights[packed.weights..].as_ptr().cast(),
                packed_rows: self.sharing.rows,
                bias: self.packed.bias[packed.lanes..].as_ptr(),
                multipliers: self.packed.multipliers[packed.lanes..].as_ptr(),
                scratch: scratch.as_mut_ptr(),
                outputs: first_outputs,
                channels: packed.pixels * channels,
                last: (self.columns - (outputs - 1) * packed.pixels) * channels,
                rounding: self.packed.rounding,
            };
            // SAFETY: the level was picked for this CPU. The last byte that any row reads lies in `x` (checked above), and
            // rows and columns grow. The outputs lie in the tile's rows, all of whose columns are the tile's. The
            // scratch was measured by the same chunk; weights, bias and multipliers are those of a whole strip.
            unsafe { kernel(&strip) };
        }
    }

    fn kernel(&self, packed: &PackedStrip, rows: usize) -> StripKernel {
        let width = packed.width;
        let i = rows.trailing_zeros() as usize; // 1, 2 or 4 rows
        if packed.pixels > 1 {
            return width.folded[i];
        }
        let [stride, dilation] = [self.strides[1], self.dilations[1]];
        let is_three = self.kernel[1] == 3 && dilation == 1 && stride <= 2 && self.sharing.quads == 1;
        if is_three && rows <= 2 { width.three[i][stride - 1] } else { width.any[i] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_share_quads_where_that_costs_no_products() {
        let found = |kernel, stride, dilation| {
            let Sharing { rows, quads } = Sharing::new(kernel, stride, dilation);
            (rows, quads)
        };
        assert_eq!(found(3, 1, 1), (2, 1));
        assert_eq!(found(3, 2, 1), (1, 1));
        assert_eq!(found(5, 1, 1), (4, 2));
        assert_eq!(found(5, 2, 1), (2, 2));
        assert_eq!(found(7, 1, 1), (2, 2));
        assert_eq!(found(3, 1, 2), (1, 1));
        assert_eq!(found(128, 1, 1), (1, 32));
    }
}
