//! Tensors in the model's own (ONNX) layout, their element types and quantization.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::limits::MAX_TENSOR_BYTES;

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum DType {
    /// Unsigned 8-bit integer: a quantized activation.
    U8,
    /// Signed 8-bit integer: a quantized activation or weight.
    I8,
    /// 32-bit integer: a bias.
    I32,
    /// 64-bit integer: indices and shapes.
    I64,
    /// IEEE 754 binary32.
    F32,
    /// Truth values: a byte of 0 or 1.
    Bool,
    /// Signed 16-bit integer.
    I16,
    /// Unsigned 16-bit integer.
    U16,
    /// Unsigned 32-bit integer.
    U32,
    /// Unsigned 64-bit integer.
    U64,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    Bf16,
    /// IEEE 754 binary64.
    F64,
    /// 8-bit float, 4 bits of exponent, without infinity.
    F8E4M3,
    /// The same with another bias and without negative zero.
    F8E4M3Fnuz,
    /// 8-bit float, 5 bits of exponent.
    F8E5M2,
    /// The same with another bias and without infinity and negative zero.
    F8E5M2Fnuz,
    /// Unsigned 4-bit integer, one in a byte.
    U4,
    /// Signed 4-bit integer, its two's complement in the low half of a byte.
    I4,
}

impl DType {
    /// Bytes of one element in memory.
    pub fn size(self) -> usize {
        match self {
            DType::U8 | DType::I8 | DType::Bool | DType::U4 | DType::I4 => 1,
            DType::F8E4M3 | DType::F8E4M3Fnuz | DType::F8E5M2 | DType::F8E5M2Fnuz => 1,
            DType::I16 | DType::U16 | DType::F16 | DType::Bf16 => 2,
            DType::I32 | DType::F32 | DType::U32 => 4,
            DType::I64 | DType::U64 | DType::F64 => 8,
        }
    }

    /// Whether elements are floating-point numbers.
    pub fn is_float(self) -> bool {
        use DType::{Bf16, F8E4M3, F8E4M3Fnuz, F8E5M2, F8E5M2Fnuz, F16, F32, F64};
        matches!(self, F32 | F64 | F16 | Bf16 | F8E4M3 | F8E4M3Fnuz | F8E5M2 | F8E5M2Fnuz)
    }

    /// Smallest and largest value of an 8-bit type; `None` for the others.
    pub fn range(self) -> Option<(i32, i32)> {
        match self {
            DType::U8 => Some((0, 255)),
            DType::I8 => Some((-128, 127)),
            _ => None,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::U8 => "u8",
            DType::I8 => "i8",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::F32 => "f32",
            DType::Bool => "bool",
            DType::I16 => "i16",
            DType::U16 => "u16",
            DType::U32 => "u32",
            DType::U64 => "u64",
            DType::F16 => "f16",
            DType::Bf16 => "bf16",
            DType::F64 => "f64",
            DType::F8E4M3 => "f8e4m3fn",
            DType::F8E4M3Fnuz => "f8e4m3fnuz",
            DType::F8E5M2 => "f8e5m2",
            DType::F8E5M2Fnuz => "f8e5m2fnuz",
            DType::U4 => "u4",
            DType::I4 => "i4",
        })
    }
}

/// Affine quantization of a whole tensor: `real = (q - zero_point) * scale`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Quant {
    /// Real units per step; finite, at least 2^-100 so that no subnormal can arise.
    pub scale: f32,
    /// The integer that stands for 0.0; inside the element type's range.
    pub zero_point: i32,
}

/// The elements of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Unsigned bytes.
    U8(Vec<u8>),
    /// Signed bytes.
    I8(Vec<i8>),
    /// 32-bit integers.
    I32(Vec<i32>),
    /// 64-bit integers.
    I64(Vec<i64>),
    /// 32-bit floats.
    F32(Vec<f32>),
    /// Elements of any other type.
    Coded(Coded),
}

/// Elements of a type that is moved, compared and cast, but not computed in: their little-endian bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Coded {
    dtype: DType,
    bytes: Vec<u8>,
}

