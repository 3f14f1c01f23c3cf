//! Sums and means of lines that lie in memory as they are, in f32: what a layer normalization is made of.

mod portable;

use tilemark_model::graph::ReduceOp;
use tilemark_model::shape::normalize_axis;

use super::{Kernel, per_level};
use crate::plan::Layout;

pub(crate) const KERNELS: &[Kernel] = per_level!("reduce", portable::build);

/// Whether the reduction of `x` along `axes` to `y` is a sum or mean of every line.
pub(crate) fn applies(op: ReduceOp, axes: &[i64], x: &Layout, y: &Layout) -> bool {
    let rank = x.shape.len();
    let along_lines =
        matches!(*axes, [axis] if normalize_axis(axis, rank).is_some_and(|axis| axis + 1 == rank));
    // With four axes the last one is not innermost in memory.
    let lines_follow = rank != 4 && y.shape.len() != 4;
    matches!(op, ReduceOp::Sum | ReduceOp::Mean) && along_lines && lines_follow
}
