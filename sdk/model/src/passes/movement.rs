//! `M(Dequantize(x))` becomes `Dequantize(M(x))` where M only moves or selects elements.

use std::collections::HashMap;

use crate::error::Error;
use crate::graph::{Draft, Node, Op, ValueId};
use crate::numerics;
use crate::tensor::{DType, Quant, Tensor};

/// Max pooling selects too: Dequantize is strictly increasing, so the largest integer is the largest real.
fn moves(op: &Op) -> bool {
    op.is_movement() || matches!(op, Op::MaxPool(_))
}

pub(super) fn sink_dequantize(draft: &mut Draft) -> Result<usize, Error> {
    draft.sort()?;
    // What each dequantized value was before; filled in execution order, so a chain of movements is followed to its end.
    let mut integers: HashMap<ValueId, (ValueId, Quant)> = HashMap::new();
    let mut rewrites = 0;
    let old = std::mem::take(&mut draft.nodes);
    for node in old {
        match sources(draft, &integers, &node)? {
            Some((inputs, quant)) => {
                let name = format!("{}.quantized", draft.value(node.output).name);
                let moved = draft.activation(name, draft.value(inputs[0]).dtype, Some(quant));
                draft.node(&node.name, node.op, inputs, moved);
                let border = Op::Dequantize { axis: None };
                draft.node(format!("{}.dequantize", node.name), border, vec![moved], node.output);
                integers.insert(node.output, (moved, quant));
                rewrites += 1;
            }
            None => {
                if node.op == (Op::Dequantize { axis: None })
                    && let Some(quant) = draft.value(node.inputs[0]).quant
                {
                    integers.insert(node.output, (node.inputs[0], quant));
                }
                draft.nodes.push(node);
            }
        }
    }
    Ok(rewrites)
}

/// The inputs of a movement with integers for those that it carries, and their one quantization. Indices and sizes stay.
fn sources(
    draft: &mut Draft,
    integers: &HashMap<ValueId, (ValueId, Quant)>,
    node: &Node,
) -> Result<Option<(Vec<ValueId>, Quant)>, Error> {
    if !moves(&node.op) || node.inputs.is_empty() {
        return Ok(None);
    }
    let carried = node.op.carried(node.inputs.len());
    let known = node.inputs[..carried].iter().find_map(|id| integers.get(id).copied());
    let Some((first, quant)) = known else { return Ok(None) };
    let dtype = draft.value(first).dtype;
    let mut inputs = node.inputs.clone();
    for id in &mut inputs[..carried] {
        *id = match integers.get(id) {
            Some(&(ints, own)) if (draft.value(ints).dtype, own) == (dtype, quant) => ints,
            Some(_) => return Ok(None),
            None => match exact(draft, *id, dtype, quant)? {
                Some(ints) => ints,
                None => return Ok(None),
            },
        };
    }
    Ok(Some((inputs, quant)))
}

