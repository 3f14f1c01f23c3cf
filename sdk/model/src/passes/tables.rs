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
