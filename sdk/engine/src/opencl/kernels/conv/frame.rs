//! Where a convolution reads and writes.

use super::{Arg, Layer, int};
use crate::error::Error;
use crate::plan::Slot;

/// Extents and strides of x, y and the other operand of a sum.
pub(in crate::opencl::kernels) struct Frame {
    pub(in crate::opencl::kernels) x: View,
    pub(in crate::opencl::kernels) y: View,
    other: View,
    /// Rows above and columns left of the image.
    pub(in crate::opencl::kernels) before: [usize; 2],
}

/// A tensor: images, rows, columns, channels; offset, bytes from image to image, row to row, column to column.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::opencl::kernels) struct View {
    pub(in crate::opencl::kernels) size: [usize; 4],
    pub(in crate::opencl::kernels) at: [usize; 4],
}

impl View {
    fn new(slot: &Slot) -> Self {
        let (grid, layout) = (slot.layout.grid, &slot.layout);
        let first = slot.offset + layout.offset(0, 0, 0);
        Self {
            size: [grid.images, grid.rows, grid.columns, grid.channels],
            at: [first, layout.image_stride(), layout.row_stride(), layout.column_stride()],
        }
    }

    /// Whether row follows row, and image image, as column follows column.
    fn is_one_row(&self) -> bool {
        let [_, image, row, column] = self.at;
        let [_, rows, columns, _] = self.size;
        row == columns * column && image == rows * row
    }

    fn as_one_row(self) -> Self {
        let [images, rows, columns, channels] = self.size;
        let pixels = images * rows * columns;
        let [offset, _, _, column] = self.at;
        Self { size: [1, 1, pixels, channels], at: [offset, pixels * column, pixels * column, column] }
    }
}

impl Frame {
    /// Views as the tensors lie; a convolution that looks at one pixel alone sees all pixels as one row, if nothing lies
    /// between them.
    pub(in crate::opencl::kernels) fn new(layer: &Layer<'_>) -> Result<Self, Error> {
        let site = layer.site;
        let mut views = [View::new(&site.inputs[0]), View::new(site.output), View::default()];
        if let (Some(_), Some(other)) = (site.sum, site.inputs.last()) {
            views[2] = View::new(other);
        }
        let before = layer.before()?;
        let used = if site.sum.is_some() { 3 } else { 2 };
        let alone = layer.taps() == 1 && layer.conv.window.strides == [1, 1] && before == [0, 0];
        // Padding after the image makes y larger than x, even with a single tap.
        if alone && views[0].size[..3] == views[1].size[..3] && views[..used].iter().all(View::is_one_row) {
            views[..used].iter_mut().for_each(|view| *view = view.as_one_row());
        }
        let [x, y, other] = views;
        Ok(Self { x, y, other, before })
    }

    /// `x_size, x_at, y_size, y_at`.
    pub(in crate::opencl::kernels) fn tensors(&self) -> [Arg; 4] {
        [self.x.size, self.x.at, self.y.size, self.y.at].map(|numbers| Arg::Int4(numbers.map(int)))
    }

    /// `other_at`.
    pub(in crate::opencl::kernels) fn other(&self) -> Arg {
        Arg::Int4(self.other.at.map(int))
    }

    /// Rows of all images.
    pub(in crate::opencl::kernels) fn lines(&self) -> usize {
        self.y.size[0] * self.y.size[1]
    }
}
