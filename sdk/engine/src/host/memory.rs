//! The arena's bytes and the disjoint parts of them that threads write.
#![allow(unsafe_code, reason = "threads write disjoint tiles of one buffer, which no safe slice can express")]

use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;

use tilemark_model::Tensor;

use super::kernels::copy;
use super::pages::Pages;
use crate::error::Error;
use crate::plan::{ALIGN, Grid, Layout, READ_SLACK, Region, Slot};

/// Zeroed, cache-line aligned bytes.
#[derive(Debug)]
pub(crate) struct Memory {
    pages: Pages,
    bytes: usize,
}

impl Memory {
    /// Allocates `bytes` zeroed bytes.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the system refuses.
    pub(crate) fn new(bytes: usize) -> Result<Self, Error> {
        let pages = Pages::zeroed(bytes, ALIGN).ok_or(Error::OutOfMemory { bytes })?;
        Ok(Self { pages, bytes })
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    /// The bytes of `range`, exclusively.
    pub(crate) fn slice_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        self.check(&range);
        // SAFETY: the range lies inside the allocation, whose bytes are initialized; `&mut self` excludes other access.
        unsafe { std::slice::from_raw_parts_mut(self.pages.start().as_ptr().add(range.start), range.len()) }
    }

    /// # Safety
    /// Nothing writes any of these bytes while the slice lives.
    unsafe fn slice(&self, range: Range<usize>) -> &[u8] {
        self.check(&range);
        // SAFETY: the range lies inside the allocation, whose bytes are initialized; the caller excludes writers.
        unsafe { std::slice::from_raw_parts(self.pages.start().as_ptr().add(range.start), range.len()) }
    }

    /// The elements of `region` of the value in `slot`, for writing, and the halo that touches them.
    ///
    /// # Safety
    /// While the tile lives, nothing reads the slot, and no other tile of it has a region that overlaps.
    pub(crate) unsafe fn tile<'a>(&'a self, slot: &'a Slot, region: Region) -> Tile<'a> {
        self.check(&slot.range());
        region.check(&slot.layout);
        // SAFETY: checked above: the buffer lies inside the allocation.
        let start = unsafe { self.pages.start().add(slot.offset) };
        Tile { start, bytes: 0..slot.bytes, slot, region, lifetime: PhantomData }
    }

    /// The values in `slots`, for reading, by a step that writes `output`.
    ///
    /// # Safety
    /// Nothing writes any of these slots, or the slack after them, while the inputs live, but for tiles of `output`.
    pub(crate) unsafe fn inputs<'a>(&'a self, slots: &'a [Slot], output: &'a Slot) -> Inputs<'a> {
        Inputs { memory: self, slots, output }
    }

    fn check(&self, range: &Range<usize>) {
        assert!(range.start <= range.end && range.end <= self.bytes, "{range:?} of {} bytes", self.bytes);
    }
}

/// What a step reads.
pub(crate) struct Inputs<'a> {
    memory: &'a Memory,
    slots: &'a [Slot],
    output: &'a Slot,
}

impl<'a> Inputs<'a> {
    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The `i`-th value.
    ///
    /// # Panics
    /// If the output overwrites it: then it is read through the tile.
    pub(crate) fn view(&self, i: usize) -> View<'a> {
        let slot = &self.slots[i];
        assert!(!slot.overlaps(self.output), "a view of what the step overwrites");
        let range = slot.range();
        // SAFETY: whoever made these inputs excludes other writers of their slots than tiles of the output (checked).
        let bytes = unsafe { self.memory.slice(range.start..range.end + READ_SLACK) };
        View { bytes, layout: &slot.layout }
    }
}

/// One value that a step reads.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    /// The buffer with its slack.
    pub(crate) bytes: &'a [u8],
    pub(crate) layout: &'a Layout,
}

impl<'a> View<'a> {
    /// One row without its halo.
    ///
    /// # Panics
    /// If its pixels lie apart: then there are only [runs](View::runs).
    #[inline]
    pub(crate) fn row(&self, image: usize, row: usize) -> &'a [u8] {
        assert!(self.layout.has_rows(), "a row of pixels that lie apart");
        let at = self.layout.offset(image, row, 0);
        &self.bytes[at..at + self.layout.row_bytes()]
    }

    /// Some rows of one image at once; `None` where anything lies between them.
    pub(crate) fn rows(&self, image: usize, rows: &Range<usize>) -> Option<&'a [u8]> {
        let line = self.layout.row_bytes();
        let at = self.layout.offset(image, rows.start, 0);
        (self.layout.row_stride() == line).then(|| &self.bytes[at..at + rows.len() * line])
    }

    /// The bytes of one row that lie side by side, in order: the whole row, or one pixel's channels after the other's.
    #[inline]
    pub(crate) fn runs(&self, image: usize, row: usize) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (at, size) = (self.layout.offset(image, row, 0), self.layout.dtype.size());
        let [run, step] = self.layout.run().map(|elements| elements * size);
        self.bytes[at..at + self.layout.row_bytes()].chunks(step.max(1)).map(move |place| &place[..run])
    }
}

