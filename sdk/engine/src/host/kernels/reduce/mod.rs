//! Sums and means over any axes, in f32; means of bytes.

mod portable;
mod strided;

use tilemark_model::Op;
use tilemark_model::graph::{FloatOp, ReduceOp};
use tilemark_model::shape::normalize_axis;

use super::strided::named;
use super::{Kernel, Planned, per_level};
use crate::error::Error;
use crate::host::vectorize::Vectorizer;
use crate::plan::{Layout, Lowering};

pub(crate) const KERNELS: &[Kernel] = per_level!("reduce", build);

/// The axes that an operation reduces (none: all of them) of a value with `rank` of them, and whether it divides by their
/// number; `None` for one without kernels.
pub(crate) fn reduction(op: &Op, rank: usize) -> Option<(Vec<i64>, bool)> {
    let spatial = || ((2..rank as i64).collect(), true);
    match op {
        Op::Float(FloatOp::Reduce { op: ReduceOp::Sum, axes, .. }) => Some((axes.clone(), false)),
        Op::Float(FloatOp::Reduce { op: ReduceOp::Mean, axes, .. }) | Op::ReduceMean { axes, .. } => {
            Some((axes.clone(), true))
        }
        // Without spatial axes a mean is of one element, which no axes would not say.
        Op::Float(FloatOp::GlobalAveragePool) | Op::GlobalAveragePool if rank > 2 => Some(spatial()),
        _ => None,
    }
}

/// Whether the reduction of a value with `rank` axes has kernels.
pub(crate) fn applies(op: &Op, rank: usize) -> bool {
    reduction(op, rank).is_some()
}

/// The axes of a value that a reduction leaves out, and where the others are in its result.
pub(crate) struct Reduced {
    /// Those left out.
    pub(crate) axes: Vec<usize>,
    kept: Vec<usize>,
    /// Whether the result has ones in place of the axes left out.
    has_ones: bool,
}

impl Reduced {
    /// A reduction of `x` to `y` over the axes named (none: all).
    pub(crate) fn new(axes: &[i64], x: &Layout, y: &Layout) -> Self {
        let (axes, kept) = named(axes, x.shape.len());
        Self { axes, kept, has_ones: y.shape.len() == x.shape.len() }
    }

    /// The kept axes, each with the axis of the result that it is.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (usize, usize)> {
        let to = |(i, &axis): (usize, &usize)| (axis, if self.has_ones { axis } else { i });
        self.kept.iter().enumerate().map(to)
    }
}

fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let x = &step.inputs[0];
    let unplanned = || Error::internal(&step.node.name, "planned as a reduction");
    let (axes, is_mean) = reduction(&step.node.op, x.shape.len()).ok_or_else(unplanned)?;
    if matches!(step.node.op, Op::Float(_)) && lies_in_lines(&axes, x, step.output) {
        return portable::build(step, is_mean, vectorizer);
    }
    strided::build(step, &axes, is_mean, vectorizer)
}

/// Whether every line of `x` becomes one element of `y`, in their order.
fn lies_in_lines(axes: &[i64], x: &Layout, y: &Layout) -> bool {
    let rank = x.shape.len();
    let along_lines =
        matches!(*axes, [axis] if normalize_axis(axis, rank).is_some_and(|axis| axis + 1 == rank));
    // With four axes the last one is not innermost in memory.
    along_lines && rank != 4 && y.shape.len() != 4
}
