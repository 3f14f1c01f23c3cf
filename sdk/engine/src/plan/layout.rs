//! How values lie in memory: rank-4 values channels-last with a halo where a reader wants one, all others as they are.

use std::ops::Range;

use tilemark_model::{Coded, DType, Data, Tensor};

use super::tiling::Region;
use crate::error::Error;
use crate::limits::MAX_ARENA_BYTES;

/// Readable bytes after every buffer, so that vector kernels may load past its end.
pub(crate) const READ_SLACK: usize = 256;

/// How the axes of a rank-4 value lie in memory.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Order {
    /// The axes are `[N,C,H,W]`, and the channels come last in memory.
    #[default]
    ChannelsLast,
    /// The axes are `[N,H,W,C]`, and memory has the same order.
    Own,
}

/// A value's extents in memory order. A rank-4 value is `images x rows x columns x channels`; any other one image of
/// one column, its last axis the channels and all others the rows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Grid {
    pub(crate) images: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) channels: usize,
}

/// Rows and columns of zero points around each image, so that a padded convolution never tests for edges.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Halo {
    pub(crate) top: usize,
    pub(crate) left: usize,
    pub(crate) bottom: usize,
    pub(crate) right: usize,
}

impl Halo {
    /// The smallest halo that serves both.
    pub(crate) fn union(self, other: Self) -> Self {
        Self {
            top: self.top.max(other.top),
            left: self.left.max(other.left),
            bottom: self.bottom.max(other.bottom),
            right: self.right.max(other.right),
        }
    }
}

/// The place of every element of one value, relative to the start of its buffer.
///
/// 8-bit values are stored as `u8` whatever their type: `i8` elements have their top bit flipped, which adds 128 to
/// them and to their zero point and changes no result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: DType,
    pub(crate) order: Order,
    pub(crate) grid: Grid,
    pub(crate) halo: Halo,
    /// Elements from one pixel to the next: the channels, or more where other values' channels lie between.
    pub(crate) pixel: usize,
}

impl Layout {
    pub(crate) fn new(shape: &[usize], dtype: DType, halo: Halo) -> Self {
        let grid = match *shape {
            [images, channels, rows, columns] => Grid { images, rows, columns, channels },
            [] => Grid { images: 1, rows: 1, columns: 1, channels: 1 },
            [ref outer @ .., channels] => {
                Grid { images: 1, rows: outer.iter().product(), columns: 1, channels }
            }
        };
        Self { shape: shape.to_vec(), dtype, order: Order::ChannelsLast, grid, halo, pixel: grid.channels }
    }

    /// The layout of the same value in another order, if it has four axes.
    pub(crate) fn in_order(mut self, order: Order) -> Self {
        if let ([images, rows, columns, channels], Order::Own) = (&self.shape[..], order) {
            self.grid = Grid { images: *images, rows: *rows, columns: *columns, channels: *channels };
            self.order = order;
            self.pixel = self.grid.channels;
        }
        self
    }

    /// The layout of the same value where its pixels lie `pixel` elements apart, among other values' channels.
    pub(crate) fn apart(mut self, pixel: usize) -> Self {
        self.pixel = pixel;
        self
    }

    /// Whether nothing lies between one pixel and the next.
    pub(crate) fn is_dense(&self) -> bool {
        self.pixel == self.grid.channels
    }

    /// Whether nothing lies between the pixels of a row.
    pub(crate) fn has_rows(&self) -> bool {
        self.is_dense() || self.grid.columns <= 1
    }

    /// Whether memory order is the model's own row-major order.
    pub(crate) fn is_plain(&self) -> bool {
        let Grid { rows, columns, channels, .. } = self.grid;
        let is_whole = self.halo == Halo::default() && self.is_dense();
        is_whole && (self.is_in_order() || channels == 1 || rows * columns == 1)
    }

    /// Whether the axes lie in the model's own order.
    fn is_in_order(&self) -> bool {
        self.shape.len() != 4 || self.order == Order::Own
    }

    /// Whether both name the same elements in the same order of bytes, so that one buffer serves for both.
    pub(crate) fn same_bytes(&self, other: &Self) -> bool {
        self.dtype == other.dtype && (self == other || (self.is_plain() && other.is_plain()))
    }