/// A constant f32 scalar, such as the fill of a Pad, as the integer that stands for exactly it.
fn exact(draft: &mut Draft, id: ValueId, dtype: DType, quant: Quant) -> Result<Option<ValueId>, Error> {
    let value = draft.value(id);
    let Some(tensor) = value.constant.as_ref().filter(|tensor| tensor.len() == 1) else { return Ok(None) };
    let &[real] = tensor.as_f32()? else { return Ok(None) };
    let int = numerics::quantize(real, quant, dtype);
    if numerics::dequantize(int, quant).to_bits() != real.to_bits() {
        return Ok(None);
    }
    let ints = Tensor::new(tensor.shape(), crate::graph::eight_bit(dtype, std::iter::once(int)))?;
    let name = format!("{}.quantized", value.name);
    let ints = draft.constant(name, ints);
    draft.values[ints.index()].quant = Some(quant);
    Ok(Some(ints))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Ints, MoveOp, PadMode, Pads, Pool, Window};
    use crate::passes::testing::{Q, Sketch, bytes};
    use crate::tensor::Data;

    #[test]
    fn a_chain_of_movements_works_on_the_integers() {
        let mut net = Sketch::default();
        let x = net.input(DType::U8, Some(Q), &[1, 2, 4, 4]);
        let real = net.dequantize(x);
        let window =
            Window { kernel: [2; 2], strides: [2; 2], dilations: [1; 2], pads: Pads::Explicit([0; 4]) };
        let pool = Op::MaxPool(Pool { window, ceil_mode: false, count_include_pad: false });
        let pooled = net.add(pool, &[real], DType::F32, None);
        let turned = net.add(Op::Transpose { perm: vec![0, 2, 3, 1] }, &[pooled], DType::F32, None);
        net.output(turned);
        assert_eq!(net.apply(sink_dequantize, &[bytes(&[1, 2, 4, 4])]), 2);
        net.draft.drop_dead_nodes();
        assert_eq!(net.ops(), ["MaxPool", "Transpose", "Dequantize"]);
    }

    #[test]
    fn inputs_of_two_scales_are_not_joined_as_integers() {
        for (scale, rewrites) in [(0.25, 1), (0.5, 0)] {
            let mut net = Sketch::default();
            let a = net.input(DType::U8, Some(Q), &[2, 2]);
            let b = net.input(DType::U8, Some(Quant { scale, ..Q }), &[2, 2]);
            let reals = [net.dequantize(a), net.dequantize(b)];
            let joined = net.add(Op::Concat { axis: 0 }, &reals, DType::F32, None);
            net.output(joined);
            assert_eq!(net.apply(sink_dequantize, &[bytes(&[2, 2]), bytes(&[2, 2])]), rewrites);
        }
    }

    /// Indices are not dequantized, and no reason to stay in f32.
    #[test]
    fn every_movement_works_on_the_integers() {
        let given = |ints: &[i64]| Ints::Given(ints.to_vec());
        let pad = |filled| MoveOp::Pad {
            mode: PadMode::Constant,
            pads: given(&[0, 0, 1, 2, 0, 0, 2, 1]),
            axes: None,
            filled,
        };
        let slice =
            MoveOp::Slice { starts: given(&[1]), ends: given(&[3]), axes: Some(vec![2]), steps: None };
        let ops = [
            pad(false),
            slice,
            MoveOp::Part { axis: 1, index: 1, count: 2 },
            MoveOp::Gather { axis: 3 },
            MoveOp::Expand { shape: given(&[3, 4, 4, 4]) },
            MoveOp::Tile { repeats: given(&[1, 2, 1, 1]) },
            MoveOp::DepthToSpace { block: 2, column_row_depth: true },
            MoveOp::SpaceToDepth { block: 2 },
        ];
        for op in ops {
            let mut net = Sketch::default();
            let x = net.input(DType::U8, Some(Q), &[1, 4, 4, 4]);
            let real = net.dequantize(x);
            let mut inputs = vec![real];
            if matches!(op, MoveOp::Gather { .. }) {
                let indices = Tensor::new([2], Data::I64(vec![3, 0])).unwrap();
                inputs.push(net.draft.constant("indices", indices));
            }
            let y = net.add(Op::Move(op), &inputs, DType::F32, None);
            net.output(y);
            assert_eq!(net.apply(sink_dequantize, &[bytes(&[1, 4, 4, 4])]), 1);
            net.draft.drop_dead_nodes();
            assert_eq!(net.ops().last(), Some(&"Dequantize"));
        }
    }

    /// A fill that is a step of the scale becomes an integer; any other keeps the Pad in f32.
    #[test]
    fn a_fill_between_two_steps_stays_a_float() {
        for (fill, rewrites) in [(-2.25, 1), (0.1, 0), (1e9, 0), (f32::NEG_INFINITY, 0)] {
            let mut net = Sketch::default();
            let x = net.input(DType::U8, Some(Q), &[4]);
            let real = net.dequantize(x);
            let fill = net.draft.constant("fill", Tensor::f32([], vec![fill]).unwrap());
            let pads = Ints::Given(vec![1, 2]);
            let op = MoveOp::Pad { mode: PadMode::Constant, pads, axes: None, filled: true };
            let y = net.add(Op::Move(op), &[real, fill], DType::F32, None);
            net.output(y);
            assert_eq!(net.apply(sink_dequantize, &[bytes(&[4])]), rewrites, "{fill:?}");
        }
    }
}
