//! Softmax and its logarithm along any axis, in f32.

mod portable;
mod strided;

use tilemark_model::graph::FloatOp;
use tilemark_model::shape::normalize_axis;
use tilemark_model::{Node, Op};

use super::{Kernel, Planned, per_level};
use crate::error::Error;
use crate::host::vectorize::Vectorizer;
use crate::plan::{Layout, Lowering};

pub(crate) use portable::sum;

pub(crate) const KERNELS: &[Kernel] = per_level!("softmax", build);

fn build(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    let axes = axes(step.node, &step.inputs[0])?;
    let is_plain = matches!(step.node.op, Op::Float(FloatOp::Softmax { .. }));
    match axes[..] {
        [axis] if is_plain && is_innermost(axis, &step.inputs[0]) => portable::build(step, vectorizer),
        _ => Ok(strided::build(step, &axes, !is_plain, vectorizer)),
    }
}

/// The axes that a line runs through.
fn axes(node: &Node, x: &Layout) -> Result<Vec<usize>, Error> {
    let rank = x.shape.len();
    let along = |axis: i64, to_end: bool| {
        let axis = normalize_axis(axis, rank)?;
        Some(if to_end { (axis..rank).collect() } else { vec![axis] })
    };
    match node.op {
        Op::Float(FloatOp::Softmax { axis, to_end } | FloatOp::LogSoftmax { axis, to_end }) => {
            along(axis, to_end)
        }
        _ => None,
    }
    .ok_or_else(|| Error::internal(&node.name, "planned as a softmax"))
}

/// Whether lines along `axis` have no gaps, and follow each other.
fn is_innermost(axis: usize, x: &Layout) -> bool {
    axis == if x.shape.len() == 4 { 1 } else { x.shape.len().saturating_sub(1) }
}