    /// Elements from one place to the next along each of the shape's axes.
    pub(crate) fn strides(&self) -> Vec<usize> {
        let size = self.dtype.size();
        if self.shape.len() == 4 {
            let (image, row, column) = (self.image_stride() / size, self.row_stride() / size, self.pixel);
            return match self.order {
                Order::ChannelsLast => vec![image, 1, row, column],
                Order::Own => vec![image, row, column, 1],
            };
        }
        let mut strides = vec![1; self.shape.len()];
        let mut step = self.pixel;
        for axis in (1..self.shape.len()).rev() {
            strides[axis - 1] = step;
            step *= self.shape[axis - 1];
        }
        strides
    }

    /// The shape's axes in memory order, the outermost first.
    pub(crate) fn memory_axes(&self) -> Vec<usize> {
        match self.order {
            Order::ChannelsLast if self.shape.len() == 4 => vec![0, 2, 3, 1],
            _ => (0..self.shape.len()).collect(),
        }
    }

    /// Elements before the first one: the halo above and left of it.
    pub(crate) fn origin(&self) -> usize {
        self.offset(0, 0, 0) / self.dtype.size()
    }

    /// Bytes from one column to the next.
    pub(crate) fn column_stride(&self) -> usize {
        self.pixel * self.dtype.size()
    }

    /// Bytes of a pixel's channels.
    pub(crate) fn pixel_bytes(&self) -> usize {
        self.grid.channels * self.dtype.size()
    }

    /// Elements of a row that lie side by side, and from the first of them to the first of the next: the whole row, or one
    /// pixel's channels.
    pub(crate) fn run(&self) -> [usize; 2] {
        let (channels, line) = (self.grid.channels, self.grid.columns * self.grid.channels);
        if self.is_dense() { [line, line] } else { [channels, self.pixel] }
    }

    /// Bytes from the first to the last of a row without its halo.
    pub(crate) fn row_bytes(&self) -> usize {
        match self.grid.columns {
            0 => 0,
            columns => (columns - 1) * self.column_stride() + self.pixel_bytes(),
        }
    }

    /// Bytes from one row to the next.
    pub(crate) fn row_stride(&self) -> usize {
        (self.halo.left + self.grid.columns + self.halo.right) * self.column_stride()
    }

    /// Bytes from one image to the next.
    pub(crate) fn image_stride(&self) -> usize {
        (self.halo.top + self.grid.rows + self.halo.bottom) * self.row_stride()
    }

    /// Byte offset of the first channel of a pixel inside the halo.
    pub(crate) fn offset(&self, image: usize, row: usize, column: usize) -> usize {
        image * self.image_stride()
            + (self.halo.top + row) * self.row_stride()
            + (self.halo.left + column) * self.column_stride()
    }

    /// Where the rows of a region lie, from the first byte to the last, as long as no halo lies between them.
    pub(crate) fn span(&self, region: &Region) -> Range<usize> {
        let start = self.offset(region.images.start, region.rows.start, 0);
        let (Some(image), Some(row)) = (region.images.clone().last(), region.rows.clone().last()) else {
            return start..start;
        };
        start..self.offset(image, row, 0) + self.row_bytes()
    }

    /// Bytes that are the value's own: those of its pixels, halo included.
    pub(crate) fn own_bytes(&self) -> usize {
        let bytes = self.bytes().unwrap_or(usize::MAX);
        bytes.div_ceil(self.column_stride().max(1)).saturating_mul(self.pixel_bytes())
    }

    /// Bytes from the first to the last, halo included: the buffer's, without slack, where no other value lies between.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`MAX_ARENA_BYTES`].
    pub(crate) fn bytes(&self) -> Result<usize, Error> {
        let Grid { images, rows, columns, channels } = self.grid;
        let Halo { top, left, bottom, right } = self.halo;
        let sum = |a: usize, b: usize, c: usize| a.checked_add(b)?.checked_add(c);
        let product = || {
            let rows = sum(top, rows, bottom)?.checked_mul(images)?;
            let pixels = sum(left, columns, right)?.checked_mul(rows)?;
            let elements = pixels.checked_mul(self.pixel)?.saturating_sub(self.pixel - channels);
            elements.checked_mul(self.dtype.size())
        };
        match product() {
            Some(bytes) if bytes <= MAX_ARENA_BYTES => Ok(bytes),
            found => Err(Error::TooLarge {
                what: "one activation",
                found: found.unwrap_or(usize::MAX),
                limit: MAX_ARENA_BYTES,
            }),
        }
    }

