//! The matrix product by AMX tiles: 16 rows of 64 bytes of the image times 64 bytes of 16 channels, 16,384 products an
//! instruction.
//!
//! The left matrix is the image itself, as for [`super::product`]: a tile is some neighbouring outputs, whose rows lie
//! equally far apart, and every 64 bytes of each run are a step. All tiles of a claim have as many rows, since the
//! unit is configured for them; the last tile of a line begins earlier instead of being shorter, and writes only
//! what no tile before it has written.
#![allow(unsafe_code, reason = "calls the tile unit with checked pointers")]

use std::ops::Range;

use super::product::{AMX_BLOCK as BLOCK, Left, Weights};
use super::tiles;
use super::x86::pair_channel;
use crate::host::amx::tiles::{Configured, MAX_ROWS, ROW_BYTES, Shape};
use crate::host::kernels::epilogue::Requant;
use crate::host::memory::{Raster, Tile};
use crate::host::pages::{Lines, Pool};
use crate::host::simd::x86::Zmm;
use crate::host::simd::{self, CacheLine, Rounding, Vector};

/// Channels of a tile.
const LANES: usize = 16;
/// Bytes of a tile of weights.
const TILE_BYTES: usize = 16 * ROW_BYTES;
/// Rows that the largest shape has.
const MOST_ROWS: usize = 4 * MAX_ROWS;

/// Products of a sum from which 1 x 4 tiles lose: they read all of a block's weights for 16 rows.
const LONG_SUM: usize = 512;
/// Products of a sum up to which a window's weights, of 16 channels, stay in the first cache.
const LONG_WINDOW: usize = 1152;
/// A sum of so few products is left to vectors: most of every tile would be empty.
const SHORT_SUM: usize = 24;
/// As are lines of so few outputs: a tile of 4 rows takes more than half the time of one of 16.
const SHORT_LINE: usize = 4;
/// Steps of 64 may be that many times as long as what they hold.
const MOST_WASTE: usize = 4;

/// Weights packed into tiles.
#[derive(Debug)]
pub(crate) struct TileProduct {
    weights: Lines,
    blocks: Vec<Block>,
    /// Bias with the input's zero point folded in, and multipliers, in the order of each block's lanes.
    bias: Vec<i32>,
    multipliers: Vec<f32>,
    rounding: Rounding,
    /// Steps of 64 bytes in a run.
    steps: usize,
}

/// 64 channels, or the 32 or fewer that remain.
#[derive(Debug)]
struct Block {
    shape: Shape,
    /// Tiles of 16 channels: 4 or 2.
    tiles: usize,
    channels: Range<usize>,
    /// Where its weights start, in cache lines.
    weights: usize,
    /// Where its bias and multipliers start.
    lanes: usize,
}

impl TileProduct {
    /// Whether tiles are worth it for what `left` says and images of `rows` rows of outputs.
    pub(crate) fn pays(left: &Left<'_>, rows: usize) -> bool {
        let (lines, count) = left.lines(rows);
        let useful = left.runs.len() * left.length;
        let padded = left.runs.len() * left.length.next_multiple_of(ROW_BYTES);
        left.groups == 1
            && lines * count >= MAX_ROWS
            && count >= SHORT_LINE
            && useful > SHORT_SUM
            && padded <= MOST_WASTE * useful
    }