/// One tile of a step's output: the part that one claim of one thread writes.
///
/// Coordinates are the output's own. Every access is checked against the region, so that tiles of disjoint regions
/// touch disjoint bytes.
pub(crate) struct Tile<'a> {
    /// The first of `bytes`.
    start: NonNull<u8>,
    /// Which of the value's bytes there are.
    bytes: Range<usize>,
    slot: &'a Slot,
    region: Region,
    lifetime: PhantomData<&'a mut [u8]>,
}

impl<'a> Tile<'a> {
    /// A tile whose rows lie in `bytes`, which need not have room for more of the value than that.
    ///
    /// # Panics
    /// If the region's rows do not fit.
    pub(crate) fn over(bytes: &'a mut [u8], slot: &'a Slot, region: Region) -> Self {
        region.check(&slot.layout);
        let span = slot.layout.span(&region);
        assert!(span.len() <= bytes.len() && span.end <= slot.bytes, "a tile of {span:?}");
        let start = NonNull::from(bytes).cast();
        Self { start, bytes: span, slot, region, lifetime: PhantomData }
    }

    /// The part of the output to compute.
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    /// The extents of the whole output.
    pub(crate) fn grid(&self) -> Grid {
        self.slot.layout.grid
    }

    /// The region's channels of one pixel.
    #[inline]
    pub(crate) fn pixel(&mut self, image: usize, row: usize, column: usize) -> &mut [u8] {
        let Region { images, rows, channels } = &self.region;
        assert!(images.contains(&image) && rows.contains(&row) && column < self.slot.layout.grid.columns);
        let size = self.slot.layout.dtype.size();
        let at = self.slot.layout.offset(image, row, column) + channels.start * size;
        // SAFETY: the coordinates lie inside the region, so the bytes are this tile's own.
        unsafe { self.part(at, channels.len() * size) }
    }

    /// Writes the region's channels of one row, of whose pixels `from` has all channels side by side.
    ///
    /// # Panics
    /// If the row is not one of the region's, or has other pixels than `from`.
    pub(crate) fn spread(&mut self, image: usize, row: usize, from: &[u8]) {
        let Region { images, rows, channels } = &self.region;
        assert!(images.contains(&image) && rows.contains(&row));
        let layout = &self.slot.layout;
        let (size, pixel, stride) = (layout.dtype.size(), layout.pixel_bytes(), layout.column_stride());
        assert_eq!(from.len(), layout.grid.columns * pixel, "a row of other pixels");
        let (at, own) = (layout.offset(image, row, 0), channels.start * size..channels.end * size);
        if own.len() == pixel {
            // SAFETY: all channels of the row are the region's, and what lies between is nobody's during this step.
            let pixels = unsafe { self.part(at, layout.row_bytes()) }.chunks_mut(stride);
            pixels.zip(from.chunks_exact(pixel)).for_each(|(to, from)| copy(from, &mut to[..pixel]));
            return;
        }
        for (column, pixel) in from.chunks_exact(pixel).enumerate() {
            // SAFETY: the region's channels of one of its pixels.
            let to = unsafe { self.part(at + column * stride + own.start, own.len()) };
            copy(&pixel[own.clone()], to);
        }
    }

    /// One whole row without its halo.
    ///
    /// # Panics
    /// If the tile does not have all channels, or its pixels lie apart.
    pub(crate) fn row(&mut self, image: usize, row: usize) -> &mut [u8] {
        let Region { images, rows, channels } = &self.region;
        assert!(images.contains(&image) && rows.contains(&row));
        let layout = &self.slot.layout;
        assert!(layout.has_rows(), "a row of pixels that lie apart");
        assert_eq!(channels.len(), layout.grid.channels, "a row of a tile with some of the channels");
        let (at, len) = (layout.offset(image, row, 0), layout.row_bytes());
        // SAFETY: the row lies inside the region, and the region has its full width.
        unsafe { self.part(at, len) }
    }

    /// The region's rows of one image at once; `None` where anything lies between them.
    ///
    /// # Panics
    /// If the tile does not have all channels.
    pub(crate) fn rows(&mut self, image: usize) -> Option<&mut [u8]> {
        let Region { images, rows, channels } = &self.region;
        let layout = &self.slot.layout;
        assert!(images.contains(&image));
        assert_eq!(channels.len(), layout.grid.channels, "rows of a tile with some of the channels");
        let row = layout.row_bytes();
        if layout.row_stride() != row {
            return None;
        }
        let (at, len) = (layout.offset(image, rows.start, 0), rows.len() * row);
        // SAFETY: nothing lies between the rows, each of which lies inside the region.
        Some(unsafe { self.part(at, len) })
    }