    /// Writes a tensor of this shape and type into `bytes`, the whole buffer; what is not an element becomes `fill`.
    ///
    /// # Errors
    /// [`Error::Internal`] if the tensor is another one than the plan was made for.
    pub(crate) fn store(&self, tensor: &Tensor, bytes: &mut [u8], fill: u8) -> Result<(), Error> {
        if tensor.shape() != self.shape || tensor.dtype() != self.dtype {
            return Err(Error::internal("a tensor", "does not have the planned shape or type"));
        }
        if self.halo != Halo::default() {
            let pixels = bytes.chunks_mut(self.column_stride().max(1));
            pixels.for_each(|pixel| pixel[..self.pixel_bytes()].fill(fill));
        }
        match tensor.data() {
            Data::U8(v) => self.scatter(v, bytes),
            Data::I8(v) => {
                self.scatter(bytemuck::cast_slice::<i8, u8>(v), bytes);
                self.flip_elements(bytes);
            }
            Data::I32(v) => self.scatter(v, bytemuck::cast_slice_mut(bytes)),
            Data::I64(v) => self.scatter(v, bytemuck::cast_slice_mut(bytes)),
            Data::F32(v) => self.scatter(v, bytemuck::cast_slice_mut(bytes)),
            Data::Coded(coded) => self.scatter_coded(coded.bytes(), bytes),
        }
        Ok(())
    }

    /// Reads the tensor back out of its buffer.
    ///
    /// # Errors
    /// None for a layout made from inferred shapes.
    pub(crate) fn load(&self, bytes: &[u8]) -> Result<Tensor, Error> {
        self.load_after(bytes, 0, Vec::new(), Data::empty(self.dtype))
    }

    /// [`Layout::load`] into the memory of another tensor's shape and elements, which spares allocations if it had
    /// this type and as many elements, behind the `before` tensors of this shape that it holds already.
    ///
    /// # Errors
    /// Those of [`Layout::load`].
    pub(crate) fn load_after(
        &self,
        bytes: &[u8],
        before: usize,
        mut shape: Vec<usize>,
        spare: Data,
    ) -> Result<Tensor, Error> {
        let mut data = if spare.dtype() == self.dtype { spare } else { Data::empty(self.dtype) };
        if before == 0 {
            data.clear();
        }
        match &mut data {
            Data::U8(all) => self.gather(bytes, all),
            Data::I8(all) => self.gather_signed(bytes, all),
            Data::I32(all) => self.gather(bytemuck::cast_slice(bytes), all),
            Data::I64(all) => self.gather(bytemuck::cast_slice(bytes), all),
            Data::F32(all) => self.gather(bytemuck::cast_slice(bytes), all),
            Data::Coded(coded) => {
                let all = [coded.bytes(), &self.gather_coded(bytes)].concat();
                *coded = Coded::new(self.dtype, all)?;
            }
        }
        shape.clear();
        shape.extend_from_slice(&self.shape);
        shape.first_mut().into_iter().for_each(|first| *first *= before + 1);
        Ok(Tensor::new(shape, data)?)
    }

    /// Calls `visit` with image, row and the element offset of the row's first pixel.
    fn rows(&self, mut visit: impl FnMut(usize, usize, usize)) {
        for image in 0..self.grid.images {
            for row in 0..self.grid.rows {
                visit(image, row, self.offset(image, row, 0) / self.dtype.size());
            }
        }
    }

    fn scatter<T: Copy>(&self, elements: &[T], buffer: &mut [T]) {
        if self.is_plain() || elements.is_empty() {
            buffer[..elements.len()].copy_from_slice(elements);
            return;
        }
        let Grid { rows, columns, channels, .. } = self.grid;
        self.rows(|image, row, at| {
            if self.is_in_order() {
                let (line, [run, step]) = (columns * channels, self.run());
                let runs = elements[(image * rows + row) * line..][..line].chunks_exact(run);
                let places = buffer[at..].chunks_mut(step);
                places.zip(runs).for_each(|(to, from)| to[..run].copy_from_slice(from));
                return;
            }
            for channel in 0..channels {
                let line = &elements[((image * channels + channel) * rows + row) * columns..][..columns];
                for (x, &element) in line.iter().enumerate() {
                    buffer[at + x * self.pixel + channel] = element;
                }
            }
        });
    }

