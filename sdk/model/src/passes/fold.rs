//! Operations whose operands are all constant are computed once, by the reference interpreter.

use crate::error::Error;
use crate::graph::{Draft, Port, ValueId};
use crate::reference;

pub(super) fn fold_constants(draft: &mut Draft) -> Result<usize, Error> {
    draft.drop_dead_nodes();
    draft.sort()?;
    let mut rewrites = 0;
    let mut kept = Vec::with_capacity(draft.nodes.len());
    for node in std::mem::take(&mut draft.nodes) {
        if node.inputs.is_empty() || !node.inputs.iter().all(|&id| draft.tensor(id).is_some()) {
            kept.push(node);
            continue;
        }
        // A graph of this one node: constants and quantization come along, and every check applies.
        let mut alone = Draft::default();
        let mut copy = |id: ValueId| {
            alone.values.push(draft.value(id).clone());
            ValueId((alone.values.len() - 1) as u32)
        };
        let inputs = node.inputs.iter().map(|&id| copy(id)).collect();
        let value = copy(node.output);
        let output = draft.value(node.output);
        alone.node(&node.name, node.op, inputs, value);
        alone.outputs.push(Port { name: output.name.clone(), value, dtype: output.dtype, shape: Vec::new() });
        let result = reference::run(&alone.freeze()?, Vec::new())?;
        draft.values[node.output.index()].constant = result.into_iter().next();
        rewrites += 1;
    }
    draft.nodes = kept;
    Ok(rewrites)
}
