//! Normalizations.

use crate::error::Error;
use crate::graph::FloatOp;
use crate::import::lowering::Lowered;
use crate::tensor::Tensor;

/// At inference a scale and a shift for each channel: `gamma / sqrt(var + eps)` and `beta - mean * scale`, in f32.
pub(super) fn batch(node: &mut Lowered) -> Result<(), Error> {
    let epsilon = node.attributes.float("epsilon", 1e-5)?;
    node.attributes.ignore("momentum");
    if node.attributes.flag("training_mode", false)? {
        return Err(node.unsupported("training_mode is on", "inference"));
    }
    if node.opset() < 9 && !node.attributes.flag("spatial", true)? {
        return Err(node.unsupported("statistics for each pixel", "statistics for each channel"));
    }
    let mut parameters: [Vec<f32>; 4] = Default::default();
    for (i, parameter) in parameters.iter_mut().enumerate() {
        let tensor = node.constant(i + 1)?;
        *parameter = match tensor.as_f32() {
            Ok(reals) => reals.to_vec(),
            Err(_) => return Err(node.unsupported(format!("parameters of type {}", tensor.dtype()), "f32")),
        };
    }
    let [gamma, beta, mean, variance] = parameters;
    let channels = gamma.len();
    if [&beta, &mean, &variance].iter().any(|other| other.len() != channels) {
        return Err(node.malformed("its parameters have different lengths"));
    }
    let scale: Vec<f32> = gamma.iter().zip(&variance).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
    let shift = (0..channels).map(|c| beta[c] - mean[c] * scale[c]).collect();
    let inputs = vec![
        node.input(0)?,
        node.add_constant("scale", Tensor::f32([channels], scale)?),
        node.add_constant("shift", Tensor::f32([channels], shift)?),
    ];
    node.emit_float(FloatOp::ScaleShift, inputs)
}

pub(super) fn instance(node: &mut Lowered) -> Result<(), Error> {
    let epsilon = node.attributes.float("epsilon", 1e-5)?;
    let inputs = vec![node.input(0)?, node.input(1)?, node.input(2)?];
    node.emit_float(FloatOp::InstanceNorm { epsilon }, inputs)
}

pub(super) fn layer(node: &mut Lowered) -> Result<(), Error> {
    let axis = node.attributes.int("axis", -1)?;
    let epsilon = node.attributes.float("epsilon", 1e-5)?;
    node.attributes.ignore("stash_type"); // everything is computed in f32
    let mut inputs = vec![node.input(0)?, node.input(1)?];
    inputs.extend(node.optional(2)?);
    node.emit_float(FloatOp::LayerNorm { axis, epsilon }, inputs)
}

pub(super) fn lrn(node: &mut Lowered) -> Result<(), Error> {
    let size = usize::try_from(node.attributes.int("size", 0)?).ok().filter(|&size| size > 0);
    let op = FloatOp::Lrn {
        size: size.ok_or_else(|| node.malformed("size is missing or not positive"))?,
        alpha: node.attributes.float("alpha", 1e-4)?,
        beta: node.attributes.float("beta", 0.75)?,
        bias: node.attributes.float("bias", 1.0)?,
    };
    let x = node.input(0)?;
    node.emit_float(op, vec![x])
}