    /// Adds the elements in row-major order to `all`.
    fn gather<T: Copy + Default>(&self, buffer: &[T], all: &mut Vec<T>) {
        let Grid { images, rows, columns, channels } = self.grid;
        let count = images * rows * columns * channels;
        if self.is_plain() || count == 0 {
            return all.extend_from_slice(&buffer[..count]);
        }
        let before = all.len();
        all.resize(before + count, T::default());
        let elements = &mut all[before..];
        self.rows(|image, row, at| {
            if self.is_in_order() {
                let (line, [run, step]) = (columns * channels, self.run());
                let runs = elements[(image * rows + row) * line..][..line].chunks_exact_mut(run);
                runs.zip(buffer[at..].chunks(step)).for_each(|(to, from)| to.copy_from_slice(&from[..run]));
                return;
            }
            for channel in 0..channels {
                let line = &mut elements[((image * channels + channel) * rows + row) * columns..][..columns];
                let pixels = buffer[at..].chunks(self.pixel);
                line.iter_mut().zip(pixels).for_each(|(element, pixel)| *element = pixel[channel]);
            }
        });
    }

    fn gather_signed(&self, bytes: &[u8], all: &mut Vec<i8>) {
        let before = all.len();
        self.gather(bytemuck::cast_slice(bytes), all);
        all[before..].iter_mut().for_each(|element| *element ^= i8::MIN);
    }

    /// Elements of a type without a variant of its own, as words of its size.
    fn scatter_coded(&self, elements: &[u8], buffer: &mut [u8]) {
        fn words<const N: usize>(layout: &Layout, elements: &[u8], buffer: &mut [u8]) {
            layout.scatter::<[u8; N]>(elements.as_chunks().0, buffer.as_chunks_mut().0);
        }
        match self.dtype.size() {
            1 => self.scatter(elements, buffer),
            2 => words::<2>(self, elements, buffer),
            4 => words::<4>(self, elements, buffer),
            _ => words::<8>(self, elements, buffer),
        }
    }

    fn gather_coded(&self, buffer: &[u8]) -> Vec<u8> {
        fn words<const N: usize>(layout: &Layout, buffer: &[u8]) -> Vec<u8>
        where
            [u8; N]: Default,
        {
            let mut all: Vec<[u8; N]> = Vec::new();
            layout.gather(buffer.as_chunks().0, &mut all);
            all.into_flattened()
        }
        match self.dtype.size() {
            1 => words::<1>(self, buffer),
            2 => words::<2>(self, buffer),
            4 => words::<4>(self, buffer),
            _ => words::<8>(self, buffer),
        }
    }

