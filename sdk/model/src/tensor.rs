//! Tensors in the model's own (ONNX) layout, their element types and quantization.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::limits::MAX_TENSOR_BYTES;

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
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
}

impl DType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            DType::U8 | DType::I8 => 1,
            DType::I32 | DType::F32 => 4,
            DType::I64 => 8,
        }
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
}

impl Data {
    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Data::U8(_) => DType::U8,
            Data::I8(_) => DType::I8,
            Data::I32(_) => DType::I32,
            Data::I64(_) => DType::I64,
            Data::F32(_) => DType::F32,
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

    /// Any 8- or 32-bit integer tensor widened to i32; the form in which the reference computes.
    ///
    /// # Errors
    /// [`Error::DTypeMismatch`] for f32 and i64.
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
