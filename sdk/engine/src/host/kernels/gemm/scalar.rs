//! Portable product in f32, exact.
//!
//! Baseline x86-64 has no 8-bit product, and LLVM does not find `pmaddwd` for a register tile of i16; f32 tiles it
//! vectorizes well on every target. Bytes and weights are integers, so every product and every partial sum below 2^24 is
//! exact in f32 whatever the order; sums are moved to i32 every [`DEPTH`] products, before they can reach 2^22.
//! Measured on a Zen 4 core with SSE2, GMAC/s at K = 256: f32 4x8 19.2 (6x8 18.5, 3x16 14.2), i16 -> i32 4x8 9.5.
//! In the tagger (EfficientNet-Lite0) convolutions reach 13.5, and the whole is 25 times as fast as the reference on one
//! thread; with finished bytes copied block by block and tiles of single rows it was 17 times.

use crate::host::kernels::epilogue::{LANES, Requant, nearest};
use crate::host::memory::Tile;

/// Rows of one register tile.
const ROWS: usize = 4;
/// Products between two moves to i32: 128 * 255 * 128 < 2^22, up to which [`nearest`] is exact.
const DEPTH: usize = 128;
/// Floats of the gathered rows that are kept at once: with the weights of one block they stay in a 512 KiB cache.
const STRIP: usize = 48 * 1024;
/// Most gathered rows: beyond, widening the weights anew for each strip costs nothing.
const MAX_ROWS: usize = 128;

/// Weights in blocks of [`LANES`] output channels, each `[k][LANES]`; groups are padded apart.
#[derive(Debug)]
pub(crate) struct Panels {
    /// Products per output.
    k: usize,
    /// Output channels of one group.
    group: usize,
    blocks: Vec<[i8; LANES]>,
}

impl Panels {
    /// Packs `[outputs][k]` weights, given by `weight(output, k)`.
    pub(crate) fn new(outputs: usize, groups: usize, k: usize, weight: impl Fn(usize, usize) -> i8) -> Self {
        let group = outputs / groups;
        let mut blocks = Vec::with_capacity(groups * group.div_ceil(LANES) * k);
        for first in (0..groups).map(|g| g * group) {
            for block in (0..group).step_by(LANES) {
                let lane = |k, i| if block + i < group { weight(first + block + i, k) } else { 0 };
                blocks.extend((0..k).map(|k| std::array::from_fn(|i| lane(k, i))));
            }
        }
        Self { k, group, blocks }
    }

    fn blocks_per_group(&self) -> usize {
        self.group.div_ceil(LANES)
    }
}

/// A product with its epilogue.
#[derive(Debug)]
pub(crate) struct Gemm {
    pub(crate) panels: Panels,
    pub(crate) requant: Requant,
}

/// An output pixel: image, row, column.
pub(crate) type Pixel = [usize; 3];

impl Gemm {
    /// Bytes of scratch for tiles of at most `channels` channels.
    pub(crate) fn scratch_bytes(&self, channels: usize) -> usize {
        let floats = (self.most_rows() + LANES).saturating_mul(self.panels.k);
        floats.saturating_add(self.most_rows() * (channels + LANES)).saturating_mul(4)
    }

    fn most_rows(&self) -> usize {
        (STRIP / self.panels.k.max(1)).next_multiple_of(ROWS).clamp(ROWS, MAX_ROWS)
    }

