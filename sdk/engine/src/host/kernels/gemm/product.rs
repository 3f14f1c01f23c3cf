//! Packed weights and the walk over register tiles.
//!
//! Within a claimed tile the blocks of channels are the outer loop: a block's weights stay in the first cache while the
//! rows of the left matrix pass. Rows are cut evenly: 49 rows become 13 + 12 + 12 + 12, not 14 + 14 + 14 + 7.
#![allow(unsafe_code, reason = "calls the register tiles with checked pointers")]

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use super::amx::TileProduct;
use super::tiles::{Job, MAX_ROWS, Tiles, Width};
use crate::host::CpuLevel;
use crate::host::kernels::epilogue::Requant;
use crate::host::memory::Tile;
use crate::host::pages::{Lines, Pool};
use crate::host::simd::{CacheLine, Lookup, Rounding, widen};
use crate::plan::{Layout, Tiling};

/// Weights with their epilogue, packed for one level.
#[derive(Debug)]
pub(crate) struct Product {
    body: Body,
    table: Option<Lookup>,
}

/// What multiplies and rounds.
#[derive(Debug)]
enum Body {
    Vectors(VectorProduct),
    #[cfg(target_arch = "x86_64")]
    Tiles(TileProduct),
}

/// Weights packed for the registers of one level.
#[derive(Debug)]
struct VectorProduct {
    weights: Lines,
    blocks: Vec<Block>,
    /// Bias with the input's zero point folded in, and multipliers, in the order of each block's lanes.
    bias: Vec<i32>,
    multipliers: Vec<f32>,
    rounding: Rounding,
    /// Steps of four bytes in a run.
    steps: usize,
    /// Bytes of an element of the left matrix; 2 if it must be widened.
    element: usize,
}

/// Some output channels of one group.
#[derive(Debug)]
struct Block {
    width: &'static Width,
    group: usize,
    channels: Range<usize>,
    /// Where its weights start, in cache lines.
    weights: usize,
    /// Where its bias and multipliers start.
    lanes: usize,
}

/// The weights of a product, in the order in which an image's bytes lie: `weight(output, run, i)`.
pub(crate) struct Weights<F> {
    pub(crate) outputs: usize,
    pub(crate) groups: usize,
    pub(crate) runs: usize,
    /// Products of each run.
    pub(crate) length: usize,
    pub(crate) weight: F,
}

/// The blocks of a product's output channels: width, group and channels of each.
fn parts(tiles: &'static Tiles, outputs: usize, groups: usize) -> Vec<(&'static Width, usize, Range<usize>)> {
    let (per_group, mut parts) = (outputs / groups, Vec::new());
    for group in 0..groups {
        let mut channels = group * per_group..(group + 1) * per_group;
        while !channels.is_empty() {
            let width = tiles.width(channels.len());
            let next = channels.end.min(channels.start + width.channels);
            parts.push((width, group, channels.start..next));
            channels.start = next;
        }
    }
    parts
}

impl Product {
    /// Packs weights for `tiles`, into `pool`.
    pub(crate) fn new<F: Fn(usize, usize, usize) -> i8>(
        tiles: &'static Tiles,
        weights: &Weights<F>,
        requant: &Requant,
        pool: &Pool,
    ) -> Self {
        let body = match tiles.level {
            #[cfg(target_arch = "x86_64")]
            CpuLevel::Amx => Body::Tiles(TileProduct::new(tiles.row_tiles, weights, requant, pool)),
            _ => Body::Vectors(VectorProduct::new(tiles, weights, requant, pool)),
        };
        Self { body, table: requant.table().map(|table| Lookup::new(*table, tiles.level)) }
    }

    /// Bytes of scratch for tiles of at most `rows` rows.
    pub(crate) fn scratch_bytes(&self, left: &Left<'_>, rows: usize) -> usize {
        match &self.body {
            Body::Vectors(product) => product.scratch_bytes(left, rows),
            #[cfg(target_arch = "x86_64")]
            Body::Tiles(_) => 0,
        }
    }

    /// Computes `tile`, whose channels start at a block's first and hold whole blocks.
    ///
    /// # Panics
    /// If `left` names bytes beyond `x`, or the scratch is too short.
    pub(crate) fn run(&self, x: &[u8], left: &Left<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) {
        let region = tile.region().clone();
        for image in region.images {
            let x = &x[left.first + image * left.image + region.rows.start * left.row..];
            match &self.body {
                Body::Vectors(product) => product.run(x, left, image, tile, scratch),
                #[cfg(target_arch = "x86_64")]
                Body::Tiles(product) => product.run(x, left, image, tile),
            }
        }
        if let Some(table) = &self.table {
            tile.runs(|bytes| table.apply(bytes));
        }
    }
}

