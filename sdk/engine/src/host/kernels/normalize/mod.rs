//! Layer and instance normalization in f32, with constant scales and biases.

mod portable;

use tilemark_model::graph::FloatOp;
use tilemark_model::shape::normalize_axis;
use tilemark_model::{Node, Op, Shapes};

use super::{Kernel, per_level};

pub(crate) const KERNELS: &[Kernel] = per_level!("normalize", portable::build);

/// The first axis of the lines that an operation normalizes.
fn first_axis(op: &Op, rank: usize) -> Option<usize> {
    match op {
        Op::Float(FloatOp::LayerNorm { axis, .. }) => normalize_axis(*axis, rank),
        Op::Float(FloatOp::InstanceNorm { .. }) => (rank > 2).then_some(2),
        _ => None,
    }
}

/// Whether these kernels normalize: scale and bias of a layer normalization must be the same for all lines.
pub(crate) fn applies(node: &Node, shapes: &Shapes) -> bool {
    let rank = shapes.of(node.inputs[0]).len();
    let Some(axis) = first_axis(&node.op, rank) else { return false };
    let is_of_line = |shape: &[usize]| {
        let own = shape.len().saturating_sub(rank - axis);
        shape.len() <= rank && shape[..own].iter().all(|&n| n == 1)
    };
    let is_layer = matches!(node.op, Op::Float(FloatOp::LayerNorm { .. }));
    !is_layer || node.inputs[1..].iter().all(|&id| is_of_line(shapes.of(id)))
}
