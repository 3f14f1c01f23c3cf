//! The rank of a draft's values, where it can be told without shapes.

use std::collections::HashMap;

use crate::graph::{Draft, FloatOp, GeneralOp, Ints, MoveOp, Node, Op, State, ValueId};

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
        Op::Reshape { shape, .. } => Some(shape.len()),
        Op::Flatten { .. } => Some(2),
        Op::Transpose { perm } => Some(perm.len()),
        Op::Unsqueeze { axes } => Some(x? + axes.len()),
        Op::Squeeze { axes } if !axes.is_empty() => x?.checked_sub(axes.len()),
        op if op.is_elementwise() => widest(node, ranks),
        Op::ReduceMean { axes, keep_dims } => reduced(x?, axes, *keep_dims),
        Op::Squeeze { .. } => None,
        Op::MatMul(_) => product(node, ranks),
        Op::Float(op) => of_float(op, node, ranks),
        Op::Move(op) => of_move(op, node, ranks),
        Op::General(op) => of_general(op, node, ranks),
        _ => x,
    }
}

fn of_float(op: &FloatOp, node: &Node, ranks: &HashMap<ValueId, usize>) -> Option<usize> {
    let x = ranks.get(&node.inputs[0]).copied();
    match op {
        FloatOp::Conv(_) | FloatOp::AveragePool(_) | FloatOp::RoiAlign(_) => Some(4),
        FloatOp::ConvNd { window, .. } => Some(window.kernel.len() + 2),
        FloatOp::ConvTranspose(conv) => Some(conv.window.kernel.len() + 2),
        FloatOp::PoolNd(pool) => Some(pool.window.kernel.len() + 2),
        FloatOp::MatMul(_) => product(node, ranks),
        FloatOp::Reduce { axes, keep_dims, .. } => reduced(x?, axes, *keep_dims),
        FloatOp::Lstm(layer) | FloatOp::Gru(layer) => {
            Some(if layer.state == State::Sequence { 4 } else { 3 })
        }
        // Functions of lines or channels, and resizing, keep the shape's length.
        _ => x,
    }
}

fn of_move(op: &MoveOp, node: &Node, ranks: &HashMap<ValueId, usize>) -> Option<usize> {
    let rank = |i: usize| ranks.get(node.inputs.get(i)?).copied();
    match op {
        MoveOp::Gather { .. } => (rank(0)? + rank(1)?).checked_sub(1),
        MoveOp::Expand { shape: Ints::Given(shape) } => Some(rank(0)?.max(shape.len())),
        MoveOp::Expand { .. } | MoveOp::Reshape { .. } | MoveOp::GatherNd { .. } => None,
        _ => rank(0),
    }
}

fn of_general(op: &GeneralOp, node: &Node, ranks: &HashMap<ValueId, usize>) -> Option<usize> {
    let x = ranks.get(&node.inputs[0]).copied();
    match op {
        GeneralOp::Cast { .. } | GeneralOp::Not | GeneralOp::Neg | GeneralOp::Abs => x,
        GeneralOp::TopK { .. } | GeneralOp::ArgMaxPool { .. } | GeneralOp::ConvInteger { .. } => x,
        GeneralOp::Binary(_) | GeneralOp::Compare(_) | GeneralOp::Logic(_) | GeneralOp::Where => {
            widest(node, ranks)
        }
        GeneralOp::Shape { .. } | GeneralOp::Range => Some(1),
        GeneralOp::NonZero | GeneralOp::NonMaxSuppression { .. } => Some(2),
        GeneralOp::Size => Some(0),
        GeneralOp::Reduce { axes, keep_dims, .. } => reduced(x?, axes, *keep_dims),
        GeneralOp::ArgExtreme { ranking, keep_dims, .. } => reduced(x?, &[ranking.axis], *keep_dims),
        GeneralOp::Fill { shape: Ints::Given(shape) } => Some(shape.len()),
        GeneralOp::MatMulInteger => product(node, ranks),
        _ => None,
    }
}

/// Of operands that broadcast.
fn widest(node: &Node, ranks: &HashMap<ValueId, usize>) -> Option<usize> {
    let operands = node.inputs.iter().map(|id| ranks.get(id).copied());
    operands.collect::<Option<Vec<_>>>()?.into_iter().max()
}

fn reduced(rank: usize, axes: &[i64], keep_dims: bool) -> Option<usize> {
    match (keep_dims, axes) {
        (true, _) => Some(rank),
        (false, []) => Some(0),
        (false, axes) => rank.checked_sub(axes.len()),
    }
}

/// NumPy's `matmul`; an operand of rank 1 takes an axis from the result.
fn product(node: &Node, ranks: &HashMap<ValueId, usize>) -> Option<usize> {
    match [0, 1].map(|i| ranks.get(node.inputs.get(i)?).copied()) {
        [Some(a), Some(b)] if a > 1 && b > 1 => Some(a.max(b)),
        [Some(a), Some(b)] => {
            (a.max(b)).checked_sub(1).map(|rank| rank - usize::from(a == 1 && b == 1 && rank > 0))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{MatMul, ReduceOp, UnaryOp};
    use crate::passes::testing::Sketch;
    use crate::tensor::{DType, Data, Tensor};

    /// What is told without shapes is what shapes have.
    #[test]
    fn ranks_are_those_of_the_shapes() {
        let mut net = Sketch::default();
        let x = net.input(DType::F32, None, &[2, 3, 4]);
        let m = MatMul { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false };
        let w = net.draft.constant("w", Tensor::f32([4, 5], vec![0.5; 20]).unwrap());
        let v = net.draft.constant("v", Tensor::f32([4], vec![0.5; 4]).unwrap());
        let i = net.draft.constant("i", Tensor::new([1, 1], Data::I64(vec![0])).unwrap());
        let mut values = vec![net.float(FloatOp::MatMul(m), &[x, w]), net.float(FloatOp::MatMul(m), &[x, v])];
        values.push(net.add(Op::Move(MoveOp::Gather { axis: 1 }), &[x, i], DType::F32, None));
        let reduce = |axes: Vec<i64>, keep_dims| FloatOp::Reduce { op: ReduceOp::Sum, axes, keep_dims };
        for op in [reduce(vec![], false), reduce(vec![0, 2], false), reduce(vec![1], true)] {
            values.push(net.float(op, &[x]));
        }
        let shape = Ints::Given(vec![1, 2, 3, 4]);
        values.push(net.add(Op::Move(MoveOp::Expand { shape }), &[x], DType::F32, None));
        values.push(net.float(FloatOp::Softmax { axis: -1, to_end: false }, &[x]));
        values.push(net.unary(UnaryOp::Abs, x));
        values.push(net.add(Op::General(GeneralOp::Shape { start: 0, end: None }), &[x], DType::I64, None));
        values.iter().for_each(|&value| net.output(value));
        let told = ranks(&net.draft);
        let given = Tensor::f32([2, 3, 4], vec![1.0; 24]).unwrap();
        for (value, found) in values.iter().zip(net.run(&[given])) {
            assert_eq!(told.get(value), Some(&found.shape().len()), "{}", net.draft.value(*value).name);
        }
        assert_eq!(told.len(), values.len() + 4);
    }
}