impl VectorProduct {
    fn new<F: Fn(usize, usize, usize) -> i8>(
        tiles: &'static Tiles,
        weights: &Weights<F>,
        requant: &Requant,
        pool: &Pool,
    ) -> Self {
        let mut product = Self {
            weights: Lines::none(),
            blocks: Vec::new(),
            bias: Vec::new(),
            multipliers: Vec::new(),
            rounding: requant.rounding(),
            steps: weights.length.div_ceil(tiles.widths[0].products),
            element: 4 / tiles.widths[0].products,
        };
        let parts = parts(tiles, weights.outputs, weights.groups);
        // Exactly: vectors that grow by doubling would hold half as much again for as long as the process runs.
        let bytes = |width: &Width| weights.runs * product.steps * width.step_bytes;
        let lines = parts.iter().map(|(width, ..)| CacheLine::count(bytes(width))).sum();
        let mut packed = Vec::with_capacity(lines);
        for (width, group, channels) in parts {
            product.push(width, group, channels, weights, requant, &mut packed);
        }
        product.weights = pool.place(packed);
        product
    }

    fn push<F: Fn(usize, usize, usize) -> i8>(
        &mut self,
        width: &'static Width,
        group: usize,
        channels: Range<usize>,
        weights: &Weights<F>,
        requant: &Requant,
        lines: &mut Vec<CacheLine>,
    ) {
        let lanes = (0..width.channels).map(|place| channels.start + (width.channel)(place));
        let block =
            Block { width, group, channels: channels.clone(), weights: lines.len(), lanes: self.bias.len() };
        for channel in lanes {
            let channel = Some(channel).filter(|channel| channels.contains(channel));
            let (bias, multiplier) = requant.lane(channel, width.shift);
            self.bias.push(bias);
            self.multipliers.push(multiplier);
        }
        let bytes = weights.runs * self.steps * width.step_bytes;
        let mut packed: Vec<u8> = vec![0; bytes];
        for (i, step) in packed.chunks_exact_mut(width.step_bytes).enumerate() {
            let (run, first) = (i / self.steps, i % self.steps * width.products);
            for (j, channel) in channels.clone().enumerate() {
                let weight = |k: usize| {
                    if first + k < weights.length { (weights.weight)(channel, run, first + k) } else { 0 }
                };
                (width.pack)(j, [weight(0), weight(1), weight(2), weight(3)], step);
            }
        }
        lines.extend(CacheLine::of(&packed));
        self.blocks.push(block);
    }

    fn scratch_bytes(&self, left: &Left<'_>, rows: usize) -> usize {
        if self.element == 1 { 0 } else { left.span(rows).saturating_add(SPARE).saturating_mul(self.element) }
    }

    /// One image of a tile. `x` starts with the first element that the tile's rows read.
    fn run<'a>(
        &self,
        mut x: &'a [u8],
        left: &Left<'_>,
        image: usize,
        tile: &mut Tile<'_>,
        scratch: &'a mut [u8],
    ) {
        let region = tile.region().clone();
        if self.element == 2 {
            let end = x.len().min(left.span(region.rows.len()) + SPARE);
            let words: &mut [u16] = bytemuck::cast_slice_mut(&mut *scratch);
            // SAFETY: this element's width is that of AVX2's tiles only.
            unsafe { widen(&x[..end], &mut words[..end]) };
            x = &scratch[..2 * end];
        }
        for block in &self.blocks {
            if region.channels.start <= block.channels.start && block.channels.end <= region.channels.end {
                self.block(x, left, block, image, tile);
            }
        }
    }

    /// `x` starts with the first element that the tile's rows of `image` read.
    fn block(&self, x: &[u8], left: &Left<'_>, block: &Block, image: usize, tile: &mut Tile<'_>) {
        let region = tile.region().clone();
        let job = Job {
            stride: left.column * self.element,
            runs: left.runs,
            element: self.element,
            steps: self.steps,
            weights: self.weights[block.weights..].as_ptr().cast(),
            bias: self.bias[block.lanes..].as_ptr(),
            multipliers: self.multipliers[block.lanes..].as_ptr(),
            channels: block.channels.len(),
            rounding: self.rounding,
        };
        let raster = tile.raster(image);
        let channel = block.channels.start - region.channels.start;
        let (lines, count) = left.lines(region.rows.len());
        for line in 0..lines {
            let first = line * left.row + block.group * left.group;
            let last = first + (count - 1) * left.column + left.last_run();
            let end = last * self.element + 4 * self.steps;
            assert!(end <= x.len(), "a product reads {end} of {} bytes", x.len());
            let mut pixel = [line, 0];
            for rows in even_parts(count, block.width.kernels.len()) {
                let mut outputs = [std::ptr::null_mut(); MAX_ROWS];
                raster.run(&mut pixel, channel, block.channels.len(), &mut outputs[..rows.len()]);
                let kernel = block.width.kernels[rows.len() - 1];
                let at = (first + rows.start * left.column) * self.element;
                // SAFETY: the level was picked for this CPU. The last byte of the last row lies in `x` (checked above),
                // and rows and runs grow. Outputs were checked by the raster. The block's weights are whole.
                unsafe { kernel(&job, x.as_ptr().add(at), &outputs) };
            }
        }
    }
}