    fn flip_elements(&self, bytes: &mut [u8]) {
        let [run, step] = self.run();
        self.rows(|_, _, at| {
            for place in bytes[at..at + self.row_bytes()].chunks_mut(step.max(1)) {
                place[..run].iter_mut().for_each(|byte| *byte ^= 0x80);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use tilemark_model::numerics::narrow::{Number, collect};

    use super::*;

    fn ramp(shape: &[usize], dtype: DType) -> Tensor {
        let n = shape.iter().product::<usize>();
        let data = match dtype {
            DType::U8 => Data::U8((0..n).map(|i| i as u8).collect()),
            DType::I8 => Data::I8((0..n).map(|i| i as u8 as i8).collect()),
            DType::I32 => Data::I32((0..n).map(|i| i as i32 - 5).collect()),
            DType::I64 => Data::I64((0..n).map(|i| i as i64 - 5).collect()),
            DType::F32 => Data::F32((0..n).map(|i| i as f32 / 3.0).collect()),
            other => collect(other, n, true, &|i| Number::Int(i as i128)).unwrap(),
        };
        Tensor::new(shape, data).unwrap()
    }

    #[test]
    fn every_type_and_rank_survives_the_round_trip() {
        let halo = Halo { top: 1, left: 2, bottom: 0, right: 3 };
        let coded = [DType::Bool, DType::I16, DType::U32, DType::F64];
        for dtype in [DType::U8, DType::I8, DType::I32, DType::I64, DType::F32].into_iter().chain(coded) {
            for shape in
                [&[2, 3, 4, 5][..], &[1, 7, 1, 1], &[6, 4], &[3], &[], &[2, 2, 2, 2, 2], &[2, 0, 3, 3]]
            {
                let halos =
                    if shape.len() == 4 { vec![halo, Halo::default()] } else { vec![Halo::default()] };
                let orders = [Order::ChannelsLast, Order::Own];
                let forms = halos.into_iter().flat_map(|halo| orders.map(|order| (halo, order)));
                for ((halo, order), between) in forms.flat_map(|form| [0, 3].map(|between| (form, between))) {
                    let dense = Layout::new(shape, dtype, halo).in_order(order);
                    let pixel = dense.pixel + between;
                    let layout = dense.apart(pixel);
                    let mut words = vec![0u64; layout.bytes().unwrap().div_ceil(8)];
                    let bytes =
                        &mut bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..layout.bytes().unwrap()];
                    let tensor = ramp(shape, dtype);
                    layout.store(&tensor, bytes, 9).unwrap();
                    assert_eq!(layout.load(bytes).unwrap(), tensor, "{layout:?}");
                }
            }
        }
    }

    #[test]
    fn images_lie_channels_last_inside_their_halo() {
        let layout = Layout::new(&[1, 2, 1, 2], DType::I8, Halo { left: 1, ..Halo::default() });
        let tensor = Tensor::new([1, 2, 1, 2], Data::I8(vec![1, 2, -128, 127])).unwrap();
        let mut bytes = [0u8; 6];
        layout.store(&tensor, &mut bytes, 77).unwrap();
        assert_eq!(bytes, [77, 77, 129, 0, 130, 255]);
    }

    /// Two values in one buffer, each with the other's channels between its own.
    #[test]
    fn values_that_lie_apart_leave_others_alone() {
        let halo = Halo { left: 1, ..Halo::default() };
        let layout = |channels| Layout::new(&[1, channels, 1, 2], DType::U8, halo).apart(3);
        let tensor = |shape: [usize; 4], bytes: &[u8]| Tensor::new(shape, Data::U8(bytes.to_vec())).unwrap();
        let (one, two) = (tensor([1, 1, 1, 2], &[1, 2]), tensor([1, 2, 1, 2], &[3, 4, 5, 6]));
        let mut bytes = [0u8; 9];
        layout(1).store(&one, &mut bytes[..layout(1).bytes().unwrap()], 77).unwrap();
        layout(2).store(&two, &mut bytes[1..], 88).unwrap();
        assert_eq!(bytes, [77, 88, 88, 1, 3, 5, 2, 4, 6]);
        assert_eq!((layout(1).bytes().unwrap(), layout(2).bytes().unwrap()), (7, 8));
        assert_eq!(layout(1).load(&bytes).unwrap(), one);
        assert_eq!(layout(2).load(&bytes[1..]).unwrap(), two);
        let rows = Layout::new(&[2, 2], DType::U8, Halo::default()).apart(3);
        rows.store(&Tensor::new([2, 2], Data::U8(vec![1, 2, 3, 4])).unwrap(), &mut bytes[..5], 0).unwrap();
        assert_eq!(bytes[..5], [1, 2, 88, 3, 4]);
        assert!(!layout(1).same_bytes(&Layout::new(&[1, 2], DType::U8, Halo::default())));
        assert_eq!(Layout::new(&[2, 3, 4], DType::U8, Halo::default()).apart(9).strides(), [27, 9, 1]);
    }

    #[test]
    fn same_bytes_sees_through_shapes() {
        let plain = |shape: &[usize]| Layout::new(shape, DType::U8, Halo::default());
        assert!(plain(&[2, 5, 1, 1]).same_bytes(&plain(&[2, 5])));
        assert!(plain(&[2, 1, 3, 3]).same_bytes(&plain(&[2, 9])));
        assert!(!plain(&[2, 5, 2, 1]).same_bytes(&plain(&[2, 10])));
        assert!(plain(&[2, 5, 2, 1]).same_bytes(&plain(&[2, 5, 2, 1])));
        assert!(plain(&[2, 5, 2, 3]).in_order(Order::Own).same_bytes(&plain(&[2, 30])));
    }

    #[test]
    fn a_halo_beyond_the_limit_is_refused() {
        let halo = Halo { top: 65536, left: 65536, bottom: 65536, right: 65536 };
        let error = Layout::new(&[1, 64, 1, 1], DType::U8, halo).bytes().unwrap_err();
        assert_eq!(error.code(), "TM0406");
    }
}