impl Coded {
    /// Elements of `dtype` from their little-endian bytes.
    ///
    /// # Errors
    /// [`Error::MalformedTensor`] for a type that has a variant of [`Data`], for bytes that are no whole number of
    /// elements, and for codes that the type does not have.
    pub fn new(dtype: DType, bytes: Vec<u8>) -> Result<Self, Error> {
        let fail = |reason| Err(Error::MalformedTensor { name: dtype.to_string(), reason });
        let codes = match dtype {
            DType::U8 | DType::I8 | DType::I32 | DType::I64 | DType::F32 => {
                return fail("elements of this type are not kept as bytes".to_owned());
            }
            DType::Bool => 2,
            DType::U4 | DType::I4 => 16,
            _ => 256,
        };
        if !bytes.len().is_multiple_of(dtype.size()) {
            return fail(format!("{} bytes are no whole elements of {}", bytes.len(), dtype.size()));
        }
        match bytes.iter().find(|&&byte| u16::from(byte) >= codes) {
            Some(byte) => fail(format!("the byte {byte} where the type ends at {}", codes - 1)),
            None => Ok(Self { dtype, bytes }),
        }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The elements' little-endian bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As many elements of the same type, moved: `bytes` hold only elements that were in a tensor of it, or zeros.
    pub(crate) fn moved(&self, bytes: Vec<u8>) -> Self {
        Self { dtype: self.dtype, bytes }
    }
}

impl Data {
    /// No elements of a type.
    pub fn empty(dtype: DType) -> Self {
        match dtype {
            DType::U8 => Data::U8(Vec::new()),
            DType::I8 => Data::I8(Vec::new()),
            DType::I32 => Data::I32(Vec::new()),
            DType::I64 => Data::I64(Vec::new()),
            DType::F32 => Data::F32(Vec::new()),
            dtype => Data::Coded(Coded { dtype, bytes: Vec::new() }),
        }
    }