/// Elements beyond the last that a run of words may touch, rounded up.
const SPARE: usize = 16;

/// Where the rows of the left matrix lie in an image: offsets in bytes.
pub(crate) struct Left<'a> {
    /// Of the first run of the first output.
    pub(crate) first: usize,
    /// Between images, between rows and between columns of outputs.
    pub(crate) image: usize,
    pub(crate) row: usize,
    pub(crate) column: usize,
    /// Outputs of a row.
    pub(crate) columns: usize,
    /// Groups, and bytes between them.
    pub(crate) groups: usize,
    pub(crate) group: usize,
    /// Of the runs, from the first.
    pub(crate) runs: &'a [usize],
    /// Bytes of a run.
    pub(crate) length: usize,
}

impl Left<'_> {
    /// How many lines of outputs that lie equally far apart `rows` rows make, and how many outputs each has: all in one
    /// where a row's last output and the next row's first are as far apart as neighbours are.
    pub(super) fn lines(&self, rows: usize) -> (usize, usize) {
        if self.row == self.column * self.columns { (1, rows * self.columns) } else { (rows, self.columns) }
    }

    pub(super) fn last_run(&self) -> usize {
        self.runs.iter().copied().max().unwrap_or(0)
    }

    /// Bytes from the first to the last that some rows of outputs read.
    fn span(&self, rows: usize) -> usize {
        let last = (rows - 1) * self.row + (self.columns - 1) * self.column + (self.groups - 1) * self.group;
        last + self.last_run() + self.length
    }
}

/// Multiply-accumulates worth a claim: some 5 microseconds with AVX512-VNNI, 15 with AVX2. Claims of 20 microseconds are no
/// faster on one thread, and leave a second one idle in half of a small network's layers.
pub(crate) const CLAIM: u64 = 1_200_000;
/// What kernels named `small-claims` and `large-claims` take at once: more tiles for several threads to share, or fewer
/// reads of the image (AVX2 widens it anew for every tile).
pub(crate) const SMALL_CLAIM: u64 = CLAIM / 4;
pub(crate) const LARGE_CLAIM: u64 = CLAIM * 4;
/// Channels of a whole block of AMX.
pub(super) const AMX_BLOCK: usize = 64;
/// How much more tiles of AMX take at once, which are 8 times as fast.
const AMX_CLAIMS: u64 = 8;
/// Rows of the left matrix that a tile should have, where the image has them: each block's weights serve them all.
const TILE_ROWS: usize = 4 * MAX_ROWS;

/// Cuts an output into tiles of some `claim` multiply-accumulates for [`Product::run`].
pub(crate) fn tiling(
    layout: &Layout,
    macs: u64,
    tiles: &Tiles,
    may_cut_channels: bool,
    claim: u64,
) -> Tiling {
    let step = if tiles.level == CpuLevel::Amx { AMX_BLOCK } else { tiles.widths[0].channels };
    let tile_macs = if tiles.level == CpuLevel::Amx { AMX_CLAIMS * claim } else { claim };
    let grid = layout.grid;
    let lines = (grid.images as u64 * grid.rows as u64).max(1);
    let least = TILE_ROWS.div_ceil(grid.columns.max(1)).min(grid.rows.max(1));
    let by_work = usize::try_from(tile_macs / (macs / lines).max(1)).unwrap_or(usize::MAX);
    let rows = by_work.max(least).min(grid.rows.max(1));
    let blocks = grid.rows.max(1).div_ceil(rows);
    let rows = grid.rows.max(1).div_ceil(blocks);
    let parts = macs / lines * rows as u64 / tile_macs;
    let parts = usize::try_from(parts).unwrap_or(usize::MAX).max(1);
    let channels = if may_cut_channels {
        grid.channels.div_ceil(parts).next_multiple_of(step).max(2 * step)
    } else {
        usize::MAX
    };
    Tiling::new(layout, rows, channels)
}

/// `0..count` in as few parts of at most `most` as possible, their lengths within one of each other.
fn even_parts(count: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = count.div_ceil(most);
    let (length, longer) = (count / parts.max(1), count % parts.max(1));
    (0..parts).map(move |i| {
        let start = i * length + i.min(longer);
        start..start + length + usize::from(i < longer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_even_and_cover_everything() {
        for count in 0..100 {
            for most in 1..=MAX_ROWS {
                let parts: Vec<_> = even_parts(count, most).collect();
                let lengths: Vec<usize> = parts.iter().map(Range::len).collect();
                assert_eq!(
                    parts.iter().cloned().flatten().collect::<Vec<_>>(),
                    (0..count).collect::<Vec<_>>()
                );
                assert!(lengths.iter().all(|&n| n <= most));
                assert!(lengths.iter().max().unwrap_or(&0) - lengths.iter().min().unwrap_or(&0) <= 1);
            }
        }
    }
}
