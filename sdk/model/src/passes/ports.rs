//! Quantize right after an input and Dequantize right before an output are not the graph's business: the port keeps
//! the declared f32 type, its value becomes the integers.

use std::collections::HashSet;

use crate::error::Error;
use crate::graph::{Draft, Op};

use super::islands::Surroundings;

pub(super) fn quantize_ports(draft: &mut Draft) -> Result<usize, Error> {
    let consumers = draft.consumers();
    let mut absorbed = HashSet::new();
    for i in 0..draft.inputs.len() {
        let value = draft.inputs[i].value;
        if let Some(&[quantize]) = consumers.get(&value).map(Vec::as_slice)
            && draft.nodes[quantize].op == (Op::Quantize { axis: None })
            && !draft.is_output(value)
        {
            draft.inputs[i].value = draft.nodes[quantize].output;
            absorbed.insert(quantize);
        }
    }
    let around = Surroundings::of(draft);
    let behind: Vec<_> = draft.outputs.iter().map(|port| around.quantized(port.value)).collect();
    let mut rewrites = absorbed.len();
    for (port, quantized) in draft.outputs.iter_mut().zip(behind) {
        if let Some((value, _)) = quantized {
            port.value = value;
            rewrites += 1;
        }
    }
    draft.remove_nodes(&absorbed);
    Ok(rewrites)
}