    /// Packs the weights of a product without groups, for blocks of 1, 2 or 4 row tiles; for 0 their length decides.
    pub(crate) fn new<F: Fn(usize, usize, usize) -> i8>(
        row_tiles: usize,
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
            steps: weights.length.div_ceil(ROW_BYTES),
        };
        let (mut start, mut packed) = (0, Vec::new());
        while start < weights.outputs {
            let tiles = if weights.outputs - start <= BLOCK / 2 { 2 } else { 4 };
            let end = weights.outputs.min(start + tiles * LANES);
            let shape = match row_tiles {
                1 if tiles == 4 => Shape::OneByFour,
                4 => Shape::FourByOne,
                0 => shape(tiles, weights.runs, weights.length),
                _ => Shape::TwoByTwo,
            };
            product.push(shape, tiles, start..end, weights, requant, &mut packed);
            start = end;
        }
        product.weights = pool.place(packed);
        product
    }

    fn push<F: Fn(usize, usize, usize) -> i8>(
        &mut self,
        shape: Shape,
        tiles: usize,
        channels: Range<usize>,
        weights: &Weights<F>,
        requant: &Requant,
        packed: &mut Vec<CacheLine>,
    ) {
        let (lines, lanes) = (packed.len(), self.bias.len());
        for place in 0..tiles * LANES {
            let channel = channels.start + channel(tiles, place / LANES, place % LANES);
            let (bias, multiplier) =
                requant.lane(Some(channel).filter(|channel| channels.contains(channel)), 0);
            self.bias.push(bias);
            self.multipliers.push(multiplier);
        }
        for first in (0..tiles).step_by(shape.columns()) {
            for step in 0..weights.runs * self.steps {
                for tile in first..first + shape.columns() {
                    let bytes = self.tile(tiles, tile, step, &channels, weights);
                    packed.extend(CacheLine::of(&bytes));
                }
            }
        }
        self.blocks.push(Block { shape, tiles, channels, weights: lines, lanes });
    }

    /// The weights of 16 channels and 64 bytes of a run: row `k` has four weights of each channel.
    fn tile<F: Fn(usize, usize, usize) -> i8>(
        &self,
        tiles: usize,
        tile: usize,
        step: usize,
        channels: &Range<usize>,
        weights: &Weights<F>,
    ) -> [u8; TILE_BYTES] {
        let (run, first) = (step / self.steps, step % self.steps * ROW_BYTES);
        let mut bytes = [0; TILE_BYTES];
        for lane in 0..LANES {
            let channel = channels.start + channel(tiles, tile, lane);
            if !channels.contains(&channel) {
                continue;
            }
            for k in 0..ROW_BYTES.min(weights.length - first) {
                let at = k / 4 * ROW_BYTES + 4 * lane + k % 4;
                bytes[at] = (weights.weight)(channel, run, first + k).cast_unsigned();
            }
        }
        bytes
    }

    /// Computes one image of `tile`, whose channels start at a block's first and hold whole blocks. `x` starts with the
    /// first element that it reads.
    ///
    /// # Panics
    /// If `left` names bytes beyond `x`.
    pub(crate) fn run(&self, x: &[u8], left: &Left<'_>, image: usize, tile: &mut Tile<'_>) {
        let region = tile.region().clone();
        let (lines, count) = left.lines(region.rows.len());
        let last = (lines - 1) * left.row + (count - 1) * left.column + left.last_run();
        let end = last + ROW_BYTES * self.steps;
        assert!(end <= x.len(), "a product reads {end} of {} bytes", x.len());
        let parts = count.div_ceil(MAX_ROWS);
        let walk = Walk { left, x, lines, count, parts, rows: count.div_ceil(parts) };
        let raster = tile.raster(image);
        let mut configured: Option<(Shape, Configured)> = None;
        for block in &self.blocks {
            if block.channels.start < region.channels.start || block.channels.end > region.channels.end {
                continue;
            }
            let unit = match configured.take() {
                Some((shape, unit)) if shape == block.shape => unit,
                before => {
                    drop(before);
                    // SAFETY: the level was picked for this CPU; the configuration before this one is gone.
                    unsafe { Configured::new(block.shape, walk.rows) }
                }
            };
            let channel = block.channels.start - region.channels.start;
            // SAFETY: the level was picked for this CPU, and the unit is configured for this shape and rows.
            unsafe { self.block(&unit, block, &walk, &raster, channel) };
            configured = Some((block.shape, unit));
        }
    }

    /// # Safety
    /// The CPU has AVX512-VNNI and tiles, configured for the block's shape and the walk's rows.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn block(
        &self,
        unit: &Configured,
        block: &Block,
        walk: &Walk<'_>,
        raster: &Raster<'_>,
        channel: usize,
    ) {
        let shape = block.shape;
        let mut sums = Sums([0; MOST_ROWS * BLOCK]);
        let row_bytes = block.tiles * ROW_BYTES;
        let tiles = walk.lines * walk.parts;
        for first in (0..tiles).step_by(shape.rows()) {
            // Where the shape has more tiles than remain, the last is computed again.
            let at: [RowTile; 4] =
                std::array::from_fn(|i| walk.tile((first + i % shape.rows()).min(tiles - 1)));
            // SAFETY: the walk's tiles lie in `x` (checked by `run`); the block's weights, bias and multipliers are whole;
            // the sums have room for the shape's rows and columns.
            unsafe {
                self.sum(unit, block, walk, at.map(|tile| walk.x.as_ptr().add(tile.offset)), &mut sums);
                for (i, tile) in at[..shape.rows().min(tiles - first)].iter().enumerate() {
                    let sums = sums.0.as_ptr().cast::<u8>().add(i * walk.rows * row_bytes).cast();
                    self.finish(block, walk, *tile, sums, raster, channel);
                }
            }
        }
    }

    /// All sums of some row tiles and a block.
    ///
    /// # Safety
    /// As [`TileProduct::block`]; 64 bytes are readable at `left` with every run and step, in each of the walk's rows.
    #[inline(always)]
    unsafe fn sum(
        &self,
        unit: &Configured,
        block: &Block,
        walk: &Walk<'_>,
        left: [*const u8; 4],
        sums: &mut Sums,
    ) {
        let (shape, stride) = (block.shape, walk.left.column);
        let row_bytes = block.tiles * ROW_BYTES;
        // SAFETY: the caller's duty; weights and bias lie in the block's order.
        unsafe {
            let mut weights: *const u8 = self.weights.as_ptr().add(block.weights).cast();
            for first in (0..block.tiles).step_by(shape.columns()) {
                unit.start(shape, self.bias.as_ptr().add(block.lanes + first * LANES));
                for &run in walk.left.runs {
                    for step in 0..self.steps {
                        let left = left.map(|left| left.add(run + step * ROW_BYTES));
                        unit.multiply(shape, left, stride, weights);
                        weights = weights.add(shape.columns() * TILE_BYTES);
                    }
                }
                let to: *mut u8 = sums.0.as_mut_ptr().cast::<u8>().add(first * ROW_BYTES);
                let to = [0, 1, 2, 3].map(|i| to.wrapping_add(i * walk.rows * row_bytes));
                unit.store(shape, to, row_bytes);
            }
        }
    }

    /// Rounds a row tile's sums and writes those rows that are new.
    ///
    /// # Safety
    /// The CPU has AVX512-VNNI; `sums` has the walk's rows.
    #[inline(always)]
    unsafe fn finish(
        &self,
        block: &Block,
        walk: &Walk<'_>,
        tile: RowTile,
        sums: *const i32,
        raster: &Raster<'_>,
        channel: usize,
    ) {
        let mut outputs = [std::ptr::null_mut(); MAX_ROWS];
        let outputs = &mut outputs[tile.done..walk.rows];
        let first = tile.column + tile.done;
        let mut pixel = [tile.line + first / walk.left.columns, first % walk.left.columns];
        raster.run(&mut pixel, channel, block.channels.len(), outputs);
        // SAFETY: the block's multipliers are whole, the outputs writable for the block's channels (the raster checks it).
        unsafe {
            let sums = sums.add(tile.done * block.tiles * LANES);
            let multipliers = self.multipliers.as_ptr().add(block.lanes);
            let count = block.channels.len();
            match (block.tiles, self.rounding.is_plain) {
                (4, true) => quads::<true>(sums, multipliers, &self.rounding, outputs, count),
                (4, false) => quads::<false>(sums, multipliers, &self.rounding, outputs, count),
                (_, true) => pairs::<true>(sums, multipliers, &self.rounding, outputs, count),
                (_, false) => pairs::<false>(sums, multipliers, &self.rounding, outputs, count),
            }
        }
    }
}

