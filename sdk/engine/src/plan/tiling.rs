//! How a step's output is cut into tiles that threads claim.

use std::ops::Range;

use super::layout::Layout;

/// A block of a value: whole columns, some images, rows and channels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Region {
    pub(crate) images: Range<usize>,
    pub(crate) rows: Range<usize>,
    pub(crate) channels: Range<usize>,
}

impl Region {
    /// All of a value.
    pub(crate) fn whole(layout: &Layout) -> Self {
        let grid = layout.grid;
        Self { images: 0..grid.images, rows: 0..grid.rows, channels: 0..grid.channels }
    }

    /// Image and row of each of its lines.
    pub(crate) fn lines(self) -> impl Iterator<Item = (usize, usize)> {
        self.images.flat_map(move |image| self.rows.clone().map(move |row| (image, row)))
    }

    /// # Panics
    /// If this is no region of a value with `layout`.
    pub(crate) fn check(&self, layout: &Layout) {
        let inside = |range: &Range<usize>, limit| range.start <= range.end && range.end <= limit;
        let grid = layout.grid;
        assert!(
            inside(&self.images, grid.images)
                && inside(&self.rows, grid.rows)
                && inside(&self.channels, grid.channels)
        );
    }
}

/// A partition of a value into tiles of at most so many rows of one image and so many channels; or one tile that is
/// everything. Its regions are disjoint by construction, which the executor's soundness rests on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Tiling {
    whole: Region,
    images_per_tile: usize,
    rows_per_tile: usize,
    channels_per_tile: usize,
}

/// Multiply-accumulates worth one claim: some 20 microseconds of the portable kernels, at which a claim costs nothing
/// and two threads end within a few percent of each other.
const TILE_MACS: u64 = 400_000;
/// Element-wise work per tile, in bytes, for the same reason.
const TILE_BYTES: u64 = 32_768;
/// Pixels that a matrix product's tile should have, where the image has them.
const TILE_PIXELS: usize = 48;
/// Channels that a matrix product's tile should have, where the layer has them.
const TILE_CHANNELS: usize = 64;

impl Tiling {
    /// Tiles of at most `rows` rows and `channels` channels of one image.
    pub(crate) fn new(layout: &Layout, rows: usize, channels: usize) -> Self {
        let (rows_per_tile, channels_per_tile) = (rows.max(1), channels.max(1));
        Self { whole: Region::whole(layout), images_per_tile: 1, rows_per_tile, channels_per_tile }
    }

    /// One tile, for work that cannot be cut.
    pub(crate) fn single(layout: &Layout) -> Self {
        let most = usize::MAX;
        Self {
            whole: Region::whole(layout),
            images_per_tile: most,
            rows_per_tile: most,
            channels_per_tile: most,
        }
    }

    /// Row blocks worth a claim each, for work of `macs` multiply-accumulates (0 for element-wise work).
    pub(crate) fn by_rows(layout: &Layout, macs: u64) -> Self {
        let grid = layout.grid;
        let rows = (grid.images as u64).saturating_mul(grid.rows as u64).max(1);
        let row_bytes = (grid.columns * layout.pixel_bytes()) as u64;
        let rows_per_tile = match macs {
            0 => TILE_BYTES / row_bytes.max(1),
            macs => TILE_MACS / (macs / rows).max(1),
        };
        let rows_per_tile = usize::try_from(rows_per_tile).unwrap_or(usize::MAX).clamp(1, grid.rows.max(1));
        // Blocks of equal height: the last one should not be a sliver.
        let blocks = grid.rows.max(1).div_ceil(rows_per_tile);
        Self::new(layout, grid.rows.max(1).div_ceil(blocks), usize::MAX)
    }

    /// Blocks of rows and channels for a matrix product: enough pixels that the weights are worth loading, then as many
    /// channels (in multiples of `step`) as are worth a claim.
    pub(crate) fn by_rows_and_channels(layout: &Layout, macs: u64, step: usize) -> Self {
        let grid = layout.grid;
        let mut tiling = Self::by_rows(layout, macs);
        let rows = tiling.rows_per_tile.max(TILE_PIXELS.div_ceil(grid.columns.max(1)));
        let blocks = (grid.rows / rows).max(1);
        tiling.rows_per_tile = grid.rows.div_ceil(blocks);
        let tiles = (grid.images * blocks).max(1) as u64;
        let wanted = usize::try_from(macs / tiles / TILE_MACS).unwrap_or(usize::MAX).max(1);
        let least = TILE_CHANNELS.next_multiple_of(step);
        tiling.channels_per_tile = grid.channels.div_ceil(wanted).next_multiple_of(step).max(least);
        tiling
    }

    /// Number of tiles.
    pub(crate) fn count(&self) -> usize {
        let [images, rows, channels] = self.counts();
        images * rows * channels
    }

    /// The `i`-th tile. Neighbours in `i` share rows, so that a thread finds its input in cache.
    ///
    /// # Panics
    /// If there are not that many.
    pub(crate) fn region(&self, i: usize) -> Region {
        let [images, rows, channels] = self.counts();
        assert!(i < images * rows * channels, "tile {i} of {images} x {rows} x {channels}");
        Region {
            images: block(&self.whole.images, self.images_per_tile, i / channels / rows),
            rows: block(&self.whole.rows, self.rows_per_tile, i / channels % rows),
            channels: block(&self.whole.channels, self.channels_per_tile, i % channels),
        }
    }

    fn counts(&self) -> [usize; 3] {
        [
            self.whole.images.len().div_ceil(self.images_per_tile),
            self.whole.rows.len().div_ceil(self.rows_per_tile),
            self.whole.channels.len().div_ceil(self.channels_per_tile),
        ]
    }
}

/// The `i`-th block of at most `size` of a range that starts at 0.
fn block(whole: &Range<usize>, size: usize, i: usize) -> Range<usize> {
    let start = i.saturating_mul(size).min(whole.end);
    start..start.saturating_add(size).min(whole.end)
}

#[cfg(test)]
mod tests {
    use tilemark_model::DType;

    use super::*;
    use crate::plan::layout::Halo;

    #[test]
    fn tiles_partition_the_output() {
        let layout = Layout::new(&[2, 40, 7, 3], DType::U8, Halo::default());
        let tilings = [
            Tiling::new(&layout, 2, 16),
            Tiling::single(&layout),
            Tiling::by_rows(&layout, 9_000_000),
            Tiling::by_rows(&layout, 0),
            Tiling::by_rows_and_channels(&layout, 90_000_000, 8),
        ];
        for tiling in tilings {
            let mut seen = vec![0; 2 * 7 * 40];
            for i in 0..tiling.count() {
                let Region { images, rows, channels } = tiling.region(i);
                for image in images {
                    for row in rows.clone() {
                        channels.clone().for_each(|c| seen[(image * 7 + row) * 40 + c] += 1);
                    }
                }
            }
            assert!(seen.iter().all(|&n| n == 1), "{tiling:?}");
        }
    }

    #[test]
    fn small_images_are_cut_by_channels() {
        let layout = Layout::new(&[1, 1280, 7, 7], DType::U8, Halo::default());
        let tiling = Tiling::by_rows_and_channels(&layout, 20_000_000, 8);
        assert_eq!(tiling.region(0), Region { images: 0..1, rows: 0..7, channels: 0..64 });
        assert_eq!(tiling.count(), 20);
    }
}
