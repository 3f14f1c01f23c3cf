//! The graph: a device-neutral program over 8-bit tensors, with f32 operations where a model has them.
//!
//! Tensors keep the model's own names, shapes and layout (NCHW for images); a backend chooses its own layout when it
//! makes a plan. Shapes are not stored: [`crate::shape::infer`] computes them for given input shapes, which is what
//! makes batch and image size dynamic. What is in a bundle is this structure (see `docs/bundle-format.md`), with the
//! constants beside it in one byte blob.

mod draft;
mod functions;
mod general;
mod moves;
mod op;
mod spatial;
mod validate;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::numerics;
use crate::tensor::{Coded, DType, Data, Quant, Tensor, element_count};

pub use draft::{Draft, DraftValue};
pub use functions::{BinaryOp, ReduceOp, UnaryOp};
pub use general::{Comparison, DynamicPart, GeneralOp, LogicOp, Ranking};
pub use moves::{Ints, MoveOp, PadMode};
pub use op::{Bounds, Conv, FloatOp, MatMul, Op, Pads, Pool, Window};
pub use spatial::{
    AutoPad, ConvTranspose, Coordinates, Direction, Interpolation, Nearest, Policy, PoolKind, PoolNd,
    Recurrent, Resize, RoiAlign, State, Target, WindowNd,
};

/// Version of the serialized graph; a reader refuses any other.
pub const GRAPH_SCHEMA: u16 = 1;

/// Index of a value in [`Graph::values`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ValueId(pub u32);

impl ValueId {
    /// The id as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A tensor that flows through the graph, or a constant.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Value {
    /// The model's name for it; unique in the graph.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// How its integers stand for reals; present on 8-bit activations.
    pub quant: Option<Quant>,
    /// Where its bytes are, if it is a constant.
    pub constant: Option<Constant>,
}

/// A constant's place in the weights blob.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Constant {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Byte offset in the weights blob, a multiple of [`CONSTANT_ALIGN`].
    pub offset: u64,
}

/// Alignment of every constant in the weights blob: a cache line.
pub const CONSTANT_ALIGN: usize = 64;

/// One operation.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Node {
    /// The model's name for it, or one made from its output.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// What it reads, in the order that [`Op`] documents.
    pub inputs: Vec<ValueId>,
    /// What it writes.
    pub output: ValueId,
}

/// One axis of an input: fixed by the model, or chosen by the caller.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Dim {
    /// Exactly this many.
    Fixed(usize),
    /// Any number, under the model's name for it ("batch").
    Dynamic(String),
}

/// An input or output of the whole graph.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Port {
    /// The model's name for it; the value behind it may have another one, since its Quantize is folded in.
    pub name: String,
    /// The tensor inside the graph.
    pub value: ValueId,
    /// The type the model declares: f32 where the graph itself holds the quantized integers.
    pub dtype: DType,
    /// The declared shape. For outputs, as far as the model says.
    pub shape: Vec<Dim>,
}

/// Bytes of all constants, shared by everything made from one graph.
#[derive(Clone, Default)]
pub struct Weights(Bytes);

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Weights({} bytes)", self.0.len())
    }
}

/// A whole program: values, nodes in execution order, and its ports.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Graph {
    /// [`GRAPH_SCHEMA`].
    pub schema: u16,
    /// The model's name.
    pub name: String,
    /// Every tensor.
    pub values: Vec<Value>,
    /// Every operation, each after those it reads from.
    pub nodes: Vec<Node>,
    /// What the caller gives.
    pub inputs: Vec<Port>,
    /// What the caller gets.
    pub outputs: Vec<Port>,
    #[serde(skip)]
    weights: Weights,
}

