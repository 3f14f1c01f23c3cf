//! Steps whose kernels write whole rows that are not yet the result: a tile of them is computed in working memory, where it
//! stays in cache. Then pixels that lie apart are put where they belong, or floats are quantized.

use super::kernels::Work;
use super::kernels::quantize::Quantizer;
use super::memory::{Inputs, Tile};
use crate::error::Error;
use crate::plan::{ALIGN, Layout, Region, Slot, Tiling};

/// Work that writes rows into working memory.
struct Rows {
    work: Box<dyn Work>,
    /// The output as the work sees it.
    slot: Slot,
    /// Bytes of the largest tile, in whole cache lines.
    bytes: usize,
}

impl Rows {
    /// `work` on tiles of a value of `layout`, which has nothing between its pixels.
    fn new(work: Box<dyn Work>, layout: Layout, tiling: &Tiling) -> Result<Self, Error> {
        // The first tile is as large as any.
        let bytes = if tiling.count() == 0 { 0 } else { layout.span(&tiling.region(0)).len() };
        let slot = Slot { offset: 0, bytes: layout.bytes()?, layout, fill: 0 };
        Ok(Self { work, slot, bytes: bytes.next_multiple_of(ALIGN) })
    }

    fn scratch_bytes(&self) -> usize {
        self.work.scratch_bytes().saturating_add(self.bytes)
    }

    /// Computes the rows of `region` and hands each to `visit`, with its image and number.
    fn each(
        &self,
        inputs: &Inputs<'_>,
        region: Region,
        scratch: &mut [u8],
        mut visit: impl FnMut(usize, usize, &[u8]),
    ) -> Result<(), Error> {
        let (rows, scratch) = scratch.split_at_mut(self.bytes);
        self.work.run(inputs, &mut Tile::over(rows, &self.slot, region.clone()), scratch)?;
        let layout = &self.slot.layout;
        let first = layout.span(&region).start;
        for (image, row) in region.lines() {
            let at = layout.offset(image, row, 0) - first;
            visit(image, row, &rows[at..at + layout.row_bytes()]);
        }
        Ok(())
    }
}

/// Work on rows, for an output whose pixels lie apart.
pub(crate) struct Staged(Rows);

impl Staged {
    /// `work` on tiles of a value of `layout`, which has nothing between its pixels.
    ///
    /// # Errors
    /// Those of [`Layout::bytes`].
    pub(crate) fn new(work: Box<dyn Work>, layout: Layout, tiling: &Tiling) -> Result<Self, Error> {
        Ok(Self(Rows::new(work, layout, tiling)?))
    }
}

impl Work for Staged {
    fn scratch_bytes(&self) -> usize {
        self.0.scratch_bytes()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        self.0
            .each(inputs, tile.region().clone(), scratch, |image, row, bytes| tile.spread(image, row, bytes))
    }
}

/// Work in f32 whose result is quantized.
pub(crate) struct Quantized {
    rows: Rows,
    quantizer: Quantizer,
}

impl Quantized {
    /// `work` on tiles of floats of `layout`, which become bytes.
    ///
    /// # Errors
    /// Those of [`Layout::bytes`].
    pub(crate) fn new(
        work: Box<dyn Work>,
        layout: Layout,
        tiling: &Tiling,
        quantizer: Quantizer,
    ) -> Result<Self, Error> {
        Ok(Self { rows: Rows::new(work, layout, tiling)?, quantizer })
    }
}

impl Work for Quantized {
    fn scratch_bytes(&self) -> usize {
        self.rows.scratch_bytes()
    }

    fn run(&self, inputs: &Inputs<'_>, tile: &mut Tile<'_>, scratch: &mut [u8]) -> Result<(), Error> {
        self.rows.each(inputs, tile.region().clone(), scratch, |image, row, floats| {
            self.quantizer.line(bytemuck::cast_slice(floats), tile.row(image, row));
        })
    }
}

#[cfg(test)]
mod tests {
    use tilemark_model::DType;

    use super::*;
    use crate::host::memory::Memory;
    use crate::plan::Halo;

    /// Writes into every element its image, row, column and channel.
    struct Ramp;

    fn element(image: usize, row: usize, column: usize, channel: usize) -> u8 {
        (image * 100 + row * 20 + column * 4 + channel) as u8
    }

    impl Work for Ramp {
        fn run(&self, _: &Inputs<'_>, tile: &mut Tile<'_>, _: &mut [u8]) -> Result<(), Error> {
            let channels = tile.region().channels.clone();
            for (image, row) in tile.region().clone().lines() {
                for column in 0..tile.grid().columns {
                    let pixel = tile.pixel(image, row, column).iter_mut().zip(channels.clone());
                    pixel.for_each(|(to, channel)| *to = element(image, row, column, channel));
                }
            }
            Ok(())
        }
    }

    #[test]
    #[allow(unsafe_code, reason = "takes tiles as the executor does")]
    fn every_tile_of_rows_reaches_its_pixels_and_nothing_else() {
        let shape = [2, 3, 4, 5];
        let dense = Layout::new(&shape, DType::U8, Halo::default());
        let halo = Halo { top: 1, left: 2, bottom: 0, right: 1 };
        let apart = Layout::new(&shape, DType::U8, halo).apart(7);
        let slot = Slot { offset: 2, bytes: apart.bytes().unwrap(), layout: apart, fill: 0 };
        let cuts =
            [(1, 3), (3, 3), (4, 1), (2, 2)].map(|(rows, channels)| Tiling::new(&dense, rows, channels));
        for tiling in cuts.into_iter().chain([Tiling::single(&dense)]) {
            let mut memory = Memory::new(slot.bytes + 64).unwrap();
            memory.slice_mut(0..slot.bytes + 64).fill(255);
            let work = Staged::new(Box::new(Ramp), dense.clone(), &tiling).unwrap();
            let mut scratch = vec![9; work.scratch_bytes()];
            for i in 0..tiling.count() {
                // SAFETY: one tile at a time, and nothing reads.
                let (inputs, mut tile) =
                    unsafe { (memory.inputs(&[], &slot), memory.tile(&slot, tiling.region(i))) };
                work.run(&inputs, &mut tile, &mut scratch).unwrap();
            }
            let bytes = memory.slice_mut(0..slot.bytes + 64);
            let mut written = 0;
            for (image, row) in (0..2).flat_map(|image| (0..4).map(move |row| (image, row))) {
                for (column, channel) in (0..5).flat_map(|column| (0..3).map(move |c| (column, c))) {
                    let at = slot.offset + slot.layout.offset(image, row, column) + channel;
                    assert_eq!(bytes[at], element(image, row, column, channel), "{tiling:?}");
                    written += 1;
                }
            }
            assert_eq!(bytes.iter().filter(|&&byte| byte != 255).count(), written, "{tiling:?}");
        }
    }
}
