//! Where a convolution reads and writes.

use super::super::walk::{Strided, sizes};
use super::{Arg, Layer, int};
use crate::error::Error;
use crate::plan::Slot;

/// Extents and strides of x, y and the other operand of a sum.
pub(in crate::opencl::kernels) struct Frame {
    pub(in crate::opencl::kernels) x: View,
    pub(in crate::opencl::kernels) y: View,
    other: Option<View>,
    /// Rows above and columns left of the image.
    pub(in crate::opencl::kernels) before: [usize; 2],
}

/// A tensor: images, rows, columns and channels, and where they lie.
#[derive(Clone, Copy, Debug)]
pub(in crate::opencl::kernels) struct View {
    pub(in crate::opencl::kernels) size: [usize; 4],
    pub(in crate::opencl::kernels) at: Strided,
}

impl View {
    fn new(slot: &Slot) -> Self {
        Self { size: sizes(&slot.layout), at: Strided::of(slot) }
    }

    /// Whether row follows row, and image image, as column follows column.
    fn is_one_row(&self) -> bool {
        let [image, row, column, _] = self.at.strides;
        let [_, rows, columns, _] = self.size;
        row == columns * column && image == rows * row
    }

    fn as_one_row(self) -> Self {
        let [images, rows, columns, channels] = self.size;
        let pixels = images * rows * columns;
        let [_, _, column, channel] = self.at.strides;
        let strides = [pixels * column, pixels * column, column, channel];
        Self { size: [1, 1, pixels, channels], at: Strided { strides, ..self.at } }
    }
}

impl Frame {
    /// Views as the tensors lie; a convolution that looks at one pixel alone sees all pixels as one row, if nothing lies
    /// between them.
    pub(in crate::opencl::kernels) fn new(layer: &Layer<'_>) -> Result<Self, Error> {
        let site = layer.site;
        let (x, y) = (View::new(&site.inputs[0]), View::new(site.output));
        let other = site.other().map(View::new);
        let before = layer.before()?;
        let alone = layer.taps() == 1 && layer.conv.window.strides == [1, 1] && before == [0, 0];
        // Padding after the image makes y larger than x, even with a single tap.
        let are_even = x.size[..3] == y.size[..3];
        if alone && are_even && [x, y].iter().chain(&other).all(View::is_one_row) {
            return Ok(Self {
                x: x.as_one_row(),
                y: y.as_one_row(),
                other: other.map(View::as_one_row),
                before,
            });
        }
        Ok(Self { x, y, other, before })
    }

    /// `x_size, x_at, y_size, y_at`.
    pub(in crate::opencl::kernels) fn tensors(&self) -> [Arg; 4] {
        let size = |view: &View| Arg::Int4(view.size.map(int));
        [size(&self.x), self.x.at.at(), size(&self.y), self.y.at.at()]
    }

    /// `other_at`.
    pub(in crate::opencl::kernels) fn other(&self) -> Arg {
        self.other.map_or(Arg::Int4([0; 4]), |other| other.at.at())
    }

    /// Rows of all images.
    pub(in crate::opencl::kernels) fn lines(&self) -> usize {
        self.y.size[0] * self.y.size[1]
    }
}
