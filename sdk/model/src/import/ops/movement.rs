//! Operations that move elements, and constants.

use crate::error::Error;
use crate::graph::Op;
use crate::import::lowering::Lowered;
use crate::onnx;
use crate::tensor::{Data, Tensor};

pub(super) fn concat(node: &mut Lowered) -> Result<(), Error> {
    let inputs = (0..node.node.input.len()).map(|i| node.input(i)).collect::<Result<Vec<_>, _>>()?;
    if inputs.is_empty() {
        return Err(node.malformed("nothing to join"));
    }
    let axis = node.attributes.int("axis", 1)?;
    node.emit_kept(Op::Concat { axis }, inputs)
}

pub(super) fn constant(node: &mut Lowered) -> Result<(), Error> {
    let attributes = node.attributes;
    let tensor = if let Some(proto) = attributes.tensor("value")? {
        onnx::to_tensor(proto)?
    } else if let Some(ints) = attributes.ints("value_ints")? {
        Tensor::new([ints.len()], Data::I64(ints.to_vec()))?
    } else if let Some(floats) = attributes.floats("value_floats")? {
        Tensor::f32([floats.len()], floats.to_vec())?
    } else if attributes.has("value_int") {
        Tensor::new([], Data::I64(vec![attributes.int("value_int", 0)?]))?
    } else if attributes.has("value_float") {
        Tensor::f32([], vec![attributes.float("value_float", 0.0)?])?
    } else {
        return Err(node.unsupported("its value is of another kind", "a tensor, integers or floats"));
    };
    node.emit_constant(tensor)
}

pub(super) fn flatten(node: &mut Lowered) -> Result<(), Error> {
    let axis = node.attributes.int("axis", 1)?;
    let x = node.input(0)?;
    node.emit_kept(Op::Flatten { axis }, vec![x])
}

/// Identity; and Dropout, which is one outside training.
pub(super) fn identity(node: &mut Lowered) -> Result<(), Error> {
    if node.node.op_type == "Dropout" {
        if node.opset() < 7 {
            return Err(
                node.unsupported("the form before opset 7, which trains unless told", "opset 7 and newer")
            );
        }
        node.attributes.ignore("ratio");
        node.attributes.ignore("seed");
        if let Some(mode) = node.optional_constant(2)? {
            let training = mode.to_bytes().iter().any(|&byte| byte != 0);
            if training {
                return Err(node.unsupported("training_mode is on", "inference"));
            }
        }
    }
    let x = node.input(0)?;
    node.alias(x)
}

/// Axes are an attribute before opset 13 and an input since.
pub(super) fn squeeze(node: &mut Lowered) -> Result<(), Error> {
    let axes = node.int_list(1, "axes")?.unwrap_or_default();
    let x = node.input(0)?;
    node.emit_kept(Op::Squeeze { axes }, vec![x])
}

/// Axes are an attribute before opset 13 and an input since.
pub(super) fn unsqueeze(node: &mut Lowered) -> Result<(), Error> {
    let axes = node.int_list(1, "axes")?.ok_or_else(|| node.malformed("axes are missing"))?;
    let x = node.input(0)?;
    node.emit_kept(Op::Unsqueeze { axes }, vec![x])
}

pub(super) fn transpose(node: &mut Lowered) -> Result<(), Error> {
    let x = node.input(0)?;
    let perm = match (node.attributes.ints("perm")?, node.rank(x)) {
        (Some(perm), _) => perm.iter().map(|&axis| usize::try_from(axis)).collect::<Result<Vec<_>, _>>(),
        (None, Some(rank)) => Ok((0..rank).rev().collect()),
        (None, None) => return Err(node.unsupported("perm is not given", "a written-out permutation")),
    };
    let perm = perm.map_err(|_| node.malformed("perm has a negative axis"))?;
    node.emit_kept(Op::Transpose { perm }, vec![x])
}
