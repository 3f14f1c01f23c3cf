//! Quantized convolution, dense and grouped. Depthwise ones have their own folder.
//!
//! Padding is in the input's halo: no kernel tests for an image's edge.

mod direct;
mod scalar;

#[cfg(target_arch = "x86_64")]
pub(crate) use direct::suits_amx;
use tilemark_model::Op;
use tilemark_model::graph::Window;
use tilemark_model::shape::output_extent;

use super::Kernel;
use super::gemm::products;
use crate::error::Error;
use crate::plan::{Halo, Layout, Lowering};

pub(crate) const KERNELS: &[Kernel] = products!("conv", scalar::build, direct::build);

/// Where a window reads: everything that variants need to know about the input.
#[derive(Clone, Debug)]
pub(crate) struct Geometry {
    /// Rows and columns between outputs, in bytes.
    step: [usize; 2],
    /// Byte offset of the first tap of output (0, 0) of an image.
    origin: usize,
    /// Bytes between images.
    image: usize,
    /// Byte offset of every tap from the first, row by row.
    pub(crate) taps: Vec<usize>,
}

impl Geometry {
    /// The geometry of `window` over an input that has the halo that it wants.
    pub(crate) fn new(window: &Window, x: &Layout, at: &str) -> Result<Self, Error> {
        let inconsistent = || Error::internal(at, "the input's halo is smaller than the window's padding");
        let extent = output_extent(window, [x.grid.rows, x.grid.columns], false).ok_or_else(inconsistent)?;
        let top = x.halo.top.checked_sub(extent.before[0]).ok_or_else(inconsistent)?;
        let left = x.halo.left.checked_sub(extent.before[1]).ok_or_else(inconsistent)?;
        let (row, column) = (x.row_stride(), x.column_stride());
        let [height, width] = window.kernel;
        let tap = |ky: usize, kx: usize| ky * window.dilations[0] * row + kx * window.dilations[1] * column;
        Ok(Self {
            step: [window.strides[0] * row, window.strides[1] * column],
            origin: top * row + left * column,
            image: x.image_stride(),
            taps: (0..height).flat_map(|ky| (0..width).map(move |kx| tap(ky, kx))).collect(),
        })
    }

    /// Byte offset of the first tap of an output pixel.
    #[inline]
    pub(crate) fn first_tap(&self, image: usize, row: usize, column: usize) -> usize {
        image * self.image + self.origin + row * self.step[0] + column * self.step[1]
    }
}

/// The halo that `window` wants around an input of shape `[N, C, H, W]`: up to the last tap of the last output.
pub(crate) fn halo(window: &Window, shape: &[usize]) -> Option<Halo> {
    let &[_, _, rows, columns] = shape else { return None };
    let extent = output_extent(window, [rows, columns], false)?;
    let after = |axis: usize, size: usize| {
        let last = (extent.output[axis] - 1) * window.strides[axis];
        let end = last + (window.kernel[axis] - 1) * window.dilations[axis] + 1;
        end.saturating_sub(extent.before[axis] + size)
    };
    let [top, left] = extent.before;
    Some(Halo { top, left, bottom: after(0, rows), right: after(1, columns) })
}

/// Bytes of the input around one step's weights: `[O, C/groups, KH, KW]`.
pub(crate) fn weights<'a>(step: &Lowering<'a>) -> Result<(&'a [i8], [usize; 4]), Error> {
    let missing = || Error::internal(&step.node.name, "lacks its weights");
    let id = step.node.inputs[1];
    let constant = step.graph.value(id).constant.as_ref().ok_or_else(missing)?;
    let shape = constant.shape.as_slice().try_into().map_err(|_| missing())?;
    Ok((bytemuck::cast_slice(step.graph.constant_bytes(id).ok_or_else(missing)?), shape))
}

/// The window and groups of the step's node.
pub(crate) fn attributes<'a>(
    step: &Lowering<'a>,
) -> Result<(&'a tilemark_model::graph::Conv, tilemark_model::graph::Bounds), Error> {
    match &step.node.op {
        Op::Conv(conv, bounds) => Ok((conv, *bounds)),
        other => Err(Error::internal(&step.node.name, format!("{} planned as Conv", other.name()))),
    }
}
