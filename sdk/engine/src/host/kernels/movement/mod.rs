//! Operations that only move elements, of any type: which element goes where is a table per axis.

mod gather;
mod portable;
mod routes;

use tilemark_model::graph::MoveOp;
use tilemark_model::{Graph, Node, Op, Shapes};

pub(crate) use portable::{fill, places};
pub(crate) use routes::Places;

use super::Kernel;
use crate::host::CpuLevel;

pub(crate) const KERNELS: &[Kernel] = &[Kernel {
    name: "movement/scalar",
    operation: "movement",
    level: CpuLevel::Scalar,
    build: portable::build,
}];

/// Whether these kernels take a node that moves elements.
pub(crate) fn applies(graph: &Graph, node: &Node, shapes: &Shapes) -> bool {
    let is_refined = || routes::refined(shapes.of(node.inputs[0]), shapes.of(node.output)).is_some();
    match &node.op {
        Op::Transpose { .. } | Op::Concat { .. } => true,
        Op::Reshape { .. } | Op::Flatten { .. } | Op::Squeeze { .. } | Op::Unsqueeze { .. } => is_refined(),
        Op::Move(op) => match op {
            MoveOp::Pad { filled, .. } => !filled || graph.value(node.inputs[1]).constant.is_some(),
            MoveOp::Reshape { .. } => is_refined(),
            MoveOp::Gather { axis } => gather::applies(graph, node, shapes, *axis),
            MoveOp::GatherElements { .. } | MoveOp::GatherNd { .. } => false,
            _ => true,
        },
        _ => false,
    }
}
