//! QuantizeLinear and DequantizeLinear of types other than 8-bit integers, and of blocks with a scale each: spelled out
//! in f32, since nothing computes in such integers.

use crate::error::Error;
use crate::graph::{BinaryOp, FloatOp, GeneralOp, Op, UnaryOp};
use crate::import::lowering::Lowered;
use crate::numerics::narrow::{Number, collect, number};
use crate::tensor::{DType, Data, Tensor, element_count};

const CAST: Op = Op::General(GeneralOp::Cast { saturate: true });

/// `(cast(x) - zero point) * scale`, of the scale's type.
pub(super) fn dequantize(node: &mut Lowered) -> Result<(), Error> {
    let x = node.input(0)?;
    if !is_quantized(node.dtype(x)) {
        return Err(
            node.unsupported(format!("an input of type {}", node.dtype(x)), "4, 8 or 16 bits, or i32")
        );
    }
    let Parameters { scale, zero, dtype } = parameters(node, node.dtype(x))?;
    let mut y = node.step(CAST, vec![x], DType::F32);
    if let Some(zero) = zero {
        let zero = node.add_constant("zero", zero);
        y = node.step(Op::Float(FloatOp::Binary(BinaryOp::Sub)), vec![y, zero], DType::F32);
    }
    let scale = node.add_constant("scale", scale);
    let multiply = Op::Float(FloatOp::Binary(BinaryOp::Mul));
    if dtype == DType::F32 {
        return node.emit(multiply, vec![y, scale], dtype, None);
    }
    y = node.step(multiply, vec![y, scale], DType::F32);
    node.emit(CAST, vec![y], dtype, None)
}

/// `cast(rint(x / scale) + zero point)`, without rint and zero point for floats; the cast saturates.
pub(super) fn quantize(node: &mut Lowered, dtype: DType) -> Result<(), Error> {
    let x = node.input(0)?;
    let saturate = node.attributes.flag("saturate", true)?;
    if node.dtype(x) != DType::F32 || !is_quantized(dtype) {
        let reason = format!("{} quantized to {dtype}", node.dtype(x));
        return Err(node.unsupported(reason, "f32 to 4, 8 or 16 bits"));
    }
    let Parameters { scale, zero, .. } = parameters(node, dtype)?;
    let scale = node.add_constant("scale", scale);
    let mut y = node.step(Op::Float(FloatOp::Binary(BinaryOp::Div)), vec![x, scale], DType::F32);
    if !dtype.is_float() {
        y = node.step(Op::Float(FloatOp::Unary(UnaryOp::Round)), vec![y], DType::F32);
    }
    if let Some(zero) = zero {
        let zero = node.add_constant("zero", zero);
        y = node.step(Op::Float(FloatOp::Binary(BinaryOp::Add)), vec![y, zero], DType::F32);
    }
    node.emit(Op::General(GeneralOp::Cast { saturate }), vec![y], dtype, None)
}

/// Types that quantized values may have.
fn is_quantized(dtype: DType) -> bool {
    let float8 = dtype.is_float() && dtype.size() == 1;
    float8 || matches!(dtype, DType::U8 | DType::I8 | DType::I16 | DType::U16 | DType::I4 | DType::U4)
}

/// Scale and zero point as f32 tensors that broadcast to x; no zero point where it is zero.
struct Parameters {
    scale: Tensor,
    zero: Option<Tensor>,
    /// The scale's own type.
    dtype: DType,
}

fn parameters(node: &Lowered, quantized: DType) -> Result<Parameters, Error> {
    let scale = node.constant(1)?;
    let spread = Spread::new(node, scale.shape())?;
    let zero = match node.optional_constant(2)? {
        None => None,
        Some(zero) if zero.len() != scale.len() => {
            return Err(node.malformed(format!("{} scales and {} zero points", scale.len(), zero.len())));
        }
        Some(zero) if zero.dtype() != quantized => {
            return Err(node.malformed(format!("a zero point of type {} for {quantized}", zero.dtype())));
        }
        Some(zero) => Some(spread.over(zero)?).filter(|zero| match zero.data() {
            Data::F32(reals) => reals.iter().any(|&x| x != 0.0),
            _ => true,
        }),
    };
    Ok(Parameters { scale: spread.over(scale)?, zero, dtype: scale.dtype() })
}

/// How scales are laid out to broadcast to x: each repeated `times` times for `inner` elements.
struct Spread {
    shape: Vec<usize>,
    times: usize,
    inner: usize,
}

impl Spread {
    fn new(node: &Lowered, scales: &[usize]) -> Result<Self, Error> {
        let axis = node.attributes.int("axis", 1)?;
        let block = node.attributes.int("block_size", 0)?;
        let block = usize::try_from(block).map_err(|_| node.malformed(format!("block_size {block}")))?;
        let axis_of = |rank: usize| {
            let axis = crate::shape::normalize_axis(axis, rank);
            axis.ok_or_else(|| node.malformed(format!("an axis of a tensor of rank {rank}")))
        };
        let mut shape = match (scales, block) {
            ([] | [1], 0) => Vec::new(),
            (&[n], 0) => {
                let rank = node.rank(node.input(0)?);
                let unknown = || node.unsupported("scales per axis of a computed tensor", "one scale");
                let rank = rank.ok_or_else(unknown)?;
                let mut shape = vec![1; rank - axis_of(rank)?];
                shape[0] = n;
                shape
            }
            (scales, 0) => {
                let supported = "one scale per tensor, per axis or per block";
                return Err(node.unsupported(format!("scales of shape {scales:?}"), supported));
            }
            (scales, _) => scales.to_vec(),
        };
        if block == 0 {
            return Ok(Self { shape, times: 1, inner: 1 });
        }
        let axis = axis_of(shape.len())?;
        shape[axis] = shape[axis].saturating_mul(block);
        element_count(&shape)?;
        Ok(Self { times: block, inner: shape[axis + 1..].iter().product(), shape })
    }

    fn over(&self, tensor: &Tensor) -> Result<Tensor, Error> {
        let element = |i: usize| {
            let (block, place) = (i / (self.times * self.inner), i % self.inner);
            Number::Real(number(tensor.data(), block * self.inner + place).real())
        };
        let len = tensor.len() * self.times;
        Tensor::new(self.shape.clone(), collect(DType::F32, len, true, &element)?)
    }
}
