//! A Quantize whose input is a function of one 8-bit tensor alone becomes a table, or nothing where the function is
//! the identity.

use std::collections::HashMap;

use crate::error::Error;
use crate::graph::{Draft, FloatOp, Node, Op, UnaryOp, ValueId, eight_bit};
use crate::numerics;
use crate::reference;
use crate::tensor::{DType, Quant, Tensor};

use super::islands::Surroundings;

/// Most functions folded into one table.
pub(super) const MAX_CHAIN: usize = 16;

/// A chain `Quantize(f(Dequantize(x)))`, innermost function first.
struct Chain {
    x: ValueId,
    functions: Vec<UnaryOp>,
}

pub(super) fn build_tables(draft: &mut Draft) -> Result<usize, Error> {
    draft.sort()?;
    let around = Surroundings::of(draft);
    let chains: Vec<(usize, Chain)> =
        (0..draft.nodes.len()).filter_map(|i| Some((i, chain(&around, &draft.nodes[i])?))).collect();
    let rewrites = chains.len();
    let mut same: HashMap<ValueId, ValueId> = HashMap::new();
    for (i, chain) in chains {
        let output = draft.nodes[i].output;
        let (from, to) = (draft.value(chain.x), draft.value(output));
        let (Some(qx), Some(qy)) = (from.quant, to.quant) else { continue };
        let (x, y) = ((from.dtype, qx), (to.dtype, qy));
        if chain.functions.is_empty() && x == y {
            // In execution order, so what `x` itself stands for is known already.
            same.insert(output, same.get(&chain.x).copied().unwrap_or(chain.x));
            continue;
        }
        draft.check_constants(0)?;
        let name = format!("{}.table", to.name);
        let table = draft.constant(name, table(&chain.functions, x, y)?);
        draft.nodes[i].op = Op::Table;
        draft.nodes[i].inputs = vec![chain.x, table];
    }
    draft.rename_uses(&same);
    Ok(rewrites)
}

/// The chain that a per-tensor Quantize ends, if its unary functions lead back to a Dequantize.
fn chain(around: &Surroundings, quantize: &Node) -> Option<Chain> {
    (quantize.op == Op::Quantize { axis: None }).then_some(())?;
    let mut id = quantize.inputs[0];
    let mut functions = Vec::new();
    loop {
        if let Some((x, _)) = around.quantized(id) {
            functions.reverse();
            return Some(Chain { x, functions });
        }
        let node = around.producer(id)?;
        let Op::Float(FloatOp::Unary(function)) = node.op else { return None };
        functions.push(function);
        id = node.inputs[0];
        // Long chains of shared functions would make this quadratic; real ones have a handful.
        (functions.len() <= MAX_CHAIN).then_some(())?;
    }
}

/// The table of `f` over all 256 bytes of `x`, computed by the very f32 operations that it replaces.
fn table(
    functions: &[UnaryOp],
    (dtx, qx): (DType, Quant),
    (dty, qy): (DType, Quant),
) -> Result<Tensor, Error> {
    let ints: Vec<i32> = match dtx {
        DType::I8 => (0..=255u8).map(|byte| i32::from(byte.cast_signed())).collect(),
        _ => (0..256).collect(),
    };
    let reals = ints.into_iter().map(|q| numerics::dequantize(q, qx)).collect();
    let mut reals = Tensor::f32([256], reals)?;
    for &function in functions {
        reals = reference::evaluate_float(&FloatOp::Unary(function), &[&reals], &[256])?;
    }
    let ints = reals.as_f32()?.iter().map(|&real| numerics::quantize(real, qy, dty));
    Tensor::new([256], eight_bit(dty, ints))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::{Q, Sketch, every_byte};

    const FUNCTIONS: [UnaryOp; 7] = [
        UnaryOp::Relu,
        UnaryOp::Clip { lo: -1.5, hi: 6.0 },
        UnaryOp::LeakyRelu { alpha: 0.1 },
        UnaryOp::Sigmoid,
        UnaryOp::Tanh,
        UnaryOp::HardSigmoid { alpha: 0.2, beta: 0.5 },
        UnaryOp::HardSwish,
    ];

    /// A table and the f32 operations that it replaces agree on every byte, under scales that are no powers of two.
    #[test]
    fn a_table_equals_its_functions_on_every_byte() {
        let (qx, qy) = (Quant { scale: 0.037, zero_point: 131 }, Quant { scale: 0.0121, zero_point: 17 });
        for function in FUNCTIONS {
            let mut net = Sketch::default();
            let x = net.input(DType::U8, Some(qx), &[256]);
            let real = net.dequantize(x);
            let y = net.unary(function, real);
            let y = net.unary(UnaryOp::HardSwish, y);
            let y = net.quantize(y, qy);
            net.output(y);
            assert_eq!(net.apply(build_tables, &[every_byte()]), 1, "{function:?}");
            net.draft.drop_dead_nodes();
            assert_eq!(net.ops(), ["Table"]);
        }
    }

    #[test]
    fn another_scale_becomes_a_table_and_the_same_scale_nothing() {
        for (to, left) in [(Quant { scale: 0.3, zero_point: 3 }, &["Table"][..]), (Q, &[])] {
            let mut net = Sketch::default();
            let x = net.input(DType::U8, Some(Q), &[256]);
            let real = net.dequantize(x);
            let y = net.quantize(real, to);
            net.output(y);
            assert_eq!(net.apply(build_tables, &[every_byte()]), 1);
            net.draft.drop_dead_nodes();
            assert_eq!(net.ops(), left);
        }
    }

    #[test]
    fn a_function_of_two_tensors_is_no_table() {
        let mut net = Sketch::default();
        let x = net.input(DType::U8, Some(Q), &[256]);
        let real = net.dequantize(x);
        let sum = net.binary(crate::graph::BinaryOp::Sub, real, real);
        let y = net.quantize(sum, Q);
        net.output(y);
        assert_eq!(net.apply(build_tables, &[every_byte()]), 0);
    }

    #[test]
    fn signed_bytes_index_by_their_pattern() {
        let quant = Quant { scale: 1.0, zero_point: 0 };
        let relu = table(&[UnaryOp::Relu], (DType::I8, quant), (DType::I8, quant)).unwrap();
        let crate::tensor::Data::I8(entries) = relu.data() else { panic!("{:?}", relu.dtype()) };
        assert_eq!((entries[5], entries[127], entries[128], entries[255]), (5, 127, 0, 0));
    }
}
