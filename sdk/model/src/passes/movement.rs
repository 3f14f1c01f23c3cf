//! `M(Dequantize(x))` becomes `Dequantize(M(x))` where M only moves or selects elements.

use std::collections::HashMap;

use crate::error::Error;
use crate::graph::{Draft, Op, ValueId};
use crate::tensor::Quant;

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
        let sources = node.inputs.iter().map(|id| integers.get(id).copied()).collect::<Option<Vec<_>>>();
        match sources.as_deref() {
            Some(sources) if moves(&node.op) && alike(draft, sources) => {
                let (first, quant) = sources[0];
                let name = format!("{}.quantized", draft.value(node.output).name);
                let moved = draft.activation(name, draft.value(first).dtype, Some(quant));
                let inputs = sources.iter().map(|&(id, _)| id).collect();
                draft.node(&node.name, node.op, inputs, moved);
                let border = Op::Dequantize { axis: None };
                draft.node(format!("{}.dequantize", node.name), border, vec![moved], node.output);
                integers.insert(node.output, (moved, quant));
                rewrites += 1;
            }
            _ => {
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

/// Whether all sources have one type and one quantization.
fn alike(draft: &Draft, sources: &[(ValueId, Quant)]) -> bool {
    let kind = |&(id, quant): &(ValueId, Quant)| (draft.value(id).dtype, quant);
    !sources.is_empty() && sources.windows(2).all(|pair| kind(&pair[0]) == kind(&pair[1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Pads, Pool, Window};
    use crate::passes::testing::{Q, Sketch, bytes};
    use crate::tensor::DType;

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
}
