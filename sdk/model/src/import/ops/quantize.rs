//! QuantizeLinear and DequantizeLinear.

use crate::error::Error;
use crate::graph::{GeneralOp, Op};
use crate::import::lowering::Lowered;
use crate::limits::{MAX_SCALE, MIN_SCALE};
use crate::numerics::narrow::{collect, number};
use crate::onnx;
use crate::tensor::{DType, Data, Quant, Tensor};

/// The smallest positive f32.
const SUBNORMAL: f32 = f32::from_bits(1);

pub(super) fn quantize(node: &mut Lowered) -> Result<(), Error> {
    let x = node.input(0)?;
    let declared = match node.attributes.int("output_dtype", 0)? {
        0 => None,
        code => Some(
            i32::try_from(code)
                .ok()
                .and_then(onnx::dtype)
                .ok_or_else(|| node.unsupported(format!("output type {code}"), "u8 and i8"))?,
        ),
    };
    let zero_point_type = node.optional(2)?.map(|id| node.dtype(id));
    let dtype = zero_point_type.or(declared).unwrap_or(DType::U8);
    if dtype.range().is_none() || is_blocked(node)? {
        return super::wide::quantize(node, dtype);
    }
    node.attributes.ignore("saturate"); // concerns float8 alone
    // f16 is exact in f32, where the division is rounded once.
    let x = match node.dtype(x) {
        DType::F16 => node.step(Op::General(GeneralOp::Cast { saturate: true }), vec![x], DType::F32),
        _ => x,
    };
    if node.dtype(x) != DType::F32 {
        let reason = format!("{} quantized to {dtype}", node.dtype(x));
        return Err(node.unsupported(reason, "f32 or f16 to u8 or i8"));
    }
    match parameters(node, dtype)? {
        Parameters::PerTensor(quant) => node.emit(Op::Quantize { axis: None }, vec![x], dtype, Some(quant)),
        Parameters::PerAxis { axis, scales, zeros } => {
            let inputs = vec![x, node.add_constant("scales", scales), node.add_constant("zeros", zeros)];
            node.emit(Op::Quantize { axis: Some(axis) }, inputs, dtype, None)
        }
    }
}

pub(super) fn dequantize(node: &mut Lowered) -> Result<(), Error> {
    let x = node.input(0)?;
    let dtype = node.dtype(x);
    // By an f16 scale the result is f16: rounded once more.
    let half = node.optional(1)?.is_some_and(|scale| node.dtype(scale) == DType::F16);
    if !matches!(dtype, DType::U8 | DType::I8 | DType::I32) || half || is_blocked(node)? {
        return super::wide::dequantize(node);
    }
    let parameters = parameters(node, dtype)?;
    // A value carries one quantization: that of its QuantizeLinear, or of the first DequantizeLinear of an input or
    // constant. Anything else (biases, per-axis parameters, another scale than the value's own) is written out.
    let (axis, scales, zeros) = match parameters {
        Parameters::PerTensor(quant) if dtype != DType::I32 && node.quant_or_set(x, quant) == quant => {
            return node.emit(Op::Dequantize { axis: None }, vec![x], DType::F32, None);
        }
        Parameters::PerTensor(quant) => {
            let one = Tensor::new([1], Data::I32(vec![quant.zero_point]))?;
            (0, Tensor::f32([1], vec![quant.scale])?, one)
        }
        Parameters::PerAxis { axis, scales, zeros } => (axis, scales, zeros),
    };
    let inputs = vec![x, node.add_constant("scales", scales), node.add_constant("zeros", zeros)];
    node.emit(Op::Dequantize { axis: Some(axis) }, inputs, DType::F32, None)
}

fn is_blocked(node: &Lowered) -> Result<bool, Error> {
    Ok(node.attributes.int("block_size", 0)? != 0)
}

/// The elements of a float tensor as f32; those of f16 are exact in it.
fn single(tensor: &Tensor) -> Result<Vec<f32>, Error> {
    let cast = collect(DType::F32, tensor.len(), true, &|i| number(tensor.data(), i))?;
    Tensor::new([tensor.len()], cast)?.as_f32().map(<[f32]>::to_vec)
}

enum Parameters {
    PerTensor(Quant),
    PerAxis { axis: i64, scales: Tensor, zeros: Tensor },
}

fn parameters(node: &Lowered, dtype: DType) -> Result<Parameters, Error> {
    let axis = node.attributes.int("axis", 1)?;
    let scales = node.constant(1)?;
    let reals = match scales.dtype() {
        DType::F32 | DType::F16 => single(scales)?,
        other => return Err(node.unsupported(format!("scales of type {other}"), "f32 or f16 scales")),
    };
    let zeros = match node.optional_constant(2)? {
        None => vec![0; reals.len()],
        Some(zeros) if zeros.dtype() == dtype => zeros.widened()?,
        Some(zeros) => {
            return Err(node.malformed(format!("a zero point of type {} for {dtype}", zeros.dtype())));
        }
    };
    if scales.shape().len() > 1 || zeros.len() != reals.len() || reals.is_empty() {
        let reason = format!("scales of shape {:?} with {} zero points", scales.shape(), zeros.len());
        return Err(node.unsupported(reason, "one scale and zero point per tensor or per axis"));
    }
    // A bias' scale is a product of two, and quantizers give a channel of next to no weights a scale to match: what
    // counts is the multiplier, which the graph's validation checks.
    let least = match dtype {
        DType::I32 => 0.0, // the product of two may vanish
        _ if reals.len() > 1 && node.constant(0).is_ok() => SUBNORMAL,
        _ => MIN_SCALE,
    };
    if let Some(scale) = reals.iter().find(|scale| !(least..=MAX_SCALE).contains(*scale)) {
        return Err(node.malformed(format!("scale {scale:e} is not between {least:e} and {MAX_SCALE:e}")));
    }
    if let ([scale], [zero_point]) = (&reals[..], &zeros[..]) {
        return Ok(Parameters::PerTensor(Quant { scale: *scale, zero_point: *zero_point }));
    }
    let shape = [reals.len()];
    Ok(Parameters::PerAxis {
        axis,
        scales: Tensor::f32(shape, reals)?,
        zeros: Tensor::new(shape, Data::I32(zeros))?,
    })
}
