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
        "PRelu" => BinaryOp::PRelu,
        _ => BinaryOp::Div,
    };
    let inputs = [node.input(0)?, node.input(1)?];
    super::general::binary_of(node, op, inputs)
}

pub(super) fn unary(node: &mut Lowered) -> Result<(), Error> {
    let x = node.input(0)?;
    let dtype = node.dtype(x);
    if node.node.op_type == "Clip"
        && node.opset() >= 11
        && (dtype != DType::F32 || !has_constant_bounds(node)?)
    {
        return super::general::clip(node);
    }
    if dtype != DType::F32
        && let Some(op) = super::general::of_integers(node, dtype)
    {
        return node.emit(op, vec![x], dtype, None);
    }
    let op = if node.node.op_type == "Clip" { clip(node)? } else { function(node)? };
    node.emit_float(FloatOp::Unary(op), vec![x])
}

fn has_constant_bounds(node: &Lowered) -> Result<bool, Error> {
    let bounds = [node.optional(1)?, node.optional(2)?];
    Ok(bounds.into_iter().flatten().all(|id| node.constant_at(id).is_some()))
}

fn function(node: &Lowered) -> Result<UnaryOp, Error> {
    let attributes = node.attributes;
    let alpha = |default| attributes.float("alpha", default);
    Ok(match node.node.op_type.as_str() {
        "Abs" => UnaryOp::Abs,
        "Ceil" => UnaryOp::Ceil,
        "Celu" => UnaryOp::Celu { alpha: alpha(1.0)? },
        "Cos" => UnaryOp::Cos,
        "Elu" => UnaryOp::Elu { alpha: alpha(1.0)? },
        "Erf" => UnaryOp::Erf,
        "Exp" => UnaryOp::Exp,
        "Floor" => UnaryOp::Floor,
        "Gelu" => match attributes.string("approximate")?.unwrap_or("none") {
            "none" => UnaryOp::Gelu,
            "tanh" => UnaryOp::GeluTanh,
            other => return Err(node.malformed(format!("approximate `{other}`"))),
        },
        "Log" => UnaryOp::Log,
        "Mish" => UnaryOp::Mish,
        "Neg" => UnaryOp::Neg,
        "Reciprocal" => UnaryOp::Reciprocal,
        "Round" => UnaryOp::Round,
        "Selu" => UnaryOp::Selu { alpha: alpha(1.673_263_2)?, gamma: attributes.float("gamma", 1.050_701)? },
        "Sign" => UnaryOp::Sign,
        "Sin" => UnaryOp::Sin,
        "Softplus" => UnaryOp::Softplus,
        "Softsign" => UnaryOp::Softsign,
        "Sqrt" => UnaryOp::Sqrt,
        "ThresholdedRelu" => UnaryOp::ThresholdedRelu { alpha: alpha(1.0)? },
        "HardSigmoid" => UnaryOp::HardSigmoid {
            alpha: attributes.float("alpha", 0.2)?,
            beta: attributes.float("beta", 0.5)?,
        },
        "HardSwish" => UnaryOp::HardSwish,
        "LeakyRelu" => UnaryOp::LeakyRelu { alpha: attributes.float("alpha", 0.01)? },
        "Relu" => UnaryOp::Relu,
        "Sigmoid" => UnaryOp::Sigmoid,
        _ => UnaryOp::Tanh,
    })
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