    /// Drops all elements and keeps their memory.
    pub fn clear(&mut self) {
        match self {
            Data::U8(v) => v.clear(),
            Data::I8(v) => v.clear(),
            Data::I32(v) => v.clear(),
            Data::I64(v) => v.clear(),
            Data::F32(v) => v.clear(),
            Data::Coded(coded) => coded.bytes.clear(),
        }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Data::U8(_) => DType::U8,
            Data::I8(_) => DType::I8,
            Data::I32(_) => DType::I32,
            Data::I64(_) => DType::I64,
            Data::F32(_) => DType::F32,
            Data::Coded(coded) => coded.dtype,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Data::U8(v) => v.len(),
            Data::I8(v) => v.len(),
            Data::I32(v) => v.len(),
            Data::I64(v) => v.len(),
            Data::F32(v) => v.len(),
            Data::Coded(coded) => coded.bytes.len() / coded.dtype.size(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An owned tensor: a shape and its elements in row-major order, in ONNX's layout (NCHW for images).
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

impl Tensor {
    /// A tensor of `shape` holding `data`.
    ///
    /// # Errors
    /// [`Error::ElementCount`] if `data` does not hold exactly the product of `shape`.
    pub fn new(shape: impl Into<Vec<usize>>, data: Data) -> Result<Self, Error> {
        let shape = shape.into();
        let expected = element_count(&shape)?;
        if data.len() != expected {
            return Err(Error::ElementCount { shape, expected, found: data.len() });
        }
        Ok(Self { shape, data })
    }

    /// A tensor of unsigned bytes. See [`Tensor::new`] for errors.
    ///
    /// # Errors
    /// [`Error::ElementCount`] if the lengths disagree.
    pub fn u8(shape: impl Into<Vec<usize>>, data: Vec<u8>) -> Result<Self, Error> {
        Self::new(shape, Data::U8(data))
    }

    /// A tensor of floats. See [`Tensor::new`] for errors.
    ///
    /// # Errors
    /// [`Error::ElementCount`] if the lengths disagree.
    pub fn f32(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Result<Self, Error> {
        Self::new(shape, Data::F32(data))
    }

    /// The shape, outermost axis first; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The elements, given away.
    pub fn into_data(self) -> Data {
        self.data
    }

    /// Becomes the tensor that `make` builds, perhaps in the memory of this one's shape and elements, which it is given.
    ///
    /// # Errors
    /// Those of `make`; this is a tensor without elements then.
    pub fn rebuild<E>(&mut self, make: impl FnOnce(Vec<usize>, Data) -> Result<Self, E>) -> Result<(), E> {
        let data = std::mem::replace(&mut self.data, Data::U8(Vec::new()));
        match make(std::mem::take(&mut self.shape), data) {
            Ok(tensor) => *self = tensor,
            Err(error) => {
                self.shape = vec![0];
                return Err(error);
            }
        }
        Ok(())
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// [`Error::ElementCount`] if the new shape holds another number of elements.
    pub fn reshaped(self, shape: impl Into<Vec<usize>>) -> Result<Self, Error> {
        Self::new(shape, self.data)
    }

    /// The elements as little-endian bytes, the form that golden vectors hash.
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.data {
            Data::U8(v) => v.clone(),
            Data::I8(v) => bytemuck::cast_slice(v).to_vec(),
            Data::I32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::I64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::Coded(coded) => coded.bytes.clone(),
        }
    }

    /// The floats, or an error that names the type found.
    ///
    /// # Errors
    /// [`Error::DTypeMismatch`] if this is not an f32 tensor.
    pub fn as_f32(&self) -> Result<&[f32], Error> {
        match &self.data {
            Data::F32(v) => Ok(v),
            other => Err(Error::DTypeMismatch {
                what: "tensor".into(),
                expected: "f32".into(),
                found: other.dtype(),
            }),
        }
    }

    /// The integers, or an error that names the type found.
    ///
    /// # Errors
    /// [`Error::DTypeMismatch`] if this is not an i64 tensor.
    pub fn as_i64(&self) -> Result<&[i64], Error> {
        match &self.data {
            Data::I64(v) => Ok(v),
            other => Err(Error::DTypeMismatch {
                what: "tensor".into(),
                expected: "i64".into(),
                found: other.dtype(),
            }),
        }
    }

    /// A tensor of truth values.
    ///
    /// # Errors
    /// [`Error::ElementCount`] if the lengths disagree.
    pub fn bools(
        shape: impl Into<Vec<usize>>,
        values: impl IntoIterator<Item = bool>,
    ) -> Result<Self, Error> {
        Self::new(shape, Data::Coded(Coded::new(DType::Bool, values.into_iter().map(u8::from).collect())?))
    }

    /// The truth values as bytes of 0 and 1, or an error that names the type found.
    ///
    /// # Errors
    /// [`Error::DTypeMismatch`] if this is not a bool tensor.
    pub fn as_bools(&self) -> Result<&[u8], Error> {
        match &self.data {
            Data::Coded(coded) if coded.dtype == DType::Bool => Ok(&coded.bytes),
            other => Err(Error::DTypeMismatch {
                what: "tensor".into(),
                expected: "bool".into(),
                found: other.dtype(),
            }),
        }
    }

    /// Any 8- or 32-bit integer tensor widened to i32; the form in which the reference computes.
    ///
    /// # Errors
    /// [`Error::DTypeMismatch`] for every other type.
    pub fn widened(&self) -> Result<Vec<i32>, Error> {
        match &self.data {
            Data::U8(v) => Ok(v.iter().map(|&x| x.into()).collect()),
            Data::I8(v) => Ok(v.iter().map(|&x| x.into()).collect()),
            Data::I32(v) => Ok(v.clone()),
            other => Err(Error::DTypeMismatch {
                what: "tensor".into(),
                expected: "u8, i8 or i32".into(),
                found: other.dtype(),
            }),
        }
    }
}

/// Product of a shape, refused beyond [`MAX_TENSOR_BYTES`]. An axis of zero does not excuse the others: strides are
/// computed from them.
///
/// # Errors
/// [`Error::TensorTooLarge`] if the product overflows or exceeds the limit.
pub fn element_count(shape: &[usize]) -> Result<usize, Error> {
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1)));
    match count {
        Some(n) if n <= MAX_TENSOR_BYTES => Ok(if shape.contains(&0) { 0 } else { n }),
        _ => Err(Error::TensorTooLarge { shape: shape.to_vec(), limit: MAX_TENSOR_BYTES }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_stays_whole_when_it_cannot_be_rebuilt() {
        let mut tensor = Tensor::u8([2], vec![3, 4]).unwrap();
        tensor.rebuild(|shape, data| Tensor::new([shape[0], 1], data)).unwrap();
        assert_eq!(tensor, Tensor::u8([2, 1], vec![3, 4]).unwrap());
        assert_eq!(tensor.rebuild(|_, data| Tensor::new([5], data)).unwrap_err().code(), "TM0213");
        assert_eq!(tensor, Tensor::u8([0], vec![]).unwrap());
    }

    #[test]
    fn shape_and_length_must_agree() {
        let error = Tensor::u8([2, 3], vec![0; 5]).unwrap_err();
        assert!(matches!(error, Error::ElementCount { expected: 6, found: 5, .. }));
    }

    #[test]
    fn an_overflowing_shape_is_refused() {
        assert!(matches!(element_count(&[usize::MAX, 2]), Err(Error::TensorTooLarge { .. })));
        assert!(matches!(element_count(&[MAX_TENSOR_BYTES, 2]), Err(Error::TensorTooLarge { .. })));
        assert!(matches!(element_count(&[0, usize::MAX, 2]), Err(Error::TensorTooLarge { .. })));
        assert_eq!(element_count(&[]).unwrap(), 1);
        assert_eq!(element_count(&[3, 0]).unwrap(), 0);
    }

    #[test]
    fn bytes_are_little_endian() {
        let t = Tensor::new([2], Data::I32(vec![1, -2])).unwrap();
        assert_eq!(t.to_bytes(), [1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff]);
    }
}