    /// Addresses of the region's pixels in one image, for kernels that write through pointers.
    ///
    /// # Panics
    /// If the image is not one of the region's.
    pub(crate) fn raster(&mut self, image: usize) -> Raster<'_> {
        let Region { images, rows, channels } = &self.region;
        assert!(images.contains(&image) && !rows.is_empty());
        let layout = &self.slot.layout;
        let size = layout.dtype.size();
        let at = layout.offset(image, rows.start, 0) + channels.start * size;
        assert!(self.bytes.contains(&at) && size == 1);
        // SAFETY: inside the tile's bytes (checked), which hold all of the region's rows.
        let start = unsafe { self.start.add(at - self.bytes.start) };
        Raster {
            start,
            strides: [layout.row_stride(), layout.column_stride()],
            extent: [rows.len(), layout.grid.columns, channels.len()],
            lifetime: PhantomData,
        }
    }

    /// Calls `visit` with every run of consecutive bytes of the region.
    pub(crate) fn runs(&mut self, mut visit: impl FnMut(&mut [u8])) {
        let columns = self.slot.layout.grid.columns;
        let has_all_channels = self.region.channels.len() == self.slot.layout.grid.channels;
        let has_rows = has_all_channels && self.slot.layout.has_rows();
        for (image, row) in self.region.clone().lines() {
            if has_rows {
                visit(self.row(image, row));
            } else {
                (0..columns).for_each(|column| visit(self.pixel(image, row, column)));
            }
        }
    }

    /// The whole output, halo included.
    ///
    /// # Panics
    /// If the tile is not the whole output.
    pub(crate) fn whole(&mut self) -> &mut [u8] {
        let slot = self.slot;
        assert_eq!(self.region, Region::whole(&slot.layout), "all of the output of a tile that is a part");
        // SAFETY: no other tile can exist beside one that is everything.
        unsafe { self.part(0, slot.bytes) }
    }

    /// Writes the whole output.
    ///
    /// # Errors
    /// [`Error::Internal`] if the tensor is not what the plan says.
    ///
    /// # Panics
    /// If the tile is not the whole output.
    pub(crate) fn store(&mut self, tensor: &Tensor) -> Result<(), Error> {
        let slot = self.slot;
        slot.layout.store(tensor, self.whole(), slot.fill)
    }

    /// Writes the zero point into the halo that touches the region: left and right of its rows, and above or below
    /// where it has the first or last row. Done once, by the tile that has the first channel.
    pub(crate) fn fill_halo(&mut self) {
        let layout = &self.slot.layout;
        let (halo, grid) = (layout.halo, layout.grid);
        if halo == Default::default() || self.region.channels.start != 0 {
            return;
        }
        let (row_stride, column_stride) = (layout.row_stride(), layout.column_stride());
        let columns = halo.left + grid.columns + halo.right;
        let Region { images, rows, .. } = self.region.clone();
        for image in images {
            let base = image * layout.image_stride();
            if rows.start == 0 {
                self.fill(base, halo.top * columns);
            }
            for row in rows.clone() {
                let at = base + (halo.top + row) * row_stride;
                self.fill(at, halo.left);
                self.fill(at + row_stride - halo.right * column_stride, halo.right);
            }
            if rows.end == grid.rows {
                self.fill(base + (halo.top + grid.rows) * row_stride, halo.bottom * columns);
            }
        }
    }

    /// Fills `pixels` pixels from byte `at` on.
    fn fill(&mut self, at: usize, pixels: usize) {
        let Slot { layout, fill, .. } = self.slot;
        let (pixel, stride) = (layout.pixel_bytes(), layout.column_stride());
        let (count, len) = if layout.is_dense() { (1, pixels * pixel) } else { (pixels, pixel) };
        for i in 0..count {
            // SAFETY: only halo bytes are named, each by the one tile that has its row (or the image's edge row) and the
            // first channel; elements never lie in the halo.
            unsafe { self.part(at + i * stride, len) }.fill(*fill);
        }
    }

    /// # Safety
    /// The bytes belong to no other tile.
    #[inline]
    unsafe fn part(&mut self, at: usize, len: usize) -> &mut [u8] {
        let Range { start, end } = self.bytes;
        assert!(at >= start && at.checked_add(len).is_some_and(|to| to <= end));
        // SAFETY: inside the buffer (checked) and inside this tile (the caller's duty); the bytes are initialized.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(at - start), len) }
    }
}

