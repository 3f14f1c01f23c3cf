//! The rank of a draft's values, where it can be told without shapes.

use std::collections::HashMap;

use crate::graph::{Draft, FloatOp, Node, Op, ValueId};

/// Ranks of the inputs, the constants and what follows from them. The draft must be sorted.
pub(super) fn ranks(draft: &Draft) -> HashMap<ValueId, usize> {
    let mut ranks: HashMap<ValueId, usize> =
        draft.inputs.iter().map(|port| (port.value, port.shape.len())).collect();
    for node in &draft.nodes {
        for &input in &node.inputs {
            if let Some(tensor) = draft.tensor(input) {
                ranks.insert(input, tensor.shape().len());
            }
        }
        if let Some(rank) = output_rank(node, &ranks) {
            ranks.insert(node.output, rank);
        }
    }
    ranks
}

fn output_rank(node: &Node, ranks: &HashMap<ValueId, usize>) -> Option<usize> {
    let x = ranks.get(node.inputs.first()?).copied();
    match &node.op {
        Op::Conv(..) | Op::AveragePool(_) | Op::MaxPool(_) => Some(4),
        Op::Float(FloatOp::Conv(_) | FloatOp::AveragePool(_)) => Some(4),
        Op::Reshape { shape, .. } => Some(shape.len()),
        Op::Flatten { .. } => Some(2),
        Op::Transpose { perm } => Some(perm.len()),
        Op::Unsqueeze { axes } => Some(x? + axes.len()),
        Op::Squeeze { axes } if !axes.is_empty() => x?.checked_sub(axes.len()),
        op if op.is_elementwise() => {
            let operands = node.inputs.iter().map(|id| ranks.get(id).copied());
            operands.collect::<Option<Vec<_>>>()?.into_iter().max()
        }
        Op::GlobalAveragePool | Op::Concat { .. } | Op::FullyConnected(_) => x,
        _ => None,
    }
}
