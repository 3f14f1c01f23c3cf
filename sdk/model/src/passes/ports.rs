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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{FloatOp, UnaryOp};
    use crate::passes::testing::{Q, Sketch};
    use crate::tensor::{DType, Tensor};

    fn reals() -> Tensor {
        Tensor::f32([4], vec![-1.0, 0.1, f32::NAN, 1e9]).unwrap()
    }

    #[test]
    fn both_ends_hold_integers_and_declare_floats() {
        let mut net = Sketch::default();
        let x = net.input(DType::F32, None, &[4]);
        let q = net.quantize(x, Q);
        let flat = net.add(Op::Flatten { axis: 0 }, &[q], DType::U8, Some(Q));
        let y = net.dequantize(flat);
        net.output(y);
        assert_eq!(net.apply(quantize_ports, &[reals()]), 2);
        net.draft.drop_dead_nodes();
        assert_eq!(net.ops(), ["Flatten"]);
        let graph = net.draft.freeze().unwrap();
        assert_eq!(
            (graph.inputs[0].dtype, graph.value(graph.inputs[0].value).dtype),
            (DType::F32, DType::U8)
        );
        assert_eq!(
            (graph.outputs[0].dtype, graph.value(graph.outputs[0].value).dtype),
            (DType::F32, DType::U8)
        );
    }

    #[test]
    fn an_input_that_something_else_reads_stays_float() {
        let mut net = Sketch::default();
        let x = net.input(DType::F32, None, &[4]);
        let q = net.quantize(x, Q);
        let relu = net.float(FloatOp::Unary(UnaryOp::Relu), &[x]);
        net.output(q);
        net.output(relu);
        assert_eq!(net.apply(quantize_ports, &[reals()]), 0);
        assert_eq!(net.draft.value(net.draft.inputs[0].value).dtype, DType::F32);
    }
}
