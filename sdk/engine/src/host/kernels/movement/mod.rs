//! Operations that only move elements, of any type: which element goes where is a table per axis.

mod portable;
mod routes;

use tilemark_model::graph::MoveOp;
use tilemark_model::{Graph, Node, Op};

pub(crate) use portable::{fill, places};
pub(crate) use routes::Places;

use super::Kernel;
use crate::host::CpuLevel;
use crate::plan::Layout;

pub(crate) const KERNELS: &[Kernel] = &[Kernel {
    name: "movement/scalar",
    operation: "movement",
    level: CpuLevel::Scalar,
    build: portable::build,
}];

/// Whether these kernels take a node that moves the elements of `x` to those of `y`.
pub(crate) fn applies(graph: &Graph, node: &Node, x: &Layout, y: &Layout) -> bool {
    match &node.op {
        Op::Transpose { .. } | Op::Concat { .. } => true,
        Op::Reshape { .. } | Op::Flatten { .. } | Op::Squeeze { .. } | Op::Unsqueeze { .. } => {
            routes::refined(&x.shape, &y.shape).is_some()
        }
        Op::Move(op) => match op {
            MoveOp::Pad { filled, .. } => !filled || graph.value(node.inputs[1]).constant.is_some(),
            MoveOp::Reshape { .. } => routes::refined(&x.shape, &y.shape).is_some(),
            MoveOp::Gather { .. } | MoveOp::GatherElements { .. } | MoveOp::GatherNd { .. } => false,
            _ => true,
        },
        _ => false,
    }
}
