//! Integers that are dequantized and quantized by the same parameters are what they were; and one border does for all
//! that read it.

use std::collections::{HashMap, HashSet};

use crate::error::Error;
use crate::graph::{Draft, GeneralOp, Op, ValueId};
use crate::tensor::{DType, Quant};

/// What a Quantize or Dequantize of a value makes: two that agree in this are one.
type Border = (ValueId, DType, Option<(u32, i32)>);

pub(super) fn drop_requantization(draft: &mut Draft) -> Result<usize, Error> {
    draft.sort()?;
    let mut same: HashMap<ValueId, ValueId> = HashMap::new();
    let mut integers: HashMap<ValueId, (ValueId, DType, Quant)> = HashMap::new();
    let mut borders: HashMap<Border, ValueId> = HashMap::new();
    let mut dropped = HashSet::new();
    for (i, node) in draft.nodes.iter().enumerate() {
        let forward = matches!(node.op, Op::Quantize { axis: None });
        if !forward && !matches!(node.op, Op::Dequantize { axis: None }) {
            continue;
        }
        let x = same.get(&node.inputs[0]).copied().unwrap_or(node.inputs[0]);
        let ints = draft.value(if forward { node.output } else { x });
        let Some(quant) = ints.quant else { continue };
        let kind = (ints.dtype, quant);
        // (q - zero) * scale / scale is within 2^-15 of an integer of at most 9 bits, so rounding restores it.
        let before = integers.get(&x).filter(|&&(_, dtype, quant)| forward && (dtype, quant) == kind);
        let border =
            (x, draft.value(node.output).dtype, forward.then(|| (quant.scale.to_bits(), quant.zero_point)));
        match before.map(|found| found.0).or_else(|| borders.get(&border).copied()) {
            Some(existing) => {
                same.insert(node.output, existing);
                dropped.insert(i);
            }
            None => {
                borders.insert(border, node.output);
                if !forward {
                    integers.insert(node.output, (x, kind.0, kind.1));
                }
            }
        }
    }
    draft.remove_nodes(&dropped);
    draft.rename_uses(&same);
    Ok(dropped.len() + measure_integers(draft))
}

/// A tensor has the shape of its integers: Shape and Size of it are no reason to keep the floats.
fn measure_integers(draft: &mut Draft) -> usize {
    let mut integers: HashMap<ValueId, ValueId> = HashMap::new();
    for node in &draft.nodes {
        match node.op {
            Op::Dequantize { .. } => integers.insert(node.output, node.inputs[0]),
            Op::Quantize { .. } => integers.insert(node.inputs[0], node.output),
            _ => None,
        };
    }
    let mut rewrites = 0;
    for node in &mut draft.nodes {
        if let Op::General(GeneralOp::Shape { .. } | GeneralOp::Size) = node.op
            && let Some(&ints) = integers.get(&node.inputs[0])
        {
            node.inputs[0] = ints;
            rewrites += 1;
        }
    }
    rewrites
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{FloatOp, UnaryOp};
    use crate::passes::testing::{Q, Sketch, every_byte};
    use crate::tensor::Tensor;

    const ODD: Quant = Quant { scale: 0.037, zero_point: 131 };

    fn reals() -> Tensor {
        Tensor::f32([256], (0..256).map(|i| (i as f32 - 100.0) * 0.31).collect()).unwrap()
    }

    /// Q -> DQ -> Q -> DQ with equal parameters: the second pair does nothing, whatever the scale.
    #[test]
    fn a_second_rounding_by_the_same_parameters_goes() {
        let mut net = Sketch::default();
        let mut x = net.input(DType::F32, None, &[256]);
        for _ in 0..3 {
            x = net.quantize(x, ODD);
            x = net.dequantize(x);
        }
        let y = net.unary(UnaryOp::Tanh, x);
        net.output(y);
        assert_eq!(net.apply(drop_requantization, &[reals()]), 4);
        assert_eq!(net.ops(), ["Quantize", "Dequantize", "Tanh (f32)"]);
    }

    #[test]
    fn other_parameters_stay() {
        let mut net = Sketch::default();
        let x = net.input(DType::U8, Some(ODD), &[256]);
        let real = net.dequantize(x);
        let y = net.quantize(real, Quant { zero_point: 130, ..ODD });
        net.output(y);
        assert_eq!(net.apply(drop_requantization, &[every_byte()]), 0);
    }

    /// Exporters write a pair for each reader.
    #[test]
    fn readers_share_one_border() {
        let mut net = Sketch::default();
        let x = net.input(DType::F32, None, &[256]);
        for scale in [0.25, 0.25, 0.5] {
            let q = net.quantize(x, Quant { scale, ..Q });
            let real = net.dequantize(q);
            let y = net.float(FloatOp::Unary(UnaryOp::Abs), &[real]);
            net.output(y);
        }
        assert_eq!(net.apply(drop_requantization, &[reals()]), 2);
        assert_eq!(net.ops().iter().filter(|op| **op == "Quantize").count(), 2);
    }

    /// Exporters compute sizes from the shapes of floats, which would have to be there for nothing else.
    #[test]
    fn shapes_are_those_of_the_integers() {
        let mut net = Sketch::default();
        let x = net.input(DType::F32, None, &[256]);
        let shape = Op::General(GeneralOp::Shape { start: 0, end: None });
        let of_input = net.add(shape.clone(), &[x], DType::I64, None);
        let q = net.quantize(x, Q);
        let real = net.dequantize(q);
        let of_real = net.add(shape, &[real], DType::I64, None);
        [of_input, of_real, q].into_iter().for_each(|value| net.output(value));
        assert_eq!(net.apply(drop_requantization, &[reals()]), 2);
        net.draft.drop_dead_nodes();
        assert_eq!(net.ops(), ["Quantize", "Shape", "Shape"]);
    }

    /// The 8-bit value that both ports name is the same.
    #[test]
    fn an_output_that_is_quantized_twice_keeps_its_value() {
        let mut net = Sketch::default();
        let x = net.input(DType::U8, Some(Q), &[256]);
        let real = net.dequantize(x);
        let y = net.quantize(real, Q);
        net.output(y);
        net.output(real);
        assert_eq!(net.apply(drop_requantization, &[every_byte()]), 1);
    }
}
