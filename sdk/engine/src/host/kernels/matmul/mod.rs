//! Matrix products: quantized ones of two activations; those of floats; and of bytes whose zero points are only known when
//! the model runs.

mod heads;
mod lines;
mod portable;

use tilemark_model::graph::FloatOp;
use tilemark_model::{Graph, Node, Op, Shapes, numerics};

pub(crate) use self::lines::stored_byte;
use super::{Kernel, Planned, per_level};
use crate::error::Error;
use crate::host::vectorize::Vectorizer;
use crate::plan::{Layout, Lowering};

pub(crate) const KERNELS: &[Kernel] = per_level!("matmul", portable::build);
pub(crate) const FLOAT_KERNELS: &[Kernel] = per_level!("matmul_f32", build_reals);
pub(crate) const INTEGER_KERNELS: &[Kernel] = per_level!("matmul_integer", lines::build_integers);

/// Whether these kernels multiply `a` and `b`: batches of the same shape, and no number that is infinite.
pub(crate) fn applies(graph: &Graph, node: &Node, a: &Layout, b: &Layout) -> bool {
    let (rank, same) = (a.shape.len(), a.shape.len() == b.shape.len());
    let finite = || {
        let scale = |id| graph.value(id).quant.map_or(f32::NAN, |quant| quant.scale);
        numerics::multiplier(scale(node.inputs[0]), scale(node.inputs[1]), scale(node.output)).is_finite()
    };
    rank >= 2 && same && a.shape[..rank - 2] == b.shape[..rank - 2] && finite()
}

/// Whether the kernels of floats or of bytes multiply the node's operands; `is_fixed` says which do not change.
pub(crate) fn takes(node: &Node, shapes: &Shapes, is_fixed: impl Fn(usize) -> bool) -> bool {
    let ranks = [node.inputs[0], node.inputs[1], node.output].map(|id| shapes.of(id).len());
    match &node.op {
        Op::Float(_) if is_of_heads(node, shapes) => !is_fixed(1),
        Op::Float(_) => lines::takes_reals(node, ranks, is_fixed),
        _ => lines::takes_integers(ranks, shapes.of(node.inputs[2]), is_fixed),
    }
}

/// Whether these are batches of matrices of rank 4, as many of the one as of the other.
fn is_of_heads(node: &Node, shapes: &Shapes) -> bool {
    let [a, b] = [0, 1].map(|i| shapes.of(node.inputs[i]));
    node.inputs.len() == 2 && a.len() == 4 && b.len() == 4 && a[..2] == b[..2]
}

fn build_reals(step: &Lowering<'_>, vectorizer: Vectorizer) -> Result<Planned, Error> {
    match &step.node.op {
        Op::Float(FloatOp::MatMul(product)) if is_of_heads(step.node, step.shapes) => {
            heads::build(step, product.alpha, vectorizer)
        }
        _ => lines::build_reals(step, vectorizer),
    }
}
