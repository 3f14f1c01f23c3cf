//! What operations cost, so that a hostile model cannot ask for work without end.

use super::{Shapes, gates};
use crate::graph::{FloatOp, GeneralOp, Graph, Interpolation, Node, Op, Resize, ValueId};

/// What an inference costs, roughly: multiply-accumulates, elements that windows look at, and elements written.
pub fn work(graph: &Graph, shapes: &Shapes) -> u64 {
    graph.nodes.iter().fold(0u64, |sum, node| sum.saturating_add(of(node, shapes)))
}

/// What one node costs; nothing where a shape is late.
pub(super) fn of(node: &Node, shapes: &Shapes) -> u64 {
    if has_late(node, shapes) {
        return 0;
    }
    let outputs = elements(shapes, node.output);
    let x = node.inputs.first().map_or(0, |&id| elements(shapes, id));
    let area = |kernel: &[usize]| kernel.iter().fold(1u64, |n, &k| n.saturating_mul(k as u64));
    let looked_at = match &node.op {
        Op::MaxPool(pool) | Op::AveragePool(pool) | Op::Float(FloatOp::AveragePool(pool)) => {
            outputs.saturating_mul(area(&pool.window.kernel))
        }
        Op::Float(FloatOp::PoolNd(pool)) | Op::General(GeneralOp::ArgMaxPool { pool, .. }) => {
            outputs.saturating_mul(area(&pool.window.kernel))
        }
        // Every output looks at every tap, whether an input meets it or not.
        Op::Float(FloatOp::ConvTranspose(conv)) => {
            let channels = shapes.of(node.inputs[1])[0] as u64 / (conv.groups as u64).max(1);
            outputs.saturating_mul(area(&conv.window.kernel)).saturating_mul(channels)
        }
        Op::Float(FloatOp::Resize(resize)) => outputs.saturating_mul(taps(resize, x, outputs)),
        Op::Float(FloatOp::Lrn { size, .. }) => outputs.saturating_mul(*size as u64),
        Op::Float(FloatOp::RoiAlign(roi)) => {
            let side = if roi.sampling == 0 { x } else { roi.sampling as u64 };
            outputs.saturating_mul(4).saturating_mul(side.saturating_mul(side))
        }
        Op::General(GeneralOp::NonMaxSuppression { .. }) => {
            let boxes = shapes.of(node.inputs[1]).last().copied().unwrap_or(0) as u64;
            elements(shapes, node.inputs[1]).saturating_mul(boxes)
        }
        _ => macs(node, shapes),
    };
    let read = |&id: &ValueId| elements(shapes, id);
    node.inputs.iter().map(read).fold(looked_at.saturating_add(outputs), u64::saturating_add)
}

/// Elements that go into one resized element, all axes together: at most this many.
fn taps(resize: &Resize, inputs: u64, outputs: u64) -> u64 {
    let side = match resize.interpolation {
        Interpolation::Nearest(_) => return 1,
        Interpolation::Linear => 2,
        Interpolation::Cubic { .. } => 4,
    };
    let widened = if resize.antialias { (inputs / outputs.max(1)).saturating_add(1) } else { 1 };
    widened.saturating_mul(side * 4)
}

fn has_late(node: &Node, shapes: &Shapes) -> bool {
    node.inputs.iter().chain([&node.output]).any(|&id| shapes.is_late(id))
}

/// Multiply-accumulates of one node; zero for everything but convolutions, matrix products and recurrent layers, and
/// where a shape is late.
pub fn macs(node: &Node, shapes: &Shapes) -> u64 {
    if has_late(node, shapes) {
        return 0;
    }
    let outputs = elements(shapes, node.output);
    let of_weights = |axes: usize| {
        let weights = shapes.of(node.inputs[1]).iter().skip(axes);
        weights.fold(1u64, |n, &d| n.saturating_mul(d as u64))
    };
    match &node.op {
        Op::Conv(..) | Op::Float(FloatOp::Conv(_) | FloatOp::ConvNd { .. }) => {
            outputs.saturating_mul(of_weights(1))
        }
        Op::General(GeneralOp::ConvInteger { .. }) => outputs.saturating_mul(of_weights(1)),
        Op::Float(FloatOp::ConvTranspose(_)) => {
            elements(shapes, node.inputs[0]).saturating_mul(of_weights(1))
        }
        Op::FullyConnected(_) => outputs.saturating_mul(of_weights(1)),
        Op::MatMul(_) | Op::General(GeneralOp::MatMulInteger) => {
            let inner = shapes.of(node.inputs[0]).last().copied().unwrap_or(1);
            outputs.saturating_mul(inner as u64)
        }
        Op::Float(FloatOp::MatMul(m)) => {
            let a = shapes.of(node.inputs[0]);
            let inner = if m.trans_a { a[0] } else { a.last().copied().unwrap_or(1) };
            outputs.saturating_mul(inner as u64)
        }
        Op::Float(op @ (FloatOp::Lstm(layer) | FloatOp::Gru(layer))) => {
            let &[steps, batch, width] = shapes.of(node.inputs[0]) else { return 0 };
            let per_step = (gates(op) * layer.directions() * layer.hidden) as u64;
            [steps, batch, width + layer.hidden].iter().fold(per_step, |n, &d| n.saturating_mul(d as u64))
        }
        _ => 0,
    }
}

fn elements(shapes: &Shapes, id: ValueId) -> u64 {
    shapes.of(id).iter().fold(1u64, |n, &d| n.saturating_mul(d as u64))
}
