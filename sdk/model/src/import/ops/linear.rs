//! Convolutions and matrix products.

use super::pool::window;
use super::spatial;
use crate::error::Error;
use crate::graph::{Conv, FloatOp, MatMul};
use crate::import::lowering::Lowered;

pub(super) fn conv(node: &mut Lowered) -> Result<(), Error> {
    let inputs = operands(node, 2, 3)?;
    let rank = node.constant_shape(inputs[1]).map(<[usize]>::len);
    if spatial::other_than_two(node, rank)? {
        return spatial::conv(node, inputs);
    }
    let kernel = match node.constant_shape(inputs[1]) {
        Some(&[_, _, h, w]) => Some([h, w]),
        Some(other) => {
            return Err(node.unsupported(format!("weights of shape {other:?}"), "2-D convolutions"));
        }
        None => None,
    };
    let window = window(node, kernel)?;
    if kernel.is_some_and(|kernel| kernel != window.kernel) {
        return Err(node.malformed("kernel_shape is not that of the weights"));
    }
    let groups = spatial::groups(node)?;
    node.emit_float(FloatOp::Conv(Conv { window, groups }), inputs)
}

pub(super) fn gemm(node: &mut Lowered) -> Result<(), Error> {
    let inputs = operands(node, 2, 3)?;
    let matmul = MatMul {
        alpha: node.attributes.float("alpha", 1.0)?,
        beta: node.attributes.float("beta", 1.0)?,
        trans_a: node.attributes.flag("transA", false)?,
        trans_b: node.attributes.flag("transB", false)?,
    };
    node.emit_float(FloatOp::MatMul(matmul), inputs)
}

pub(super) fn matmul(node: &mut Lowered) -> Result<(), Error> {
    let inputs = operands(node, 2, 2)?;
    node.emit_float(FloatOp::MatMul(MatMul { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false }), inputs)
}

/// Between `least` and `most` inputs, of which those after `least` may be left out.
fn operands(node: &Lowered, least: usize, most: usize) -> Result<Vec<crate::ValueId>, Error> {
    let mut inputs = (0..least).map(|i| node.input(i)).collect::<Result<Vec<_>, _>>()?;
    for i in least..most {
        inputs.extend(node.optional(i)?);
    }
    Ok(inputs)
}