/// The shape for a block of 4 or 2 tiles of channels and sums of `runs * length` products.
fn shape(tiles: usize, runs: usize, length: usize) -> Shape {
    match runs * length {
        _ if tiles == 2 => Shape::TwoByTwo,
        products if products < LONG_SUM => Shape::OneByFour,
        products if products <= LONG_WINDOW && runs > 1 => Shape::FourByOne,
        _ => Shape::TwoByTwo,
    }
}

/// The channel in a lane of a tile of a block, such that packing needs no permutation of four tiles, and one of two.
fn channel(tiles: usize, tile: usize, lane: usize) -> usize {
    if tiles == 4 { simd::channel(tile, lane) } else { pair_channel(tile, lane) }
}

/// Sums of the largest shape's rows.
#[repr(C, align(64))]
struct Sums([i32; MOST_ROWS * BLOCK]);

/// A claim's rows of the left matrix, cut into tiles.
struct Walk<'a> {
    left: &'a Left<'a>,
    x: &'a [u8],
    /// Lines of outputs that lie equally far apart, outputs of each, tiles of each and rows of a tile.
    lines: usize,
    count: usize,
    parts: usize,
    rows: usize,
}

/// Some neighbouring outputs.
#[derive(Clone, Copy)]
struct RowTile {
    /// Of the first row's first byte in the left matrix.
    offset: usize,
    line: usize,
    /// The first output, and how many have been written by the tile before.
    column: usize,
    done: usize,
}

impl Walk<'_> {
    #[inline(always)]
    fn tile(&self, i: usize) -> RowTile {
        let (line, wanted) = (i / self.parts, i % self.parts * self.rows);
        let column = wanted.min(self.count - self.rows);
        let offset = line * self.left.row + column * self.left.column;
        RowTile { offset, line, column, done: wanted - column }
    }
}