/// Addresses of a tile's pixels in one image of bytes. The memory is the tile's own as long as this lives.
pub(crate) struct Raster<'a> {
    start: NonNull<u8>,
    /// Bytes between rows and between columns.
    strides: [usize; 2],
    /// Rows, columns and channels.
    extent: [usize; 3],
    lifetime: PhantomData<&'a mut [u8]>,
}

impl Raster<'_> {
    /// Bytes from one column to the next.
    pub(crate) fn column_stride(&self) -> usize {
        self.strides[1]
    }

    /// The addresses of `channels` bytes of some neighbouring pixels, all of which belong to the tile. Row and first
    /// channel count from the region's start.
    ///
    /// # Panics
    /// If they lie outside the region.
    #[inline(always)]
    pub(crate) fn pixels(&self, [row, column, channel]: [usize; 3], channels: usize, to: &mut [*mut u8]) {
        let extent = self.extent;
        assert!(row < extent[0] && column + to.len() <= extent[1] && channel + channels <= extent[2]);
        let first = row * self.strides[0] + column * self.strides[1] + channel;
        for (i, to) in to.iter_mut().enumerate() {
            // SAFETY: inside the region (checked), which lies inside the buffer.
            *to = unsafe { self.start.as_ptr().add(first + i * self.strides[1]) };
        }
    }

    /// Like [`Raster::pixels`], going on in the next row where one ends; `at` moves to the pixel after the last.
    ///
    /// # Panics
    /// If they lie outside the region.
    #[inline(always)]
    pub(crate) fn run(&self, at: &mut [usize; 2], channel: usize, channels: usize, mut to: &mut [*mut u8]) {
        let columns = self.extent[1];
        while !to.is_empty() {
            let (run, rest) = to.split_at_mut(to.len().min(columns - at[1]));
            self.pixels([at[0], at[1], channel], channels, run);
            at[1] += run.len();
            to = rest;
            if at[1] == columns {
                *at = [at[0] + 1, 0];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tilemark_model::DType;

    use super::*;
    use crate::plan::{Halo, Tiling};

    fn slot(shape: &[usize], halo: Halo) -> Slot {
        let layout = Layout::new(shape, DType::U8, halo);
        Slot { offset: 0, bytes: layout.bytes().unwrap(), layout, fill: 100 }
    }

    #[test]
    fn tiles_cover_every_byte_once_halo_included() {
        let dense = slot(&[2, 5, 4, 3], Halo { top: 1, left: 2, bottom: 3, right: 1 });
        let layout = dense.layout.clone().apart(7);
        let apart = Slot { bytes: layout.bytes().unwrap(), layout, ..dense.clone() };
        let pixels = dense.bytes / 5;
        let cuts = [(1, 5), (3, 2), (4, 1), (2, 5)];
        for (slot, (rows, channels)) in [dense, apart].iter().flat_map(|slot| cuts.map(|cut| (slot, cut))) {
            let mut memory = Memory::new(slot.bytes).unwrap();
            let tiling = Tiling::new(&slot.layout, rows, channels);
            for i in 0..tiling.count() {
                // SAFETY: one tile at a time, and nothing reads.
                let mut tile = unsafe { memory.tile(slot, tiling.region(i)) };
                for (image, row) in tile.region().clone().lines() {
                    (0..3).for_each(|x| tile.pixel(image, row, x).iter_mut().for_each(|b| *b += 1));
                }
                tile.fill_halo();
            }
            let count = |bytes: &[u8], value| bytes.iter().filter(|&&byte| byte == value).count();
            let bytes = memory.slice_mut(slot.range());
            let (elements, halo) = (count(bytes, 1), count(bytes, 100));
            assert_eq!(
                (elements, elements + halo),
                (2 * 5 * 4 * 3, pixels * 5),
                "{rows} rows, {channels} channels, {} apart",
                slot.layout.pixel
            );
        }
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn a_pixel_outside_the_region_is_refused() {
        let slot = slot(&[1, 1, 2, 2], Halo::default());
        let memory = Memory::new(4).unwrap();
        // SAFETY: the only tile.
        let mut tile = unsafe { memory.tile(&slot, Region { images: 0..1, rows: 0..1, channels: 0..1 }) };
        tile.pixel(0, 1, 0);
    }

    #[test]
    #[should_panic(expected = "of 4 bytes")]
    fn a_slot_outside_the_memory_is_refused() {
        let slot = Slot { offset: 64, ..slot(&[1, 1, 2, 2], Halo::default()) };
        let memory = Memory::new(4).unwrap();
        // SAFETY: the only tile.
        unsafe { memory.tile(&slot, Region::whole(&slot.layout)) };
    }
}
