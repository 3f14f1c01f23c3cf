//! One node of a draft as a graph of its own, to be computed while the draft is rewritten.

use std::collections::HashMap;

use crate::graph::{Draft, DraftValue, Node, Port, ValueId};
use crate::tensor::Tensor;

/// A graph of `node` alone whose operands are constants: those that `operand` gives, else the draft's own. Types and
/// quantization come along, each value once, and freezing applies every check.
pub(crate) fn alone(draft: &Draft, node: &Node, operand: impl Fn(ValueId) -> Option<Tensor>) -> Draft {
    let mut alone = Draft::default();
    let mut copies: HashMap<ValueId, ValueId> = HashMap::new();
    let mut copy = |id: ValueId, constant: Option<Tensor>| {
        *copies.entry(id).or_insert_with(|| {
            let value = draft.value(id);
            let constant = constant.or_else(|| value.constant.clone());
            alone.values.push(DraftValue { constant, ..value.clone() });
            ValueId(u32::try_from(alone.values.len() - 1).unwrap_or(u32::MAX))
        })
    };
    let inputs = node.inputs.iter().map(|&id| copy(id, operand(id))).collect();
    let value = copy(node.output, None);
    let output = draft.value(node.output);
    alone.node(&node.name, node.op.clone(), inputs, value);
    alone.outputs.push(Port { name: output.name.clone(), value, dtype: output.dtype, shape: Vec::new() });
    alone
}
