//! Integer products with zero points that may be computed, and the quantization that computes them: what
//! `quantize_dynamic` of ONNX Runtime writes. The products are exact; their tails (Cast, Mul, Add) run in f32.

use super::spatial;
use crate::error::Error;
use crate::graph::{DynamicPart, GeneralOp, Op};
use crate::import::lowering::Lowered;
use crate::tensor::{DType, Data, Tensor};

pub(super) fn conv(node: &mut Lowered) -> Result<(), Error> {
    let inputs = operands(node)?;
    let kernel = node.constant_shape(inputs[1]).and_then(|shape| shape.get(2..)).map(<[usize]>::to_vec);
    let window = spatial::window(node, kernel.as_deref())?;
    let groups = spatial::groups(node)?;
    node.emit(Op::General(GeneralOp::ConvInteger { window, groups }), inputs, DType::I32, None)
}

pub(super) fn matmul(node: &mut Lowered) -> Result<(), Error> {
    let inputs = operands(node)?;
    node.emit(Op::General(GeneralOp::MatMulInteger), inputs, DType::I32, None)
}

/// Both factors and their zero points; 0 where one is left out.
fn operands(node: &mut Lowered) -> Result<Vec<crate::ValueId>, Error> {
    let mut inputs = vec![node.input(0)?, node.input(1)?];
    for i in 0..2 {
        let dtype = node.dtype(inputs[i]);
        if dtype.range().is_none() {
            return Err(node.unsupported(format!("an input of type {dtype}"), "u8 and i8"));
        }
        let zero = match node.optional(i + 2)? {
            Some(zero) if node.dtype(zero) == dtype => zero,
            Some(zero) => {
                let found = node.dtype(zero);
                return Err(node.malformed(format!("a zero point of type {found} for {dtype}")));
            }
            None => {
                let zero = if dtype == DType::U8 { Data::U8(vec![0]) } else { Data::I8(vec![0]) };
                node.add_constant(["x_zero", "w_zero"][i], Tensor::new([], zero)?)
            }
        };
        inputs.push(zero);
    }
    Ok(inputs)
}

pub(super) fn quantize(node: &mut Lowered) -> Result<(), Error> {
    let x = node.input(0)?;
    if node.dtype(x) != DType::F32 {
        return Err(node.unsupported(format!("an input of type {}", node.dtype(x)), "f32"));
    }
    let parts = [
        (DynamicPart::Integers, DType::U8),
        (DynamicPart::Scale, DType::F32),
        (DynamicPart::ZeroPoint, DType::U8),
    ];
    for (k, (part, dtype)) in parts.into_iter().enumerate() {
        node.write(k, Op::General(GeneralOp::DynamicQuantize(part)), vec![x], dtype, None)?;
    }
    node.finish()
}
