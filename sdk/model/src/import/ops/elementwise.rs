//! Element-wise functions of one or two tensors.

use crate::error::Error;
use crate::graph::{BinaryOp, FloatOp, UnaryOp};
use crate::import::lowering::Lowered;
use crate::tensor::DType;

pub(super) fn binary(node: &mut Lowered) -> Result<(), Error> {
    let op = match node.node.op_type.as_str() {
        "Add" => BinaryOp::Add,
        "Sub" => BinaryOp::Sub,
        "Mul" => BinaryOp::Mul,
        _ => BinaryOp::Div,
    };
    let inputs = vec![node.input(0)?, node.input(1)?];
    node.emit_float(FloatOp::Binary(op), inputs)
}

pub(super) fn unary(node: &mut Lowered) -> Result<(), Error> {
    let attributes = node.attributes;
    let op = match node.node.op_type.as_str() {
        "Clip" => clip(node)?,
        "HardSigmoid" => UnaryOp::HardSigmoid {
            alpha: attributes.float("alpha", 0.2)?,
            beta: attributes.float("beta", 0.5)?,
        },
        "HardSwish" => UnaryOp::HardSwish,
        "LeakyRelu" => UnaryOp::LeakyRelu { alpha: attributes.float("alpha", 0.01)? },
        "Relu" => UnaryOp::Relu,
        "Sigmoid" => UnaryOp::Sigmoid,
        _ => UnaryOp::Tanh,
    };
    let x = node.input(0)?;
    node.emit_float(FloatOp::Unary(op), vec![x])
}

/// Bounds are attributes before opset 11 and optional inputs since.
fn clip(node: &Lowered) -> Result<UnaryOp, Error> {
    let dtype = node.dtype(node.input(0)?);
    if dtype != DType::F32 {
        return Err(node.unsupported(format!("an input has type {dtype}"), "f32 tensors"));
    }
    if node.opset() < 11 {
        let lo = node.attributes.float("min", f32::MIN)?;
        return Ok(UnaryOp::Clip { lo, hi: node.attributes.float("max", f32::MAX)? });
    }
    let bound = |i: usize, default: f32| match node.optional_constant(i)? {
        None => Ok(default),
        Some(tensor) => match tensor.as_f32() {
            Ok([bound]) => Ok(*bound),
            Ok(other) => Err(node.malformed(format!("a bound with {} elements", other.len()))),
            Err(_) => Err(node.malformed(format!("a bound of type {}", tensor.dtype()))),
        },
    };
    Ok(UnaryOp::Clip { lo: bound(1, f32::MIN)?, hi: bound(2, f32::MAX)? })
}
