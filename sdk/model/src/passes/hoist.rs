//! `Quantize(M(x))` becomes `M(Quantize(x))` where M only lays elements out anew: joins of tensors with different scales,
//! reshapes and transposes behind f32 operations. Exact, since each element is quantized alone. What feeds M can then end
//! in 8 bits itself.

use std::collections::HashSet;

use crate::error::Error;
use crate::graph::{Draft, MoveOp, Op};

/// Moves that keep every element once, so that quantizing before them is no more work than after.
fn lays_out(op: &Op) -> bool {
    let moves = matches!(
        op,
        Op::Move(MoveOp::Reshape { .. } | MoveOp::DepthToSpace { .. } | MoveOp::SpaceToDepth { .. })
    );
    moves || (op.is_movement() && !matches!(op, Op::Move(_)))
}

pub(super) fn hoist_quantize(draft: &mut Draft) -> Result<usize, Error> {
    let producers = draft.producers();
    // Replacing a reader of a value by one Quantize of it leaves these numbers as they are.
    let consumers = draft.consumers();
    let is_border = |i: &usize| draft.nodes[*i].op == Op::Quantize { axis: None };
    let mut waiting: Vec<usize> = (0..draft.nodes.len()).filter(is_border).collect();
    let mut absorbed = HashSet::new();
    while let Some(quantize) = waiting.pop() {
        let x = draft.nodes[quantize].inputs[0];
        let Some(&i) = producers.get(&x) else { continue };
        let only = consumers.get(&x).is_some_and(|readers| readers.len() == 1) && !draft.is_output(x);
        if !only || !lays_out(&draft.nodes[i].op) {
            continue;
        }
        let output = draft.nodes[quantize].output;
        let (dtype, quant) = (draft.value(output).dtype, draft.value(output).quant);
        let carried = draft.nodes[i].op.carried(draft.nodes[i].inputs.len());
        for k in 0..carried {
            let real = draft.nodes[i].inputs[k];
            let name = format!("{}.quantized", draft.value(real).name);
            let ints = draft.activation(&name, dtype, quant);
            waiting.push(draft.nodes.len());
            draft.node(name, Op::Quantize { axis: None }, vec![real], ints);
            draft.nodes[i].inputs[k] = ints;
        }
        draft.nodes[i].output = output;
        absorbed.insert(quantize);
    }
    let rewrites = absorbed.len();
    draft.remove_nodes(&absorbed);
    Ok(rewrites)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{FloatOp, UnaryOp};
    use crate::passes::testing::{Q, Sketch, bytes};
    use crate::tensor::{DType, Quant, Tensor};

    /// The join of two scales: each side becomes a table, none a float.
    #[test]
    fn a_join_of_two_scales_works_on_integers() {
        let mut net = Sketch::default();
        let a = net.input(DType::U8, Some(Q), &[2, 3]);
        let b = net.input(DType::U8, Some(Quant { scale: 0.037, zero_point: 3 }), &[2, 5]);
        let reals = [net.dequantize(a), net.dequantize(b)];
        let joined = net.add(Op::Concat { axis: 1 }, &reals, DType::F32, None);
        let turned = net.add(Op::Transpose { perm: vec![1, 0] }, &[joined], DType::F32, None);
        let y = net.quantize(turned, Q);
        net.output(y);
        assert_eq!(net.apply(hoist_quantize, &[bytes(&[2, 3]), bytes(&[2, 5])]), 2);
        let count =
            net.apply(super::super::elementwise::collapse_elementwise, &[bytes(&[2, 3]), bytes(&[2, 5])]);
        net.draft.drop_dead_nodes();
        assert_eq!((count, net.ops()), (2, vec!["Table", "Concat", "Transpose"]));
    }

    #[test]
    fn what_is_read_as_a_float_too_stays() {
        let mut net = Sketch::default();
        let x = net.input(DType::F32, None, &[2, 3]);
        let real = net.float(FloatOp::Unary(UnaryOp::Abs), &[x]);
        let turned = net.add(Op::Transpose { perm: vec![1, 0] }, &[real], DType::F32, None);
        let y = net.quantize(turned, Q);
        net.output(y);
        net.output(turned);
        let given = Tensor::f32([2, 3], vec![1.0, -2.0, 0.125, 9.0, -0.5, 1e9]).unwrap();
        assert_eq!(net.apply(hoist_quantize, &[given]), 0);
    }

    /// An operation in front of a reshape ends in 8 bits all the same.
    #[test]
    fn the_border_stands_right_behind_what_computes() {
        let mut net = Sketch::default();
        let x = net.input(DType::F32, None, &[2, 3]);
        let real = net.float(FloatOp::Unary(UnaryOp::Abs), &[x]);
        let shape = Op::Reshape { shape: vec![-1], allow_zero: false };
        let flat = net.add(shape, &[real], DType::F32, None);
        let y = net.quantize(flat, Q);
        net.output(y);
        let given = Tensor::f32([2, 3], vec![1.0, -2.0, 0.125, 9.0, f32::NAN, 1e9]).unwrap();
        assert_eq!(net.apply(hoist_quantize, &[given]), 1);
        assert_eq!(net.ops(), ["Abs (f32)", "Quantize", "Reshape"]);
    }
}
