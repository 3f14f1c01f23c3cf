//! Quantized matrix product of two activations.

mod portable;

use tilemark_model::{Graph, Node, numerics};

use super::{Kernel, per_level};
use crate::plan::Layout;

pub(crate) const KERNELS: &[Kernel] = per_level!("matmul", portable::build);

/// Whether these kernels multiply `a` and `b`: batches of the same shape, and no number that is infinite.
pub(crate) fn applies(graph: &Graph, node: &Node, a: &Layout, b: &Layout) -> bool {
    let (rank, same) = (a.shape.len(), a.shape.len() == b.shape.len());
    let finite = || {
        let scale = |id| graph.value(id).quant.map_or(f32::NAN, |quant| quant.scale);
        numerics::multiplier(scale(node.inputs[0]), scale(node.inputs[1]), scale(node.output)).is_finite()
    };
    rank >= 2 && same && a.shape[..rank - 2] == b.shape[..rank - 2] && finite()
}