    /// Computes a tile whose channels start at a block's boundary (and hold whole groups if there are several).
    /// `gather(pixel, group, row)` writes the products' left factors, in the order of the packed weights.
    pub(crate) fn run(
        &self,
        tile: &mut Tile<'_>,
        columns: usize,
        scratch: &mut [u8],
        gather: impl Fn(Pixel, usize, &mut [f32]),
    ) {
        let (k, group) = (self.panels.k, self.panels.group);
        let (strip, rest) = bytemuck::cast_slice_mut::<u8, f32>(scratch).split_at_mut(self.most_rows() * k);
        let (weights, rest) = rest.split_at_mut(LANES * k);
        let (weights, sums) =
            (weights.as_chunks_mut::<LANES>().0, bytemuck::cast_slice_mut::<f32, i32>(rest));
        let region = tile.region().clone();
        let channels = region.channels.clone();
        let pixels = region.images.len() * region.rows.len() * columns;
        let pixel = |i: usize| {
            let (row, column) = (i / columns, i % columns);
            [
                region.images.start + row / region.rows.len(),
                region.rows.start + row % region.rows.len(),
                column,
            ]
        };
        let stride = channels.len() + LANES;
        // Strips of equal height: the last one should not be a sliver.
        let height = pixels.div_ceil(pixels.div_ceil(self.most_rows())).next_multiple_of(ROWS);
        for first in (0..pixels).step_by(height) {
            let count = height.min(pixels - first);
            for g in channels.start / group..channels.end.div_ceil(group) {
                for (i, row) in strip.chunks_exact_mut(k).take(count).enumerate() {
                    gather(pixel(first + i), g, row);
                }
                // What fills up the last register tile: stale bits could be subnormal floats, which are slow.
                strip[count * k..count.next_multiple_of(ROWS) * k].fill(0.0);
                let (from, to) = (channels.start.max(g * group), channels.end.min((g + 1) * group));
                for channel in (from..to).step_by(LANES) {
                    let block = g * self.panels.blocks_per_group() + (channel - g * group) / LANES;
                    widen(&self.panels.blocks[block * k..][..k], weights);
                    let strip = &strip[..count.next_multiple_of(ROWS) * k];
                    block_sums(strip, weights, &mut sums[channel - channels.start..], stride);
                }
            }
            for (i, sums) in sums.chunks_exact(stride).take(count).enumerate() {
                let [image, row, column] = pixel(first + i);
                self.requant.finish(sums, channels.start, tile.pixel(image, row, column));
            }
        }
    }
}

/// One block of channels of every gathered row, to `sums` with `stride` from row to row. Whole blocks are written:
/// what lies beyond a group's channels is overwritten by the next group or never read.
fn block_sums(strip: &[f32], weights: &[[f32; LANES]], sums: &mut [i32], stride: usize) {
    let k = weights.len();
    for (i, rows) in strip.chunks_exact(ROWS * k).enumerate() {
        let sums = &mut sums[i * ROWS * stride..];
        for (j, weights) in weights.chunks(DEPTH).enumerate() {
            product(&rows[j * DEPTH..], k, weights, sums, stride, j == 0);
        }
    }
}

/// Writes (or adds) the products of [`ROWS`] rows, `step` floats apart, with at most [`DEPTH`] weights to rows of
/// `sums` that are `stride` apart.
#[inline(never)] // inlined, its register tile would compete with the caller's variables
fn product(
    rows: &[f32],
    step: usize,
    weights: &[[f32; LANES]],
    sums: &mut [i32],
    stride: usize,
    is_first: bool,
) {
    let row = |i: usize| &rows[i * step..][..weights.len()];
    let rows = [row(0), row(1), row(2), row(3)]; // not array::map, which LLVM leaves a call
    let mut partial = [[0f32; LANES]; ROWS];
    for (k, weights) in weights.iter().enumerate() {
        for (partial, row) in partial.iter_mut().zip(&rows) {
            for lane in 0..LANES {
                partial[lane] += row[k] * weights[lane];
            }
        }
    }
    for (i, partial) in partial.iter().enumerate() {
        let sums = &mut sums[i * stride..][..LANES];
        for lane in 0..LANES {
            let before = if is_first { 0 } else { sums[lane] };
            sums[lane] = before + nearest(partial[lane]);
        }
    }
}

fn widen(block: &[[i8; LANES]], weights: &mut [[f32; LANES]]) {
    for (wide, narrow) in weights.iter_mut().zip(block) {
        *wide = narrow.map(f32::from);
    }
}

/// Bytes to floats.
#[inline]
pub(crate) fn widen_bytes(bytes: &[u8], floats: &mut [f32]) {
    for (float, &byte) in floats.iter_mut().zip(bytes) {
        *float = byte.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_float_product_is_exact_at_the_extremes() {
        for k in [1, 127, 128, 129, 1000, 60_000] {
            for (byte, weight) in [(255.0, -128.0), (255.0, 127.0), (1.0, -1.0)] {
                let mut sums = vec![5; LANES * ROWS];
                block_sums(&vec![byte; k * ROWS], &vec![[weight; LANES]; k], &mut sums, LANES);
                assert!(
                    sums.iter().all(|&sum| sum == k as i32 * (byte * weight) as i32),
                    "{k} of {byte} * {weight}"
                );
            }
        }
    }
}
