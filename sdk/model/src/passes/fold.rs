//! Operations whose operands are all constant are computed once, by the reference interpreter.

use std::collections::HashMap;

use crate::error::Error;
use crate::graph::{Draft, Node, Port, ValueId};
use crate::limits::MAX_FOLDED_WORK;
use crate::{reference, shape};

pub(super) fn fold_constants(draft: &mut Draft) -> Result<usize, Error> {
    draft.drop_dead_nodes();
    draft.sort()?;
    let mut rewrites = 0;
    let mut work = 0u64;
    let mut kept = Vec::with_capacity(draft.nodes.len());
    for node in std::mem::take(&mut draft.nodes) {
        if node.inputs.is_empty() || !node.inputs.iter().all(|&id| draft.tensor(id).is_some()) {
            kept.push(node);
            continue;
        }
        let output = node.output;
        let alone = alone(draft, node).freeze()?;
        // A small file can ask for any amount of computing here, before anyone has chosen to run it.
        work = work.saturating_add(shape::work(&alone, &shape::infer(&alone, &[])?));
        if work > MAX_FOLDED_WORK {
            let what = "multiply-accumulates or elements in operations on constants";
            return Err(Error::LimitExceeded { what, found: work, limit: MAX_FOLDED_WORK });
        }
        let result = reference::run(&alone, Vec::new())?.into_iter().next();
        let bytes = result.as_ref().map_or(0, |tensor| tensor.len() as u64 * tensor.dtype().size() as u64);
        draft.check_constants(bytes)?;
        draft.constant_bytes += bytes;
        draft.values[output.index()].constant = result;
        rewrites += 1;
    }
    draft.nodes = kept;
    Ok(rewrites)
}

/// A graph of one node: constants and quantization come along, each once, and every check applies.
fn alone(draft: &Draft, node: Node) -> Draft {
    let mut alone = Draft::default();
    let mut copies: HashMap<ValueId, ValueId> = HashMap::new();
    let mut copy = |id: ValueId| {
        *copies.entry(id).or_insert_with(|| {
            alone.values.push(draft.value(id).clone());
            ValueId(u32::try_from(alone.values.len() - 1).unwrap_or(u32::MAX))
        })
    };
    let inputs = node.inputs.iter().map(|&id| copy(id)).collect();
    let value = copy(node.output);
    let output = draft.value(node.output);
    alone.node(&node.name, node.op, inputs, value);
    alone.outputs.push(Port { name: output.name.clone(), value, dtype: output.dtype, shape: Vec::new() });
    alone
}
