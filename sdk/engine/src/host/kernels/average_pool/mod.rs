//! Mean of a window: quantized, rounded once, or in f32.

mod float;
mod portable;

use std::iter::StepBy;
use std::ops::Range;

use tilemark_model::Op;
use tilemark_model::graph::{FloatOp, Pool};
use tilemark_model::shape::output_extent;

use super::{Kernel, per_level};
use crate::error::Error;
use crate::plan::Lowering;

pub(super) use float::{Pooling, build_of};
pub(super) use portable::add;

pub(crate) const KERNELS: &[Kernel] = per_level!("average_pool", portable::build);
/// The same of floats, each sum in the contract's order.
pub(crate) const FLOAT_KERNELS: &[Kernel] = per_level!("average_pool_f32", float::build);

/// A pooling window laid over an image. Pooling handles edges itself: which taps count depends on them.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    pool: Pool,
    image: [usize; 2],
    before: [usize; 2],
    after: [usize; 2],
}

impl Windows {
    /// The windows of a pooling step.
    pub(crate) fn new(step: &Lowering<'_>) -> Result<Self, Error> {
        let inconsistent = |reason| Error::internal(&step.node.name, reason);
        let (Op::AveragePool(pool) | Op::MaxPool(pool) | Op::Float(FloatOp::AveragePool(pool))) =
            &step.node.op
        else {
            return Err(inconsistent("planned as pooling"));
        };
        let grid = step.inputs[0].grid;
        Self::of(pool, [grid.rows, grid.columns])
            .ok_or_else(|| inconsistent("has a window that fits nowhere"))
    }

    /// The windows of a pool on an image of `[rows, columns]`; `None` if they fit nowhere.
    pub(crate) fn of(pool: &Pool, image: [usize; 2]) -> Option<Self> {
        let extent = output_extent(&pool.window, image, pool.ceil_mode)?;
        Some(Self { pool: pool.clone(), image, before: extent.before, after: extent.after })
    }

    /// The image's rows (axis 0) or columns (axis 1) under the window of one output.
    pub(crate) fn along(&self, axis: usize, output: usize) -> StepBy<Range<usize>> {
        let window = &self.pool.window;
        let (dilation, before) = (window.dilations[axis], self.before[axis]);
        let start = output * window.strides[axis];
        let end = start + (window.kernel[axis] - 1) * dilation + 1;
        // The first tap at or after the image's edge.
        let first = if start >= before {
            start - before
        } else {
            (dilation - (before - start) % dilation) % dilation
        };
        let end = end.saturating_sub(before).min(self.image[axis]);
        (first.min(end)..end).step_by(dilation)
    }

    /// Elements that the mean of one output divides by.
    pub(crate) fn divisor(&self, output: [usize; 2]) -> usize {
        self.count(0, output[0]) * self.count(1, output[1])
    }

    /// Rows (axis 0) or columns (axis 1) of one output's window that count.
    pub(crate) fn count(&self, axis: usize, output: usize) -> usize {
        if !self.pool.count_include_pad {
            return self.along(axis, output).len();
        }
        // Padding counts, but not what a window covers beyond it in ceil mode.
        let window = &self.pool.window;
        let end = self.image[axis] + self.before[axis] + self.after[axis];
        let room = end.saturating_sub(output * window.strides[axis]);
        window.kernel[axis].min(room.div_ceil(window.dilations[axis]))
    }
}