impl Graph {
    /// Attaches the weights blob to a graph that was decoded without it, and checks the whole. The bytes may be a part of
    /// something larger, such as a bundle: they are shared, not copied.
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] for anything a well-formed graph cannot have; after this, every index, type and
    /// constant range in the graph can be relied on.
    pub fn with_weights(mut self, weights: impl Into<Bytes>) -> Result<Self, Error> {
        self.weights = Weights(weights.into());
        validate::check(&self)?;
        Ok(self)
    }

    /// The bytes of all constants.
    pub fn weights(&self) -> &Bytes {
        &self.weights.0
    }

    /// A value by its id.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// The quantization of a value, or an error that names it.
    ///
    /// # Errors
    /// [`Error::InvalidGraph`] if the value is not quantized.
    pub fn quant(&self, id: ValueId) -> Result<Quant, Error> {
        let value = self.value(id);
        value.quant.ok_or_else(|| {
            Error::invalid_graph(&value.name, "is used as a quantized tensor but has no scale")
        })
    }

    /// The bytes of a constant, little-endian; `None` if the value is no constant.
    pub fn constant_bytes(&self, id: ValueId) -> Option<&[u8]> {
        let value = self.value(id);
        let constant = value.constant.as_ref()?;
        let start = usize::try_from(constant.offset).ok()?;
        let len = constant.shape.iter().product::<usize>() * value.dtype.size();
        self.weights.0.get(start..start + len)
    }

    /// A constant as an owned tensor; `None` if the value is no constant.
    pub fn constant(&self, id: ValueId) -> Option<Tensor> {
        let bytes = self.constant_bytes(id)?;
        let value = self.value(id);
        Tensor::new(value.constant.as_ref()?.shape.clone(), data_from_le(value.dtype, bytes).ok()?).ok()
    }

    /// The port called `name`.
    pub fn input(&self, name: &str) -> Option<&Port> {
        self.inputs.iter().find(|port| port.name == name)
    }

    /// Brings a caller's tensor to the type that the graph holds behind `port`: equal types pass, f32 is quantized
    /// where the port folds a QuantizeLinear in.
    ///
    /// # Errors
    /// [`Error::DTypeMismatch`] for any other type.
    pub fn accept(&self, port: &Port, tensor: Tensor) -> Result<Tensor, Error> {
        let value = self.value(port.value);
        if tensor.dtype() == value.dtype {
            return Ok(tensor);
        }
        match (tensor.data(), value.quant) {
            (Data::F32(reals), Some(quant)) if port.dtype == DType::F32 => {
                let ints = reals.iter().map(|&x| numerics::quantize(x, quant, value.dtype));
                let data = eight_bit(value.dtype, ints);
                Tensor::new(tensor.shape(), data)
            }
            _ => Err(Error::DTypeMismatch {
                what: format!("input `{}`", port.name),
                expected: if port.dtype == value.dtype {
                    port.dtype.to_string()
                } else {
                    format!("{} or {}", port.dtype, value.dtype)
                },
                found: tensor.dtype(),
            }),
        }
    }

    /// The tensor of an output in the type that the model declares: dequantized where the graph holds integers.
    ///
    /// # Errors
    /// [`Error::DTypeMismatch`] if `tensor` is not of the port's value.
    pub fn declared(&self, port: &Port, tensor: &Tensor) -> Result<Tensor, Error> {
        if tensor.dtype() == port.dtype {
            return Ok(tensor.clone());
        }
        let quant = self.quant(port.value)?;
        let reals = tensor.widened()?.into_iter().map(|q| numerics::dequantize(q, quant)).collect();
        Tensor::f32(tensor.shape(), reals)
    }
}

/// Collects integers, already inside the range of `dtype`, into its storage.
///
/// # Panics
/// If `dtype` is not an 8-bit type: a caller's bug.
#[allow(clippy::cast_possible_truncation, reason = "every caller clamped to the type's range")]
pub fn eight_bit(dtype: DType, values: impl Iterator<Item = i32>) -> Data {
    match dtype {
        DType::U8 => Data::U8(values.map(|q| q as u8).collect()),
        DType::I8 => Data::I8(values.map(|q| q as i8).collect()),
        other => unreachable!("{other} is not an 8-bit type"),
    }
}

/// Decodes little-endian elements; trailing bytes that do not fill an element are ignored.
///
/// # Errors
/// [`Error::MalformedTensor`] for codes that the type does not have.
pub(crate) fn data_from_le(dtype: DType, bytes: &[u8]) -> Result<Data, Error> {
    fn words<const N: usize, T>(bytes: &[u8], decode: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks::<N>().0.iter().map(|&word| decode(word)).collect()
    }
    Ok(match dtype {
        DType::U8 => Data::U8(bytes.to_vec()),
        DType::I8 => Data::I8(bytemuck::cast_slice(bytes).to_vec()),
        DType::I32 => Data::I32(words(bytes, i32::from_le_bytes)),
        DType::I64 => Data::I64(words(bytes, i64::from_le_bytes)),
        DType::F32 => Data::F32(words(bytes, f32::from_le_bytes)),
        other => Data::Coded(Coded::new(other, bytes.to_vec())?),
    })
}

/// Byte range of a constant inside a blob of `len` bytes, or `None` if it does not fit.
fn constant_range(value: &Value, constant: &Constant, len: usize) -> Option<std::ops::Range<usize>> {
    let start = usize::try_from(constant.offset).ok()?;
    let bytes = element_count(&constant.shape).ok()?.checked_mul(value.dtype.size())?;
    let end = start.checked_add(bytes)?;
    (start % CONSTANT_ALIGN == 0 && end <= len).then_some(start..end)
}
