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