/// Rows of four registers of sums.
///
/// # Safety
/// The CPU has AVX512-VNNI; `sums` has 64 a row, `multipliers` 64, and `count` bytes are writable at every row.
#[inline(always)]
unsafe fn quads<const PLAIN: bool>(
    sums: *const i32,
    multipliers: *const f32,
    rounding: &Rounding,
    rows: &[*mut u8],
    count: usize,
) {
    // SAFETY: the caller's duty.
    unsafe {
        let m = [0, 16, 32, 48].map(|at| Zmm::floats(multipliers.add(at)));
        for (row, &to) in rows.iter().enumerate() {
            let sums = sums.add(BLOCK * row);
            let low = words::<PLAIN>(sums, [m[0], m[1]], rounding);
            let high = words::<PLAIN>(sums.add(2 * LANES), [m[2], m[3]], rounding);
            Zmm::store(to, Zmm::pack::<PLAIN>([low, high], rounding), count);
        }
    }
}

/// Rows of two registers of sums.
///
/// # Safety
/// As [`quads`], with 32 sums a row.
#[inline(always)]
unsafe fn pairs<const PLAIN: bool>(
    sums: *const i32,
    multipliers: *const f32,
    rounding: &Rounding,
    rows: &[*mut u8],
    count: usize,
) {
    // SAFETY: the caller's duty.
    unsafe {
        let m = [Zmm::floats(multipliers), Zmm::floats(multipliers.add(LANES))];
        let order = Zmm::order();
        for (i, rows) in rows.chunks(2).enumerate() {
            let row = |row: usize| {
                let sums = sums.add((2 * i + row.min(rows.len() - 1)) * BLOCK / 2);
                [Zmm::ints(sums), Zmm::ints(sums.add(LANES))]
            };
            tiles::store_pair::<Zmm, PLAIN>([row(0), row(1)], m, order, rounding, rows, count);
        }
    }
}

/// Two registers of sums to words.
///
/// # Safety
/// The CPU has AVX512-VNNI; 32 sums are readable.
#[inline(always)]
unsafe fn words<const PLAIN: bool>(
    sums: *const i32,
    multipliers: [<Zmm as Vector>::Float; 2],
    rounding: &Rounding,
) -> <Zmm as Vector>::Int {
    // SAFETY: the caller's duty.
    unsafe {
        let sums = [Zmm::ints(sums), Zmm::ints(sums.add(LANES))];
        tiles::words::<Zmm, PLAIN>(sums, multipliers, rounding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(columns: usize, runs: &[usize], length: usize) -> Left<'_> {
        Left { first: 0, image: 0, row: 999, column: 1, columns, groups: 1, group: 0, runs, length }
    }

    #[test]
    fn a_sum_gets_the_shape_that_was_measured_best_for_it() {
        assert_eq!(shape(4, 1, 64), Shape::OneByFour);
        assert_eq!(shape(4, 3, 192), Shape::FourByOne);
        assert_eq!(shape(4, 1, 576), Shape::TwoByTwo);
        assert_eq!(shape(4, 3, 768), Shape::TwoByTwo);
        assert_eq!(shape(2, 1, 64), Shape::TwoByTwo);
    }

    #[test]
    fn what_would_leave_tiles_mostly_empty_is_left_to_vectors() {
        assert!(TileProduct::pays(&left(56, &[0], 64), 56));
        assert!(!TileProduct::pays(&left(56, &[0], 24), 56), "a short sum");
        assert!(!TileProduct::pays(&left(15, &[0], 64), 1), "one tile that is not full");
        assert!(!TileProduct::pays(&left(3, &[0], 64), 100), "short lines");
        assert!(!TileProduct::pays(&left(112, &[0, 9, 18], 9), 112), "runs of 9 bytes");
        assert!(TileProduct::pays(&left(112, &[0; 7], 21), 112));
        assert!(!TileProduct::pays(&Left { groups: 2, ..left(56, &[0], 64) }, 56));
    }

    #[test]
    fn row_tiles_write_every_output_once() {
        for (lines, count) in [(1, 49), (1, 16), (3, 17), (2, 56), (1, 5), (4, 33)] {
            let left = left(count, &[0], 64);
            let parts = count.div_ceil(MAX_ROWS);
            let walk = Walk { left: &left, x: &[], lines, count, parts, rows: count.div_ceil(parts) };
            let mut written = vec![0; lines * count];
            for tile in (0..lines * parts).map(|i| walk.tile(i)) {
                assert_eq!(tile.offset, tile.line * 999 + tile.column);
                for row in tile.done..walk.rows {
                    written[tile.line * count + tile.column + row] += 1;
                }
            }
            assert!(written.iter().all(|&n| n == 1), "{lines} x {count}: {written:?}");
        }
    }
}
