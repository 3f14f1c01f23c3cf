//! Values that follow from shapes: Shape itself, and small tensors computed from it and from constants. Exporters spell
//! "flatten all but the batch" as Shape, Gather, Concat and Reshape; for given input shapes that is a constant.

use super::{Shapes, cost};
use crate::error::Error;
use crate::graph::{GeneralOp, Graph, Node, Op};
use crate::reference;
use crate::tensor::Tensor;

/// Most elements of a known tensor: far above any rank, enough for the small tables that detectors make their grids of.
const MAX_ELEMENTS: usize = 1024;
/// Most work spent on one known value, in the unit of [`cost::work`].
const MAX_WORK: u64 = 1 << 20;

/// Makes the small constants that a node reads known, where that can help to know its output.
pub(super) fn look_up_constants(graph: &Graph, node: &Node, shapes: &mut Shapes) {
    let computes_shapes = matches!(node.op, Op::General(_) | Op::Move(_)) || reads_known(node, shapes);
    let all_constant = || node.inputs.iter().all(|&id| graph.value(id).constant.is_some());
    if !computes_shapes && !all_constant() {
        return;
    }
    for &id in &node.inputs {
        if let Some(constant) = &graph.value(id).constant
            && shapes.known[id.index()].is_none()
            && constant.shape.iter().product::<usize>() <= MAX_ELEMENTS
        {
            shapes.known[id.index()] = graph.constant(id);
        }
    }
}

fn reads_known(node: &Node, shapes: &Shapes) -> bool {
    node.inputs.iter().any(|&id| shapes.known(id).is_some())
}

/// Computes a node whose operands are known, by the reference itself. Its output's shape has been inferred.
pub(super) fn evaluate(graph: &Graph, node: &Node, shapes: &mut Shapes) -> Result<(), Error> {
    let small = shapes.of(node.output).iter().product::<usize>() <= MAX_ELEMENTS;
    if !small || cost::of(node, shapes) > MAX_WORK && !reads_shape_alone(node) {
        return Ok(());
    }
    let value = if reads_shape_alone(node) {
        reference::shape_value(&node.op, shapes.of(node.inputs[0]))?
    } else {
        let operands: Option<Vec<&Tensor>> = node.inputs.iter().map(|&id| shapes.known(id)).collect();
        let Some(operands) = operands else { return Ok(()) };
        reference::evaluate(graph, node, &operands, shapes)?
    };
    shapes.known[node.output.index()] = Some(value);
    Ok(())
}

fn reads_shape_alone(node: &Node) -> bool {
    matches!(node.op, Op::General(GeneralOp::Shape { .. } | GeneralOp::Size))
}
